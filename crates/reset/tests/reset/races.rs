//! Others at work in the tree while it is reset.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nx_reset::{Event, ResetError, execute, survey};
use rustix::fs::{CWD, Mode, OFlags};

use crate::state::{State, snapshot};

/// A directory in the tree is swapped, as fast as can be, for a link that leads out, and back.
#[test]
fn a_link_swapped_in_meanwhile_leads_nowhere() {
    let mut swaps = 0_u64;
    for _ in 0..100 {
        let state = State::seed();
        let kept = state.kept_snapshot();
        let outside = snapshot(&state.outside());
        for number in 0..20 {
            state.file(&format!("apps/{number}/victim/file"), "");
        }
        let places: Vec<_> = (0..20)
            .map(|number| state.at(&format!("apps/{number}")))
            .collect();
        let stop = AtomicBool::new(false);
        let started = AtomicBool::new(false);
        thread::scope(|scope| {
            let swapper = scope.spawn(|| {
                // Handles keep working after the directories have moved.
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let handles: Vec<_> = places
                    .iter()
                    .map(|place| rustix::fs::openat(CWD, place, flags, Mode::empty()).unwrap())
                    .collect();
                let mut swaps = 0_u64;
                started.store(true, Ordering::SeqCst);
                while !stop.load(Ordering::SeqCst) {
                    for handle in &handles {
                        let aside = rustix::fs::renameat(handle, "victim", handle, "aside");
                        let linked = rustix::fs::symlinkat(state.outside(), handle, "victim");
                        swaps += u64::from(aside.is_ok() && linked.is_ok());
                        let _ = rustix::fs::renameat_with(
                            handle,
                            "aside",
                            handle,
                            "victim",
                            rustix::fs::RenameFlags::EXCHANGE,
                        );
                    }
                }
                swaps
            });
            while !started.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let result = state.reset();
            stop.store(true, Ordering::SeqCst);
            swaps += swapper.join().unwrap();
            result.unwrap();
        });
        assert_eq!(snapshot(&state.outside()), outside);
        state.assert_reset(&kept);
    }
    assert!(swaps > 1_000, "only {swaps} swaps happened");
}

/// Someone holds a directory open and makes files in it, also after it has moved to the trash.
#[test]
fn files_made_meanwhile_go_too() {
    let state = State::seed();
    let kept = state.kept_snapshot();
    for number in 0..200 {
        state.file(&format!("apps/many/{number}/file"), "");
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let handle = rustix::fs::openat(CWD, state.at("apps/many"), flags, Mode::empty()).unwrap();
    let stop = AtomicBool::new(false);
    let mut made = 0;
    thread::scope(|scope| {
        let maker = scope.spawn(|| {
            let mut made = 0_u32;
            while !stop.load(Ordering::SeqCst) {
                let name = format!("late {made}");
                let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                made += u32::from(rustix::fs::openat(&handle, name, create, Mode::RUSR).is_ok());
            }
            made
        });
        let result = state.reset();
        stop.store(true, Ordering::SeqCst);
        made = maker.join().unwrap();
        result.unwrap();
    });
    assert!(made > 0);
    state.assert_reset(&kept);
}

#[test]
fn entries_made_meanwhile_go_too() {
    let state = State::seed();
    let kept = state.kept_snapshot();
    let mut left = 10;
    let mut again = |event: Event<'_>| {
        if matches!(event, Event::Moved { .. }) && left > 0 {
            left -= 1;
            state.file(&format!("apps {left}/file"), "");
            state.file("apps/again", "");
        }
    };
    let report = state.reset_watched(&mut again).unwrap();
    assert_eq!(report.removed.len(), 3 + 10);
    state.assert_reset(&kept);
}

#[test]
fn someone_who_never_stops_making_entries_is_named() {
    let state = State::seed();
    let kept = state.kept_snapshot();
    let mut number = 0;
    let mut again = |event: Event<'_>| {
        if matches!(event, Event::Moved { .. }) {
            number += 1;
            state.file(&format!("again {number}"), "");
        }
    };
    let error = state.reset_watched(&mut again).unwrap_err();
    assert!(
        matches!(error.cause(), ResetError::KeepsGrowing { .. }),
        "{error:?}"
    );
    state.reset().unwrap();
    state.assert_reset(&kept);
}

#[test]
fn of_many_resets_at_once_one_works_and_the_others_say_why_not() {
    for _ in 0..20 {
        let state = State::seed();
        let kept = state.kept_snapshot();
        let plan = state.plan().unwrap();
        let root = state.root();
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| execute(&root, &plan, &mut |_| {})))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let done = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(done, 1, "{results:?}");
        for error in results.into_iter().filter_map(Result::err) {
            let late = matches!(
                error,
                ResetError::Locked { .. } | ResetError::PlanStale { .. }
            );
            assert!(late, "{error:?}");
        }
        state.assert_reset(&kept);
    }
}

#[test]
fn a_root_swapped_for_a_link_is_not_followed() {
    let state = State::seed();
    let plan = state.plan().unwrap();
    let aside = state.holder().join("aside");
    fs::rename(state.root(), &aside).unwrap();
    symlink(&aside, state.root()).unwrap();
    let error = execute(&state.root(), &plan, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ResetError::RootNotDirectory { .. }));
    assert!(survey(&aside).is_ok());
}
