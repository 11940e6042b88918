//! A directory as a root file system.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::task::Task;
use crate::{
    bench::{folder::Folder, programs::Programs, table::Table},
    command::Cmd,
    error::{Result, XtaskError},
};

/// What both sides compress with.
const LEVEL: &str = "3";

/// Packs a copy of `root`, which lies in memory.
pub(super) fn run(programs: &Programs, root: &Path, rounds: usize) -> Result<()> {
    let folder = Folder::in_memory()?;
    let tree = folder.path("tree");
    Cmd::new("cp").arg("-a").arg(root).arg(&tree).read()?;
    let image = folder.key(programs)?;
    let squashfs = folder.path("squashfs");
    let mut ours = Task::new("nx image build, of the directory");
    let mut theirs = Task::new("mksquashfs");
    let mut image_of_it = Task::new("nx image build, of what mksquashfs made");
    for _ in 0..rounds {
        if squashfs.exists() {
            fs::remove_file(&squashfs).map_err(XtaskError::io("remove", &squashfs))?;
        }
        theirs.time(&mksquashfs(&tree, &squashfs))?;
        image_of_it.time(&build(programs, &folder, &squashfs))?;
        ours.time(&build(programs, &folder, &tree))?;
    }
    let mut table = Table::new(["task", "wall", "processor"]);
    for task in [&theirs, &image_of_it, &ours] {
        table.row([
            task.name.to_owned(),
            format!("{:.2} s", task.seconds()),
            format!("{:.2} s", task.processor()),
        ]);
    }
    let size = |path: &Path| {
        let found = fs::metadata(path).map_err(XtaskError::io("look at", path))?;
        Ok::<_, XtaskError>(found.len())
    };
    println!(
        "\nA directory, medians of {rounds} rounds, in memory; zstd level {LEVEL}, {} bytes by \
         mksquashfs, an image of {} bytes by nx\n\n{table}\n\
         nx as a multiple of mksquashfs: {:.2}; of mksquashfs and an image of what it made: \
         {:.2}\n",
        size(&squashfs)?,
        size(&image.img)?,
        ours.ratio(&[&theirs]),
        ours.ratio(&[&theirs, &image_of_it]),
    );
    Ok(())
}

fn mksquashfs(tree: &Path, to: &Path) -> Command {
    let mut command = Command::new("mksquashfs");
    command
        .arg(tree)
        .arg(to)
        .args(["-comp", "zstd", "-Xcompression-level", LEVEL])
        .args(["-no-xattrs", "-all-root", "-quiet", "-no-progress"])
        .stdout(Stdio::null());
    command
}

fn build(programs: &Programs, folder: &Folder, rootfs: &Path) -> Command {
    let mut command = Command::new(&programs.nx);
    command
        .args(["image", "build", "--profile", "dev", "--table", "none"])
        .args(["--copy-hard-links", "--drop-xattrs", "--rootfs"])
        .arg(rootfs);
    programs.outputs(&mut command, folder, &folder.image_files());
    command
}
