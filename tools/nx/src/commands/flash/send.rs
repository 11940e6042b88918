use std::path::PathBuf;

use clap::Args;
use nx_flash::source::{ImageSource, SignedManifest};
use nx_flash::wire::OfferFlags;

use super::device_port::PortOptions;
use super::fast_baud::FastBaud;
use super::lanes::{self, Plan, WaitArgs};
use super::shared_image::SharedImage;
use super::transfer::{Transfer, cost_line};
use crate::cli::Ran;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::keys;
use crate::output::{Outcome, Ui};
use crate::progress::Progress;
use crate::reason::Reason;

/// Write an image to a device, going on where an earlier try stopped
///
/// Before anything is sent, the image is read and compared with its manifest. The device then says
/// which blocks it already holds, from an interrupted try or from the image before, and only the
/// others are sent. It installs in one step, after it has read everything back from its medium;
/// until then, what was installed before stays.
///
/// Several devices, each with --port or all with a pattern, are written side by side; none waits
/// for another, and a table at the end says what came of each.
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
    /// Write the bootloader too, where an update leaves it alone: a disk with two slots. A power
    /// cut meanwhile can keep the device from starting
    #[arg(long)]
    update_bootloader: bool,
    /// Where the device is: /dev/ttyUSB0, unix:/run/flash.sock, tcp:..., lossy+... [default:
    /// NX_PORT, or `port` in the configuration file]; given more than once, or a pattern such as
    /// '/dev/ttyUSB*', for many devices at once
    #[arg(long = "port", value_name = "PORT")]
    ports: Vec<String>,
    #[command(flatten)]
    wait: WaitArgs,
    /// Faster speed of a serial line, in baud, or `auto` for the best that works: taken after a
    /// test that device and line pass, and given up when the line fails at it
    #[arg(long, value_name = "BAUD")]
    fast_baud: Option<FastBaud>,
    #[command(flatten)]
    options: PortOptions,
}

const EXAMPLES: &str = "\
Examples:
  nx flash send --img OS.img --manifest OS.json --port /dev/ttyUSB0
  nx flash send --img OS.img --manifest OS.json --pub os.pub --port unix:/tmp/qemu-vserial
  nx flash send --img OS.img --manifest OS.json --port 'lossy+unix:/tmp/s?drop_every=5'
  nx flash send --img OS.img --manifest OS.json --port '/dev/ttyUSB*' --wait --wait-for 1";

pub(crate) fn run(args: &SendArgs, ui: &mut Ui) -> Ran {
    // A wrong port is told before a large image is read.
    let mut options = args.options.clone();
    options.fast_baud = args.fast_baud;
    let plan = Plan::of(&args.ports, &options, &args.wait)?;
    if plan.has_loopback()? && args.keys.is_empty() {
        let text =
            "the device behind `loopback:` trusts the keys given with --pub, and none is given";
        return Err(NxError::new(Reason::UsageArguments, text).hint("`--pub KEY`"));
    }
    let interrupt = Interrupt::watch()?;
    let keys = keys::read(&args.keys)?;
    let signed = SignedManifest::open(&args.manifest, args.sig.as_deref(), &keys)?;
    let progress = Progress::bytes(ui, "reading the image", signed.manifest.image.size);
    let source = ImageSource::open(&args.img, &signed.manifest, &mut |at| {
        progress.at(at);
        !interrupt.is_wanted()
    });
    progress.finish();
    let source = source?;
    let transfer = Transfer {
        image: match plan {
            Plan::One(_) => SharedImage::alone(source),
            Plan::Many(_) => SharedImage::shared(source),
        },
        signed,
        keys,
        flags: OfferFlags {
            restart: args.restart,
            wipe_state: args.wipe_state,
            update_bootloader: args.update_bootloader,
        },
        chunk_bytes: args.chunk,
    };
    let port = match &plan {
        Plan::One(port) => port,
        Plan::Many(many) => return lanes::run(many, &transfer, &interrupt, ui),
    };
    let sent = transfer.send(port, &interrupt, ui)?;
    let installed = sent.result?;
    if plan.events_to_stdout() {
        return Ok(Outcome::default());
    }
    ui.line(cost_line(&sent.cost, sent.elapsed))?;
    if installed.state_kept {
        ui.line("the device kept its own state")?;
    }
    Ok(Outcome::new(transfer.installed_line(&installed.manifest)).data(sent.data))
}
