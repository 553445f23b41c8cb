//! Which answers followed which: on the same connection, and in the order in which requests started.
//! Unlike the order of arrival, neither depends on the latencies of the backends. Bounded: K² counts
//! for K backends.

use std::collections::BTreeMap;

use echo_reply::Identity;

use super::label::Label;
use crate::stats::order::Chain;

/// Further backends are not followed.
pub(super) const MOST: usize = 64;
/// The longest distance at which answers are compared.
pub(crate) const LAGS: usize = 16;

/// How often an answer followed another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// On the same connection.
    pub kept: u64,
    /// On the same thread, by the start of their requests.
    pub started: u64,
}

/// How often answers at a distance came from the same backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Pairs at this distance.
    pub pairs: u64,
    /// Pairs from the same backend.
    pub same: u64,
}

/// How the answers of one group follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupChains {
    /// On the same connection.
    pub kept: Chain,
    /// By the start of their requests.
    pub started: Chain,
}

/// How the answers of all groups of a label follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chains<'a> {
    /// By the label's values.
    pub groups: BTreeMap<&'a str, GroupChains>,
    /// Of a group that has no pairs.
    pub absent: GroupChains,
}

/// The order of a row's answers, as far as verdicts need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// By the backend of an answer and that of the next one.
    pub pairs: BTreeMap<(Identity, Identity), Pairs>,
    /// At the distances 1 to [`LAGS`].
    pub lags: [Agreement; LAGS],
}

impl Order {
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

    /// How answers of each group (a label's value) follow each other, for all groups that have
    /// pairs, and for a group that has none.
    #[must_use]
    pub fn chains(&self, label: Label) -> Chains<'_> {
        let mut chains = Chains::default();
        let (mut kept, mut started) = (0, 0);
        for ((before, after), pairs) in &self.pairs {
            let (before, after) = (label.of(before), label.of(after));
            let chain = chains.groups.entry(before).or_default();
            if before == after {
                chain.kept.hit_hit += pairs.kept;
                chain.started.hit_hit += pairs.started;
            } else {
                chain.kept.hit_miss += pairs.kept;
                chain.started.hit_miss += pairs.started;
                let chain = chains.groups.entry(after).or_default();
                chain.kept.miss_hit += pairs.kept;
                chain.started.miss_hit += pairs.started;
            }
            kept += pairs.kept;
            started += pairs.started;
        }
        // What has to do with none of a group's answers is a miss after a miss.
        let rest = |all: u64, chain: &Chain| all - chain.hit_hit - chain.hit_miss - chain.miss_hit;
        for chain in chains.groups.values_mut().chain([&mut chains.absent]) {
            chain.kept.miss_miss = rest(kept, &chain.kept);
            chain.started.miss_miss = rest(started, &chain.started);
        }
        chains
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

/// This many answers are sorted by the start of their requests; one that takes even longer counts
/// where it arrived.
const WINDOW: usize = 1024;

/// Records the order on the hot path: no allocation once its lanes are known.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// The backend of each lane's last answer, if it is one that is followed.
    lanes: Vec<Option<u16>>,
    /// Answers that are not sorted yet: the request's number and the backend.
    waiting: Vec<(u64, u16)>,
    /// The last sorted answers, as a ring.
    last: [u16; LAGS],
    /// How many answers were sorted.
    seen: usize,
    /// `from * MOST + to`.
    pairs: Vec<Pairs>,
    lags: [Agreement; LAGS],
}

impl Follower {
    /// Counts an answer of the backend with index `place` to request number `sequence` on a lane.
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

    /// Counts a failure: the lane's next answer follows no answer.
    pub(super) fn failed(&mut self, lane: usize) {
        if let Some(last) = self.lanes.get_mut(lane) {
            *last = None;
        }
    }

    /// Counts the first `count` of the waiting answers, sorted by the start of their requests.
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

    /// The counts; `backends` are in the order of their indexes.
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
