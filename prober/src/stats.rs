//! The statistics behind verdicts. Pure; each formula with its source.

/// The largest share that an unseen group can have, at `confidence`, after
/// `answers` independent answers from others: the exact upper bound
/// (Clopper–Pearson with no successes), `1 - (1 - confidence)^(1/answers)`.
#[must_use]
pub fn unseen_share(answers: u64, confidence: f64) -> f64 {
    if answers == 0 { 1.0 } else { -f64::exp_m1(f64::ln(1.0 - confidence) / answers as f64) }
}

/// How many independent answers it takes until a group of this `share` is
/// missed with a probability of at most `risk`: the least n with
/// `(1 - share)^n ≤ risk`.
#[must_use]
pub fn answers_to_miss(share: f64, risk: f64) -> u64 {
    if share >= 1.0 {
        return 1;
    }
    // A count: far below 2^53 for any share and risk that are not absurd.
    (risk.ln() / f64::ln_1p(-share)).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unseen_share_is_bounded_as_in_the_tables() {
        // Hanley & Lippman-Hand 1983: 3/n at 95 %; exactly 1 - 0.05^(1/100).
        assert!((unseen_share(100, 0.95) - 0.029_513_049_607_038_9).abs() < 1e-12);
        assert!((unseen_share(1000, 0.999) - 0.006_883_951_579_0).abs() < 1e-9);
        assert!((unseen_share(0, 0.999) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn coverage_takes_as_many_answers_as_the_arithmetic_says() {
        // 2^-10 < 0.001 < 2^-9.
        assert_eq!(answers_to_miss(0.5, 0.001), 10);
        // 1e-6: 0.5^20 = 9.5e-7.
        assert_eq!(answers_to_miss(0.5, 1e-6), 20);
        assert_eq!(answers_to_miss(1.0, 0.001), 1);
        assert_eq!(answers_to_miss(0.01, 0.001), 688);
    }
}
