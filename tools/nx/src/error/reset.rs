use std::io::ErrorKind;

use nx_reset::{Protected, ResetError};

use super::NxError;
use crate::reason::Reason;

impl From<ResetError> for NxError {
    fn from(error: ResetError) -> Self {
        let cause = reason(error.cause());
        let reason = match (&error, cause) {
            (_, Reason::ResetPreserveMismatch) => cause,
            (ResetError::Midway { .. }, _) => Reason::ResetStoppedMidway,
            _ => cause,
        };
        let hint = hint(&error);
        let resume = error.resume_required();
        let error = Self::of(reason, &error).fact("resume_required", resume);
        let error = if resume {
            error.fact("cause", cause.text())
        } else {
            error
        };
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn reason(error: &ResetError) -> Reason {
    use ResetError as E;
    match error {
        E::NoRoot { .. } => Reason::ResetNoRoot,
        E::RootNotDirectory { .. } => Reason::ResetRootNotDirectory,
        E::RootProtected { .. } => Reason::ResetRootProtected,
        E::RootUnknown { .. } => Reason::ResetRootUnknown,
        E::HardLink { .. } => Reason::ResetHardLink,
        E::KeptLink { .. } => Reason::ResetKeptLink,
        E::MountPoint { .. } => Reason::ResetMountPoint,
        E::Immutable { .. } => Reason::ResetImmutable,
        E::ReservedTaken { .. } => Reason::ResetReservedTaken,
        E::TooManyEntries { .. } | E::TooManyKept { .. } => Reason::ResetTooManyEntries,
        E::PlanStale { .. } => Reason::ResetPlanStale,
        E::Locked { .. } => Reason::ResetLocked,
        E::FlashInProgress => Reason::ResetFlashInProgress,
        E::NoMountTable { .. } => Reason::ResetNoMountTable,
        E::KeptChanged { .. } => Reason::ResetPreserveMismatch,
        E::Io { .. } => Reason::ResetIo,
        E::Midway { .. } | E::KeepsGrowing { .. } => Reason::ResetStoppedMidway,
        _ => Reason::InternalUnexpected,
    }
}

fn hint(error: &ResetError) -> Option<String> {
    use ResetError as E;
    let again = if error.resume_required() {
        ", then the same command again to finish"
    } else {
        ""
    };
    let text = match error.cause() {
        E::NoRoot { .. } | E::RootUnknown { .. } => {
            "`--state DIR` with the directory that holds apps, content and settings".to_owned()
        }
        E::RootNotDirectory { .. } => "the directory itself as --state".to_owned(),
        E::RootProtected {
            what: Protected::WorkingDirectory,
            ..
        }
        | E::RootProtected {
            what: Protected::AboveWorkingDirectory,
            ..
        } => "`cd /`, and the full path as --state".to_owned(),
        E::HardLink { .. } => "removing the other name of that file".to_owned(),
        E::KeptLink { .. } => "putting the directory itself in its place".to_owned(),
        E::MountPoint { path } => format!("`umount` what is mounted at {path}{again}"),
        E::Immutable { path } => format!("`chattr -i -a` on {path}{again}"),
        E::ReservedTaken { .. } => "moving it away".to_owned(),
        E::PlanStale { .. } => "the same command again".to_owned(),
        E::Locked { .. } | E::FlashInProgress => "again when the other is done".to_owned(),
        E::NoMountTable { .. } => "`mount -t proc proc /proc`".to_owned(),
        E::KeptChanged { .. } => {
            "finding out what writes to the kept set before trusting this device; the same command \
             again finishes the reset"
                .to_owned()
        }
        E::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            format!("as the owner of the state, or as root{again}")
        }
        E::Io { source, .. } if source.kind() == ErrorKind::StorageFull => {
            format!("making room for a few KiB{again}")
        }
        _ if error.resume_required() => "the same command again to finish".to_owned(),
        _ => return None,
    };
    Some(text)
}
