//! The links of this build, each between two ends in this process.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};

use nx_flash::splitter::FlashSplitter;
use nx_transport::pty::Cable;
use nx_transport::{OpenOptions, Transport};
use tempfile::TempDir;

/// A link that a host and a device can meet on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// `loopback:`, in virtual time.
    Loopback,
    /// `unix:`
    Unix,
    /// `tcp:`, on the loopback address.
    Tcp,
    /// `serial:`, on both ends of a cable between two pseudo-terminals.
    Serial,
}

/// Both ends, and what has to live as long as they do.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) host: Box<dyn Transport>,
    pub(crate) device: Box<dyn Transport>,
    _folder: Option<TempDir>,
    _cable: Option<Cable>,
}

impl Link {
    /// The scheme it is opened by.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Unix => "unix",
            Self::Tcp => "tcp",
            Self::Serial => "serial",
        }
    }

    /// Opens both ends; `faults` are keys of the `lossy` layer, which the host's end gets.
    pub(crate) fn open(self, faults: &str, slow: &str) -> Ends {
        let mut folder = None;
        let mut cable = None;
        let (near, far) = match self {
            Self::Loopback => {
                static NEXT: AtomicU64 = AtomicU64::new(0);
                let name = format!("loopback:rig-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                (name.clone(), name)
            }
            Self::Unix => {
                let dir = tempfile::Builder::new()
                    .prefix("nx")
                    .tempdir_in("/tmp")
                    .unwrap();
                let path = format!("unix:{}", dir.path().join("s").display());
                folder = Some(dir);
                (path.clone(), format!("{path}?listen"))
            }
            Self::Tcp => {
                let free = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = format!("tcp:{}", free.local_addr().unwrap());
                (address.clone(), format!("{address}?listen"))
            }
            Self::Serial => {
                let plugged = Cable::plug().unwrap();
                let [near, far] = plugged
                    .paths()
                    .map(|path| format!("serial:{}", path.display()));
                cable = Some(plugged);
                (near, far)
            }
        };
        let mut layers = String::new();
        let mut keys = Vec::new();
        for (layer, given) in [("lossy+", faults), ("slow+", slow)] {
            if !given.is_empty() {
                layers.push_str(layer);
                keys.push(given);
            }
        }
        let query = if keys.is_empty() {
            String::new()
        } else {
            format!("?{}", keys.join("&"))
        };
        let device = open(&far);
        let host = open(&format!("{layers}{near}{query}"));
        Ends {
            host,
            device,
            _folder: folder,
            _cable: cable,
        }
    }
}

fn open(port: &str) -> Box<dyn Transport> {
    let options = OpenOptions::new().with_splitter(FlashSplitter::boxed);
    let spec = port
        .parse()
        .unwrap_or_else(|error| panic!("{port}: {error}"));
    nx_transport::open(&spec, &options).unwrap_or_else(|error| panic!("{port}: {error}"))
}
