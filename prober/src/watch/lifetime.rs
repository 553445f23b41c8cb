//! The counters of a row since the start of `prober watch`, limited in memory. A series only grows:
//! the counts of a pod never move to another series, and end when the pod is gone. Pure.

use std::collections::BTreeMap;

use crate::report::prometheus::counts::{Backend, Counts, MOST_PODS, OTHER};
use crate::report::rounds::{Round, Rounds};
use crate::tally::Tally;

#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    counts: Counts,
    rounds: Rounds,
    /// The pods with counters of their own, and the last round in which each answered.
    seen: BTreeMap<Backend, u64>,
    /// The number of rounds so far.
    number: u64,
}

impl Lifetime {
    #[must_use]
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    #[must_use]
    pub(crate) fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// Counts a round; `tally` is `None` if the source could not probe. If all places are taken, a
    /// new pod takes the place of one that did not answer in the last `quiet` rounds.
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
        // First: these pods are not gone, so no new pod may take their place.
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

    /// Whether a backend has counters of its own. Frees a place for it if possible.
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
    fn a_new_pod_takes_the_place_of_one_that_is_gone() {
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
    fn rounds_in_which_the_source_cannot_probe_have_a_counter() {
        let mut lifetime = Lifetime::default();
        lifetime.add(None, round(false), 1);
        lifetime.add(Some(&tally([1])), round(true), 1);
        assert_eq!((lifetime.rounds.probed, lifetime.rounds.unreachable), (1, 1));
        assert_eq!(lifetime.counts.answered, 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Pods come and go. No series shrinks, and the number of series is limited.
        #[test]
        fn series_only_grow_and_are_limited(
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
