//! `nx flash`: writes images to devices.

mod ports;

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
    Ports(ports::PortsArgs),
}

pub(crate) fn run(args: &FlashArgs, ui: &mut Ui) -> Ran {
    match &args.command {
        FlashCommand::Ports(args) => ports::run(args, ui),
    }
}
