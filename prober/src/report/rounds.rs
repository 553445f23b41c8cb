//! The rounds of `prober watch`. Pure values.

use std::time::{Duration, SystemTime};

/// The rounds of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rounds {
    /// Rounds in which requests were sent.
    pub probed: u64,
    /// Rounds in which the source could not probe.
    pub unreachable: u64,
    /// The last round that ended; `None` before the first.
    pub last: Option<Round>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    pub ended: SystemTime,
    pub took: Duration,
    /// Whether requests were sent.
    pub probed: bool,
}

/// When rounds start, and how many of them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rhythm {
    /// From the start of a round to the start of the next.
    pub interval: Duration,
    /// How long rounds count in shares and verdicts.
    pub window: Duration,
}
