//! Cuts at every operation. A manifest is any bytes here: the store does not read it.

use super::*;
use crate::device::Area;

mod cut;

use cut::Cut;

const OLD: &[u8] = b"manifest of the old image";
const NEW: &[u8] = b"manifest of the new image";
const IMAGE_BYTES: u64 = 40_000;

struct Place {
    dir: tempfile::TempDir,
    layout: Layout,
}

impl Place {
    fn new(layout: Layout) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, layout }
    }

    fn open(&self) -> FileStore {
        FileStore::open(&self.config()).unwrap()
    }

    /// A store that is cut off before one of its operations, or while it opens.
    fn open_cut(&self, cut: &Arc<Cut>) -> Option<FileStore> {
        let ops: Arc<dyn Ops> = cut.clone();
        FileStore::open_with(ops, &self.config()).ok()
    }

    fn config(&self) -> FileStoreConfig {
        FileStoreConfig {
            target: self.target(),
            journal: self.dir.path().join("journal"),
            layout: Some(self.layout),
            boot_record: None,
        }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("disk.img")
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.target()).unwrap_or_default()
    }

    /// With the old image installed.
    fn with_old(layout: Layout) -> Self {
        let place = Self::new(layout);
        let mut store = place.open();
        begin(&mut store, OLD, true);
        fill(&mut store, 1);
        assert_eq!(store.serve(Request::Install), Outcome::Done);
        assert_eq!(place.content(), image(1));
        place
    }
}

fn image(byte: u8) -> Vec<u8> {
    vec![byte; usize::try_from(IMAGE_BYTES).unwrap()]
}

fn begin(store: &mut FileStore, manifest: &[u8], keeps_state: bool) -> Outcome {
    store.serve(Request::Begin {
        manifest: manifest.to_vec(),
        signature: vec![7; 64],
        image_bytes: IMAGE_BYTES,
        restart: false,
        keeps_state,
    })
}

fn fill(store: &mut FileStore, byte: u8) {
    let bytes = image(byte);
    assert_eq!(
        store.serve(Request::Write { offset: 0, bytes }),
        Outcome::Done
    );
}

fn status(store: &mut FileStore) -> StoreStatus {
    match store.serve(Request::Status) {
        Outcome::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// Does everything from the offer to the install, as a machine would after a cut.
fn finish(store: &mut FileStore) {
    assert!(matches!(begin(store, NEW, true), Outcome::Began { .. }));
    fill(store, 2);
    assert_eq!(store.serve(Request::Install), Outcome::Done);
}

#[test]
fn a_cut_anywhere_leaves_the_old_image_or_the_new_one_and_knows_which() {
    let mut cuts = 0;
    let mut seen = [false; 2];
    for step in 0.. {
        let place = Place::with_old(Layout::File);
        let cut = Arc::new(Cut::after(step));
        if let Some(mut store) = place.open_cut(&cut) {
            begin(&mut store, NEW, true);
            store.serve(Request::Write {
                offset: 0,
                bytes: image(2),
            });
            store.serve(Request::Install);
        }
        let mut store = place.open();
        let found = status(&mut store);
        let is_new = place.content() == image(2);
        assert!(is_new || place.content() == image(1), "step {step}");
        let manifest = if is_new { NEW } else { OLD };
        assert_eq!(found.installed.as_deref(), Some(manifest), "step {step}");
        assert_eq!(found.interrupted, None);
        seen[usize::from(is_new)] = true;
        finish(&mut store);
        assert_eq!(place.content(), image(2));
        assert_eq!(status(&mut store).installed.as_deref(), Some(NEW));
        if !cut.is_spent() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 40, "only {cuts} steps were cut");
    assert_eq!(seen, [true, true]);
}

#[test]
fn a_cut_in_place_never_calls_a_mixture_installed() {
    let mut cuts = 0;
    for step in 0.. {
        let place = Place::with_old(Layout::InPlace);
        let cut = Arc::new(Cut::after(step));
        if let Some(mut store) = place.open_cut(&cut) {
            begin(&mut store, NEW, true);
            for offset in [0, 20_000] {
                let bytes = vec![2; 20_000];
                store.serve(Request::Write { offset, bytes });
            }
            store.serve(Request::Install);
        }
        let mut store = place.open();
        let found = status(&mut store);
        match found.installed.as_deref() {
            Some(OLD) => assert_eq!(place.content(), image(1), "step {step}"),
            Some(NEW) => assert_eq!(place.content(), image(2), "step {step}"),
            Some(_) => panic!("step {step}: {found:?}"),
            None => assert!(matches!(found.interrupted.as_deref(), Some(OLD | NEW))),
        }
        finish(&mut store);
        assert_eq!(status(&mut store).installed.as_deref(), Some(NEW));
        if !cut.is_spent() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 30, "only {cuts} steps were cut");
}

#[test]
fn in_place_the_target_does_not_count_as_installed_from_the_first_byte_on() {
    let place = Place::with_old(Layout::InPlace);
    let mut store = place.open();
    begin(&mut store, NEW, true);
    assert!(
        status(&mut store).installed.is_some(),
        "nothing is changed yet"
    );
    fill(&mut store, 2);
    let digest = Request::Digest {
        area: Area::Installed,
        offset: 0,
        bytes: 64,
    };
    assert_eq!(store.serve(digest), Outcome::Digest(None));
    drop(store);
    let mut store = place.open();
    let found = status(&mut store);
    assert_eq!(
        (found.installed, found.interrupted.as_deref()),
        (None, Some(OLD))
    );
    let resumed = begin(&mut store, NEW, true);
    assert_eq!(resumed, Outcome::Began { resumed: true });
}

#[test]
fn blocks_are_read_back_in_turn_as_far_as_the_medium_goes() {
    const BLOCK: usize = 3_000;
    let blocks = |bytes: &[u8]| bytes.chunks(BLOCK).map(Digest::of).collect::<Vec<_>>();
    for layout in [Layout::File, Layout::InPlace] {
        let place = Place::with_old(layout);
        let mut store = place.open();
        begin(&mut store, NEW, true);
        let mut image = image(0);
        for (at, byte) in (0..image.len()).step_by(BLOCK).zip(1..) {
            // Every fourth is left a hole where there are holes, and so is the short last one.
            if byte % 4 != 0 && at + BLOCK <= image.len() {
                image[at..at + BLOCK].fill(byte);
            }
            let bytes = &image[at..image.len().min(at + BLOCK)];
            if layout == Layout::InPlace || bytes[0] != 0 {
                let (offset, bytes) = (at as u64, bytes.to_vec());
                store.serve(Request::Write { offset, bytes });
            }
        }
        let mut read_back = |offset: usize, bytes: usize| {
            let request = Request::ReadBack {
                offset: offset as u64,
                bytes: bytes as u32,
                block_bytes: BLOCK as u32,
            };
            match store.serve(request) {
                Outcome::Digests(found) => found,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read_back(0, image.len()), blocks(&image));
        let inside = 2 * BLOCK..3 * BLOCK;
        assert_eq!(read_back(2 * BLOCK, BLOCK), blocks(&image[inside]));
        let whole = image.len() / BLOCK * BLOCK;
        let beyond = read_back(BLOCK, image.len() + 4 * BLOCK);
        assert_eq!(beyond, blocks(&image[BLOCK..whole]));
    }
}

#[test]
fn a_state_that_was_given_up_in_place_is_not_found_again() {
    let place = Place::with_old(Layout::InPlace);
    let mut store = place.open();
    begin(&mut store, NEW, false);
    fill(&mut store, 2);
    drop(store);
    assert_eq!(status(&mut place.open()).interrupted, None);
}

#[test]
fn a_rename_that_fails_takes_the_install_back() {
    let place = Place::with_old(Layout::File);
    let mut store = place.open();
    begin(&mut store, NEW, true);
    fill(&mut store, 2);
    // A folder with something in it cannot be replaced.
    fs::remove_file(place.target()).unwrap();
    fs::create_dir(place.target()).unwrap();
    fs::write(place.target().join("x"), b"x").unwrap();
    assert!(matches!(store.serve(Request::Install), Outcome::Failed(_)));
    fs::remove_dir_all(place.target()).unwrap();
    fs::write(place.target(), image(1)).unwrap();
    assert_eq!(status(&mut store).installed.as_deref(), Some(OLD));
    // Another image now: what was staged goes, and nobody may take that for an install.
    begin(&mut store, b"manifest of a third image", true);
    drop(store);
    assert_eq!(status(&mut place.open()).installed.as_deref(), Some(OLD));
    assert_eq!(place.content(), image(1));
}

#[test]
fn bytes_carried_over_hide_what_an_earlier_try_left() {
    let place = Place::new(Layout::File);
    let mut store = place.open();
    begin(&mut store, OLD, true);
    let bytes = vec![9; 100];
    store.serve(Request::Write {
        offset: 30_000,
        bytes,
    });
    store.serve(Request::Install);
    begin(&mut store, NEW, true);
    fill(&mut store, 2);
    let carry = Request::Carry {
        offset: 20_000,
        bytes: 20_000,
    };
    assert_eq!(store.serve(carry), Outcome::Done);
    store.serve(Request::Install);
    let mut want = image(2);
    want[20_000..].fill(0);
    want[30_000..30_100].fill(9);
    assert_eq!(place.content(), want);
}

#[test]
fn a_gap_is_zeroed_and_holes_stay_holes() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new(Layout::File);
    let mut store = place.open();
    let big = 64 << 20;
    store.serve(Request::Begin {
        manifest: NEW.to_vec(),
        signature: vec![7; 64],
        image_bytes: big,
        restart: false,
        keeps_state: true,
    });
    store.serve(Request::Write {
        offset: 8_192,
        bytes: vec![1; 4_096],
    });
    assert_eq!(
        store.serve(Request::ZeroGap {
            offset: 0,
            bytes: 10_000
        }),
        Outcome::Done
    );
    assert_eq!(
        store.serve(Request::ZeroGap {
            offset: 12_288,
            bytes: big - 12_288
        }),
        Outcome::Done
    );
    store.serve(Request::Install);
    let is_zero = |store: &mut FileStore, offset, bytes| {
        store.serve(Request::IsZero { offset, bytes }) == Outcome::Flag(true)
    };
    assert!(is_zero(&mut store, 0, 10_000));
    assert!(!is_zero(&mut store, 0, 10_001));
    assert!(is_zero(&mut store, 12_288, big - 12_288));
    let found = fs::metadata(place.target()).unwrap();
    assert_eq!(found.len(), big);
    assert!(found.blocks() * 512 < 1 << 20, "{} blocks", found.blocks());
}

#[test]
fn in_place_an_interrupted_repair_of_the_same_image_is_not_taken_for_done() {
    let place = Place::with_old(Layout::InPlace);
    let mut store = place.open();
    begin(&mut store, OLD, true);
    let bytes = vec![1; 100];
    store.serve(Request::Write { offset: 0, bytes });
    drop(store);
    let found = status(&mut place.open());
    assert_eq!(
        (found.installed, found.interrupted.as_deref()),
        (None, Some(OLD))
    );
}
