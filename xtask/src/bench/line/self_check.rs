//! The line itself, measured with plain bytes.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use crate::{
    bench::{
        emulator::{Carried, Emulator, RATE, open},
        programs::Programs,
    },
    error::{Result, XtaskError},
};

/// What a line has to carry of its rate, for what is measured on it to count.
pub(super) const SHARE_MIN: f64 = 0.995;
/// How long nothing may arrive before the rest counts as lost.
const SILENCE: Duration = Duration::from_secs(2);

/// What became of plain bytes.
#[derive(Debug)]
pub(super) struct SelfCheck {
    /// Bytes that arrived or were lost, per second until the last one, as a share of the rate.
    pub(super) share: f64,
    /// Share of the bits that arrived flipped.
    pub(super) bit_error_rate: f64,
    /// Share of the bytes that did not arrive.
    pub(super) loss: f64,
    /// Processor time per second.
    pub(super) cpu: f64,
    pub(super) there: Carried,
}

/// Sends `bytes` zeros over a line with those conditions.
pub(super) fn check(programs: &Programs, options: &[String], bytes: u64) -> Result<SelfCheck> {
    let mut line = Emulator::start(programs, options)?;
    let ends = line.ends();
    let (mut near, mut far) = (open(ends[0])?, open(ends[1])?);
    let (pass, arrived) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // It ends with the line.
        while let Ok(count) = far.read(&mut buffer) {
            let piece = buffer.get(..count).unwrap_or_default();
            let flips: u32 = piece.iter().map(|byte| byte.count_ones()).sum();
            if pass.send((Instant::now(), count, flips)).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    let writer = thread::spawn(move || write_zeros(&mut near, bytes));
    let (mut got, mut flipped, mut last) = (0_u64, 0_u64, started);
    let mut is_written = false;
    loop {
        match arrived.recv_timeout(SILENCE) {
            Ok((at, count, flips)) => {
                last = at;
                got = got.saturating_add(u64::try_from(count).unwrap_or_default());
                flipped = flipped.saturating_add(u64::from(flips));
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // Twice: what the system had queued when the last byte was written has to pass, too.
            Err(RecvTimeoutError::Timeout) if is_written => break,
            Err(RecvTimeoutError::Timeout) => is_written = writer.is_finished(),
        }
        if got >= bytes {
            break;
        }
    }
    let took = last.saturating_duration_since(started).as_secs_f64();
    let cpu = line.cpu_seconds() / started.elapsed().as_secs_f64();
    let [there, _] = line.finish()?;
    match writer.join() {
        Ok(written) => written.map_err(XtaskError::io("write to", "the line"))?,
        Err(_) => return Err(XtaskError::Findings { count: 1 }),
    }
    let (got, bytes) = (got as f64, bytes as f64);
    Ok(SelfCheck {
        share: bytes / took / f64::from(RATE),
        bit_error_rate: flipped as f64 / (8.0 * got),
        loss: 1.0 - got / bytes,
        cpu,
        there,
    })
}

fn write_zeros(to: &mut fs::File, mut left: u64) -> std::io::Result<()> {
    let zeros = [0; 4096];
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        to.write_all(zeros.get(..count).unwrap_or_default())?;
        left = left.saturating_sub(u64::try_from(count).unwrap_or_default());
    }
    Ok(())
}

/// Whether the machine has what the check needs.
pub(super) fn is_possible() -> bool {
    Path::new("/dev/ptmx").exists()
}
