//! A virtual machine through its whole life: from a blank disk to a booted system and back.
//!
//! Nothing here is simulated but the hardware: QEMU runs real firmware, a real kernel and the
//! shipped programs, without acceleration and without a network. [`Machine`] is the hardware,
//! [`Tree`] and [`Release`] are what runs on it, [`Nx`] is the host.

mod console;
mod digest;
mod disk;
mod error;
mod hand;
mod host;
mod lab;
mod monitor;
mod parts;
mod qemu;
mod release;
mod report;
mod room;
pub mod scenario;
mod system;
mod tree;
mod write_log;

pub use console::Console;
pub use digest::sha256;
pub use disk::{Boots, inspect};
pub use error::{MachineError, Result};
pub use hand::{Done, Hand};
pub use host::{Ended, Nx, Sent};
pub use lab::{BOARD, BOOT_LIMIT, LIMIT, Lab, SEND_LIMIT};
pub use monitor::{Monitor, Writes};
pub use parts::Parts;
pub use qemu::{Boot, Machine, Setup, Uart};
pub use release::{Keys, Recipe, Release, pack_initramfs};
pub use report::{Report, line};
pub use room::Room;
pub use system::{FLASHD, System};
pub use tree::Tree;
