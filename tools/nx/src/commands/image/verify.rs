use std::path::PathBuf;

use clap::Args;
use nx_image::Manifest;
use nx_image::verify::{Depth, Verified, verify};
use serde_json::{Value, json};

use super::files::{ImageFiles, ImagePath, signature_path};
use crate::cli::Ran;
use crate::error::NxError;
use crate::keys;
use crate::output::{Outcome, Ui};
use crate::progress::Progress;
use crate::reason::Reason;
use crate::size::size;

/// Prove that every byte of an image is as it was signed
///
/// The signature is checked before the manifest is read. Then segments and gaps have to tile the
/// image exactly: each segment has its digest, each gap is zero, nothing trails. What is damaged is
/// named, down to the block where the block digests lie beside the manifest.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    image: ImagePath,
    /// Its manifest
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The signature over the manifest [default: the manifest's name with the ending .sig]
    #[arg(long, value_name = "FILE")]
    sig: Option<PathBuf>,
    /// Public key that must have signed the manifest; may be given more than once
    #[arg(long = "pub", id = "keys", value_name = "KEY")]
    keys: Vec<PathBuf>,
    /// Check against the manifest alone: it says nothing about where the image comes from
    #[arg(long, conflicts_with = "keys")]
    allow_unsigned: bool,
    /// Prove the block roots too, which say the same once more: devices prove single blocks by
    /// them. Takes half as long again on two processors
    #[arg(long)]
    blocks: bool,
}

const EXAMPLES: &str = "\
Examples:
  nx image verify OS.img --manifest OS.json --pub os.pub
  nx image verify OS.img --manifest OS.json --allow-unsigned";

pub(crate) fn run(args: &VerifyArgs, ui: &mut Ui) -> Ran {
    if args.keys.is_empty() && !args.allow_unsigned {
        let text = "no key to check the signature with";
        return Err(NxError::new(Reason::UsageArguments, text)
            .hint("`--pub KEY`; or `--allow-unsigned`, which compares with the manifest alone"));
    }
    let keys = keys::read(&args.keys)?;
    let files = ImageFiles {
        image: args.image.path().to_owned(),
        manifest: args.manifest.clone(),
        signature: signature_path(args.sig.as_deref(), &args.manifest),
    };
    let depth = match args.blocks {
        true => Depth::Blocks,
        false => Depth::Bytes,
    };
    let progress = Progress::bytes(ui, "verifying", 0);
    let verified = verify(
        &files.borrow(),
        &keys,
        args.allow_unsigned,
        depth,
        &mut |done, total| {
            progress.at_of(done, total);
        },
    );
    progress.finish();
    let verified = verified?;
    for segment in &verified.manifest.segments {
        ui.line(format!("ok  {:<11} {}", segment.name, segment.sha256))?;
    }
    let image = &verified.manifest.image;
    let by = match verified.signed_by {
        Some(key) => format!("signed by {key}"),
        None => "the signature was not checked".to_owned(),
    };
    let message = format!(
        "every byte is as the manifest says, {by}: {}",
        size(image.size)
    );
    Ok(Outcome::new(message).data(facts(&verified)))
}

fn facts(verified: &Verified) -> Value {
    let mut data = manifest_facts(&verified.manifest);
    if let Value::Object(members) = &mut data {
        members.insert(
            "manifest_sha256".into(),
            verified.manifest_digest.to_string().into(),
        );
        let by = verified.signed_by.map(|key| key.to_string());
        members.insert("signed_by".into(), by.into());
    }
    data
}

/// What a manifest says, for the JSON envelope.
pub(super) fn manifest_facts(manifest: &Manifest) -> Value {
    let image = &manifest.image;
    let segments: Vec<Value> = manifest
        .segments
        .iter()
        .map(|segment| {
            json!({
                "name": segment.name,
                "type": segment.kind.as_str(),
                "role": segment.role.as_str(),
                "offset": segment.offset,
                "size": segment.size,
                "sha256": segment.sha256.to_string(),
                "block_root": segment.block_root.to_string(),
            })
        })
        .collect();
    json!({
        "image_sha256": image.sha256.to_string(),
        "image_bytes": image.size,
        "installed_sha256": manifest.installed_digest().to_string(),
        "board": image.board,
        "profile": image.profile.as_str(),
        "image_version": image.image_version,
        "rollback_index": image.rollback_index,
        "block_size": image.block_size,
        "table": image.table.as_str(),
        "slots": image.slots.count(),
        "segments": segments,
    })
}
