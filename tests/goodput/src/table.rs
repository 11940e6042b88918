//! The golden table: goodput by line and condition.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use flash_matrix::TestImage;
use nx_image::manifest::SegmentKind;

use crate::content::Content;
use crate::line::{Line, Sent};
use crate::noise::Condition;

/// One row: a line, what is sent, and the least share of the line that is good enough.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What the row is called.
    pub name: &'static str,
    /// The line, but for its seed.
    pub line: Line,
    /// What the image is made of.
    pub content: Content,
    /// Size of the image.
    pub image_bytes: usize,
    /// Least mean goodput, as a share of the line's rate.
    pub goal: f64,
}

/// What one row came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was asked.
    pub case: Case,
    /// One transfer a seed.
    pub sent: Vec<Sent>,
}

const MIB: usize = 1 << 20;

/// Share of the line, and its name, for each condition; the goals are those of the issue that
/// asked for them, a fixed part of what theory allows with 24 bytes of overhead.
const CONDITIONS: [(&str, Condition, f64); 6] = [
    ("clean", Condition::Clean, 0.97),
    ("bit errors 1e-6", Condition::BitErrors(1e-6), 0.943),
    ("bit errors 1e-5", Condition::BitErrors(1e-5), 0.888),
    ("bit errors 1e-4", Condition::BitErrors(1e-4), 0.728),
    ("bursts of 64, 1 %", Condition::Bursts(0.01), 0.848),
    ("every 5th frame", Condition::DropEvery(5), 0.758),
];

/// Every row of the golden table, in order.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bytes_per_second in [11_520, 92_160, 300_000] {
        for (name, condition, goal) in CONDITIONS {
            let latency = Duration::from_millis(1);
            cases.push(Case {
                name,
                line: line(bytes_per_second, latency, condition),
                content: Content::Random,
                image_bytes: MIB,
                goal,
            });
        }
    }
    for (bytes_per_second, image_bytes) in [(92_160, MIB), (300_000, 4 * MIB)] {
        let latency = Duration::from_millis(50);
        cases.push(Case {
            name: "clean, far away",
            line: line(bytes_per_second, latency, Condition::Clean),
            content: Content::Random,
            image_bytes,
            goal: 0.95,
        });
    }
    cases
}

/// How many times faster than its bytes an image of sources and zero pages has to arrive.
const SOURCE_GOAL: f64 = 4.5;

/// Rows with content that packs. It changes with every source of the project, and so do the
/// figures: they are in no golden table.
pub fn source_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bytes_per_second in [11_520, 92_160, 300_000] {
        for (name, condition, goal) in CONDITIONS {
            let is_clean = condition == Condition::Clean;
            cases.push(Case {
                name,
                line: line(bytes_per_second, Duration::from_millis(1), condition),
                content: Content::SourceAndZeros,
                image_bytes: 2 * MIB,
                goal: if is_clean {
                    SOURCE_GOAL
                } else {
                    SOURCE_GOAL * goal
                },
            });
        }
    }
    cases
}

const fn line(bytes_per_second: u64, latency: Duration, condition: Condition) -> Line {
    Line {
        bytes_per_second,
        latency,
        condition,
        seed: 0,
    }
}

impl Case {
    /// Runs it once a seed, from 0.
    pub fn run(self, seeds: u64) -> Row {
        let content = self.content.bytes(self.image_bytes);
        let image = TestImage::from_segments(vec![(SegmentKind::Pkgfs, content)], 65_536);
        let send = |seed| Line { seed, ..self.line }.send(&image);
        let sent = thread::scope(|scope| {
            let half = seeds / 2;
            let second = scope.spawn(move || (half..seeds).map(send).collect::<Vec<_>>());
            let mut sent: Vec<Sent> = (0..half).map(send).collect();
            sent.extend(second.join().expect("no seed fails"));
            sent
        });
        Row { case: self, sent }
    }
}

impl Row {
    /// Mean goodput, as a share of the line's rate.
    pub fn mean(&self) -> f64 {
        self.shares().sum::<f64>() / self.sent.len() as f64
    }

    fn shares(&self) -> impl Iterator<Item = f64> {
        let line = self.case.line;
        self.sent.iter().map(move |sent| sent.share_of(&line))
    }
}

/// The heading of the table.
pub const HEADING: &str =
    "   B/s   ms  line               MiB   goal    mean   least    most   again";

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = self.case.line;
        let again: u64 = self.sent.iter().map(|sent| sent.retransmitted_bytes).sum();
        let wire: u64 = self.sent.iter().map(|sent| sent.wire_bytes).sum();
        let mut row = String::new();
        write!(
            row,
            "{:>6} {:>4}  {:<17} {:>4} {:>6.3} {:>7.4} {:>7.4} {:>7.4} {:>7.4}",
            line.bytes_per_second,
            line.latency.as_millis(),
            self.case.name,
            self.case.image_bytes / MIB,
            self.case.goal,
            self.mean(),
            self.shares().fold(f64::INFINITY, f64::min),
            self.shares().fold(0.0, f64::max),
            again as f64 / wire as f64,
        )?;
        f.write_str(&row)
    }
}
