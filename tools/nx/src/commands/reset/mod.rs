//! `nx reset`: back to how the device left the factory.

mod factory;
mod interruptible;

use clap::{Args, Subcommand};

use crate::cli::Ran;
use crate::output::Ui;

/// Remove what users and apps have put into the state of a device
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(subcommand)]
    command: ResetCommand,
}

#[derive(Debug, Subcommand)]
enum ResetCommand {
    Factory(factory::FactoryArgs),
}

pub(crate) fn run(args: &ResetArgs, ui: &mut Ui) -> Ran {
    match &args.command {
        ResetCommand::Factory(args) => factory::run(args, ui),
    }
}
