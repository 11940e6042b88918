//! One program, or pair of programs, that moves a file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{kermit, nx, zmodem};
use crate::{
    bench::{
        folder::{Folder, Image},
        programs::Programs,
    },
    error::Result,
    setup::Need,
};

/// Who moves the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Player {
    /// `nx flash send` to `flashd`.
    Nx,
    /// `sz` to `rz`, of lrzsz, which stream.
    Zmodem,
    /// The same with a window of 8 KiB.
    ZmodemWindow,
    /// C-Kermit on both sides.
    Kermit,
}

/// What is to be moved, and where.
#[derive(Debug)]
pub(in crate::bench) struct Task<'a> {
    pub(in crate::bench) programs: &'a Programs,
    pub(in crate::bench) folder: &'a Folder,
    /// Random bytes: what counts.
    pub(in crate::bench) content: &'a Path,
    /// The image of them, which has a header of the state partition more.
    pub(in crate::bench) image: &'a Image,
    /// The sender's end of the line, and the receiver's.
    pub(in crate::bench) ends: [&'a Path; 2],
    pub(in crate::bench) limit: Duration,
}

/// How it went.
#[derive(Debug, Clone, Default)]
pub(in crate::bench) struct Moved {
    /// From the sender's start to its end; none if it did not do it within the limit, or failed.
    pub(in crate::bench) took: Option<Duration>,
    /// Bytes that the receiver has stored, where it does so as they come.
    pub(in crate::bench) stored: u64,
    /// Bytes that were sent again, where the program says so.
    pub(in crate::bench) sent_again: Option<u64>,
    /// The last words of a sender that failed.
    pub(in crate::bench) complaint: Option<String>,
}

impl Player {
    /// All of them, and what the command line calls them.
    pub(in crate::bench) const NAMES: &'static [&'static str] =
        &["nx", "zmodem", "zmodem-window", "kermit"];

    /// The one of that name.
    pub(in crate::bench) fn named(name: &str) -> Self {
        match name {
            "zmodem" => Self::Zmodem,
            "zmodem-window" => Self::ZmodemWindow,
            "kermit" => Self::Kermit,
            _ => Self::Nx,
        }
    }

    /// The program and package that it needs.
    pub(in crate::bench) const fn need(self) -> Option<Need> {
        let (what, package) = match self {
            Self::Nx => return None,
            Self::Zmodem | Self::ZmodemWindow => ("sz", "lrzsz"),
            Self::Kermit => ("kermit", "ckermit"),
        };
        Some(Need {
            what,
            package,
            purpose: "a peer to measure against",
        })
    }

    /// Moves the file.
    pub(in crate::bench) fn play(self, task: &Task<'_>) -> Result<Moved> {
        match self {
            Self::Nx => nx::play(task),
            Self::Zmodem => zmodem::play(task, zmodem::STREAM),
            Self::ZmodemWindow => zmodem::play(task, zmodem::WINDOW),
            Self::Kermit => kermit::play(task),
        }
    }
}

impl Task<'_> {
    /// An empty folder for the receiver, and the path of the file that will be in it.
    pub(super) fn received(&self) -> Result<(PathBuf, PathBuf)> {
        let folder = self.folder.fresh("received")?;
        let file = folder.join(self.content.file_name().unwrap_or_default());
        Ok((folder, file))
    }
}
