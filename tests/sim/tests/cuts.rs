//! A little of what `cargo xtask sim` does by the hundred thousand.

use sim::{Report, Run};

fn run(seed: u64, states: usize, threads: usize) -> Report {
    Run {
        seed,
        states,
        threads,
        without_sync_of: None,
    }
    .run()
}

#[test]
fn no_power_cut_breaks_what_was_promised() {
    let report = run(2, 1_500, 2);
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.distinct >= 1_500, "{report}");
    let harsh = report.reordered + report.torn;
    assert!(harsh * 100 >= report.distinct * 40, "{report}");
    assert!(report.double > 50 && report.triple > 0, "{report}");
}

#[test]
fn the_report_follows_from_the_seed_whatever_the_threads() {
    let [one, three, other] = [(1, 1), (1, 3), (4, 1)].map(|(seed, threads)| {
        let report = run(seed, 800, threads);
        report.to_string()
    });
    assert_eq!(one, three);
    assert_ne!(one.lines().last(), other.lines().last());
}
