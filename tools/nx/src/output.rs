use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;
use serde_json::Value;

use crate::error::NxError;
use crate::exit::Exit;
use crate::progress::{Lane, Lanes};
use crate::reason::Reason;
use crate::text;

/// What a command that worked has to say.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    message: String,
    data: Option<Value>,
}

impl Outcome {
    /// The last line of a run.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// Adds the `data` of the JSON envelope.
    pub(crate) fn data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

/// Where a run says what it does: lines for people, or one JSON envelope.
///
/// A reader that has seen enough and closed its end is no error: what is left is not written.
pub(crate) struct Ui {
    json: bool,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    terminal: bool,
    lane: Option<Lane>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    ok: bool,
    class: &'static str,
    code: u8,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Ui {
    /// The process's own standard streams.
    pub(crate) fn stdio(json: bool) -> Self {
        Self {
            json,
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            terminal: io::stderr().is_terminal(),
            lane: None,
        }
    }

    /// The part of one lane among many: its notes have its name in front, and its progress is one
    /// of `lanes`. It has no result of its own.
    pub(crate) fn lane(&self, name: &str, lanes: &Lanes) -> Self {
        Self {
            json: self.json,
            out: Box::new(io::sink()),
            err: Box::new(io::stderr()),
            terminal: self.terminal,
            lane: Some(lanes.lane(name)),
        }
    }

    /// The lane that this is the part of.
    pub(crate) const fn as_lane(&self) -> Option<&Lane> {
        self.lane.as_ref()
    }

    /// Whether one envelope is all that may be printed.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress may be drawn: for a person, on a terminal.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && !self.json
    }

    /// A line of the result, for people; tabs separate its fields.
    ///
    /// # Errors
    /// `output.failed` if it cannot be written.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<(), NxError> {
        if self.json {
            return Ok(());
        }
        let line = text::fields(line.as_ref());
        put(&mut *self.out, &line)
    }

    /// Something that a person should know and that is not the result: to standard error.
    pub(crate) fn note(&mut self, note: impl AsRef<str>) {
        self.aside("nx", note.as_ref());
    }

    /// A line of a device's console: to standard error.
    pub(crate) fn device(&mut self, line: &str) {
        self.aside("device", line);
    }

    fn aside(&mut self, who: &str, what: &str) {
        if self.json {
            return;
        }
        // What cannot be said about the work does not make the work fail.
        let err = &mut *self.err;
        match &self.lane {
            None => drop(put(err, &format!("{who}: {}", text::one_line(what)))),
            Some(lane) => {
                let line = format!("{who}: {}", text::one_line(&lane.named(what)));
                lane.aside(|| drop(put(err, &line)));
            }
        }
    }

    /// Ends a run.
    pub(crate) fn finish(&mut self, result: Result<Outcome, NxError>) -> Exit {
        let (exit, written) = match result {
            Ok(outcome) => (Exit::Success, self.success(outcome)),
            Err(error) => (error.exit(), self.failure(error)),
        };
        match written {
            Err(error) if exit == Exit::Success => {
                let exit = error.exit();
                // Standard output is gone, so this is the last place left to say it.
                let _ = put(
                    &mut *self.err,
                    &format!("nx: {}", text::one_line(error.message())),
                );
                exit
            }
            _ => exit,
        }
    }

    fn success(&mut self, outcome: Outcome) -> Result<(), NxError> {
        if self.json {
            return self.envelope(Exit::Success, &outcome.message, outcome.data);
        }
        if outcome.message.is_empty() {
            Ok(())
        } else {
            self.line(outcome.message)
        }
    }

    fn failure(&mut self, error: NxError) -> Result<(), NxError> {
        if self.json {
            let message = error.message().to_owned();
            return self.envelope(error.exit(), &message, Some(error.into_data()));
        }
        put(
            &mut *self.err,
            &format!("nx: {}", text::one_line(error.message())),
        )?;
        match error.try_this() {
            Some(hint) => put(&mut *self.err, &format!("try: {}", text::one_line(hint))),
            None => Ok(()),
        }
    }

    fn envelope(&mut self, exit: Exit, text: &str, data: Option<Value>) -> Result<(), NxError> {
        let message = &text::one_line(text);
        let ok = exit == Exit::Success;
        let envelope = Envelope {
            ok,
            class: exit.class(),
            code: exit.code(),
            message,
            data,
        };
        let json = serde_json::to_string_pretty(&envelope)
            .map_err(|error| NxError::of(Reason::OutputFailed, &error))?;
        put(&mut *self.out, &json)
    }
}

/// Writes a line at once, so that what was said is out even if the process is killed.
fn put(stream: &mut dyn Write, line: &str) -> Result<(), NxError> {
    let written = stream
        .write_all(line.as_bytes())
        .and_then(|()| stream.write_all(b"\n"))
        .and_then(|()| stream.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(NxError::new(
            Reason::OutputFailed,
            format!("cannot write the output: {error}"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Fails every write with one kind of error.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    fn ui(json: bool) -> (Ui, Shared, Shared) {
        let (out, err) = (Shared::default(), Shared::default());
        let streams = (Box::new(out.clone()), Box::new(err.clone()));
        (
            Ui {
                json,
                out: streams.0,
                err: streams.1,
                terminal: true,
                lane: None,
            },
            out,
            err,
        )
    }

    #[test]
    fn with_json_there_is_one_envelope_and_nothing_else() {
        let (mut ui, out, err) = ui(true);
        ui.line("a line").unwrap();
        ui.note("a note");
        let outcome = Outcome::new("done").data(json!({ "blocks": 3 }));
        assert_eq!(ui.finish(Ok(outcome)), Exit::Success);
        assert_eq!(
            out.text(),
            "{\n  \"ok\": true,\n  \"class\": \"success\",\n  \"code\": 0,\n  \
             \"message\": \"done\",\n  \"data\": {\n    \"blocks\": 3\n  }\n}\n"
        );
        assert_eq!(err.text(), "");
    }

    #[test]
    fn an_error_in_json_has_its_reason_and_its_hint() {
        let (mut ui, out, err) = ui(true);
        let error = NxError::new(Reason::PortBusy, "busy\n")
            .hint("later")
            .fact("by", 7);
        assert_eq!(ui.finish(Err(error)), Exit::DelegateFailure);
        let value: Value = serde_json::from_str(&out.text()).unwrap();
        assert_eq!(value["ok"], false);
        assert_eq!(value["class"], "delegate_failure");
        assert_eq!(value["code"], 5);
        assert_eq!(value["message"], "busy\u{fffd}");
        assert_eq!(
            value["data"],
            json!({ "reason": "port.busy", "hint": "later", "by": 7 })
        );
        assert_eq!(err.text(), "");
    }

    #[test]
    fn for_people_an_error_is_two_lines_on_standard_error() {
        let (mut ui, out, err) = ui(false);
        let error = NxError::new(Reason::PortBusy, "busy\n\u{1b}[31m").hint("later");
        assert_eq!(ui.finish(Err(error)), Exit::DelegateFailure);
        assert_eq!(out.text(), "");
        assert_eq!(err.text(), "nx: busy\u{fffd}\u{fffd}[31m\ntry: later\n");
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        let mut ui = ui(false).0;
        ui.out = Box::new(Failing(io::ErrorKind::BrokenPipe));
        ui.line("a line").unwrap();
        assert_eq!(ui.finish(Ok(Outcome::new("done"))), Exit::Success);
    }

    #[test]
    fn output_that_cannot_be_written_is_an_error() {
        let (mut ui, _, err) = ui(false);
        ui.out = Box::new(Failing(io::ErrorKind::StorageFull));
        assert_eq!(
            ui.line("a line").unwrap_err().reason(),
            Reason::OutputFailed
        );
        assert_eq!(ui.finish(Ok(Outcome::new("done"))), Exit::Internal);
        assert!(err.text().starts_with("nx: cannot write the output"));
    }
}
