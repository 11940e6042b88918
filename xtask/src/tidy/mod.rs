//! The rules that no compiler checks: see [`CHECKS`] for the list.
//!
//! Each check is a function from a [`Tree`] in memory to findings, so that its own tests can show
//! it a tree that breaks the rule.

mod absolute;
mod arrows;
mod check;
mod columns;
mod finding;
mod links;
mod manifests;
mod markdown;
mod modules;
mod records;
mod rust;
mod threats;
mod tree;
mod wire;
mod words;

pub use arrows::ALLOWED;
pub use check::{CHECKS, Check, findings, run};
pub use finding::Finding;
pub use tree::Tree;
