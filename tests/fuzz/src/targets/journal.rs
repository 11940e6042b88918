use std::fs;

use nx_flash::device::{Outcome, Request};
use nx_flash::storage::{FileStore, FileStoreConfig, Store as _};

use crate::Target;
use crate::scratch;

pub(crate) const TARGET: Target = Target {
    name: "journal",
    bytes_max: 300,
    run,
    seeds,
};

/// The two records of a journal: a byte with the length of the first, then both. With the top
/// bit set, both get checksums that match.
fn run(bytes: &[u8]) -> bool {
    let Some((&how, rest)) = bytes.split_first() else {
        return false;
    };
    let first = usize::from(how & 0x7f).min(rest.len());
    let (first, second) = rest.split_at(first);
    let dir = scratch::path("journal");
    let config = FileStoreConfig {
        target: scratch::path("target.img"),
        journal: dir.clone(),
        layout: None,
        boot_record: None,
    };
    let _ = fs::create_dir(&dir);
    for (name, record) in [("record.a", first), ("record.b", second)] {
        let mut record = record.to_vec();
        if how & 0x80 != 0 {
            mend(&mut record);
        }
        fs::write(dir.join(name), record).unwrap();
    }
    // Whatever it says, the store opens, nothing is installed that is not there, and a journal
    // that was opened is whole.
    let mut store = FileStore::open(&config).unwrap();
    let boot = store.boot();
    let Outcome::Status(status) = store.serve(Request::Status) else {
        panic!("no status");
    };
    assert_eq!((status.installed, status.interrupted), (None, None));
    drop(store);
    let again = FileStore::open(&config).unwrap();
    assert_eq!(again.boot(), boot.wrapping_add(1), "every boot is counted");
    boot != 1
}

/// Sets the checksum, and takes the top byte off the generation: no journal counts to 2^56, and
/// one that was forged to stand at its last number counts no further.
fn mend(record: &mut [u8]) {
    const GENERATION_TOP: usize = 4 + 7;
    if let Some(byte) = record.get_mut(GENERATION_TOP) {
        *byte = 0;
    }
    if let Some((body, checksum)) = record.split_last_chunk_mut::<4>() {
        *checksum = crc32fast::hash(body).to_le_bytes();
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let record = |generation: u64, boot: u32, phase: u8, digests: usize| {
        let mut bytes = b"nxj1".to_vec();
        bytes.extend(generation.to_le_bytes());
        bytes.extend(boot.to_le_bytes());
        bytes.push(phase);
        for which in 0..2 {
            bytes.push(u8::from(which < digests));
            bytes.extend([7; 32].iter().take(if which < digests { 32 } else { 0 }));
        }
        bytes.extend([0; 4]);
        mend(&mut bytes);
        bytes
    };
    let both = |first: Vec<u8>, second: Vec<u8>| {
        let mut bytes = vec![0x80 | u8::try_from(first.len()).unwrap()];
        bytes.extend(first);
        bytes.extend(second);
        bytes
    };
    vec![
        both(record(4, 3, 0, 0), record(5, 4, 0, 1)),
        both(record(9, 3, 1, 2), record(8, 4, 1, 2)),
        both(record(u64::MAX, u32::MAX, 1, 1), Vec::new()),
    ]
}
