//! One end of a line: a pseudo-terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// The master of a pseudo-terminal whose other side programs open.
#[derive(Debug)]
pub(crate) struct End {
    master: OwnedFd,
    path: PathBuf,
    /// Held open so that nobody's going is seen as a hang-up, as on three wires.
    _slave: OwnedFd,
}

impl End {
    /// A pseudo-terminal in raw mode, set to that speed.
    pub(crate) fn open(baud: u32) -> Result<Self, Errno> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(ptsname(&master, Vec::new())?.to_string_lossy().into_owned());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(&path, flags, Mode::empty())?;
        let mut mode = tcgetattr(&slave)?;
        mode.make_raw();
        mode.set_speed(baud)?;
        tcsetattr(&slave, OptionalActions::Now, &mode)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        Ok(Self {
            master,
            path,
            _slave: slave,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// The speed that its terminal is set to, in baud. (On Linux the master shows the settings of
    /// the other side.)
    pub(crate) fn baud(&self) -> Result<u32, Errno> {
        Ok(tcgetattr(&self.master)?.output_speed())
    }

    /// Reads what was written to it, as far as it is there.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        later(rustix::io::read(&self.master, buffer))
    }

    /// Hands over as much as the system takes.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        later(rustix::io::write(&self.master, bytes))
    }
}

fn later(moved: Result<usize, Errno>) -> Result<usize, Errno> {
    match moved {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        other => other,
    }
}
