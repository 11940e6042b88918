//! `nx flash`: writes images to devices.

mod console;
mod device_port;
mod events;
mod fast_baud;
pub(crate) mod in_process;
mod info;
mod lanes;
mod lasting;
mod ports;
mod reboot;
mod replay;
mod send;
mod session;
mod shared_image;
mod transfer;
mod verify;

use clap::{Args, Subcommand};

use crate::cli::Ran;
use crate::output::Ui;

/// Write an image to a device over any link, and look at what it holds
#[derive(Debug, Args)]
pub(crate) struct FlashArgs {
    #[command(subcommand)]
    command: FlashCommand,
}

#[derive(Debug, Subcommand)]
enum FlashCommand {
    Send(Box<send::SendArgs>),
    Verify(verify::VerifyArgs),
    Info(info::InfoArgs),
    Reboot(reboot::RebootArgs),
    Replay(replay::ReplayArgs),
    Ports(ports::PortsArgs),
}

pub(crate) fn run(args: &FlashArgs, ui: &mut Ui) -> Ran {
    match &args.command {
        FlashCommand::Send(args) => send::run(args, ui),
        FlashCommand::Verify(args) => verify::run(args, ui),
        FlashCommand::Info(args) => info::run(args, ui),
        FlashCommand::Reboot(args) => reboot::run(args, ui),
        FlashCommand::Replay(args) => replay::run(args, ui),
        FlashCommand::Ports(args) => ports::run(args, ui),
    }
}
