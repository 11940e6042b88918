//! Every driver keeps the rules of `Transport`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nx_transport::lossy::{Faults, Lossy};
use nx_transport::{
    Caps, Clock, Moved, OpenOptions, Slow, Slowness, Transport, TransportError, VirtualClock,
    conformance, loopback, pty, tcp,
};

fn open(port: &str) -> Box<dyn Transport> {
    nx_transport::open(&port.parse().unwrap(), &OpenOptions::default()).unwrap()
}

fn fresh(directory: &Path) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}/{number}", directory.display())
}

#[test]
fn loopback_conforms() {
    let report = conformance::check(|| loopback::pair(&VirtualClock::new(), "near", "far"));
    assert_eq!(report.skipped().count(), 0);
}

#[test]
fn loopback_with_little_room_conforms() {
    conformance::check(|| loopback::pair_with_capacity(&VirtualClock::new(), "near", "far", 97));
}

#[test]
fn loopback_by_name_conforms() {
    conformance::check(|| (open("loopback:conforms"), open("loopback:conforms")));
}

#[test]
fn unix_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let report = conformance::check(|| {
        let path = fresh(directory.path());
        (
            open(&format!("unix:{path}?listen")),
            open(&format!("unix:{path}")),
        )
    });
    assert_eq!(report.skipped().count(), 0);
}

#[test]
fn tcp_conforms() {
    let report = conformance::check(|| {
        let (listening, address) = tcp::listen_anywhere().unwrap();
        (listening, open(&format!("tcp:{address}")))
    });
    assert_eq!(report.skipped().count(), 0);
}

#[test]
fn serial_on_a_pty_conforms() {
    conformance::check(|| {
        let (master, path) = pty::open().unwrap();
        (
            master,
            open(&format!("serial:{}?baud=4000000", path.display())),
        )
    });
}

#[test]
fn a_slow_link_conforms() {
    conformance::check(|| {
        let (near, far) = loopback::pair(&VirtualClock::new(), "near", "far");
        let latency = Duration::from_millis(7);
        (
            Slow::new(
                near,
                Slowness {
                    bytes_per_second: Some(1_000_000),
                    latency,
                },
            ),
            far,
        )
    });
}

#[test]
fn a_lossy_link_without_faults_conforms() {
    let report = conformance::check(|| {
        let (near, far) = loopback::pair(&VirtualClock::new(), "near", "far");
        (
            Lossy::new(near, "lossy", &Faults::default(), None).unwrap(),
            far,
        )
    });
    assert_eq!(report.skipped().count(), 0);
}

#[test]
fn layers_keep_what_a_listening_socket_promises() {
    let directory = tempfile::tempdir().unwrap();
    conformance::check(|| {
        let path = fresh(directory.path());
        let listening = format!("lossy+slow+capture+unix:{path}?listen&file={path}.pcapng");
        (open(&listening), open(&format!("slow+unix:{path}")))
    });
}

#[test]
fn a_link_that_breaks_the_rules_is_caught() {
    /// Says that it sent everything, and sends half.
    #[derive(Debug)]
    struct Liar(loopback::Loopback);
    impl Transport for Liar {
        fn caps(&self) -> Caps {
            self.0.caps()
        }
        fn exchange(
            &mut self,
            out: &[u8],
            inp: &mut [u8],
            timeout: Duration,
        ) -> Result<Moved, TransportError> {
            let moved = self
                .0
                .exchange(&out[..out.len().div_ceil(2)], inp, timeout)?;
            Ok(Moved {
                sent: if moved.sent > 0 { out.len() } else { 0 },
                ..moved
            })
        }
        fn drain(&mut self, timeout: Duration) -> Result<(), TransportError> {
            self.0.drain(timeout)
        }
        fn clock(&self) -> Clock {
            self.0.clock()
        }
    }
    let report = conformance::run(|| {
        let (near, far) = loopback::pair(&VirtualClock::new(), "near", "far");
        (Liar(near), far)
    });
    let failed: Vec<_> = report.failed().collect();
    assert!(
        failed.iter().any(|line| line.contains("both_ways_at_once")),
        "{failed:?}"
    );
    assert!(
        failed
            .iter()
            .any(|line| line.contains("last_bytes_then_closed")),
        "{failed:?}"
    );
}

#[test]
fn two_serial_ports_joined_by_a_cable_conform() {
    // The cables stay plugged until the end.
    let mut cables = Vec::new();
    conformance::check(|| {
        let cable = pty::Cable::plug().unwrap();
        let [near, far] = cable
            .paths()
            .map(|path| open(&format!("serial:{}?baud=4000000", path.display())));
        cables.push(cable);
        (near, far)
    });
}
