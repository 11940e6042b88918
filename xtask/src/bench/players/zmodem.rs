//! `sz` to `rz`.

use std::{fs, process::Stdio, time::Duration};

use super::{Moved, Task};
use crate::{
    bench::{
        emulator::open,
        folder::same,
        process::{PLAYER, Started, ahead},
    },
    error::{Result, XtaskError},
};

/// How long the receiver may take to end after the sender has.
const FAREWELL: Duration = Duration::from_secs(10);

/// `--try-8k` is the fastest that lrzsz has on a clean line, and it halves its blocks down to 32
/// bytes by itself when there are errors.
pub(super) const STREAM: &[&str] = &["--try-8k"];
/// Less is under way when something goes wrong.
pub(super) const WINDOW: &[&str] = &["--windowsize", "8192"];
const SEND: &[&str] = &["--binary", "--quiet"];
const RECEIVE: &[&str] = &["--binary", "--quiet", "--overwrite"];

/// Timed: all of `sz`, from its start to its end; `rz` already waits.
pub(super) fn play(task: &Task<'_>, options: &[&str]) -> Result<Moved> {
    let [near, far] = [open(task.ends[0])?, open(task.ends[1])?];
    let twice = |end: &fs::File| end.try_clone().map_err(XtaskError::io("dup", "an end"));
    let (folder, file) = task.received()?;
    let mut command = ahead("rz", PLAYER);
    command
        .args(RECEIVE)
        .current_dir(folder)
        .stdin(twice(&far)?)
        .stdout(far)
        .stderr(Stdio::null());
    let mut receiver = Started::new(command, "rz")?;
    let mut command = ahead("sz", PLAYER);
    command
        .args(SEND)
        .args(options)
        .arg(task.content)
        .stdin(twice(&near)?)
        .stdout(near)
        .stderr(Stdio::null());
    let mut sender = Started::new(command, "sz")?;
    let ended = sender.wait(task.limit)?;
    if ended.is_some() {
        receiver.wait(task.limit.saturating_add(FAREWELL))?;
    }
    let ok = ended.filter(|ended| ended.status.success() && same(&file, task.content));
    Ok(Moved {
        took: ok.map(|ended| ended.took),
        stored: fs::metadata(&file).map_or(0, |metadata| metadata.len()),
        sent_again: None,
        complaint: ended
            .filter(|_| ok.is_none())
            .map(|ended| format!("sz: {}", ended.status)),
    })
}
