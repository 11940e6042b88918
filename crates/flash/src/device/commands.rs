//! What a host may ask for, and when.

use alloc::format;
use alloc::string::{String, ToString as _};
use core::time::Duration;

use nx_image::limits::SEGMENTS_MAX;
use nx_image::manifest::Manifest;

use crate::device::config::DeviceConfig;
use crate::device::desk::Purpose;
use crate::device::event::Event;
use crate::device::keeps::Keeps;
use crate::device::offer::{Incoming, Refused, offer_len};
use crate::device::request::{Request, StoreStatus};
use crate::device::session::{Reboot, Stage};
use crate::device::state::Device;
use crate::device::transfer::say;
use crate::device::verify::Verify;
use crate::limits::BUSY_EVERY;
use crate::time::Instant;
use crate::wire::{DeviceInfo, FromDevice, FromHost, RejectCode};

/// Segments that may be asked for and not answered yet; a manifest has no more.
const ASKED_MAX: usize = SEGMENTS_MAX;
/// How long the answer to `REBOOT` may take to arrive before the device restarts anyway.
pub(super) const REBOOT_AFTER: Duration = Duration::from_secs(1);

impl Device {
    pub(super) fn message(&mut self, message: FromHost, now: Instant) -> Result<(), Refused> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let state = |what: &str| Err((RejectCode::State, what.to_string()));
        match (message, &mut session.stage) {
            (FromHost::Info, _) => {
                let info = info(&self.config, &self.status);
                say(&mut session.channel, &FromDevice::Info(info));
                Ok(())
            }
            (FromHost::Offer { bytes, flags }, stage) => {
                if matches!(stage, Stage::Transfer(transfer) if transfer.finish.is_some()) {
                    return state("an offer while the image before is being installed");
                }
                let detail = || (RejectCode::Limit, format!("an offer of {bytes} bytes"));
                let len = offer_len(bytes).ok_or_else(detail)?;
                self.desk.forget();
                if let Stage::Transfer(transfer) = stage {
                    transfer.abandon(&mut self.desk);
                }
                session.busy_at = None;
                session.asked_early.clear();
                session.has_refused = false;
                *stage = Stage::Offered {
                    flags,
                    incoming: Incoming::with_len(len),
                };
                Ok(())
            }
            (FromHost::Write { segment }, Stage::Transfer(transfer)) => {
                if transfer.finish.is_some() {
                    return state("WRITE while the image is being installed");
                }
                if transfer.asked.len() >= ASKED_MAX {
                    return Err(too_many_asked());
                }
                transfer.ask_for(&segment)
            }
            // It saves a round trip to ask before the offer is accepted.
            (FromHost::Write { segment }, Stage::Offered { .. } | Stage::Beginning(_)) => {
                if session.asked_early.len() >= ASKED_MAX {
                    return Err(too_many_asked());
                }
                session.asked_early.push(segment);
                Ok(())
            }
            (FromHost::Done { manifest }, Stage::Transfer(transfer)) => {
                if manifest != transfer.offer.digest {
                    let detail = format!("accepted {}, done {manifest}", transfer.offer.digest);
                    return Err((RejectCode::OtherManifest, detail));
                }
                if transfer.surveyed < transfer.map.segment_count() {
                    return state("DONE before WRITE was answered for every segment");
                }
                transfer.data_at = now;
                transfer.done(&mut self.desk);
                Ok(())
            }
            // It was under way when the offer was refused.
            (FromHost::Write { .. }, Stage::Idle) if session.has_refused => Ok(()),
            (FromHost::Write { .. } | FromHost::Done { .. }, _) => state("no manifest is accepted"),
            (FromHost::Verify, Stage::Idle) => {
                let nothing = || (RejectCode::NothingInstalled, String::new());
                let raw = self.status.installed.as_deref().ok_or_else(nothing)?;
                let manifest = Manifest::parse(raw)
                    .map_err(|error| (RejectCode::Storage, error.to_string()))?;
                let keeps = Keeps::of_installed(&self.status);
                let verify = Verify::new(raw, manifest, keeps, &mut self.desk);
                session.stage = Stage::Verifying(verify);
                session.busy_at = Some(now.after(BUSY_EVERY));
                Ok(())
            }
            (FromHost::Verify, _) => state("VERIFY in the middle of something else"),
            (FromHost::Reboot { target }, _) => {
                session.reboot = Some(Reboot {
                    target,
                    at: now.after(REBOOT_AFTER),
                    told: false,
                });
                self.desk.ask(Request::SetBoot(target), Purpose::Boot);
                Ok(())
            }
            (FromHost::Slots, _) => {
                let Some(slots) = &self.status.slots else {
                    return state("the device has no disk with two slots");
                };
                let told = slots.told.clone();
                say(&mut session.channel, &FromDevice::Slots(told));
                Ok(())
            }
            (FromHost::Abort { reason }, _) => {
                self.farewell();
                self.end(Some(Event::Ended(reason)));
                Ok(())
            }
        }
    }

    /// What was asked before the offer was accepted is asked now.
    pub(super) fn ask_early(&mut self) -> Result<(), Refused> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let Stage::Transfer(transfer) = &mut session.stage else {
            return Ok(());
        };
        for segment in core::mem::take(&mut session.asked_early) {
            transfer.ask_for(&segment)?;
        }
        transfer.pump(&mut session.channel, &mut self.desk);
        Ok(())
    }

    /// The host's farewell is acknowledged before the session is forgotten.
    pub(super) fn farewell(&mut self) {
        if let Some(session) = &mut self.session {
            self.last_words.clear();
            session.channel.urge();
            session
                .channel
                .poll_control(session.last_heard, &mut self.last_words);
        }
    }
}

/// What the device says of itself.
fn info(config: &DeviceConfig, status: &StoreStatus) -> DeviceInfo {
    let installed = status.installed.as_deref();
    let version = installed.and_then(|raw| Manifest::parse(raw).ok());
    DeviceInfo {
        agent: config.agent.clone(),
        board: config.board.clone().unwrap_or_default(),
        profile: config.profile,
        boot: config.boot,
        installed: installed.map(Manifest::digest_of),
        installed_version: version.map(|m| m.image.image_version).unwrap_or_default(),
        staged: status.staged,
        capacity: status.capacity,
        layout: status.layout.clone(),
        keys: config
            .keys
            .iter()
            .map(|key| key.fingerprint().to_string())
            .collect(),
    }
}

fn too_many_asked() -> Refused {
    let detail = format!("more than {ASKED_MAX} segments asked for at once");
    (RejectCode::Limit, detail)
}
