//! What was counted of a row since the beginning, bounded in memory. A series of it only grows:
//! a pod's counts never move to another series, and those of a pod that is gone end with it. Pure.

use std::collections::BTreeMap;

use crate::report::prometheus::counts::{Backend, Counts, MOST_PODS, OTHER};
use crate::report::rounds::{Round, Rounds};
use crate::tally::Tally;

/// The counters of one row.
#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    counts: Counts,
    rounds: Rounds,
    /// The pods that are counted apart, and the number of the last round in which each answered.
    seen: BTreeMap<Backend, u64>,
    /// How many rounds there were.
    number: u64,
}

impl Lifetime {
    /// What was counted.
    #[must_use]
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The rounds so far.
    #[must_use]
    pub(crate) fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// Counts a round; `None` if its source could not probe. A pod that did not answer in the
    /// last `quiet` rounds, this one included, gives its place to a new one if there is no other.
    pub(crate) fn add(&mut self, tally: Option<&Tally>, round: Round, quiet: u64) {
        self.number += 1;
        self.rounds.last = Some(round);
        let Some(tally) = tally else {
            self.rounds.unreachable += 1;
            return;
        };
        self.rounds.probed += 1;
        let more = Counts::of(tally);
        self.counts.add_sums(&more);
        // Before a new one takes a place: these are not gone.
        for backend in more.backends.keys() {
            if let Some(last) = self.seen.get_mut(backend) {
                *last = self.number;
            }
        }
        for (backend, answers) in more.backends {
            let backend = if self.has_place(&backend, quiet) {
                self.seen.insert(backend.clone(), self.number);
                backend
            } else {
                self.counts.others(&backend.cluster)
            };
            self.counts.add_answers(backend, &answers);
        }
    }

    /// Whether a backend is counted apart; makes a place for it if it can.
    fn has_place(&mut self, backend: &Backend, quiet: u64) -> bool {
        if backend.pod == OTHER {
            return false;
        }
        if self.seen.contains_key(backend) || self.seen.len() < MOST_PODS {
            return true;
        }
        let oldest = self.seen.iter().min_by_key(|(_, round)| **round);
        let oldest = oldest.filter(|(_, round)| **round + quiet <= self.number);
        let Some(gone) = oldest.map(|(backend, _)| backend.clone()) else { return false };
        self.seen.remove(&gone);
        self.counts.backends.remove(&gone);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use echo_reply::Identity;
    use proptest::prelude::*;

    use super::*;
    use crate::report::prometheus::counts::MOST_CLUSTERS;
    use crate::tally::BackendTally;

    fn tally(pods: impl IntoIterator<Item = u64>) -> Tally {
        let backend = || BackendTally { answers: 1, ..BackendTally::default() };
        let backends = pods
            .into_iter()
            .map(|n| (Identity::new(format!("pod-{n}"), format!("cluster-{}", n % 2)), backend()));
        Tally { backends: backends.collect(), ..Tally::default() }
    }

    fn round(probed: bool) -> Round {
        Round { ended: SystemTime::UNIX_EPOCH, took: Duration::ZERO, probed }
    }

    fn count(lifetime: &Lifetime, pod: &str) -> Option<u64> {
        let mut backends = lifetime.counts.backends.iter();
        backends.find(|(backend, _)| backend.pod == pod).map(|(_, answers)| answers.count)
    }

    #[test]
    fn a_pod_that_is_gone_gives_its_place_to_a_new_one() {
        let mut lifetime = Lifetime::default();
        let most = MOST_PODS as u64;
        lifetime.add(Some(&tally(0..most)), round(true), 3);
        lifetime.add(Some(&tally(1..most)), round(true), 3);
        lifetime.add(Some(&tally([1, 1000])), round(true), 3);
        assert_eq!(count(&lifetime, "pod-0"), Some(1), "it answered a moment ago");
        assert_eq!((count(&lifetime, "pod-1000"), count(&lifetime, OTHER)), (None, Some(1)));
        lifetime.add(Some(&tally((1..most).chain([1000]))), round(true), 3);
        assert_eq!((count(&lifetime, "pod-0"), count(&lifetime, "pod-1000")), (None, Some(1)));
        assert_eq!(count(&lifetime, OTHER), Some(1), "what was counted there stays there");
        assert_eq!(count(&lifetime, "pod-1"), Some(4));
    }

    #[test]
    fn rounds_without_a_source_are_counted_apart() {
        let mut lifetime = Lifetime::default();
        lifetime.add(None, round(false), 1);
        lifetime.add(Some(&tally([1])), round(true), 1);
        assert_eq!((lifetime.rounds.probed, lifetime.rounds.unreachable), (1, 1));
        assert_eq!(lifetime.counts.answered, 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Pods come and go; no series shrinks while it is there, and there are never more
        /// than allowed.
        #[test]
        fn series_only_grow_and_are_bounded(
            rounds in prop::collection::vec(prop::collection::btree_set(0_u64..120, 0..80), 1..30),
            quiet in 1_u64..5,
        ) {
            let mut lifetime = Lifetime::default();
            for pods in rounds {
                let before = lifetime.counts.clone();
                lifetime.add(Some(&tally(pods.clone())), round(true), quiet);
                let now = &lifetime.counts;
                prop_assert_eq!(now.answered, before.answered + pods.len() as u64);
                prop_assert!(now.backends.len() <= MOST_PODS + MOST_CLUSTERS + 1);
                for (backend, answers) in &now.backends {
                    let known = before.backends.get(backend).map_or(0, |known| known.count);
                    prop_assert!(answers.count >= known);
                }
                for backend in before.backends.keys().filter(|backend| backend.pod == OTHER) {
                    prop_assert!(now.backends.contains_key(backend), "it never goes");
                }
            }
        }
    }
}
