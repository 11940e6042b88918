//! `nx image keygen`.

use std::path::Path;
use std::process::Command;

use super::solo::{self, Solo};
use crate::error::{Result, Trouble};
use crate::flow::Flow;
use crate::listing::Listing;
use crate::process::{End, Ended};
use crate::report::{Act, Report};
use crate::room::Room;
use crate::world::World;

/// Makes a key pair.
#[derive(Debug)]
pub(super) struct Keygen;

const PRIVATE: &str = "os.key";
const PUBLIC: &str = "os.pub";

impl Flow for Keygen {
    fn name(&self) -> &'static str {
        "keygen"
    }

    fn prepare(&self, _: &World, _: &Room) -> Result<()> {
        Ok(())
    }

    fn run(&self, world: &World, room: &Room, act: &Act<'_>) -> Result<Report> {
        solo::run(self, world, room, act)
    }
}

impl Solo for Keygen {
    const LEAVES_TRACES: bool = false;

    fn args(&self, _: &World, room: &Room) -> Vec<String> {
        let path = |name: &str| room.work().join(name).display().to_string();
        let (private, public) = (path(PRIVATE), path(PUBLIC));
        ["image", "keygen", "--out", &private, "--pub", &public]
            .map(str::to_owned)
            .into()
    }

    /// Each half is whole or absent, for its owner only if it is the private one, and they belong
    /// together.
    fn judge(&self, room: &Room, ended: &Ended, report: &mut Report) -> Result<()> {
        let work = room.work();
        let is = Listing::of(&work)?;
        let has = |name: &str| is.content(name).is_some();
        if let Some(private) = is.0.get(Path::new(PRIVATE)) {
            report.claim(private.mode == 0o600, || {
                format!("the private key has mode {:o}", private.mode)
            });
        }
        let derived = openssl(&work.join(PRIVATE), &["-pubout"])?;
        let public = openssl(&work.join(PUBLIC), &["-pubin"])?;
        report.claim(derived.is_some() == has(PRIVATE), || {
            "half a private key".to_owned()
        });
        report.claim(public.is_some() == has(PUBLIC), || {
            "half a public key".to_owned()
        });
        report.claim(has(PRIVATE) || !has(PUBLIC), || {
            "a public key without the private one".to_owned()
        });
        report.claim(derived == public || !has(PUBLIC), || {
            "the halves do not belong together".to_owned()
        });
        report.claim(has(PUBLIC) || !ended.is_success(), || {
            "nx is done, and there is no pair".to_owned()
        });
        Ok(())
    }

    /// A key that was made is never replaced: then it says so.
    fn judge_again(&self, room: &Room, again: &Ended, report: &mut Report) -> Result<()> {
        if again.end != End::Code(3) || !again.err.contains("exists") {
            report.works("nx, again,", again);
        }
        self.judge(room, again, report)?;
        let is = Listing::of(&room.work())?;
        report.claim(is.content(PUBLIC).is_some(), || {
            "the next run makes no pair".to_owned()
        });
        Ok(())
    }
}

/// The public key in a file, as OpenSSL reads it; nothing if it is none.
fn openssl(path: &Path, how: &[&str]) -> Result<Option<String>> {
    let output = Command::new("openssl")
        .args(["pkey", "-in"])
        .arg(path)
        .args(how)
        .arg("-pubout")
        .output()
        .map_err(Trouble::io("run", "openssl"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(output.status.success().then_some(text))
}
