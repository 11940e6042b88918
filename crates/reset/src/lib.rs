//! Factory reset: a pure plan, and an executor that only obeys it.
//!
//! What this crate refuses to do: follow a link, cross a mount, remove anything of the closed list
//! that is kept, begin before its intent is durable, or say "done" before it has looked again. It
//! removes names; it does not overwrite what they named, and it never claims to.
//!
//! Three steps, of which only the last writes:
//!
//! 1. [`survey()`] looks at a state root and refuses one that must not be reset.
//! 2. [`plan()`] sorts the top-level entries into what goes and what stays. It is a pure function.
//! 3. [`execute()`] makes the plan durable, moves every target out of the name space, deletes it,
//!    and proves that the kept set is what it was. Cut anywhere, the next run finishes.
//!
//! Who uses a state root for long, as a flashd does, [holds](hold()) it: no reset begins meanwhile.
//!
//! The sequence and every refusal: `docs/provisioning/factory-reset.md`. Linux only: the walker
//! stands on `openat2`, `renameat2` and mount ids.

mod digest;
mod directory;
mod entry;
mod error;
mod execute;
mod guard;
mod hold;
mod intent;
mod kept;
mod limits;
mod mounts;
mod ops;
mod plan;
mod policy;
mod report;
mod root;
mod survey;
mod trash;
mod uri;

pub use digest::Digest;
pub use entry::{Entry, EntryKind};
pub use error::{Protected, ResetError};
pub use execute::{execute, execute_with};
pub use hold::{Hold, hold};
pub use kept::TrustRoot;
pub use ops::{Collision, Ops, System};
pub use plan::{Action, Plan, PlanLine, plan};
pub use policy::{Class, Policy};
pub use report::{Event, Report};
pub use survey::{Pending, Survey, survey};
