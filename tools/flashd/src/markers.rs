//! The lines that `flashd` says on standard output, each once it is true.
//!
//! Test harnesses and the OS's own services wait for these; their form does not change.

use std::io::Write;

use nx_flash::device::Event;
use nx_flash::wire::AbortReason;
use nx_image::boot_record::Slot;

/// Says markers, one line each, out at once.
///
/// What cannot be said does not keep the device from serving.
pub(crate) struct Markers<W> {
    out: W,
}

impl<W: Write> Markers<W> {
    pub(crate) const fn to(out: W) -> Self {
        Self { out }
    }

    /// The port is open and the storage is ready.
    pub(crate) fn ready(&mut self) {
        self.say("flashd: ready");
    }

    /// The slot on trial has no tries left, and this one runs again.
    pub(crate) fn fell_back(&mut self, slot: Slot) {
        self.say(&format!("flashd: fell back to slot {slot}"));
    }

    /// The slot is known to be good.
    pub(crate) fn confirmed(&mut self, slot: Slot) {
        self.say(&format!("flashd: slot {slot} confirmed"));
    }

    /// What the machine told, if there is a marker for it.
    pub(crate) fn event(&mut self, event: &Event) {
        if let Some(line) = line(event) {
            self.say(&line);
        }
    }

    fn say(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }
}

fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Hello { host, version, .. } => {
            format!("flashd: hello host={} proto={version}", word(host))
        }
        Event::Accepted {
            manifest,
            image_version,
            resumed,
        } => {
            let resumed = if *resumed { "yes" } else { "no" };
            let version = word(image_version);
            format!("flashd: accepted manifest={manifest} version={version} resumed={resumed}")
        }
        Event::SegmentWritten { name, bytes } => {
            format!("flashd: wrote seg={} bytes={bytes}", word(name))
        }
        Event::BaudChanged { baud } => format!("flashd: line baud={baud}"),
        Event::Slots(None) => "flashd: disk not provisioned".to_owned(),
        Event::Slots(Some(slots)) => match slots.tries {
            Some(1) => format!("flashd: slot {} on trial (1 try)", slots.on_trial()),
            Some(tries) => format!("flashd: slot {} on trial ({tries} tries)", slots.on_trial()),
            None => format!("flashd: slot {} confirmed", slots.confirmed),
        },
        Event::VerifyOk => "flashd: verify ok".to_owned(),
        Event::Installed { .. } => "flashd: installed".to_owned(),
        Event::Rejected { code, detail } => {
            let detail = if detail.is_empty() { "-" } else { detail };
            format!("flashd: rejected code={} detail={detail}", code.label())
        }
        Event::Reboot(target) => format!("rebootd: next-boot={}", target.as_str()),
        Event::Ended(reason) => ended(match reason {
            AbortReason::Finished => "finished",
            AbortReason::Operator => "operator",
            AbortReason::Failed => "failed",
        }),
        Event::Superseded => ended("superseded"),
        Event::TimedOut => ended("silent"),
        Event::Closed => ended("closed"),
        _ => return None,
    })
}

fn ended(reason: &str) -> String {
    format!("flashd: session ended reason={reason}")
}

/// A value of a marker: spaces would let a host forge the fields that follow it.
fn word(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use nx_flash::wire::{BootTarget, RejectCode};
    use nx_image::Digest;

    use super::*;

    fn said(events: &[Event]) -> String {
        let mut out = Vec::new();
        let mut markers = Markers::to(&mut out);
        markers.ready();
        for event in events {
            markers.event(event);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn markers_are_those_that_the_os_waits_for() {
        let events = [
            Event::Hello {
                host: "nx".into(),
                version: 1,
                session: 65_537,
            },
            Event::SegmentWritten {
                name: "rootfs".into(),
                bytes: 4_096,
            },
            Event::VerifyOk,
            Event::Installed {
                manifest: Digest::of(b""),
            },
            Event::Rejected {
                code: RejectCode::Board,
                detail: "virt, not rpi4".into(),
            },
            Event::Reboot(BootTarget::Recovery),
            Event::Ended(AbortReason::Finished),
        ];
        assert_eq!(
            said(&events),
            "flashd: ready\n\
             flashd: hello host=nx proto=1\n\
             flashd: wrote seg=rootfs bytes=4096\n\
             flashd: verify ok\n\
             flashd: installed\n\
             flashd: rejected code=board detail=virt, not rpi4\n\
             rebootd: next-boot=recovery\n\
             flashd: session ended reason=finished\n"
        );
    }

    #[test]
    fn a_host_cannot_forge_a_marker() {
        let host = "x proto=9\nflashd: installed".to_owned();
        let hello = Event::Hello {
            host,
            version: 1,
            session: 1,
        };
        assert_eq!(
            said(&[hello]),
            "flashd: ready\nflashd: hello host=x_proto=9_flashd:_installed proto=1\n"
        );
    }
}
