//! How many requests prove what. Pure.

use crate::stats::{dependence, exact};

/// Samples beyond this are not looked for.
pub(crate) const MOST: u64 = 1_000_000_000;

/// Shares that are to be proven, and how surely.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The shares, each 0 to 1; they sum to 1.
    pub shares: Vec<f64>,
    /// How far a share may be from its own, 0 to 1.
    pub tolerance: f64,
    /// The risk of a wrong verdict, 0 to 1.
    pub risk: f64,
    /// How often true shares are proven, 0 to 1.
    pub power: f64,
    /// The chance that some backend is never seen though it answers.
    pub miss: f64,
}

impl Question {
    /// The chance that `n` requests prove every share inside the tolerance, at least, if each
    /// is what it should be and answers are independent: for each share the exact chance that both
    /// one-sided tests succeed, failures added up over the shares (Bonferroni). A test is Chernoff's
    /// bound on the answers, and the binomial one on as many as they are judged to be worth.
    #[must_use]
    pub(crate) fn power_of(&self, n: u64) -> f64 {
        let trials = n as f64;
        let mut sorted = self.shares.clone();
        sorted.sort_by(f64::total_cmp);
        let mut failing = 0.0;
        let mut before: Option<(f64, f64)> = None;
        for share in sorted {
            // Equal shares fail equally often.
            let fails = match before {
                Some((same, fails)) if same == share => fails,
                _ => 1.0 - self.power_of_one(trials, share),
            };
            before = Some((share, fails));
            failing += fails;
        }
        // With two groups, one is where it should be if the other is.
        if self.shares.len() == 2 {
            failing /= 2.0;
        }
        1.0 - failing
    }

    fn power_of_one(&self, trials: f64, share: f64) -> f64 {
        let (low, high) = (share - self.tolerance, share + self.tolerance);
        let whole = |from: f64, to: f64, holds: &dyn Fn(f64) -> bool| {
            let (mut from, mut to) = (from, to);
            while from < to {
                let middle = ((from + to) / 2.0).floor();
                if holds(middle) { to = middle } else { from = middle + 1.0 }
            }
            from
        };
        // The least count that proves more than `low`, and the least that no longer proves
        // less than `high`.
        let time = dependence::of_independent(trials, share);
        let above = |hits: f64, limit: f64| {
            exact::chernoff(hits, trials, limit) <= self.risk
                && exact::at_least(hits / time, trials / time, limit) <= self.risk
        };
        let least = match low <= 0.0 {
            true => 0.0,
            false => whole(0.0, trials + 1.0, &|hits| hits > trials || above(hits, low)),
        };
        let beyond = match high >= 1.0 {
            true => trials + 1.0,
            false => whole(0.0, trials + 1.0, &|hits| !above(trials - hits, 1.0 - high)),
        };
        if beyond <= least {
            return 0.0;
        }
        let reached = exact::at_least(least, trials, share);
        let passed = if beyond > trials { 0.0 } else { exact::at_least(beyond, trials, share) };
        (reached - passed).max(0.0)
    }

    /// The least sample, to the saw teeth of whole numbers, that is proven so often.
    /// `None` beyond [`MOST`].
    #[must_use]
    pub(crate) fn requests(&self) -> Option<u64> {
        least(|n| self.power_of(n) >= self.power)
    }

    /// The requests after which some backend was never seen with at most the chance `miss`:
    /// `Σ(1 - share)^n ≤ miss` (Boole's inequality).
    /// `None` beyond [`MOST`].
    #[must_use]
    pub(crate) fn coverage(&self) -> Option<u64> {
        let missed =
            |n: u64| self.shares.iter().map(|share| (1.0 - share).powf(n as f64)).sum::<f64>();
        least(|n| missed(n) <= self.miss)
    }
}

/// The least number for which a condition holds that goes on holding.
fn least(holds: impl Fn(u64) -> bool) -> Option<u64> {
    let mut high = 1;
    while !holds(high) {
        high *= 2;
        if high > 2 * MOST {
            return None;
        }
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle }
    }
    Some(high).filter(|n| *n <= MOST)
}

#[cfg(test)]
mod tests;
