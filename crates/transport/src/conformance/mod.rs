//! One suite that any driver runs in one line.
//!
//! ```
//! use nx_transport::{VirtualClock, conformance, loopback};
//!
//! conformance::check(|| loopback::pair(&VirtualClock::new(), "near", "far"));
//! ```
//!
//! Every claim is tried with each end in each part. What a link cannot do by its
//! [`Caps`](crate::Caps) is reported as skipped, not as passed.

mod bench;
mod claims;
mod report;

pub use report::{Outcome, Report};

use crate::Transport;
use bench::Ends;

/// Tries every claim on fresh pairs of connected ends, and reports.
///
/// Takes up to a second and a half of real time on links that run on real time: silence has to be
/// waited for.
pub fn run<A, B>(mut make: impl FnMut() -> (A, B)) -> Report
where
    A: Transport + 'static,
    B: Transport + 'static,
{
    let mut report = Report::default();
    for claim in claims::ALL {
        for swapped in [false, true] {
            let (one, other) = make();
            let (one, other): (Box<dyn Transport>, Box<dyn Transport>) =
                (Box::new(one), Box::new(other));
            let ends = if swapped {
                Ends::new(other, one)
            } else {
                Ends::new(one, other)
            };
            report.add(claim.name, swapped, (claim.check)(ends));
        }
    }
    report
}

/// Like [`run`], and fails the test unless every claim passed or was skipped.
///
/// # Panics
/// When a claim failed, with the names of those that did and why.
#[expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "this is how a test fails and reports"
)]
pub fn check<A, B>(make: impl FnMut() -> (A, B)) -> Report
where
    A: Transport + 'static,
    B: Transport + 'static,
{
    let report = run(make);
    if report.failed().next().is_some() {
        panic!("the link breaks the rules of Transport:\n{report}");
    }
    for skipped in report.skipped() {
        eprintln!("{skipped}");
    }
    report
}
