//! The command line.

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::{Parser, ValueEnum};
use nx_flash::device::Policy;
use nx_flash::storage::Layout;
use nx_image::Profile;
use nx_image::boot_record::Slot;
use nx_transport::PortSpec;

/// Receives signed OS images from `nx flash send`, proves every block, and installs them.
///
/// Nothing changes the target before the whole image has been received, proven against the signed
/// manifest and read back from the medium. Without --once it serves one session after another
/// until it is told to stop (SIGTERM, SIGINT).
#[derive(Debug, Parser)]
#[command(name = "flashd", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where hosts are: unix:/run/flash.sock?listen, /dev/virtio-ports/flash, /dev/ttyS0, ...
    #[arg(
        long,
        value_name = "PORT",
        env = "NX_PORT",
        required_unless_present = "confirm"
    )]
    pub(crate) port: Option<PortSpec>,
    /// File or block device that images are installed to; a missing file is created, but for ab
    #[arg(long, value_name = "PATH")]
    pub(crate) target: PathBuf,
    /// Folder for what survives a power cut; created if missing, used by one flashd at a time
    #[arg(long, value_name = "DIR", required_unless_present = "confirm")]
    pub(crate) journal: Option<PathBuf>,
    /// Public key that may sign images: PEM, or 64 hex digits; may be given more than once
    #[arg(long = "pub", value_name = "KEY")]
    pub(crate) keys: Vec<PathBuf>,
    /// Folder whose `*.pub` files are public keys that may sign images
    #[arg(long, value_name = "DIR", env = "NEXUS_ANCHORS_DIR")]
    pub(crate) anchors: Option<PathBuf>,
    /// How strictly a signed manifest is taken
    #[arg(long, value_enum, default_value_t = PolicyArg::Strict)]
    pub(crate) policy: PolicyArg,
    /// Board that this is; images for another one are refused
    #[arg(long, value_name = "ID", value_parser = board)]
    pub(crate) board: Option<String>,
    /// Profile of this device; a release device refuses dev images
    #[arg(long, value_enum, default_value_t = ProfileArg::Dev)]
    pub(crate) profile: ProfileArg,
    /// File that the next boot is written to; without it, reboot commands are refused
    #[arg(long, value_name = "FILE")]
    pub(crate) boot_record: Option<PathBuf>,
    /// Record everything that goes in and out as pcapng, for `nx flash replay`
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,
    /// Leave the image data out of the capture: it can be looked at, and not replayed
    #[arg(long, requires = "capture")]
    pub(crate) capture_elide: bool,
    /// Root of the state namespace: no factory reset begins in it meanwhile, and none is unfinished
    #[arg(long, value_name = "DIR", env = "NX_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// How images are installed [default: in-place for block devices, file for all else]
    #[arg(long, value_enum)]
    pub(crate) layout: Option<LayoutArg>,
    /// Slot that the running system was started from, with --layout ab [default: `nexus.slot=` of
    /// the kernel's command line; without, it runs from elsewhere]
    #[arg(long, value_name = "a|b", value_parser = Slot::from_str)]
    pub(crate) slot: Option<Slot>,
    /// With --layout ab: say that the running system is good, so that it is not on trial any more,
    /// and exit
    #[arg(long, requires = "layout", conflicts_with_all = ["once", "capture", "boot_record"])]
    pub(crate) confirm: bool,
    /// Serve one session, then exit: 0 if the host was done, 3 if it was refused, 5 if it broke off
    #[arg(long)]
    pub(crate) once: bool,
    /// Let tcp: serve other machines (nothing on the way is encrypted)
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

const EXAMPLES: &str = "\
Examples:
  flashd --port 'unix:/tmp/flash.sock?listen' --target disk.img --journal journal --pub os.pub
  flashd --port /dev/virtio-ports/flash --target /dev/vda --journal /state/flash --state /state \\
         --anchors /etc/nexus/anchors --board virt --profile release
  flashd --port /dev/virtio-ports/flash --layout ab --target /dev/vda --journal /run/flash \\
         --anchors /etc/nexus/anchors

Exit: 0 done or told to stop, 2 usage, 3 refused, 4 something is missing, 5 link or peer failed,
      6 not supported, 7 system or internal";

/// `--policy`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyArg {
    /// Another board, another profile or a key not allowed for it is refused
    Strict,
    /// Another board or profile is reported and taken
    Permissive,
    /// All three are reported and taken; the signature is still required
    AuditOnly,
}

impl From<PolicyArg> for Policy {
    fn from(arg: PolicyArg) -> Self {
        match arg {
            PolicyArg::Strict => Self::Strict,
            PolicyArg::Permissive => Self::Permissive,
            PolicyArg::AuditOnly => Self::AuditOnly,
        }
    }
}

/// `--profile`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileArg {
    /// Takes images of both profiles
    Dev,
    /// Takes release images only
    Release,
}

impl From<ProfileArg> for Profile {
    fn from(arg: ProfileArg) -> Self {
        match arg {
            ProfileArg::Dev => Self::Dev,
            ProfileArg::Release => Self::Release,
        }
    }
}

/// `--layout`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// Staged beside the target, which one rename replaces: old or new, always
    File,
    /// Written over the target; recovery has to come from elsewhere
    InPlace,
    /// Written to the slot that is not in use, of a disk with two: old or new, always
    Ab,
}

impl LayoutArg {
    /// The layout of a store in files, if it is one.
    pub(crate) const fn of_files(self) -> Option<Layout> {
        match self {
            Self::File => Some(Layout::File),
            Self::InPlace => Some(Layout::InPlace),
            Self::Ab => None,
        }
    }
}

/// A board's name, as manifests have it.
fn board(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("a board is 1 to 64 letters, digits, `.`, `_` and `-`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn boards_are_what_manifests_can_name() {
        assert_eq!(board("virt-1.0_a"), Ok("virt-1.0_a".to_owned()));
        assert!(board("").is_err());
        assert!(board("a b").is_err());
        assert!(board(&"x".repeat(65)).is_err());
    }
}
