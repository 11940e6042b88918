//! Single faults and pairs on a link; `cargo xtask sim --links` runs every one of them.

use sim::Transfer;

/// The small image.
fn small() -> Transfer {
    Transfer::of(20_000, 2_048)
}

#[test]
fn every_single_frame_may_be_lost() {
    let transfer = small();
    let cases = transfer.singles();
    assert!(cases.len() > 20, "{:?} frames", transfer.frames());
    let tally = transfer.run_all(&cases, 2);
    assert!(tally.failed.is_empty(), "{tally}");
}

#[test]
fn every_pair_of_frames_may_be_lost() {
    let transfer = small();
    let cases = transfer.pairs();
    assert!(cases.len() > 500, "{} pairs", cases.len());
    let tally = transfer.run_all(&cases, 2);
    assert!(tally.failed.is_empty(), "{tally}");
}

#[test]
fn a_frame_may_be_late_twice_cut_short_or_behind_what_is_old() {
    let transfer = small();
    let tally = transfer.run_all(&transfer.others(), 2);
    assert!(tally.failed.is_empty(), "{tally}");
}

#[test]
fn any_byte_of_a_session_may_be_another() {
    let transfer = Transfer::of(20_000, 512);
    let [to_device, to_host] = transfer.frames();
    assert!(to_device + to_host >= 64, "{to_device} + {to_host} frames");
    let cases = Transfer::share(transfer.bytes(), 97, 1);
    assert!(cases.len() > 500, "{} bytes", cases.len());
    let tally = transfer.run_all(&cases, 2);
    assert!(tally.failed.is_empty(), "{tally}");
}
