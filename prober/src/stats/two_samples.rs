//! Two samples of independent trials compared exactly: whether the second has more hits than
//! the first (Fisher 1935), and whether its share lies beyond an edge that depends on the
//! first one's. Pure.

use super::exact;
use super::special::{ln_beta, normal_quantile_above};

/// Probabilities below this are left out of sums: far below any risk.
const NEGLIGIBLE: f64 = 1e-18;
/// The part of the risk that is spent on the region of the first sample's share.
const REGION: f64 = 0.1;
/// The part of the risk that is spent on bounds of both shares.
const APART: f64 = 0.25;
/// Steps through that region.
const STEPS: u32 = 32;
/// The chance with which [`needed`] trials are enough.
const POWER: f64 = 0.9;

/// Hits among trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    pub hits: u64,
    pub trials: u64,
}

impl Hits {
    /// The share of hits; 0 without a trial.
    pub(crate) fn share(self) -> f64 {
        if self.trials == 0 { 0.0 } else { self.hits as f64 / self.trials as f64 }
    }

    /// Misses for hits.
    pub(crate) fn mirrored(self) -> Self {
        Self { hits: self.trials - self.hits, ..self }
    }
}

/// What a share is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reference {
    /// A share that is known.
    Share(f64),
    /// A share of which only a sample is known.
    Sample(Hits),
}

impl Reference {
    /// The share, as far as it is known.
    pub(crate) fn share(self) -> f64 {
        match self {
            Self::Share(share) => share,
            Self::Sample(hits) => hits.share(),
        }
    }

    fn mirrored(self) -> Self {
        match self {
            Self::Share(share) => Self::Share(1.0 - share),
            Self::Sample(hits) => Self::Sample(hits.mirrored()),
        }
    }
}

/// The chance that so many of all hits, or more, are in the second sample if both have the
/// same share: the upper tail of the hypergeometric distribution (Fisher's exact test).
#[must_use]
pub(crate) fn more(first: Hits, second: Hits) -> f64 {
    let (drawn, all) = (second.trials as f64, (first.trials + second.trials) as f64);
    let (hits, seen) = ((first.hits + second.hits) as f64, second.hits as f64);
    // Not above the mean: far from any proof.
    if seen * all <= hits * drawn {
        return 1.0;
    }
    let misses_left = all - hits - drawn;
    let first_term = ln_choose(hits, seen) + ln_choose(all - hits, drawn - seen);
    let mut term = (first_term - ln_choose(all, drawn)).exp();
    let (mut sum, mut x) = (0.0, seen);
    // Past the mean the terms only fall.
    while x <= hits.min(drawn) && term > NEGLIGIBLE * sum {
        sum += term;
        term *= (hits - x) * (drawn - x) / ((x + 1.0) * (misses_left + x + 1.0));
        x += 1.0;
    }
    sum.min(1.0)
}

/// Whether the second share is proven to lie above `edge(first share)`; `edge` does not fall.
/// Either of two tests proves it, which share the risk.
#[must_use]
pub(crate) fn above(first: Reference, second: Hits, edge: &dyn Fn(f64) -> f64, risk: f64) -> bool {
    // What does not even look like it is not worth the sums.
    if second.trials == 0 || second.share() <= edge(first.share()) {
        return false;
    }
    match first {
        Reference::Share(share) => {
            let (hits, trials) = (second.hits as f64, second.trials as f64);
            edge(share) < 0.0 || exact::at_least(hits, trials, edge(share)) <= risk
        }
        Reference::Sample(first) if first.trials == 0 => false,
        Reference::Sample(first) => {
            apart(first, second, edge, risk * APART)
                || far_above(first, second, edge, risk * (1.0 - APART))
        }
    }
}

/// Whether the bounds of both shares prove it, each with half of the risk: good where all
/// trials are alike.
fn apart(first: Hits, second: Hits, edge: &dyn Fn(f64) -> f64, risk: f64) -> bool {
    let first = exact::upper(first.hits as f64, first.trials as f64, risk / 2.0);
    exact::lower(second.hits as f64, second.trials as f64, risk / 2.0) > edge(first)
}

/// Whether "at the edge or below" is refuted for every first share that its own sample allows
/// (Berger & Boos 1994, on a grid), by how far the second observed share is above the edge of
/// the first one: good elsewhere.
fn far_above(first: Hits, second: Hits, edge: &dyn Fn(f64) -> f64, risk: f64) -> bool {
    let outside = risk * REGION / 2.0;
    let low = exact::lower(first.hits as f64, first.trials as f64, outside);
    let high = exact::upper(first.hits as f64, first.trials as f64, outside);
    let risk = risk * (1.0 - REGION);
    (0..=STEPS).all(|step| {
        let share = low + (high - low) * f64::from(step) / f64::from(STEPS);
        edge(share) < 0.0 || exceeds(first, second, edge, share) <= risk
    })
}

/// Whether the second share is proven to lie below `edge(first share)`.
#[must_use]
pub(crate) fn below(first: Reference, second: Hits, edge: &dyn Fn(f64) -> f64, risk: f64) -> bool {
    above(first.mirrored(), second.mirrored(), &|share| 1.0 - edge(1.0 - share), risk)
}

/// The chance that the second observed share is as far above the edge of the first one as it
/// was seen to be, or farther, if the first share is `share` and the second is at its edge.
fn exceeds(first: Hits, second: Hits, edge: &dyn Fn(f64) -> f64, share: f64) -> f64 {
    let (from, chances) = distribution(second.trials, edge(share));
    // The chance of each count or more.
    let mut tail = chances;
    for place in (0..tail.len().saturating_sub(1)).rev() {
        tail[place] += tail[place + 1];
    }
    let at_least = |count: f64| match count - from as f64 {
        before if before <= 0.0 => 1.0,
        place => tail.get(place as usize).copied().unwrap_or(0.0),
    };
    let seen = second.share() - edge(first.share());
    let (from, chances) = distribution(first.trials, share);
    let parts = (from..).zip(chances).map(|(hits, chance)| {
        let first = Hits { hits, ..first };
        let least = (seen + edge(first.share())) * second.trials as f64;
        // A tie counts, whatever is lost in rounding.
        chance * at_least((least - 1e-6).ceil())
    });
    parts.sum::<f64>().min(1.0)
}

/// The binomial distribution where it is not negligible: the first count, and the chances from
/// there on.
fn distribution(trials: u64, share: f64) -> (u64, Vec<f64>) {
    let n = trials as f64;
    if share <= 0.0 || share >= 1.0 {
        return (if share <= 0.0 { 0 } else { trials }, vec![1.0]);
    }
    let mode = ((n + 1.0) * share).floor().min(n);
    let odds = share / (1.0 - share);
    let peak = (ln_choose(n, mode) + mode * share.ln() + (n - mode) * f64::ln_1p(-share)).exp();
    let mut down = Vec::new();
    let (mut x, mut chance) = (mode, peak);
    while x > 0.0 && chance > NEGLIGIBLE {
        chance *= x / ((n - x + 1.0) * odds);
        x -= 1.0;
        down.push(chance);
    }
    let from = mode as u64 - down.len() as u64;
    down.reverse();
    let mut chances = down;
    let (mut x, mut chance) = (mode, peak);
    while x <= n && chance > NEGLIGIBLE {
        chances.push(chance);
        chance *= (n - x) * odds / (x + 1.0);
        x += 1.0;
    }
    (from, chances)
}

fn ln_choose(n: f64, k: f64) -> f64 {
    -(n + 1.0).ln() - ln_beta(n - k + 1.0, k + 1.0)
}

/// About how many trials each of two samples needs so that equal shares are proven to differ
/// by less than `margin`, in nine of ten cases. By the normal distribution, but never fewer
/// than it takes with all trials alike.
#[must_use]
pub(crate) fn needed(share: f64, margin: f64, risk: f64) -> u64 {
    let left = risk * (1.0 - APART) * (1.0 - REGION);
    let errors = normal_quantile_above(left) + normal_quantile_above((1.0 - POWER) / 2.0);
    let scatter = 2.0 * share * (1.0 - share) * (errors / margin).powi(2);
    let alike = (risk * APART / 2.0).ln() / f64::ln_1p(-margin.min(0.999));
    scatter.max(alike).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Random;

    fn hits(hits: u64, trials: u64) -> Hits {
        Hits { hits, trials }
    }

    #[test]
    fn fishers_test_gives_what_is_known_of_it() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        // Fisher's tea: 3 of 4 against 1 of 4, (16 + 1) / 70.
        near(more(hits(1, 4), hits(3, 4)), 17.0 / 70.0);
        // All 20 in the smaller part of 20 in 120: one of so many draws.
        near(more(hits(0, 100), hits(2, 20)), 20.0 * 19.0 / (120.0 * 119.0));
        near(more(hits(3, 10), hits(3, 10)), 1.0);
        near(more(hits(0, 0), hits(3, 10)), 1.0);
    }

    #[test]
    fn the_chance_of_a_difference_is_the_sum_over_both_counts() {
        let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
        let chance = |n: u64, k: u64, p: f64| {
            choose(n, k) * p.powf(k as f64) * (1.0 - p).powf((n - k) as f64)
        };
        let (n, m) = (9_u64, 14_u64);
        for (a, b, p, c) in [(4, 9, 0.5, 0.3), (0, 3, 0.1, 0.1), (9, 14, 0.9, 0.25)] {
            let mut sum = 0.0;
            for x in 0..=n {
                for y in 0..=m {
                    if y * n + a * m >= b * n + x * m {
                        sum += chance(n, x, p) * chance(m, y, p - c);
                    }
                }
            }
            let found = exceeds(hits(a, n), hits(b, m), &|share| share - c, p);
            assert!((found - sum).abs() < 1e-12, "{found} {sum}");
        }
    }

    #[test]
    fn an_edge_is_passed_wrongly_no_more_often_than_stated() {
        let edges: [&dyn Fn(f64) -> f64; 2] = [&|share| share - 0.1, &|share| share * 0.75];
        let cases = [(0.5, 200, 300), (0.2, 100, 400), (0.95, 300, 60)];
        for (edge, (share, n, m)) in edges.into_iter().flat_map(|edge| cases.map(|c| (edge, c))) {
            let mut random = Random::new(7);
            let mut sample = |share: f64, n: u64| {
                hits((0..n).filter(|_| random.uniform() < share).count() as u64, n)
            };
            let mut wrong = 0;
            for _ in 0..2_000 {
                let first = Reference::Sample(sample(share, n));
                let second = sample(edge(share), m);
                wrong += u32::from(above(first, second, edge, 0.05));
            }
            // 5 % of 2,000, and three standard errors.
            assert!(wrong <= 130, "{share}: {wrong}");
            assert!(wrong >= 15, "{share}: {wrong}, far from what it could prove");
        }
    }

    #[test]
    fn above_and_below_are_mirrored_and_a_known_share_needs_no_sample() {
        let (low, high) = (|share: f64| share - 0.1, |share: f64| share + 0.1);
        let even = Reference::Sample(hits(1_000, 2_000));
        assert!(above(even, hits(1_000, 2_000), &low, 0.001));
        assert!(below(even, hits(1_000, 2_000), &high, 0.001));
        assert!(!above(even, hits(800, 2_000), &low, 0.001));
        assert!(!above(Reference::Sample(hits(50, 100)), hits(50, 100), &low, 0.001));
        assert!(above(Reference::Share(0.5), hits(300, 600), &low, 0.001));
        assert!(!above(Reference::Share(0.5), hits(30, 60), &low, 0.001));
        assert!(!above(Reference::Sample(hits(0, 0)), hits(9, 9), &low, 0.001));
    }

    #[test]
    fn so_many_trials_as_needed_are_enough() {
        for (share, margin) in [(0.5, 0.125), (0.25, 0.0625), (1.0, 0.05)] {
            let n = needed(share, margin, 0.001);
            let seen = hits((share * n as f64).round() as u64, n);
            assert!(above(Reference::Sample(seen), seen, &|share| share - margin, 0.001));
        }
        // With all trials alike, one fewer is not: the risk is spent as planned.
        let n = needed(1.0, 0.05, 0.001) - 1;
        assert!(!above(Reference::Sample(hits(n, n)), hits(n, n), &|share| share - 0.05, 0.001));
    }
}
