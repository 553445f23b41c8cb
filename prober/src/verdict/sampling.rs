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
