//! The commands: a folder for each group, a file for each verb.
//!
//! A verb is its arguments and one `run`, which calls a library and prints nothing but through the
//! `Ui` that it is given.

pub(crate) mod demo;
pub(crate) mod flash;
pub(crate) mod image;
pub(crate) mod reset;
