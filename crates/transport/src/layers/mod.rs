//! The layers: one file, one name each. A layer owns the link below it and behaves differently.

mod capture;
pub mod lossy;
mod slow;

pub use capture::Captured;
pub use slow::{Slow, Slowness};
