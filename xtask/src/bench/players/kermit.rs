//! C-Kermit on both sides.

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use super::{Moved, Task};
use crate::{
    bench::{
        emulator::BAUD,
        folder::same,
        process::{PLAYER, Started, ahead},
    },
    error::Result,
};

/// How long the receiver may take to end after the sender has.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long it is given to begin: a packet that comes too early costs the sender a time-out.
const BEGINNING: Duration = Duration::from_secs(1);

/// The largest window, as few prefixes as random bytes allow, 16-bit checks. Packets of 1000 bytes:
/// 4000 gained 1 % on a clean line and lost 30 % at a bit error rate of 1e-5.
const SETTINGS: &[&str] = &[
    "set carrier-watch off",
    "set flow-control none",
    "set parity none",
    "set file type binary",
    "set file collision overwrite",
    "set transfer mode manual",
    "set transfer display none",
    "set block-check 3",
    "set window 32",
    "set receive packet-length 1000",
    "set send packet-length 1000",
    "set prefixing minimal",
];

/// Timed: all of the sending `kermit`, from its start to its end; the receiving one already waits.
pub(super) fn play(task: &Task<'_>) -> Result<Moved> {
    let [near, far] = task.ends;
    let (folder, file) = task.received()?;
    let mut command = ahead("kermit", PLAYER);
    command
        .args(["-Y", "-C", &script(far, "receive")])
        .current_dir(folder)
        .stdout(Stdio::null());
    let mut receiver = Started::new(command, "kermit")?;
    thread::sleep(BEGINNING);
    let mut command = ahead("kermit", PLAYER);
    let send = format!("send {}", task.content.display());
    command
        .args(["-Y", "-C", &script(near, &send)])
        .stdout(Stdio::null());
    let mut sender = Started::new(command, "kermit")?;
    let ended = sender.wait(task.limit)?;
    if ended.is_some() {
        let limit = task
            .limit
            .saturating_add(BEGINNING)
            .saturating_add(FAREWELL);
        receiver.wait(limit)?;
    }
    let ok = ended.filter(|ended| ended.status.success() && same(&file, task.content));
    Ok(Moved {
        took: ok.map(|ended| ended.took),
        stored: fs::metadata(&file).map_or(0, |metadata| metadata.len()),
        sent_again: None,
        complaint: ended
            .filter(|_| ok.is_none())
            .map(|ended| format!("kermit: {}", ended.status)),
    })
}

fn script(end: &Path, action: &str) -> String {
    let mut words = vec![format!("set line {}", end.display())];
    words.push(format!("set speed {BAUD}"));
    words.extend(SETTINGS.iter().map(|setting| (*setting).to_owned()));
    words.push(action.to_owned());
    words.push("exit".to_owned());
    words.join(", ")
}
