//! The device half of nx flash for Linux targets.

fn main() {}
