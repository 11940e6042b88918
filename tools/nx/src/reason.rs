use crate::exit::Exit;

/// Declares every reason for which `nx` ends badly: its name for scripts, and its exit class.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal => $exit:ident,)*) => {
        /// Why a run ended badly. Names are stable: scripts compare them.
        ///
        /// The same table, with what it means and what helps, is in
        /// `docs/provisioning/exit-codes.md`; a test compares the two.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every one, in the order of the table.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The exit class that it belongs to.
            pub(crate) const fn exit(self) -> Exit {
                match self { $(Self::$variant => Exit::$exit,)* }
            }
        }
    };
}

reasons! {
    // The command line and the configuration.
    UsageArguments = "usage.arguments" => Usage,
    UsageNoPort = "usage.no_port" => Usage,
    UsageNoState = "usage.no_state" => Usage,
    ConfigInvalid = "config.invalid" => Usage,
    ConfigUnreadable = "config.unreadable" => Internal,

    // Ports.
    PortBadSpec = "port.bad_spec" => Usage,
    PortUnknownScheme = "port.unknown_scheme" => Usage,
    PortUnknownLayer = "port.unknown_layer" => Usage,
    PortUnknownKey = "port.unknown_key" => Usage,
    PortAmbiguousKey = "port.ambiguous_key" => Usage,
    PortBadValue = "port.bad_value" => Usage,
    PortRemote = "port.remote" => Usage,
    PortNotAPort = "port.not_a_port" => ValidationReject,
    PortNotFound = "port.not_found" => MissingDependency,
    PortPermission = "port.permission" => MissingDependency,
    PortBusy = "port.busy" => DelegateFailure,
    PortRefused = "port.refused" => DelegateFailure,
    PortClosed = "port.closed" => DelegateFailure,
    PortTimedOut = "port.timed_out" => DelegateFailure,
    PortIo = "port.io" => DelegateFailure,
    PortBaudRefused = "port.baud_refused" => Unsupported,
    PortUnsupported = "port.unsupported" => Unsupported,

    // What a session is written to besides.
    EventsExists = "events.exists" => ValidationReject,
    EventsNotFound = "events.not_found" => MissingDependency,
    EventsUnwritable = "events.unwritable" => Internal,
    CaptureExists = "capture.exists" => ValidationReject,
    CaptureDamaged = "capture.damaged" => ValidationReject,
    CaptureDiverged = "capture.diverged" => ValidationReject,
    CaptureNotFound = "capture.not_found" => MissingDependency,
    CaptureElided = "capture.elided" => Unsupported,
    CaptureUnwritable = "capture.unwritable" => Internal,

    // The files that an image is sent from.
    SourceNotAFile = "source.not_a_file" => ValidationReject,
    SourceManifest = "source.manifest" => ValidationReject,
    SourceSignature = "source.signature" => ValidationReject,
    SourceMismatch = "source.mismatch" => ValidationReject,
    SourceChanged = "source.changed" => ValidationReject,
    KeyInvalid = "key.invalid" => ValidationReject,
    KeyExposed = "key.exposed" => ValidationReject,
    KeyExists = "key.exists" => ValidationReject,
    KeyRefused = "key.refused" => ValidationReject,
    SourceNotFound = "source.not_found" => MissingDependency,
    SourceUnreadable = "source.unreadable" => Internal,

    // Building an image.
    BuildNothing = "build.nothing" => Usage,
    BuildUnsigned = "build.unsigned" => Usage,
    BuildOutput = "build.output" => Usage,
    BuildFormat = "build.format" => ValidationReject,
    BuildInput = "build.input" => ValidationReject,
    BuildChanged = "build.changed" => ValidationReject,
    BuildSigner = "build.signer" => DelegateFailure,
    BuildEncode = "build.encode" => Internal,
    BuildIo = "build.io" => Internal,

    // The device.
    DeviceSignature = "device.signature" => ValidationReject,
    DeviceManifest = "device.manifest" => ValidationReject,
    DeviceBoard = "device.board" => ValidationReject,
    DeviceProfile = "device.profile" => ValidationReject,
    DeviceTooLarge = "device.too_large" => ValidationReject,
    DeviceKey = "device.key" => ValidationReject,
    DeviceStatePlace = "device.state_place" => ValidationReject,
    DeviceSlots = "device.slots" => ValidationReject,
    DeviceUnconfirmed = "device.unconfirmed" => ValidationReject,
    DeviceStateInUse = "device.state_in_use" => ValidationReject,
    DeviceDiffers = "device.differs" => ValidationReject,
    DeviceNothingInstalled = "device.nothing_installed" => MissingDependency,
    DeviceSilent = "device.silent" => DelegateFailure,
    DeviceNotFlashd = "device.not_flashd" => DelegateFailure,
    DeviceStalled = "device.stalled" => DelegateFailure,
    DeviceTakenOver = "device.taken_over" => DelegateFailure,
    DeviceProtocol = "device.protocol" => DelegateFailure,
    DeviceRefused = "device.refused" => DelegateFailure,
    DeviceReadBack = "device.read_back" => DelegateFailure,
    DeviceStorage = "device.storage" => DelegateFailure,
    DeviceStorageFull = "device.storage_full" => DelegateFailure,
    DeviceVersion = "device.version" => Unsupported,
    DeviceNoReboot = "device.no_reboot" => Unsupported,

    // Factory reset.
    ResetNeedsYes = "reset.needs_yes" => Usage,
    ResetRootNotDirectory = "reset.root_not_directory" => ValidationReject,
    ResetRootProtected = "reset.root_protected" => ValidationReject,
    ResetRootUnknown = "reset.root_unknown" => ValidationReject,
    ResetHardLink = "reset.hard_link" => ValidationReject,
    ResetKeptLink = "reset.kept_link" => ValidationReject,
    ResetMountPoint = "reset.mount_point" => ValidationReject,
    ResetImmutable = "reset.immutable" => ValidationReject,
    ResetReservedTaken = "reset.reserved_taken" => ValidationReject,
    ResetTooManyEntries = "reset.too_many_entries" => ValidationReject,
    ResetPlanStale = "reset.plan_stale" => ValidationReject,
    ResetLocked = "reset.locked" => ValidationReject,
    ResetFlashInProgress = "reset.flash_in_progress" => ValidationReject,
    ResetNoRoot = "reset.no_root" => MissingDependency,
    ResetNoMountTable = "reset.no_mount_table" => MissingDependency,
    ResetIo = "reset.io" => Internal,
    ResetStoppedMidway = "reset.stopped_midway" => Internal,
    ResetPreserveMismatch = "reset.preserve_mismatch" => Internal,

    // Everything else.
    RunInterrupted = "run.interrupted" => Internal,
    OutputFailed = "output.failed" => Internal,
    InternalUnexpected = "internal.unexpected" => Internal,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rows of the document: name and exit code.
    fn documented() -> Vec<(String, u8)> {
        include_str!("../../../docs/provisioning/exit-codes.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .filter_map(|(name, rest)| {
                let code = rest.split(" |").next()?.parse().ok()?;
                name.contains('.').then(|| (name.to_owned(), code))
            })
            .collect()
    }

    #[test]
    fn the_document_has_every_reason_and_no_other() {
        let rows = documented();
        let unique: BTreeSet<_> = rows.iter().collect();
        assert_eq!(unique.len(), rows.len(), "a reason is documented twice");
        for reason in Reason::ALL {
            let row = (reason.text().to_owned(), reason.exit().code());
            assert!(
                rows.contains(&row),
                "exit-codes.md lacks `{}` | {}",
                row.0,
                row.1
            );
        }
        let known: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.text()).collect();
        for (name, _) in &rows {
            assert!(
                known.contains(name.as_str()),
                "exit-codes.md has `{name}`, the code has not"
            );
        }
    }

    #[test]
    fn names_are_unique_and_of_one_form() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.text()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for name in names {
            let (group, rest) = name.split_once('.').unwrap();
            let is_word = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(is_word(group) && is_word(rest), "{name}");
        }
    }

    #[test]
    fn no_reason_ends_in_success() {
        assert!(
            Reason::ALL
                .iter()
                .all(|reason| reason.exit() != Exit::Success)
        );
    }
}
