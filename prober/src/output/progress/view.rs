//! Counts → lines of progress. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::report::text::{Style, bar};
use crate::tally::meter::{Counted, SLOTS};
use crate::units::rounded_percent;

/// What the run has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Goal {
    /// All requests, if their number ends the run.
    pub requests: Option<u64>,
    /// The duration of the run, if time ends it.
    pub time: Option<Duration>,
    /// The rows of a matrix.
    pub rows: Option<u64>,
}

/// The counts of the last seconds of a run.
#[derive(Debug)]
pub(crate) struct History(VecDeque<Counted>);

impl Default for History {
    /// Starts with zero counts.
    fn default() -> Self {
        Self(VecDeque::from([Counted::default()]))
    }
}

/// Rates cover at least this time, so that they do not flicker.
const SHORTEST: Duration = Duration::from_secs(1);
/// Shares cover at least this many answers, if they came within [`LONGEST`].
const ENOUGH: u64 = 100;
/// Rates and shares cover at most this time.
const LONGEST: Duration = Duration::from_secs(10);

impl History {
    /// Adds the current counts, and returns the recent part of them: of the last second, or of up
    /// to ten seconds until there are 100 answers.
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

/// What progress shows.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// The names of the clusters, in the order of their first answers.
    pub clusters: &'a [String],
    pub goal: Goal,
    /// The counts since the start.
    pub whole: Counted,
    /// The recent part of them.
    pub lately: Counted,
}

impl View<'_> {
    /// The lines for a terminal of this size: the facts, then a bar per cluster for its recent
    /// share.
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
        // The last line of the terminal stays free, because a full screen would scroll.
        std::iter::once(facts).chain(clusters).take(lines.saturating_sub(1).max(1)).collect()
    }

    /// The same on one line, for a log.
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

    /// Requests that ended, failures, rate, time left.
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
            // Rows of a matrix may count only when they end, so the time left is unknown.
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

    /// The clusters that have answered, and their recent shares.
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

/// The start of a line that fits into `columns`.
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
