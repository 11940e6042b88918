//! What a file system holds: files and folders by number, as a model apart from all code under
//! test.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

/// Number of a file or folder.
pub(crate) type Inode = usize;
/// The folder that all others are in.
pub(crate) const ROOT: Inode = 0;
/// Bytes of which a medium changes all or, when torn, some.
pub(crate) const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
enum Node {
    File(Arc<Vec<u8>>),
    Folder(BTreeMap<String, Inode>),
}

/// One step by which a tree changes. Numbers of new nodes are chosen by whoever makes the step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    MakeFolder {
        folder: Inode,
        name: String,
        made: Inode,
    },
    MakeFile {
        folder: Inode,
        name: String,
        made: Inode,
    },
    Write {
        file: Inode,
        offset: usize,
        bytes: Arc<Vec<u8>>,
    },
    SetLen {
        file: Inode,
        bytes: usize,
    },
    Rename {
        from: (Inode, String),
        to: (Inode, String),
    },
    Remove {
        folder: Inode,
        name: String,
    },
    RemoveFolder {
        folder: Inode,
        name: String,
        gone: Inode,
    },
}

/// A file system's content. Nodes that no name leads to any more stay, and are not seen.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: Vec<Option<Node>>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Some(Node::Folder(BTreeMap::new()))],
        }
    }
}

impl Tree {
    /// A number that is not in use.
    pub(crate) fn next(&self) -> Inode {
        self.nodes.len()
    }

    fn put(&mut self, inode: Inode, node: Node) {
        if self.nodes.len() <= inode {
            self.nodes.resize(inode + 1, None);
        }
        self.nodes[inode] = Some(node);
    }

    /// The names in a folder, which may become durable before any name of it does.
    fn folder(&mut self, inode: Inode) -> Option<&mut BTreeMap<String, Inode>> {
        if self.nodes.get(inode).is_none_or(Option::is_none) {
            self.put(inode, Node::Folder(BTreeMap::new()));
        }
        match self.nodes.get_mut(inode)?.as_mut()? {
            Node::Folder(names) => Some(names),
            Node::File(_) => None,
        }
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, inode: Inode) -> Option<&[u8]> {
        match self.nodes.get(inode)?.as_ref()? {
            Node::File(bytes) => Some(bytes),
            Node::Folder(_) => None,
        }
    }

    fn bytes_mut(&mut self, inode: Inode) -> Option<&mut Vec<u8>> {
        match self.nodes.get_mut(inode)?.as_mut()? {
            Node::File(bytes) => Some(Arc::make_mut(bytes)),
            Node::Folder(_) => None,
        }
    }

    /// What a name in a folder leads to.
    pub(crate) fn named(&self, folder: Inode, name: &str) -> Option<Inode> {
        match self.nodes.get(folder)?.as_ref()? {
            Node::Folder(names) => names.get(name).copied(),
            Node::File(_) => None,
        }
    }

    /// What a path leads to, from the root.
    pub(crate) fn find(&self, path: &Path) -> Option<Inode> {
        path.components()
            .try_fold(ROOT, |at, name| self.named(at, name.as_os_str().to_str()?))
    }

    /// Some path that leads to this; nothing for the root, and for what has no name.
    pub(crate) fn path_of(&self, inode: Inode) -> Option<String> {
        let found = |path: &String| self.find(Path::new(path)) == Some(inode);
        self.entries().into_keys().find(found)
    }

    /// The bytes of the file at a path.
    pub(crate) fn read(&self, path: &str) -> Option<&[u8]> {
        self.bytes(self.find(Path::new(path))?)
    }

    /// Makes a step, or nothing where it cannot be made: what it builds on was lost.
    pub(crate) fn make(&mut self, step: &Step) {
        match step {
            Step::MakeFolder { folder, name, made } => {
                if self.nodes.get(*made).is_none_or(Option::is_none) {
                    self.put(*made, Node::Folder(BTreeMap::new()));
                }
                if let Some(names) = self.folder(*folder) {
                    names.insert(name.clone(), *made);
                }
            }
            Step::MakeFile { folder, name, made } => {
                if self.nodes.get(*made).is_none_or(Option::is_none) {
                    self.put(*made, Node::File(Arc::default()));
                }
                if let Some(names) = self.folder(*folder) {
                    names.insert(name.clone(), *made);
                }
            }
            Step::Write {
                file,
                offset,
                bytes,
            } => self.write(*file, *offset, bytes),
            Step::SetLen { file, bytes } => {
                self.ensure_file(*file);
                if let Some(content) = self.bytes_mut(*file) {
                    content.resize(*bytes, 0);
                }
            }
            Step::Rename { from, to } => {
                let Some(inode) = self.named(from.0, &from.1) else {
                    return;
                };
                if self.folder(to.0).is_none() {
                    return;
                }
                if let Some(names) = self.folder(from.0) {
                    names.remove(&from.1);
                }
                if let Some(names) = self.folder(to.0) {
                    names.insert(to.1.clone(), inode);
                }
            }
            Step::Remove { folder, name } | Step::RemoveFolder { folder, name, .. } => {
                if let Some(names) = self.folder(*folder) {
                    names.remove(name);
                }
            }
        }
    }

    /// A file's bytes may become durable before any name of it does.
    fn ensure_file(&mut self, file: Inode) {
        if self.nodes.get(file).is_none_or(Option::is_none) {
            self.put(file, Node::File(Arc::default()));
        }
    }

    /// Writes into a file, which grows as it has to.
    pub(crate) fn write(&mut self, file: Inode, offset: usize, bytes: &[u8]) {
        self.ensure_file(file);
        if let Some(content) = self.bytes_mut(file) {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[offset..end].copy_from_slice(bytes);
        }
    }

    /// Every file and folder by its path, in order; folders have no bytes.
    pub(crate) fn entries(&self) -> BTreeMap<String, Option<&[u8]>> {
        let mut entries = BTreeMap::new();
        let mut waiting = vec![(String::new(), ROOT)];
        while let Some((path, inode)) = waiting.pop() {
            let Some(Some(Node::Folder(names))) = self.nodes.get(inode) else {
                continue;
            };
            for (name, inode) in names {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                };
                match self.nodes.get(*inode).and_then(Option::as_ref) {
                    Some(Node::File(bytes)) => {
                        entries.insert(path, Some(bytes.as_slice()));
                    }
                    _ => {
                        entries.insert(path.clone(), None);
                        waiting.push((path, *inode));
                    }
                }
            }
        }
        entries
    }

    /// Names this content, whatever the numbers in it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for (path, bytes) in self.entries() {
            hasher.update((path.len() as u64).to_le_bytes());
            hasher.update(path);
            match bytes {
                Some(bytes) => {
                    hasher.update((bytes.len() as u64).to_le_bytes());
                    hasher.update(bytes);
                }
                None => hasher.update(u64::MAX.to_le_bytes()),
            }
        }
        hasher.finalize().into()
    }

    /// Puts this content into an empty folder of the real system; returns which real inode is which
    /// of ours.
    pub(crate) fn lay_out(&self, place: &Path) -> std::io::Result<HashMap<u64, Inode>> {
        let mut numbers = HashMap::new();
        numbers.insert(fs::metadata(place)?.ino(), ROOT);
        for (path, bytes) in self.entries() {
            let real = place.join(&path);
            match bytes {
                Some(bytes) => fs::write(&real, bytes)?,
                None => fs::create_dir(&real)?,
            }
            let inode = self.find(Path::new(&path)).unwrap_or(ROOT);
            numbers.insert(fs::symlink_metadata(&real)?.ino(), inode);
        }
        // What a reset keeps is digested with its times: they are not to be those of this run.
        let times = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        for path in self.entries().keys() {
            fs::File::open(place.join(path))?.set_times(times)?;
        }
        Ok(numbers)
    }

    /// What is in a folder of the real system.
    pub(crate) fn of(place: &Path) -> std::io::Result<Self> {
        let mut tree = Self::default();
        let mut waiting = vec![(place.to_owned(), ROOT)];
        while let Some((real, folder)) = waiting.pop() {
            for entry in fs::read_dir(&real)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let made = tree.next();
                if entry.file_type()?.is_dir() {
                    tree.make(&Step::MakeFolder { folder, name, made });
                    waiting.push((entry.path(), made));
                } else {
                    tree.make(&Step::MakeFile { folder, name, made });
                    tree.write(made, 0, &fs::read(entry.path())?);
                }
            }
        }
        Ok(tree)
    }

    /// Takes the file or folder at a path away, with all that is in it.
    pub(crate) fn cut_off(&mut self, path: &str) {
        let path = Path::new(path);
        let folder = path.parent().and_then(|parent| self.find(parent));
        let name = path.file_name().and_then(|name| name.to_str());
        if let (Some(folder), Some(name)) = (folder, name)
            && let Some(names) = self.folder(folder)
        {
            names.remove(name);
        }
    }
}
