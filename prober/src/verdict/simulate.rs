//! Runs of the sampling rule on made-up answers, seeded: what a decision takes. Pure.

use echo_reply::Identity;

use crate::expectation::Expectation;
use crate::stats::random::Random;
use crate::tally::{BackendTally, Label, Tally};
use crate::verdict::sampling::pause;
use crate::verdict::{self, Rules, Sampling};

/// How many runs are made.
const RUNS: u64 = 200;
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

/// A tally of independent answers, each on a connection of its own, one pod in each cluster.
#[must_use]
pub(crate) fn tally(counts: &[(String, u64)]) -> Tally {
    let mut tally = Tally::default();
    for (name, answers) in counts.iter().filter(|(_, answers)| *answers > 0) {
        let backend =
            BackendTally { answers: *answers, connections: *answers, ..BackendTally::default() };
        tally.backends.insert(Identity::new(name.clone(), name.clone()), backend);
        tally.connections += answers;
    }
    tally
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
        .then(|| sizes(&expectation, &rules, truth, RUNS / many.clamp(1, 8)))
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
    let mut counts: Vec<_> = (0..truth.len()).map(|n| (format!("c{n}"), 0)).collect();
    let mut n = 0;
    while n < 10 * LONGEST {
        let until = n + pause(n);
        while n < until {
            counts[random.pick(truth)].1 += 1;
            n += 1;
        }
        let judged = verdict::judge(&tally(&counts), expectation, rules);
        if judged.verdict != verdict::Verdict::Inconclusive {
            break;
        }
    }
    n
}
