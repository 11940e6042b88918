//! The arguments that say where the device is, and how to open the way to it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nx_flash::splitter::FlashSplitter;
use nx_image::PublicKey;
use nx_transport::{OpenOptions, PortSpec, open};

use super::events::is_stdout;
use super::fast_baud::FastBaud;
use super::in_process;
use super::lasting::Lasting;
use crate::config;
use crate::error::NxError;

/// How long one try to open the port again may take: Ctrl-C waits for it.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// Where the device is, and what to record of the talk with it.
#[derive(Debug, Args)]
pub(crate) struct DevicePort {
    /// Where the device is: /dev/ttyUSB0, unix:/run/flash.sock, tcp:..., lossy+... [default:
    /// NX_PORT, or `port` in the configuration file]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    #[command(flatten)]
    pub(crate) options: PortOptions,
}

/// How to open the way to a device, and what to record of the talk with it.
#[derive(Clone, Debug, Args)]
pub(crate) struct PortOptions {
    /// Speed of a serial line, in baud; the port's own `?baud=` goes first
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    baud: u32,
    /// Let tcp: reach other machines (nothing on the way is encrypted)
    #[arg(long)]
    allow_remote: bool,
    /// Give up after so many seconds without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    give_up_after: u64,
    /// Fail at once when the link closes, instead of opening the port again and going on
    #[arg(long)]
    no_reconnect: bool,
    /// Record all bytes and times as pcapng in a new file, for `nx flash replay` and bug reports
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,
    /// Leave the image data out of the capture: it can be looked at, and not replayed
    #[arg(long, requires = "capture")]
    pub(crate) capture_elide: bool,
    /// Write what happens as lines of JSON, as it happens, to a new file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Speeds to try, set by commands that have much to send.
    #[arg(skip)]
    pub(crate) fast_baud: Option<FastBaud>,
}

impl PortOptions {
    /// How long nothing may move.
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.give_up_after)
    }

    /// Whether the events take standard output, where the result would go.
    pub(crate) fn events_to_stdout(&self) -> bool {
        self.events.as_deref().is_some_and(is_stdout)
    }

    /// Whether a link that closes is opened again.
    pub(crate) const fn reconnects(&self) -> bool {
        !self.no_reconnect
    }
}

impl DevicePort {
    /// The device at a port.
    pub(crate) const fn at(port: Option<String>, options: PortOptions) -> Self {
        Self { port, options }
    }

    /// Which port that is.
    ///
    /// # Errors
    /// When none is given, or it is no port.
    pub(crate) fn spec(&self) -> Result<PortSpec, NxError> {
        Ok(config::port(self.port.as_deref())?.parse()?)
    }

    /// Opens the port. Behind `loopback:` a device in this process answers, which trusts `keys`
    /// and forgets everything in the end.
    ///
    /// # Errors
    /// Whatever is wrong with the port.
    pub(crate) fn open(&self, keys: &[PublicKey]) -> Result<Lasting<'_>, NxError> {
        let spec = self.spec()?;
        let mut options = OpenOptions::new()
            .with_baud(self.options.baud)
            .with_splitter(FlashSplitter::boxed)
            .with_remote(self.options.allow_remote)
            .with_device(in_process::attach(keys.to_vec()));
        let link = open(&spec, &options)?;
        options.connect_timeout = RECONNECT_MAX;
        let port = spec.to_string();
        Ok(Lasting::over(
            port,
            link,
            Box::new(move || open(&spec, &options)),
        ))
    }
}
