//! The keys that one layer or driver of a port was given.

use std::str::FromStr;

use crate::{Param, TransportError};

/// The keys and values that one layer or driver of a port was given, all known to it.
#[derive(Clone, Debug, Default)]
pub struct Params {
    port: String,
    values: Vec<Param>,
}

impl Params {
    /// For a test that wraps or opens something without the registry.
    #[must_use]
    pub fn new(port: &str, values: Vec<Param>) -> Self {
        Self {
            port: port.to_owned(),
            values,
        }
    }

    pub(crate) fn push(&mut self, key: &str, value: &str) -> bool {
        if self.get(key).is_some() {
            return false;
        }
        self.values.push(Param {
            key: key.to_owned(),
            value: value.to_owned(),
        });
        true
    }

    /// The value of `key` as written; empty for a bare key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|param| param.key == key)
            .map(|param| param.value.as_str())
    }

    /// Whether `key` is there and not `no`.
    ///
    /// # Errors
    /// `BadValue` unless the value is empty, `yes` or `no`.
    pub fn flag(&self, key: &str) -> Result<bool, TransportError> {
        match self.get(key) {
            None | Some("no") => Ok(false),
            Some("" | "yes") => Ok(true),
            Some(_) => Err(self.bad(key, "yes or no")),
        }
    }

    /// The value of `key`, which `check` must accept.
    ///
    /// # Errors
    /// `BadValue`, saying that it is not `want`.
    pub fn parsed<T: FromStr>(
        &self,
        key: &str,
        want: &str,
        check: impl FnOnce(&T) -> bool,
    ) -> Result<Option<T>, TransportError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        text.parse()
            .ok()
            .filter(check)
            .map(Some)
            .ok_or_else(|| self.bad(key, want))
    }

    /// The error for a value that is not `want`.
    #[must_use]
    pub fn bad(&self, key: &str, want: &str) -> TransportError {
        TransportError::BadValue {
            port: self.port.clone(),
            key: key.to_owned(),
            value: self.get(key).unwrap_or_default().to_owned(),
            want: want.to_owned(),
        }
    }
}
