//! What the demonstration does, and what it says of it.

use clap::Args;
use nx_flash::host::{Event, Failure, Job, Progress};
use nx_flash::source::{ImageSource, SignedManifest};
use nx_flash::wire::{OfferFlags, Verdict};
use serde_json::json;

use super::bench::{Bench, Done};
use super::image;
use crate::cli::Ran;
use crate::error::{NxError, failed};
use crate::interrupt::Interrupt;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;

/// Build an image, flash it over a bad link to a device in this process, and verify it
///
/// Needs no hardware and no arguments, and leaves nothing behind. The link drops every fifth
/// frame, both ways, and is cut in the middle.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {}

/// Every fifth frame is lost, on the way there and on the way back.
const BAD_LINK: &str = "lossy+loopback:demo?drop_every=5";

const TRY_NEXT: &str = "\
try next:
  nx image keygen --out dev.key --pub dev.pub
  nx image build --profile dev --rootfs DIR --out os.img --manifest os.json --sign dev.key
  flashd --port 'unix:/tmp/flash.sock?listen' --target disk.img --journal journal --pub dev.pub
  nx flash send --img os.img --manifest os.json --port unix:/tmp/flash.sock";

pub(crate) fn run(_: &DemoArgs, ui: &mut Ui) -> Ran {
    let interrupt = Interrupt::watch()?;
    let folder = tempfile::tempdir().map_err(|error| {
        NxError::of(Reason::InternalUnexpected, &error)
            .hint("a folder that can be written to as TMPDIR")
    })?;
    let made = image::build(folder.path())?;
    let signed = SignedManifest::open(&made.manifest, Some(&made.signature), &[made.key])?;
    let source = ImageSource::open(&made.image, &signed.manifest, &mut |_| {
        !interrupt.is_wanted()
    })?;
    let facts = &signed.manifest.image;
    let segments = signed.manifest.segments.len();
    ui.line(format!(
        "built      an image of {segments} segments, {}, signed with a new key {}",
        mebibytes(facts.size),
        made.key.fingerprint()
    ))?;

    let device = folder.path().join("device");
    let mut bench = Bench::new(device, made.key, interrupt);
    let send = || Job::Send {
        manifest: signed.bytes.clone(),
        signature: signed.signature.clone(),
        flags: OfferFlags::default(),
        chunk_bytes: 65_536,
    };
    ui.line("link       in memory; every 5th frame is dropped, both ways")?;
    let bytes: u64 = signed.manifest.segments.iter().map(|s| s.size).sum();
    let cut_port = format!("{BAD_LINK}&cut_at={}", bytes / 2);
    let cut = bench.job(&cut_port, send(), Some(&source))?;
    expect_cut(&cut)?;
    let Progress {
        blocks_total,
        blocks_sent: before_cut,
        ..
    } = cut.progress;
    ui.line(format!(
        "cut        the link, when {before_cut} of {blocks_total} blocks were acknowledged; \
         the device restarts"
    ))?;

    let resumed = bench.job(BAD_LINK, send(), Some(&source))?;
    installed(&resumed)?;
    let Progress {
        blocks_sent: after_cut,
        blocks_needed,
        retransmitted_bytes,
        ..
    } = resumed.progress;
    let kept = blocks_total.saturating_sub(blocks_needed);
    ui.line(format!(
        "resumed    {kept} blocks had arrived, proven by their digests; {after_cut} were sent"
    ))?;
    if !bench.holds(&made.image)? {
        return Err(NxError::new(
            Reason::InternalUnexpected,
            "the device installed something else than the image",
        ));
    }
    ui.line(format!(
        "installed  sha256 {}, read back before it was put in place",
        facts.sha256
    ))?;

    let matching = verified(bench.job(BAD_LINK, Job::Verify, None)?)?;
    ui.line(format!(
        "verified   {matching} segments hold what was signed; the state is the device's own"
    ))?;

    let again = bench.job(BAD_LINK, send(), Some(&source))?;
    installed(&again)?;
    let sent_again = again.progress.blocks_sent;
    ui.line(format!(
        "again      the same image once more: {sent_again} blocks sent"
    ))?;
    for line in TRY_NEXT.lines() {
        ui.line(line)?;
    }
    // For people, the story is the message.
    let message = if ui.is_json() {
        "an image was flashed over a bad link, cut off, resumed and verified"
    } else {
        ""
    };
    Ok(Outcome::new(message).data(json!({
        "image_sha256": facts.sha256.to_string(),
        "image_bytes": facts.size,
        "segments": segments,
        "blocks_total": blocks_total,
        "blocks_sent_before_cut": before_cut,
        "blocks_kept_after_cut": kept,
        "blocks_sent_after_cut": after_cut,
        "blocks_sent_again": sent_again,
        "retransmitted_bytes": cut.progress.retransmitted_bytes.saturating_add(retransmitted_bytes),
        "device_starts": again.boot,
        "segments_verified": matching,
    })))
}

fn expect_cut(done: &Done) -> Result<(), NxError> {
    match &done.result {
        Err(Failure::Closed) => Ok(()),
        Err(failure) => Err(failed(failure)),
        Ok(_) => Err(NxError::new(
            Reason::InternalUnexpected,
            "the link was not cut",
        )),
    }
}

fn installed(done: &Done) -> Result<(), NxError> {
    match &done.result {
        Ok(Event::Installed { .. }) => Ok(()),
        Err(failure) => Err(failed(failure)),
        Ok(_) => Err(unexpected()),
    }
}

/// Segments that hold what was signed; all of them must, but for the device's own state.
fn verified(done: Done) -> Result<usize, NxError> {
    let segments = match done.result {
        Ok(Event::Verified {
            segments,
            gaps_zero: true,
            ..
        }) => segments,
        Err(failure) => return Err(failed(&failure)),
        Ok(_) => return Err(unexpected()),
    };
    let differs = |verdict| verdict == Verdict::Differs;
    if segments.iter().any(|segment| differs(segment.verdict)) {
        return Err(unexpected());
    }
    let matches = |verdict| verdict == Verdict::Matches;
    Ok(segments
        .iter()
        .filter(|segment| matches(segment.verdict))
        .count())
}

fn unexpected() -> NxError {
    NxError::new(
        Reason::InternalUnexpected,
        "the device gave an answer that it must not give",
    )
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
