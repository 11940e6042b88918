//! `line`: a serial line by hand; see `line --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to its user"
)]

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use line::{Conditions, Line, LineError, Pace};

/// Makes two terminals joined by a serial line, prints their paths, and keeps the line until it is
/// stopped (Ctrl-C, SIGTERM). Then it says what has happened each way.
#[derive(Debug, Parser)]
#[command(name = "line", version, max_term_width = 100)]
struct Args {
    /// Bytes per second each way [default: a tenth of the speed that the sender's terminal is set
    /// to]
    #[arg(long, value_name = "BYTES")]
    rate: Option<u32>,
    /// Time that a byte takes beyond its own length, one way, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0.0)]
    latency: f64,
    /// Share of bits that are flipped, such as 1e-5
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    ber: f64,
    /// Share of bytes that are lost in bursts, such as 0.01
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    burst_rate: f64,
    /// Bytes that are lost in one burst
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    burst_len: u32,
    /// Speed that both terminals have at first; what is sent at one and received at another is
    /// garbled
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    baud: u32,
    /// Speed above which all is garbled, though both ends agree
    #[arg(long, value_name = "BAUD")]
    baud_max: Option<u32>,
    /// What goes wrong follows from this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Stop at the end of standard input, too
    #[arg(long)]
    until_eof: bool,
}

impl Args {
    fn conditions(&self) -> Result<Conditions, LineError> {
        let latency =
            Duration::try_from_secs_f64(self.latency / 1e3).map_err(|_| LineError::Conditions {
                what: "the latency",
                got: self.latency.to_string(),
                want: "a number of milliseconds from 0".to_owned(),
            })?;
        Ok(Conditions {
            pace: self.rate.map_or(Pace::Speed, Pace::Fixed),
            latency,
            bit_error_rate: self.ber,
            burst_rate: self.burst_rate,
            burst_bytes: self.burst_len,
            baud: self.baud,
            baud_max: self.baud_max,
            seed: self.seed,
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ LineError::Conditions { .. }) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            let source = std::error::Error::source(&error);
            let cause = source.map_or_else(String::new, |source| format!(": {source}"));
            eprintln!("error: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), LineError> {
    let io = |op| move |source| LineError::Io { op, source };
    let line = Line::start(&args.conditions()?)?;
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])
    .map_err(io("sigaction"))?;
    let [near, far] = line.ends();
    println!("{}\n{}", near.display(), far.display());
    io::stdout().flush().map_err(io("write"))?;
    if args.until_eof {
        let handle = signals.handle();
        std::thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            while matches!(stdin.read(&mut [0; 256]), Ok(count) if count > 0) {}
            handle.close();
        });
    }
    // The first signal, or the end of the signals.
    let _ = signals.forever().next();
    let [there, back] = line.tallies();
    println!("there: {there}\nback: {back}");
    Ok(())
}
