use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Ui;
use crate::text;

/// Progress of one step, drawn on standard error: bytes, rate, and time left.
///
/// Draws nothing unless standard error is a terminal and a person reads it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The bar is a lane's, and stays when the step ends.
    lane: bool,
}

impl Progress {
    /// A step over `total` bytes.
    pub(crate) fn bytes(ui: &Ui, step: &str, total: u64) -> Self {
        const TEMPLATE: &str = "{prefix} {wide_bar} {percent:>3} %  {binary_bytes}/\
                                {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
        Self::new(ui, ProgressBar::new(total), TEMPLATE, step)
    }

    /// A step over who knows how many entries.
    pub(crate) fn entries(ui: &Ui, step: &str) -> Self {
        let bar = Self::new(
            ui,
            ProgressBar::no_length(),
            "{spinner} {prefix} {human_pos}",
            step,
        );
        bar.bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// How far it is, from the start of the step.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// How far it is, of how much: where that changes while it goes on.
    pub(crate) fn at_of(&self, position: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(position);
    }

    /// Takes the line away while something else is printed.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        if self.lane {
            // What a lane prints takes the bars of all lanes away by itself.
            print();
        } else {
            self.bar.suspend(print);
        }
    }

    /// Ends the step and takes its line away; that of a lane stays for its next step.
    pub(crate) fn finish(self) {
        if !self.lane {
            self.bar.finish_and_clear();
        }
    }

    fn new(ui: &Ui, bar: ProgressBar, template: &str, step: &str) -> Self {
        if let Some(lane) = ui.as_lane() {
            return lane.step(bar.length(), template, step);
        }
        // A hidden bar still counts, and that is all that it does.
        bar.set_draw_target(if ui.is_live() {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(text::one_line(step));
        Self { bar, lane: false }
    }
}

/// Bars below each other, one for each lane.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    bars: MultiProgress,
}

impl Lanes {
    /// None yet.
    pub(crate) fn new(ui: &Ui) -> Self {
        Self {
            bars: MultiProgress::with_draw_target(if ui.is_live() {
                ProgressDrawTarget::stderr_with_hz(8)
            } else {
                ProgressDrawTarget::hidden()
            }),
        }
    }

    /// Takes the bars of all lanes away while something is printed.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }

    /// One more lane, below the others.
    pub(crate) fn lane(&self, name: &str) -> Lane {
        Lane {
            name: text::one_line(name),
            bars: self.bars.clone(),
            bar: self.bars.add(ProgressBar::no_length()),
        }
    }
}

/// The bar of one lane, which is there until the lane ends.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    bars: MultiProgress,
    bar: ProgressBar,
}

impl Lane {
    /// Something that is said about this lane.
    pub(crate) fn named(&self, what: &str) -> String {
        format!("{}: {what}", self.name)
    }

    /// Takes the bars of all lanes away while something is printed.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.bars.suspend(print);
    }

    fn step(&self, total: Option<u64>, template: &str, step: &str) -> Progress {
        let bar = self.bar.clone();
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(text::one_line(&self.named(step)));
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.reset();
        Progress { bar, lane: true }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bars.remove(&self.bar);
    }
}
