//! A line: two pseudo-terminals and the thread that joins them.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::end::End;
use crate::limits::SPEED_LOOK_EVERY;
use crate::{Conditions, Lane, LineError, Tally};

/// Bytes moved in one read.
const BUFFER_BYTES: usize = 4096;

/// A serial line between two pseudo-terminals. Dropping it takes both away.
pub struct Line {
    paths: [PathBuf; 2],
    tallies: Arc<Mutex<[Tally; 2]>>,
    /// Closing it stops the thread.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Makes both ends and the thread that joins them.
    ///
    /// # Errors
    /// `Conditions` when they are out of bounds, `Io` when the system gives no terminals.
    pub fn start(conditions: &Conditions) -> Result<Self, LineError> {
        conditions.check()?;
        let end = || End::open(conditions.baud).map_err(LineError::io("openpt"));
        let ends = [end()?, end()?];
        let paths = [0, 1].map(|number: usize| {
            let end = ends.get(number);
            end.map(|end| end.path().to_owned()).unwrap_or_default()
        });
        let tallies = Arc::new(Mutex::new([Tally::default(); 2]));
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC).map_err(LineError::io("pipe"))?;
        let mut joint = Joint {
            ends,
            lanes: [0, 1].map(|number| Lane::new(conditions, number)),
            tallies: Arc::clone(&tallies),
        };
        let thread = thread::Builder::new()
            .name("line".to_owned())
            .spawn(move || {
                // Where it is allowed, a busy machine slows the programs and not the line.
                let _ = rustix::process::nice(-15);
                // It ends when the line is dropped, or the system takes the terminals away.
                let _ = joint.run(&stopped);
            })
            .map_err(LineError::io("spawn"))?;
        Ok(Self {
            paths,
            tallies,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The paths of both ends.
    #[must_use]
    pub fn ends(&self) -> [&Path; 2] {
        let [near, far] = &self.paths;
        [near, far]
    }

    /// What has happened so far from the first end to the second, and back.
    #[must_use]
    pub fn tallies(&self) -> [Tally; 2] {
        *self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

/// What the thread owns. Lane 0 goes from end 0 to end 1, lane 1 back.
struct Joint {
    ends: [End; 2],
    lanes: [Lane; 2],
    tallies: Arc<Mutex<[Tally; 2]>>,
}

impl Joint {
    fn run(&mut self, stopped: &OwnedFd) -> Result<(), Errno> {
        let epoch = Instant::now();
        loop {
            self.step(epoch.elapsed())?;
            let next = self.lanes.iter().filter_map(Lane::next_change).min();
            if !self.wait(stopped, next, epoch)? {
                return Ok(());
            }
            if let Some(next) = next {
                let late = epoch.elapsed().saturating_sub(next);
                self.lanes.iter_mut().for_each(|lane| lane.was_late(late));
            }
        }
    }

    /// Moves what there is to move.
    fn step(&mut self, now: Duration) -> Result<(), Errno> {
        let mut buffer = [0; BUFFER_BYTES];
        let [near, far] = &self.ends;
        let bauds = [near.baud()?, far.baud()?];
        let ways = [(near, far, bauds), (far, near, [bauds[1], bauds[0]])];
        for (lane, (from, to, [sender, receiver])) in self.lanes.iter_mut().zip(ways) {
            loop {
                let room = lane.room(now).min(buffer.len());
                let free = buffer.get_mut(..room).unwrap_or_default();
                if free.is_empty() {
                    break;
                }
                let count = from.read(free)?;
                if count == 0 {
                    break;
                }
                lane.put(free.get(..count).unwrap_or_default(), now);
            }
            lane.advance(now);
            lane.sender_speed(sender);
            lane.arrive(receiver, now);
            while let count = to.write(lane.inbox())?
                && count > 0
            {
                lane.taken(count);
            }
        }
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        for (tally, lane) in tallies.iter_mut().zip(&self.lanes) {
            *tally = lane.tally();
        }
        Ok(())
    }

    /// Waits for the next change; returns whether to go on.
    fn wait(
        &self,
        stopped: &OwnedFd,
        next: Option<Duration>,
        epoch: Instant,
    ) -> Result<bool, Errno> {
        let [there, back] = &self.lanes;
        let wanted = |out: &Lane, inp: &Lane| {
            let mut flags = PollFlags::empty();
            // While bytes pass, more are looked for at each step.
            flags.set(PollFlags::IN, out.is_silent());
            flags.set(PollFlags::OUT, !inp.inbox().is_empty());
            flags
        };
        let [near, far] = &self.ends;
        let mut fds = [
            PollFd::from_borrowed_fd(near.fd(), wanted(there, back)),
            PollFd::from_borrowed_fd(far.fd(), wanted(back, there)),
            PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
        ];
        let now = epoch.elapsed();
        let look = now.saturating_add(SPEED_LOOK_EVERY);
        let until = next.map_or(look, |next| next.min(look));
        let timeout = Timespec::try_from(until.saturating_sub(now)).unwrap_or(Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        });
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(fds
            .last()
            .is_none_or(|stopped| stopped.revents().is_empty()))
    }
}
