//! The shipped binaries, end to end: what the tests here share.
//!
//! Nothing of the project is linked in but the PTY pair; the programs are run as a user runs
//! them.

mod bench;
mod binaries;
mod daemon;
mod nx;
mod room;
mod shell;
mod workdir;

pub use bench::Bench;
pub use binaries::{flashd_path, nx_path};
pub use daemon::Flashd;
pub use nx::{Nx, Ran, nx};
pub use room::{SmallDisk, with_file_limit};
pub use shell::shell;
pub use workdir::{Workdir, parts_dir};
