//! Counts before a fault, after the fault and after the recovery, in slices of time. Verdicts on
//! failover times use them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Entry, SortedRequests};
use crate::units::micros;

/// The number of slices after the fault, and after the recovery.
pub(crate) const SLICES: u32 = 64;

/// The counts, and the stated shares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The shares that must hold after the fault, 0 to 1, by cluster; empty for any shares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stated: BTreeMap<String, f64>,
    /// Requests that were due before the fault.
    pub before: Slice,
    /// Requests that were due from the fault to the recovery, or to the run's end.
    pub fault: Course,
    /// Requests that were due from the recovery to the run's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Course>,
}

/// The results of a period, in slices of equal length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// The length of the period.
    pub length_us: u64,
    /// The due time of the last failed request, from the start of the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failed_us: Option<u64>,
    /// In order of time.
    pub slices: Vec<Slice>,
}

/// The results of the requests that were due in a slice of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The start, from the start of the period; rounded down, so that no request of the slice was due
    /// before it.
    pub from_us: u64,
    pub requests: u64,
    #[serde(default, skip_serializing_if = "crate::units::is_zero")]
    pub failed: u64,
    /// Answers that the mesh retried.
    #[serde(default, skip_serializing_if = "crate::units::is_zero")]
    pub retried: u64,
    #[serde(default, skip_serializing_if = "crate::units::is_zero")]
    pub slow: u64,
    /// Answers by cluster.
    pub answers: BTreeMap<String, u64>,
}

impl Slice {
    /// Answers of all clusters.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    fn note(&mut self, entry: &Entry, cluster: Option<&String>, slow: bool) {
        self.requests += 1;
        self.failed += u64::from(entry.cluster.is_none());
        self.retried += u64::from(entry.retried);
        self.slow += u64::from(slow);
        if let Some(cluster) = cluster {
            self.answered_by(cluster, 1);
        }
    }

    fn answered_by(&mut self, cluster: &String, answers: u64) {
        match self.answers.get_mut(cluster) {
            Some(sum) => *sum += answers,
            None => _ = self.answers.insert(cluster.clone(), answers),
        }
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.retried += other.retried;
        self.slow += other.slow;
        for (cluster, answers) in &other.answers {
            self.answered_by(cluster, *answers);
        }
    }
}

impl Course {
    /// The sum of the slices that start at an instant or later.
    #[must_use]
    pub fn since(&self, from: Duration) -> Slice {
        let later = |slice: &&Slice| Duration::from_micros(slice.from_us) >= from;
        sum(self.slices.iter().filter(later))
    }

    /// The sum of the first slices.
    #[must_use]
    pub fn first(&self, slices: usize) -> Slice {
        sum(self.slices.iter().take(slices))
    }
}

fn sum<'a>(slices: impl Iterator<Item = &'a Slice>) -> Slice {
    slices.fold(Slice::default(), |mut sum, slice| {
        sum.add(slice);
        sum
    })
}

impl SortedRequests<'_> {
    /// Counts from the fault to `horizon` (the recovery or the end) and from there to the end.
    /// A failed request that was in flight at the fault counts in the first slice after it.
    pub(super) fn samples(
        &self,
        (fault, recovery, end): (Duration, Option<Duration>, Duration),
        stated: &BTreeMap<String, f64>,
        is_slow: &dyn Fn(&Entry) -> bool,
    ) -> Samples {
        let mut before = Slice::default();
        let mut to_fault = Vec::new();
        for entry in &self.entries[..self.index(fault)] {
            if entry.cluster.is_none() && entry.end() > fault {
                to_fault.push(entry);
            } else {
                before.note(entry, self.name(entry), false);
            }
        }
        let mut course = self.course(fault, recovery.unwrap_or(end), is_slow);
        if let Some(first) = course.slices.first_mut() {
            to_fault.into_iter().for_each(|entry| first.note(entry, None, false));
        }
        let recovery = recovery.map(|recovery| self.course(recovery, end, is_slow));
        Samples { stated: stated.clone(), before, fault: course, recovery }
    }

    fn course(&self, from: Duration, to: Duration, is_slow: &dyn Fn(&Entry) -> bool) -> Course {
        let length = to.saturating_sub(from);
        let begin = |n: u32| length * n / SLICES;
        let slice = |n| Slice { from_us: micros(begin(n)), ..Slice::default() };
        let mut slices: Vec<_> = (0..SLICES).map(slice).collect();
        let mut place = 0;
        for entry in &self.entries[self.index(from)..self.index(to)] {
            while place + 1 < SLICES && entry.due - from >= begin(place + 1) {
                place += 1;
            }
            slices[place as usize].note(entry, self.name(entry), is_slow(entry));
        }
        let last_failed = self.last_failed(from, to).map(|at| micros(at - from));
        Course { length_us: micros(length), last_failed_us: last_failed, slices }
    }

    fn name(&self, entry: &Entry) -> Option<&String> {
        entry.cluster.and_then(|place| self.trail.clusters.get(place as usize))
    }
}
