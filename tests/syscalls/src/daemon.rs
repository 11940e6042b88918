//! A `flashd` of one run.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::error::{Result, Trouble};
use crate::process::{Ended, Running, wait_until};
use crate::report::Act;
use crate::room::Room;
use crate::watch::{Watch, attach};
use crate::world::World;

/// A running `flashd`.
#[derive(Debug)]
pub(crate) struct Daemon {
    running: Running,
    socket: PathBuf,
    /// What takes calls away from its other threads.
    tracer: Option<Running>,
}

impl Daemon {
    /// Starts it, with these arguments beside its port and key.
    pub(crate) fn start(
        world: &World,
        room: &Room,
        watch: &Watch<'_>,
        args: &[String],
    ) -> Result<Self> {
        let socket = socket(room);
        let mut command = watch.command(&world.flashd);
        command
            .arg("--port")
            .arg(format!("unix:{}?listen", socket.display()))
            .arg("--pub")
            .arg(world.asset("os.pub"))
            .args(args);
        let name = if matches!(watch, Watch::Not) {
            "flashd"
        } else {
            "victim"
        };
        let running = Running::start(command, room, name)?;
        Ok(Self {
            running,
            socket,
            tracer: None,
        })
    }

    /// Starts the victim of this act.
    pub(crate) fn victim(
        world: &World,
        room: &Room,
        act: &Act<'_>,
        args: &[String],
    ) -> Result<Self> {
        let log = room.log("victim", "strace");
        let Some(fault) = act.fault() else {
            return Self::start(world, room, &act.watch(room), args);
        };
        if !fault.call.is_aside {
            return Self::start(world, room, &Watch::InjectFirst(log, fault), args);
        }
        let mut daemon = Self::start(world, room, &Watch::Not, args)?;
        if daemon.serves() {
            let tasks = PathBuf::from(format!("/proc/{}/task", daemon.running.id()));
            let list = fs::read_dir(&tasks).map_err(Trouble::io("list", tasks))?;
            let id = |task: fs::DirEntry| task.file_name().to_string_lossy().into_owned();
            let first = daemon.running.id().to_string();
            let others = list.flatten().map(id).filter(|id| *id != first);
            let others: Vec<String> = others.collect();
            let tracer = Running::start(attach(&log, fault, &others), room, "strace")?;
            wait_until(|| others.iter().all(|id| is_traced(id)).then_some(()));
            daemon.tracer = Some(tracer);
        }
        Ok(daemon)
    }

    /// Waits until it listens; false if it ends before.
    pub(crate) fn serves(&mut self) -> bool {
        let Self {
            running, socket, ..
        } = self;
        let seen = wait_until(|| {
            if running.ended().is_some() {
                Some(false)
            } else {
                listens(socket).then_some(true)
            }
        });
        seen == Some(true)
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.running.ended().is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Ended {
        let ended = self.running.wait();
        if let Some(tracer) = self.tracer {
            // Its last words are of interest.
            tracer.wait();
        }
        ended
    }

    /// Tells it to stop, and waits for that.
    pub(crate) fn stop(self) -> Ended {
        self.running.signal(Signal::TERM);
        self.wait()
    }
}

/// Whether a tracer has taken hold of a thread.
fn is_traced(id: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_none_or(|pid| pid.trim() != "0")
}

/// Where the `flashd` of a room listens.
pub(crate) fn socket(room: &Room) -> PathBuf {
    room.work().join("s")
}

/// Whether somebody listens there, without disturbing them. The kernel's table has a flag for a
/// socket that accepts, in its fourth column, and the path in its last.
fn listens(socket: &Path) -> bool {
    const ACCEPTS: &str = "00010000";
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let socket = socket.display().to_string();
    table.lines().any(|line| {
        let mut columns = line.split_whitespace();
        columns.nth(3) == Some(ACCEPTS) && columns.next_back() == Some(socket.as_str())
    })
}
