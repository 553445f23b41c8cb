//! A share judged from a sample that is looked at while it grows, and that may end at any
//! moment: anytime-valid tests and confidence sequences. Pure.
//!
//! The evidence against `share ≤ p` is a mixture of likelihood ratios `Σ w·L(q)/L(p)` over
//! alternatives `q > p` (Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021). As long
//! as the share is at most `p`, it is a supermartingale that begins at the sum of the
//! weights, 1; by Ville's inequality it ever reaches `1/risk` with a chance of at most
//! `risk`, however often it is looked at. The same holds if the share changes with time
//! or with what was answered before, for the average of the shares up to then: `L(q)/L(p)`
//! is `exp(λ·hits - n·ln(1 - p + p·e^λ))`, whose second term is concave in `p`, so that an
//! average `p` bounds it (Jensen).

use super::special::{bisect, ln_beta};

/// Hits among trials; neither need be whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Trials of the kind that is looked for.
    pub hits: f64,
    /// All trials.
    pub trials: f64,
}

impl Sample {
    /// The same sample, misses for hits.
    #[must_use]
    pub(crate) fn mirrored(self) -> Self {
        Self { hits: self.trials - self.hits, trials: self.trials }
    }

    /// The fraction of hits; 0 of an empty sample.
    #[must_use]
    pub(crate) fn share(self) -> f64 {
        if self.trials > 0.0 { self.hits / self.trials } else { 0.0 }
    }
}

/// The logarithm of the evidence that the share is above `null`, for the alternatives
/// `(share, weight)`; those not above `null` count for nothing. Weights sum to 1 at most.
#[must_use]
pub(crate) fn ln_evidence_above(sample: Sample, null: f64, alternatives: &[(f64, f64)]) -> f64 {
    let Sample { hits, trials } = sample;
    let misses = trials - hits;
    let ln_ratio = |q: f64| term(hits, q, null) + term(misses, 1.0 - q, 1.0 - null);
    let there = alternatives.iter().filter(|(q, weight)| *q > null && *weight > 0.0);
    let logs: Vec<f64> = there.map(|(q, weight)| weight.ln() + ln_ratio(*q)).collect();
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most.is_infinite() {
        return most;
    }
    most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
}

/// `count · ln(q/p)`; nothing where nothing was counted.
fn term(count: f64, q: f64, p: f64) -> f64 {
    if count <= 0.0 { 0.0 } else { count * (q / p).ln() }
}

/// Alternatives above `null` for one who knows nothing but the scale, the tolerance: two at
/// distances of that scale, two that divide the room above, one of them for what is far off.
#[must_use]
pub(crate) fn beyond(null: f64, scale: f64) -> Vec<(f64, f64)> {
    let room = 1.0 - null;
    // Never 1: one miss would end all evidence of that alternative.
    let near = |distance: f64, most: f64| null + distance.min(most * room);
    vec![
        (near(scale, 0.2), 0.35),
        (near(2.5 * scale, 0.35), 0.2),
        (null + 0.45 * room, 0.2),
        (null + 0.9 * room, 0.25),
    ]
}

/// Alternatives above `null` for one who expects `target`: most of the weight there, the rest
/// on the way to it, for a share that holds though it is not quite as expected.
#[must_use]
pub(crate) fn around(target: f64, null: f64, scale: f64) -> Vec<(f64, f64)> {
    let target = target.min(1.0 - 1e-9);
    let between = |part: f64| null + (target - null) * part;
    let mut all = vec![(target, 0.6), (between(0.5), 0.25), (between(0.25), 0.05)];
    all.extend(beyond(null, scale).into_iter().map(|(q, weight)| (q, weight * 0.1)));
    all
}

/// Both ends of the confidence sequence of the beta-binomial mixture with the uniform
/// prior (Robbins 1970): at confidence `1 - risk`, the share is between them, at all times
/// together.
#[must_use]
pub(crate) fn interval(sample: Sample, risk: f64) -> (f64, f64) {
    let Sample { hits, trials } = sample;
    if trials <= 0.0 {
        return (0.0, 1.0);
    }
    let mixed = ln_beta(hits + 1.0, trials - hits + 1.0);
    let inside = |p: f64| {
        let likelihood = term(hits, p, 1.0) + term(trials - hits, 1.0 - p, 1.0);
        mixed - likelihood < -risk.ln()
    };
    let share = sample.share();
    let low = if hits <= 0.0 { 0.0 } else { bisect(0.0, share, |p| !inside(p)) };
    let high = if hits >= trials { 1.0 } else { bisect(share, 1.0, inside) };
    (low, high)
}
