use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::commands::{demo, flash, image, reset};
use crate::error::NxError;
use crate::exit::Exit;
use crate::interrupt;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;

/// Builds signed OS images, flashes them over any link, and resets a device to factory state.
#[derive(Debug, Parser)]
#[command(name = "nx", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    /// Print one JSON object on standard output, and nothing else
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  nx demo                                   the whole path, without hardware
  nx image build --help                     how to make a signed image
  nx flash ports                            what is there to flash over
  nx reset factory --state DIR --dry-run    what a factory reset would remove

Ports:     [layer+]...scheme:target[?key=value&...], or a bare path for a serial line
Defaults:  NX_PORT and NX_STATE, or port and state in ~/.config/nx/config.toml
Exit:      0 done, 2 usage, 3 refused, 4 something is missing, 5 device or link failed,
           6 not supported, 7 system or internal; the table is docs/provisioning/exit-codes.md";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Image(image::ImageArgs),
    Flash(flash::FlashArgs),
    Reset(reset::ResetArgs),
}

/// Runs the command line of this process and says how to exit.
///
/// Prints to standard output and standard error. Does not end the process itself, except for a
/// second Ctrl-C.
#[must_use]
pub fn run() -> ExitCode {
    interrupt::survive_file_limit();
    match Cli::try_parse() {
        Ok(cli) => {
            let mut ui = Ui::stdio(cli.json);
            let result = match &cli.command {
                Command::Demo(args) => demo::run(args, &mut ui),
                Command::Image(args) => image::run(args, &mut ui),
                Command::Flash(args) => flash::run(args, &mut ui),
                Command::Reset(args) => reset::run(args, &mut ui),
            };
            ui.finish(result).into()
        }
        Err(error) => not_run(&error).into(),
    }
}

/// Help, the version, or what is wrong with the command line.
fn not_run(error: &clap::Error) -> Exit {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let json = std::env::args_os().skip(1).any(|arg| arg == "--json");
    if json && !asked {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let error = NxError::new(Reason::UsageArguments, message).hint("`nx --help`");
        return Ui::stdio(true).finish(Err(error));
    }
    // A reader that has seen enough is no error, and there is nowhere left to report another.
    let _ = error.print();
    if asked { Exit::Success } else { Exit::Usage }
}

/// What every command's `run` gives back.
pub(crate) type Ran = Result<Outcome, NxError>;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_every_argument_what_it_is() {
        fn check(command: &clap::Command) {
            assert!(
                command.get_about().is_some(),
                "{} says nothing",
                command.get_name()
            );
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{}", argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
