//! `nx image build` over an older image.

use std::fs;

use super::solo::{self, Solo};
use crate::error::{Result, Trouble};
use crate::flow::Flow;
use crate::listing::Listing;
use crate::process::Ended;
use crate::report::{Act, Report};
use crate::room::Room;
use crate::watch::Watch;
use crate::world::{World, noise};

/// Builds an image with segments from files and from directories, in a partition table.
#[derive(Debug)]
pub(super) struct Build;

const OUTPUTS: [&str; 4] = ["os.img", "os.blocks", "os.sig", "os.json"];

impl Flow for Build {
    fn name(&self) -> &'static str {
        "build"
    }

    fn prepare(&self, world: &World, room: &Room) -> Result<()> {
        let tree = room.work().join("rootfs");
        let files = [
            ("etc/hostname", noise(7, 4)),
            ("bin/program", noise(9_000, 5)),
        ];
        for (name, bytes) in files {
            let path = tree.join(name);
            let folder = path.parent().unwrap_or(&tree);
            fs::create_dir_all(folder).map_err(Trouble::io("create", folder))?;
            fs::write(&path, bytes).map_err(Trouble::io("write", path))?;
        }
        // The new outputs first, to be put by; then the old ones, which they replace.
        self.must(world, room, "2")?;
        keep(room, "new")?;
        self.must(world, room, "1")?;
        keep(room, "old")
    }

    fn run(&self, world: &World, room: &Room, act: &Act<'_>) -> Result<Report> {
        solo::run(self, world, room, act)
    }
}

impl Build {
    fn must(&self, world: &World, room: &Room, version: &str) -> Result<()> {
        let ended = world.run_nx(room, &Watch::Not, &args(world, room, version))?;
        if ended.is_success() {
            return Ok(());
        }
        Err(Trouble::plain("build", ended.err))
    }
}

impl Solo for Build {
    const LEAVES_TRACES: bool = false;

    fn args(&self, world: &World, room: &Room) -> Vec<String> {
        args(world, room, "2")
    }

    fn judge(&self, room: &Room, ended: &Ended, report: &mut Report) -> Result<()> {
        let is = Listing::of(&room.work())?;
        for output in OUTPUTS {
            let is = is.content(output).unwrap_or_default();
            let is_new = is == kept(room, "new", output)?;
            report.claim(is_new || is == kept(room, "old", output)?, || {
                format!("{output} is neither the old one nor the new one")
            });
            report.claim(is_new || !ended.is_success(), || {
                format!("nx is done, and {output} is the old one")
            });
        }
        Ok(())
    }

    fn judge_again(&self, room: &Room, again: &Ended, report: &mut Report) -> Result<()> {
        report.works("nx, again,", again);
        self.judge(room, again, report)
    }
}

fn args(world: &World, room: &Room, version: &str) -> Vec<String> {
    let path = |name: &str| room.work().join(name).display().to_string();
    let tree = path("rootfs");
    [
        ("--kernel", world.asset("new.kernel").display().to_string()),
        ("--pkgfs", world.asset("pkgfs").display().to_string()),
        ("--initrd", tree.clone()),
        ("--rootfs", tree),
        ("--out", path("os.img")),
        ("--manifest", path("os.json")),
        ("--sign", world.asset("os.key").display().to_string()),
        ("--image-version", version.to_owned()),
        ("--state-size", "1MiB".to_owned()),
        ("--profile", "dev".to_owned()),
    ]
    .into_iter()
    .fold(
        vec!["image".to_owned(), "build".to_owned()],
        |mut args, (option, value)| {
            args.extend([option.to_owned(), value]);
            args
        },
    )
}

fn keep(room: &Room, version: &str) -> Result<()> {
    let folder = room.kept().join(version);
    fs::create_dir(&folder).map_err(Trouble::io("create", &folder))?;
    let is = Listing::of(&room.work())?;
    for output in OUTPUTS {
        let path = folder.join(output);
        let digest = is.content(output).unwrap_or_default();
        fs::write(&path, digest).map_err(Trouble::io("write", path))?;
    }
    Ok(())
}

/// The digest that an output of this version has.
fn kept(room: &Room, version: &str, output: &str) -> Result<String> {
    let path = room.kept().join(version).join(output);
    fs::read_to_string(&path).map_err(Trouble::io("read", path))
}
