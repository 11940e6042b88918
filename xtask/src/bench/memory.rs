//! `bench memory`: the most memory that a program uses, by the size of the image.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Bench,
    folder::{Folder, Image},
    options::Options,
    players::wait_until_ready,
    process::Started,
    programs::Programs,
    table::Table,
};
use crate::{
    error::{Result, XtaskError},
    repo::Repo,
};

/// Peak memory by size.
pub(super) const BENCH: Bench = Bench {
    name: "memory",
    summary: "peak memory of nx and flashd by the size of the image",
    options: &["sizes"],
    run,
};

/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(1800);
const MIB: u64 = 1 << 20;

/// One program at one job.
struct Subject {
    name: &'static str,
    /// The most that it may use, in MiB.
    wanted_mib: u64,
    /// Does the job; returns the peak in KiB.
    peak: fn(&Programs, &Folder, &Image) -> Result<u64>,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "nx image build",
        wanted_mib: 64,
        peak: |programs, folder, image| {
            peak_of(programs.build_image(folder, &folder.path(CONTENT), image))
        },
    },
    Subject {
        name: "nx image verify",
        wanted_mib: 64,
        peak: |programs, _, image| peak_of(programs.verify_image(image)),
    },
    Subject {
        name: "nx flash send",
        wanted_mib: 64,
        peak: |programs, folder, image| Ok(transfer(programs, folder, image)?.0),
    },
    Subject {
        name: "flashd",
        wanted_mib: 8,
        peak: |programs, folder, image| Ok(transfer(programs, folder, image)?.1),
    },
];

const CONTENT: &str = "content";

fn run(repo: &Repo, options: &Options) -> Result<()> {
    let sizes: String = options.get("sizes", "16,4096".to_owned())?;
    let sizes = sizes.split(',').map(|size| {
        size.parse::<u64>().map_err(|_| XtaskError::Usage {
            message: format!("`{size}` is no number of MiB"),
        })
    });
    let sizes: Vec<u64> = sizes.collect::<Result<_>>()?;
    let programs = Programs::build(repo)?;
    let heads = sizes.iter().map(|size| format!("{size} MiB"));
    let mut rows: Vec<Vec<String>> = SUBJECTS
        .iter()
        .map(|subject| vec![subject.name.to_owned()])
        .collect();
    for size in &sizes {
        let folder = Folder::in_memory()?;
        let content = folder.sparse_file(CONTENT, size.saturating_mul(MIB))?;
        let image = folder.image(&programs, &content)?;
        for (subject, row) in SUBJECTS.iter().zip(&mut rows) {
            let peak = (subject.peak)(&programs, &folder, &image)?;
            row.push(format!("{:.1} MiB", peak as f64 / 1024.0));
        }
    }
    let mut table = Table::new(
        ["peak (VmHWM)".to_owned()]
            .into_iter()
            .chain(heads)
            .chain(["wanted".to_owned()]),
    );
    for (subject, mut row) in SUBJECTS.iter().zip(rows) {
        row.push(format!("≤ {} MiB", subject.wanted_mib));
        table.row(row);
    }
    println!("\nThe most memory used at once, images of holes\n\n{table}");
    Ok(())
}

/// Runs a command to its end; returns the most memory that it used, in KiB.
fn peak_of(mut command: Command) -> Result<u64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = Started::new(command, "nx")?;
    match process.wait(LIMIT)? {
        Some(ended) if ended.status.success() => Ok(process.peak_kib()),
        ended => Err(XtaskError::Unexpected {
            what: "nx".to_owned(),
            detail: format!("{ended:?}"),
        }),
    }
}

/// Sends an image; returns the peaks of both sides, in KiB.
fn transfer(programs: &Programs, folder: &Folder, image: &Image) -> Result<(u64, u64)> {
    let work = folder.fresh("device")?;
    let socket = folder.path("s");
    let port = format!("unix:{}", socket.display());
    let mut flashd = Started::new(
        programs.flashd(&format!("{port}?listen"), image, &work),
        "flashd",
    )?;
    wait_until_ready(&mut flashd)?;
    let nx = peak_of(programs.send(&port, image))?;
    let of_flashd = flashd.peak_kib();
    // Sparse or not, what the device has stored is memory here.
    drop(flashd);
    folder.fresh("device")?;
    Ok((nx, of_flashd))
}
