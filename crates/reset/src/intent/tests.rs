use super::*;
use crate::entry::Entry;
use crate::plan::plan;
use crate::policy::Policy;

fn intent() -> Intent {
    let tree = ["apps", "trust", "x\n"].map(|name| Entry::new(name, EntryKind::Directory));
    Intent::new(&plan(&tree, &Policy::FACTORY), Digest::of(b"kept"))
}

#[test]
fn reads_back_what_it_writes() {
    let intent = intent();
    assert_eq!(Intent::decode(&intent.encode()), Some(intent.clone()));
    assert_eq!(
        intent.removals().collect::<Vec<_>>(),
        ["state:/apps", "state:/x%0A"]
    );
}

#[test]
fn any_cut_and_any_changed_byte_is_no_intent() {
    let bytes = intent().encode();
    for length in 0..bytes.len() {
        assert_eq!(Intent::decode(&bytes[..length]), None, "cut to {length}");
    }
    for position in 0..bytes.len() {
        for flip in [1, 0x20, 0x80] {
            let mut other = bytes.clone();
            other[position] ^= flip;
            assert_eq!(Intent::decode(&other), None, "byte {position} ^ {flip:#x}");
        }
    }
    assert_eq!(Intent::decode(&[bytes.as_slice(), b"\n"].concat()), None);
}

/// A device may be cut under one version and finish under the next: these bytes never change.
#[test]
fn the_bytes_are_frozen() {
    assert_eq!(
        String::from_utf8(intent().encode()).unwrap(),
        "nx-reset-intent/1\n\
         plan f09bc3abf35ace6509b06cd5994b233a56f1491fa8216be006a6eb475fffc8de\n\
         kept 79f076abdd19a752db7267bfff2f9022161d120dea919fdaca2ffdfc24ca8c96\n\
         PRESERVE\tpkg://trust/**\tnever-opened\n\
         REMOVE\tstate:/apps\tdirectory\n\
         PRESERVE\tstate:/trust\tdirectory\n\
         REMOVE\tstate:/x%0A\tdirectory\tunknown\n\
         sha256 f24bc27ad9537ecf747956712297d4d974ef9929a0e66b37ced2cdabd260ca0f\n"
    );
}
