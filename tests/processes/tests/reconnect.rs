//! A link that closes under a transfer is opened again, and the same `nx` goes on.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::os::unix::fs::symlink;

use nx_transport::pty::Cable;
use processes::{Bench, Flashd, Nx, nx};

const IMAGE_BYTES: u64 = 12 << 20;
const BLOCK_BYTES: u64 = 64 << 10;
/// What the device grants.
const WINDOW_BYTES: u64 = 1 << 20;

fn bench(seed: u64) -> Bench {
    let bench = Bench::new();
    bench.image("os", usize::try_from(IMAGE_BYTES).unwrap(), seed);
    bench
}

#[test]
fn a_flashd_that_is_killed_and_started_again_gets_the_rest_from_the_same_nx() {
    let bench = bench(1);
    let flashd = bench.flashd();
    let (events, capture) = (bench.path("events"), bench.path("capture"));
    let sending = bench.start_slowly("os", &["--events", &events, "--capture", &capture]);
    bench.wait_for_staged(IMAGE_BYTES * 2 / 5);
    // The socket stays, and nobody listens on it.
    flashd.kill();
    let staged = bench.staged_bytes();
    bench.wait_for_event("link_lost");
    let flashd = bench.flashd();
    let sent = sending.wait().ok().json();
    let member = |name: &str| sent["data"][name].as_u64().unwrap();
    assert_eq!(member("reconnects"), 1, "{sent:#}");
    // A block that was sent again is counted twice.
    let again = (member("blocks_sent") * BLOCK_BYTES).saturating_sub(IMAGE_BYTES);
    let allowed = WINDOW_BYTES + 2 * BLOCK_BYTES;
    assert!(again <= allowed, "{again} bytes again: {sent:#}");
    assert!(staged > 0);
    bench.assert_installed("os");
    drop(flashd);
    // What happened is one session of one machine, and is repeated as such.
    nx(["flash", "replay", "--quiet", &capture]).ok();
}

#[test]
fn a_link_that_does_not_come_back_is_given_up_after_the_time_that_was_said() {
    let bench = bench(2);
    let flashd = bench.flashd();
    let events = bench.path("events");
    let sending = bench.start_slowly("os", &["--events", &events, "--give-up-after", "2"]);
    bench.wait_for_staged(IMAGE_BYTES / 10);
    flashd.kill();
    let ran = sending.wait();
    let json = ran.json();
    assert_eq!(ran.code, 5, "{json:#}");
    assert_eq!(json["data"]["reason"], "port.closed");
    let message = json["message"].as_str().unwrap();
    assert!(message.contains("did not come back"), "{message}");
    assert!(message.contains("nobody answers"), "{message}");
    bench.wait_for_event("link_lost");
    let _flashd = bench.flashd();
    bench.send("os", &[]).ok();
    bench.assert_installed("os");
}

#[test]
fn an_adapter_that_is_unplugged_and_plugged_in_again_goes_on() {
    let bench = bench(3);
    let (near, far) = (
        bench.work().path("tty-host"),
        bench.work().path("tty-device"),
    );
    let plug = |cable: &Cable| {
        for (path, end) in [&near, &far].into_iter().zip(cable.paths()) {
            let _ = fs::remove_file(path);
            symlink(end, path).unwrap();
        }
    };
    let cable = Cable::plug().unwrap();
    plug(&cable);
    let mut args = bench.flashd_args();
    args[1] = far.display().to_string();
    let _flashd = Flashd::start(args);
    let mut args = bench.send_args(
        "os",
        &format!("slow+serial:{}?rate=6000000", near.display()),
    );
    args.extend(["--events".to_owned(), bench.path("events")]);
    let sending = Nx::start(args);
    bench.wait_for_staged(IMAGE_BYTES * 2 / 5);
    drop(cable);
    bench.wait_for_event("link_lost");
    let cable = Cable::plug().unwrap();
    plug(&cable);
    let sent = sending.wait().ok().json();
    assert_eq!(sent["data"]["reconnects"], 1, "{sent:#}");
    bench.assert_installed("os");
}
