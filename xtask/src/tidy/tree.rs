//! The files of the repository, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use crate::error::{Result, XtaskError};

/// Folders at the top that hold no source.
const SKIPPED: &[&str] = &[".git", "target"];

/// Every file by its path, relative to the repository, with `/` between names.
#[derive(Debug, Default)]
pub struct Tree {
    texts: BTreeMap<String, String>,
    /// Files that are no UTF-8, and folders.
    others: BTreeSet<String>,
}

impl Tree {
    /// Reads the files below `root`. Links are not followed.
    ///
    /// # Errors
    /// [`XtaskError::Io`].
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    /// A tree of these texts, for tests.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            let mut folder = path;
            while let Some((parent, _)) = folder.rsplit_once('/') {
                tree.others.insert(parent.to_owned());
                folder = parent;
            }
            tree.texts.insert(path.to_owned(), text.to_owned());
        }
        tree
    }

    /// The text files whose name ends like this, sorted by path.
    pub fn ending(&self, end: &'static str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    /// All text files, sorted by path.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is a file or folder of this name.
    pub fn has(&self, path: &str) -> bool {
        path.is_empty() || self.texts.contains_key(path) || self.others.contains(path)
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> Result<()> {
        let path = root.join(folder);
        for entry in fs::read_dir(&path).map_err(XtaskError::io("list", &path))? {
            let entry = entry.map_err(XtaskError::io("list", &path))?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(XtaskError::io("name", entry.path())(io::Error::other(
                    "its name is no UTF-8",
                )));
            };
            if folder.is_empty() && SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let name = match folder {
                "" => name,
                folder => format!("{folder}/{name}"),
            };
            let kind = entry
                .file_type()
                .map_err(XtaskError::io("look at", entry.path()))?;
            if kind.is_dir() {
                self.others.insert(name.clone());
                self.read_folder(root, &name)?;
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).map_err(XtaskError::io("read", entry.path()))?;
                match String::from_utf8(bytes) {
                    Ok(text) => drop(self.texts.insert(name, text)),
                    Err(_) => drop(self.others.insert(name)),
                }
            } else {
                self.others.insert(name);
            }
        }
        Ok(())
    }
}
