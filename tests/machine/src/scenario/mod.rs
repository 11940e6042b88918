//! The scenarios of `cargo xtask qemu`.

mod compare;
mod cuts;
mod life;

pub use compare::compare;
pub use cuts::power_cuts;
pub use life::life;
