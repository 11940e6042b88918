//! Disks with two slots.

mod checker;
mod cuts;
mod disk;
mod image;
mod life;
