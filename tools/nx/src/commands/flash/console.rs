//! How much of a device's console is shown.

use std::time::Duration;

/// Lines that may come at once.
const AT_ONCE: u32 = 10;

/// Decides which lines of a device's console a person is shown: all that a device says now and
/// then, and of a flood its beginning and a line each second. The events have every line.
#[derive(Debug)]
pub(super) struct Console {
    /// Lines that may be shown now.
    room: u32,
    /// From when on the next one has been earned.
    since: Duration,
    left_out: u64,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            room: AT_ONCE,
            since: Duration::ZERO,
            left_out: 0,
        }
    }
}

impl Console {
    /// Whether a line that comes at this time is shown.
    pub(super) fn shows(&mut self, now: Duration) -> bool {
        // One more for each second.
        let earned = now.saturating_sub(self.since).as_secs();
        if earned > 0 {
            self.room = u32::try_from(earned)
                .unwrap_or(AT_ONCE)
                .saturating_add(self.room)
                .min(AT_ONCE);
            self.since = now;
        }
        match self.room.checked_sub(1) {
            Some(room) => {
                self.room = room;
                true
            }
            None => {
                self.left_out = self.left_out.saturating_add(1);
                false
            }
        }
    }

    /// What a person should know in the end of the lines that were not shown.
    pub(super) fn rest(&self) -> Option<String> {
        let lines = match self.left_out {
            0 => return None,
            1 => "1 more line".to_owned(),
            lines => format!("{lines} more lines"),
        };
        Some(format!(
            "the device's console had {lines}; `--events FILE` keeps every line"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the lines that come every so many milliseconds are shown.
    fn shown(console: &mut Console, every_ms: u64, lines: u64) -> usize {
        let times = (0..lines).map(|line| line.saturating_mul(every_ms));
        let times = times.map(Duration::from_millis);
        times.filter(|at| console.shows(*at)).count()
    }

    #[test]
    fn a_device_that_says_something_now_and_then_is_shown_whole() {
        let mut console = Console::default();
        assert_eq!(shown(&mut console, 1_000, 100), 100);
        assert_eq!(console.rest(), None);
        let mut console = Console::default();
        assert_eq!(shown(&mut console, 0, 10), 10);
        assert_eq!(console.rest(), None);
    }

    #[test]
    fn of_a_flood_the_beginning_and_a_line_each_second_are_shown() {
        let mut console = Console::default();
        // 30 lines a second, for a little under 4 s.
        assert_eq!(shown(&mut console, 33, 120), 13);
        let rest = console.rest().unwrap();
        assert!(rest.contains("107 more lines"), "{rest}");
    }

    #[test]
    fn after_a_flood_there_is_room_again() {
        let mut console = Console::default();
        shown(&mut console, 0, 50);
        let later = Duration::from_secs(60);
        let again = (0..50).filter(|_| console.shows(later)).count();
        assert_eq!(again, 10);
        assert!(console.rest().unwrap().contains("80 more lines"));
    }
}
