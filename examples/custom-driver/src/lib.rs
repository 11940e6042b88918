//! A transport driver in a crate of its own, and an nx that has it.
