//! The results of one bench, as a table.

use std::time::Duration;

use super::condition::Condition;
use crate::bench::{
    emulator::{Carried, RATE},
    median::median,
    players::{Moved, Player},
    table::Table,
};

/// One transfer.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    pub(super) moved: Moved,
    /// What the line carried from the sender, and back.
    pub(super) carried: [Carried; 2],
}

impl Transfer {
    /// By how much the line's own thread came late, at most, in milliseconds.
    pub(super) const fn late_ms(&self) -> f64 {
        self.carried[0].late_max_ms
    }
}

/// All transfers of one program on one kind of line.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) player: Player,
    pub(super) transfers: Vec<Transfer>,
}

impl Cell {
    /// Goodput as a share of the line, the median; of a transfer that was not finished, what was
    /// stored until the limit.
    fn share(&self, bytes: u64, limit: Duration) -> Option<f64> {
        let share = |transfer: &Transfer| {
            let (bytes, took) = match transfer.moved.took {
                Some(took) => (bytes, took),
                None => (transfer.moved.stored, limit),
            };
            bytes as f64 / took.as_secs_f64() / f64::from(RATE)
        };
        median(self.transfers.iter().map(share))
    }

    fn unfinished(&self) -> usize {
        let took = self.transfers.iter().map(|transfer| transfer.moved.took);
        took.filter(Option::is_none).count()
    }
}

/// What is compared with what.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// Size of the file in bytes.
    pub(super) bytes: u64,
    pub(super) limit: Duration,
    pub(super) rows: Vec<(&'a Condition, Vec<Cell>)>,
}

impl Report<'_> {
    /// The table, and what of it is below what was wanted.
    pub(super) fn table(&self) -> (Table, Vec<String>) {
        let mut table = Table::new([
            "line",
            "limit",
            "nx",
            "of the limit",
            "wanted",
            "sent",
            "again",
            "back",
            "sz/rz",
            "with a window",
            "nx ÷ the better",
            "wanted",
            "kermit",
            "nx ÷ kermit",
        ]);
        let mut missed = Vec::new();
        for (condition, cells) in &self.rows {
            let cell = |player| cells.iter().find(|cell| cell.player == player);
            let share = |player| cell(player)?.share(self.bytes, self.limit);
            let nx = share(Player::Nx);
            let times = |player| Some(nx? / share(player)?.max(f64::MIN_POSITIVE));
            // The better of the two ways to run it.
            let zmodem = match (times(Player::Zmodem), times(Player::ZmodemWindow)) {
                (Some(stream), Some(window)) => Some(f64::min(stream, window)),
                (stream, window) => stream.or(window),
            };
            let kermit = times(Player::Kermit);
            let limit = condition.limit();
            let wanted = [
                ("share of the line", nx, condition.nx_wanted),
                ("multiple of sz/rz", zmodem, condition.zmodem_times_wanted),
                ("multiple of kermit", kermit, 1.0),
            ];
            for (what, got, want) in wanted {
                if let Some(got) = got
                    && got < want
                {
                    let name = condition.name;
                    missed.push(format!("{name}: {what} {got:.3}, wanted {want:.3}"));
                }
            }
            let per_byte = |of: fn(&Transfer) -> Option<f64>| {
                let transfers = cell(Player::Nx)?.transfers.iter();
                Some(median(transfers.filter_map(of))? / self.bytes as f64)
            };
            let sent = per_byte(|transfer| Some(transfer.carried[0].bytes));
            let back = per_byte(|transfer| Some(transfer.carried[1].bytes));
            let again = per_byte(|transfer| transfer.moved.sent_again.map(|bytes| bytes as f64));
            table.row([
                condition.name.to_owned(),
                share_text(Some(limit)),
                self.goodput(cell(Player::Nx)),
                share_text(nx.map(|nx| nx / limit)),
                share_text(Some(condition.nx_wanted)),
                times_text(sent),
                times_text(again),
                times_text(back),
                self.goodput(cell(Player::Zmodem)),
                self.goodput(cell(Player::ZmodemWindow)),
                times_text(zmodem),
                times_text(Some(condition.zmodem_times_wanted)),
                self.goodput(cell(Player::Kermit)),
                times_text(kermit),
            ]);
        }
        (table, missed)
    }

    fn goodput(&self, cell: Option<&Cell>) -> String {
        let Some(cell) = cell else {
            return "–".to_owned();
        };
        let share = share_text(cell.share(self.bytes, self.limit));
        match cell.unfinished() {
            0 => share,
            some => {
                let all = cell.transfers.len();
                format!("{share} ({some} of {all} not done)")
            }
        }
    }
}

fn share_text(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{share:.3}"))
}

fn times_text(times: Option<f64>) -> String {
    match times {
        None => "–".to_owned(),
        Some(times) if times >= 1000.0 => "×1000 and more".to_owned(),
        Some(times) => format!("×{times:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::line::condition::CONDITIONS;

    fn cell(player: Player, seconds: &[Option<f64>]) -> Cell {
        let transfer = |seconds: &Option<f64>| Transfer {
            moved: Moved {
                took: seconds.map(Duration::from_secs_f64),
                stored: 92_160,
                ..Moved::default()
            },
            carried: [Carried::default(); 2],
        };
        Cell {
            player,
            transfers: seconds.iter().map(transfer).collect(),
        }
    }

    fn report(cells: Vec<Cell>) -> Report<'static> {
        Report {
            bytes: 921_600,
            limit: Duration::from_secs(100),
            rows: vec![(&CONDITIONS[0], cells)],
        }
    }

    #[test]
    fn what_was_not_finished_says_so_and_counts_what_was_stored() {
        let cell = cell(Player::Zmodem, &[None, None, Some(20.0)]);
        assert_eq!(cell.share(921_600, Duration::from_secs(100)), Some(0.01));
        let report = report(vec![cell]);
        let text = report.table().0.to_string();
        assert!(text.contains("0.010 (2 of 3 not done)"), "{text}");
    }

    #[test]
    fn what_is_below_the_wanted_is_listed_and_nothing_else() {
        let fast = || cell(Player::Nx, &[Some(10.1), Some(10.2), Some(10.3)]);
        let slow = || cell(Player::Zmodem, &[Some(11.0)]);
        assert_eq!(report(vec![fast(), slow()]).table().1, [""; 0]);
        let window = cell(Player::ZmodemWindow, &[Some(9.9)]);
        assert_eq!(
            report(vec![fast(), slow(), window]).table().1,
            ["clean: multiple of sz/rz 0.971, wanted 1.000"]
        );
        let late = cell(Player::Nx, &[Some(12.5)]);
        assert_eq!(
            report(vec![late, slow()]).table().1,
            [
                "clean: share of the line 0.800, wanted 0.931",
                "clean: multiple of sz/rz 0.880, wanted 1.000"
            ]
        );
    }
}
