use std::error::Error;
use std::io::{self, ErrorKind};

use nx_flash::capture::CaptureError;
use nx_flash::host::Failure;
use nx_flash::source::SourceError;
use nx_flash::wire::RejectCode;

use nx_transport::TransportError;

use super::NxError;
use super::image::{LONGER_FILES, SIGN};
use super::nx_error::chain;
use crate::reason::Reason;

const AGAIN: &str = "the same command again: it goes on where it stopped";

impl From<SourceError> for NxError {
    fn from(error: SourceError) -> Self {
        use SourceError as E;
        let (reason, hint) = match &error {
            E::NotAFile { .. } => (Reason::SourceNotAFile, None),
            E::NotSigned { .. } => (Reason::SourceNotFound, Some(SIGN)),
            E::Manifest { .. } => (
                Reason::SourceManifest,
                Some("the manifest that `nx image build` wrote beside the image"),
            ),
            E::Signature { .. } => (
                Reason::SourceSignature,
                Some("`--sig FILE` with the 64 bytes that `nx image build --sign` wrote"),
            ),
            E::NotVouchedFor { .. } => (
                Reason::SourceSignature,
                Some("the key that signed this manifest as --pub, or the manifest of that key"),
            ),
            E::Size { .. } | E::Segment { .. } | E::Gap { .. } => (
                Reason::SourceMismatch,
                Some("`nx image verify`, which says where; or the manifest of this very image"),
            ),
            E::Changed { .. } => (Reason::SourceChanged, Some(AGAIN)),
            E::Stopped { .. } => (Reason::RunInterrupted, None),
            E::Io { source, .. } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => (Reason::SourceNotFound, None),
                _ => (Reason::SourceUnreadable, None),
            },
            _ => (Reason::InternalUnexpected, None),
        };
        let error = Self::of(reason, &error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<CaptureError> for NxError {
    fn from(error: CaptureError) -> Self {
        use CaptureError as E;
        match &error {
            E::NoMachine { .. } => Self::of(Reason::CaptureDamaged, &error)
                .hint("a file that `--capture` of `nx flash send` or of `flashd` wrote"),
            E::Elided { .. } => Self::of(Reason::CaptureElided, &error)
                .hint("the same session with --capture alone, where its image may be shared"),
            E::Unreadable { source, .. } if is_missing(&**source) => {
                Self::of(Reason::CaptureNotFound, &error)
            }
            E::Damaged { .. } | E::Unreadable { .. } => Self::of(Reason::CaptureDamaged, &error),
            E::Io { source, .. } => match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    Self::of(Reason::CaptureNotFound, &error)
                }
                ErrorKind::AlreadyExists => {
                    Self::of(Reason::CaptureExists, &error).hint("another name as --capture")
                }
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                    Self::of(Reason::CaptureUnwritable, &error)
                        .hint("making room there, or another place as --capture")
                }
                ErrorKind::FileTooLarge => {
                    Self::of(Reason::CaptureUnwritable, &error).hint(LONGER_FILES)
                }
                _ => Self::of(Reason::CaptureUnwritable, &error),
            },
            _ => Self::of(Reason::InternalUnexpected, &error),
        }
    }
}

/// Whether what is behind an error is that there is no such file.
fn is_missing(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == ErrorKind::NotFound;
        }
        next = error.source();
    }
    false
}

/// Why a job on a device failed, as the user sees it.
pub(crate) fn failed(failure: &Failure) -> NxError {
    use Failure as F;
    let seconds = |millis: u64| millis.div_ceil(1_000);
    match failure {
        F::Rejected { code, detail } => rejected(*code, detail),
        F::Version { min, max } => NxError::new(
            Reason::DeviceVersion,
            format!("the device speaks versions {min} to {max} of the protocol, this nx version 1"),
        )
        .hint("an nx of the same age as the device's flashd"),
        F::Silent { millis } => NxError::new(
            Reason::DeviceSilent,
            format!("nothing answered for {} s", seconds(*millis)),
        )
        .hint("whether flashd runs on the device, and on this port"),
        F::NotADevice { bytes, echo } => {
            let came = format!("{bytes} bytes came, and no flashd answered");
            let (what, hint) = if *echo {
                (
                    "something else is on the line, and it echoes what is sent",
                    "whether flashd runs there instead of a login, and whether wires are joined",
                )
            } else {
                (
                    "something else is on the line",
                    "whether flashd runs on the device, on this port and at this speed",
                )
            };
            NxError::new(Reason::DeviceNotFlashd, format!("{came}: {what}")).hint(hint)
        }
        F::Stalled { millis } => NxError::new(
            Reason::DeviceStalled,
            format!("the device made no progress for {} s", seconds(*millis)),
        )
        .hint(AGAIN),
        F::TakenOver => NxError::new(
            Reason::DeviceTakenOver,
            "another host has taken the device over",
        )
        .hint("ending the other nx first"),
        F::Closed => NxError::new(Reason::PortClosed, "the other side closed the link").hint(AGAIN),
        F::Protocol(what) => NxError::new(
            Reason::DeviceProtocol,
            format!("the device breaks the protocol: {what}"),
        )
        .hint("the same with `--capture FILE`, for a bug report"),
        F::Source(why) => NxError::new(Reason::SourceChanged, why.clone()).hint(AGAIN),
        F::Stopped => NxError::new(Reason::RunInterrupted, "interrupted").hint(AGAIN),
    }
}

/// Why a job failed while its link was down.
pub(crate) fn link_lost(failure: &Failure, why: &TransportError) -> NxError {
    match failure {
        Failure::Silent { millis } | Failure::Stalled { millis } => NxError::new(
            Reason::PortClosed,
            format!(
                "the link closed, and did not come back: {}; nothing moved for {} s",
                chain(why),
                millis.div_ceil(1_000)
            ),
        )
        .hint(format!("a longer --give-up-after, or {AGAIN}")),
        _ => failed(failure),
    }
}

fn rejected(number: u16, detail: &str) -> NxError {
    let code = RejectCode::from_number(number);
    let what = code.map_or_else(|| format!("reason {number}"), |code| code.to_string());
    let message = if detail.is_empty() {
        format!("the device refused: {what}")
    } else {
        format!("the device refused: {what} ({detail})")
    };
    let reason = code.map_or(Reason::DeviceRefused, reason);
    let error = NxError::new(reason, message)
        .fact("reject_code", number)
        .fact("reject_detail", detail);
    let error = match code {
        Some(code) => error.fact("reject_label", code.label()),
        None => error,
    };
    match code.and_then(hint) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The class of a reject code. A code without an arm of its own is a broken protocol.
const fn reason(code: RejectCode) -> Reason {
    use RejectCode as C;
    match code {
        C::Version => Reason::DeviceVersion,
        C::Signature => Reason::DeviceSignature,
        C::Manifest => Reason::DeviceManifest,
        C::Board => Reason::DeviceBoard,
        C::Profile => Reason::DeviceProfile,
        C::TooLarge => Reason::DeviceTooLarge,
        C::Key => Reason::DeviceKey,
        C::StatePlace => Reason::DeviceStatePlace,
        C::Slots => Reason::DeviceSlots,
        C::Unconfirmed => Reason::DeviceUnconfirmed,
        C::StateInUse => Reason::DeviceStateInUse,
        C::ReadBack => Reason::DeviceReadBack,
        C::Storage => Reason::DeviceStorage,
        C::StorageFull => Reason::DeviceStorageFull,
        C::NothingInstalled => Reason::DeviceNothingInstalled,
        C::NoReboot => Reason::DeviceNoReboot,
        C::Session
        | C::UnknownKind
        | C::Malformed
        | C::State
        | C::Address
        | C::Limit
        | C::Digests
        | C::OtherManifest => Reason::DeviceProtocol,
    }
}

const fn hint(code: RejectCode) -> Option<&'static str> {
    use RejectCode as C;
    Some(match code {
        C::Version => "an nx of the same age as the device's flashd",
        C::Signature => "`nx flash info`, which lists the keys that the device trusts",
        C::Board => "an image for this board: `nx flash info` names it",
        C::Profile => "an image that was built with `--profile release`",
        C::TooLarge => "a smaller image: `nx flash info` says what fits",
        C::Key => "an image signed with a key that is not published",
        C::StatePlace => {
            "an image with the state where the device has it, or `--wipe-state`, \
             which gives up what users put on the device"
        }
        C::ReadBack => "another medium: this one does not keep what is written to it",
        C::StorageFull => "making room on the device, then the same command again",
        C::NothingInstalled => "`nx flash send` first",
        C::NoReboot => "starting flashd with `--boot-record FILE`",
        C::Slots => "an image that was built with `--slots 2` for a device with `--layout ab`",
        C::Unconfirmed => {
            "`flashd --confirm --layout ab` on the device if it works as it should, \
             or a restart if it does not"
        }
        C::StateInUse => "`nx flash reboot recovery` first, or `nx reset factory` on the device",
        C::Session
        | C::UnknownKind
        | C::Malformed
        | C::State
        | C::Address
        | C::Limit
        | C::Digests
        | C::OtherManifest => "the same with `--capture FILE`, for a bug report",
        C::Manifest | C::Storage => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::exit::Exit;

    use super::*;

    #[test]
    fn refusals_of_an_image_are_the_images_fault_and_change_nothing() {
        use RejectCode as C;
        for code in [
            C::Signature,
            C::Manifest,
            C::Board,
            C::Profile,
            C::TooLarge,
            C::Key,
        ] {
            let failure = Failure::Rejected {
                code: code.number(),
                detail: "why".into(),
            };
            let error = failed(&failure);
            assert_eq!(error.exit(), Exit::ValidationReject, "{code}");
            assert!(error.message().contains("why"));
        }
    }

    /// Every refusal of a device and every other failure, and what a script is told of it.
    #[test]
    fn every_reject_code_and_every_failure_has_its_reason() {
        let codes = RejectCode::ALL.map(|code| {
            let failure = Failure::Rejected {
                code: code.number(),
                detail: String::new(),
            };
            (code.label(), failed(&failure))
        });
        let others = [
            (
                "a code of tomorrow",
                Failure::Rejected {
                    code: 999,
                    detail: String::new(),
                },
            ),
            ("other versions", Failure::Version { min: 2, max: 3 }),
            ("silent", Failure::Silent { millis: 1 }),
            (
                "no device",
                Failure::NotADevice {
                    bytes: 1,
                    echo: false,
                },
            ),
            ("stalled", Failure::Stalled { millis: 1 }),
            ("taken over", Failure::TakenOver),
            ("closed", Failure::Closed),
            ("protocol", Failure::Protocol(String::new())),
            ("source", Failure::Source(String::new())),
            ("stopped", Failure::Stopped),
        ]
        .map(|(name, failure)| (name, failed(&failure)));
        let table: String = codes
            .iter()
            .chain(&others)
            .map(|(name, error)| {
                format!(
                    "{name}: {} {}\n",
                    error.reason().text(),
                    error.exit().code()
                )
            })
            .collect();
        assert_eq!(table, include_str!("../../tests/reasons/device.txt"));
    }

    #[test]
    fn a_code_of_tomorrow_is_a_failure_of_the_device_with_its_number() {
        let failure = Failure::Rejected {
            code: 999,
            detail: String::new(),
        };
        let error = failed(&failure);
        assert_eq!(error.exit(), Exit::DelegateFailure);
        assert_eq!(error.message(), "the device refused: reason 999");
    }

    #[test]
    fn silence_and_other_talk_are_told_apart() {
        let silent = failed(&Failure::Silent { millis: 30_001 });
        assert_eq!(silent.message(), "nothing answered for 31 s");
        assert_eq!(silent.reason(), Reason::DeviceSilent);
        let other = |echo| failed(&Failure::NotADevice { bytes: 12, echo });
        assert_eq!(other(false).reason(), Reason::DeviceNotFlashd);
        let text = "12 bytes came, and no flashd answered: something else is on the line";
        assert_eq!(other(false).message(), text);
        let echo = format!("{text}, and it echoes what is sent");
        assert_eq!(other(true).message(), echo);
    }
}
