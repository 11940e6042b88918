//! Places with little room.

use std::ffi::{CString, OsStr};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A file system in memory that is soon full; it goes with its value.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many bytes at a folder that is there. `None`, and a line that says so, for
    /// those who may not mount.
    #[expect(clippy::panic, reason = "a test cannot go on without its folder")]
    pub fn mount(at: &Path, bytes: u64, claim: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            note(&format!("skipped, needs root: {claim}"));
            return None;
        }
        let size = CString::new(format!("size={bytes}")).unwrap_or_default();
        let mounted = mount("tmpfs", at, "tmpfs", MountFlags::empty(), size.as_c_str());
        mounted.unwrap_or_else(|error| panic!("cannot mount at {}: {error}", at.display()));
        Some(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A command that runs a program which may write no file longer than so many bytes.
pub fn with_file_limit<S: AsRef<OsStr>>(
    program: &Path,
    bytes: u64,
    args: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new("prlimit");
    command
        .arg(format!("--fsize={bytes}"))
        .arg("--")
        .arg(program)
        .args(args);
    command
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn note(text: &str) {
    eprintln!("{text}");
}
