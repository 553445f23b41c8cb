//! Counts and histograms of one row (a source asking a target), per backend.
//! Tallies of several threads or runs merge without loss. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::Identity;
use hdrhistogram::Histogram;

use crate::outcome::{Answer, Failure, FailureKind, Outcome};

/// How many different failures are told apart; further ones are counted by kind.
const MAX_FAILURE_GROUPS: usize = 32;
/// What further failures of a kind are called.
const FURTHER: &str = "further failures of this kind";

/// The longest latency that is told apart, in µs: one hour.
const LONGEST_US: u64 = 3_600_000_000;

/// A histogram of latencies in µs: three significant digits, 1 µs to 1 h.
#[derive(Clone, PartialEq)]
pub struct Latency(Histogram<u64>);

impl std::fmt::Debug for Latency {
    /// Without the thousands of empty counts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.len();
        write!(f, "Latency({count} counted, p50 {:?}, max {:?})", self.quantile(0.5), self.max())
    }
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Self(histogram.expect("the bounds are constants that HdrHistogram accepts"))
    }
}

impl Latency {
    /// A histogram read from elsewhere; its values are µs.
    #[must_use]
    pub fn from_histogram(histogram: Histogram<u64>) -> Self {
        let mut own = Self::default();
        for step in histogram.iter_recorded() {
            own.0.saturating_record_n(step.value_iterated_to(), step.count_at_value());
        }
        own
    }

    /// The histogram, its values in µs.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// Counts one latency; what is longer than an hour counts as an hour.
    pub fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(us.max(1));
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// The latency that the fraction `q` (0 to 1) of requests did not exceed;
    /// `None` if nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.value_at_quantile(q)))
    }

    /// The longest latency; `None` if nothing was counted.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.max()))
    }
}

/// What one backend answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendTally {
    /// Requests that it answered.
    pub answers: u64,
    /// Answers that were not the nearest Envoy's first attempt.
    pub retried: u64,
    /// Time from the start of a request to the end of its answer.
    pub latency: Latency,
}

/// Equal failures, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// Which of the closed list.
    pub kind: FailureKind,
    /// What happened, verbatim.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// An address that was tried and failed before another of the same name was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// How often.
    pub count: u64,
    /// Why, the first time.
    pub why: String,
}

/// What came of the requests of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Per backend: who answered, and how.
    pub backends: BTreeMap<Identity, BackendTally>,
    /// Failures, equal ones together, in the order in which they first came.
    pub failures: Vec<FailureGroup>,
    /// TCP connections that were opened.
    pub connections: u64,
    /// Dead addresses of names that have others.
    pub passed_over: BTreeMap<SocketAddr, PassedOver>,
    /// The first outcomes as lines to print, by request number.
    pub shown: BTreeMap<u64, String>,
    /// Requests under way when the run was interrupted: neither answered nor failed.
    pub abandoned: u64,
    /// How long the row took.
    pub elapsed: Duration,
}

impl Tally {
    /// Counts one outcome; its line is kept while its number is below `show`.
    pub fn record(&mut self, outcome: Outcome, show: u64) {
        self.connections += u64::from(outcome.connected);
        for (address, why) in outcome.passed_over {
            self.pass_over(address, PassedOver { count: 1, why });
        }
        let line = match outcome.result {
            Ok(answer) => self.answered(answer, outcome.total),
            Err(failure) => Some(self.failed(failure)),
        };
        if let Some(line) = line.filter(|_| outcome.sequence < show) {
            self.shown.insert(outcome.sequence, line);
        }
    }

    fn answered(&mut self, answer: Answer, total: Duration) -> Option<String> {
        let backend = self.backends.entry(answer.identity).or_default();
        backend.answers += 1;
        backend.retried += u64::from(answer.attempt.is_some_and(|attempt| attempt > 1));
        backend.latency.record(total);
        answer.text
    }

    fn failed(&mut self, failure: Failure) -> String {
        let line = format!("[failed: {}] {}", failure.kind, failure.what);
        self.add_failures(FailureGroup { kind: failure.kind, what: failure.what, count: 1 });
        line
    }

    fn add_failures(&mut self, mut group: FailureGroup) {
        let full = self.failures.len() >= MAX_FAILURE_GROUPS;
        let known = |g: &FailureGroup, what: &str| g.kind == group.kind && g.what == what;
        if full && !self.failures.iter().any(|g| known(g, &group.what)) {
            FURTHER.clone_into(&mut group.what);
        }
        let same = self.failures.iter_mut().find(|g| g.kind == group.kind && g.what == group.what);
        match same {
            Some(same) => same.count += group.count,
            None => self.failures.push(group),
        }
    }

    fn pass_over(&mut self, address: SocketAddr, more: PassedOver) {
        let known = self.passed_over.entry(address);
        known.and_modify(|known| known.count += more.count).or_insert(more);
    }

    /// Adds all of another's: another thread's, or another part of the same row.
    pub fn merge(&mut self, other: Self) {
        for (identity, theirs) in other.backends {
            let ours = self.backends.entry(identity).or_default();
            ours.answers += theirs.answers;
            ours.retried += theirs.retried;
            ours.latency.merge(&theirs.latency);
        }
        for group in other.failures {
            self.add_failures(group);
        }
        for (address, more) in other.passed_over {
            self.pass_over(address, more);
        }
        self.connections += other.connections;
        self.shown.extend(other.shown);
        self.abandoned += other.abandoned;
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// Requests that ended: answers and failures.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.answers() + self.failed_requests()
    }

    /// Requests that an echo answered.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.backends.values().map(|backend| backend.answers).sum()
    }

    /// Requests that failed.
    #[must_use]
    pub fn failed_requests(&self) -> u64 {
        self.failures.iter().map(|group| group.count).sum()
    }

    /// Answers that were not the nearest Envoy's first attempt.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.backends.values().map(|backend| backend.retried).sum()
    }

    /// Failures per kind, in the order of a request's life, kinds that did not happen left out.
    #[must_use]
    pub fn failures_by_kind(&self) -> Vec<(FailureKind, u64)> {
        let count = |kind| self.failures.iter().filter(|g| g.kind == kind).map(|g| g.count).sum();
        FailureKind::ALL.into_iter().map(|k| (k, count(k))).filter(|(_, n)| *n > 0).collect()
    }

    /// Answers per value of a label, such as per cluster; by name.
    #[must_use]
    pub fn answers_by(&self, label: Label) -> BTreeMap<&str, u64> {
        let mut groups = BTreeMap::new();
        for (identity, backend) in &self.backends {
            *groups.entry(label.of(identity)).or_default() += backend.answers;
        }
        groups
    }
}

/// What backends can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The cluster: the default.
    Cluster,
    /// The pod.
    Pod,
    /// The pod's namespace.
    Namespace,
    /// The node.
    Node,
    /// The zone.
    Zone,
    /// The region.
    Region,
    /// The workload's version.
    Version,
}

impl Label {
    /// All of them, with the word for each.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Cluster, "cluster"),
        (Self::Pod, "pod"),
        (Self::Namespace, "namespace"),
        (Self::Node, "node"),
        (Self::Zone, "zone"),
        (Self::Region, "region"),
        (Self::Version, "version"),
    ];

    /// The value of this label; `<none>` where the backend does not state it.
    #[must_use]
    pub fn of(self, identity: &Identity) -> &str {
        let stated = match self {
            Self::Cluster => Some(&identity.cluster),
            Self::Pod => Some(&identity.pod),
            Self::Namespace => identity.namespace.as_ref(),
            Self::Node => identity.node.as_ref(),
            Self::Zone => identity.zone.as_ref(),
            Self::Region => identity.region.as_ref(),
            Self::Version => identity.version.as_ref(),
        };
        stated.map_or("<none>", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(cluster: &str, sequence: u64) -> Outcome {
        let answer = Answer {
            identity: Identity::new(format!("{cluster}-pod"), cluster),
            attempt: sequence.is_multiple_of(2).then_some(2),
            text: Some(format!("line {sequence}")),
        };
        outcome(sequence, Ok(answer))
    }

    fn failure(kind: FailureKind, what: &str, sequence: u64) -> Outcome {
        outcome(sequence, Err(Failure::new(kind, what)))
    }

    fn outcome(sequence: u64, result: Result<Answer, Failure>) -> Outcome {
        let total = Duration::from_micros(100 + sequence);
        Outcome { sequence, result, total, connected: true, passed_over: Vec::new() }
    }

    #[test]
    fn equal_failures_are_counted_together_and_different_ones_bounded() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            tally.record(failure(FailureKind::Status, &format!("{n}"), n), 0);
            tally.record(failure(FailureKind::Connect, "refused", n), 0);
        }
        assert_eq!(tally.failed_requests(), 2000);
        assert!(tally.failures.len() <= MAX_FAILURE_GROUPS + FailureKind::ALL.len());
        let by_kind = vec![(FailureKind::Connect, 1000), (FailureKind::Status, 1000)];
        assert_eq!(tally.failures_by_kind(), by_kind);
    }

    #[test]
    fn only_the_first_lines_are_kept() {
        let mut tally = Tally::default();
        for n in [5, 1, 9, 0] {
            tally.record(answer("kops", n), 2);
        }
        let lines: Vec<_> = tally.shown.values().map(String::as_str).collect();
        assert_eq!(lines, ["line 0", "line 1"]);
        assert_eq!(tally.retried(), 1);
    }

    #[test]
    fn a_latency_beyond_an_hour_counts_as_an_hour() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        latency.record(Duration::from_secs(90_000));
        let max = latency.max().unwrap().as_secs_f64();
        assert!((3590.0..3610.0).contains(&max), "{max}");
    }

    proptest! {
        /// However the outcomes are spread over threads, the whole is the same.
        #[test]
        fn shards_merge_to_the_whole(
            events in prop::collection::vec((0u8..4, 0usize..3), 0..200),
        ) {
            let mut whole = Tally::default();
            let mut shards = vec![Tally::default(); 3];
            for (n, (what, shard)) in events.iter().enumerate() {
                let n = n as u64;
                let make = || match what {
                    0 => answer("kops", n),
                    1 => answer("gke1", n),
                    2 => failure(FailureKind::Status, "503", n),
                    _ => failure(FailureKind::Reset, "gone", n),
                };
                whole.record(make(), 4);
                shards[*shard].record(make(), 4);
            }
            let mut merged = Tally::default();
            for shard in shards {
                merged.merge(shard);
            }
            prop_assert_eq!(merged.requests(), events.len() as u64);
            prop_assert_eq!(merged.failures_by_kind(), whole.failures_by_kind());
            prop_assert_eq!(&merged.backends, &whole.backends);
            prop_assert_eq!(&merged.shown, &whole.shown);
            prop_assert_eq!(merged.answers_by(Label::Cluster), whole.answers_by(Label::Cluster));
        }
    }
}
