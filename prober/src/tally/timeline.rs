//! Results over time, in bins of equal width: the answers and latency of each backend, and the
//! failures of the whole row. Memory is bounded: when the bins are full, neighbours merge and the
//! width doubles. Pure.
//!
//! A request belongs to the bin of its scheduled start, from which its latency counts too; without a
//! rate, that is its actual start. So a request that a fault killed is shown when the fault hit it,
//! and not when its time limit ran out.

use std::collections::BTreeMap;
use std::time::Duration;

use echo_reply::Identity;

use super::sketch::Sketch;
use crate::tally::outcome::FailureKind;

/// The most bins of a timeline. With [`MAX_BACKENDS`] it bounds the memory of each
/// thread: a full timeline takes about 0.4 MB for a backend whose latencies fill 30 buckets
/// of a bin, and 2.6 MB if they filled all 256.
pub(crate) const MAX_BINS: usize = 2_400;
/// The most backends that are counted separately; further ones are counted together.
pub(crate) const MAX_BACKENDS: usize = 64;

/// Failures in one bin, in the order of [`FailureKind::ALL`].
pub(crate) type Failures = [u64; FailureKind::ALL.len()];

/// The answers of one backend in one bin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub answers: u64,
    /// Answers that were not the nearest Envoy's first attempt.
    pub retried: u64,
    /// The longest latency in µs; 0 if there was no answer.
    pub max_us: u32,
    /// For quantiles.
    pub sketch: Sketch,
}

impl Cell {
    /// The latency in µs, within 5 % or 1 µs, that 99 % of the answers did not exceed.
    #[must_use]
    pub fn p99_us(&self) -> Option<u32> {
        self.sketch.quantile(0.99).map(|us| us.min(self.max_us))
    }

    fn record(&mut self, latency: Duration, retried: bool) {
        let us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX).max(1);
        self.answers += 1;
        self.retried += u64::from(retried);
        self.max_us = self.max_us.max(us);
        self.sketch.record(us);
    }
}

/// The content of a bin, which adds up.
trait Bin: Clone + Default {
    fn add(&mut self, other: &Self);
}

impl Bin for Cell {
    fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        self.retried += other.retried;
        self.max_us = self.max_us.max(other.max_us);
        self.sketch.merge(&other.sketch);
    }
}

impl Bin for Failures {
    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(own, more)| *own += more);
    }
}

/// The bin at `place`; adds empty ones up to it.
fn at<B: Bin>(bins: &mut Vec<B>, place: usize) -> &mut B {
    if place >= bins.len() {
        bins.resize(place + 1, B::default());
    }
    &mut bins[place]
}

fn add_all<B: Bin>(bins: &mut Vec<B>, more: &[B]) {
    for (place, bin) in more.iter().enumerate() {
        at(bins, place).add(bin);
    }
}

/// Makes one bin of each `factor` neighbours.
fn widen<B: Bin>(bins: &mut Vec<B>, factor: u64) {
    let factor = usize::try_from(factor).unwrap_or(usize::MAX).max(1);
    if factor > 1 {
        *bins = bins
            .chunks(factor)
            .map(|neighbours| {
                let mut merged = B::default();
                neighbours.iter().for_each(|bin| merged.add(bin));
                merged
            })
            .collect();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The width of a bin in ms: the requested one, possibly doubled several times.
    pub width_ms: u64,
    /// The bins of each backend, from the end of the warm-up to its last answer.
    pub backends: BTreeMap<Identity, Vec<Cell>>,
    /// The bins of all further backends together.
    pub others: Vec<Cell>,
    /// The failures of the row in each bin.
    pub failures: Vec<Failures>,
}

impl Timeline {
    /// The number of bins up to the last one that is not empty.
    #[must_use]
    pub fn bins(&self) -> usize {
        let lanes = self.backends.values().map(Vec::len);
        lanes.chain([self.others.len(), self.failures.len()]).max().unwrap_or(0)
    }

    /// Adds another timeline. Bins of different widths are widened to a common multiple.
    pub fn merge(&mut self, mut other: Self) {
        let width = common_multiple(self.width_ms, other.width_ms);
        self.widen(width);
        other.widen(width);
        for (who, cells) in other.backends {
            add_all(self.backends.entry(who).or_default(), &cells);
        }
        add_all(&mut self.others, &other.others);
        add_all(&mut self.failures, &other.failures);
        // Drops the last ones by name, so that the order of merging makes no difference.
        while self.backends.len() > MAX_BACKENDS {
            if let Some((_, cells)) = self.backends.pop_last() {
                add_all(&mut self.others, &cells);
            }
        }
    }

    /// Counts only these backends separately.
    pub(super) fn keep(&mut self, kept: impl Fn(&Identity) -> bool) {
        for (_, cells) in self.backends.extract_if(.., |who, _| !kept(who)) {
            add_all(&mut self.others, &cells);
        }
    }

    fn widen(&mut self, width_ms: u64) {
        let factor = width_ms / self.width_ms.max(1);
        self.backends.values_mut().for_each(|cells| widen(cells, factor));
        widen(&mut self.others, factor);
        widen(&mut self.failures, factor);
        self.width_ms = width_ms;
    }
}

/// The least common multiple, at most `u64::MAX`.
fn common_multiple(a: u64, b: u64) -> u64 {
    let (mut divisor, mut rest) = (a.max(1), b.max(1));
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a.max(1) / divisor).saturating_mul(b.max(1))
}

/// Counts one thread's outcomes into bins. Allocates for a new bin and its first latencies, not for
/// each request.
#[derive(Debug)]
pub(crate) struct Bins {
    width_ms: u64,
    /// By the backend's index in the recorder; the last one is for all further backends.
    lanes: Vec<Vec<Cell>>,
    failures: Vec<Failures>,
}

impl Bins {
    /// No bins yet; `width` is rounded down to whole ms, at least 1.
    #[must_use]
    pub(crate) fn new(width: Duration) -> Self {
        let width_ms = u64::try_from(width.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { width_ms, lanes: Vec::new(), failures: Vec::new() }
    }

    /// Counts an answer of the backend with index `place`; `when` is the scheduled start, from the
    /// end of the warm-up.
    pub(crate) fn answered(
        &mut self,
        when: Duration,
        place: usize,
        latency: Duration,
        retried: bool,
    ) {
        let bin = self.bin(when);
        let lane = place.min(MAX_BACKENDS);
        if lane >= self.lanes.len() {
            self.lanes.resize_with(lane + 1, Vec::new);
        }
        at(&mut self.lanes[lane], bin).record(latency, retried);
    }

    /// Counts a failure; `when` is the scheduled start, from the end of the warm-up.
    pub(crate) fn failed(&mut self, when: Duration, kind: FailureKind) {
        let bin = self.bin(when);
        at(&mut self.failures, bin)[kind as usize] += 1;
    }

    /// The timeline; `backends` are the recorder's, by their indexes. `None` stands for all that are not
    /// told apart.
    #[must_use]
    pub(crate) fn into_timeline<'a>(
        self,
        backends: impl Iterator<Item = Option<&'a Identity>>,
    ) -> Timeline {
        let Self { width_ms, mut lanes, failures } = self;
        let others = lanes.drain(MAX_BACKENDS.min(lanes.len())..).next().unwrap_or_default();
        let mut timeline = Timeline { width_ms, backends: BTreeMap::new(), others, failures };
        for (who, cells) in backends.zip(&lanes) {
            let known = who.map(|who| timeline.backends.entry(who.clone()).or_default());
            add_all(known.unwrap_or(&mut timeline.others), cells);
        }
        timeline
    }

    /// The bin of an instant. Doubles the width until it fits.
    fn bin(&mut self, when: Duration) -> usize {
        let ms = u64::try_from(when.as_millis()).unwrap_or(u64::MAX);
        while ms / self.width_ms >= MAX_BINS as u64 {
            self.width_ms *= 2;
            self.lanes.iter_mut().for_each(|cells| widen(cells, 2));
            widen(&mut self.failures, 2);
        }
        (ms / self.width_ms) as usize
    }
}

#[cfg(test)]
mod tests;
