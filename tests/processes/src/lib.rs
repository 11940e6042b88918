//! The shipped binaries, end to end.
