use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;

use crate::digest::Digest;
use crate::directory::Directory;
use crate::entry::Entry;
use crate::error::ResetError;
use crate::intent::{self, INTENT, Intent, RESERVED, Standing};
use crate::kept;
use crate::limits::{MOVES_PER_SYNC, ROUNDS_MAX};
use crate::ops::{Ops, System};
use crate::plan::{Plan, plan};
use crate::policy::Policy;
use crate::report::{Event, Report};
use crate::root::{Lock, Root};
use crate::survey::{self, Look, Survey};
use crate::trash::Trash;

/// Resets the state root `root` by `planned`, which must be the plan for what is there now.
///
/// Where a reset has begun, it is finished instead, with whatever has come since. With nothing to
/// remove, the root stays untouched.
///
/// # Errors
/// Any refusal of [`survey`](crate::survey()), `PlanStale` if the tree is another: nothing has
/// changed. [`ResetError::Midway`] once the intent may be durable: the next run finishes.
pub fn execute(
    root: &Path,
    planned: &Plan,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Report, ResetError> {
    execute_with(&mut System, root, planned, observer)
}

/// [`execute`], with every change going through `ops`.
///
/// # Errors
/// As [`execute`].
pub fn execute_with(
    ops: &mut dyn Ops,
    root: &Path,
    planned: &Plan,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Report, ResetError> {
    let root = Root::open(root, Lock::Resetting)?;
    let policy = planned.policy();
    let Look { survey, standing } = survey::look(&root, policy)?;
    let found = plan(&survey.entries, policy);
    let begun = match standing {
        Standing::Begun(Some(intent)) => {
            // Who wrote it may have been stopped before it was durable.
            intent::make_durable(ops, root.directory()).map_err(ResetError::midway)?;
            Begun {
                intent,
                resumed: true,
                kept: survey.kept_digest,
            }
        }
        // Damaged, but targets have moved: a new record takes its place, for the case of another
        // cut.
        Standing::Begun(None) => {
            let intent = Intent::new(&found, survey.kept_digest);
            intent
                .write(ops, root.directory())
                .map_err(ResetError::midway)?;
            Begun {
                intent,
                resumed: true,
                kept: survey.kept_digest,
            }
        }
        Standing::Clean | Standing::Litter => {
            let (want, got) = (planned.hash(), found.hash());
            if want != got {
                return Err(ResetError::PlanStale {
                    planned: want,
                    found: got,
                });
            }
            if found.removals().next().is_none() && !survey.litter {
                // An earlier run may have been stopped before the last removal was durable.
                let synced = ops.sync(root.directory().as_fd());
                synced.map_err(|errno| ResetError::io("fsync", "state:/", errno))?;
                return Ok(nothing_to_do(survey, got));
            }
            let intent = Intent::new(&found, survey.kept_digest);
            begin(ops, root.directory(), &intent)?;
            Begun {
                intent,
                resumed: false,
                kept: survey.kept_digest,
            }
        }
    };
    observer(Event::Started {
        resumed: begun.resumed,
    });
    Forward {
        ops,
        root: &root,
        policy,
        observer,
    }
    .run(begun)
    .map_err(ResetError::midway)
}

/// A reset that can only go forward.
struct Begun {
    /// What it set out to do.
    intent: Intent,
    resumed: bool,
    /// Digest of the kept set as this run found it.
    kept: Digest,
}

/// Writes the intent; if that fails, leaves no trace of the attempt if it can.
fn begin(ops: &mut dyn Ops, root: &Directory, intent: &Intent) -> Result<(), ResetError> {
    let result = intent.write(ops, root);
    if result.as_ref().is_err_and(|error| !error.resume_required()) {
        if let Ok(reserved) = root.open(RESERVED) {
            let _ = ops.unlink(reserved.as_fd(), crate::intent::INTENT_NEW);
        }
        let _ = ops.rmdir(root.as_fd(), RESERVED);
    }
    result
}

fn nothing_to_do(survey: Survey, plan_hash: Digest) -> Report {
    Report {
        removed: Vec::new(),
        deleted_entries: 0,
        resumed: false,
        plan_hash,
        kept_digest: survey.kept_digest,
        kept_entries: survey.kept_entries,
        kept_changed_since_start: false,
        trust_roots: survey.trust_roots,
        trust_roots_total: survey.trust_roots_total,
    }
}

/// The part that is never taken back.
struct Forward<'a> {
    ops: &'a mut dyn Ops,
    root: &'a Root,
    policy: &'a Policy,
    observer: &'a mut dyn FnMut(Event<'_>),
}

impl Forward<'_> {
    fn run(mut self, begun: Begun) -> Result<Report, ResetError> {
        let Begun {
            intent,
            resumed,
            kept: before,
        } = begun;
        let mut removed: BTreeSet<String> = intent.removals().map(str::to_owned).collect();
        let mut trash = Trash::open(self.ops, self.root.directory())?;
        let entries = self.remove_all(&mut trash, &mut removed)?;
        let kept = kept::read(self.root.directory(), &entries, self.policy)?;
        if kept.digest != before {
            return Err(ResetError::KeptChanged {
                before,
                after: kept.digest,
            });
        }
        // Whatever a recorded plan says, what is still there was not removed.
        for line in plan(&entries, self.policy).lines() {
            removed.remove(line.uri());
        }
        (self.observer)(Event::Proven { kept: kept.digest });

        let deleted_entries = trash.deleted();
        let reserved = trash.remove(self.ops)?;
        self.close(&reserved)?;
        Ok(Report {
            removed: removed.into_iter().collect(),
            deleted_entries,
            resumed,
            plan_hash: intent.plan_hash,
            kept_digest: kept.digest,
            kept_entries: kept.entries,
            kept_changed_since_start: intent.kept != kept.digest,
            trust_roots: kept.trust_roots,
            trust_roots_total: kept.trust_roots_total,
        })
    }

    /// Moves away and deletes until a look at the root finds no target and the trash is empty;
    /// returns what that look found.
    fn remove_all(
        &mut self,
        trash: &mut Trash,
        removed: &mut BTreeSet<String>,
    ) -> Result<Vec<Entry>, ResetError> {
        for _ in 0..ROUNDS_MAX {
            let entries = self.root.scan()?;
            let plan = plan(&entries, self.policy);
            let targets: Vec<_> = plan.removals().collect();
            let last = targets.is_empty();
            for batch in targets.chunks(MOVES_PER_SYNC) {
                for line in batch {
                    let Some(name) = line.target().and_then(|target| target.c_name()) else {
                        continue;
                    };
                    let root = self.root.directory();
                    if trash.take(self.ops, root, &name, &|| line.uri().to_owned())? {
                        removed.insert(line.uri().to_owned());
                        (self.observer)(Event::Moved { uri: line.uri() });
                    }
                }
                trash.sync_moves(self.ops, self.root.directory())?;
            }
            if last {
                // Moves of an earlier run may not be durable yet; deleting must not overtake them.
                trash.sync_moves(self.ops, self.root.directory())?;
            }
            trash.empty(self.ops, self.observer)?;
            if last {
                return Ok(entries);
            }
        }
        Err(ResetError::KeepsGrowing {
            path: crate::uri::STATE.into(),
            rounds: ROUNDS_MAX,
        })
    }

    /// Takes back the intent and removes the reserved directory, durably: no file system keeps the
    /// second and loses the first.
    fn close(&mut self, reserved: &Directory) -> Result<(), ResetError> {
        let fail = |op, uri| move |errno| ResetError::io(op, uri, errno);
        const INTENT_URI: &str = "state:/.nx-reset/intent";
        match self.ops.unlink(reserved.as_fd(), INTENT) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(fail("unlink", INTENT_URI)(errno)),
        }
        let root = self.root.directory();
        self.ops
            .rmdir(root.as_fd(), RESERVED)
            .map_err(fail("rmdir", "state:/.nx-reset"))?;
        self.ops
            .sync(root.as_fd())
            .map_err(fail("fsync", "state:/"))
    }
}
