//! The text that names a port.

mod percent;

use std::fmt;
use std::str::FromStr;

use crate::TransportError;

/// A port as its text names it: `[layer+]…scheme:target[?key=value&…]`.
///
/// - A bare path or `COM3` is `serial:`. Layers may stand before it: `lossy+/dev/ttyS0?ber=1e-5`.
/// - The leftmost layer is the outermost: it sees the caller's bytes first.
/// - In targets and values `?`, `&`, `+` and `%` are written as `%3F`, `%26`, `%2B` and `%25`. A
///   bare `+` is read as itself where nothing else can be meant, that is, behind the scheme.
/// - Each key belongs to exactly one layer or the driver. `rate=` goes to the only part of the
///   port that knows it; when several do, the text must say which: `slow.rate=`, or
///   `lossy.2.seed=` for the second `lossy+` from the left.
///
/// Parsing checks the grammar; whether the names exist is for [`open`](crate::open). Printing gives
/// the canonical text, which parses to the same value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortSpec {
    /// From the outermost, which the caller talks to, to the innermost.
    pub layers: Vec<LayerSpec>,
    /// Names the driver.
    pub scheme: String,
    /// What the driver opens, with nothing percent-encoded any more.
    pub target: String,
    /// In the order of the text. No key stands twice.
    pub params: Vec<Param>,
}

/// One layer of a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerSpec {
    /// Names the layer.
    pub name: String,
}

/// One `key=value` of a port. A bare `key` has an empty value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// The key, as written: `rate`, `slow.rate` or `lossy.2.seed`.
    pub key: String,
    /// The value, with nothing percent-encoded any more.
    pub value: String,
}

impl PortSpec {
    /// A port without layers and keys.
    #[must_use]
    pub fn new(scheme: &str, target: &str) -> Self {
        Self {
            layers: Vec::new(),
            scheme: scheme.to_owned(),
            target: target.to_owned(),
            params: Vec::new(),
        }
    }
}

impl FromStr for PortSpec {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        let bad = |reason: &str| TransportError::BadSpec {
            port: text.escape_debug().to_string(),
            reason: reason.to_owned(),
        };
        if text.chars().any(char::is_control) {
            return Err(bad("it holds control characters (write them as %0A)"));
        }
        let (head, query) = match text.split_once('?') {
            Some((head, query)) => (head, Some(query)),
            None => (text, None),
        };
        let (layers, rest) = take_layers(head);
        let (scheme, target) = if is_bare_serial(rest) {
            ("serial", rest)
        } else if let Some((scheme, target)) = rest.split_once(':') {
            if !is_name(scheme) {
                return Err(bad(
                    "a scheme is lower-case letters, digits and `-`, letter first",
                ));
            }
            (scheme, target)
        } else if rest.is_empty() {
            return Err(bad("it is empty"));
        } else {
            return Err(bad(
                "it has neither a scheme (`unix:…`) nor the form of a path (`/dev/…`)",
            ));
        };
        let target = percent::decode(target).ok_or_else(|| bad(percent::REASON))?;
        let mut params: Vec<Param> = Vec::new();
        for item in query.into_iter().flat_map(|query| query.split('&')) {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            if !key.split('.').all(is_key_part) {
                return Err(bad("a key is lower-case letters, digits, `_` and `.`"));
            }
            if params.iter().any(|param| param.key == key) {
                return Err(bad("it has the same key twice"));
            }
            let value = percent::decode(value).ok_or_else(|| bad(percent::REASON))?;
            params.push(Param {
                key: key.to_owned(),
                value,
            });
        }
        Ok(Self {
            layers,
            scheme: scheme.to_owned(),
            target,
            params,
        })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for layer in &self.layers {
            write!(f, "{}+", layer.name)?;
        }
        write!(f, "{}:{}", self.scheme, percent::encode(&self.target))?;
        for (index, param) in self.params.iter().enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            f.write_str(&param.key)?;
            if !param.value.is_empty() {
                write!(f, "={}", percent::encode(&param.value))?;
            }
        }
        Ok(())
    }
}

/// Splits off every leading `name+`.
fn take_layers(head: &str) -> (Vec<LayerSpec>, &str) {
    let mut layers = Vec::new();
    let mut rest = head;
    while let Some((name, after)) = rest.split_once('+')
        && is_name(name)
    {
        layers.push(LayerSpec {
            name: name.to_owned(),
        });
        rest = after;
    }
    (layers, rest)
}

fn is_bare_serial(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let is_com = upper
        .strip_prefix("COM")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    is_com || text.starts_with(['/', '.', '\\']) || (text.contains('/') && !text.contains(':'))
}

/// Lower-case letters, digits and `-`, a letter first.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_key_part(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests;
