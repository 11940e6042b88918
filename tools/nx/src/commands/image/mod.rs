//! `nx image`: makes signed images, and proves them.

mod build;
mod byte_size;
mod files;
mod inspect;
mod keygen;
mod signing;
mod verify;

use clap::{Args, Subcommand};

use crate::cli::Ran;
use crate::output::Ui;

/// Build a signed OS image, and prove or look at one
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    Build(Box<build::BuildArgs>),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Keygen(keygen::KeygenArgs),
}

pub(crate) fn run(args: &ImageArgs, ui: &mut Ui) -> Ran {
    match &args.command {
        ImageCommand::Build(args) => build::run(args, ui),
        ImageCommand::Verify(args) => verify::run(args, ui),
        ImageCommand::Inspect(args) => inspect::run(args, ui),
        ImageCommand::Keygen(args) => keygen::run(args, ui),
    }
}
