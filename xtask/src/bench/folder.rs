//! Folders for what a bench makes.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::programs::Programs;
use crate::{
    command::Cmd,
    error::{Result, XtaskError},
};

/// A folder that goes with the bench.
#[derive(Debug)]
pub(super) struct Folder(TempDir);

impl Folder {
    /// The name of the key that images are signed with.
    pub(super) const SECRET: &'static str = "dev.key";

    /// One in memory: where `/dev/shm` is, which is a tmpfs on any Linux.
    pub(super) fn in_memory() -> Result<Self> {
        Self::within(Path::new("/dev/shm"))
    }

    /// One in this folder.
    pub(super) fn within(parent: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("nx-bench-")
            .tempdir_in(parent);
        Ok(Self(
            dir.map_err(XtaskError::io("make a folder in", parent))?,
        ))
    }

    /// The path of something in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a folder in it, empty even if it was there.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(XtaskError::io("remove", &path))?;
        }
        fs::create_dir(&path).map_err(XtaskError::io("make", &path))?;
        Ok(path)
    }

    /// A file of that many random bytes, which nothing can make smaller.
    pub(super) fn random_file(&self, name: &str, bytes: u64) -> Result<PathBuf> {
        let path = self.path(name);
        let source = Path::new("/dev/urandom");
        let random = fs::File::open(source).map_err(XtaskError::io("open", source))?;
        let mut file = fs::File::create(&path).map_err(XtaskError::io("create", &path))?;
        std::io::copy(&mut random.take(bytes), &mut file)
            .and_then(|_| file.flush())
            .map_err(XtaskError::io("write", &path))?;
        Ok(path)
    }

    /// A file of that many bytes that is one hole.
    pub(super) fn sparse_file(&self, name: &str, bytes: u64) -> Result<PathBuf> {
        let path = self.path(name);
        fs::File::create(&path)
            .and_then(|file| file.set_len(bytes))
            .map_err(XtaskError::io("create", &path))?;
        Ok(path)
    }

    /// A signed image that consists of `content` alone.
    pub(super) fn image(&self, programs: &Programs, content: &Path) -> Result<Image> {
        let image = self.key(programs)?;
        succeed(programs.build_image(self, content, &image))?;
        Ok(image)
    }

    /// Where the image of this folder is or will be, with a key to sign it.
    pub(super) fn key(&self, programs: &Programs) -> Result<Image> {
        let image = self.image_files();
        let secret = self.path(Self::SECRET);
        if !secret.exists() {
            Cmd::new(&programs.nx)
                .args(["image", "keygen", "--out"])
                .arg(&secret)
                .arg("--pub")
                .arg(&image.key)
                .read()?;
        }
        Ok(image)
    }

    /// Where the image of this folder is or will be.
    pub(super) fn image_files(&self) -> Image {
        Image {
            img: self.path("os.img"),
            manifest: self.path("os.json"),
            key: self.path("dev.pub"),
        }
    }
}

/// A signed image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) img: PathBuf,
    pub(super) manifest: PathBuf,
    pub(super) key: PathBuf,
}

impl Image {
    /// Its size in bytes.
    pub(super) fn bytes(&self) -> Result<u64> {
        let metadata = fs::metadata(&self.img).map_err(XtaskError::io("look at", &self.img))?;
        Ok(metadata.len())
    }
}

/// Runs a command that cannot fail for a good reason.
fn succeed(mut command: Command) -> Result<()> {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(XtaskError::Failed {
            command: shown,
            status,
        }),
        Err(source) => Err(XtaskError::Start {
            command: shown,
            source,
        }),
    }
}

/// Whether two files are the same, byte for byte; a file that is not there is not.
pub(super) fn same(one: &Path, other: &Path) -> bool {
    let open = |path| fs::File::open(path).ok();
    let (Some(mut one), Some(mut other)) = (open(one), open(other)) else {
        return false;
    };
    let (mut a, mut b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let (Ok(got), Ok(want)) = (fill(&mut one, &mut a), fill(&mut other, &mut b)) else {
            return false;
        };
        if a.get(..got) != b.get(..want) {
            return false;
        }
        if got == 0 {
            return true;
        }
    }
}

fn fill(file: &mut fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match file.read(rest)? {
            0 => break,
            count => filled = filled.saturating_add(count),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_other_byte_anywhere_is_another_file() {
        let folder = Folder::within(&std::env::temp_dir()).unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path(name));
        let bytes = vec![7; 200_000];
        fs::write(&a, &bytes).unwrap();
        fs::write(&b, &bytes).unwrap();
        assert!(same(&a, &b));
        for at in [0, 65_536, 199_999] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            fs::write(&b, &other).unwrap();
            assert!(!same(&a, &b), "{at}");
        }
        fs::write(&b, &bytes[..199_999]).unwrap();
        assert!(!same(&a, &b));
        assert!(!same(&a, &folder.path("none")));
    }
}
