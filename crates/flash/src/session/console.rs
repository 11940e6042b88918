//! Text that a device's console writes between the frames.

use alloc::string::String;

use crate::limits::CONSOLE_LINE_BYTES_MAX;

/// Lines shorter than this are taken for noise that happens to be printable.
const LINE_BYTES_MIN: usize = 4;

/// Collects printable lines; anything that holds other bytes is dropped as noise.
#[derive(Debug, Default)]
pub(super) struct Console {
    line: String,
    spoiled: bool,
}

impl Console {
    /// Takes one byte that is no part of a frame; gives the line that it ends.
    pub(super) fn take(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\n' => {
                let line = core::mem::take(&mut self.line);
                let spoiled = core::mem::take(&mut self.spoiled);
                let whole = !spoiled && line.trim().len() >= LINE_BYTES_MIN;
                whole.then(|| line.trim_end().into())
            }
            b'\r' => None,
            b'\t' => self.push(' '),
            0x20..0x7f => self.push(char::from(byte)),
            _ => {
                self.spoiled = true;
                None
            }
        }
    }

    fn push(&mut self, c: char) -> Option<String> {
        if self.line.len() < CONSOLE_LINE_BYTES_MAX {
            self.line.push(c);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let mut console = Console::default();
        bytes
            .iter()
            .filter_map(|byte| console.take(*byte))
            .collect()
    }

    #[test]
    fn printable_lines_are_kept_and_binary_is_not() {
        let text = b"[ 1.5] eth0: up\r\nab\n\x9e\x00junk\nnext line\n";
        assert_eq!(lines(text), ["[ 1.5] eth0: up", "next line"]);
    }

    #[test]
    fn a_terminal_escape_never_gets_through() {
        assert_eq!(lines(b"\x1b[2Jflashd: verify ok\n"), [] as [&str; 0]);
    }

    #[test]
    fn a_line_without_end_stays_bounded() {
        let line = [b'x'; 100_000];
        let mut console = Console::default();
        line.iter()
            .for_each(|byte| assert!(console.take(*byte).is_none()));
        assert!(console.line.len() <= CONSOLE_LINE_BYTES_MAX);
    }
}
