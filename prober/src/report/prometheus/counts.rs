//! The counters of one row, limited in size: the pods with the most answers, one sum for the other
//! pods of each cluster, and latencies in few buckets. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use echo_reply::Identity;

use crate::tally::latency::{Class, Latency};
use crate::tally::outcome::FailureKind;
use crate::tally::{Label, Tally};

/// The most pods of a row that have counters of their own.
pub(crate) const MOST_PODS: usize = 30;
/// The most clusters of a row that have counters of their own.
pub(crate) const MOST_CLUSTERS: usize = 20;
/// The most status codes of a row that have counters of their own.
pub(crate) const MOST_CODES: usize = 20;
/// The name of all other pods, clusters or status codes.
pub(crate) const OTHER: &str = "other";
/// The length at which remote names are cut, in characters.
const LONGEST_NAME: usize = 128;

/// Upper bounds of the latency buckets, in microseconds.
pub(crate) const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Backend {
    pub cluster: String,
    pub pod: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub count: u64,
    /// Requests that the backend answered with an error that names it.
    pub failed: u64,
    /// Answers up to each of [`BOUNDS`], and one bucket for longer ones. Each answer is in one
    /// bucket.
    pub buckets: [u64; BOUNDS.len() + 1],
    pub sum: Duration,
}

/// The counters of one row. They only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub answered: u64,
    /// Failed requests, in the order of [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
    /// Failed requests by the status code of the response; beyond [`MOST_CODES`] together.
    pub codes: BTreeMap<String, u64>,
    /// Copies of answers, such as from a cache; they are among the failures.
    pub copies: u64,
    /// Answers that needed a retry by an Envoy.
    pub retried: u64,
    pub connections: u64,
    pub backends: BTreeMap<Backend, Answers>,
}

impl Answers {
    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.failed += other.failed;
        self.sum += other.sum;
        for (own, more) in self.buckets.iter_mut().zip(other.buckets) {
            *own += more;
        }
    }

    /// Latencies are accurate to 0.1 %. One that exceeds a bound by less may be in its bucket.
    fn latency(&mut self, latency: &Latency) {
        for Class { least_us, count } in latency.classes() {
            self.buckets[BOUNDS.partition_point(|bound| *bound < least_us)] += count;
            self.sum += Duration::from_micros(least_us.saturating_mul(count));
        }
    }
}

impl Backend {
    fn of(identity: &Identity) -> Self {
        let name = |label: Label| name(label.of(identity));
        Self { cluster: name(Label::Cluster), pod: name(Label::Pod) }
    }
}

impl Counts {
    fn add_code(&mut self, code: Option<String>, count: u64) {
        let Some(code) = code else { return };
        let room = self.codes.len() < MOST_CODES || self.codes.contains_key(&code);
        *self.codes.entry(if room { code } else { OTHER.to_owned() }).or_default() += count;
    }

    /// The counters of a tally, with all backends.
    #[must_use]
    pub(crate) fn of(tally: &Tally) -> Self {
        let mut counts = Self {
            answered: tally.answers(),
            copies: tally.copies(),
            retried: tally.retried(),
            connections: tally.connections,
            ..Self::default()
        };
        for group in &tally.failures {
            counts.failures[kind(group.kind)] += group.count;
        }
        for (class, count) in tally.failures_by_class() {
            counts.add_code(class.code.map(|code| code.to_string()), count);
        }
        for (identity, failed) in &tally.failed_by {
            counts.backends.entry(Backend::of(identity)).or_default().failed += failed;
        }
        let named = tally.backends.iter().map(|(who, of_backend)| (Backend::of(who), of_backend));
        let others = Backend { cluster: OTHER.to_owned(), pod: OTHER.to_owned() };
        let others = (tally.others.answers > 0).then_some((others, &tally.others));
        for (backend, tally) in named.chain(others) {
            let answers = counts.backends.entry(backend).or_default();
            answers.count += tally.answers;
            answers.latency(&tally.fresh);
            answers.latency(&tally.kept);
        }
        counts
    }

    /// Adds all counters except those of the backends.
    pub(crate) fn add_sums(&mut self, other: &Self) {
        self.answered += other.answered;
        self.copies += other.copies;
        self.retried += other.retried;
        self.connections += other.connections;
        for (own, more) in self.failures.iter_mut().zip(other.failures) {
            *own += more;
        }
        for (code, count) in &other.codes {
            self.add_code(Some(code.clone()), *count);
        }
    }

    pub(crate) fn add_answers(&mut self, backend: Backend, answers: &Answers) {
        self.backends.entry(backend).or_default().add(answers);
    }

    /// Keeps the backends with the most answers, and adds up the others of each cluster.
    #[must_use]
    pub(crate) fn bounded(self) -> Self {
        let mut by_answers: Vec<_> =
            self.backends.iter().filter(|(backend, _)| backend.pod != OTHER).collect();
        if by_answers.len() <= MOST_PODS {
            return self;
        }
        by_answers.sort_by_key(|(_, answers)| std::cmp::Reverse(answers.count));
        let most: BTreeSet<_> =
            by_answers.into_iter().take(MOST_PODS).map(|(backend, _)| backend.clone()).collect();
        let mut bounded = Self { backends: BTreeMap::new(), ..self };
        for (backend, answers) in &self.backends {
            let backend = if most.contains(backend) {
                backend.clone()
            } else {
                bounded.others(&backend.cluster)
            };
            bounded.add_answers(backend, answers);
        }
        bounded
    }

    /// The backend that stands for the other pods of a cluster.
    #[must_use]
    pub(crate) fn others(&self, cluster: &str) -> Backend {
        let others = || self.backends.keys().filter(|backend| backend.pod == OTHER);
        let known = others().any(|backend| backend.cluster == cluster);
        let room = known || others().count() < MOST_CLUSTERS;
        let cluster = if room { cluster } else { OTHER };
        Backend { cluster: cluster.to_owned(), pod: OTHER.to_owned() }
    }
}

fn kind(kind: FailureKind) -> usize {
    FailureKind::ALL.iter().position(|one| *one == kind).unwrap_or_default()
}

/// A name, cut at 128 characters.
#[must_use]
pub(crate) fn name(given: &str) -> String {
    if given.chars().count() <= LONGEST_NAME {
        return given.to_owned();
    }
    let mut name: String = given.chars().take(LONGEST_NAME - 1).collect();
    name.push('…');
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn each_answer_is_in_the_bucket_of_its_time() {
        let mut latency = Latency::default();
        for us in [1, 500, 501, 5_000, 20_000_000] {
            latency.record(Duration::from_micros(us));
        }
        let mut answers = Answers::default();
        answers.latency(&latency);
        let found: Vec<_> = answers.buckets.iter().enumerate().filter(|(_, n)| **n > 0).collect();
        assert_eq!(found, [(0, &2), (1, &1), (3, &1), (BOUNDS.len(), &1)]);
        let sum = answers.sum.as_secs_f64();
        assert!((sum / 20.006_002 - 1.0).abs() < 0.001, "{sum}");
    }

    #[test]
    fn pods_beyond_the_limit_are_counted_together() {
        let report = samples::many_pods();
        let tally = report.rows[0].tally().unwrap();
        let bounded = Counts::of(tally).bounded();
        assert_eq!(bounded.backends.len(), MOST_PODS + 1);
        let sum: u64 = bounded.backends.values().map(|answers| answers.count).sum();
        assert_eq!(sum, tally.answers());
        let other = Backend { cluster: "kops".to_owned(), pod: OTHER.to_owned() };
        assert_eq!(bounded.backends[&other].count, 300 - 3 * MOST_PODS as u64);
        assert_eq!(bounded.clone().bounded(), bounded.clone(), "nothing is left to fold");
    }

    #[test]
    fn clusters_are_limited_too() {
        let mut counts = Counts::default();
        for n in 0..1000 {
            let backend = Backend { cluster: format!("cluster-{n}"), pod: "a".to_owned() };
            counts.add_answers(backend, &Answers { count: 1 + n, ..Answers::default() });
        }
        let bounded = counts.bounded();
        assert!(bounded.backends.len() <= MOST_PODS + MOST_CLUSTERS + 1);
        let sum: u64 = bounded.backends.values().map(|answers| answers.count).sum();
        assert_eq!(sum, (1..=1000).sum::<u64>());
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(name("kops"), "kops");
        assert_eq!(name(&"é".repeat(500)).chars().count(), LONGEST_NAME);
    }
}
