use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nx_reset::{Event, Plan, Report, ResetError, execute, survey};
use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

/// A state root of its own, and beside it things that a reset must not reach.
pub(crate) struct State {
    holder: TempDir,
}

impl State {
    /// The state tree of the specification: three to go, trust and boot to stay.
    pub(crate) fn seed() -> Self {
        Self::seed_in(&std::env::temp_dir())
    }

    /// The same, in memory where that can be: for tests that make thousands.
    pub(crate) fn seed_in_memory() -> Self {
        let memory = Some(Path::new("/dev/shm")).filter(|place| place.is_dir());
        Self::seed_in(memory.unwrap_or(&std::env::temp_dir()))
    }

    fn seed_in(place: &Path) -> Self {
        let state = Self {
            holder: TempDir::with_prefix_in("nx-reset-", place).unwrap(),
        };
        for (path, contents) in [
            ("apps/org.example.notes/bin/notes", "#!/bin/true\n"),
            ("apps/org.example.notes/data/1", "a secret"),
            ("content/photos/2025/1.jpg", "a picture"),
            ("settings/prefs", "dark"),
            ("trust/installed/company.pub", "a key\n"),
            ("trust/log", "added company\n"),
            ("boot/bootctl.v1", "slot a"),
        ] {
            state.file(path, contents);
        }
        fs::create_dir(state.outside()).unwrap();
        fs::write(state.outside().join("precious"), "not yours").unwrap();
        fs::create_dir(state.outside().join("nested")).unwrap();
        state
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.holder.path().join("state")
    }

    /// A directory that no reset may change.
    pub(crate) fn outside(&self) -> PathBuf {
        self.holder.path().join("outside")
    }

    pub(crate) fn holder(&self) -> &Path {
        self.holder.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn file(&self, path: &str, contents: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub(crate) fn directory(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    pub(crate) fn link(&self, target: impl AsRef<Path>, path: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(target, self.at(path)).unwrap();
    }

    pub(crate) fn node(&self, path: &str, kind: FileType, device: (u32, u32)) {
        let device = rustix::fs::makedev(device.0, device.1);
        rustix::fs::mknodat(CWD, self.at(path), kind, Mode::RUSR | Mode::WUSR, device).unwrap();
    }

    pub(crate) fn plan(&self) -> Result<Plan, ResetError> {
        Ok(survey(&self.root())?.plan())
    }

    pub(crate) fn reset(&self) -> Result<Report, ResetError> {
        self.reset_watched(&mut |_| {})
    }

    pub(crate) fn reset_watched(
        &self,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Report, ResetError> {
        execute(&self.root(), &self.plan()?, observer)
    }

    /// Names in the root, sorted.
    pub(crate) fn top(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Everything below the root.
    pub(crate) fn snapshot(&self) -> Snapshot {
        snapshot(&self.root())
    }

    /// What stays of a seed tree.
    pub(crate) fn kept_snapshot(&self) -> Snapshot {
        let kept = ["boot", "bootctl", "keystore", "statefsd", "trust"];
        let mut all = self.snapshot();
        all.retain(|path, _| kept.iter().any(|kept| path.starts_with(kept)));
        all
    }

    /// Asserts that the reset is done, with `kept` left and nothing else.
    pub(crate) fn assert_reset(&self, kept: &Snapshot) {
        assert_eq!(&self.snapshot(), kept);
    }
}

/// What is at each path: an own model, sharing no code with what it checks.
pub(crate) type Snapshot = BTreeMap<PathBuf, Fact>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    device: u64,
    contents: Vec<u8>,
}

/// Everything below `root`, links not followed, files up to 1 MiB by their contents.
pub(crate) fn snapshot(root: &Path) -> Snapshot {
    let mut facts = Snapshot::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let contents = if kind.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if kind.is_file() && meta.len() <= 1024 * 1024 {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            let fact = Fact {
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                modified: (meta.mtime(), meta.mtime_nsec()),
                device: meta.rdev(),
                contents,
            };
            facts.insert(path.strip_prefix(root).unwrap().to_owned(), fact);
            if kind.is_dir() {
                waiting.push(path);
            }
        }
    }
    facts
}

/// Whether the machine lets us do what only root may; a test that needs it says that it was
/// skipped.
pub(crate) fn is_root(claim: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped, needs root: {claim}");
    }
    root
}
