use std::process::ExitCode;

/// How a run of `nx` ended: the classes that the OS's own `nx` uses.
///
/// `docs/provisioning/exit-codes.md` says which condition belongs to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It did what was asked.
    Success,
    /// The command line or the configuration is wrong, or lacks something.
    Usage,
    /// What was given was looked at and refused; nothing changed.
    ValidationReject,
    /// Something that has to be there is not.
    MissingDependency,
    /// The device or the link failed.
    DelegateFailure,
    /// This build, platform or device cannot do it.
    Unsupported,
    /// The system refused, someone interrupted, or the fault is ours.
    Internal,
}

impl Exit {
    /// The process exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Usage => 2,
            Self::ValidationReject => 3,
            Self::MissingDependency => 4,
            Self::DelegateFailure => 5,
            Self::Unsupported => 6,
            Self::Internal => 7,
        }
    }

    /// The word for it in the JSON envelope.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Usage => "usage",
            Self::ValidationReject => "validation_reject",
            Self::MissingDependency => "missing_dependency",
            Self::DelegateFailure => "delegate_failure",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
