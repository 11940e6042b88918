//! Gives each key of a port to the one part that it belongs to.

use std::collections::BTreeSet;

use crate::registry::nearest::nearest;
use crate::{Key, Param, Params, TransportError};

/// A layer or the driver of a port, and the keys that it has been given.
#[derive(Debug)]
pub(super) struct Part {
    name: &'static str,
    keys: &'static [Key],
    pub(super) params: Params,
}

impl Part {
    pub(super) fn new(port: &str, name: &'static str, keys: &'static [Key]) -> Self {
        Self {
            name,
            keys,
            params: Params::new(port, Vec::new()),
        }
    }

    fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
    }
}

/// Gives each of `params` to the part that it belongs to.
pub(super) fn assign(
    port: &str,
    params: &[Param],
    parts: &mut [Part],
) -> Result<(), TransportError> {
    for param in params {
        let index = owner(port, &param.key, parts)?;
        let key = param.key.rsplit('.').next().unwrap_or_default();
        if let Some(part) = parts.get_mut(index)
            && !part.params.push(key, &param.value)
        {
            return Err(TransportError::BadSpec {
                port: port.to_owned(),
                reason: format!("it has `{key}` twice for `{}`", part.name),
            });
        }
    }
    Ok(())
}

/// Which part a key as written belongs to.
fn owner(port: &str, written: &str, parts: &[Part]) -> Result<usize, TransportError> {
    let words: Vec<&str> = written.split('.').collect();
    let (name, number, key) = match words.as_slice() {
        [key] => (None, None, *key),
        [name, key] => (Some(*name), None, *key),
        [name, number, key] => match number.parse::<usize>() {
            Ok(number) => (Some(*name), Some(number), *key),
            Err(_) => return Err(unknown(port, written, parts)),
        },
        _ => return Err(unknown(port, written, parts)),
    };
    let fits: Vec<usize> = parts
        .iter()
        .enumerate()
        .filter(|(index, part)| {
            part.knows(key)
                && name.is_none_or(|name| name == part.name)
                && number.is_none_or(|number| number == occurrence(parts, *index))
        })
        .map(|(index, _)| index)
        .collect();
    match fits.as_slice() {
        [one] => Ok(*one),
        [] => Err(unknown(port, written, parts)),
        several => Err(TransportError::AmbiguousKey {
            port: port.to_owned(),
            key: written.to_owned(),
            owners: several
                .iter()
                .map(|index| format!("`{}`", full_name(parts, *index, key)))
                .collect::<Vec<_>>()
                .join(" or "),
        }),
    }
}

/// The how-manyth part of its name this is, from 1.
fn occurrence(parts: &[Part], index: usize) -> usize {
    let name = parts.get(index).map(|part| part.name);
    parts
        .iter()
        .take(index.saturating_add(1))
        .filter(|part| Some(part.name) == name)
        .count()
}

/// What to write so that only this part can be meant.
fn full_name(parts: &[Part], index: usize, key: &str) -> String {
    let name = parts.get(index).map_or("", |part| part.name);
    if parts.iter().filter(|part| part.name == name).count() > 1 {
        format!("{name}.{}.{key}", occurrence(parts, index))
    } else {
        format!("{name}.{key}")
    }
}

fn unknown(port: &str, written: &str, parts: &[Part]) -> TransportError {
    let known: BTreeSet<&str> = parts
        .iter()
        .flat_map(|part| part.keys.iter().map(|key| key.name))
        .collect();
    let known: Vec<&str> = known.into_iter().collect();
    TransportError::UnknownKey {
        port: port.to_owned(),
        key: written.to_owned(),
        nearest: nearest(written.rsplit('.').next().unwrap_or_default(), &known),
        known: if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        },
    }
}
