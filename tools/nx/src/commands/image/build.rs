use std::path::PathBuf;

use clap::Args;
use nx_image::build::{
    Build, HardLinks, Progress as Step, Report, SLOT_ROOM_PERCENT_DEFAULT, STATE_BYTES_DEFAULT,
    Xattrs,
};
use nx_image::limits::BLOCK_BYTES_DEFAULT;
use nx_image::{Profile, Slots, Table};
use serde_json::Value;

use super::byte_size::ByteSize;
use super::files::signature_path;
use super::signing::Signing;
use super::verify::manifest_facts;
use crate::cli::Ran;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::output::{Outcome, Ui};
use crate::progress::Progress;
use crate::reason::Reason;
use crate::size::size;

/// Build an image, its manifest and its signature
///
/// Any of the segments may be left out, but not all. The same inputs give the same bytes, whatever
/// the clock, the user, the path or the order of a directory. What is made from a directory is read
/// back and compared with it before anything is signed. Outputs appear complete, or not at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BuildArgs {
    /// What kind of device it is for: dev or release; a release has to be signed
    #[arg(long, value_name = "PROFILE")]
    profile: Profile,
    /// Boot loader
    #[arg(long, value_name = "FILE")]
    bootloader: Option<PathBuf>,
    /// Kernel
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Recovery initrd: a file, or a directory that becomes a cpio archive
    #[arg(long, value_name = "FILE|DIR")]
    initrd: Option<PathBuf>,
    /// Root file system: a file, or a directory that becomes a squashfs
    #[arg(long, value_name = "FILE|DIR")]
    rootfs: Option<PathBuf>,
    /// Package file system
    #[arg(long, value_name = "FILE")]
    pkgfs: Option<PathBuf>,
    /// Files with several names in a directory: copy them for each name, instead of refusing
    #[arg(long)]
    copy_hard_links: bool,
    /// Extended attributes in a directory, which no image keeps: leave them out, not refuse them
    #[arg(long)]
    drop_xattrs: bool,
    /// The image to write
    #[arg(long, value_name = "IMG")]
    out: PathBuf,
    /// The manifest to write
    #[arg(long, value_name = "JSON")]
    manifest: PathBuf,
    /// The signature to write [default: the manifest's name with the ending .sig]
    #[arg(long, value_name = "FILE")]
    sig: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    /// Partition table: gpt, or none for the bare segments one after the other
    #[arg(long, value_name = "TABLE", default_value = "gpt")]
    table: Table,
    /// Sets of slot partitions: 1, or 2 for a disk that is updated beside what runs (A/B)
    #[arg(long, value_name = "N", default_value = "1")]
    slots: Slots,
    /// With --slots 2: how much more than it holds a slot partition has, in per cent [default: 50]
    #[arg(long, value_name = "PERCENT")]
    slot_room: Option<u32>,
    /// Length of a block, which is proven, kept and sent as one: 4KiB to 1MiB [default: 64KiB]
    #[arg(long, value_name = "SIZE")]
    block_size: Option<ByteSize>,
    /// Length of the state partition: whole MiB [default: 16MiB]
    #[arg(long, value_name = "SIZE")]
    state_size: Option<ByteSize>,
    /// Board that it is for; others refuse it
    #[arg(long, value_name = "NAME", default_value = "generic")]
    board: String,
    /// Version, for people to read
    #[arg(long, value_name = "VERSION", default_value = "0")]
    image_version: String,
    /// Counts up when older images must no longer be taken; carried, and not enforced yet
    #[arg(long, value_name = "N", default_value_t = 0)]
    rollback_index: u64,
}

const EXAMPLES: &str = "\
Examples:
  nx image build --profile dev --rootfs root/ --out OS.img --manifest OS.json --sign os.key
  nx image build --profile release --board virt --image-version 1.4.0 --kernel vmlinuz \\
      --initrd recovery/ --rootfs rootfs.squashfs --pkgfs pkgfs.img \\
      --out OS.img --manifest OS.json --sign-cmd 'hsm sign --slot 3' --pub os.pub
  nx image build --profile dev --slots 2 --bootloader esp.img --kernel vmlinuz \\
      --initrd initrd/ --rootfs root/ --out OS.img --manifest OS.json --sign os.key

SOURCE_DATE_EPOCH, in seconds, is the time of everything made from a directory; 0 without it.";

pub(crate) fn run(args: &BuildArgs, ui: &mut Ui) -> Ran {
    let signer = args.signing.signer()?;
    let build = args.build()?;
    let signature = signature_path(args.sig.as_deref(), &args.manifest);
    let mut steps = Steps { ui, step: None };
    let report = build.write(
        &args.out,
        &args.manifest,
        &signature,
        signer.as_deref(),
        &mut |step| steps.show(step),
    );
    steps.end();
    let report = report?;
    let image = &report.manifest.image;
    ui.line(format!("{}  {}", image.sha256, args.out.display()))?;
    ui.line(format!(
        "{}  {}",
        report.manifest_digest,
        args.manifest.display()
    ))?;
    let (count, length) = (report.manifest.segments.len(), size(image.size));
    let by = match report.signed_by {
        Some(key) => format!("signed by {key}"),
        None => "not signed".to_owned(),
    };
    let message = format!("{length} in {count} segments, {by}");
    Ok(Outcome::new(message).data(facts(&report)))
}

impl BuildArgs {
    fn build(&self) -> Result<Build, NxError> {
        let block_size = self
            .block_size
            .map_or(u64::from(BLOCK_BYTES_DEFAULT), |size| size.0);
        let mut build = Build::new(self.profile);
        build.board.clone_from(&self.board);
        build.image_version.clone_from(&self.image_version);
        build.rollback_index = self.rollback_index;
        // One that fits no 32 bits is none that the format allows, and the builder says so.
        build.block_size = u32::try_from(block_size).unwrap_or(u32::MAX);
        build.table = self.table;
        build.slots = self.slots;
        build.slot_room_percent = self.slot_room()?;
        build.state_bytes = self.state_size.map_or(STATE_BYTES_DEFAULT, |size| size.0);
        build.mtime = source_date_epoch()?;
        build.bootloader.clone_from(&self.bootloader);
        build.kernel.clone_from(&self.kernel);
        build.initrd.clone_from(&self.initrd);
        build.rootfs.clone_from(&self.rootfs);
        build.pkgfs.clone_from(&self.pkgfs);
        if self.copy_hard_links {
            build.hard_links = HardLinks::Copy;
        }
        if self.drop_xattrs {
            build.xattrs = Xattrs::Drop;
        }
        build.stop = Some(Interrupt::watch()?.flag());
        Ok(build)
    }

    fn slot_room(&self) -> Result<u32, NxError> {
        match (self.slots, self.slot_room) {
            (Slots::One, Some(_)) => Err(NxError::new(
                Reason::UsageArguments,
                "--slot-room is for --slots 2",
            )
            .hint("--slots 2, or no --slot-room")),
            (_, room) => Ok(room.unwrap_or(SLOT_ROOM_PERCENT_DEFAULT)),
        }
    }
}

/// <https://reproducible-builds.org/specs/source-date-epoch/>
fn source_date_epoch() -> Result<u32, NxError> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let Some(value) = std::env::var_os(NAME).filter(|value| !value.is_empty()) else {
        return Ok(0);
    };
    value
        .to_str()
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| {
            let value = value.display();
            NxError::new(
                Reason::UsageArguments,
                format!("{NAME} is no time in seconds: {value}"),
            )
            .hint(format!(
                "a whole number below 4294967296, or no {NAME} at all"
            ))
        })
}

/// The steps of a build, one line of progress after the other.
struct Steps<'a> {
    ui: &'a Ui,
    step: Option<(String, Progress)>,
}

impl Steps<'_> {
    fn show(&mut self, step: Step) {
        let (name, at) = match step {
            Step::Packing(kind) => (format!("packing {kind}"), None),
            Step::Writing { done, total } => ("writing".to_owned(), Some((done, total))),
            Step::Digesting { done, total } => ("digesting".to_owned(), Some((done, total))),
        };
        if self
            .step
            .as_ref()
            .is_none_or(|(current, _)| *current != name)
        {
            self.end();
            let progress = match at {
                Some((_, total)) => Progress::bytes(self.ui, &name, total),
                None => Progress::entries(self.ui, &name),
            };
            self.step = Some((name, progress));
        }
        if let (Some((_, progress)), Some((done, total))) = (&self.step, at) {
            progress.at_of(done, total);
        }
    }

    fn end(&mut self) {
        if let Some((_, progress)) = self.step.take() {
            progress.finish();
        }
    }
}

fn facts(report: &Report) -> Value {
    let mut data = manifest_facts(&report.manifest);
    if let Value::Object(members) = &mut data {
        members.insert(
            "manifest_sha256".into(),
            report.manifest_digest.to_string().into(),
        );
        members.insert(
            "signed_by".into(),
            report.signed_by.map(|key| key.to_string()).into(),
        );
    }
    data
}
