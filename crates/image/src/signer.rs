//! Who signs: a key in a file, or a command that has the key where we cannot see it.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use crate::key::{PublicKey, SigningKey};
use crate::limits::SIGNATURE_BYTES;

/// Bytes that are taken from a command: one more than it may give.
const GIVEN_BYTES_MAX: u64 = SIGNATURE_BYTES as u64 + 1;

/// Signs manifests.
pub trait Signer: fmt::Debug {
    /// The key that its signatures verify with.
    fn public_key(&self) -> PublicKey;

    /// Ed25519 over exactly these bytes.
    ///
    /// # Errors
    /// When no signature was made, or one that does not verify.
    fn sign(&self, manifest: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError>;
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The command could not be run, or its pipes broke.
    #[error("cannot run the signing command `{command}`")]
    Command {
        /// The command.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// The command said no.
    #[error("the signing command `{command}` ended with {status}")]
    Refused {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
    },
    /// What the command gave is no signature of this manifest by the key that was named.
    #[error("the signing command `{command}` gave {got} bytes that are no signature by {key}")]
    WrongSignature {
        /// The command.
        command: String,
        /// Bytes that it gave; 65 stands for any larger number.
        got: usize,
        /// Fingerprint of the key that was named.
        key: String,
    },
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        Self::public_key(self)
    }

    fn sign(&self, manifest: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        Ok(Self::sign(self, manifest))
    }
}

/// A command, for keys in an HSM or a service. It gets the manifest on its standard input and
/// writes the signature's 64 bytes to its standard output.
#[derive(Clone, Debug)]
pub struct CommandSigner {
    /// Run by `sh -c`.
    pub command: String,
    /// The key that the signature has to verify with.
    pub public_key: PublicKey,
}

impl Signer for CommandSigner {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn sign(&self, manifest: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        let failed = |source| SignerError::Command {
            command: self.command.clone(),
            source,
        };
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut given = Vec::new();
        // Both pipes at once, so that neither side waits for the other.
        let read = thread::scope(|scope| {
            scope.spawn(move || {
                // A command that does not read all of it fails by its signature.
                let _ = stdin.map(|mut stdin| stdin.write_all(manifest));
            });
            // One byte more than a signature has; then the pipe closes, whatever would follow.
            let read = stdout
                .map(|stdout| stdout.take(GIVEN_BYTES_MAX).read_to_end(&mut given))
                .transpose();
            child.wait().and_then(|status| read.map(|_| status))
        });
        let status = read.map_err(failed)?;
        let wrong = || SignerError::WrongSignature {
            command: self.command.clone(),
            got: given.len(),
            key: self.public_key.fingerprint().to_string(),
        };
        if given.len() > SIGNATURE_BYTES {
            return Err(wrong());
        }
        if !status.success() {
            let (command, status) = (self.command.clone(), status.to_string());
            return Err(SignerError::Refused { command, status });
        }
        let signature: [u8; SIGNATURE_BYTES] = given.as_slice().try_into().map_err(|_| wrong())?;
        self.public_key
            .verify(manifest, &signature)
            .map_err(|_| wrong())?;
        Ok(signature)
    }
}
