//! What progress looks like: counts → lines. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::report::text::{Style, bar};
use crate::tally::meter::{Counted, SLOTS};
use crate::units::rounded_percent;

/// What there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Goal {
    /// Requests in all, where they end the run.
    pub requests: Option<u64>,
    /// How long the run takes, where time ends it.
    pub time: Option<Duration>,
    /// Rows of a matrix.
    pub rows: Option<u64>,
}

/// The last seconds of a run, so that what is shown is what happens now.
#[derive(Debug)]
pub(crate) struct History(VecDeque<Counted>);

impl Default for History {
    /// Begins where nothing was done.
    fn default() -> Self {
        Self(VecDeque::from([Counted::default()]))
    }
}

/// A rate is of at least this long, so that it does not flicker.
const SHORTEST: Duration = Duration::from_secs(1);
/// Shares are of at least so many answers, if they came within [`LONGEST`].
const ENOUGH: u64 = 100;
/// What is longer ago is forgotten.
const LONGEST: Duration = Duration::from_secs(10);

impl History {
    /// Adds what was done by now, and returns what of it was done lately: in the last
    /// second, or in longer if that is needed for a hundred answers, up to ten seconds.
    pub(crate) fn lately(&mut self, now: &Counted) -> Counted {
        while self.0.len() > 1 && now.at.saturating_sub(self.0[1].at) >= LONGEST {
            self.0.pop_front();
        }
        let parts = self.0.iter().rev().map(|before| now.since(before));
        let enough = |part: &Counted| part.at >= SHORTEST && part.answered() >= ENOUGH;
        let oldest = now.since(&self.0[0]);
        let lately = parts.into_iter().find(enough).unwrap_or(oldest);
        self.0.push_back(now.clone());
        lately
    }
}

/// What is to be shown.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// The clusters' names, in the order in which they were first seen.
    pub clusters: &'a [String],
    /// What there is to do.
    pub goal: Goal,
    /// All that was done.
    pub whole: Counted,
    /// What of it was done lately.
    pub lately: Counted,
}

impl View<'_> {
    /// The lines for a terminal of so many columns and lines: the facts, then a bar for each
    /// cluster's share of late.
    #[must_use]
    pub(crate) fn live(&self, columns: usize, lines: usize, style: Style) -> Vec<String> {
        let failed = self.whole.failed;
        let facts = self.facts();
        let facts = cut(&format!("  {}", facts.join(", ")), columns.saturating_sub(1));
        let red = format!("{failed} failed");
        let facts = match failed {
            0 => facts,
            _ => facts.replacen(&red, &style.paint("31", &red), 1),
        };
        let name_width = self.shares().map(|(name, _)| name.width()).max().unwrap_or(0);
        let clusters = self.shares().map(|(name, share)| {
            let pad = " ".repeat(name_width - name.width());
            let line = format!(
                "  {name}{pad}  {:>6}  {}",
                rounded_percent(share),
                bar::plain(share, style.unicode)
            );
            cut(line.trim_end(), columns.saturating_sub(1))
        });
        // The last line of the terminal stays free: a full screen would scroll.
        std::iter::once(facts).chain(clusters).take(lines.saturating_sub(1).max(1)).collect()
    }

    /// The same as one line, for a log.
    #[must_use]
    pub(crate) fn plain(&self) -> String {
        let shares: Vec<_> = self
            .shares()
            .map(|(name, share)| format!("{name} {}", rounded_percent(share)))
            .collect();
        match shares.as_slice() {
            [] => self.facts().join(", "),
            shares => format!("{}; {}", self.facts().join(", "), shares.join(", ")),
        }
    }

    /// How much is done, what failed, how fast it goes, how long it will still take.
    fn facts(&self) -> Vec<String> {
        let Self { goal, whole, lately, .. } = self;
        let mut facts = Vec::new();
        if let Some(rows) = goal.rows {
            facts.push(format!("{} of {rows} rows", whole.rows));
        }
        let ended = whole.ended();
        facts.push(match goal.requests {
            Some(all) => format!("{ended} of {all} requests ended"),
            None => format!("{ended} requests ended"),
        });
        facts.push(format!("{} failed", whole.failed));
        let rate = |count: u64| count as f64 / lately.at.as_secs_f64().max(0.001);
        facts.push(match rate(lately.answered()) {
            rate if rate < 9.95 => format!("{rate:.1} answers/s"),
            rate => format!("{rate:.0} answers/s"),
        });
        let left = match (goal.requests, goal.time) {
            // Rows behind commands are counted as they end, from which nothing can be told.
            _ if goal.rows.is_some() => None,
            (_, Some(time)) => Some(time.saturating_sub(whole.at)),
            (Some(all), None) if lately.ended() > 0 => {
                let seconds = all.saturating_sub(ended) as f64 / rate(lately.ended());
                Duration::try_from_secs_f64(seconds).ok()
            }
            _ => None,
        };
        facts.extend(left.map(|left| format!("{} left", shown_left(left))));
        facts
    }

    /// Each cluster that answered at all, and its share of the answers of late.
    fn shares(&self) -> impl Iterator<Item = (&str, f64)> {
        let names = self.clusters.iter().map(String::as_str).take(SLOTS - 1);
        let total = self.lately.answered().max(1) as f64;
        let further = (self.whole.answers[SLOTS - 1] > 0).then_some(("others", SLOTS - 1));
        let slots = names.enumerate().map(|(slot, name)| (name, slot)).chain(further);
        slots.map(move |(name, slot)| (name, self.lately.answers[slot] as f64 / total))
    }
}

/// Whole seconds, minutes and hours: `8 s`, `2 min 5 s`, `1 h 0 min`.
fn shown_left(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

/// As much of a line as fits into so many columns.
fn cut(line: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    line.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests;
