//! Captures of the shipped programs: with the image data, and without.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::HashSet;
use std::fs;

use processes::{Bench, Flashd, Ran, nx};
use rstest::rstest;
use rustix::process::Signal;

/// Bytes that are compared at once: no two of random data are the same by chance.
const SAMPLE_BYTES: usize = 16;

/// A transfer with damage on the way, captured on both sides: as `near` and `far`.
fn captured(more: &[&str]) -> Bench {
    let bench = Bench::new();
    bench.image("os", 600_000, 1);
    let mut args = bench.flashd_args();
    let (near, far) = (bench.path("near"), bench.path("far"));
    args.extend(["--capture", &far].map(str::to_owned));
    args.extend(more.iter().map(ToString::to_string));
    let flashd = Flashd::start(args);
    let port = format!("lossy+{}?ber=1e-6&drop_every=7&seed=5", bench.port());
    let mut args = bench.send_args("os", &port);
    args.extend(["--capture", &near].map(str::to_owned));
    args.extend(more.iter().map(ToString::to_string));
    nx(args).ok();
    bench.assert_installed("os");
    flashd.signal(Signal::TERM);
    assert_eq!(flashd.wait(), 0);
    bench
}

/// How many pieces of the image's data lie somewhere in a file.
fn pieces_of_the_image(bench: &Bench, file: &str) -> usize {
    let data = fs::read(bench.work().path("os.pkgfs")).unwrap();
    let pieces: HashSet<&[u8]> = data.chunks_exact(SAMPLE_BYTES).collect();
    let bytes = fs::read(bench.work().path(file)).unwrap();
    let found = bytes.windows(SAMPLE_BYTES).filter(|at| pieces.contains(at));
    found.count()
}

fn replay(bench: &Bench, file: &str) -> Ran {
    nx(["flash", "replay", &bench.path(file)])
}

#[test]
fn a_capture_is_replayed() {
    let bench = captured(&[]);
    for file in ["near", "far"] {
        assert!(pieces_of_the_image(&bench, file) > 30_000, "{file}");
        let ran = replay(&bench, file).ok();
        assert!(ran.stdout.contains("Installed"), "{ran:#?}");
        assert!(ran.stdout.contains("did the same"), "{ran:#?}");
    }
}

#[rstest]
fn without_image_data_a_capture_has_its_events_and_is_not_replayed(
    #[values("near", "far")] file: &str,
) {
    let bench = captured(&["--capture-elide"]);
    assert_eq!(pieces_of_the_image(&bench, file), 0);
    let bytes = fs::read(bench.work().path(file)).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(" bytes left out, SHA-256 "));
    let ran = replay(&bench, file);
    assert_eq!(ran.code, 6, "{ran:#?}");
    assert!(ran.stdout.contains("Installed"), "{ran:#?}");
    assert!(ran.stderr.contains("holds no image data"), "{ran:#?}");
    let json = nx(["--json", "flash", "replay", &bench.path(file)]).json();
    assert_eq!(json["data"]["reason"], "capture.elided", "{json:#}");
}

#[test]
fn leaving_data_out_of_no_capture_is_a_mistake() {
    let bench = Bench::new();
    let ran = bench.send("os", &["--capture-elide"]);
    assert_eq!(ran.code, 2, "{ran:#?}");
}
