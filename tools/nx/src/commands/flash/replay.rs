use std::path::PathBuf;

use clap::Args;
use nx_flash::capture::{CaptureError, Replay, Replayed, Side};
use nx_flash::device::{Device, DeviceConfig};
use nx_flash::host::{Host, HostConfig};
use nx_flash::time::Instant;
use serde_json::json;

use crate::cli::Ran;
use crate::error::NxError;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;

/// Run the machine of a captured session again, and find where it does otherwise
///
/// A capture of `nx flash ... --capture` or `flashd --capture` holds every input of its machine,
/// with the time. The same machine is run on them, without a link, a clock or storage; every frame
/// that it sends and every event is compared with the capture, and the first difference is told. Of
/// a capture without image data the events are printed as they were recorded.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// The capture
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result only, not every event
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  nx flash info --port /dev/ttyUSB0 --capture session.pcapng
  nx flash replay session.pcapng";

/// What a replay told and found.
struct Told {
    events: Vec<(Instant, String)>,
    found: Replayed,
}

pub(crate) fn run(args: &ReplayArgs, ui: &mut Ui) -> Ran {
    let replay = Replay::open(&args.file)?;
    let side = replay.side();
    if replay.is_elided() {
        return elided(args, replay, ui);
    }
    let told = match side {
        Side::Host => host(replay)?,
        Side::Device => device(replay)?,
    };
    let (who, side) = match side {
        Side::Host => ("nx", "host"),
        Side::Device => ("flashd", "device"),
    };
    if !args.quiet {
        for (at, event) in &told.events {
            ui.line(format!("{}  {event}", seconds(at.as_micros())))?;
        }
    }
    let Replayed {
        frames_sent,
        packets_received,
        events,
        micros,
        divergence,
    } = &told.found;
    let data = json!({
        "side": side,
        "frames_sent": frames_sent,
        "packets_received": packets_received,
        "events": events,
        "micros": micros,
        "divergence": divergence.as_ref().map(|found| json!({
            "packet": found.packet,
            "micros": found.micros,
            "what": found.what,
        })),
    });
    if let Some(divergence) = divergence {
        let text = format!("the {side}'s machine differs at {divergence}");
        return Err(NxError::new(Reason::CaptureDiverged, text)
            .hint(format!(
                "the {who} that wrote the capture; `tshark -r` shows the packets"
            ))
            .facts(data));
    }
    Ok(Outcome::new(message(side, &told.found)).data(data))
}

/// Tells what was recorded, of a capture without image data.
fn elided(args: &ReplayArgs, replay: Replay, ui: &mut Ui) -> Ran {
    let mut told = Ok(());
    if !args.quiet {
        replay.events(&mut |at, event| {
            if told.is_ok() {
                told = ui.line(format!("{}  {event}", seconds(at.as_micros())));
            }
        })?;
    }
    told?;
    let path = args.file.clone();
    Err(CaptureError::Elided { path }.into())
}

fn message(side: &str, found: &Replayed) -> String {
    let Replayed {
        frames_sent,
        packets_received,
        events,
        micros,
        ..
    } = found;
    format!(
        "the {side}'s machine did the same: {frames_sent} frames sent, {packets_received} packets \
         received, {events} events in {} s",
        seconds(*micros)
    )
}

fn host(replay: Replay) -> Result<Told, NxError> {
    let mut machine = Host::new(replay.config::<HostConfig>()?);
    let mut events = Vec::new();
    let found = replay.run(
        &mut machine,
        &mut |machine: &mut Host, now| machine.stop(now),
        &mut |at, event| events.push((at, format!("{event:?}"))),
    )?;
    Ok(Told { events, found })
}

fn device(replay: Replay) -> Result<Told, NxError> {
    let mut machine = Device::new(replay.config::<DeviceConfig>()?);
    let mut events = Vec::new();
    let found = replay.run(
        &mut machine,
        &mut |machine: &mut Device, _| machine.stop(),
        &mut |at, event| events.push((at, format!("{event:?}"))),
    )?;
    Ok(Told { events, found })
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_microseconds() {
        assert_eq!(seconds(0), "0.000000");
        assert_eq!(seconds(61_000_042), "61.000042");
    }

    #[test]
    fn what_was_the_same_is_told_in_numbers() {
        let found = Replayed {
            frames_sent: 7,
            packets_received: 5,
            events: 3,
            micros: 1_500_000,
            divergence: None,
        };
        assert_eq!(
            message("host", &found),
            "the host's machine did the same: 7 frames sent, 5 packets received, 3 events in \
             1.500000 s"
        );
    }
}
