//! Every driver keeps the rules of `Transport`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use nx_transport::{OpenOptions, Transport, VirtualClock, conformance, loopback, pty, tcp};

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
fn loopback_with_room_for_one_byte_conforms() {
    conformance::check(|| loopback::pair_with_capacity(&VirtualClock::new(), "near", "far", 1));
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
