//! What one run showed.

use crate::kind::Kind;
use crate::listing::Listing;
use crate::process::{End, Ended};
use crate::room::{PREFIX, Room};
use crate::watch::{Fault, Watch};

/// What is done in a run.
#[derive(Clone, Debug)]
pub(crate) enum Act<'a> {
    /// Nothing: the calls are counted, and the end is what others are compared with.
    Plain,
    /// This goes wrong; afterwards the names have to be these.
    Fault(&'a Fault, &'a Listing),
}

impl Act<'_> {
    /// How the victim is started.
    pub(crate) fn watch(&self, room: &Room) -> Watch<'_> {
        let log = room.log("victim", "strace");
        match self {
            Self::Plain => Watch::Trace(log),
            Self::Fault(fault, _) => Watch::Inject(log, fault),
        }
    }

    /// What goes wrong, if anything.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Plain => None,
            Self::Fault(fault, _) => Some(fault),
        }
    }

    /// Whether the victim is killed.
    pub(crate) fn kills(&self) -> bool {
        self.fault().is_some_and(|fault| fault.kind == Kind::Kill)
    }
}

/// What was found wrong, and what a run left.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What must not be, each in a sentence.
    pub(crate) findings: Vec<String>,
    /// What was there at the end.
    pub(crate) after: Listing,
}

impl Report {
    /// Notes something that must not be.
    pub(crate) fn find(&mut self, what: impl Into<String>) {
        self.findings.push(what.into());
    }

    /// Notes it unless it is so.
    pub(crate) fn claim(&mut self, is_so: bool, otherwise: impl FnOnce() -> String) {
        if !is_so {
            self.find(otherwise());
        }
    }

    /// A command without a fault has to work.
    pub(crate) fn works(&mut self, what: &str, ended: &Ended) {
        self.claim(ended.is_success(), || {
            format!("{what} ended with {:?}: {}", ended.end, ended.err.trim())
        });
    }

    /// A program that could not do its work has to end with a code of its own, and with one line
    /// that says what failed, and where.
    pub(crate) fn refuses(&mut self, program: &str, ended: &Ended, fault: &Fault) {
        let said = ended.err.trim();
        self.claim(matches!(ended.end, End::Code(2..=7)), || {
            format!("{program} ended with {:?}: {said}", ended.end)
        });
        if fault.call.text.starts_with("2<") {
            // It has nowhere else to say it.
            return;
        }
        let start = format!("{program}: ");
        // What became of the link meanwhile is news, and no error.
        let is_word = |line: &&str| line.starts_with(&start) && !line.contains("the link ");
        let lines: Vec<&str> = said.lines().filter(is_word).collect();
        let [line] = lines.as_slice() else {
            return self.find(format!(
                "not one line of {program} but {}: {said}",
                lines.len()
            ));
        };
        if fault.call.is_to_peer() {
            // To a link an error is a hang-up, whatever the system calls it.
            return;
        }
        let where_to = [PREFIX, "state:/", "the output", "of `.`"];
        self.claim(where_to.iter().any(|place| line.contains(place)), || {
            format!("it does not say where: {line}")
        });
        self.claim(line.contains(fault.kind.words()), || {
            format!("it does not say what: {line}")
        });
    }
}
