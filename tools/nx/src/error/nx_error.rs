use std::error::Error;

use serde_json::{Map, Value};

use crate::exit::Exit;
use crate::reason::Reason;

/// An error as the user sees it: what happened, in one line, and what helps.
///
/// Not an error type of a library: nothing decides by it but the way `nx` ends.
#[derive(Debug)]
pub(crate) struct NxError {
    reason: Reason,
    message: String,
    hint: Option<String>,
    data: Map<String, Value>,
}

impl NxError {
    /// An error that says `message`: lower case, no full stop.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            hint: None,
            data: Map::new(),
        }
    }

    /// An error of a library, with all that led to it.
    pub(crate) fn of(reason: Reason, error: &(dyn Error + 'static)) -> Self {
        Self::new(reason, chain(error))
    }

    /// The same, where what was asked for has been done in spite of it.
    pub(crate) fn job_done(mut self) -> Self {
        self.message = format!("the job is done, but {}", self.message);
        self
    }

    /// Adds what helps: a command to run or a thing to look at.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a fact for the `data` of the JSON envelope.
    pub(crate) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// Adds every member of an object to the `data` of the JSON envelope.
    pub(crate) fn facts(mut self, facts: Value) -> Self {
        if let Value::Object(facts) = facts {
            self.data.extend(facts);
        }
        self
    }

    pub(crate) fn reason(&self) -> Reason {
        self.reason
    }

    pub(crate) fn exit(&self) -> Exit {
        self.reason.exit()
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn try_this(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The `data` of the JSON envelope: the reason, the hint, and the facts.
    pub(crate) fn into_data(self) -> Value {
        let mut data = self.data;
        data.insert("reason".into(), self.reason.text().into());
        if let Some(hint) = self.hint {
            data.insert("hint".into(), hint.into());
        }
        Value::Object(data)
    }
}

/// An error and its sources, each once, separated by colons.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        // Transparent wrappers say what their source says.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}
