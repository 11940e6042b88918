//! Many devices at once: a lane for each, over one read of the image.

mod arrivals;
mod plan;
mod run;
mod summary;
mod wanted;

pub(crate) use plan::{Plan, WaitArgs};
pub(crate) use run::run;
