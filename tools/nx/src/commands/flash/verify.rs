use std::path::PathBuf;

use clap::Args;
use nx_flash::host::{Event, Job};
use nx_flash::source::SignedManifest;
use nx_flash::wire::{Verdict, VerifiedSegment};
use nx_image::{Digest, Manifest, Role};
use serde_json::{Value, json};

use super::device_port::DevicePort;
use super::session;
use crate::cli::Ran;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;

/// Have a device digest what it has installed, and compare
///
/// The device reads its medium and says the digest of every segment. With --manifest they are
/// compared here, with the manifest of your choice; without, only with the manifest that the device
/// has installed. The state segment belongs to the device and is not compared; of a disk with two
/// slots neither are table, boot loader and boot record, which an update leaves as they are.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Manifest of the image that the device should hold
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    port: DevicePort,
}

const EXAMPLES: &str = "\
Examples:
  nx flash verify --manifest OS.json --port /dev/ttyUSB0
  nx flash verify --port unix:/tmp/qemu-vserial --json";

/// How a segment compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Matches,
    Differs,
    /// The device's own.
    Kept,
    /// The device has none of that name, or one that the manifest does not have.
    Missing,
    Unexpected,
}

impl Found {
    const fn word(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Differs => "DIFFERS",
            Self::Kept => "kept",
            Self::Missing => "MISSING",
            Self::Unexpected => "UNEXPECTED",
        }
    }

    const fn is_bad(self) -> bool {
        !matches!(self, Self::Matches | Self::Kept)
    }
}

struct Row {
    name: String,
    sha256: Option<Digest>,
    found: Found,
}

pub(crate) fn run(args: &VerifyArgs, ui: &mut Ui) -> Ran {
    args.port.spec()?;
    let wanted = match &args.manifest {
        Some(path) => Some(SignedManifest::unsigned(path)?),
        None => None,
    };
    let interrupt = Interrupt::watch()?;
    let ended = session::run(&args.port, &[], Job::Verify, None, &interrupt, ui)?;
    let Event::Verified {
        manifest: digest,
        installed,
        segments,
        gaps_zero,
    } = ended.result?
    else {
        let text = "the device answered something else than was asked";
        return Err(NxError::new(Reason::DeviceProtocol, text));
    };
    let rows = match &wanted {
        Some((manifest, _)) => compare(manifest, &segments),
        None => segments.iter().map(as_told).collect(),
    };
    if !args.port.options.events_to_stdout() {
        for row in &rows {
            let sha256 = row.sha256.map_or_else(|| "-".into(), |d| d.to_string());
            ui.line(format!("{}\t{sha256}\t{}", row.name, row.found.word()))?;
        }
    }
    let same = wanted.as_ref().map(|(_, want)| *want == digest);
    let data = json!({
        "manifest_sha256": digest.to_string(),
        "installed_sha256": installed.to_string(),
        "same_manifest": same,
        "gaps_zero": gaps_zero,
        "segments": rows.iter().map(|row| json!({
            "name": row.name,
            "sha256": row.sha256.map(|digest| digest.to_string()),
            "verdict": row.found.word().to_lowercase(),
        })).collect::<Vec<Value>>(),
    });
    judge(&rows, gaps_zero, wanted.as_ref(), &digest, data)
}

fn judge(
    rows: &[Row],
    gaps_zero: bool,
    wanted: Option<&(Manifest, Digest)>,
    digest: &Digest,
    data: Value,
) -> Ran {
    let mut bad: Vec<String> = rows
        .iter()
        .filter(|row| row.found.is_bad())
        .map(|row| format!("`{}`", row.name))
        .collect();
    if !gaps_zero {
        bad.push("bytes between the segments".to_owned());
    }
    if !bad.is_empty() {
        let what = if wanted.is_some() {
            "the manifest"
        } else {
            "the manifest that it has installed"
        };
        let bad = bad.join(", ");
        let text = format!("the device does not hold what {what} says: {bad}");
        return Err(NxError::new(Reason::DeviceDiffers, text)
            .hint("`nx flash send`, which sends what differs")
            .facts(data));
    }
    let compared = rows
        .iter()
        .filter(|row| row.found == Found::Matches)
        .count();
    let message = match wanted {
        None => format!(
            "{compared} segments match the installed manifest {digest}; not compared with one of \
             yours: --manifest FILE"
        ),
        Some((_, want)) if want == digest => {
            format!("{compared} segments match the manifest {digest}")
        }
        Some(_) => format!(
            "{compared} segments match; the installed manifest is another one that says the same: \
             {digest}"
        ),
    };
    Ok(Outcome::new(message).data(data))
}

fn as_told(segment: &VerifiedSegment) -> Row {
    Row {
        name: segment.name.clone(),
        sha256: Some(segment.sha256),
        found: match segment.verdict {
            Verdict::Matches => Found::Matches,
            Verdict::Differs => Found::Differs,
            Verdict::Kept => Found::Kept,
        },
    }
}

/// By the digests, whatever the device itself thinks of them.
fn compare(manifest: &Manifest, segments: &[VerifiedSegment]) -> Vec<Row> {
    let mut rows: Vec<Row> = manifest
        .segments
        .iter()
        .map(|want| {
            let got = segments.iter().find(|got| got.name == want.name);
            let found = match got {
                _ if !want.role.is_installed() => Found::Kept,
                // On a disk with two slots: an update leaves them as they are.
                Some(got) if got.verdict == Verdict::Kept && want.role != Role::Slot => Found::Kept,
                None => Found::Missing,
                Some(got) if got.sha256 == want.sha256 => Found::Matches,
                Some(_) => Found::Differs,
            };
            Row {
                name: want.name.clone(),
                sha256: got.map(|got| got.sha256),
                found,
            }
        })
        .collect();
    rows.extend(
        segments
            .iter()
            .filter(|got| manifest.segment(&got.name).is_none())
            .map(|got| Row {
                name: got.name.clone(),
                sha256: Some(got.sha256),
                found: Found::Unexpected,
            }),
    );
    rows
}

#[cfg(test)]
mod tests;
