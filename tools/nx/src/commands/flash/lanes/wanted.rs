//! Which ports are meant: as they are named, or by a pattern.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nx_transport::PortSpec;
use nx_transport::ports::{self, PortKind};

use crate::error::NxError;
use crate::reason::Reason;

/// Matches of one pattern that are looked at.
const MATCHES_MAX: usize = 1_024;

/// One `--port`.
#[derive(Debug)]
pub(crate) struct Wanted {
    text: String,
    spec: PortSpec,
    /// The target is a pattern of paths.
    pattern: bool,
}

/// A port that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As `nx` is told.
    pub(crate) port: String,
    /// What two names of one port have in common.
    pub(crate) place: String,
    /// What is there now.
    pub(crate) node: Node,
}

/// Tells what is at a place from what was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A file: its device, its number there, and when it was made.
    File(u64, u64, Option<SystemTime>),
    /// Whether anything is there is seen only by calling.
    Unseen,
}

impl Wanted {
    /// Reads one `--port`. A path with `*` or `[` in it is a pattern; `%2A` and `%5B` are the
    /// characters themselves.
    ///
    /// # Errors
    /// What is no port, or no pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, NxError> {
        let spec: PortSpec = text.parse()?;
        let written = text.split('?').next().unwrap_or_default();
        let pattern = is_path(&spec) && written.contains(['*', '[']);
        if pattern && let Err(error) = glob::Pattern::new(&spec.target) {
            let text = format!("`{text}` is no pattern: {error}");
            return Err(NxError::new(Reason::PortBadSpec, text));
        }
        let text = text.to_owned();
        Ok(Self {
            text,
            spec,
            pattern,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) const fn spec(&self) -> &PortSpec {
        &self.spec
    }

    pub(crate) const fn is_pattern(&self) -> bool {
        self.pattern
    }

    /// The port as it is named, whether it is there or not.
    pub(crate) fn named(&self) -> Found {
        Found {
            port: self.text.clone(),
            place: place(&self.spec),
            node: Node::Unseen,
        }
    }

    /// What is there of it now; of a port that is no path that cannot be seen, so it counts.
    pub(crate) fn look(&self) -> Vec<Found> {
        if !self.pattern {
            let found = Found::at(&self.spec, self.text.clone());
            return found.into_iter().collect();
        }
        let matches = glob::glob(&self.spec.target).ok();
        let paths = matches.into_iter().flatten().flatten().take(MATCHES_MAX);
        paths
            .filter_map(|path| {
                let mut spec = self.spec.clone();
                path.to_str()?.clone_into(&mut spec.target);
                let port = self.name_of(&spec);
                Found::at(&spec, port)
            })
            .collect()
    }

    /// A match in the form of the pattern: a bare path stays one.
    fn name_of(&self, spec: &PortSpec) -> String {
        let text = spec.to_string();
        let bare = !self.text.contains(&format!("{}:", spec.scheme));
        if bare {
            text.replacen(&format!("{}:", spec.scheme), "", 1)
        } else {
            text
        }
    }
}

impl Found {
    fn at(spec: &PortSpec, port: String) -> Option<Self> {
        if !is_path(spec) {
            return Some(Self {
                port,
                place: place(spec),
                node: Node::Unseen,
            });
        }
        let node = Node::of(Path::new(&spec.target))?;
        Some(Self {
            port,
            place: place(spec),
            node,
        })
    }

    /// What is there now, if anything is.
    pub(crate) fn again(&self) -> Option<Node> {
        match self.node {
            Node::Unseen => Some(Node::Unseen),
            Node::File(..) => Node::of(&path_of(&self.place)),
        }
    }

    /// Vendor, product and serial number of the USB device that makes this port, where it has
    /// one: whatever it is plugged into, it is the same.
    pub(crate) fn usb(&self) -> Option<String> {
        let path = path_of(&self.place);
        if !path.starts_with("/dev") {
            return None;
        }
        let ports = ports::list().ok()?;
        let port = ports
            .into_iter()
            .find(|port| Path::new(&port.path) == path)?;
        match port.kind {
            PortKind::Usb {
                vendor_id,
                product_id,
                serial_number: Some(serial),
                ..
            } => Some(format!("{vendor_id:04x}:{product_id:04x} {serial}")),
            _ => None,
        }
    }
}

impl Node {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = fs::metadata(path).ok()?;
        Some(Self::File(found.dev(), found.ino(), found.created().ok()))
    }
}

/// The ports that are named, each once.
///
/// # Errors
/// `usage.arguments` if two of them are one.
pub(crate) fn each_once(wanted: &[Wanted]) -> Result<(), NxError> {
    let mut places = BTreeSet::new();
    for wanted in wanted {
        let place = if wanted.pattern {
            wanted.text.clone()
        } else {
            place(&wanted.spec)
        };
        if !places.insert(place) {
            let text = format!("`{}` is named twice", wanted.text);
            let error = NxError::new(Reason::UsageArguments, text);
            return Err(error.hint("each port once, whatever it is called"));
        }
    }
    Ok(())
}

/// Layers and keys do not make another port of it, and nor does another name of a file.
fn place(spec: &PortSpec) -> String {
    let target = if is_path(spec) {
        let resolved = fs::canonicalize(&spec.target).ok();
        resolved.and_then(|path| path.to_str().map(str::to_owned))
    } else {
        None
    };
    let target = target.unwrap_or_else(|| spec.target.clone());
    format!("{}:{target}", spec.scheme)
}

fn path_of(place: &str) -> PathBuf {
    PathBuf::from(place.split_once(':').map_or("", |(_, path)| path))
}

/// Whether the target of such a port lies in the file system.
fn is_path(spec: &PortSpec) -> bool {
    matches!(spec.scheme.as_str(), "serial" | "unix") && !spec.params.iter().any(makes_it)
}

/// With this key the port is made, not found.
fn makes_it(param: &nx_transport::Param) -> bool {
    param.key == "listen"
}

#[cfg(test)]
mod tests;
