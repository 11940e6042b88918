//! A file that appears whole where nothing was, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::secret::SecretKeyError;

/// A file on its way to its name. Until it has it, it lies beside, always under the same other
/// name: what a run that was killed has left there is replaced by the next one.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    /// Open, and so locked, for as long as somebody works on it.
    _file: File,
}

impl NewFile {
    /// Writes a durable file of these bytes and this mode beside `path`, where nothing is yet.
    pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<Self, SecretKeyError> {
        refuse_existing(path)?;
        let failed = |op| failed(op, path);
        let beside = beside(path);
        remove_left(&beside).map_err(failed("create"))?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)
            .map_err(failed("create"))?;
        let locked = lock(&file);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let new = Self {
            path: path.to_owned(),
            _file: file,
        };
        locked.map_err(failed("lock"))?;
        written.map_err(failed("write"))?;
        Ok(new)
    }

    /// The file of these bytes that another run left beside `path`, where nothing is yet.
    pub(super) fn left(path: &Path, bytes: &[u8]) -> Option<Self> {
        refuse_existing(path).ok()?;
        let beside = beside(path);
        let file = File::open(&beside).and_then(locked).ok()?;
        (fs::read(&beside).ok()? == bytes).then_some(Self {
            path: path.to_owned(),
            _file: file,
        })
    }

    /// Gives it its name, durably. What has the name already stays.
    pub(super) fn publish(self) -> Result<(), SecretKeyError> {
        let Self { path, .. } = &self;
        match rename_new(&beside(path), path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(SecretKeyError::Exists { path: path.clone() });
            }
            other => other.map_err(failed("create", path))?,
        }
        let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
        if synced.is_err() {
            let _ = fs::remove_file(path);
        }
        synced.map_err(failed("create", path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It has its name, or is of no use.
        let _ = fs::remove_file(beside(&self.path));
    }
}

/// Renames, and replaces nothing.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without that has links, or is one of neither.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(from, to),
        other => other.map_err(io::Error::from),
    }
}

fn refuse_existing(path: &Path) -> Result<(), SecretKeyError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(SecretKeyError::Exists {
            path: path.to_owned(),
        }),
        // Whatever else is wrong with it is found when it is written.
        Err(_) => Ok(()),
    }
}

/// Removes what a run that was killed has left; not what another one works on.
fn remove_left(beside: &Path) -> io::Result<()> {
    let left = match File::open(beside) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.and_then(locked)?,
    };
    fs::remove_file(beside)?;
    drop(left);
    Ok(())
}

fn locked(file: File) -> io::Result<File> {
    lock(&file).map(|()| file)
}

/// Locks it for as long as it is open, unless another one did or has removed it.
fn lock(file: &File) -> io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)?;
    if file.metadata()?.nlink() == 0 {
        return Err(ErrorKind::NotFound.into());
    }
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.nx-new"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

fn failed(op: &'static str, path: &Path) -> impl Fn(io::Error) -> SecretKeyError {
    move |source| SecretKeyError::Io {
        op,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn it_has_its_name_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let new = NewFile::write(&path, b"whole", 0o600).unwrap();
        assert_eq!(names(dir.path()), [".key.nx-new"]);
        new.publish().unwrap();
        assert_eq!(names(dir.path()), ["key"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn nothing_is_replaced_not_even_what_came_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let new = NewFile::write(&path, b"new", 0o600).unwrap();
        fs::write(&path, b"old").unwrap();
        for refused in [
            new.publish(),
            NewFile::write(&path, b"new", 0o600).map(drop),
        ] {
            assert!(
                matches!(refused, Err(SecretKeyError::Exists { .. })),
                "{refused:?}"
            );
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(names(dir.path()), ["key"]);
        }
    }

    #[test]
    fn what_was_left_is_replaced_and_what_is_worked_on_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(dir.path().join(".key.nx-new"), b"ha").unwrap();
        let new = NewFile::write(&path, b"whole", 0o600).unwrap();
        let second = NewFile::write(&path, b"other", 0o600);
        assert!(
            matches!(second, Err(SecretKeyError::Io { .. })),
            "{second:?}"
        );
        assert!(NewFile::left(&path, b"whole").is_none());
        new.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
