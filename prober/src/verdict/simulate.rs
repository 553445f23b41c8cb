//! Runs of the sampling rule on made-up answers, seeded: what a decision takes. Pure.

use std::time::Duration;

use echo_reply::Identity;

use crate::expectation::Expectation;
use crate::stats::random::Random;
use crate::tally::outcome::{Answer, Outcome};
use crate::tally::{Label, Recorder};
use crate::verdict::{self, Rules, Sampling, Verdict, sampling};

/// How many runs are made.
const RUNS: u64 = 100;
/// Beyond so many requests a simulation takes too long to wait for.
const LONGEST: u64 = 40_000;

/// What runs took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// On average.
    pub mean: u64,
    /// In 95 of 100 runs, at most.
    pub most: u64,
    /// How many runs there were.
    pub runs: u64,
}

/// What it takes to decide that groups have their `targets`, where their shares are `truth`;
/// `None` where it takes too long to find out.
#[must_use]
pub(crate) fn balance(
    targets: &[f64],
    truth: &[f64],
    tolerance: f64,
    risk: f64,
    about: u64,
) -> Option<Sizes> {
    let shares: Vec<_> =
        targets.iter().enumerate().map(|(n, share)| (format!("c{n}"), share * 100.0)).collect();
    let expectation =
        Expectation::Shares { shares, label: Label::Cluster, tolerance: tolerance * 100.0 };
    let rules =
        Rules { confidence: 1.0 - risk, sampling: Sampling::UntilDecided, ..Rules::default() };
    let many = targets.len() as u64;
    (about < LONGEST && many <= 64)
        .then(|| sizes(&expectation, &rules, truth, RUNS / many.clamp(1, 5)))
}

fn sizes(expectation: &Expectation, rules: &Rules, truth: &[f64], runs: u64) -> Sizes {
    let mut took: Vec<u64> = (0..runs).map(|seed| one(expectation, rules, truth, seed)).collect();
    took.sort_unstable();
    let mean = took.iter().sum::<u64>() / runs.max(1);
    let most = took[(took.len() * 95 / 100).min(took.len() - 1)];
    Sizes { mean, most, runs }
}

fn one(expectation: &Expectation, rules: &Rules, truth: &[f64], seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let who: Vec<_> =
        (0..truth.len()).map(|n| Identity::new(format!("c{n}"), format!("c{n}"))).collect();
    let mut recorder = Recorder::default();
    let least = sampling::least(rules.dependence, 1.0 - rules.confidence);
    let mut n = 0;
    while n < 10 * LONGEST {
        let until = sampling::next(n, least);
        for sequence in n..until {
            let answer = Answer::of(&who[random.pick(truth)]);
            recorder.record_on(0, Outcome::fresh(sequence, Ok(answer)), 0, || Duration::ZERO);
        }
        n = until;
        let undecided = Verdict::Inconclusive;
        if n >= least && verdict::verdict(&recorder.so_far(false), expectation, rules) != undecided
        {
            break;
        }
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_decided_at_the_first_look_that_may_decide() {
        let sizes = balance(&[0.5, 0.5], &[0.5, 0.5], 0.4, 0.001, 1_000);
        let least = sampling::least(Rules::default().dependence, 0.001);
        assert_eq!(sizes, Some(Sizes { mean: least, most: least, runs: RUNS / 2 }));
    }

    #[test]
    fn what_takes_too_long_is_not_simulated() {
        let many = vec![1.0 / 65.0; 65];
        assert_eq!(balance(&[0.5, 0.5], &[0.5, 0.5], 0.4, 0.001, LONGEST), None);
        assert_eq!(balance(&many, &many, 0.4, 0.001, 1_000), None);
    }

    #[test]
    fn sizes_are_the_average_and_the_95th_of_100() {
        let targets = [0.5, 0.5];
        let sizes = balance(&targets, &targets, 0.1, 0.001, 1_000).unwrap();
        assert!(sizes.mean < sizes.most, "{sizes:?}");
        // Those that never decide are counted with the request at which they end.
        let never = balance(&targets, &[0.6, 0.4], 0.1, 0.001, 1_000).unwrap();
        assert!(never.mean > sizes.most, "{never:?}");
    }
}
