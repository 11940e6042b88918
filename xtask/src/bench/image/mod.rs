//! `bench image`: building and proving images, beside tools that do parts of that.

mod by_size;
mod files;
mod run;
mod task;
mod tree;

pub(super) use run::BENCH;
