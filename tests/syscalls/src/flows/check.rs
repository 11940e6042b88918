//! `nx image verify`, which changes nothing.

use super::solo::{self, Solo};
use crate::error::Result;
use crate::flow::Flow;
use crate::listing::Listing;
use crate::process::Ended;
use crate::report::{Act, Report};
use crate::room::{Room, copy_tree};
use crate::world::World;

/// Compares an image with its manifest.
#[derive(Debug)]
pub(super) struct Check;

impl Flow for Check {
    fn name(&self) -> &'static str {
        "image-verify"
    }

    fn prepare(&self, world: &World, room: &Room) -> Result<()> {
        copy_tree(&world.assets(), &room.work())?;
        copy_tree(&world.assets(), &room.kept())
    }

    fn run(&self, world: &World, room: &Room, act: &Act<'_>) -> Result<Report> {
        solo::run(self, world, room, act)
    }
}

impl Solo for Check {
    const LEAVES_TRACES: bool = false;

    fn args(&self, _: &World, room: &Room) -> Vec<String> {
        let path = |name: &str| room.work().join(name).display().to_string();
        let (img, manifest, key) = (path("new.img"), path("new.json"), path("os.pub"));
        [
            "image",
            "verify",
            &img,
            "--manifest",
            &manifest,
            "--pub",
            &key,
        ]
        .map(str::to_owned)
        .into()
    }

    fn judge(&self, room: &Room, _: &Ended, report: &mut Report) -> Result<()> {
        let is = Listing::of(&room.work())?;
        if let Some(difference) = is.differs(&Listing::of(&room.kept())?) {
            report.find(format!("an input changed: {difference}"));
        }
        Ok(())
    }

    fn judge_again(&self, room: &Room, again: &Ended, report: &mut Report) -> Result<()> {
        report.works("nx, again,", again);
        self.judge(room, again, report)
    }
}
