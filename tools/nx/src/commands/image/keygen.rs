use std::path::PathBuf;

use clap::Args;
use nx_image::key::SigningKey;
use serde_json::json;

use crate::cli::Ran;
use crate::error::NxError;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;

/// Make a key pair: one half signs images, the other goes on devices
///
/// Both are PEM files that OpenSSL reads. Files that exist are not replaced: a lost signing key
/// cannot be had back.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct KeygenArgs {
    /// New file for the private key, readable by you only
    #[arg(long, value_name = "KEY")]
    out: PathBuf,
    /// New file for the public key
    #[arg(long = "pub", value_name = "PUB")]
    public: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  nx image keygen --out os.key --pub os.pub";

pub(crate) fn run(args: &KeygenArgs, _: &mut Ui) -> Ran {
    let (key, finished) = match SigningKey::finish_pair(&args.out, &args.public)? {
        Some(key) => (key, ", begun by a run that was interrupted"),
        None => (new_pair(args)?, ""),
    };
    let fingerprint = key.public_key().fingerprint();
    let data = json!({
        "fingerprint": fingerprint.to_string(),
        "key": args.out.to_string_lossy(),
        "pub": args.public.to_string_lossy(),
    });
    let (private, public) = (args.out.display(), args.public.display());
    let message = format!("key {fingerprint}: {private} signs, {public} goes on devices{finished}");
    Ok(Outcome::new(message).data(data))
}

fn new_pair(args: &KeygenArgs) -> Result<SigningKey, NxError> {
    let mut seed = [0; 32];
    let unexpected =
        |error: &(dyn std::error::Error + 'static)| NxError::of(Reason::InternalUnexpected, error);
    getrandom::fill(&mut seed).map_err(|error| unexpected(&error))?;
    let key = SigningKey::from_seed(&seed).map_err(|error| unexpected(&error))?;
    key.write_pair_new(&args.out, &args.public)?;
    Ok(key)
}
