//! What the order of answers says of their independence. Pure.

use std::sync::LazyLock;

use super::special::normal_quantile_above;

/// The risk at which independent answers are found to be dependent.
const RISK: f64 = 0.001;
/// The standard deviations that chance exceeds at that risk. Computed once: every look at a run
/// needs it.
static BEYOND: LazyLock<f64> = LazyLock::new(|| normal_quantile_above(RISK));
/// With fewer pairs than this nothing is said.
const FEW: f64 = 12.0;

/// Successive answers, by whether each was a hit: one of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// A hit after a hit.
    pub hit_hit: u64,
    /// A miss after a hit.
    pub hit_miss: u64,
    /// A hit after a miss.
    pub miss_hit: u64,
    /// A miss after a miss.
    pub miss_miss: u64,
}

/// How much the answer before says of the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Correlation {
    /// The correlation of successive answers: 1 if they are all alike, -1 if they take turns.
    pub lag_one: f64,
    /// Pairs of answers.
    pub pairs: f64,
}

impl Correlation {
    /// Of pairs of successive answers; `None` if there are few, or all are alike, so that they
    /// say nothing.
    #[must_use]
    pub(crate) fn of(chain: &Chain) -> Option<Self> {
        let [hh, hm, mh, mm] = [chain.hit_hit, chain.hit_miss, chain.miss_hit, chain.miss_miss]
            .map(|count| count as f64);
        let pairs = hh + hm + mh + mm;
        let variances = (hh + hm) * (mh + mm) * (hh + mh) * (hm + mm);
        if pairs < FEW || variances <= 0.0 {
            return None;
        }
        Some(Self { lag_one: (hh * mm - hm * mh) / variances.sqrt(), pairs })
    }

    /// The number of runs against what independence gives, in standard deviations, fewer
    /// runs above 0 (Wald & Wolfowitz 1940): the 2×2 table of successive answers tests it
    /// with `lag_one · √pairs`.
    #[must_use]
    pub(crate) fn runs_z(&self) -> f64 {
        self.lag_one * self.pairs.sqrt()
    }

    /// Whether independent answers come in so few runs with a chance below 0.1 %.
    #[must_use]
    pub(crate) fn clusters(&self) -> bool {
        self.runs_z() > *BEYOND
    }

    /// What the correlation is at most, at 99.9 %: Fisher's transformation (1921).
    #[must_use]
    pub(crate) fn upper(&self) -> f64 {
        let lag_one = self.lag_one.clamp(-1.0, 1.0);
        let z = lag_one.atanh() + *BEYOND / (self.pairs - 3.0).sqrt();
        z.tanh().clamp(-1.0, 1.0)
    }
}

/// What `answers` on connections that carry `each` of them on average are worth, if answers
/// of one connection correlate by at most `within`: the design effect of samples in clusters,
/// `1 + (each - 1)·within` (Kish 1965). At 1 they are worth as much as there are connections.
#[must_use]
pub(crate) fn worth_of_connections(answers: f64, each: f64, within: f64) -> f64 {
    answers / (1.0 + (each - 1.0).max(0.0) * within.max(0.0))
}

/// What `answers` are worth, if successive ones correlate by `lag_one` and what is farther
/// apart by its powers: `(1 - r)/(1 + r)` (Bartlett 1946). Never more than they are.
#[must_use]
pub(crate) fn worth_of_chain(answers: f64, lag_one: f64) -> f64 {
    let r = lag_one.clamp(0.0, 1.0);
    answers * (1.0 - r) / (1.0 + r)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(hit_hit: u64, hit_miss: u64, miss_hit: u64, miss_miss: u64) -> Correlation {
        Correlation::of(&Chain { hit_hit, hit_miss, miss_hit, miss_miss }).unwrap()
    }

    #[test]
    fn the_order_tells_pinned_from_taking_turns_from_independent() {
        let pinned = chain(50, 0, 0, 50);
        assert_eq!((pinned.lag_one, pinned.upper(), pinned.clusters()), (1.0, 1.0, true));
        let turns = chain(0, 50, 50, 0);
        assert_eq!((turns.lag_one, turns.clusters()), (-1.0, false));
        let independent = chain(250, 250, 250, 250);
        assert_eq!((independent.lag_one, independent.clusters()), (0.0, false));
        // tanh(3.0902 / √997)
        assert!((independent.upper() - 0.097_557).abs() < 1e-5, "{}", independent.upper());
        let sticky = chain(300, 200, 200, 300);
        assert!((sticky.lag_one - 0.2).abs() < 1e-12 && sticky.clusters());
        assert_eq!(Correlation::of(&Chain { hit_hit: 100, ..Chain::default() }), None);
        let few = Chain { hit_hit: 2, hit_miss: 2, miss_hit: 2, miss_miss: 2 };
        assert_eq!(Correlation::of(&few), None);
    }

    #[test]
    fn dependent_answers_are_worth_less() {
        assert_eq!(worth_of_connections(1000.0, 100.0, 1.0), 10.0);
        assert_eq!(worth_of_connections(1000.0, 100.0, 0.0), 1000.0);
        assert_eq!(worth_of_connections(1000.0, 1.0, 1.0), 1000.0);
        assert_eq!(worth_of_chain(900.0, 0.5), 300.0);
        assert_eq!(worth_of_chain(900.0, -1.0), 900.0);
        assert_eq!(worth_of_chain(900.0, 1.0), 0.0);
    }
}
