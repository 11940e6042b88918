//! Sizes that exhaust a stack, a descriptor table or a memory, one after the other in a process of
//! their own, so that what is measured is the reset's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may stop at the first surprise"
)]

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use nx_reset::{Event, execute, survey};
use rustix::fs::{CWD, Mode, OFlags};

fn open(path: &Path) -> OwnedFd {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

/// Makes `depth` directories, each in the one before.
fn chain(top: &Path, depth: u32) {
    let mut here = open(top);
    for _ in 0..depth {
        rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        here = rustix::fs::openat(&here, "d", flags, Mode::empty()).unwrap();
    }
}

fn anonymous_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resets, and holds that neither memory nor descriptors grow with the tree.
fn assert_resets_within_bounds(root: &Path, entries: u64) {
    let plan = survey(root).unwrap().plan();
    let (memory, descriptors) = (anonymous_memory_kib(), open_descriptors());
    let mut looks = 0;
    let mut watch = |event: Event<'_>| {
        if let Event::Deleted { .. } = event {
            looks += 1;
            assert!(anonymous_memory_kib() < memory + 1024, "memory grows");
            assert!(open_descriptors() <= descriptors + 8, "descriptors grow");
        }
    };
    let report = execute(root, &plan, &mut watch).unwrap();
    assert_eq!(report.deleted_entries, entries);
    assert!(looks >= 10, "looked only {looks} times");
    let left: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["trust"]);
}

#[test]
fn depth_breadth_and_both_are_reset_in_constant_memory() {
    // A memory file system where there is one, for its speed.
    let place = Some(Path::new("/dev/shm")).filter(|place| place.is_dir());
    let place = place.map_or_else(std::env::temp_dir, Path::to_owned);
    let holder = tempfile::TempDir::with_prefix_in("nx-reset-", &place).unwrap();
    let root = holder.path();
    fs::create_dir(root.join("trust")).unwrap();

    fs::create_dir(root.join("apps")).unwrap();
    chain(&root.join("apps"), 100_000);
    assert_resets_within_bounds(root, 100_001);

    fs::create_dir(root.join("apps")).unwrap();
    let apps = open(&root.join("apps"));
    for number in 0..1_000_000_u32 {
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        rustix::fs::openat(&apps, number.to_string(), create, Mode::RUSR).unwrap();
    }
    assert_resets_within_bounds(root, 1_000_001);

    fs::create_dir(root.join("apps")).unwrap();
    for number in 0..1_000 {
        let top = root.join(format!("apps/{number}"));
        fs::create_dir(&top).unwrap();
        chain(&top, 50);
    }
    assert_resets_within_bounds(root, 1 + 51 * 1_000);
}
