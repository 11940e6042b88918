//! An image of ready segments.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{fs, path::Path, process::Command};

use super::task::Task;
use crate::{
    bench::{
        folder::{Folder, Image},
        programs::Programs,
        table::Table,
    },
    error::{Result, XtaskError},
};

const MIB: u64 = 1 << 20;
/// The segments, and how much of the image is theirs, in thousandths.
const SEGMENTS: [(&str, u64); 3] = [("kernel", 24), ("rootfs", 880), ("pkgfs", 96)];

/// Builds and proves an image of that many MiB.
pub(super) fn run(programs: &Programs, size_mib: u64, rounds: usize) -> Result<()> {
    let folder = Folder::in_memory()?;
    for (name, share) in SEGMENTS {
        let bytes = size_mib.saturating_mul(share).saturating_mul(MIB) / 1000;
        folder.random_file(name, bytes)?;
    }
    let image = folder.key(programs)?;
    let mut build = Task::new("nx image build");
    let mut verify = Task::new("nx image verify");
    let mut digest = Task::new("openssl dgst -sha256");
    let mut genimage = Task::new("genimage");
    let config = folder.path("genimage.cfg");
    fs::write(&config, genimage_config()).map_err(XtaskError::io("write", &config))?;
    for _ in 0..rounds {
        remove(&image)?;
        build.time(&build_command(programs, &folder, &image))?;
        digest.time(&digest_command(&image.img))?;
        verify.time(&programs.verify_image(&image))?;
        genimage.time(&genimage_command(&folder)?)?;
        folder.fresh("genimage")?;
    }
    let mut table = Table::new([
        "task",
        "wall",
        "processor",
        "as a multiple of",
        "ratio",
        "wanted",
    ]);
    let mut row = |task: &Task, beside: &[&Task], wanted: &str| {
        let names: Vec<&str> = beside.iter().map(|task| task.name).collect();
        let ratio = match beside {
            [] => String::new(),
            _ => format!("{:.2}", task.ratio(beside)),
        };
        table.row([
            task.name.to_owned(),
            format!("{:.2} s", task.seconds()),
            format!("{:.2} s", task.processor()),
            names.join(" + "),
            ratio,
            wanted.to_owned(),
        ]);
    };
    row(&digest, &[], "");
    row(&genimage, &[], "");
    row(&verify, &[&digest], "≤ 1.2");
    row(&build, &[&digest], "≤ 2.0");
    row(&build, &[&genimage, &digest], "< 1");
    let bytes = image.bytes()?;
    println!("\nAn image of {bytes} bytes, medians of {rounds} rounds, in memory\n\n{table}");
    Ok(())
}

fn remove(image: &Image) -> Result<()> {
    for path in [&image.img, &image.manifest] {
        if path.exists() {
            fs::remove_file(path).map_err(XtaskError::io("remove", path))?;
        }
    }
    Ok(())
}

fn build_command(programs: &Programs, folder: &Folder, image: &Image) -> Command {
    let mut command = Command::new(&programs.nx);
    command.args(["image", "build", "--profile", "dev", "--state-size", "1MiB"]);
    for (name, _) in SEGMENTS {
        command.arg(format!("--{name}")).arg(folder.path(name));
    }
    programs.outputs(&mut command, folder, image);
    command
}

pub(super) fn digest_command(file: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256"]).arg(file);
    command
}

/// The same partitions, without digests.
fn genimage_config() -> String {
    let partition = |(name, _)| format!("  partition {name} {{ image = \"{name}\" }}\n");
    let partitions: String = SEGMENTS.map(partition).concat();
    format!("image disk.img {{\n  hdimage {{ partition-table-type = \"gpt\" }}\n{partitions}}}\n")
}

fn genimage_command(folder: &Folder) -> Result<Command> {
    let work = folder.fresh("genimage")?;
    let root = work.join("root");
    fs::create_dir(&root).map_err(XtaskError::io("make", &root))?;
    let mut command = Command::new("genimage");
    command
        .args(["--loglevel", "0", "--config"])
        .arg(folder.path("genimage.cfg"))
        .arg("--inputpath")
        .arg(folder.path("."))
        .arg("--rootpath")
        .arg(root)
        .arg("--tmppath")
        .arg(work.join("tmp"))
        .arg("--outputpath")
        .arg(work.join("out"));
    Ok(command)
}
