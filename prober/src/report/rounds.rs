//! Rounds of a row that is probed continuously. Pure values.

use std::time::{Duration, SystemTime};

/// The rounds of a row that is asked again and again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rounds {
    /// Those in which requests were sent.
    pub probed: u64,
    /// Those in which the source could not probe.
    pub unreachable: u64,
    /// The last that ended; `None` before the first.
    pub last: Option<Round>,
}

/// A round that ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    /// When it ended.
    pub ended: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether requests were sent.
    pub probed: bool,
}

/// How a row is asked again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rhythm {
    /// From the beginning of a round to that of the next.
    pub interval: Duration,
    /// How far back gauges look.
    pub window: Duration,
}
