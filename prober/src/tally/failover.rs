//! How a run survived a fault: from the result of each request and the instants of the run's events
//! to times, each with one definition. Pure.
//!
//! The *fault* is the start of the run's first event. The *recovery* is the start of its last one, if
//! there are two or more. A request belongs to the instant of its scheduled start. A *window* is an
//! interval of length `hold`. A window is *calm* if requests started in it, none of them failed, and,
//! if shares are stated, the share of each cluster among its answers is within four standard errors
//! of the stated one (for that number of answers; at least five percentage points). The same must
//! hold in its first half, its first quarter, and so on. Calm begins when each cluster with a share
//! has answered; otherwise it could begin while one of them is silent.
//!
//! - *detect*: from the fault to the end of the first request that ended after it and shows it: the
//!   request failed, was slow, or was retried by the mesh.
//! - *lost*: requests that ended after the fault and failed.
//! - *slow*: answers that ended after the fault and took more than twice as long as the slowest
//!   answer before it.
//! - *failover*: from the fault to the start of the first calm window that ends before the recovery
//!   (or the end of the run) and starts after the last request that was due by then and failed. The
//!   stated shares are those of `--failover-to`.
//! - *failback*: from the recovery to the start of the first calm window that ends before the end of
//!   the run and starts after the last request that failed. The stated shares are the clusters'
//!   shares before the fault.
//! - *overshoot*: the most by which a cluster's share in a window after the recovery exceeded its
//!   share before the fault, in percentage points. It includes the sampling error of a window.
//! - *resolution*: the mean time between starts. No time above is more precise.
//!
//! These are the times that were seen. `verdict` judges what they prove, by the counts of
//! [`samples`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod samples;

pub(crate) use samples::{Course, SLICES, Samples, Slice};

/// A run with more requests than this has no failover times.
pub(crate) const MAX_ENTRIES: usize = 4_000_000;
/// How long calm must last by default.
pub(crate) const DEFAULT_HOLD: Duration = Duration::from_secs(1);
/// A share may always be off by this much, as a fraction of 1.
const LEAST_TOLERANCE: f64 = 0.05;
/// How often a window is halved to check that calm starts at its beginning.
const HALVINGS: u32 = 6;
/// How many standard errors a share may be off.
const ERRORS: f64 = 4.0;

/// The result of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The scheduled start, from the end of the warm-up.
    pub due: Duration,
    /// The time from then to its end.
    pub took: Duration,
    /// The index in [`Trail::clusters`] of the cluster that answered; `None` if it failed.
    pub cluster: Option<u32>,
    /// Whether the mesh retried it.
    pub retried: bool,
}

impl Entry {
    fn end(&self) -> Duration {
        self.due + self.took
    }
}

/// The result of every request of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// The clusters that answered.
    pub clusters: Vec<String>,
    /// In no particular order.
    pub entries: Vec<Entry>,
    /// Whether there were more than [`MAX_ENTRIES`].
    pub cut: bool,
}

impl Trail {
    /// Adds one request; `cluster` is an index of the final [`Trail::clusters`].
    pub fn note(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        } else {
            self.cut = true;
        }
    }

    /// Adds the trail of another thread.
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

/// What calm means for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// How long calm must last.
    pub hold: Duration,
    /// The expected shares after the fault by cluster, as fractions of 1; empty for any.
    pub shares: BTreeMap<String, f64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { hold: DEFAULT_HOLD, shares: BTreeMap::new() }
    }
}

/// How a run survived a fault. Times in µs; the module defines each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// The fault, from the end of the warm-up.
    pub fault_us: u64,
    /// The recovery, from the end of the warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_us: Option<u64>,
    /// How long calm had to last.
    pub hold_us: u64,
    /// The mean time between starts.
    pub resolution_us: u64,
    pub failed_before: u64,
    /// `None` if no request shows the fault.
    pub detect_us: Option<u64>,
    pub lost: u64,
    pub slow: u64,
    /// Longer answers are slow. `None` without an answer before the fault.
    pub slow_from_us: Option<u64>,
    /// `None` if there was no calm after the fault.
    pub failover_us: Option<u64>,
    /// `None` if there was no recovery, or no calm after it.
    pub failback_us: Option<u64>,
    /// In percentage points.
    pub overshoot: Option<f64>,
    /// The clusters' shares before the fault, as fractions of 1.
    pub before: BTreeMap<String, f64>,
    /// The counts that verdicts rest on.
    #[serde(default)]
    pub samples: Samples,
}

/// Measures a run. `events` are the starts of its events and `end` is the end of the run, all from
/// the end of the warm-up. `None` without an event, without requests, or if the trail was cut.
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
    let requests = SortedRequests::new(trail);
    let before = requests.entries.iter().filter(|entry| entry.end() <= fault);
    let after = || requests.entries.iter().filter(|entry| entry.end() > fault);
    let slowest = before.clone().filter(|e| e.cluster.is_some()).map(|e| e.took).max();
    let slow_from = slowest.map(|slowest| slowest * 2);
    let is_slow =
        |entry: &Entry| entry.cluster.is_some() && slow_from.is_some_and(|from| entry.took > from);
    let shows = |entry: &&Entry| entry.cluster.is_none() || entry.retried || is_slow(entry);
    let first_sign = after().filter(shows).map(Entry::end).min();
    let usual = requests.shares(requests.index(Duration::ZERO)..requests.index(fault));
    let stated = requests.stated(&terms.shares);
    let usual_stated = requests.stated(&usual);
    let failover = requests.calm(fault, recovery.unwrap_or(end), terms.hold, stated.as_ref());
    let failback =
        recovery.and_then(|at| requests.calm(at, end, terms.hold, usual_stated.as_ref()));
    let samples = requests.samples((fault, recovery, end), &terms.shares, &is_slow);
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let since = |then: Duration, at: Duration| micros(at.saturating_sub(then));
    Some(Failover {
        fault_us: micros(fault),
        recovery_us: recovery.map(micros),
        hold_us: micros(terms.hold),
        resolution_us: micros(requests.resolution()),
        failed_before: before.filter(|entry| entry.cluster.is_none()).count() as u64,
        detect_us: first_sign.map(|at| since(fault, at)),
        lost: after().filter(|entry| entry.cluster.is_none()).count() as u64,
        slow: after().filter(|entry| is_slow(entry)).count() as u64,
        slow_from_us: slow_from.map(micros),
        failover_us: failover.map(|at| since(fault, at)),
        failback_us: recovery.zip(failback).map(|(then, at)| since(then, at)),
        overshoot: recovery.and_then(|at| requests.overshoot(at, end, terms.hold, &usual)),
        before: usual,
        samples,
    })
}

/// The requests in the order of their scheduled starts, with running sums.
struct SortedRequests<'a> {
    trail: &'a Trail,
    entries: Vec<Entry>,
    /// Answers of each cluster among the first `i` entries.
    answers: Vec<Vec<u64>>,
}

/// Shares that must hold, as fractions of 1.
struct StatedShares {
    /// By the cluster's index.
    by_cluster: Vec<f64>,
    /// The largest share of a cluster that never answered.
    silent: f64,
}

impl<'a> SortedRequests<'a> {
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
        let answers = (0..trail.clusters.len())
            .map(|place| sums(&|entry| entry.cluster.is_some_and(|c| c as usize == place)))
            .collect();
        Self { trail, answers, entries }
    }

    /// The index of the first request due at `instant` or later.
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

    /// `None` if `shares` is empty.
    fn stated(&self, shares: &BTreeMap<String, f64>) -> Option<StatedShares> {
        if shares.is_empty() {
            return None;
        }
        let of = |name: &String| shares.get(name).copied().unwrap_or(0.0);
        let by_cluster = self.trail.clusters.iter().map(of).collect();
        let silent = shares.iter().filter(|(name, _)| !self.trail.clusters.contains(name));
        let silent = silent.map(|(_, share)| *share).fold(0.0, f64::max);
        Some(StatedShares { by_cluster, silent })
    }

    /// The due time of the last request of `from..to` that failed.
    fn last_failed(&self, from: Duration, to: Duration) -> Option<Duration> {
        let mut entries = self.entries[self.index(from)..self.index(to)].iter().rev();
        entries.find(|entry| entry.cluster.is_none()).map(|entry| entry.due)
    }

    /// The start of the first calm window in `from..to` after the last failure: `from` itself, or
    /// just after a request that rules out an earlier start.
    fn calm(
        &self,
        from: Duration,
        to: Duration,
        hold: Duration,
        shares: Option<&StatedShares>,
    ) -> Option<Duration> {
        // Nothing shorter than a nanosecond lies between.
        let just_after = |instant: Duration| instant + Duration::from_nanos(1);
        let mut start = self.last_failed(from, to).map_or(from, just_after);
        loop {
            let end = start.checked_add(hold)?;
            if end > to {
                return None;
            }
            let first = self.index(start);
            let window = first..self.index(end);
            let mut beginnings =
                (0..=HALVINGS).map(|n| first..self.index(start + hold / 2_u32.pow(n)));
            if !window.is_empty()
                && beginnings.all(|part| part.is_empty() || self.within(&part, shares))
            {
                return Some(self.all_answered(&window, shares).unwrap_or(start));
            }
            start = just_after(self.entries.get(first)?.due.max(start));
        }
    }

    /// When each cluster with a share has answered; `None` if no shares are stated.
    fn all_answered(
        &self,
        window: &std::ops::Range<usize>,
        shares: Option<&StatedShares>,
    ) -> Option<Duration> {
        let wanted = (0..).zip(&shares?.by_cluster).filter(|(_, share)| **share > 0.0);
        let first = |place: u32| {
            let mut entries = self.entries[window.clone()].iter();
            entries.find(|entry| entry.cluster == Some(place)).map(|entry| entry.due)
        };
        wanted.filter_map(|(place, _)| first(place)).max()
    }

    fn within(&self, window: &std::ops::Range<usize>, shares: Option<&StatedShares>) -> bool {
        let Some(StatedShares { by_cluster, silent }) = shares else { return true };
        let all = window.len() as f64;
        let tolerance =
            |share: f64| (ERRORS * (share * (1.0 - share) / all).sqrt()).max(LEAST_TOLERANCE);
        *silent <= tolerance(*silent)
            && self.answers.iter().zip(by_cluster).all(|(sums, share)| {
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
        let of = |name: &String| usual.get(name).copied().unwrap_or(0.0);
        let usual: Vec<_> = self.trail.clusters.iter().map(of).collect();
        let mut most: Option<f64> = None;
        for at in self.index(from)..self.index(to.saturating_sub(hold)) {
            let window = at..self.index(self.entries[at].due + hold);
            let counts = || self.answers.iter().map(|sums| Self::count(sums, &window));
            let all = counts().sum::<u64>() as f64;
            for (count, usual) in counts().zip(&usual).filter(|(count, _)| *count > 0) {
                let over = (count as f64 / all - usual) * 100.0;
                most = Some(most.map_or(over, |most| most.max(over)));
            }
        }
        most.map(|most| most.max(0.0))
    }
}

#[cfg(test)]
mod tests;
