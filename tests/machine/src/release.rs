//! Signed images, built by `nx` from trees.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    error::{MachineError, Result},
    parts::{Parts, run},
    room::Room,
};

/// A pair of keys.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs images.
    pub private: PathBuf,
    /// Proves them.
    pub public: PathBuf,
}

impl Keys {
    /// A new pair, in the room under this name.
    ///
    /// # Errors
    /// [`MachineError::Program`].
    pub fn make(room: &Room, name: &str, parts: &Parts) -> Result<Self> {
        let keys = Self {
            private: room.path(&format!("{name}.key")),
            public: room.path(&format!("{name}.pub")),
        };
        run(Command::new(parts.nx())
            .args(["image", "keygen", "--out"])
            .arg(&keys.private)
            .arg("--pub")
            .arg(&keys.public))?;
        Ok(keys)
    }
}

/// An image with its manifest and its signature.
#[derive(Debug, Clone)]
pub struct Release {
    /// The image.
    pub img: PathBuf,
    /// The manifest; the signature lies beside it.
    pub manifest: PathBuf,
}

/// What `nx image build` is asked for.
#[derive(Debug)]
pub struct Recipe<'a> {
    /// Name of the files, and the image's version.
    pub name: &'a str,
    /// Who signs.
    pub keys: &'a Keys,
    /// `release` or `dev`.
    pub profile: &'a str,
    /// The board that it is for.
    pub board: &'a str,
    /// Arguments beside those: segments and layout.
    pub args: Vec<(&'a str, PathBuf)>,
}

impl Recipe<'_> {
    /// Builds it.
    ///
    /// # Errors
    /// [`MachineError::Program`].
    pub fn build(&self, room: &Room, parts: &Parts) -> Result<Release> {
        let release = Release {
            img: room.path(&format!("{}.img", self.name)),
            manifest: room.path(&format!("{}.json", self.name)),
        };
        let mut nx = Command::new(parts.nx());
        nx.args(["image", "build", "--profile", self.profile])
            .args(["--board", self.board, "--image-version", self.name])
            .arg("--out")
            .arg(&release.img)
            .arg("--manifest")
            .arg(&release.manifest)
            .arg("--sign")
            .arg(&self.keys.private);
        for (option, value) in &self.args {
            nx.arg(option).arg(value);
        }
        run(&mut nx)?;
        Ok(release)
    }
}

impl Release {
    /// What is in the segment of this name.
    ///
    /// # Errors
    /// [`MachineError::Broken`] if there is none, [`MachineError::Io`].
    pub fn segment(&self, name: &str) -> Result<Vec<u8>> {
        read(&self.img, self.place(name)?)
    }

    /// Whether a disk holds that segment where the image has it.
    ///
    /// # Errors
    /// As [`Release::segment`].
    pub fn is_on_disk(&self, name: &str, disk: &Path) -> Result<bool> {
        Ok(read(disk, self.place(name)?)? == self.segment(name)?)
    }

    /// Where the segment of this name lies: offset and length in bytes.
    ///
    /// # Errors
    /// As [`Release::segment`].
    pub fn place(&self, name: &str) -> Result<(u64, u64)> {
        let text = std::fs::read_to_string(&self.manifest)
            .map_err(MachineError::io("read", &self.manifest))?;
        place(&text, name).ok_or_else(|| MachineError::broken(format!("a segment `{name}`"), text))
    }

    /// Length of the image, in bytes.
    ///
    /// # Errors
    /// [`MachineError::Io`].
    pub fn bytes(&self) -> Result<u64> {
        let meta = std::fs::metadata(&self.img);
        Ok(meta.map_err(MachineError::io("find", &self.img))?.len())
    }
}

/// So many bytes of a file, from an offset.
fn read(path: &Path, (offset, length): (u64, u64)) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(MachineError::io("open", path))?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(length).read_to_end(&mut bytes))
        .map_err(MachineError::io("read", path))?;
    Ok(bytes)
}

/// Where the manifest says that a segment lies.
fn place(manifest: &str, name: &str) -> Option<(u64, u64)> {
    let manifest: Value = serde_json::from_str(manifest).ok()?;
    let segments = manifest.get("segments")?.as_array()?;
    let segment = segments
        .iter()
        .find(|segment| segment.get("name").and_then(Value::as_str) == Some(name))?;
    let number = |member| segment.get(member).and_then(Value::as_u64);
    Some((number("offset")?, number("size")?))
}

/// Packs a folder as `nx image build --initrd` does, into a file for a boot ROM to bring.
///
/// # Errors
/// Those of [`Recipe::build`] and [`Release::segment`].
pub fn pack_initramfs(
    room: &Room,
    parts: &Parts,
    keys: &Keys,
    tree: &Path,
    name: &str,
) -> Result<PathBuf> {
    let image = format!("{name}-image");
    let recipe = Recipe {
        name: &image,
        keys,
        profile: "dev",
        board: "none",
        args: vec![("--initrd", tree.to_owned())],
    };
    let release = recipe.build(room, parts)?;
    let path = room.path(&format!("{name}.cpio"));
    std::fs::write(&path, release.segment("initrd")?).map_err(MachineError::io("write", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_found_by_its_name() {
        let manifest = r#"{"segments":[{"name":"gpt","offset":0,"size":9},
                           {"name":"initrd","offset":4096,"size":77}]}"#;
        assert_eq!(place(manifest, "initrd"), Some((4096, 77)));
        assert_eq!(place(manifest, "rootfs"), None);
    }
}
