//! The results of a row in the order in which their requests started. The dependence of answers is
//! estimated from them. Pure.
//!
//! Results are counted in blocks of successive requests. When there are too many, two neighbours
//! become one block. So the memory is bounded for a run of any length.

use std::collections::{BTreeMap, HashMap};

use echo_reply::Identity;

use super::label::Label;
use super::sketch::bucket;

/// With this many blocks, neighbours are joined.
pub(crate) const MAX_BLOCKS: usize = 2_048;
/// With more counts than this in closed blocks, neighbours are joined.
pub(crate) const MAX_ENTRIES: usize = 1 << 16;
/// The most backends of a row that are told apart.
pub(crate) const MOST_BACKENDS: usize = OTHERS as usize;
/// The place of all further backends.
pub(super) const OTHERS: u16 = u16::MAX - 1;
/// The place of failed requests.
pub(super) const FAILED: u16 = u16::MAX;

/// Equal results in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    block: u32,
    /// The backend's place in [`Sequence::backends`], [`OTHERS`] or [`FAILED`].
    who: u16,
    /// The bucket of the latency, as in a sketch; 0 for failures.
    bucket: u8,
    count: u32,
}

/// How many answers of a group came in each block; blocks without any are left out.
pub(crate) type Hits = Vec<(u32, u32)>;

/// Equal results in a block: the block, the place of the backend (one after the last for those that
/// are not told apart) or `None` for failures, the bucket of the latency, and how many.
pub(crate) type Results = (u32, Option<usize>, u8, u32);

/// Results in order, in blocks.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// Without duplicates.
    backends: Vec<Identity>,
    /// The requests of a full block: a power of two.
    length: u32,
    /// The requests of each block. The last block, and blocks at the end of a merged run, may have
    /// fewer than `length`.
    requests: Vec<u32>,
    /// Ordered by block.
    entries: Vec<Entry>,
    /// The number of entries that are sorted and joined: those of closed blocks.
    joined: usize,
    /// Whether one block alone had too many counts: the order is unknown then, and stays so.
    given_up: bool,
}

/// What counts as a hit, and among which results.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Indicator<'a> {
    /// Failed requests among all requests.
    Failed,
    /// Answers that took at least this many µs, among the answers of a group, or among all.
    Slow(u32, Option<(Label, &'a str)>),
}

/// Hits and trials of each block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub trials: Vec<u32>,
    /// Blocks without hits are left out.
    pub hits: Hits,
}

impl PartialEq for Sequence {
    /// Whether the blocks have the same results. The order of `backends` does not matter.
    fn eq(&self, other: &Self) -> bool {
        let entries = |sequence: &Self| {
            let who = |entry: &Entry| {
                (entry.who == FAILED, sequence.backends.get(usize::from(entry.who)).cloned())
            };
            let all = sequence.entries.iter();
            let mut all: Vec<_> = all.map(|e| (e.block, who(e), e.bucket, e.count)).collect();
            all.sort_unstable();
            all
        };
        self.requests == other.requests && entries(self) == entries(other)
    }
}

impl Eq for Sequence {}

impl Sequence {
    /// Whether the order is unknown.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether each block is as it was added: there were never too many.
    #[must_use]
    pub(super) fn is_unjoined(&self) -> bool {
        self.length <= 1
    }

    /// Adds a new backend and returns its place: [`OTHERS`] if there is no room.
    pub(super) fn add(&mut self, who: &Identity) -> u16 {
        if self.backends.len() == MOST_BACKENDS {
            return OTHERS;
        }
        self.backends.push(who.clone());
        (self.backends.len() - 1) as u16
    }

    /// The places of backends; new ones are added.
    fn places(&mut self, others: impl Iterator<Item = Identity>) -> Vec<u16> {
        let mut known: HashMap<Identity, u16> = self.backends.iter().cloned().zip(0..).collect();
        others.map(|who| *known.entry(who).or_insert_with_key(|who| self.add(who))).collect()
    }

    /// Adds the result of the next request.
    pub(super) fn push(&mut self, who: u16, bucket: u8) {
        if self.given_up {
            return;
        }
        self.length = self.length.max(1);
        if self.requests.last().is_none_or(|requests| *requests >= self.length) {
            self.close();
            if self.given_up {
                return;
            }
            self.requests.push(0);
        }
        let block = self.requests.len() - 1;
        self.requests[block] += 1;
        self.entries.push(Entry { block: block as u32, who, bucket, count: 1 });
    }

    /// Adds a block with these backends and their numbers of answers.
    pub(super) fn push_block(&mut self, counts: &[(u16, u32)]) {
        self.length = self.length.max(1);
        self.close();
        if self.given_up {
            return;
        }
        let block = self.requests.len() as u32;
        self.requests.push(counts.iter().map(|(_, count)| count).sum());
        let entries = counts.iter().map(|(who, count)| (*who, *count));
        self.entries.extend(entries.map(|(who, count)| Entry { block, who, bucket: 0, count }));
    }

    /// Closes the last block. Halves the number of blocks if there are too many.
    pub(super) fn close(&mut self) {
        self.join_from(self.joined);
        while self.requests.len() >= MAX_BLOCKS
            || (self.entries.len() > MAX_ENTRIES && self.requests.len() > 1)
        {
            self.halve();
        }
        if self.entries.len() > MAX_ENTRIES {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        *self = Self { given_up: true, ..Self::default() };
    }

    /// Joins each block with its neighbour.
    fn halve(&mut self) {
        self.length = self.length.saturating_mul(2);
        self.requests = self.requests.chunks(2).map(|pair| pair.iter().sum()).collect();
        self.entries.iter_mut().for_each(|entry| entry.block /= 2);
        self.join_from(0);
    }

    /// Sorts the entries from this index on, and joins equal ones.
    fn join_from(&mut self, from: usize) {
        self.entries[from..].sort_unstable();
        let mut kept = from;
        for place in from..self.entries.len() {
            let entry = self.entries[place];
            let same = |last: &Entry| {
                (last.block, last.who, last.bucket) == (entry.block, entry.who, entry.bucket)
            };
            if kept > from && same(&self.entries[kept - 1]) {
                self.entries[kept - 1].count += entry.count;
            } else {
                self.entries[kept] = entry;
                kept += 1;
            }
        }
        self.entries.truncate(kept);
        self.joined = kept;
    }

    /// The requests of each block, and their results; `place` returns the place of a backend, and
    /// `others` is that of all which have none.
    pub(crate) fn export(
        &self,
        place: impl Fn(&Identity) -> Option<usize>,
        others: usize,
    ) -> (Vec<u32>, Vec<Results>) {
        let places: Vec<_> = self.backends.iter().map(|who| place(who).unwrap_or(others)).collect();
        let entries = self.entries.iter().map(|entry| {
            let who = match entry.who {
                FAILED => None,
                who => Some(places.get(usize::from(who)).copied().unwrap_or(others)),
            };
            (entry.block, who, entry.bucket, entry.count)
        });
        (self.requests.clone(), entries.collect())
    }

    /// The reverse of [`Self::export`]; `None` if the counts contradict each other.
    #[must_use]
    pub(crate) fn import(
        requests: Vec<u32>,
        entries: &[Results],
        backends: &[Identity],
    ) -> Option<Self> {
        let most = requests.iter().copied().max().unwrap_or(0);
        let length = most.max(1).checked_next_power_of_two()?;
        let mut sequence =
            Self { backends: backends.to_vec(), length, requests, ..Self::default() };
        if backends.len() > MOST_BACKENDS {
            return None;
        }
        let mut sums = vec![0_u64; sequence.requests.len()];
        for (block, who, bucket, count) in entries {
            *sums.get_mut(*block as usize)? += u64::from(*count);
            let who = match who {
                Some(place) if *place < backends.len() => *place as u16,
                Some(place) if *place == backends.len() => OTHERS,
                Some(_) => return None,
                None => FAILED,
            };
            sequence.entries.push(Entry { block: *block, who, bucket: *bucket, count: *count });
        }
        let fits = sums.iter().zip(&sequence.requests).all(|(sum, n)| *sum == u64::from(*n));
        if !fits || sequence.requests.len() > MAX_BLOCKS {
            return None;
        }
        sequence.join_from(0);
        Some(sequence)
    }

    /// The same results of backends with other names. Backends with the same name are added up.
    #[must_use]
    pub(crate) fn renamed(&self, rename: impl Fn(&Identity) -> Identity) -> Self {
        let mut renamed = Self {
            length: self.length,
            requests: self.requests.clone(),
            entries: self.entries.clone(),
            ..Self::default()
        };
        let places = renamed.places(self.backends.iter().map(rename));
        for entry in &mut renamed.entries {
            entry.who = places.get(usize::from(entry.who)).copied().unwrap_or(entry.who);
        }
        renamed.join_from(0);
        renamed
    }

    /// Tells only these backends apart.
    pub(super) fn keep(&mut self, kept: impl Fn(&Identity) -> bool) {
        let mut place = 0;
        let mut places = Vec::with_capacity(self.backends.len());
        self.backends.retain(|who| {
            let stays = kept(who);
            places.push(if stays { place } else { OTHERS });
            place += u16::from(stays);
            stays
        });
        for entry in &mut self.entries {
            entry.who = places.get(usize::from(entry.who)).copied().unwrap_or(entry.who);
        }
        self.join_from(0);
    }

    /// The same results in longer blocks, with at most about this many entries.
    #[must_use]
    pub(super) fn bounded(mut self, entries: usize) -> Self {
        self.close();
        while self.entries.len() > entries && self.requests.len() > 1 {
            self.halve();
        }
        self
    }

    /// Appends the results of another run.
    pub(super) fn append(&mut self, other: Self) {
        if self.given_up || other.given_up {
            self.give_up();
        }
        if other.is_empty() || self.given_up {
            return;
        }
        if self.is_empty() {
            *self = other;
            return;
        }
        let mut other = other;
        self.close();
        other.close();
        while self.length < other.length {
            self.halve();
        }
        while other.length < self.length {
            other.halve();
        }
        let first = self.requests.len() as u32;
        let places = self.places(other.backends.iter().cloned());
        self.requests.extend(&other.requests);
        let moved = other.entries.iter().map(|entry| Entry {
            block: entry.block + first,
            who: places.get(usize::from(entry.who)).copied().unwrap_or(entry.who),
            ..*entry
        });
        self.entries.extend(moved);
        self.close();
    }

    /// The answers of each block, and the hits of each value of a label.
    #[must_use]
    pub(crate) fn groups(&self, label: Label) -> (Vec<u32>, BTreeMap<&str, Hits>) {
        let mut trials = vec![0; self.requests.len()];
        // The group of each backend, so that names are compared once for each.
        let names: Vec<&str> = self.backends.iter().map(|who| label.of(who)).collect();
        let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
        for name in &names {
            let next = by_name.len();
            by_name.entry(name).or_insert(next);
        }
        let group: Vec<usize> = names.iter().map(|name| by_name[name]).collect();
        let mut hits: Vec<Hits> = vec![Vec::new(); by_name.len()];
        for entry in self.entries.iter().filter(|entry| entry.who != FAILED) {
            trials[entry.block as usize] += entry.count;
            if let Some(group) = group.get(usize::from(entry.who)) {
                add(&mut hits[*group], entry.block, entry.count);
            }
        }
        let named = by_name.into_iter();
        (trials, named.map(|(name, place)| (name, std::mem::take(&mut hits[place]))).collect())
    }

    /// Hits and trials of each block that has trials.
    #[must_use]
    pub(crate) fn counts(&self, indicator: Indicator<'_>) -> Counts {
        let mut counts = Counts { trials: vec![0; self.requests.len()], hits: Vec::new() };
        for entry in &self.entries {
            let failed = entry.who == FAILED;
            let (counted, hit) = match indicator {
                Indicator::Failed => (true, failed),
                Indicator::Slow(us, of) => {
                    let who = self.backends.get(usize::from(entry.who));
                    let within =
                        of.is_none_or(|(label, name)| who.is_some_and(|who| label.of(who) == name));
                    (!failed && within, entry.bucket >= bucket(us))
                }
            };
            if counted {
                counts.trials[entry.block as usize] += entry.count;
                if hit {
                    add(&mut counts.hits, entry.block, entry.count);
                }
            }
        }
        // A block without any of them says nothing, and would part its neighbours.
        if counts.trials.contains(&0) {
            let mut places = Vec::with_capacity(counts.trials.len());
            let mut next = 0;
            for trials in &counts.trials {
                places.push(next);
                next += u32::from(*trials > 0);
            }
            counts.hits.iter_mut().for_each(|(block, _)| *block = places[*block as usize]);
            counts.trials.retain(|trials| *trials > 0);
        }
        counts
    }
}

/// Adds hits to the last block or a new one.
fn add(hits: &mut Vec<(u32, u32)>, block: u32, count: u32) {
    match hits.last_mut().filter(|(last, _)| *last == block) {
        Some((_, sum)) => *sum += count,
        None => hits.push((block, count)),
    }
}
