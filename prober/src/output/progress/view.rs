//! Counts → lines of progress. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use unicode_width::UnicodeWidthChar as _;

use crate::report::text::Style;
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
    /// How much of the run is done, 0 to 1. `None` if its end is not known.
    #[must_use]
    pub(crate) fn done(&self) -> Option<f64> {
        let Self { goal, whole, .. } = self;
        let part = |done: f64, all: f64| Some((done / all.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0));
        match (goal.requests, goal.time, goal.rows) {
            (Some(all), _, _) => part(whole.ended() as f64, all as f64),
            (None, Some(time), _) => part(whole.at.as_secs_f64(), time.as_secs_f64()),
            (None, None, Some(rows)) => part(whole.rows as f64, rows as f64),
            (None, None, None) => None,
        }
    }

    /// What stands beside the bar: ` 62%, 8 s left`. `None` if the end of the run is not known.
    #[must_use]
    pub(crate) fn beside_bar(&self) -> Option<String> {
        let left = self.left().map(|left| format!(", {left}")).unwrap_or_default();
        Some(format!("{:>3}%{left}", (self.done()? * 100.0).floor()))
    }

    /// The lines below the bar, of up to `columns`. They are short, because a terminal that becomes
    /// narrower wraps them.
    #[must_use]
    pub(crate) fn below_bar(&self, columns: usize, style: Style) -> [String; 2] {
        let red = self.failed();
        let counts = cut(&format!("  {}, {red}", self.ended().join(", ")), columns);
        let counts = match self.whole.failed {
            0 => counts,
            _ => counts.replacen(&red, &style.paint("31", &red), 1),
        };
        let shares = match self.shown_shares() {
            none if none.is_empty() => none,
            shares => format!(": {shares}"),
        };
        [counts, cut(&format!("  {}{shares}", self.rate()), columns)]
    }

    /// The same on one line, for a log.
    #[must_use]
    pub(crate) fn plain(&self) -> String {
        let mut facts = self.ended();
        facts.extend([self.failed(), self.rate()]);
        facts.extend(self.left());
        match self.shown_shares() {
            none if none.is_empty() => facts.join(", "),
            shares => format!("{}; {shares}", facts.join(", ")),
        }
    }

    /// Rows and requests that ended.
    fn ended(&self) -> Vec<String> {
        let Self { goal, whole, .. } = self;
        let rows = goal.rows.map(|rows| format!("{} of {rows} rows", whole.rows));
        let ended = whole.ended();
        let requests = match goal.requests {
            Some(all) => format!("{ended} of {all} requests ended"),
            None => format!("{ended} requests ended"),
        };
        rows.into_iter().chain([requests]).collect()
    }

    fn failed(&self) -> String {
        format!("{} failed", self.whole.failed)
    }

    /// `count` requests of the recent part, per second.
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.lately.at.as_secs_f64().max(0.001)
    }

    fn rate(&self) -> String {
        match self.per_second(self.lately.answered()) {
            rate if rate < 9.95 => format!("{rate:.1} answers/s"),
            rate => format!("{rate:.0} answers/s"),
        }
    }

    /// The time left, if it is known.
    fn left(&self) -> Option<String> {
        let Self { goal, whole, lately, .. } = self;
        let left = match (goal.requests, goal.time) {
            // Rows of a matrix may count only when they end, so the time left is unknown.
            _ if goal.rows.is_some() => None,
            (_, Some(time)) => Some(time.saturating_sub(whole.at)),
            (Some(all), None) if lately.ended() > 0 => {
                let seconds =
                    all.saturating_sub(whole.ended()) as f64 / self.per_second(lately.ended());
                Duration::try_from_secs_f64(seconds).ok()
            }
            _ => None,
        };
        left.map(|left| format!("{} left", shown_left(left)))
    }

    /// `kops 49.5%, gke1 50.5%`; empty until a cluster has answered.
    fn shown_shares(&self) -> String {
        let shown = |(name, share)| format!("{name} {}", rounded_percent(share));
        self.shares().map(shown).collect::<Vec<_>>().join(", ")
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
