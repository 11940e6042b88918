//! The scenarios of `cargo xtask qemu`.

mod compare;
mod life;

pub use compare::compare;
pub use life::life;
