//! An image that has no place for the state that a device has.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use processes::Bench;

#[test]
fn an_image_that_moves_the_state_is_refused_with_the_way_out_and_the_way_works() {
    let bench = Bench::new();
    let disk = ["--table", "gpt", "--state-size", "1MiB"];
    bench.build("small", 1 << 20, 1, &disk, "dev.key");
    // What is in front of the state has grown.
    bench.build("grown", 5 << 20, 2, &disk, "dev.key");
    let _flashd = bench.flashd();
    bench.send("small", &[]).ok();

    let refused = bench.send("grown", &[]);
    assert_eq!(refused.code, 3, "{refused:#?}");
    let json = refused.json();
    assert_eq!(json["data"]["reason"], "device.state_place", "{json:#}");
    assert_eq!(
        json["message"],
        "the device refused: the image has no place for the device's own state \
         (it is at 2097152..4177408, the image's at 6291456..8371712)"
    );
    let hint = json["data"]["hint"].as_str().unwrap();
    assert!(hint.contains("`--wipe-state`"), "{hint}");
    bench.assert_installed("small");

    bench.send("grown", &["--wipe-state"]).ok();
    bench.assert_installed("grown");
}
