//! Two devices with one target.

use std::fs::{self, File};
use std::path::PathBuf;

use nx_flash::device::{Outcome, Request};
use nx_flash::storage::{FileStore, FileStoreConfig, Layout, Store as _};
use rstest::rstest;

const BYTES: usize = 40_000;

struct Rivals {
    dir: tempfile::TempDir,
    layout: Layout,
}

impl Rivals {
    fn new(layout: Layout) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("disk.img"), [1; BYTES]).unwrap();
        Self { dir, layout }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self, journal: &str) -> FileStore {
        FileStore::open(&FileStoreConfig {
            target: self.path("disk.img"),
            journal: self.path(journal),
            layout: Some(self.layout),
            boot_record: None,
        })
        .unwrap()
    }

    fn target(&self) -> Vec<u8> {
        fs::read(self.path("disk.img")).unwrap()
    }
}

fn begin(store: &mut FileStore, restart: bool) -> Outcome {
    store.serve(Request::Begin {
        manifest: b"a manifest".to_vec(),
        signature: vec![7; 64],
        image_bytes: BYTES as u64,
        restart,
        keeps_state: false,
    })
}

fn write(store: &mut FileStore, byte: u8) -> Outcome {
    let bytes = vec![byte; BYTES];
    store.serve(Request::Write { offset: 0, bytes })
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(error) => error.to_string(),
        other => panic!("it did not fail: {other:?}"),
    }
}

#[rstest]
fn what_one_writes_the_other_leaves_alone(#[values(Layout::File, Layout::InPlace)] layout: Layout) {
    let rivals = Rivals::new(layout);
    let (mut first, mut second) = (rivals.open("first"), rivals.open("second"));
    begin(&mut first, false);
    assert_eq!(write(&mut first, 2), Outcome::Done);
    let busy = format!(" is in use by process {}", std::process::id());
    for restart in [false, true] {
        // In place, nothing is touched before the first byte.
        let refused = match (begin(&mut second, restart), layout) {
            (refused, Layout::File) => refused,
            (began, Layout::InPlace) => {
                assert!(matches!(began, Outcome::Began { .. }), "{began:?}");
                write(&mut second, 3)
            }
        };
        let error = why(refused);
        assert!(error.ends_with(&busy), "{error}");
    }
    assert_eq!(first.serve(Request::Install), Outcome::Done);
    assert_eq!(rivals.target(), [2; BYTES]);
    // Whoever is done lets the other have it.
    begin(&mut second, true);
    assert_eq!(write(&mut second, 3), Outcome::Done);
    assert_eq!(second.serve(Request::Install), Outcome::Done);
    assert_eq!(rivals.target(), [3; BYTES]);
}

#[test]
fn another_file_in_the_place_of_the_staged_one_is_not_installed() {
    let rivals = Rivals::new(Layout::File);
    let staging = rivals.path(".disk.img.nx-staging");
    let swaps: [&dyn Fn(); 2] = [
        &|| {
            fs::remove_file(&staging).unwrap();
            fs::write(&staging, [9; BYTES]).unwrap();
        },
        &|| fs::remove_file(&staging).unwrap(),
    ];
    for swap in swaps {
        let mut store = rivals.open("journal");
        begin(&mut store, true);
        assert_eq!(write(&mut store, 2), Outcome::Done);
        swap();
        let error = why(store.serve(Request::Install));
        assert!(error.contains("nx-staging"), "{error}");
        drop(store);
        let mut store = rivals.open("journal");
        let Outcome::Status(status) = store.serve(Request::Status) else {
            panic!("no status");
        };
        assert_eq!(status.installed, None);
        assert_eq!(rivals.target(), [1; BYTES]);
    }
}

#[test]
fn a_staged_image_that_somebody_else_reads_stays() {
    let rivals = Rivals::new(Layout::File);
    let staging = rivals.path(".disk.img.nx-staging");
    fs::write(&staging, [9; BYTES]).unwrap();
    let reader = File::open(&staging).unwrap();
    rustix::fs::flock(&reader, rustix::fs::FlockOperation::LockShared).unwrap();
    let mut store = rivals.open("journal");
    let error = why(begin(&mut store, true));
    assert!(error.contains("in use"), "{error}");
    assert_eq!(fs::read(&staging).unwrap(), [9; BYTES]);
    drop(reader);
    begin(&mut store, true);
    assert!(!staging.exists());
}
