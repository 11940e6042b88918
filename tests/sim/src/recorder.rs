//! Does what storage and reset ask for on a real folder, and writes it down.

mod disk;
mod reset_ops;

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nx_flash::storage::{Create, Ops, System};

use crate::fault::{Fault, Strike};
use crate::medium::Medium;
use crate::promises::Promise;
use crate::tree::{Inode, ROOT, Step, Tree};

pub(crate) use disk::RecordedDisk;

thread_local! {
    static LEFT_OUT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Has the code under test, as far as this thread runs it, never sync what has this name.
pub(crate) fn leave_out_syncs_of(name: Option<&'static str>) {
    LEFT_OUT.set(name);
}

/// What happened, in order.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Changed(Step),
    Synced(Inode),
    SyncFailed(Inode),
    /// The cache lets go of what a failed sync left in it.
    Forgot(Inode),
    /// Somebody was told something, who holds us to it from here on.
    Told(Promise),
}

impl Entry {
    /// In a few words.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Changed(Step::Write {
                file,
                offset,
                bytes,
            }) => format!("write {} bytes at {offset} of {file}", bytes.len()),
            other => format!("{other:?}"),
        }
    }
}

/// A folder of the real system whose every change is known.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    place: PathBuf,
    numbers: HashMap<u64, Inode>,
    live: Tree,
    medium: Medium,
    log: Vec<Entry>,
    fault: Option<Fault>,
    operations: usize,
    lies: bool,
}

impl Recorder {
    /// Puts `tree` into the empty folder at `place`, where everything of it is durable.
    pub(crate) fn on(place: &Path, tree: &Tree) -> Self {
        let numbers = tree.lay_out(place).expect("there is room in memory");
        Self(Arc::new(Mutex::new(Inner {
            place: place.to_owned(),
            numbers,
            live: tree.clone(),
            medium: Medium::of(tree.clone()),
            log: Vec::new(),
            fault: None,
            operations: 0,
            lies: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has operations fail, or none any more.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
    }

    /// Nothing fails any more; whether something did is still known.
    pub(crate) fn fail_no_more(&self) {
        if let Some(fault) = &mut self.lock().fault {
            fault.at = usize::MAX;
        }
    }

    /// Has every sync do nothing and say that it did, from here on.
    pub(crate) fn lie(&self) {
        self.lock().lies = true;
    }

    /// Somebody is told something.
    pub(crate) fn tell(&self, promise: Promise) {
        self.lock().log.push(Entry::Told(promise));
    }

    /// What happened so far.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.lock().log.clone()
    }

    /// Whether the operation that was to fail has come.
    pub(crate) fn has_struck(&self) -> bool {
        self.lock().fault.is_some_and(|fault| fault.has_struck)
    }

    /// What a look at the folder shows.
    pub(crate) fn live(&self) -> Tree {
        self.lock().live.clone()
    }

    /// That nothing changed the folder behind our back, but for what does not matter.
    pub(crate) fn check(&self, place: &Path) -> Result<(), String> {
        let mut real = Tree::of(place).map_err(|error| error.to_string())?;
        let mut live = self.live();
        real.cut_off("journal/lock");
        live.cut_off("journal/lock");
        if real.digest() == live.digest() {
            return Ok(());
        }
        let (real, live) = (real.entries(), live.entries());
        let differing = real
            .iter()
            .filter(|(path, bytes)| live.get(*path) != Some(bytes))
            .chain(live.iter().filter(|(path, _)| !real.contains_key(*path)))
            .map(|(path, _)| path.as_str());
        Err(format!(
            "changed behind the recorder's back: {}",
            differing.collect::<Vec<_>>().join(", ")
        ))
    }
}

impl Inner {
    /// Counts an operation, and says how it is to fail.
    fn strike(&mut self) -> Option<Strike> {
        let number = self.operations;
        self.operations += 1;
        self.fault.as_mut()?.strike(number)
    }

    /// Whether the defect that is tried leaves out syncs of this.
    fn is_left_out(&self, inode: Inode) -> bool {
        let Some(name) = LEFT_OUT.get() else {
            return false;
        };
        let path = self.live.path_of(inode).unwrap_or_default();
        path.rsplit('/').next() == Some(name)
    }

    fn number(&self, file: &File) -> Inode {
        let real = file.metadata().expect("it is open").ino();
        self.numbers.get(&real).copied().unwrap_or(ROOT)
    }

    /// The folder and name of a path, which must lie in our place.
    fn place_of(&self, path: &Path) -> Option<(Inode, String)> {
        let path = path.strip_prefix(&self.place).ok()?;
        let folder = self.live.find(path.parent()?)?;
        Some((folder, path.file_name()?.to_str()?.to_owned()))
    }

    fn known(&self, path: &Path) -> (Inode, String) {
        self.place_of(path)
            .unwrap_or_else(|| panic!("{} is outside the simulation", path.display()))
    }

    fn changed(&mut self, step: Step) {
        self.live.make(&step);
        self.medium.change(&step);
        self.log.push(Entry::Changed(step));
    }

    fn synced(&mut self, inode: Inode, strike: Option<Strike>) -> io::Result<()> {
        match strike {
            Some(strike) => {
                self.medium.sync_failed(inode);
                self.log.push(Entry::SyncFailed(inode));
                Err(strike.error())
            }
            None if self.lies || self.is_left_out(inode) => Ok(()),
            None => {
                self.medium.sync(inode);
                self.log.push(Entry::Synced(inode));
                Ok(())
            }
        }
    }
}

/// What comes of an operation that was struck, or not.
fn outcome<T>(strike: Option<Strike>, done: T) -> io::Result<T> {
    strike.map_or(Ok(done), |strike| Err(strike.error()))
}

impl Ops for Recorder {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let strike = inner.strike();
        if strike.is_some_and(Strike::is_early) {
            return outcome(strike, ());
        }
        if !path.exists() {
            System.make_dir(path)?;
            let (folder, name) = inner.known(path);
            let made = inner.live.next();
            let real = std::fs::metadata(path)?.ino();
            inner.numbers.insert(real, made);
            inner.changed(Step::MakeFolder { folder, name, made });
        }
        outcome(strike, ())
    }

    fn create(&self, path: &Path, create: Create) -> io::Result<File> {
        let mut inner = self.lock();
        let strike = inner.strike();
        if strike.is_some_and(Strike::is_early) {
            return Err(strike.map_or_else(io::Error::last_os_error, Strike::error));
        }
        let is_new = std::fs::symlink_metadata(path).is_err();
        let file = System.create(path, create)?;
        if is_new {
            let (folder, name) = inner.known(path);
            let made = inner.live.next();
            inner.numbers.insert(file.metadata()?.ino(), made);
            inner.changed(Step::MakeFile { folder, name, made });
        }
        outcome(strike, file)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.lock();
        let strike = inner.strike();
        let bytes = match strike {
            Some(strike) => &bytes[..strike.part(bytes.len())],
            None => bytes,
        };
        System.write_at(file, bytes, offset)?;
        if !bytes.is_empty() {
            let step = Step::Write {
                file: inner.number(file),
                offset: usize::try_from(offset).expect("images here are small"),
                bytes: Arc::new(bytes.to_vec()),
            };
            inner.changed(step);
        }
        outcome(strike, ())
    }

    fn set_len(&self, file: &File, bytes: u64) -> io::Result<()> {
        let mut inner = self.lock();
        let strike = inner.strike();
        if strike.is_some_and(Strike::is_early) {
            return outcome(strike, ());
        }
        System.set_len(file, bytes)?;
        let step = Step::SetLen {
            file: inner.number(file),
            bytes: usize::try_from(bytes).expect("images here are small"),
        };
        inner.changed(step);
        outcome(strike, ())
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let mut inner = self.lock();
        let strike = inner.strike();
        let inode = inner.number(file);
        inner.synced(inode, strike)
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        self.sync_data(file)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let strike = inner.strike();
        let relative = path.strip_prefix(&inner.place).unwrap_or(path);
        let inode = inner
            .live
            .find(relative)
            .unwrap_or_else(|| panic!("{} is outside the simulation", path.display()));
        inner.synced(inode, strike)
    }

    /// The cache forgets what a failed sync left in it: from here on the medium shows through.
    fn forget_cached(&self, file: &File) {
        let mut inner = self.lock();
        let inode = inner.number(file);
        if !inner.medium.forget(inode) {
            return;
        }
        inner.log.push(Entry::Forgot(inode));
        let bytes = inner
            .medium
            .durable
            .bytes(inode)
            .unwrap_or_default()
            .to_vec();
        // The file may have been opened for reading.
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        let again = File::options().write(true).open(again);
        let again = again.expect("it is ours");
        again.write_all_at(&bytes, 0).expect("there is room");
        inner.live.write(inode, 0, &bytes);
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let strike = inner.strike();
        if strike.is_some_and(Strike::is_early) {
            return outcome(strike, ());
        }
        System.rename(from, to)?;
        let step = Step::Rename {
            from: inner.known(from),
            to: inner.known(to),
        };
        inner.changed(step);
        outcome(strike, ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        let strike = inner.strike();
        if strike.is_some_and(Strike::is_early) {
            return outcome(strike, ());
        }
        System.remove(path)?;
        let (folder, name) = inner.known(path);
        inner.changed(Step::Remove { folder, name });
        outcome(strike, ())
    }
}
