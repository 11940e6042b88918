use std::path::{Path, PathBuf};

use clap::Args;
use nx_image::signature;
use nx_image::verify::Files;

/// Where the signature of a manifest is: where it was said, or beside it.
pub(super) fn signature_path(given: Option<&Path>, manifest: &Path) -> PathBuf {
    given.map_or_else(|| signature::path_of(manifest), Path::to_owned)
}

/// The image, named by its place on the command line or by `--img`.
#[derive(Debug, Args)]
pub(super) struct ImagePath {
    /// The image
    #[arg(
        value_name = "IMG",
        required_unless_present = "img",
        conflicts_with = "img"
    )]
    place: Option<PathBuf>,
    /// The image, the other way to name it
    #[arg(long, value_name = "FILE")]
    img: Option<PathBuf>,
}

impl ImagePath {
    pub(super) fn path(&self) -> &Path {
        self.place
            .as_deref()
            .or(self.img.as_deref())
            .unwrap_or(Path::new(""))
    }
}

/// The three files of an image.
#[derive(Debug)]
pub(super) struct ImageFiles {
    pub(super) image: PathBuf,
    pub(super) manifest: PathBuf,
    pub(super) signature: PathBuf,
}

impl ImageFiles {
    pub(super) fn borrow(&self) -> Files<'_> {
        Files {
            image: &self.image,
            manifest: &self.manifest,
            signature: &self.signature,
        }
    }
}
