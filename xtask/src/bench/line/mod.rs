//! `bench line`: goodput on a serial line that makes mistakes.

mod condition;
mod report;
mod run;
mod self_check;

pub(super) use run::BENCH;
