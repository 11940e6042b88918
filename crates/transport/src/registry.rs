//! Finds drivers by scheme and layers by name, and opens ports.
//!
//! Whatever crate is linked adds to both with `inventory::submit!`. A crate that nothing
//! references is *not* linked, and its drivers are silently absent: the binary must say
//! `use that_crate as _;`.

mod assign;
mod nearest;

use std::collections::BTreeSet;

use crate::spec::is_name;
use crate::{FrameSplitter, OpenOptions, Params, PortSpec, Transport, TransportError};

use assign::Part;
use nearest::nearest;

/// A driver: opens links of one scheme.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use std::os::unix::net::UnixStream;
///
/// use nx_transport::{Caps, Driver, DriverRequest, Stream, Transport, TransportError};
///
/// fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
///     let failed = |source| TransportError::Io {
///         op: "connect to",
///         port: request.port.to_owned(),
///         source,
///     };
///     let socket = UnixStream::connect(request.target).map_err(failed)?;
///     let caps = Caps::new()
///         .with_hang_up(true)
///         .with_back_pressure(true)
///         .with_lossless(true);
///     Ok(Box::new(Stream::over(request.port, socket.into(), caps)?))
/// }
///
/// nx_transport::inventory::submit! {
///     Driver::new("mylink", open).summary("a socket of my own").syntax("mylink:PATH")
/// }
/// # let port = "mylink:/nowhere/socket".parse().unwrap();
/// # let error = nx_transport::open(&port, &nx_transport::OpenOptions::new()).unwrap_err();
/// # assert!(matches!(error, TransportError::Io { op: "connect to", .. }), "{error:?}");
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Driver {
    /// Lower-case letters, digits and `-`, a letter first. Unique among schemes and layers.
    pub scheme: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// How to write such a port.
    pub syntax: &'static str,
    /// The keys that it knows.
    pub keys: &'static [Key],
    /// Opens a port.
    pub open: fn(&DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError>,
}

/// A layer: wraps a link in another that behaves differently.
#[derive(Debug)]
#[non_exhaustive]
pub struct Layer {
    /// Lower-case letters, digits and `-`, a letter first. Unique among schemes and layers.
    pub name: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The keys that it knows.
    pub keys: &'static [Key],
    /// Checks the keys and the options before anything is opened, then wraps what is.
    pub wrap: WrapLayer,
}

/// How a layer is put on: checks its keys, and returns what then wraps the opened link.
pub type WrapLayer = fn(&LayerRequest<'_>) -> Result<Wrap, TransportError>;

/// Puts a checked layer on an opened link.
pub type Wrap = Box<dyn FnOnce(Box<dyn Transport>) -> Result<Box<dyn Transport>, TransportError>>;

/// A key that a driver or layer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name: lower-case letters, digits, `_` and `-`.
    pub name: &'static str,
    /// What its value means, with units.
    pub summary: &'static str,
}

/// What a driver is asked to open.
#[derive(Debug)]
#[non_exhaustive]
pub struct DriverRequest<'a> {
    /// The whole port as canonical text, for messages.
    pub port: &'a str,
    /// What to open, with nothing percent-encoded.
    pub target: &'a str,
    /// The driver's own keys.
    pub params: Params,
    /// What the program decides.
    pub options: &'a OpenOptions,
}

/// What a layer is asked to be.
#[derive(Debug)]
#[non_exhaustive]
pub struct LayerRequest<'a> {
    /// The whole port as canonical text, for messages.
    pub port: &'a str,
    /// The layer's own keys.
    pub params: Params,
    /// What the program decides.
    pub options: &'a OpenOptions,
}

inventory::collect!(Driver);
inventory::collect!(Layer);

/// Every linked driver, sorted by scheme.
#[must_use]
pub fn schemes() -> Vec<&'static Driver> {
    let mut drivers: Vec<_> = inventory::iter::<Driver>().collect();
    drivers.sort_by_key(|driver| driver.scheme);
    drivers
}

/// Every linked layer, sorted by name.
#[must_use]
pub fn layers() -> Vec<&'static Layer> {
    let mut layers: Vec<_> = inventory::iter::<Layer>().collect();
    layers.sort_by_key(|layer| layer.name);
    layers
}

/// Opens a port: its driver, and its layers around it.
///
/// # Errors
/// Names, keys and values of the whole text are checked before anything is opened; then whatever
/// the driver meets.
pub fn open(spec: &PortSpec, options: &OpenOptions) -> Result<Box<dyn Transport>, TransportError> {
    let port = spec.to_string();
    let (drivers, layers) = (schemes(), layers());
    check_names(&drivers, &layers)?;
    let driver = find_driver(&drivers, &spec.scheme)?;
    let chosen = spec
        .layers
        .iter()
        .map(|layer| find_layer(&layers, &layer.name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut parts: Vec<Part> = chosen
        .iter()
        .map(|layer| Part::new(&port, layer.name, layer.keys))
        .collect();
    parts.push(Part::new(&port, driver.scheme, driver.keys));
    assign::assign(&port, &spec.params, &mut parts)?;

    let mut params = parts.into_iter().map(|part| part.params);
    let mut wraps = Vec::new();
    for (layer, params) in chosen.iter().zip(params.by_ref()) {
        wraps.push((layer.wrap)(&LayerRequest {
            port: &port,
            params,
            options,
        })?);
    }
    let params = params.next().unwrap_or_default();
    let target = &spec.target;
    let mut link = (driver.open)(&DriverRequest {
        port: &port,
        target,
        params,
        options,
    })?;
    for wrap in wraps.into_iter().rev() {
        link = wrap(link)?;
    }
    Ok(link)
}

impl Driver {
    /// A driver of `scheme` that `open` opens.
    #[must_use]
    pub const fn new(
        scheme: &'static str,
        open: fn(&DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError>,
    ) -> Self {
        Self {
            scheme,
            summary: "",
            syntax: "",
            keys: &[],
            open,
        }
    }

    /// Sets what it is, in a few words.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Sets how to write such a port.
    #[must_use]
    pub const fn syntax(mut self, syntax: &'static str) -> Self {
        self.syntax = syntax;
        self
    }

    /// Sets the keys that it knows.
    #[must_use]
    pub const fn keys(mut self, keys: &'static [Key]) -> Self {
        self.keys = keys;
        self
    }
}

impl Layer {
    /// A layer of `name` that `wrap` puts on.
    #[must_use]
    pub const fn new(name: &'static str, wrap: WrapLayer) -> Self {
        Self {
            name,
            summary: "",
            keys: &[],
            wrap,
        }
    }

    /// Sets what it does, in a few words.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Sets the keys that it knows.
    #[must_use]
    pub const fn keys(mut self, keys: &'static [Key]) -> Self {
        self.keys = keys;
        self
    }
}

impl Key {
    /// A key and what its value means.
    #[must_use]
    pub const fn new(name: &'static str, summary: &'static str) -> Self {
        Self { name, summary }
    }
}

impl LayerRequest<'_> {
    /// A new splitter, for a layer that acts on frames.
    ///
    /// # Errors
    /// `NeedsSplitter` when the program hands in none.
    pub fn splitter(&self) -> Result<Box<dyn FrameSplitter>, TransportError> {
        match self.options.splitter {
            Some(splitter) => Ok(splitter()),
            None => Err(TransportError::NeedsSplitter {
                port: self.port.to_owned(),
            }),
        }
    }
}

fn check_names(drivers: &[&Driver], layers: &[&Layer]) -> Result<(), TransportError> {
    let mut seen = BTreeSet::new();
    let names = drivers
        .iter()
        .map(|driver| driver.scheme)
        .chain(layers.iter().map(|layer| layer.name));
    for name in names {
        if !is_name(name) || !seen.insert(name) {
            return Err(TransportError::BadName {
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

fn find_driver<'a>(drivers: &[&'a Driver], scheme: &str) -> Result<&'a Driver, TransportError> {
    drivers
        .iter()
        .copied()
        .find(|driver| driver.scheme == scheme)
        .ok_or_else(|| {
            let names: Vec<_> = drivers.iter().map(|driver| driver.scheme).collect();
            TransportError::NoDriver {
                scheme: scheme.to_owned(),
                nearest: nearest(scheme, &names),
                known: names.join(", "),
            }
        })
}

fn find_layer<'a>(layers: &[&'a Layer], name: &str) -> Result<&'a Layer, TransportError> {
    layers
        .iter()
        .copied()
        .find(|layer| layer.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = layers.iter().map(|layer| layer.name).collect();
            TransportError::NoLayer {
                layer: name.to_owned(),
                nearest: nearest(name, &names),
                known: names.join(", "),
            }
        })
}

#[cfg(test)]
mod tests;
