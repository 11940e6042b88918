//! `nx flash` and `flashd`, one of them the victim.

use std::fs;

use super::job::Job;
use super::medium::{BOOT_RECORD, Holds, Medium, compare};
use crate::daemon::{Daemon, socket};
use crate::error::{Result, Trouble};
use crate::flow::Flow;
use crate::listing::Listing;
use crate::process::{End, Ended, Running, wait_until};
use crate::report::{Act, Report};
use crate::room::Room;
use crate::watch::{Fault, Watch};
use crate::world::World;

/// Who has the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// `nx`
    Host,
    /// `flashd`
    Device,
}

/// A command of `nx flash`, and the `flashd` that obeys it.
#[derive(Debug)]
pub(super) struct Flash {
    pub(super) name: &'static str,
    pub(super) side: Side,
    pub(super) medium: Medium,
    pub(super) job: Job,
    /// Whether the device has an image before.
    pub(super) has_old: bool,
}

/// One run, with what all its steps need.
struct Run<'a> {
    flow: &'a Flash,
    world: &'a World,
    room: &'a Room,
    report: Report,
}

impl Flow for Flash {
    fn name(&self) -> &'static str {
        self.name
    }

    fn begins_aside(&self) -> &'static str {
        match self.side {
            Side::Device => "\"flashd: ready",
            Side::Host => "",
        }
    }

    fn prepare(&self, world: &World, room: &Room) -> Result<()> {
        if self.has_old {
            let mut run = self.start(world, room);
            let mut device = run.device(&Watch::Not)?;
            run.report.claim(device.serves(), || "no flashd".to_owned());
            let sent = run.host(&Watch::Not, &send_old(world, room))?.wait();
            run.report.works("the first send", &sent);
            let first = ["flash", "reboot", "normal", "--port"].map(str::to_owned);
            let port = format!("unix:{}", socket(room).display());
            let rebooted = run.host(&Watch::Not, &[&first[..], &[port]].concat())?;
            run.report.works("the first reboot", &rebooted.wait());
            run.report.works("flashd", &device.stop());
            if let Some(finding) = run.report.findings.first() {
                return Err(Trouble::plain(self.name, finding.clone()));
            }
            let old = room.kept().join("boot.old");
            let record = room.work().join(BOOT_RECORD);
            fs::copy(&record, old).map_err(Trouble::io("copy", record))?;
        }
        let new = room.kept().join("boot.new");
        fs::write(&new, "next-boot=recovery\n").map_err(Trouble::io("write", new))?;
        self.medium.expect(world, room)
    }

    fn run(&self, world: &World, room: &Room, act: &Act<'_>) -> Result<Report> {
        let mut run = self.start(world, room);
        match self.side {
            Side::Device => run.device_victim(act)?,
            Side::Host => run.host_victim(act)?,
        }
        if matches!(act, Act::Plain) {
            // What an image before needed goes when the next one begins.
            run.finish(None, None, &Listing::default())?;
        }
        run.report.after = Listing::names_of(&room.work())?;
        if let Act::Fault(_, wanted) = act
            && let Some(difference) = run.report.after.differs(wanted)
        {
            // What a fault left may stay for as long as one run more.
            run.finish(None, Some(difference), wanted)?;
        }
        Ok(run.report)
    }
}

impl Flash {
    fn start<'a>(&'a self, world: &'a World, room: &'a Room) -> Run<'a> {
        Run {
            flow: self,
            world,
            room,
            report: Report::default(),
        }
    }

    fn holds(&self, room: &Room) -> Result<Holds> {
        match self.job {
            Job::Send | Job::Verify => self.medium.holds(room),
            Job::Reboot => compare(room, BOOT_RECORD, "boot.old", "boot.new"),
        }
    }

    /// What the device has to hold when the job is done.
    const fn aim(&self) -> Holds {
        match self.job {
            Job::Send | Job::Reboot => Holds::New,
            Job::Verify => Holds::Old,
        }
    }
}

impl Run<'_> {
    fn device(&self, watch: &Watch<'_>) -> Result<Daemon> {
        Daemon::start(
            self.world,
            self.room,
            watch,
            &self.flow.medium.args(self.room),
        )
    }

    fn host(&self, watch: &Watch<'_>, args: &[String]) -> Result<Running> {
        Running::start(self.world.nx(watch, args), self.room, "nx")
    }

    fn job(&self, more: &[&str]) -> Vec<String> {
        let mut args = self.flow.job.args(self.world, &socket(self.room));
        args.extend(more.iter().map(|word| (*word).to_owned()));
        args
    }

    fn device_victim(&mut self, act: &Act<'_>) -> Result<()> {
        let args = self.flow.medium.args(self.room);
        let mut victim = Daemon::victim(self.world, self.room, act, &args)?;
        // Every other killed device comes back while its host waits for it.
        let waits = act.kills()
            && self.flow.job != Job::Reboot
            && !self.flow.medium.may_be_between()
            && act.fault().is_some_and(|fault| fault.call.number % 2 == 0);
        let once: &[&str] = if act.kills() && !waits {
            &["--no-reconnect"]
        } else {
            &[]
        };
        let mut host = None;
        if victim.serves() {
            let mut running = self.host(&Watch::Not, &self.job(once))?;
            wait_until(|| (running.ended().is_some() || victim.is_over()).then_some(()));
            host = Some(running);
        }
        match act.fault() {
            None => {
                let host = host.map(Running::wait);
                self.done(host.as_ref())?;
                self.report.works("flashd", &victim.stop());
                Ok(())
            }
            Some(_) if act.kills() => self.after_kill(victim, host, waits),
            Some(fault) => self.after_refusal(victim, host, fault),
        }
    }

    fn after_kill(&mut self, mut victim: Daemon, host: Option<Running>, waits: bool) -> Result<()> {
        let mut host = host;
        if !victim.is_over() {
            // The host has ended: because all is done and the fault is in the victim's last words,
            // or nowhere in this run; or because the victim is dying.
            let ended = host.take().map(Running::wait);
            if ended.as_ref().is_some_and(Ended::is_success) {
                self.done(ended.as_ref())?;
                victim.stop();
                return self.finish(None, None, &Listing::default());
            }
            if let Some(ended) = &ended {
                self.left_alone(ended)?;
            }
        }
        victim.wait();
        self.is_whole(None)?;
        if !waits {
            if let Some(host) = host {
                let ended = host.wait();
                self.left_alone(&ended)?;
            }
            return self.finish(None, None, &Listing::default());
        }
        let mut second = self.device(&Watch::Not)?;
        self.report
            .claim(second.serves(), || "flashd does not start again".to_owned());
        if let Some(host) = host.map(Running::wait) {
            // Before the device has accepted anything there is nothing to go on with.
            let said = fs::read(self.room.log("victim", "out")).unwrap_or_default();
            if self.flow.job == Job::Send && String::from_utf8_lossy(&said).contains("accepted") {
                self.done(Some(&host))?;
            } else {
                self.left_alone(&host)?;
            }
        }
        self.finish(Some(second), None, &Listing::default())
    }

    /// The host of a device that went away.
    fn left_alone(&mut self, ended: &Ended) -> Result<()> {
        match ended.end {
            End::Code(0) => self.done(Some(ended)),
            End::Code(5) => Ok(()),
            _ => {
                self.report.works("nx without a device", ended);
                Ok(())
            }
        }
    }

    fn after_refusal(
        &mut self,
        mut victim: Daemon,
        host: Option<Running>,
        fault: &Fault,
    ) -> Result<()> {
        let Some(host) = host else {
            let ended = victim.wait();
            self.report.refuses("flashd", &ended, fault);
            self.is_whole(None)?;
            return self.finish(None, None, &Listing::default());
        };
        let ended = host.wait();
        if ended.is_success() {
            self.done(Some(&ended))?;
        } else {
            self.report.claim(ended.end == End::Code(5), || {
                format!("nx ended with {:?}: {}", ended.end, ended.err.trim())
            });
            self.report.refuses("nx", &ended, fault);
        }
        if victim.is_over() {
            let ended = victim.wait();
            self.report
                .find(format!("flashd serves no longer: {}", ended.err.trim()));
            self.is_whole(None)?;
            return self.finish(None, None, &Listing::default());
        }
        self.is_whole(Some(&mut victim))?;
        // As long as the fault is ahead, another command runs into it.
        if fault.hits(self.room) > 0 {
            let again = self.host(&Watch::Not, &self.job(&[]))?.wait();
            self.report.works("nx, again,", &again);
            self.done(Some(&again))?;
        }
        let ended = victim.stop();
        if !ended.is_success() {
            self.report.refuses("flashd", &ended, fault);
        }
        Ok(())
    }

    fn host_victim(&mut self, act: &Act<'_>) -> Result<()> {
        let mut device = self.device(&Watch::Not)?;
        self.report
            .claim(device.serves(), || "flashd does not start".to_owned());
        let ended = self.host(&act.watch(self.room), &self.job(&[]))?.wait();
        match act.fault() {
            None => self.done(Some(&ended))?,
            Some(_) if ended.is_success() => self.done(Some(&ended))?,
            Some(_) if act.kills() => self.report.claim(ended.end == End::Signal(9), || {
                format!("nx ended with {:?}: {}", ended.end, ended.err.trim())
            }),
            Some(fault) => self.report.refuses("nx", &ended, fault),
        }
        self.is_whole(Some(&mut device))?;
        if act.fault().is_some() {
            self.finish(Some(device), None, &Listing::default())
        } else {
            self.report.works("flashd", &device.stop());
            Ok(())
        }
    }

    /// The host has said that it is done: then it is.
    fn done(&mut self, host: Option<&Ended>) -> Result<()> {
        let Some(host) = host else {
            self.report.find("flashd does not start");
            return Ok(());
        };
        self.report.works("nx", host);
        let holds = self.flow.holds(self.room)?;
        if host.is_success() && holds != self.flow.aim() {
            let aim = self.flow.aim();
            self.report.find(format!(
                "nx is done, and the device holds {holds:?}, not {aim:?}"
            ));
        }
        Ok(())
    }

    /// What the device holds is the old or the new; if its medium allows for something between,
    /// it says so when it is asked.
    fn is_whole(&mut self, device: Option<&mut Daemon>) -> Result<()> {
        if self.flow.holds(self.room)? != Holds::Between {
            return Ok(());
        }
        if !self.flow.medium.may_be_between() {
            self.report
                .find("the device holds neither the old nor the new");
            return Ok(());
        }
        let own;
        let device = match device {
            Some(device) => device,
            None => {
                own = self.device(&Watch::Not)?;
                &mut { own }
            }
        };
        self.report
            .claim(device.serves(), || "flashd does not start again".to_owned());
        let port = format!("unix:{}", socket(self.room).display());
        for image in ["old.json", "new.json"] {
            let manifest = self.world.asset(image).display().to_string();
            let args = ["flash", "verify", "--manifest", &manifest, "--port", &port];
            let asked = self.host(&Watch::Not, &args.map(str::to_owned))?.wait();
            self.report
                .claim(matches!(asked.end, End::Code(3 | 4)), || {
                    format!("a device between two images says of {image}: {asked:?}")
                });
        }
        Ok(())
    }

    /// The same command again, without a fault: it works, and leaves nothing over.
    fn finish(
        &mut self,
        device: Option<Daemon>,
        over: Option<String>,
        wanted: &Listing,
    ) -> Result<()> {
        let mut device = match device {
            Some(device) => device,
            None => self.device(&Watch::Not)?,
        };
        self.report
            .claim(device.serves(), || "flashd does not start again".to_owned());
        let again = self.host(&Watch::Not, &self.job(&[]))?.wait();
        self.report.works("nx, again,", &again);
        self.done(Some(&again))?;
        self.report.works("flashd, again,", &device.stop());
        if over.is_some()
            && let Some(difference) = Listing::names_of(&self.room.work())?.differs(wanted)
        {
            self.report
                .find(format!("something is left over: {difference}"));
        }
        Ok(())
    }
}

fn send_old(world: &World, room: &Room) -> Vec<String> {
    let path = |name: &str| world.asset(name).display().to_string();
    let port = format!("unix:{}", socket(room).display());
    let (img, manifest) = (path("old.img"), path("old.json"));
    [
        "flash",
        "send",
        "--img",
        &img,
        "--manifest",
        &manifest,
        "--port",
        &port,
    ]
    .map(str::to_owned)
    .into()
}
