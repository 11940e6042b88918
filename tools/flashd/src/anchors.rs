//! The keys that may sign images.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nx_image::PublicKey;

use crate::error::FlashdError;

/// Reads the named keys, and the `*.pub` files of the folder in the order of their names. A key
/// found twice counts once.
///
/// # Errors
/// When there is no key at all, or any of the files is none: a typing error must not leave a
/// device that trusts less, or more, than its operator thinks.
pub(crate) fn read(
    named: &[PathBuf],
    folder: Option<&Path>,
) -> Result<Vec<PublicKey>, FlashdError> {
    if named.is_empty() && folder.is_none() {
        return Err(FlashdError::NoKeys);
    }
    let mut files = named.to_vec();
    if let Some(folder) = folder {
        files.extend(anchors(folder)?);
    }
    let mut keys = Vec::new();
    for path in files {
        let key = PublicKey::read(&path)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn anchors(folder: &Path) -> Result<Vec<PathBuf>, FlashdError> {
    let unreadable = |source: io::Error| FlashdError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension() == Some(OsStr::new("pub")) {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(FlashdError::NoAnchors {
            path: folder.to_owned(),
        });
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public keys of RFC 8032 §7.1, tests 1 and 2.
    const FIRST: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const SECOND: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

    #[test]
    fn anchors_are_read_in_the_order_of_their_names_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.pub"), FIRST).unwrap();
        fs::write(dir.path().join("a.pub"), SECOND).unwrap();
        fs::write(dir.path().join("c.pub"), FIRST.to_uppercase()).unwrap();
        fs::write(dir.path().join("README"), "no key").unwrap();
        let keys = read(&[], Some(dir.path())).unwrap();
        let found: Vec<_> = keys.iter().map(|key| *key.as_bytes()).collect();
        let want = [SECOND, FIRST].map(|hex| *PublicKey::parse(hex.as_bytes()).unwrap().as_bytes());
        assert_eq!(found, want);
    }

    #[test]
    fn one_bad_anchor_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.pub"), FIRST).unwrap();
        fs::write(dir.path().join("b.pub"), "0".repeat(64)).unwrap();
        let error = read(&[], Some(dir.path())).unwrap_err();
        assert_eq!(error.code(), 3);
        assert!(error.to_string().contains("b.pub"), "{error}");
    }

    #[test]
    fn without_any_key_nothing_is_served() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&[], None).unwrap_err().code(), 2);
        assert_eq!(read(&[], Some(dir.path())).unwrap_err().code(), 4);
        let missing = dir.path().join("missing.pub");
        assert_eq!(read(&[missing], None).unwrap_err().code(), 4);
    }
}
