//! What came of every device.

use std::time::Duration;

use nx_flash::host::Progress as Cost;
use serde_json::{Value, json};

use crate::cli::Ran;
use crate::commands::flash::transfer::{Sent, Transfer};
use crate::error::NxError;
use crate::exit::Exit;
use crate::output::{Outcome, Ui};
use crate::reason::Reason;
use crate::size::size;
use crate::text;

/// What came of one device.
#[derive(Debug)]
pub(crate) struct Device {
    /// From 1, in the order in which the ports were taken.
    pub(crate) lane: u32,
    pub(crate) port: String,
    cost: Option<(Cost, Duration)>,
    /// Its members in the JSON envelope, or why it does not have the image.
    result: Result<Value, NxError>,
}

impl Device {
    pub(crate) fn new(lane: u32, port: String, ended: Result<Sent, NxError>) -> Self {
        let (cost, result) = match ended {
            Ok(sent) => {
                let cost = (sent.cost, sent.elapsed);
                (Some(cost), sent.result.map(|_| sent.data))
            }
            Err(error) => (None, Err(error)),
        };
        Self {
            lane,
            port,
            cost,
            result,
        }
    }

    pub(crate) const fn is_ok(&self) -> bool {
        self.result.is_ok()
    }

    /// A line about it, for while others go on.
    pub(crate) fn line(&self) -> String {
        match (&self.result, &self.cost) {
            (Err(error), _) => format!("failed: {}", error.message()),
            (Ok(_), Some((_, elapsed))) => {
                format!("installed and read back in {:.1} s", elapsed.as_secs_f64())
            }
            (Ok(_), None) => "installed and read back".to_owned(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let (result, reason) = match &self.result {
            Ok(_) => ("installed", String::new()),
            Err(error) => ("failed", error.reason().text().to_owned()),
        };
        let mut cells = vec![self.port.clone(), result.to_owned()];
        cells.extend(match &self.cost {
            Some((cost, elapsed)) => [
                size(cost.payload_bytes),
                format!("{} of {}", cost.blocks_sent, cost.blocks_total),
                cost.blocks_skipped().to_string(),
                size(cost.retransmitted_bytes),
                format!("{:.1} s", elapsed.as_secs_f64()),
            ],
            None => Default::default(),
        });
        cells.push(reason);
        cells
    }

    /// Its record in the JSON envelope.
    fn record(self) -> Value {
        let (exit, message, data) = match self.result {
            Ok(data) => (
                Exit::Success,
                "installed and read back".to_owned(),
                Some(data),
            ),
            Err(error) => {
                let (exit, message) = (error.exit(), text::one_line(error.message()));
                (exit, message, Some(error.into_data()))
            }
        };
        let mut record = json!({
            "port": self.port,
            "lane": self.lane,
            "ok": exit == Exit::Success,
            "class": exit.class(),
            "code": exit.code(),
            "message": message,
        });
        if let (Value::Object(record), Some(Value::Object(data))) = (&mut record, data) {
            record.extend(data);
        }
        record
    }
}

/// Ends a run over many devices: a table, and one record for each in the envelope.
///
/// # Errors
/// The first failure, in the order of the lanes.
pub(crate) fn finish(mut devices: Vec<Device>, transfer: &Transfer, ui: &mut Ui) -> Ran {
    devices.sort_by_key(|device| device.lane);
    for line in table(&devices) {
        ui.line(line)?;
    }
    let all = devices.len();
    let bad: Vec<&Device> = devices.iter().filter(|device| !device.is_ok()).collect();
    let failures = bad.len();
    let first = bad.first().and_then(|device| {
        let error = device.result.as_ref().err()?;
        Some((device.port.clone(), error))
    });
    let error = first.map(|(port, error)| {
        let what = format!("{} {port}: {}", counted(failures, all), error.message());
        let summary = NxError::new(error.reason(), what);
        match error.try_this() {
            Some(hint) => summary.hint(hint),
            None => summary,
        }
    });
    let image = &transfer.signed.manifest.image;
    let data = json!({
        "image_sha256": image.sha256.to_string(),
        "image_bytes": image.size,
        "image_version": image.image_version,
        "image_bytes_read": image.size.saturating_add(transfer.image.bytes_read()),
        "devices_ok": all.saturating_sub(failures),
        "devices_failed": failures,
        "devices": devices.into_iter().map(Device::record).collect::<Vec<_>>(),
    });
    match error {
        Some(error) => Err(error.facts(data)),
        None if all == 0 => {
            let text = "interrupted before a device came";
            Err(NxError::new(Reason::RunInterrupted, text).facts(data))
        }
        None => {
            let devices = if all == 1 { "device" } else { "devices" };
            let version = &image.image_version;
            let message = format!("{all} {devices}: installed and read back, version {version}");
            Ok(Outcome::new(message).data(data))
        }
    }
}

fn counted(failures: usize, all: usize) -> String {
    match failures {
        1 => format!("1 of {all} failed:"),
        _ => format!("{failures} of {all} failed; the first is"),
    }
}

const HEADS: [&str; 8] = [
    "port", "result", "sent", "blocks", "there", "again", "time", "reason",
];

/// The lines of a table, its columns as wide as they have to be.
fn table(devices: &[Device]) -> Vec<String> {
    let heads: Vec<String> = HEADS.map(str::to_owned).into();
    let rows: Vec<Vec<String>> = std::iter::once(heads)
        .chain(devices.iter().map(Device::cells))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(lane: u32, port: &str, result: Result<Value, NxError>) -> Device {
        let cost = Cost {
            payload_bytes: 3 * 65_536,
            retransmitted_bytes: 1_536,
            blocks_total: 10,
            blocks_known: 10,
            blocks_needed: 3,
            blocks_sent: 3,
            ..Cost::default()
        };
        Device {
            lane,
            port: port.to_owned(),
            cost: Some((cost, Duration::from_millis(1_250))),
            result,
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_device() {
        let lost = NxError::new(Reason::PortClosed, "the other side closed the link");
        let mut missing = device(3, "/dev/ttyUSB10", Err(NxError::new(Reason::PortBusy, "")));
        missing.cost = None;
        let devices = [
            device(1, "unix:/a", Ok(json!({}))),
            device(2, "unix:/b", Err(lost)),
            missing,
        ];
        assert_eq!(
            table(&devices),
            [
                "port           result     sent        blocks   there  again     time   reason",
                "unix:/a        installed  192.00 KiB  3 of 10  7      1.50 KiB  1.2 s",
                "unix:/b        failed     192.00 KiB  3 of 10  7      1.50 KiB  1.2 s  \
                 port.closed",
                "/dev/ttyUSB10  failed                                                  port.busy",
            ]
        );
    }

    #[test]
    fn a_record_has_what_a_single_run_has_and_how_it_ended() {
        let good = device(1, "unix:/a", Ok(json!({ "blocks_sent": 3 }))).record();
        assert_eq!(good["ok"], true);
        assert_eq!(good["code"], 0);
        assert_eq!(good["blocks_sent"], 3);
        let lost = NxError::new(Reason::PortClosed, "gone\n").fact("blocks_sent", 2);
        let bad = device(2, "unix:/b", Err(lost.hint("again"))).record();
        let want = json!({
            "port": "unix:/b", "lane": 2, "ok": false, "class": "delegate_failure", "code": 5,
            "message": "gone\u{fffd}", "reason": "port.closed", "hint": "again", "blocks_sent": 2,
        });
        assert_eq!(bad, want);
    }
}
