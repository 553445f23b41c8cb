//! How a sample comes to its size. Pure.

/// How a sample came to its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// It was fixed before: exact binomial tests.
    Fixed,
    /// It was looked at while it grew, and ended when that was enough: anytime-valid tests.
    UntilDecided,
}

/// After how many more requests a sample of `n` is looked at again: as the engine does.
#[must_use]
pub(crate) fn pause(n: u64) -> u64 {
    (n / 64).max(4)
}

/// The size at which a sample of `n` is looked at next, if at least `least` requests are needed.
#[must_use]
pub(crate) fn next(n: u64, least: u64) -> u64 {
    let next = n + pause(n);
    if n < least { next.min(least) } else { next }
}

/// The default of `--dependence`: the longest integrated autocorrelation time, in answers, for which
/// verdicts hold beyond the run.
pub(crate) const DEPENDENCE: f64 = 100.0;

/// The fewest requests for a claim about the mesh beyond the run. If two backends answer equally often,
/// and the integrated autocorrelation time is `T`, the backend changes with a chance of about `1/T` at
/// each answer. All of `n` answers then come from one of them with a chance of `e^(-n/T)`. With this
/// `n`, that is two fifths of the risk.
#[must_use]
pub(crate) fn least(dependence: f64, risk: f64) -> u64 {
    (dependence * (2.5 / risk).ln()).ceil().max(1.0) as u64
}
