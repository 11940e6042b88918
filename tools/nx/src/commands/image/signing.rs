use std::path::PathBuf;

use clap::Args;
use nx_image::PublicKey;
use nx_image::key::SigningKey;
use nx_image::signer::{CommandSigner, Signer};

use crate::error::NxError;

/// Who signs.
#[derive(Debug, Args)]
pub(super) struct Signing {
    /// Private key to sign with: PEM (PKCS#8), or 64 hex digits; readable by its owner only
    #[arg(long, value_name = "KEY", conflicts_with = "sign_cmd")]
    sign: Option<PathBuf>,
    /// Shell command that signs instead, for keys in an HSM or a service: it gets the manifest on
    /// its standard input and writes the 64 bytes of the signature to its standard output
    #[arg(long, value_name = "CMD", requires = "key")]
    sign_cmd: Option<String>,
    /// Public key that the signature of --sign-cmd has to verify with
    #[arg(long = "pub", id = "key", value_name = "KEY", requires = "sign_cmd")]
    key: Option<PathBuf>,
}

impl Signing {
    /// Whoever signs; nobody if none is named.
    ///
    /// # Errors
    /// A key that cannot be read or used.
    pub(super) fn signer(&self) -> Result<Option<Box<dyn Signer>>, NxError> {
        if let Some(path) = &self.sign {
            return Ok(Some(Box::new(SigningKey::read(path)?)));
        }
        let (Some(command), Some(key)) = (&self.sign_cmd, &self.key) else {
            return Ok(None);
        };
        let public_key = PublicKey::read(key)?;
        let command = command.clone();
        Ok(Some(Box::new(CommandSigner {
            command,
            public_key,
        })))
    }
}
