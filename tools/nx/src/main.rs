//! The `nx` program. Everything is in the library, so that an `nx` with more drivers is this file
//! and one line more: `use that_crate as _;`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nx::run()
}
