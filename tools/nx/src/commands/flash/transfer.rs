//! One image to one device: what the sending of it needs, and what came of it.

use std::time::Duration;

use nx_flash::host::{Event, Job, Progress as Cost};
use nx_flash::source::SignedManifest;
use nx_flash::wire::OfferFlags;
use nx_image::{Digest, Manifest, PublicKey};
use serde_json::{Value, json};

use super::device_port::DevicePort;
use super::session;
use super::shared_image::SharedImage;
use crate::error::NxError;
use crate::interrupt::Interrupt;
use crate::output::Ui;
use crate::reason::Reason;
use crate::size::size;

/// An image that is to be sent, to one device or to many.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) signed: SignedManifest,
    pub(crate) image: SharedImage,
    /// What a device in this process trusts.
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) flags: OfferFlags,
    pub(crate) chunk_bytes: u32,
}

/// What came of a session with a device.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The members of a device in the JSON envelope.
    pub(crate) data: Value,
    pub(crate) cost: Cost,
    pub(crate) elapsed: Duration,
    /// Whether a device was there at all.
    pub(crate) met: bool,
    /// Whether it is installed, or why it is not; the error has [the data](Self::data) too.
    pub(crate) result: Result<Installed, NxError>,
}

/// An image that a device has installed and read back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Installed {
    pub(crate) manifest: Digest,
    pub(crate) state_kept: bool,
}

impl Transfer {
    /// Sends the image to the device behind `port`.
    ///
    /// # Errors
    /// What is in the way of a session.
    pub(crate) fn send(
        &self,
        port: &DevicePort,
        interrupt: &Interrupt,
        ui: &mut Ui,
    ) -> Result<Sent, NxError> {
        let job = Job::Send {
            manifest: self.signed.bytes.clone(),
            signature: self.signed.signature.clone(),
            flags: self.flags,
            chunk_bytes: self.chunk_bytes,
        };
        let ended = session::run(port, &self.keys, job, Some(&self.image), interrupt, ui)?;
        let manifest = &self.signed.manifest;
        let mut data = facts(manifest, &ended.cost, ended.elapsed);
        add(&mut data, "reconnects", ended.reconnects);
        add(&mut data, "baud", ended.baud);
        let result = match ended.result {
            Err(error) => Err(error.facts(data.clone())),
            Ok(Event::Installed {
                manifest: digest,
                installed,
                state_kept,
            }) => {
                add(&mut data, "manifest_sha256", digest.to_string());
                add(&mut data, "installed_sha256", installed.to_string());
                add(&mut data, "state_kept", state_kept);
                add(&mut data, "segments_kept", names(manifest, &ended.kept));
                add(&mut data, "board", ended.board.clone());
                let signer = self.signed.signer.map(|signer| signer.to_string());
                add(&mut data, "signer", signer);
                Ok(Installed {
                    manifest: digest,
                    state_kept,
                })
            }
            Ok(_) => {
                let text = "the device answered something else than was asked";
                Err(NxError::new(Reason::DeviceProtocol, text))
            }
        };
        Ok(Sent {
            data,
            cost: ended.cost,
            elapsed: ended.elapsed,
            met: ended.met,
            result,
        })
    }

    /// The last line of a run that has installed the image.
    pub(crate) fn installed_line(&self, digest: &Digest) -> String {
        let version = &self.signed.manifest.image.image_version;
        format!("installed and read back: version {version}, manifest {digest}")
    }
}

fn add(data: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(members) = data {
        members.insert(name.to_owned(), value.into());
    }
}

fn names(manifest: &Manifest, indices: &[u8]) -> Vec<String> {
    let segment = |index: &u8| manifest.segments.get(usize::from(*index));
    indices
        .iter()
        .filter_map(segment)
        .map(|segment| segment.name.clone())
        .collect()
}

/// What a transfer was about and what it cost, whether it came to its end or not.
fn facts(manifest: &Manifest, cost: &Cost, elapsed: Duration) -> Value {
    json!({
        "image_sha256": manifest.image.sha256.to_string(),
        "image_bytes": manifest.image.size,
        "image_version": manifest.image.image_version,
        "payload_bytes": cost.payload_bytes,
        "wire_bytes": cost.wire_bytes,
        "retransmitted_bytes": cost.retransmitted_bytes,
        "received_bytes": cost.received_bytes,
        "damaged_frames": cost.damaged_frames,
        "blocks_total": cost.blocks_total,
        "blocks_sent": cost.blocks_sent,
        "blocks_packed": cost.blocks_packed,
        "blocks_skipped": cost.blocks_skipped(),
        "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    })
}

/// What a transfer cost, in one line.
pub(crate) fn cost_line(cost: &Cost, elapsed: Duration) -> String {
    let there = cost.blocks_skipped();
    let seconds = elapsed.as_secs_f64();
    let (sent, total) = (cost.blocks_sent, cost.blocks_total);
    let had = match there {
        0 => String::new(),
        there => format!(", {there} were there"),
    };
    let again = match cost.retransmitted_bytes {
        0 => String::new(),
        bytes => format!(", {} sent again", size(bytes)),
    };
    let payload = size(cost.payload_bytes);
    format!("{sent} of {total} blocks sent{had}; {payload} in {seconds:.1} s{again}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_transfer_is_told_in_one_line() {
        let mut cost = Cost {
            payload_bytes: 3 * 65_536,
            retransmitted_bytes: 1_536,
            blocks_total: 10,
            blocks_known: 10,
            blocks_needed: 3,
            blocks_sent: 3,
            ..Cost::default()
        };
        let elapsed = Duration::from_millis(1_250);
        assert_eq!(
            cost_line(&cost, elapsed),
            "3 of 10 blocks sent, 7 were there; 192.00 KiB in 1.2 s, 1.50 KiB sent again"
        );
        cost.blocks_needed = 10;
        cost.blocks_sent = 10;
        cost.retransmitted_bytes = 0;
        assert_eq!(
            cost_line(&cost, elapsed),
            "10 of 10 blocks sent; 192.00 KiB in 1.2 s"
        );
    }
}
