//! `nx flash send` to `flashd`.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::Stdio,
};

use serde_json::Value;

use super::{Moved, Task};
use crate::{
    bench::{
        emulator::BAUD,
        folder::same,
        process::{PLAYER, Started, put_ahead},
        programs::Programs,
    },
    error::{Result, XtaskError},
};

/// Timed: all of `nx`, from its start to its end: reading and checking the image, the session from
/// its first byte on, the device's reading back of what it has stored, the installation, and the
/// session's end.
pub(super) fn play(task: &Task<'_>) -> Result<Moved> {
    let [near, far] = task.ends;
    let (work, _) = task.received()?;
    let port = |end: &Path| format!("serial:{}?baud={BAUD}", end.display());
    let programs = task.programs;
    let command = programs.flashd(&port(far), task.image, &work);
    let mut command = put_ahead(&command, PLAYER);
    command.arg("--once").stdout(Stdio::piped());
    let mut flashd = Started::new(command, "flashd")?;
    wait_until_ready(&mut flashd)?;
    let mut command = put_ahead(&programs.send(&port(near), task.image), PLAYER);
    command.stdout(Stdio::piped());
    let mut nx = Started::new(command, "nx")?;
    let ended = nx.wait(task.limit)?;
    let mut text = String::new();
    if let Some(mut stdout) = nx.child.stdout.take() {
        stdout
            .read_to_string(&mut text)
            .map_err(XtaskError::io("read from", "nx"))?;
    }
    let said: Value = serde_json::from_str(&text).unwrap_or_default();
    let fact = |name: &str| {
        said.pointer(&format!("/data/{name}"))
            .and_then(Value::as_u64)
    };
    let target = work.join(Programs::TARGET);
    let ok = ended.filter(|ended| ended.status.success() && same(&target, &task.image.img));
    Ok(Moved {
        took: ok.map(|ended| ended.took),
        // It installs all or nothing.
        stored: 0,
        sent_again: fact("retransmitted_bytes"),
        complaint: ended
            .filter(|_| ok.is_none())
            .map(|ended| format!("nx: {}: {text}", ended.status)),
    })
}

/// Waits until a `flashd` serves its port, and keeps what it says after that from blocking it.
pub(in crate::bench) fn wait_until_ready(flashd: &mut Started) -> Result<()> {
    let odd = |detail: String| XtaskError::Unexpected {
        what: "what `flashd` says".to_owned(),
        detail,
    };
    let Some(stdout) = flashd.child.stdout.take() else {
        return Err(odd("nothing".to_owned()));
    };
    let mut said = BufReader::new(stdout);
    let mut line = String::new();
    said.read_line(&mut line)
        .map_err(XtaskError::io("read from", "flashd"))?;
    if !line.starts_with("flashd: ready") {
        return Err(odd(format!("{line:?}")));
    }
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    Ok(())
}
