//! Every operation that changes something fails once, or is the last before the power goes.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use nx_reset::{Collision, Ops, Report, ResetError, System, execute_with};
use rstest::rstest;
use rustix::io::Errno;

use crate::state::State;

/// Counts operations and lets the one at `at` fail.
#[derive(Debug)]
struct Faulty {
    count: u64,
    at: u64,
    fault: Fault,
    /// Whether an operation failed that would not have.
    struck: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing fails.
    None,
    /// This one and all after it fail and do nothing: the power went.
    PowerCut,
    /// This one fails with an error and does nothing; those after it work.
    Error(Errno),
    /// This one is done and yet reported as failed.
    LateError,
}

impl Faulty {
    fn new(fault: Fault, at: u64) -> Self {
        Self {
            count: 0,
            at,
            fault,
            struck: false,
        }
    }

    fn run<T>(&mut self, op: impl FnOnce(&mut System) -> Result<T, Errno>) -> Result<T, Errno> {
        let number = self.count;
        self.count += 1;
        let strikes = match self.fault {
            Fault::None => false,
            Fault::PowerCut => number >= self.at,
            Fault::Error(_) | Fault::LateError => number == self.at,
        };
        if !strikes {
            return op(&mut System);
        }
        let errno = match self.fault {
            Fault::Error(errno) => errno,
            // What fails by itself is left alone.
            Fault::LateError => op(&mut System).map(|_| Errno::IO)?,
            _ => Errno::IO,
        };
        self.struck = true;
        Err(errno)
    }
}

impl Ops for Faulty {
    fn mkdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.run(|system| system.mkdir(dir, name))
    }

    fn create(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
        self.run(|system| system.create(dir, name))
    }

    /// In pieces, so that an intent can be cut in its middle.
    fn write(&mut self, file: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        self.run(|system| system.write(file, &bytes[..bytes.len().min(100)]))
    }

    /// What a killed process has done stays done, so there is nothing to wait for.
    fn sync(&mut self, _: BorrowedFd<'_>) -> Result<(), Errno> {
        self.run(|_| Ok(()))
    }

    fn rename(
        &mut self,
        from: (BorrowedFd<'_>, &CStr),
        to: (BorrowedFd<'_>, &CStr),
        collision: Collision,
    ) -> Result<(), Errno> {
        self.run(|system| system.rename(from, to, collision))
    }

    fn unlink(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.run(|system| system.unlink(dir, name))
    }

    fn rmdir(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        self.run(|system| system.rmdir(dir, name))
    }

    fn unseal(&mut self, dir: BorrowedFd<'_>) -> Result<(), Errno> {
        self.run(|system| system.unseal(dir))
    }
}

fn reset(state: &State, fault: Fault, at: u64) -> (Result<Report, ResetError>, Faulty) {
    let mut ops = Faulty::new(fault, at);
    let plan = state.plan().unwrap();
    let result = execute_with(&mut ops, &state.root(), &plan, &mut |_| {});
    (result, ops)
}

fn operations() -> u64 {
    let (result, Faulty { count, .. }) = reset(&State::seed_in_memory(), Fault::None, 0);
    result.unwrap();
    assert!(count > 40, "only {count} operations to cut at");
    count
}

#[rstest]
#[case::power_cut(Fault::PowerCut)]
#[case::input_output_error(Fault::Error(Errno::IO))]
#[case::disk_full(Fault::Error(Errno::NOSPC))]
#[case::read_only(Fault::Error(Errno::ROFS))]
#[case::done_but_reported_as_failed(Fault::LateError)]
fn cut_at_any_operation_the_next_run_finishes(#[case] fault: Fault) {
    for at in 0..operations() {
        let state = State::seed_in_memory();
        let (whole, kept) = (state.snapshot(), state.kept_snapshot());
        let (result, ops) = reset(&state, fault, at);
        if fault == Fault::LateError && !ops.struck {
            continue;
        }
        assert!(ops.struck);
        let error = result.expect_err(&format!("operation {at} failed and nobody minded"));
        assert_eq!(state.kept_snapshot(), kept, "operation {at}");
        if !error.resume_required() {
            let mut now = state.snapshot();
            now.retain(|path, _| !path.starts_with(".nx-reset"));
            assert_eq!(
                now, whole,
                "operation {at}: {error} and yet something changed"
            );
            if fault == Fault::Error(Errno::NOSPC) {
                assert_eq!(state.snapshot(), whole, "operation {at} left litter");
            }
        }
        let report = state
            .reset()
            .unwrap_or_else(|error| panic!("operation {at}: {error}"));
        assert!(!report.kept_changed_since_start, "operation {at}");
        state.assert_reset(&kept);
    }
}

#[test]
fn cut_again_at_any_operation_of_the_second_run_the_third_finishes() {
    let mut runs = 0;
    for first in 0..operations() {
        for second in 0.. {
            let state = State::seed_in_memory();
            let kept = state.kept_snapshot();
            reset(&state, Fault::PowerCut, first).0.unwrap_err();
            let (result, _) = reset(&state, Fault::PowerCut, second);
            runs += 1;
            if result.is_ok() {
                state.assert_reset(&kept);
                break;
            }
            state
                .reset()
                .unwrap_or_else(|error| panic!("cut at {first}, {second}: {error}"));
            state.assert_reset(&kept);
        }
    }
    assert!(runs > 1_000, "only {runs} pairs of cuts");
}
