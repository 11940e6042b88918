//! Files without a name, or with one that nobody takes for an output.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, linkat, open};
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile};

/// Names are this, six letters and digits, and the suffix.
const PREFIX: &str = ".nx-image-";
const SUFFIX: &str = ".part";
/// Links to the open files of a process.
const OPEN_FILES: &str = "/proc/self/fd";

/// A file that is gone with the process, however that ends, where the file system can do that.
/// Elsewhere it has a name, and a lock for as long as somebody works on it: what an earlier
/// build had to leave behind is removed by the next one.
#[derive(Debug)]
pub(super) enum Scrap {
    Nameless(File),
    Named(NamedTempFile),
}

impl Scrap {
    /// A new file in this folder.
    pub(super) fn begin(dir: &Path) -> io::Result<Self> {
        sweep(dir);
        if !Path::new(OPEN_FILES).is_dir() {
            return Self::named(dir);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(dir, flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => Ok(Self::Nameless(file.into())),
            // The file system, or the kernel, cannot.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::named(dir),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn named(dir: &Path) -> io::Result<Self> {
        loop {
            let file = builder()
                .permissions(Permissions::from_mode(0o644))
                .tempfile_in(dir)?;
            // Who swept before it was locked has removed it.
            if lock(file.as_file()) && file.as_file().metadata()?.nlink() > 0 {
                return Ok(Self::Named(file));
            }
        }
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Self::Nameless(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    pub(super) fn file_mut(&mut self) -> &mut File {
        match self {
            Self::Nameless(file) => file,
            Self::Named(file) => file.as_file_mut(),
        }
    }

    /// Gives it a name, in the place of what had it. The folder is that of [`begin`](Self::begin).
    pub(super) fn rename(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Named(file) => file.persist(path).map(drop).map_err(|error| error.error),
            Self::Nameless(file) => {
                lock(&file);
                // A link replaces nothing: it takes another name first.
                let open = format!("{OPEN_FILES}/{}", file.as_raw_fd());
                let linked = builder().make_in(super::outputs::folder_of(path), |name| {
                    linkat(CWD, &open, CWD, name, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
                })?;
                linked.persist(path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

fn builder<'a>() -> Builder<'a, 'a> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    builder
}

/// Removes what builds that were killed have left. What cannot be removed is in nobody's way.
fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !is_scrap(&entry.file_name()) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // Somebody works on those that are locked.
        if File::open(entry.path()).is_ok_and(|file| lock(&file)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_scrap(name: &OsStr) -> bool {
    let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    name.is_some_and(|rest| rest.ends_with(SUFFIX))
}

/// Locks it for as long as it is open, if nobody else has.
fn lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Both ways, wherever the test runs.
    fn both(dir: &Path) -> [Scrap; 2] {
        [Scrap::begin(dir).unwrap(), Scrap::named(dir).unwrap()]
    }

    #[test]
    fn a_scrap_replaces_what_has_the_name_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        for (scrap, content) in both(dir.path()).into_iter().zip(["first", "second"]) {
            rustix::io::write(scrap.file(), content.as_bytes()).unwrap();
            scrap.rename(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert!(names(dir.path()).contains(&"out".to_owned()));
        }
        assert_eq!(names(dir.path()), ["out"]);
    }

    #[test]
    fn a_scrap_that_comes_to_nothing_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        drop(both(dir.path()));
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_is_left_is_swept_and_what_is_worked_on_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let left = format!("{PREFIX}abcdef{SUFFIX}");
        let others = [".nx-image-notes", "x.part", ".nx-image.part"];
        for name in others.into_iter().chain([left.as_str()]) {
            fs::write(dir.path().join(name), b"content").unwrap();
        }
        let at_work = Scrap::named(dir.path()).unwrap();
        drop(Scrap::begin(dir.path()).unwrap());
        assert!(!dir.path().join(&left).exists());
        let found = names(dir.path());
        let kept = |name: &&str| found.contains(&(*name).to_owned());
        assert!(others.iter().all(kept), "{found:?}");
        assert_eq!(found.len(), 4, "{found:?}");
        drop(at_work);
        assert_eq!(names(dir.path()).len(), 3);
    }
}
