//! Which answers followed which: on the same connection, and in the order in which requests
//! started. Neither order has anything of the different latencies of backends in it, which the
//! order of the answers has. Bounded: K² counts for K backends.

use std::collections::BTreeMap;

use echo_reply::Identity;

use super::Label;
use crate::stats::order::Chain;

/// Backends beyond so many are not followed.
pub(super) const MOST: usize = 64;
/// The longest distance at which answers are compared.
pub(crate) const LAGS: usize = 16;

/// How often an answer followed another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// On the same connection.
    pub kept: u64,
    /// Of a thread, by when their requests started.
    pub started: u64,
}

/// How often answers at a distance came from the same backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Pairs at this distance.
    pub pairs: u64,
    /// Those of one backend.
    pub same: u64,
}

/// The order of the answers of a row, as far as its verdicts need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// (the answer before, the answer) → how often.
    pub pairs: BTreeMap<(Identity, Identity), Pairs>,
    /// At the distances 1, 2, … [`LAGS`].
    pub lags: [Agreement; LAGS],
}

impl Order {
    /// Adds all of another's.
    pub(super) fn merge(&mut self, other: Self) {
        for (pair, more) in other.pairs {
            let known = self.pairs.entry(pair).or_default();
            known.kept += more.kept;
            known.started += more.started;
        }
        for (known, more) in self.lags.iter_mut().zip(other.lags) {
            known.pairs += more.pairs;
            known.same += more.same;
        }
    }

    /// The successive answers of one group (a label's value): on the same connection, and by
    /// when their requests started.
    #[must_use]
    pub fn chains(&self, label: Label, name: &str) -> (Chain, Chain) {
        let (mut kept, mut started) = (Chain::default(), Chain::default());
        for ((before, after), pairs) in &self.pairs {
            let hits = (label.of(before) == name, label.of(after) == name);
            for (chain, n) in [(&mut kept, pairs.kept), (&mut started, pairs.started)] {
                *match hits {
                    (true, true) => &mut chain.hit_hit,
                    (true, false) => &mut chain.hit_miss,
                    (false, true) => &mut chain.miss_hit,
                    (false, false) => &mut chain.miss_miss,
                } += n;
            }
        }
        (kept, started)
    }

    /// The shortest distance at which all answers, enough of them, came from the same backend,
    /// while nearer ones did not: the period of a round robin.
    #[must_use]
    pub fn period(&self) -> Option<usize> {
        const ENOUGH: u64 = 50;
        let always = |lag: &Agreement| lag.pairs >= ENOUGH && lag.same == lag.pairs;
        let first = self.lags.iter().position(always)?;
        (first > 0).then_some(first + 1)
    }
}

/// So many answers are sorted by when their requests started; one that takes longer than
/// the answers after it counts where it came.
const WINDOW: usize = 1024;

/// Follows the order on the hot path: no allocation once its lanes are known.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// The last answer of each lane, if it was of a backend that is followed.
    lanes: Vec<Option<u16>>,
    /// Answers that are not sorted yet: the number of the request, and the backend.
    waiting: Vec<(u64, u16)>,
    /// The last answers that are, and how many there were.
    last: [u16; LAGS],
    seen: usize,
    /// `from * MOST + to`.
    pairs: Vec<Pairs>,
    lags: [Agreement; LAGS],
}

impl Follower {
    /// Counts an answer of the backend at `place` to the request of this number on a lane.
    pub(super) fn answered(&mut self, lane: usize, sequence: u64, place: usize, kept: bool) {
        if self.lanes.len() <= lane {
            self.lanes.resize(lane + 1, None);
            self.pairs.resize(MOST * MOST, Pairs::default());
        }
        let code = u16::try_from(place).ok().filter(|_| place < MOST);
        let before = std::mem::replace(&mut self.lanes[lane], code);
        let Some(code) = code else { return };
        if let Some(before) = before.filter(|_| kept) {
            self.pairs[usize::from(before) * MOST + place].kept += 1;
        }
        self.waiting.push((sequence, code));
        if self.waiting.len() >= 2 * WINDOW {
            self.sort(WINDOW);
        }
    }

    /// A lane's next answer follows none: a failure came between.
    pub(super) fn broken(&mut self, lane: usize) {
        if let Some(last) = self.lanes.get_mut(lane) {
            *last = None;
        }
    }

    /// Counts the first answers of those that wait, by when their requests started.
    fn sort(&mut self, count: usize) {
        self.waiting.sort_unstable();
        for n in 0..count {
            let code = self.waiting[n].1;
            if self.seen > 0 {
                let before = usize::from(self.last[(self.seen - 1) % LAGS]);
                self.pairs[before * MOST + usize::from(code)].started += 1;
            }
            for lag in 1..=self.seen.min(LAGS) {
                let agreement = &mut self.lags[lag - 1];
                agreement.pairs += 1;
                agreement.same += u64::from(self.last[(self.seen - lag) % LAGS] == code);
            }
            self.last[self.seen % LAGS] = code;
            self.seen += 1;
        }
        self.waiting.drain(..count);
    }

    /// What was counted, of the backends in the order of their places.
    pub(super) fn order<'a>(&mut self, backends: impl Iterator<Item = &'a Identity>) -> Order {
        self.sort(self.waiting.len());
        let known: Vec<_> = backends.take(MOST).collect();
        let mut order = Order { pairs: BTreeMap::new(), lags: self.lags };
        for (from, before) in known.iter().enumerate() {
            for (to, after) in known.iter().enumerate() {
                let pairs = self.pairs.get(from * MOST + to).copied().unwrap_or_default();
                if pairs != Pairs::default() {
                    order.pairs.insert(((*before).clone(), (*after).clone()), pairs);
                }
            }
        }
        order
    }
}
