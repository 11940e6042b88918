//! An `nx` that knows `exec:` too.

use std::process::ExitCode;

// Links the driver in. Without this line `exec:` is an unknown scheme.
use custom_driver as _;

fn main() -> ExitCode {
    nx::run()
}
