//! The live lines on a terminal: one bar for the whole run, the facts, the shares. indicatif draws
//! them.

use std::fmt;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::screen::{Screen, size, usable};
use super::view::View;
use crate::output::terminal::note;
use crate::report::text::Style;

/// The steps of the bar.
const STEPS: u64 = 1000;
/// The longest bar, in columns.
const LONGEST: usize = 20;

/// The live lines. Dropping them erases them.
#[derive(Debug)]
pub(super) struct Live {
    bar: ProgressBar,
    style: Style,
}

impl Live {
    pub(super) fn new(style: Style) -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(Screen::default()));
        Self { bar: ProgressBar::with_draw_target(Some(STEPS), target), style }
    }

    /// Draws the lines in the place of the last ones.
    pub(super) fn show(&self, view: &View<'_>) {
        let columns = usize::from(usable(size().0));
        let bar = view.beside_bar().and_then(|beside| {
            let width = columns.checked_sub("  ".len() + " ".len() + beside.len())?.min(LONGEST);
            (width > 0).then(|| format!("  {{bar:{width}}} {beside}\n"))
        });
        let template = format!("{}{{below}}", bar.unwrap_or_default());
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars(if self.style.unicode { "█▉▊▋▌▍▎▏░" } else { "#-" });
        let below = view.below_bar(columns, self.style).join("\n");
        let write = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&below);
        };
        self.bar.set_style(style.with_key("below", write));
        let step = (view.done().unwrap_or(0.0) * STEPS as f64) as u64;
        self.bar.update(|state| state.set_pos(step));
    }

    /// Prints a line above the live lines.
    pub(super) fn note(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
