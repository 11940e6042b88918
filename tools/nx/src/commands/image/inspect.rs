use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use nx_image::inspect::{Area, Inspection, inspect};
use serde_json::{Value, json};

use super::files::{ImageFiles, signature_path};
use super::verify::manifest_facts;
use crate::cli::Ran;
use crate::error::NxError;
use crate::keys;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;
use crate::size::size;

/// Show what is in an image and where: segments, partitions, holes, room left
///
/// Nothing is hashed: `nx image verify` proves. An image that is missing or damaged can still be
/// looked at through its manifest.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// The image, or its manifest; the other one is looked for beside it
    #[arg(
        value_name = "FILE",
        required_unless_present = "img",
        conflicts_with = "img"
    )]
    file: Option<PathBuf>,
    /// The image, the other way to name it
    #[arg(long, value_name = "FILE")]
    img: Option<PathBuf>,
    /// The manifest [default: FILE with the ending .json]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The signature over the manifest [default: the manifest's name with the ending .sig]
    #[arg(long, value_name = "FILE")]
    sig: Option<PathBuf>,
    /// Public key that must have signed the manifest; may be given more than once
    #[arg(long = "pub", value_name = "KEY")]
    keys: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  nx image inspect OS.img
  nx image inspect OS.json --pub os.pub --json";

pub(crate) fn run(args: &InspectArgs, ui: &mut Ui) -> Ran {
    let keys = keys::read(&args.keys)?;
    let file = args.file.as_ref().or(args.img.as_ref());
    let file = file.map(PathBuf::as_path).unwrap_or(Path::new(""));
    if fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        let text = format!("{} is no regular file", file.display());
        return Err(NxError::new(Reason::SourceNotAFile, text));
    }
    let (image, manifest) = match &args.manifest {
        Some(manifest) => (file.to_owned(), manifest.clone()),
        None if is_manifest(file) => (file.with_extension("img"), file.to_owned()),
        None => (file.to_owned(), file.with_extension("json")),
    };
    let signature = signature_path(args.sig.as_deref(), &manifest);
    let files = ImageFiles {
        image,
        manifest,
        signature,
    };
    let found = inspect(&files.borrow(), &keys)?;
    for (name, value) in rows(&files.image, &found) {
        ui.line(format!("{name:<10} {value}"))?;
    }
    ui.line("")?;
    ui.line(format!(
        "{:>13} {:>13} {:>13}  {}",
        "offset", "bytes", "of it data", "what"
    ))?;
    for area in &found.map {
        ui.line(row(area, &found))?;
    }
    ui.line("")?;
    for segment in &found.manifest.segments {
        ui.line(format!("{}  {}", segment.sha256, segment.name))?;
    }
    Ok(Outcome::new("").data(facts(&found)))
}

/// A manifest starts with a brace; an image that does would start with no boot code.
fn is_manifest(path: &Path) -> bool {
    let mut first = [0];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut first).is_ok() && first == *b"{")
}

fn rows(path: &Path, found: &Inspection) -> Vec<(&'static str, String)> {
    let image = &found.manifest.image;
    let file = match &found.file {
        None => "not there".to_owned(),
        Some(file) if file.bytes == image.size => {
            format!(
                "{}, {} on its disk",
                size(file.bytes),
                size(file.disk_bytes)
            )
        }
        Some(file) => {
            format!("{} bytes, and its manifest says {}", file.bytes, image.size)
        }
    };
    let by = match found.signed_by {
        Some(key) => key.to_string(),
        None => "not checked: name a key with --pub".to_owned(),
    };
    vec![
        ("image", format!("{}: {file}", path.display())),
        ("sha256", image.sha256.to_string()),
        ("manifest", found.manifest_digest.to_string()),
        ("signed by", by),
        ("version", image.image_version.clone()),
        ("board", image.board.clone()),
        ("profile", image.profile.to_string()),
        ("rollback", image.rollback_index.to_string()),
        ("blocks", format!("of {}", size(image.block_size.into()))),
        ("table", image.table.as_str().to_owned()),
        ("slots", image.slots.to_string()),
    ]
}

fn row(area: &Area, found: &Inspection) -> String {
    let bytes = area.range.end.saturating_sub(area.range.start);
    let data = area
        .data_bytes
        .map_or_else(|| "-".to_owned(), |data| data.to_string());
    let segment = area
        .segment
        .and_then(|index| found.manifest.segments.get(index));
    let mut what = match segment {
        Some(segment) => format!("{} ({})", segment.name, segment.role.as_str()),
        None => "zeros".to_owned(),
    };
    if let Some(partition) = &area.partition {
        what.push_str(&format!(
            ", partition {} `{}`",
            partition.number, partition.name
        ));
        if area.free_bytes > 0 {
            what.push_str(&format!(", {} free", size(area.free_bytes)));
        }
    }
    format!("{:>13} {bytes:>13} {data:>13}  {what}", area.range.start)
}

fn facts(found: &Inspection) -> Value {
    let map: Vec<Value> = found
        .map
        .iter()
        .map(|area| {
            let segment = area
                .segment
                .and_then(|index| found.manifest.segments.get(index));
            let partition = area.partition.as_ref().map(|partition| {
                json!({
                    "number": partition.number,
                    "name": partition.name,
                    "guid": partition.guid,
                    "offset": partition.range.start,
                    "bytes": partition.range.end.saturating_sub(partition.range.start),
                })
            });
            json!({
                "offset": area.range.start,
                "bytes": area.range.end.saturating_sub(area.range.start),
                "segment": segment.map(|segment| &segment.name),
                "partition": partition,
                "free_bytes": area.free_bytes,
                "data_bytes": area.data_bytes,
            })
        })
        .collect();
    let file = found.file.as_ref().map(|file| {
        json!({
            "bytes": file.bytes,
            "disk_bytes": file.disk_bytes,
            "state_partition_bytes": file.state.map(|state| state.partition_bytes),
        })
    });
    let mut data = manifest_facts(&found.manifest);
    if let Value::Object(members) = &mut data {
        members.insert(
            "manifest_sha256".into(),
            found.manifest_digest.to_string().into(),
        );
        members.insert(
            "signed_by".into(),
            found.signed_by.map(|key| key.to_string()).into(),
        );
        members.insert("map".into(), map.into());
        members.insert("file".into(), file.into());
    }
    data
}
