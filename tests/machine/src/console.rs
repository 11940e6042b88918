//! What a machine says on its console, line by line.

use std::{
    fs::File,
    io::{Read, Write as _},
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::error::{MachineError, Result};

/// Everything that has come so far, kept in a file too.
#[derive(Debug, Clone, Default)]
pub struct Console {
    shared: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Debug, Default)]
struct Said {
    /// Whole lines, without their ends and without control characters.
    lines: Vec<String>,
    /// The line that is being written.
    open: Vec<u8>,
    ended: bool,
}

/// How many of the last characters an error shows.
const SHOWN: usize = 400;

impl Console {
    /// Reads `from` until it ends, on a thread of its own, and keeps its bytes in `log`.
    ///
    /// # Errors
    /// [`MachineError::Io`] if there can be no log.
    pub fn follow(mut from: impl Read + Send + 'static, log: &Path) -> Result<Self> {
        let mut file = File::create(log).map_err(MachineError::io("create", log))?;
        let console = Self::default();
        let ours = console.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let bytes = buffer.get(..count).unwrap_or_default();
                // The log is for people; what is waited for does not depend on it.
                let _ = file.write_all(bytes);
                ours.take(bytes);
            }
            ours.said().ended = true;
            ours.shared.1.notify_all();
        });
        Ok(console)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, bytes: &[u8]) {
        let mut said = self.said();
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut said.open);
                said.lines.push(printable(&line));
            } else {
                said.open.push(byte);
            }
        }
        drop(said);
        self.shared.1.notify_all();
    }

    /// How many whole lines have come.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.said().lines.len()
    }

    /// The lines after the first `mark`.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<String> {
        self.said().lines.get(mark..).unwrap_or_default().to_vec()
    }

    /// Waits until nobody can say anything any more.
    ///
    /// # Errors
    /// [`MachineError::Late`].
    pub fn wait_for_end(&self, limit: Duration) -> Result<()> {
        let said = self.said();
        let waited = self
            .shared
            .1
            .wait_timeout_while(said, limit, |said| !said.ended);
        let (said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if said.ended {
            return Ok(());
        }
        Err(MachineError::Late {
            what: "end of QEMU".to_owned(),
            limit,
            last: said.tail(),
        })
    }

    /// Waits for a line after the first `mark` with `text` in it; returns the line.
    ///
    /// # Errors
    /// [`MachineError::Late`] when the time is up, or the machine has ended without saying it.
    pub fn wait_for(&self, text: &str, mark: usize, limit: Duration) -> Result<String> {
        let (line, _) = self.wait_for_one_of(&[text], mark, limit)?;
        Ok(line)
    }

    /// Waits for the first line after the first `mark` with one of `texts` in it; returns the line
    /// and which of the texts it was.
    ///
    /// # Errors
    /// As [`Console::wait_for`].
    pub fn wait_for_one_of(
        &self,
        texts: &[&str],
        mark: usize,
        limit: Duration,
    ) -> Result<(String, usize)> {
        let started = Instant::now();
        let mut seen = mark;
        let mut said = self.said();
        loop {
            for line in said.lines.get(seen..).unwrap_or_default() {
                if let Some(which) = texts.iter().position(|text| line.contains(text)) {
                    return Ok((line.clone(), which));
                }
            }
            seen = said.lines.len();
            let left = limit.saturating_sub(started.elapsed());
            if said.ended || left.is_zero() {
                return Err(MachineError::Late {
                    what: format!("`{}` on the console", texts.join("` or `")),
                    limit: started.elapsed().min(limit),
                    last: said.tail(),
                });
            }
            let waited = self.shared.1.wait_timeout(said, left);
            said = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Said {
    fn tail(&self) -> String {
        let lines = self.lines.iter().rev().take(12).rev();
        let mut text = lines.cloned().collect::<Vec<_>>().join(" | ");
        text.push_str(&printable(&self.open));
        let skipped = text.chars().count().saturating_sub(SHOWN);
        text.chars().skip(skipped).collect()
    }
}

/// Text without colours and carriage returns.
fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &'static str) -> Console {
        let log = tempfile::NamedTempFile::new().unwrap();
        Console::follow(text.as_bytes(), log.path()).unwrap()
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_line_is_found_once_it_is_whole_and_only_after_the_mark() {
        let console = heard("first ready\r\nsecond ready\r\nthird rea");
        assert_eq!(console.wait_for("ready", 0, LONG).unwrap(), "first ready");
        assert_eq!(console.wait_for("ready", 1, LONG).unwrap(), "second ready");
        let error = console.wait_for("third", 2, LONG).unwrap_err();
        assert!(error.to_string().contains("third rea"), "{error}");
    }

    #[test]
    fn of_several_texts_the_first_line_decides() {
        let console = heard("a\nslot b\nslot a\n");
        let found = console.wait_for_one_of(&["slot a", "slot b"], 0, LONG);
        assert_eq!(found.unwrap(), ("slot b".to_owned(), 1));
    }
}
