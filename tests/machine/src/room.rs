//! The folder of a run.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use crate::error::{MachineError, Result};

/// A folder that goes with its value; of a run that failed, the logs stay.
///
/// Its path is short: a socket's has to fit in 108 bytes.
#[derive(Debug)]
pub struct Room {
    path: PathBuf,
    keep_logs: bool,
}

impl Room {
    /// A new, empty one.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("nxm").tempdir_in("/tmp");
        let dir = dir.map_err(MachineError::io("create a folder in", "/tmp"))?;
        Ok(Self {
            path: dir.keep(),
            keep_logs: false,
        })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Lets the logs stay, and says where.
    #[expect(
        clippy::print_stderr,
        reason = "who looks for the cause needs the path"
    )]
    pub fn keep_logs(&mut self) {
        if !self.keep_logs {
            eprintln!("logs: {}/*.log", self.path.display());
        }
        self.keep_logs = true;
    }

    fn remove_all_but_logs(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else if path.extension().is_none_or(|end| end != "log") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if thread::panicking() {
            self.keep_logs();
        }
        // What cannot be removed stays in a folder for temporary files.
        let _ = if self.keep_logs {
            self.remove_all_but_logs()
        } else {
            fs::remove_dir_all(&self.path)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_run_leaves_nothing_and_a_failed_one_its_logs() {
        let room = Room::new().unwrap();
        let path = room.root().to_owned();
        fs::write(room.path("disk.img"), "x").unwrap();
        drop(room);
        assert!(!path.exists());

        let mut room = Room::new().unwrap();
        let path = room.root().to_owned();
        fs::create_dir(room.path("tree")).unwrap();
        fs::write(room.path("disk.img"), "x").unwrap();
        fs::write(room.path("console.log"), "x").unwrap();
        room.keep_logs();
        drop(room);
        let left: Vec<_> = fs::read_dir(&path).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(path.join("console.log").exists());
        fs::remove_dir_all(path).unwrap();
    }
}
