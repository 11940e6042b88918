//! The scenarios of `cargo xtask qemu`.

mod compare;
mod cuts;
mod life;
mod recorded;

pub use compare::compare;
pub use cuts::power_cuts;
pub use life::life;
pub use recorded::recorded;
