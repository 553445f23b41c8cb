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

use super::special::bisect;

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

/// Alternatives above a small `null` for one who knows nothing: twice as far each time. The
/// evidence for an event that is `k` times as frequent is found after hardly more requests than
/// if `k` had been known.
#[must_use]
pub(crate) fn more_often(null: f64) -> Vec<(f64, f64)> {
    let mut all = Vec::new();
    let mut share = null;
    while all.len() < 24 {
        share *= if all.len() < 2 { 1.5 } else { 2.0 };
        if share >= 0.9 {
            break;
        }
        all.push(share);
    }
    all.push(null + 0.9 * (1.0 - null));
    // Near ones are harder to find, and get more.
    let weights: Vec<f64> = (0..all.len()).map(|place| 0.8_f64.powi(place as i32)).collect();
    let sum: f64 = weights.iter().sum();
    all.into_iter().zip(weights).map(|(share, weight)| (share, weight / sum)).collect()
}

/// How far the grid of [`interval`] goes, in both directions: 0.01, 0.02, … 10.24.
const TILTS: i32 = 11;

/// Both ends of a confidence sequence: at confidence `1 - risk`, the average of the chances that
/// the trials had is between them, at all times together, whatever the trials depend on.
///
/// For each tilt `t` the product of `exp(t·hit) / (1 - p + p·e^t)` over the trials, with the chance
/// `p` of each given all before it, is a martingale; its logarithm is at least
/// `t·hits - trials·ln(1 - m + m·e^t)` with the average `m` of the chances, since that is concave
/// in the chance. So the mixture over a grid of tilts that does not depend on `m` bounds it
/// (Howard, Ramdas, McAuliffe & Sekhon 2021; Waudby-Smith & Ramdas 2024). The beta-binomial mixture
/// does so for one fixed chance only.
#[must_use]
pub(crate) fn interval(sample: Sample, risk: f64) -> (f64, f64) {
    let Sample { hits, trials } = sample;
    if trials <= 0.0 {
        return (0.0, 1.0);
    }
    let ln_evidence = |m: f64, sign: f64| {
        let logs = (0..TILTS).map(|step| {
            let tilt = sign * 0.01 * f64::from(1 << step);
            tilt * hits - trials * (m * tilt.exp_m1()).ln_1p()
        });
        let logs: Vec<f64> = logs.collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Each direction has half of the weight.
        let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
        most + (sum / f64::from(2 * TILTS)).ln()
    };
    let inside = |m: f64, sign: f64| ln_evidence(m, sign) < -risk.ln();
    let share = sample.share();
    let low = if hits <= 0.0 { 0.0 } else { bisect(0.0, share, |m| !inside(m, 1.0)) };
    let high = if hits >= trials { 1.0 } else { bisect(share, 1.0, |m| inside(m, -1.0)) };
    (low, high)
}
