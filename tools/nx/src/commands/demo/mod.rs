//! `nx demo`: the whole path, without hardware.

mod bench;
mod image;
mod story;

pub(crate) use story::{DemoArgs, run};
