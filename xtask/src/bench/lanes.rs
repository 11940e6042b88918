//! `bench lanes`: one image to many devices at once, beside one device alone.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    Bench,
    folder::{Folder, Image, same},
    median::median,
    options::Options,
    players::wait_until_ready,
    process::{Ended, PLAYER, Started, go_ahead},
    programs::Programs,
    table::Table,
};
use crate::{
    error::{Result, XtaskError},
    repo::Repo,
};

/// Many devices at once.
pub(super) const BENCH: Bench = Bench {
    name: "lanes",
    summary: "one image to many devices at once, beside one device alone",
    options: &["lanes", "size", "rate", "alone"],
    run,
};

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(1800);
/// A lane among others is at least this fast, as a share of one alone.
const SHARE_MIN: f64 = 0.97;
/// Processor time of `nx` by elapsed time, at most.
const CORES_MAX: f64 = 0.5;

fn run(repo: &Repo, options: &Options) -> Result<()> {
    let lanes: usize = options.get("lanes", 16)?;
    let size: u64 = options.get("size", 1 << 20)?;
    let rate: u32 = options.get("rate", 92_160)?;
    let alone: usize = options.get("alone", 3)?;
    let programs = Programs::build(repo)?;
    let folder = Folder::in_memory()?;
    let content = folder.random_file("content", size)?;
    let image = folder.image(&programs, &content)?;
    let bench = Lanes {
        programs: &programs,
        folder: &folder,
        image: &image,
        rate,
    };
    go_ahead(PLAYER);
    let mut alone_rates = Vec::new();
    for _ in 0..alone.max(1) {
        alone_rates.extend(bench.send(1, None)?.rates(&image)?.into_iter().flatten());
    }
    let Some(alone_rate) = median(alone_rates.iter().copied()) else {
        return Err(odd("nothing of a device alone"));
    };
    let together = bench.send(lanes, None)?;
    let rates = together.rates(&image)?;
    let expected_seconds = image.bytes()? as f64 / alone_rate;
    let cut = bench.send(lanes, Some(Duration::from_secs_f64(expected_seconds / 2.0)))?;

    let mut table = Table::new(["lane", "bytes per second", "of one alone"]);
    let range = |rates: &[f64]| {
        let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let high = rates.iter().copied().fold(0.0, f64::max);
        format!("{low:.0} to {high:.0}")
    };
    table.row([format!("alone, {alone} times"), range(&alone_rates)]);
    for (lane, rate) in (1_usize..).zip(&rates) {
        let [rate, share] = match rate {
            Some(rate) => [format!("{rate:.0}"), format!("{:.3}", rate / alone_rate)],
            None => ["failed".to_owned(), String::new()],
        };
        table.row([lane.to_string(), rate, share]);
    }
    println!(
        "\n{lanes} lanes of {rate} B/s each way, {} bytes to each\n\n{table}",
        image.bytes()?
    );

    let shares = rates
        .iter()
        .map(|rate| rate.unwrap_or(0.0) / alone_rate)
        .fold(f64::INFINITY, f64::min);
    let cores = together.cores();
    let others = lanes.saturating_sub(1);
    let finished = cut.installed;
    let mut summary = Table::new(["", "measured", "wanted"]);
    summary.row([
        "slowest lane, of one alone".to_owned(),
        format!("{shares:.3}"),
        format!("≥ {SHARE_MIN}"),
    ]);
    summary.row([
        "processors that nx keeps busy".to_owned(),
        format!("{cores:.2}"),
        format!("≤ {CORES_MAX}"),
    ]);
    summary.row([
        "peak memory of nx".to_owned(),
        format!("{:.1} MiB", together.peak_kib as f64 / 1024.0),
        "≤ 64 MiB".to_owned(),
    ]);
    summary.row([
        "bytes read of the image, for all".to_owned(),
        format!("{:.2} × its size", together.read(&image)?),
        "2 ×".to_owned(),
    ]);
    summary.row([
        "one device cut: the others that finish".to_owned(),
        format!("{finished} of {others}"),
        format!("{others} of {others}"),
    ]);
    println!("{summary}");
    Ok(())
}

/// What is measured.
struct Lanes<'a> {
    programs: &'a Programs,
    folder: &'a Folder,
    image: &'a Image,
    rate: u32,
}

/// A device under way.
struct Device {
    flashd: Started,
    port: String,
    target: PathBuf,
}

/// A run of `nx`.
struct Sent {
    ended: Ended,
    peak_kib: u64,
    said: Value,
    /// Devices that have the image, byte for byte.
    installed: usize,
}

impl Lanes<'_> {
    /// Sends the image to so many devices at once. The first is killed when so much time has
    /// passed, if any is given.
    fn send(&self, lanes: usize, cut_after: Option<Duration>) -> Result<Sent> {
        let mut devices = Vec::new();
        for lane in 0..lanes {
            devices.push(self.device(lane)?);
        }
        let Some(first) = devices.first() else {
            return Err(odd("no lane"));
        };
        let mut command = self.programs.send(&first.port, self.image);
        command.arg("--no-reconnect").stdout(Stdio::piped());
        for device in devices.iter().skip(1) {
            command.args(["--port", &device.port]);
        }
        let mut nx = Started::new(command, "nx")?;
        if let Some(after) = cut_after
            && let Some(device) = devices.first_mut()
        {
            thread::sleep(after);
            device.flashd.kill();
        }
        let Some(ended) = nx.wait(LIMIT)? else {
            return Err(odd("nx does not end"));
        };
        let mut text = String::new();
        if let Some(mut stdout) = nx.child.stdout.take() {
            stdout
                .read_to_string(&mut text)
                .map_err(XtaskError::io("read from", "nx"))?;
        }
        let said: Value = serde_json::from_str(&text).map_err(|_| odd(&text))?;
        let has_it = |device: &&Device| same(&device.target, &self.image.img);
        let installed = devices.iter().filter(has_it).count();
        if cut_after.is_none() && installed != lanes {
            return Err(odd(&text));
        }
        Ok(Sent {
            ended,
            peak_kib: nx.peak_kib(),
            said,
            installed,
        })
    }

    fn device(&self, lane: usize) -> Result<Device> {
        let work = self.folder.fresh(&format!("device-{lane}"))?;
        let socket = self.folder.path(&format!("s{lane}"));
        let listen = format!("unix:{}?listen", socket.display());
        let command = self.programs.flashd(&listen, self.image, &work);
        let mut flashd = Started::new(command, "flashd")?;
        wait_until_ready(&mut flashd)?;
        Ok(Device {
            flashd,
            port: format!("slow+unix:{}?rate={}", socket.display(), self.rate),
            target: target(&work),
        })
    }
}

fn target(work: &Path) -> PathBuf {
    work.join(Programs::TARGET)
}

impl Sent {
    /// Bytes of the image per second of each lane, from its session's first byte to its last;
    /// none for one that failed.
    fn rates(&self, image: &Image) -> Result<Vec<Option<f64>>> {
        let bytes = image.bytes()? as f64;
        Ok(rates(&self.said, bytes))
    }

    /// Processors kept busy, on average.
    fn cores(&self) -> f64 {
        self.ended.cpu_seconds / self.ended.took.as_secs_f64()
    }

    /// Bytes read of the image's file, by its size.
    fn read(&self, image: &Image) -> Result<f64> {
        let read = self.said.pointer("/data/image_bytes_read");
        let read = read.and_then(Value::as_f64).unwrap_or(f64::NAN);
        Ok(read / image.bytes()? as f64)
    }
}

fn rates(said: &Value, bytes: f64) -> Vec<Option<f64>> {
    let rate = |device: &Value| {
        let millis = device.get("elapsed_ms")?.as_f64()?;
        let failed = device.get("reason").is_some();
        (!failed).then_some(bytes * 1000.0 / millis)
    };
    match said.pointer("/data/devices").and_then(Value::as_array) {
        Some(devices) => devices.iter().map(rate).collect(),
        None => said.get("data").map(rate).into_iter().collect(),
    }
}

fn odd(detail: &str) -> XtaskError {
    XtaskError::Unexpected {
        what: "a run over many lanes".to_owned(),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rates_are_those_of_the_lanes_that_finished() {
        let many = json!({ "data": { "devices": [
            { "elapsed_ms": 2000 },
            { "elapsed_ms": 500, "reason": "port.closed" },
            { "elapsed_ms": 4000 },
        ] } });
        assert_eq!(rates(&many, 8000.0), [Some(4000.0), None, Some(2000.0)]);
        let one = json!({ "data": { "elapsed_ms": 2000 } });
        assert_eq!(rates(&one, 8000.0), [Some(4000.0)]);
    }
}
