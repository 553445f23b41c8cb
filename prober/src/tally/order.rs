//! The results of a row in the order in which their requests started. Unlike the order of arrival,
//! it does not depend on the latencies of the backends. Bounded in memory, however long a run is.

use echo_reply::Identity;

use super::sequence::{OTHERS, Sequence};

/// The longest distance at which answers are compared.
pub(crate) const LAGS: usize = 16;

/// How often answers at a distance came from the same backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Pairs at this distance.
    pub pairs: u64,
    /// Pairs from the same backend.
    pub same: u64,
}

/// The order of a row's results, as far as verdicts need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// All results; empty if their order is not known.
    pub sequence: Sequence,
    /// The answers of each connection with more than one answer, a block for each.
    pub by_connection: Sequence,
    /// Successive answers, at the distances 1 to [`LAGS`].
    pub lags: [Agreement; LAGS],
}

impl Order {
    pub(super) fn merge(&mut self, other: Self) {
        self.sequence.append(other.sequence);
        self.by_connection.append(other.by_connection);
        for (known, more) in self.lags.iter_mut().zip(other.lags) {
            known.pairs += more.pairs;
            known.same += more.same;
        }
    }

    /// The same order in less memory: with at most about this many entries for each sequence.
    #[must_use]
    pub(crate) fn bounded(self, entries: usize) -> Self {
        let (sequence, by_connection) =
            (self.sequence.bounded(entries), self.by_connection.bounded(entries));
        Self { sequence, by_connection, ..self }
    }

    /// Tells only these backends apart.
    pub(super) fn keep(&mut self, kept: impl Fn(&Identity) -> bool) {
        self.sequence.keep(&kept);
        self.by_connection.keep(&kept);
    }

    /// The same results of backends with other names; those that get the same name are one.
    #[must_use]
    pub(crate) fn renamed(&self, rename: impl Fn(&Identity) -> Identity) -> Self {
        Self {
            sequence: self.sequence.renamed(&rename),
            by_connection: self.by_connection.renamed(&rename),
            lags: self.lags,
        }
    }

    /// The period of a round robin: the shortest distance at which all answers, at least 50, came
    /// from the same backend, while nearer ones did not.
    #[must_use]
    pub fn period(&self) -> Option<usize> {
        const ENOUGH: u64 = 50;
        let always = |lag: &Agreement| lag.pairs >= ENOUGH && lag.same == lag.pairs;
        let first = self.lags.iter().position(always)?;
        (first > 0).then_some(first + 1)
    }
}

/// Compares each answer with the ones before it.
#[derive(Debug, Default)]
pub(super) struct Lags {
    /// The last answers, as a ring.
    last: [u16; LAGS],
    seen: usize,
    pub(super) counts: [Agreement; LAGS],
}

impl Lags {
    /// Counts the next answer, of the backend with this index. Of [`OTHERS`], none is known to be the
    /// same as another.
    pub(super) fn answered(&mut self, who: u16) {
        for lag in 1..=self.seen.min(LAGS) {
            let agreement = &mut self.counts[lag - 1];
            agreement.pairs += 1;
            let same = self.last[(self.seen - lag) % LAGS] == who && who != OTHERS;
            agreement.same += u64::from(same);
        }
        self.last[self.seen % LAGS] = who;
        self.seen += 1;
    }
}
