//! Time by size: a block costs the same in an image of any size.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::fs;

use super::task::Task;
use crate::{
    bench::{folder::Folder, programs::Programs, table::Table},
    error::{Result, XtaskError},
};

const MIB: u64 = 1 << 20;
/// What `nx image build` makes unless it is told otherwise.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Builds and proves images of these sizes, in MiB, of one segment each.
pub(super) fn run(programs: &Programs, sizes: &str, rounds: usize) -> Result<()> {
    let mut table = Table::new(["image", "blocks", "build", "each", "verify", "each"]);
    // What a run costs however much there is to do.
    let (build_start, verify_start) = measure(programs, BLOCK_BYTES, rounds)?;
    for size in sizes.split(',') {
        let mib: u64 = size.parse().map_err(|_| XtaskError::Usage {
            message: format!("`{size}` is no number of MiB"),
        })?;
        let bytes = mib.saturating_mul(MIB);
        let (build, verify) = measure(programs, bytes, rounds)?;
        let blocks = bytes / BLOCK_BYTES;
        let each = |seconds: f64, start: f64| {
            if seconds < 2.0 * start {
                return "–".to_owned();
            }
            let more = blocks.saturating_sub(1).max(1) as f64;
            format!("{:.1} µs", (seconds - start) / more * 1e6)
        };
        table.row([
            format!("{mib} MiB"),
            blocks.to_string(),
            format!("{build:.3} s"),
            each(build, build_start),
            format!("{verify:.3} s"),
            each(verify, verify_start),
        ]);
    }
    println!(
        "\nRandom bytes in memory, medians of {rounds} rounds; `each` is what a block costs more \
         than in an image of one, of which build takes {:.1} ms and verify {:.1} ms; where most \
         of the time is that, `–`\n\n{table}",
        build_start * 1e3,
        verify_start * 1e3
    );
    Ok(())
}

/// Seconds of build and of verify.
fn measure(programs: &Programs, bytes: u64, rounds: usize) -> Result<(f64, f64)> {
    let folder = Folder::in_memory()?;
    let content = folder.random_file("content", bytes)?;
    let image = folder.key(programs)?;
    let mut build = Task::new("nx image build");
    let mut verify = Task::new("nx image verify");
    for _ in 0..rounds {
        build.time(&programs.build_image(&folder, &content, &image))?;
        verify.time(&programs.verify_image(&image))?;
        fs::remove_file(&image.img).map_err(XtaskError::io("remove", &image.img))?;
    }
    Ok((build.seconds(), verify.seconds()))
}
