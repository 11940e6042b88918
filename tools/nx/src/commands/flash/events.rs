//! What happens, as lines of JSON while it happens: `--events`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use nx_flash::host::{Event, Progress};
use nx_flash::wire::BusyPhase;
use serde_json::{Value, json};

use super::lasting::News;
use crate::error::{self, NxError};
use crate::reason::Reason;

/// Version of the lines. Members may be added to a version, and never change their meaning.
const VERSION: u32 = 1;

/// Where events go; nowhere if nobody asked.
pub(crate) struct EventStream {
    out: Option<Box<dyn Write>>,
    failed: Option<io::Error>,
}

impl EventStream {
    /// To a new file, to a pipe or device that is there, or for `-` to standard output.
    ///
    /// # Errors
    /// When the file exists already, or cannot be made.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, NxError> {
        let out: Option<Box<dyn Write>> = match path {
            None => None,
            Some(path) if is_stdout(path) => Some(Box::new(io::stdout())),
            Some(path) => {
                let file = create(path).map_err(|error| refused(path, &error))?;
                Some(Box::new(BufWriter::new(file)))
            }
        };
        Ok(Self { out, failed: None })
    }

    /// One line.
    pub(crate) fn event(&mut self, at: Duration, event: &Event) {
        self.line(at, value(event));
    }

    /// The link closed, or is open again.
    pub(crate) fn link(&mut self, at: Duration, news: News) {
        let event = match news {
            News::Lost => "link_lost",
            News::Back => "link_back",
        };
        self.line(at, json!({ "event": event }));
    }

    /// How far a transfer is.
    pub(crate) fn progress(&mut self, at: Duration, progress: &Progress) {
        self.line(
            at,
            json!({
                "event": "progress",
                "blocks_total": progress.blocks_total,
                "blocks_needed": progress.blocks_needed,
                "blocks_sent": progress.blocks_sent,
                "blocks_packed": progress.blocks_packed,
                "payload_bytes": progress.payload_bytes,
                "wire_bytes": progress.wire_bytes,
                "retransmitted_bytes": progress.retransmitted_bytes,
            }),
        );
    }

    /// Ends the lines.
    ///
    /// # Errors
    /// The first failure to write them; a reader that has seen enough is none.
    pub(crate) fn finish(mut self) -> Result<(), NxError> {
        let result = match (self.failed.take(), &mut self.out) {
            (Some(error), _) => Err(error),
            (None, Some(out)) => out.flush(),
            (None, None) => Ok(()),
        };
        match result {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(NxError::new(
                Reason::EventsUnwritable,
                format!("cannot write the events: {error}"),
            )),
            _ => Ok(()),
        }
    }

    fn line(&mut self, at: Duration, mut value: Value) {
        let Some(out) = &mut self.out else { return };
        if self.failed.is_some() {
            return;
        }
        if let Value::Object(members) = &mut value {
            let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
            members.insert("v".to_owned(), VERSION.into());
            members.insert("at_ms".to_owned(), millis.into());
        }
        // A line is of use only while it is news.
        if let Err(error) = writeln!(out, "{value}").and_then(|()| out.flush()) {
            self.failed = Some(error);
        }
    }
}

/// Never one that holds something: that may be the image that is sent.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match fs::metadata(path) {
            Ok(found) if !found.is_file() && !found.is_dir() => options.open(path),
            _ => Err(error),
        },
        other => other,
    }
}

fn refused(path: &Path, error: &io::Error) -> NxError {
    let text = format!("cannot write the events to `{}`: {error}", path.display());
    match error.kind() {
        ErrorKind::AlreadyExists => {
            NxError::new(Reason::EventsExists, text).hint("another name as --events")
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            NxError::new(Reason::EventsNotFound, text)
        }
        _ => NxError::new(Reason::EventsUnwritable, text),
    }
}

/// Whether the events go where the result would go.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name of what a busy device does.
pub(crate) const fn phase(phase: BusyPhase) -> &'static str {
    match phase {
        BusyPhase::Survey => "survey",
        BusyPhase::ReadBack => "read_back",
        BusyPhase::Install => "install",
        BusyPhase::Verify => "verify",
    }
}

fn value(event: &Event) -> Value {
    match event {
        Event::Connected {
            session,
            boot,
            board,
        } => json!({ "event": "connected", "session": session, "boot": boot, "board": board }),
        Event::SessionLost => json!({ "event": "session_lost" }),
        Event::BaudChanged { baud } => json!({ "event": "baud_changed", "baud": baud }),
        Event::Accepted => json!({ "event": "accepted" }),
        Event::Planned { segment, kept } => {
            json!({ "event": "planned", "segment": segment, "kept": kept })
        }
        Event::Busy {
            phase: what,
            done,
            total,
        } => json!({ "event": "busy", "phase": phase(*what), "done": done, "total": total }),
        Event::Console(line) => json!({ "event": "console", "line": line }),
        Event::Installed {
            manifest,
            installed,
            state_kept,
        } => json!({
            "event": "installed",
            "manifest_sha256": manifest.to_string(),
            "installed_sha256": installed.to_string(),
            "state_kept": state_kept,
        }),
        Event::Verified {
            manifest,
            installed,
            ..
        } => json!({
            "event": "verified",
            "manifest_sha256": manifest.to_string(),
            "installed_sha256": installed.to_string(),
        }),
        Event::Info(info, _) => {
            json!({ "event": "info", "agent": info.agent, "board": info.board })
        }
        Event::Rebooting(target) => json!({ "event": "rebooting", "target": target.as_str() }),
        Event::Finished => json!({ "event": "finished" }),
        Event::Failed(failure) => {
            let error = error::failed(failure);
            json!({
                "event": "failed",
                "reason": error.reason().text(),
                "message": error.message(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use nx_flash::host::Failure;

    use super::*;

    #[test]
    fn a_line_has_its_version_and_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events");
        let mut events = EventStream::open(Some(&path)).unwrap();
        events.event(Duration::from_millis(7), &Event::Accepted);
        events.event(Duration::from_millis(9), &Event::Failed(Failure::Closed));
        events.finish().unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0], json!({ "v": 1, "at_ms": 7, "event": "accepted" }));
        assert_eq!(lines[1]["reason"], "port.closed");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn no_file_that_is_there_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("os.img");
        std::fs::write(&path, "an image").unwrap();
        let there = [path.as_path(), dir.path()];
        for path in there {
            let error = EventStream::open(Some(path)).err().unwrap();
            assert_eq!(error.reason(), Reason::EventsExists, "{}", path.display());
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"an image");
        let nowhere = dir.path().join("no folder/events");
        let error = EventStream::open(Some(&nowhere)).err().unwrap();
        assert_eq!(error.reason(), Reason::EventsNotFound);
    }

    #[test]
    fn events_that_cannot_be_written_are_an_error() {
        let mut events = EventStream::open(Some(Path::new("/dev/full"))).unwrap();
        events.event(Duration::ZERO, &Event::Accepted);
        assert!(events.finish().is_err());
    }
}
