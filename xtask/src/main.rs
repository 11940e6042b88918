//! The project's own chores: CI, targets, benches.

fn main() {}
