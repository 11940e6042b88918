//! Where one run takes place: what it works on, and what was said.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Result, Trouble};

/// How the names of all rooms begin, so that a message can be told to name a place in one.
pub(crate) const PREFIX: &str = "nx-syscalls-";

/// A folder that goes when the run is over.
#[derive(Debug)]
pub(crate) struct Room {
    dir: TempDir,
}

impl Room {
    /// An empty one, in memory where the system has such a place: a killed process loses nothing
    /// that a disk would keep, and a disk makes a run slow.
    pub(crate) fn new() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let dir = TempDir::with_prefix_in(PREFIX, &base)
            .map_err(Trouble::io("create a folder in", &base))?;
        let room = Self { dir };
        for folder in [room.work(), room.kept(), room.path("log")] {
            fs::create_dir(&folder).map_err(Trouble::io("create", &folder))?;
        }
        Ok(room)
    }

    /// One that begins as `other` is.
    pub(crate) fn like(other: &Self) -> Result<Self> {
        let room = Self::new()?;
        copy_tree(&other.work(), &room.work())?;
        copy_tree(&other.kept(), &room.kept())?;
        Ok(room)
    }

    /// What the programs work on.
    pub(crate) fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// What they must not see: how things have to be.
    pub(crate) fn kept(&self) -> PathBuf {
        self.path("kept")
    }

    /// A file of what was said.
    pub(crate) fn log(&self, name: &str, ending: &str) -> PathBuf {
        self.path("log").join(format!("{name}.{ending}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Copies what is in a folder, with modes; sockets stay behind.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let list = fs::read_dir(from).map_err(Trouble::io("list", from))?;
    for entry in list {
        let entry = entry.map_err(Trouble::io("list", from))?;
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Trouble::io("look at", &old))?;
        if kind.is_dir() {
            fs::create_dir(&new).map_err(Trouble::io("create", &new))?;
            copy_tree(&old, &new)?;
            let mode = entry.metadata().map_err(Trouble::io("look at", &old))?;
            let mode = fs::Permissions::from_mode(mode.permissions().mode());
            fs::set_permissions(&new, mode).map_err(Trouble::io("set the mode of", &new))?;
        } else if kind.is_symlink() {
            let to = fs::read_link(&old).map_err(Trouble::io("read", &old))?;
            symlink(to, &new).map_err(Trouble::io("create", &new))?;
        } else if kind.is_file() {
            fs::copy(&old, &new).map_err(Trouble::io("copy", &old))?;
        }
    }
    Ok(())
}
