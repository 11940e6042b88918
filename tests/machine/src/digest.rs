//! Digests of disks.

use std::{fs::File, io::Read as _, path::Path};

use sha2::{Digest as _, Sha256};

use crate::error::{MachineError, Result};

/// SHA-256 of a file, as lower-case hex.
///
/// # Errors
/// [`MachineError::Io`].
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(MachineError::io("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file
            .read(&mut buffer)
            .map_err(MachineError::io("read", path))?;
        if count == 0 {
            break;
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_what_everyone_computes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(
            sha256(file.path()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
