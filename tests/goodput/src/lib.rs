//! How much of a line the protocol uses.
//!
//! [`Line::send`] joins the real host machine, the real device machine and the real loop that
//! drives them by a simulated line, in one thread, on time that the simulation sets. The same
//! line and the same seed give the same figure, to the last bit, on every machine: a slower
//! algorithm is a failing diff of the golden table.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a simulation stops at the first surprise"
)]

mod content;
mod end;
mod line;
mod noise;
mod table;
mod wire;

pub use content::Content;
pub use line::{Line, Sent};
pub use noise::Condition;
pub use table::{Case, HEADING, Row, cases, source_cases};
