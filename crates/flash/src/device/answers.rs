//! What the store's answers lead to.

use alloc::boxed::Box;

use crate::device::commands::REBOOT_AFTER;
use crate::device::desk::Purpose;
use crate::device::event::Event;
use crate::device::finish::{Finished, say_installed};
use crate::device::offer::Refused;
use crate::device::request::{Outcome, Request, StoreStatus};
use crate::device::session::{Reboot, Session, Stage};
use crate::device::state::Device;
use crate::device::transfer::{Transfer, failed, say};
use crate::limits::BUSY_EVERY;
use crate::time::Instant;
use crate::wire::FromDevice;

impl Device {
    pub(super) fn answered(
        &mut self,
        purpose: Purpose,
        outcome: Outcome,
        now: Instant,
    ) -> Result<(), Refused> {
        if purpose == Purpose::Status {
            if let Outcome::Status(status) = outcome {
                let told = |status: &StoreStatus| status.slots.as_ref().map(|s| s.told.clone());
                let news = told(&status).filter(|new| Some(new) != self.told_slots.as_ref());
                if let Some(slots) = news {
                    self.told_slots = Some(slots.clone());
                    self.desk.tell(Event::Slots(slots));
                }
                self.status = status;
            }
            return Ok(());
        }
        if purpose == Purpose::Speed {
            self.speed
                .done(outcome == Outcome::Speed { held: true }, now);
            return Ok(());
        }
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        if purpose == Purpose::Boot {
            let Some(Reboot { target, .. }) = session.reboot else {
                return Ok(());
            };
            if let Some(refused) = failed(&outcome) {
                session.reboot = None;
                return Err(refused);
            }
            say(&mut session.channel, &FromDevice::Rebooting { target });
            session.reboot = Some(Reboot {
                target,
                at: now.after(REBOOT_AFTER),
                told: true,
            });
            return Ok(());
        }
        if let Some(refused) = failed(&outcome) {
            return Err(refused);
        }
        if purpose == Purpose::Begin {
            self.begun(outcome == Outcome::Began { resumed: true }, now);
            return self.ask_early();
        }
        let Session { channel, stage, .. } = session;
        match (purpose, stage) {
            (Purpose::Survey, Stage::Transfer(transfer)) => {
                transfer.surveyed(outcome, channel, &mut self.desk)?;
            }
            (Purpose::Prove(number), Stage::Transfer(transfer)) => {
                let page = match outcome {
                    Outcome::Bytes(page) => page,
                    _ => None,
                };
                transfer.prove(number, page, channel, &mut self.desk)?;
                transfer.go_on(&mut self.desk);
            }
            (Purpose::Ahead(segment, page), Stage::Transfer(transfer)) => {
                transfer.page_ahead = None;
                if let Outcome::Bytes(Some(bytes)) = outcome {
                    transfer.take_page(segment, page, bytes);
                }
            }
            (Purpose::Written(number), Stage::Transfer(transfer)) => {
                transfer.written(number, now, &mut self.desk);
                let (received, durable) = (transfer.received, transfer.durable);
                channel.set_grant(transfer.window_bytes, received, durable);
                transfer.go_on(&mut self.desk);
            }
            (Purpose::Synced(received), Stage::Transfer(transfer)) => {
                transfer.synced(received);
                let durable = transfer.durable;
                channel.set_grant(transfer.window_bytes, transfer.received, durable);
            }
            (Purpose::Finish, Stage::Transfer(transfer)) => {
                if let Finished::Installed = transfer.finished(outcome, channel, &mut self.desk)? {
                    self.installed();
                }
            }
            (Purpose::Verify, Stage::Verifying(verify)) => {
                let told = verify.read(outcome, channel, &mut self.desk);
                if told {
                    self.verified();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The store is ready for the image: the manifest counts as accepted.
    fn begun(&mut self, resumed: bool, now: Instant) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Stage::Beginning(offer) = &mut session.stage else {
            return;
        };
        let Some(offer) = offer.take() else { return };
        for code in &offer.tolerated {
            self.desk.tell(Event::Tolerated(*code));
        }
        self.desk.tell(Event::Accepted {
            manifest: offer.digest,
            image_version: offer.manifest.image.image_version.clone(),
            resumed,
        });
        say(&mut session.channel, &FromDevice::Accepted);
        let installed = self.status.installed.as_deref();
        let window = self.config.window_bytes;
        let transfer = Transfer::new(offer, installed, resumed, window);
        session.channel.set_grant(transfer.window_bytes, 0, 0);
        session.stage = Stage::Transfer(Box::new(transfer));
        session.busy_at = Some(now.after(BUSY_EVERY));
    }

    /// The offered image is installed now.
    pub(super) fn installed(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Stage::Transfer(transfer) = &session.stage else {
            return;
        };
        say_installed(transfer, &mut session.channel);
        self.desk.tell(Event::Installed {
            manifest: transfer.offer.digest,
        });
        session.stage = Stage::Idle;
        session.busy_at = None;
        self.desk.ask(Request::Status, Purpose::Status);
    }

    fn verified(&mut self) {
        if let Some(session) = &mut self.session {
            session.stage = Stage::Idle;
            session.busy_at = None;
        }
    }
}
