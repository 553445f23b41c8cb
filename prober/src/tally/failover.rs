//! How a fault was survived: from what came of each request and the instants of the run's
//! events to times with one definition each. Pure.
//!
//! The *fault* is the start of the run's first event, the *recovery* that of its last one, if
//! there are two or more. A request belongs to the instant at which it should have started. A
//! *window* is a time of the length `hold`; it is *calm* if requests started in it, none of
//! them failed, and, where shares are stated, each cluster's share of its answers is within
//! four standard errors of its own (for a window of so many answers; five points at least). The
//! shares hold so in its first half, too, in its first quarter, and so on, and calm begins with
//! the instant by which each cluster that has a share has answered: calm that begins within a
//! silence of one of them would begin too early.
//!
//! - *detect*: from the fault to the end of the first request that ended after it and shows
//!   it: it failed, was slow, or was answered at a later attempt of the mesh.
//! - *lost*: requests that ended after the fault, and failed.
//! - *slow*: answers that ended after the fault and took more than twice the slowest answer
//!   from before it.
//! - *failover*: from the fault to the beginning of the first calm window that ends before the
//!   recovery (or the run's end). Stated shares are those of `--failover-to`.
//! - *failback*: from the recovery to the beginning of the first calm window that ends before
//!   the run's end. Stated shares are the clusters' shares before the fault.
//! - *overshoot*: how far a cluster's share in any window after the recovery exceeded its
//!   share before the fault, in points of a hundred, at most. It contains the scatter of a
//!   window's sample.
//! - *resolution*: the mean time between starts. No time above is known better.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A run that is longer than this many requests keeps no record of each, and has no times.
pub(crate) const MAX_ENTRIES: usize = 4_000_000;
/// How long calm must last, unless told otherwise.
pub(crate) const DEFAULT_HOLD: Duration = Duration::from_secs(1);
/// How far a share may be off whatever the sample says, of 1.
const LEAST_TOLERANCE: f64 = 0.05;
/// How often a window is halved to see that calm is there from its beginning.
const HALVINGS: u32 = 6;
/// How many standard errors a share may be off.
const ERRORS: f64 = 4.0;

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it should have started, from the end of the warm-up.
    pub due: Duration,
    /// From then to its end.
    pub took: Duration,
    /// The place of the cluster that answered in [`Trail::clusters`]; `None` if it failed.
    pub cluster: Option<u32>,
    /// Whether it was answered at a later attempt of the mesh.
    pub retried: bool,
}

impl Entry {
    fn end(&self) -> Duration {
        self.due + self.took
    }
}

/// What came of every request of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// The clusters that answered.
    pub clusters: Vec<String>,
    /// The requests, in no order.
    pub entries: Vec<Entry>,
    /// Whether there were more than [`MAX_ENTRIES`].
    pub cut: bool,
}

impl Trail {
    /// Notes one request; `cluster` is a place in what will be [`Trail::clusters`].
    pub fn note(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        } else {
            self.cut = true;
        }
    }

    /// Adds all of another's, such as another thread's.
    pub fn merge(&mut self, other: Self) {
        let places: Vec<_> = other.clusters.into_iter().map(|name| self.place(name)).collect();
        for mut entry in other.entries {
            entry.cluster = entry.cluster.and_then(|place| places.get(place as usize)).copied();
            self.note(entry);
        }
        self.cut |= other.cut;
    }

    fn place(&mut self, name: String) -> u32 {
        let known = self.clusters.iter().position(|cluster| *cluster == name);
        let place = known.unwrap_or_else(|| {
            self.clusters.push(name);
            self.clusters.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

/// What to measure by.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// How long calm must last.
    pub hold: Duration,
    /// The shares that must hold after the fault, of 1, by cluster; empty for any.
    pub shares: BTreeMap<String, f64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { hold: DEFAULT_HOLD, shares: BTreeMap::new() }
    }
}

/// How a fault was survived. Times in µs; the module says what each is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// When the fault was, from the end of the warm-up.
    pub fault_us: u64,
    /// When the recovery was, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_us: Option<u64>,
    /// How long calm had to last.
    pub hold_us: u64,
    /// The mean time between starts.
    pub resolution_us: u64,
    /// Requests that failed before the fault.
    pub failed_before: u64,
    /// To the first request that shows the fault; `None` if none does.
    pub detect_us: Option<u64>,
    /// Requests lost.
    pub lost: u64,
    /// Slow answers.
    pub slow: u64,
    /// What was slow: longer than this. `None` if nothing was answered before the fault.
    pub slow_from_us: Option<u64>,
    /// To the first calm after the fault; `None` if there was none.
    pub failover_us: Option<u64>,
    /// To the first calm after the recovery; `None` if there was none, or no recovery.
    pub failback_us: Option<u64>,
    /// By how much a share exceeded the one from before, in points of a hundred.
    pub overshoot: Option<f64>,
    /// The clusters' shares before the fault, of 1.
    pub before: BTreeMap<String, f64>,
}

/// Measures a run. `events` are the instants at which its events began, `end` that of the
/// run's end, all from the end of the warm-up. `None` without an event, without requests, or
/// if the trail was cut.
#[must_use]
pub(crate) fn measure(
    trail: &Trail,
    events: &[Duration],
    end: Duration,
    terms: &Terms,
) -> Option<Failover> {
    let fault = *events.iter().min()?;
    let recovery = events.iter().max().copied().filter(|_| events.len() > 1);
    if trail.cut || trail.entries.is_empty() {
        return None;
    }
    let run = Run::new(trail);
    let before = run.entries.iter().filter(|entry| entry.end() <= fault);
    let after = || run.entries.iter().filter(|entry| entry.end() > fault);
    let slowest = before.clone().filter(|e| e.cluster.is_some()).map(|e| e.took).max();
    let slow_from = slowest.map(|slowest| slowest * 2);
    let is_slow =
        |entry: &Entry| entry.cluster.is_some() && slow_from.is_some_and(|from| entry.took > from);
    let shows = |entry: &&Entry| entry.cluster.is_none() || entry.retried || is_slow(entry);
    let first_sign = after().filter(shows).map(Entry::end).min();
    let usual = run.shares(run.index(Duration::ZERO)..run.index(fault));
    let stated = run.by_place(&terms.shares);
    let usual_by_place = run.by_place(&usual);
    let failover = run.calm(fault, recovery.unwrap_or(end), terms.hold, &stated);
    let failback = recovery.and_then(|at| run.calm(at, end, terms.hold, &usual_by_place));
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let since = |then: Duration, at: Duration| micros(at.saturating_sub(then));
    Some(Failover {
        fault_us: micros(fault),
        recovery_us: recovery.map(micros),
        hold_us: micros(terms.hold),
        resolution_us: micros(run.resolution()),
        failed_before: before.filter(|entry| entry.cluster.is_none()).count() as u64,
        detect_us: first_sign.map(|at| since(fault, at)),
        lost: after().filter(|entry| entry.cluster.is_none()).count() as u64,
        slow: after().filter(|entry| is_slow(entry)).count() as u64,
        slow_from_us: slow_from.map(micros),
        failover_us: failover.map(|at| since(fault, at)),
        failback_us: recovery.zip(failback).map(|(then, at)| since(then, at)),
        overshoot: recovery.and_then(|at| run.overshoot(at, end, terms.hold, &usual)),
        before: usual,
    })
}

/// The requests by their instants, with sums up to each.
struct Run<'a> {
    trail: &'a Trail,
    entries: Vec<Entry>,
    /// Failures among the first `i` entries.
    failed: Vec<u64>,
    /// Answers of each cluster among the first `i` entries.
    answers: Vec<Vec<u64>>,
}

impl<'a> Run<'a> {
    fn new(trail: &'a Trail) -> Self {
        let mut entries = trail.entries.clone();
        entries.sort_unstable_by_key(|entry| entry.due);
        let sums = |counts: &dyn Fn(&Entry) -> bool| {
            let mut sum = 0;
            let later = entries.iter().map(|entry| {
                sum += u64::from(counts(entry));
                sum
            });
            std::iter::once(0).chain(later).collect::<Vec<_>>()
        };
        let failed = sums(&|entry| entry.cluster.is_none());
        let answers = (0..trail.clusters.len())
            .map(|place| sums(&|entry| entry.cluster.is_some_and(|c| c as usize == place)))
            .collect();
        Self { trail, failed, answers, entries }
    }

    /// The place of the first request due at `instant` or later.
    fn index(&self, instant: Duration) -> usize {
        self.entries.partition_point(|entry| entry.due < instant)
    }

    fn resolution(&self) -> Duration {
        let ends = self.entries.first().zip(self.entries.last());
        let span = ends.map(|(first, last)| last.due - first.due).unwrap_or_default();
        let gaps = u32::try_from(self.entries.len().saturating_sub(1)).unwrap_or(u32::MAX);
        span.checked_div(gaps).unwrap_or_default()
    }

    fn count(sums: &[u64], places: &std::ops::Range<usize>) -> u64 {
        sums[places.end.max(places.start)] - sums[places.start]
    }

    fn shares(&self, places: std::ops::Range<usize>) -> BTreeMap<String, f64> {
        let counts: Vec<_> = self.answers.iter().map(|sums| Self::count(sums, &places)).collect();
        let all: u64 = counts.iter().sum();
        let names = self.trail.clusters.iter().cloned();
        names
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name, count as f64 / all as f64))
            .collect()
    }

    /// Shares by cluster's place, and what is left over: shares of clusters that never
    /// answered. `None` where none are stated.
    fn by_place(&self, shares: &BTreeMap<String, f64>) -> Option<(Vec<f64>, f64)> {
        if shares.is_empty() {
            return None;
        }
        let of = |name: &String| shares.get(name).copied().unwrap_or(0.0);
        let here: Vec<_> = self.trail.clusters.iter().map(of).collect();
        let silent = shares.iter().filter(|(name, _)| !self.trail.clusters.contains(name));
        let silent = silent.map(|(_, share)| *share).fold(0.0, f64::max);
        Some((here, silent))
    }

    /// The start of the first calm window in `from..to`: `from` itself, or just after a request
    /// that stands in the way.
    fn calm(
        &self,
        from: Duration,
        to: Duration,
        hold: Duration,
        shares: &Option<(Vec<f64>, f64)>,
    ) -> Option<Duration> {
        let mut start = from;
        loop {
            let end = start.checked_add(hold)?;
            if end > to {
                return None;
            }
            let first = self.index(start);
            let window = first..self.index(end);
            // Past the last failure of the window, if there is one; else past its first request.
            let failures = Self::count(&self.failed, &window);
            let past = match failures {
                0 => first,
                _ => window.clone().rev().find(|i| self.entries[*i].cluster.is_none())?,
            };
            let mut beginnings =
                (0..=HALVINGS).map(|n| first..self.index(start + hold / 2_u32.pow(n)));
            let calm = failures == 0 && !window.is_empty();
            if calm && beginnings.all(|part| part.is_empty() || self.within(&part, shares)) {
                return Some(self.all_there(&window, shares).unwrap_or(start));
            }
            // Nothing shorter than a nanosecond lies between.
            start = self.entries.get(past)?.due.max(start) + Duration::from_nanos(1);
        }
    }

    /// By when each cluster that has a share has answered; `None` where no shares are stated.
    fn all_there(
        &self,
        window: &std::ops::Range<usize>,
        shares: &Option<(Vec<f64>, f64)>,
    ) -> Option<Duration> {
        let (shares, _) = shares.as_ref()?;
        let wanted = (0..).zip(shares).filter(|(_, share)| **share > 0.0);
        let first = |place: u32| {
            let mut entries = self.entries[window.clone()].iter();
            entries.find(|entry| entry.cluster == Some(place)).map(|entry| entry.due)
        };
        wanted.filter_map(|(place, _)| first(place)).max()
    }

    fn within(&self, window: &std::ops::Range<usize>, shares: &Option<(Vec<f64>, f64)>) -> bool {
        let Some((shares, silent)) = shares else { return true };
        let all = window.len() as f64;
        let tolerance =
            |share: f64| (ERRORS * (share * (1.0 - share) / all).sqrt()).max(LEAST_TOLERANCE);
        *silent <= tolerance(*silent)
            && self.answers.iter().zip(shares).all(|(sums, share)| {
                let seen = Self::count(sums, window) as f64 / all;
                (seen - share).abs() <= tolerance(*share)
            })
    }

    fn overshoot(
        &self,
        from: Duration,
        to: Duration,
        hold: Duration,
        usual: &BTreeMap<String, f64>,
    ) -> Option<f64> {
        let mut most: Option<f64> = None;
        for at in self.index(from)..self.index(to.saturating_sub(hold)) {
            let window = at..self.index(self.entries[at].due + hold);
            for (name, share) in self.shares(window) {
                let over = (share - usual.get(&name).copied().unwrap_or(0.0)) * 100.0;
                most = Some(most.map_or(over, |most| most.max(over)));
            }
        }
        most.map(|most| most.max(0.0))
    }
}

#[cfg(test)]
mod tests;
