//! `nx reset factory`.

use std::fs;
use std::path::{Path, PathBuf};

use super::solo::{self, Solo};
use crate::error::{Result, Trouble};
use crate::flow::Flow;
use crate::listing::Listing;
use crate::process::Ended;
use crate::report::{Act, Report};
use crate::room::{Room, copy_tree};
use crate::world::World;

/// Resets a state with entries of every kind.
#[derive(Debug)]
pub(super) struct Reset;

const STATE: &str = "state";
const KEPT: [&str; 3] = ["trust", "boot", "keystore"];
const REMOVED: [&str; 4] = ["apps", "content", "settings", "ime"];

impl Flow for Reset {
    fn name(&self) -> &'static str {
        "reset"
    }

    fn prepare(&self, _: &World, room: &Room) -> Result<()> {
        let state = room.work().join(STATE);
        for (name, text) in [
            ("apps/notes/data", "a secret"),
            ("apps/notes/more", "another"),
            ("content/photo", "a picture"),
            ("settings/prefs", "dark"),
            ("ime/de/personal", "words"),
            ("trust/installed/company.pub", "a key\n"),
            ("boot/bootctl.v1", "slot a"),
            ("keystore/device/identity", "who it is"),
        ] {
            let path = state.join(name);
            let folder = path.parent().unwrap_or(&state);
            fs::create_dir_all(folder).map_err(Trouble::io("create", folder))?;
            fs::write(&path, text).map_err(Trouble::io("write", path))?;
        }
        let link = state.join("content/link");
        std::os::unix::fs::symlink("/etc/passwd", &link).map_err(Trouble::io("create", link))?;
        copy_tree(&state, &room.kept())
    }

    fn run(&self, world: &World, room: &Room, act: &Act<'_>) -> Result<Report> {
        solo::run(self, world, room, act)
    }
}

impl Solo for Reset {
    const LEAVES_TRACES: bool = true;

    fn args(&self, _: &World, room: &Room) -> Vec<String> {
        let state = room.work().join(STATE).display().to_string();
        ["reset", "factory", "--yes", "--state", &state]
            .map(str::to_owned)
            .into()
    }

    /// What is kept is what it was, and what goes has gone by its name, or is whole.
    fn judge(&self, room: &Room, ended: &Ended, report: &mut Report) -> Result<()> {
        let is = Listing::of(&room.work().join(STATE))?;
        let was = Listing::of(&room.kept())?;
        for name in KEPT {
            if let Some(difference) = is.below(name).differs(&was.below(name)) {
                report.find(format!("what is kept changed: {difference}"));
            }
        }
        for name in REMOVED {
            let left = is.below(name);
            if !left.0.is_empty() && left.differs(&was.below(name)).is_some() {
                report.find(format!("{name} is half gone"));
            }
        }
        if ended.is_success() {
            gone(&is, report);
        }
        Ok(())
    }

    fn judge_again(&self, room: &Room, again: &Ended, report: &mut Report) -> Result<()> {
        report.works("nx, again,", again);
        self.judge(room, again, report)
    }
}

fn gone(is: &Listing, report: &mut Report) {
    let kept = |name: &&PathBuf| KEPT.iter().any(|kept| name.starts_with(kept));
    let left: Vec<&Path> =
        is.0.keys()
            .filter(|name| !kept(name))
            .map(PathBuf::as_path)
            .collect();
    report.claim(left.is_empty(), || {
        format!("nx is done, and {left:?} is still there")
    });
}
