use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Ui;
use crate::text;

/// Progress of one step, drawn on standard error: bytes, rate, and time left.
///
/// Draws nothing unless standard error is a terminal and a person reads it.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
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
        self.bar.suspend(print);
    }

    /// Ends the step and takes its line away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }

    fn new(ui: &Ui, bar: ProgressBar, template: &str, step: &str) -> Self {
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
        Self { bar }
    }
}
