//! `bench socket`: an image over a Unix socket, beside digests and copies of it.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Bench,
    folder::{Folder, Image, same},
    median::median,
    options::Options,
    players::wait_until_ready,
    process::{Ended, PLAYER, Started, go_ahead},
    programs::Programs,
    table::Table,
};
use crate::{
    error::{Result, XtaskError},
    repo::Repo,
};

/// From start to installed and read back.
pub(super) const BENCH: Bench = Bench {
    name: "socket",
    summary: "an image over a Unix socket, beside openssl dgst, and dd with fsync",
    options: &["size", "rounds", "where"],
    run,
};

/// Where the target lies.
const PLACES: &[&str] = &["tmpfs", "disk"];
/// Nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(1800);

fn run(repo: &Repo, options: &Options) -> Result<()> {
    let size: u64 = options.get("size", 1 << 30)?;
    let rounds: usize = options.get("rounds", 3)?;
    let places = options.list("where", PLACES)?;
    let programs = Programs::build(repo)?;
    go_ahead(PLAYER);
    let source = Folder::in_memory()?;
    let content = source.random_file("content", size)?;
    let image = source.image(&programs, &content)?;
    std::fs::remove_file(&content).map_err(XtaskError::io("remove", &content))?;
    let mut table = Table::new([
        "target on",
        "round",
        "nx and flashd",
        "processor: nx",
        "flashd",
        "openssl dgst",
        "dd conv=fsync",
        "ratio",
        "wanted",
    ]);
    for place in places {
        let is_disk = place == "disk";
        let wanted = if is_disk { "≤ 1.5" } else { "≤ 3.5" };
        let target = if is_disk {
            std::fs::create_dir_all(repo.target())
                .map_err(XtaskError::io("make", repo.target()))?;
            Folder::within(&repo.target())?
        } else {
            Folder::in_memory()?
        };
        let mut ratios = Vec::new();
        for round in 1..=rounds {
            let sent = send(&programs, &image, &target)?;
            let copied = if is_disk {
                // A new file, as the image is staged in one: writing over a file is another thing.
                let to = target.path(&format!("copy-{round}.img"));
                let took = copy(&image.img, &to)?;
                std::fs::remove_file(&to).map_err(XtaskError::io("remove", &to))?;
                Some(took)
            } else {
                None
            };
            let digested = digest(&image.img)?;
            let beside = digested + copied.unwrap_or(0.0);
            let ratio = sent.nx.took.as_secs_f64() / beside;
            ratios.push(ratio);
            table.row([
                place.to_owned(),
                round.to_string(),
                format!("{:.2} s", sent.nx.took.as_secs_f64()),
                format!("{:.2} s", sent.nx.cpu_seconds),
                format!("{:.2} s", sent.flashd_cpu_seconds),
                format!("{digested:.2} s"),
                copied.map_or_else(|| "–".to_owned(), |copied| format!("{copied:.2} s")),
                format!("{ratio:.2}"),
                String::new(),
            ]);
        }
        let mut row = vec![place.to_owned(), "median".to_owned()];
        row.extend(["", "", "", "", ""].map(str::to_owned));
        row.push(median(ratios).map_or_else(String::new, |ratio| format!("{ratio:.2}")));
        row.push(wanted.to_owned());
        table.row(row);
    }
    let bytes = image.bytes()?;
    println!("\n{bytes} random bytes, from the start of nx to its end\n\n{table}");
    Ok(())
}

/// What a transfer took.
struct Sent {
    nx: Ended,
    flashd_cpu_seconds: f64,
}

fn send(programs: &Programs, image: &Image, to: &Folder) -> Result<Sent> {
    let work = to.fresh("device")?;
    // Sockets have short paths.
    let socket = Folder::in_memory()?;
    let socket = socket.path("s");
    let mut flashd = Started::new(
        programs.flashd(&format!("unix:{}?listen", socket.display()), image, &work),
        "flashd",
    )?;
    wait_until_ready(&mut flashd)?;
    let mut nx = Started::new(
        programs.send(&format!("unix:{}", socket.display()), image),
        "nx",
    )?;
    let ended = nx.wait(LIMIT)?;
    let flashd_cpu_seconds = flashd.cpu_seconds();
    let installed = work.join(Programs::TARGET);
    match ended {
        Some(ended) if ended.status.success() && same(&installed, &image.img) => Ok(Sent {
            nx: ended,
            flashd_cpu_seconds,
        }),
        ended => Err(XtaskError::Unexpected {
            what: "the transfer".to_owned(),
            detail: format!("{ended:?}"),
        }),
    }
}

/// Seconds of one `openssl dgst`.
fn digest(file: &Path) -> Result<f64> {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256"]).arg(file);
    seconds(command, "openssl")
}

/// Seconds of one `dd` that waits for the disk.
fn copy(from: &Path, to: &Path) -> Result<f64> {
    let mut command = Command::new("dd");
    command
        .arg(format!("if={}", from.display()))
        .arg(format!("of={}", to.display()))
        .args(["bs=1M", "conv=fsync", "status=none"]);
    seconds(command, "dd")
}

fn seconds(mut command: Command, name: &str) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    match Started::new(command, name)?.wait(LIMIT)? {
        Some(ended) if ended.status.success() => Ok(ended.took.as_secs_f64()),
        ended => Err(XtaskError::Unexpected {
            what: name.to_owned(),
            detail: format!("{ended:?}"),
        }),
    }
}
