use clap::{Args, ValueEnum};
use nx_flash::host::{Event, Job};
use nx_flash::wire::BootTarget;
use serde_json::json;

use super::device_port::DevicePort;
use super::session;
use crate::cli::Ran;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;

/// Set what a device starts next, and have it start again
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RebootArgs {
    /// What to start
    #[arg(value_enum)]
    target: Target,
    #[command(flatten)]
    port: DevicePort,
}

const EXAMPLES: &str = "\
Examples:
  nx flash reboot normal --port /dev/ttyUSB0
  NX_PORT=unix:/tmp/qemu-vserial nx flash reboot recovery";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// The installed system
    Normal,
    /// Its recovery
    Recovery,
}

pub(crate) fn run(args: &RebootArgs, ui: &mut Ui) -> Ran {
    args.port.spec()?;
    let target = match args.target {
        Target::Normal => BootTarget::Normal,
        Target::Recovery => BootTarget::Recovery,
    };
    let interrupt = Interrupt::watch()?;
    let job = Job::Reboot(target);
    let ended = session::run(&args.port, &[], job, None, &interrupt, ui)?;
    match ended.result? {
        Event::Rebooting(set) if set == target => {
            let target = target.as_str();
            let message = if args.port.options.events_to_stdout() {
                String::new()
            } else {
                format!("the device starts again: {target}")
            };
            Ok(Outcome::new(message).data(json!({ "next_boot": target })))
        }
        _ => {
            let text = "the device answered something else than was asked";
            Err(NxError::new(Reason::DeviceProtocol, text))
        }
    }
}
