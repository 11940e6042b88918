use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nx_flash::host::{Event, Job, Progress as Cost};
use nx_flash::source::{ImageSource, SignedManifest};
use nx_flash::wire::OfferFlags;
use nx_image::{Digest, Manifest};
use serde_json::{Value, json};

use super::device_port::DevicePort;
use super::session;
use crate::cli::Ran;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::keys;
use crate::output::{Outcome, Ui};
use crate::progress::Progress;
use crate::reason::Reason;
use crate::size::size;

/// Write an image to a device, going on where an earlier try stopped
///
/// Before anything is sent, the image is read and compared with its manifest. The device then says
/// which blocks it already holds, from an interrupted try or from the image before, and only the
/// others are sent. It installs in one step, after it has read everything back from its medium;
/// until then, what was installed before stays.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SendArgs {
    /// The image
    #[arg(long, value_name = "FILE")]
    img: PathBuf,
    /// Its manifest
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The signature over the manifest [default: the manifest's name with the ending .sig]
    #[arg(long, value_name = "FILE")]
    sig: Option<PathBuf>,
    /// Public key that must have signed the manifest, checked here too; may be given more than once
    #[arg(long = "pub", value_name = "KEY")]
    keys: Vec<PathBuf>,
    /// Most image data in one frame, in bytes; less where the line loses frames
    #[arg(long, value_name = "BYTES", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(128..=65_536))]
    chunk: u32,
    /// Go on where an earlier try stopped: always so, unless --restart is given
    #[arg(long, conflicts_with = "restart")]
    resume: bool,
    /// Have the device forget what it received and send every block
    #[arg(long)]
    restart: bool,
    /// Write the state segment too: what users have put on the device is gone
    #[arg(long)]
    wipe_state: bool,
    #[command(flatten)]
    port: DevicePort,
}

const EXAMPLES: &str = "\
Examples:
  nx flash send --img OS.img --manifest OS.json --port /dev/ttyUSB0
  nx flash send --img OS.img --manifest OS.json --pub os.pub --port unix:/tmp/qemu-vserial
  nx flash send --img OS.img --manifest OS.json --port 'lossy+unix:/tmp/s?drop_every=5'";

pub(crate) fn run(args: &SendArgs, ui: &mut Ui) -> Ran {
    // A wrong port is told before a large image is read.
    let spec = args.port.spec()?;
    if spec.scheme == "loopback" && args.keys.is_empty() {
        let text =
            "the device behind `loopback:` trusts the keys given with --pub, and none is given";
        return Err(NxError::new(Reason::UsageArguments, text).hint("`--pub KEY`"));
    }
    let interrupt = Interrupt::watch()?;
    let keys = keys::read(&args.keys)?;
    let signed = SignedManifest::open(&args.manifest, args.sig.as_deref(), &keys)?;
    let manifest = &signed.manifest;
    let progress = Progress::bytes(ui, "reading the image", manifest.image.size);
    let source = ImageSource::open(&args.img, manifest, &mut |at| {
        progress.at(at);
        !interrupt.is_wanted()
    });
    progress.finish();
    let source = source?;
    let job = Job::Send {
        manifest: signed.bytes.clone(),
        signature: signed.signature.clone(),
        flags: OfferFlags {
            restart: args.restart,
            wipe_state: args.wipe_state,
        },
        chunk_bytes: args.chunk,
    };
    let ended = session::run(&args.port, &keys, job, Some(&source), &interrupt, ui)?;
    let mut data = facts(manifest, &ended.cost, ended.elapsed);
    if let Value::Object(members) = &mut data {
        members.insert("reconnects".into(), ended.reconnects.into());
    }
    let answer = ended.result.map_err(|error| error.facts(data.clone()))?;
    let Event::Installed {
        manifest: digest,
        installed,
        state_kept,
    } = answer
    else {
        let text = "the device answered something else than was asked";
        return Err(NxError::new(Reason::DeviceProtocol, text));
    };
    if let Value::Object(members) = &mut data {
        members.insert("manifest_sha256".into(), digest.to_string().into());
        members.insert("installed_sha256".into(), installed.to_string().into());
        members.insert("state_kept".into(), state_kept.into());
        members.insert("segments_kept".into(), names(manifest, &ended.kept).into());
        members.insert("board".into(), ended.board.into());
        let signer = signed.signer.map(|signer| signer.to_string());
        members.insert("signer".into(), signer.into());
    }
    if args.port.events_to_stdout() {
        return Ok(Outcome::default());
    }
    ui.line(cost_line(&ended.cost, ended.elapsed))?;
    if state_kept {
        ui.line("the device kept its own state")?;
    }
    let message = installed_line(manifest, &digest);
    Ok(Outcome::new(message).data(data))
}

fn installed_line(manifest: &Manifest, digest: &Digest) -> String {
    let version = &manifest.image.image_version;
    format!("installed and read back: version {version}, manifest {digest}")
}

fn names(manifest: &Manifest, indices: &[u8]) -> Vec<String> {
    let segment = |index: &u8| manifest.segments.get(usize::from(*index));
    indices
        .iter()
        .filter_map(segment)
        .map(|segment| segment.name.clone())
        .collect()
}

/// What a transfer was about and what it cost, whether it came to its end or not.
fn facts(manifest: &Manifest, cost: &Cost, elapsed: Duration) -> Value {
    json!({
        "image_sha256": manifest.image.sha256.to_string(),
        "image_bytes": manifest.image.size,
        "image_version": manifest.image.image_version,
        "payload_bytes": cost.payload_bytes,
        "wire_bytes": cost.wire_bytes,
        "retransmitted_bytes": cost.retransmitted_bytes,
        "received_bytes": cost.received_bytes,
        "damaged_frames": cost.damaged_frames,
        "blocks_total": cost.blocks_total,
        "blocks_sent": cost.blocks_sent,
        "blocks_skipped": cost.blocks_skipped(),
        "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    })
}

fn cost_line(cost: &Cost, elapsed: Duration) -> String {
    let there = cost.blocks_skipped();
    let seconds = elapsed.as_secs_f64();
    let (sent, total) = (cost.blocks_sent, cost.blocks_total);
    let had = match there {
        0 => String::new(),
        there => format!(", {there} were there"),
    };
    let again = match cost.retransmitted_bytes {
        0 => String::new(),
        bytes => format!(", {} sent again", size(bytes)),
    };
    let payload = size(cost.payload_bytes);
    format!("{sent} of {total} blocks sent{had}; {payload} in {seconds:.1} s{again}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_transfer_is_told_in_one_line() {
        let mut cost = Cost {
            payload_bytes: 3 * 65_536,
            retransmitted_bytes: 1_536,
            blocks_total: 10,
            blocks_known: 10,
            blocks_needed: 3,
            blocks_sent: 3,
            ..Cost::default()
        };
        let elapsed = Duration::from_millis(1_250);
        assert_eq!(
            cost_line(&cost, elapsed),
            "3 of 10 blocks sent, 7 were there; 192.00 KiB in 1.2 s, 1.50 KiB sent again"
        );
        cost.blocks_needed = 10;
        cost.blocks_sent = 10;
        cost.retransmitted_bytes = 0;
        assert_eq!(
            cost_line(&cost, elapsed),
            "10 of 10 blocks sent; 192.00 KiB in 1.2 s"
        );
    }
}
