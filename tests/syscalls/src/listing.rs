//! What is in a folder, as plain tools see it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, Trouble};

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `d`, `f`, `l`, or `?` for all else.
    pub(crate) kind: char,
    /// Its mode.
    pub(crate) mode: u32,
    /// What a link points to, or what `sha256sum` says of a file.
    pub(crate) content: String,
}

/// Every name below a folder, by its path from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing(pub(crate) BTreeMap<PathBuf, Entry>);

impl Listing {
    /// Reads a folder that nothing changes meanwhile; one that is not there has no names.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut listing = Self::names_of(root)?;
        listing.digest(root)?;
        Ok(listing)
    }

    /// The names alone, with kinds and modes, and without what is in the files.
    pub(crate) fn names_of(root: &Path) -> Result<Self> {
        let mut listing = Self::default();
        if root.is_dir() {
            listing.add(root, root)?;
        }
        Ok(listing)
    }

    fn add(&mut self, root: &Path, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).map_err(Trouble::io("list", folder))? {
            let path = entry.map_err(Trouble::io("list", folder))?.path();
            let facts = fs::symlink_metadata(&path).map_err(Trouble::io("look at", &path))?;
            let (kind, content) = if facts.is_dir() {
                ('d', String::new())
            } else if facts.is_symlink() {
                let to = fs::read_link(&path).map_err(Trouble::io("read", &path))?;
                ('l', to.display().to_string())
            } else if facts.is_file() {
                ('f', String::new())
            } else {
                ('?', String::new())
            };
            let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            let mode = facts.permissions().mode() & 0o7777;
            self.0.insert(
                name,
                Entry {
                    kind,
                    mode,
                    content,
                },
            );
            if kind == 'd' {
                self.add(root, &path)?;
            }
        }
        Ok(())
    }

    fn digest(&mut self, root: &Path) -> Result<()> {
        let files: Vec<PathBuf> = self.files().map(Path::to_path_buf).collect();
        if files.is_empty() {
            return Ok(());
        }
        let paths: Vec<PathBuf> = files.iter().map(|name| root.join(name)).collect();
        for (name, digest) in files.iter().zip(sha256(&paths)?) {
            if let Some(entry) = self.0.get_mut(name) {
                entry.content = digest;
            }
        }
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.0.iter().filter(|(_, entry)| entry.kind == 'f');
        files.map(|(name, _)| name.as_path())
    }

    /// What is at or below `top`.
    pub(crate) fn below(&self, top: &str) -> Self {
        let kept = self.0.iter().filter(|(name, _)| name.starts_with(top));
        let owned = |(name, entry): (&PathBuf, &Entry)| (name.clone(), entry.clone());
        Self(kept.map(owned).collect())
    }

    /// What `sha256sum` says of a file; nothing if there is none.
    pub(crate) fn content(&self, name: &str) -> Option<&str> {
        self.0
            .get(Path::new(name))
            .map(|entry| entry.content.as_str())
    }

    /// In what it is not the other, in a few words; nothing if it is.
    pub(crate) fn differs(&self, wanted: &Self) -> Option<String> {
        let mut words = Vec::new();
        for (name, entry) in &self.0 {
            match wanted.0.get(name) {
                None => words.push(format!("{} is too much", name.display())),
                Some(other) if other != entry => {
                    words.push(format!("{} is {entry}, not {other}", name.display()));
                }
                Some(_) => {}
            }
        }
        let missing = wanted.0.keys().filter(|name| !self.0.contains_key(*name));
        words.extend(missing.map(|name| format!("{} is missing", name.display())));
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content.get(..8).unwrap_or(&self.content);
        write!(f, "{}{:o} {content}", self.kind, self.mode)
    }
}

/// What `sha256sum` says of files.
pub(crate) fn sha256(paths: &[PathBuf]) -> Result<Vec<String>> {
    let output = Command::new("sha256sum").arg("--").args(paths).output();
    let output = output.map_err(Trouble::io("run", "sha256sum"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let digests: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim_start_matches('\\').get(..64))
        .map(str::to_owned)
        .collect();
    if digests.len() == paths.len() {
        return Ok(digests);
    }
    let source = std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned());
    Err(Trouble::io("digest the files of", "sha256sum")(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_name() {
        let room = crate::room::Room::new().unwrap();
        let work = room.work();
        fs::write(work.join("a"), "1").unwrap();
        fs::create_dir(work.join("d")).unwrap();
        fs::write(work.join("d/b"), "2").unwrap();
        let before = Listing::of(&work).unwrap();
        assert_eq!(before.differs(&before), None);
        assert_eq!(
            before.content("a"),
            Some("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b")
        );
        fs::write(work.join("a"), "3").unwrap();
        fs::remove_file(work.join("d/b")).unwrap();
        fs::write(work.join("c"), "4").unwrap();
        let after = Listing::of(&work).unwrap();
        let words = after.differs(&before).unwrap();
        for part in ["a is f", "c is too much", "d/b is missing"] {
            assert!(words.contains(part), "{words}");
        }
        let names = Listing::names_of(&work).unwrap();
        assert!(names.content("c").is_some_and(str::is_empty));
        assert_eq!(
            after.below("d").differs(&before.below("d")).unwrap(),
            "d/b is missing"
        );
    }
}
