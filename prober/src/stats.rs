//! The statistics behind verdicts. Pure; each formula with its source.

pub(crate) mod dependence;
pub(crate) mod exact;
pub(crate) mod homogeneity;
pub(crate) mod random;
pub(crate) mod sequence;
pub(crate) mod special;
pub(crate) mod two_samples;

/// The largest share that an unseen group can have, at `confidence`, after
/// `answers` independent answers from others: the exact upper bound
/// (Clopper–Pearson with no successes), `1 - (1 - confidence)^(1/answers)`.
#[must_use]
pub(crate) fn unseen_share(answers: u64, confidence: f64) -> f64 {
    if answers == 0 { 1.0 } else { -f64::exp_m1(f64::ln(1.0 - confidence) / answers as f64) }
}

/// How many independent answers it takes until a group of this `share` is
/// missed with a probability of at most `risk`: the least n with
/// `(1 - share)^n ≤ risk`.
#[must_use]
pub(crate) fn answers_to_miss(share: f64, risk: f64) -> u64 {
    if share >= 1.0 {
        return 1;
    }
    // A count: far below 2^53 for any share and risk that are not absurd.
    (risk.ln() / f64::ln_1p(-share)).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests;
