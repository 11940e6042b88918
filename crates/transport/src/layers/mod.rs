//! The layers: each wraps any link in another that behaves differently.
