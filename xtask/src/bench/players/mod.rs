//! The programs that move a file over a line: ours and its peers.

mod kermit;
mod nx;
mod player;
mod zmodem;

pub(super) use nx::wait_until_ready;
pub(super) use player::{Moved, Player, Task};
