//! Collects the results of all threads of a run in the order in which their requests started.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use echo_reply::Identity;

use super::meter::lock;
use super::order::{Lags, Order};
use super::sequence::{FAILED, MOST_BACKENDS, OTHERS, Sequence};
use super::sketch::bucket;

/// This many results are sorted by the start of their requests; one that takes even longer counts
/// where it arrived.
const WINDOW: usize = 1_024;
/// This many of the last results are left out while threads may have earlier ones.
const LATE: usize = 64;

/// The results of all threads, sorted and in blocks.
#[derive(Debug)]
struct Sorting {
    /// How many backends are told apart.
    most_backends: usize,
    /// Results that are not sorted yet: the number of the request, the place of the backend, the bucket.
    waiting: Vec<(u64, u16, u8)>,
    sequence: Sequence,
    /// The places of backends in `sequence` and in `connections`.
    known: HashMap<Identity, (u16, u16)>,
    lags: Lags,
    /// A block for each closed connection.
    connections: Sequence,
    /// The answers of connections that are still open, by tracker.
    open: Vec<Vec<Connection>>,
}

impl Sorting {
    /// The places of a backend in both sequences; `None` if there are too many backends to tell it
    /// apart.
    fn places(&mut self, who: &Identity) -> Option<(u16, u16)> {
        if let Some(places) = self.known.get(who) {
            return Some(*places);
        }
        if self.known.len() >= self.most_backends {
            return None;
        }
        let places = (self.sequence.add(who), self.connections.add(who));
        self.known.insert(who.clone(), places);
        Some(places)
    }

    fn sort(&mut self, count: usize) {
        self.waiting.sort_unstable();
        for (_, who, bucket) in self.waiting.drain(..count) {
            self.sequence.push(who, bucket);
            if who != FAILED {
                self.lags.answered(who);
            }
        }
    }
}

/// Shared by the threads of a run, which hand in their results. It decides which backends are told
/// apart, so that all threads tell the same ones apart.
#[derive(Clone, Debug)]
pub(crate) struct Collector(Arc<Mutex<Sorting>>);

impl Default for Collector {
    fn default() -> Self {
        Self::new(MOST_BACKENDS)
    }
}

impl Collector {
    /// Tells this many backends apart, at most [`MOST_BACKENDS`]: those that answer first.
    #[must_use]
    pub(crate) fn new(most_backends: usize) -> Self {
        Self(Arc::new(Mutex::new(Sorting {
            most_backends: most_backends.min(MOST_BACKENDS),
            waiting: Vec::new(),
            sequence: Sequence::default(),
            known: HashMap::new(),
            lags: Lags::default(),
            connections: Sequence::default(),
            open: Vec::new(),
        })))
    }

    /// How many backends are told apart.
    #[must_use]
    pub(super) fn most_backends(&self) -> usize {
        lock(&self.0).most_backends
    }

    /// The order of the results so far. During a run (`all` is false) the last ones are left out,
    /// because earlier ones may still be missing.
    #[must_use]
    pub(crate) fn order(&self, all: bool) -> Order {
        let mut sorting = lock(&self.0);
        let late = if all { 0 } else { LATE };
        let ready = sorting.waiting.len().saturating_sub(late);
        sorting.sort(ready);
        let mut order = Order {
            sequence: sorting.sequence.clone(),
            by_connection: sorting.connections.clone(),
            lags: sorting.lags.counts,
        };
        sorting.open.iter().flatten().for_each(|counts| order.by_connection.push_block(counts));
        order.sequence.close();
        order.by_connection.close();
        order
    }
}

/// The backends that answered on a connection, and their numbers of answers.
type Connection = Vec<(u16, u32)>;

/// The results of one thread that are not handed in yet.
#[derive(Debug)]
pub(super) struct Tracker {
    collector: Collector,
    /// The place of each of the thread's backends in the collector's sequences.
    places: Vec<(u16, u16)>,
    outcomes: Vec<(u64, u16, u8)>,
    /// Who answered on each lane's connection, until a connection carries a second answer.
    first: Vec<Option<u16>>,
    /// The connection of each lane, from then on.
    lanes: Vec<Connection>,
    /// Connections that have ended.
    connections: Vec<Connection>,
    /// Its index in [`Sorting::open`].
    number: usize,
    /// Whether a connection carried more than one answer.
    kept: bool,
}

impl Default for Tracker {
    fn default() -> Self {
        Self::of(Collector::default())
    }
}

impl Tracker {
    /// A tracker that hands in to this collector.
    pub(super) fn of(collector: Collector) -> Self {
        let number = {
            let mut sorting = lock(&collector.0);
            sorting.open.push(Vec::new());
            sorting.open.len() - 1
        };
        Self {
            collector,
            places: Vec::new(),
            outcomes: Vec::new(),
            first: Vec::new(),
            lanes: Vec::new(),
            connections: Vec::new(),
            number,
            kept: false,
        }
    }

    /// Takes the thread's next backend in. Returns `false` if there are too many to tell it apart.
    pub(super) fn admit(&mut self, backend: &Identity) -> bool {
        let places = lock(&self.collector.0).places(backend);
        self.places.extend(places);
        places.is_some()
    }

    /// Takes in a place for all backends that are not told apart.
    pub(super) fn admit_others(&mut self) {
        self.places.push((OTHERS, OTHERS));
    }

    /// Counts an answer: its lane, the number of its request, whether its connection was reused, and
    /// the index of the backend in the thread.
    pub(super) fn answered(
        &mut self,
        (lane, sequence, kept): (usize, u64, bool),
        place: usize,
        latency_us: u32,
    ) {
        let (who, on_connection) = self.places[place];
        self.outcomes.push((sequence, who, bucket(latency_us)));
        if kept && !self.kept {
            self.kept = true;
            let first = self.first.drain(..);
            self.lanes = first.map(|who| who.map(|who| (who, 1)).into_iter().collect()).collect();
        }
        if !self.kept {
            if self.first.len() <= lane {
                self.first.resize(lane + 1, None);
            }
            self.first[lane] = Some(on_connection);
        } else {
            if self.lanes.len() <= lane {
                self.lanes.resize(lane + 1, Vec::new());
            }
            if !kept {
                let ended = std::mem::take(&mut self.lanes[lane]);
                self.connections.extend((!ended.is_empty()).then_some(ended));
            }
            let counts = &mut self.lanes[lane];
            match counts.iter_mut().find(|(who, _)| *who == on_connection) {
                Some((_, count)) => *count += 1,
                None => counts.push((on_connection, 1)),
            }
        }
        if self.outcomes.len() >= WINDOW / 2 {
            self.hand_in();
        }
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, sequence: u64) {
        self.outcomes.push((sequence, FAILED, 0));
        if self.outcomes.len() >= WINDOW / 2 {
            self.hand_in();
        }
    }

    /// Hands in all results. Open connections are not included.
    fn hand_in(&mut self) {
        let mut sorting = lock(&self.collector.0);
        sorting.waiting.append(&mut self.outcomes);
        for connection in self.connections.drain(..) {
            sorting.connections.push_block(&connection);
        }
        if sorting.waiting.len() >= 2 * WINDOW {
            let ready = sorting.waiting.len() - WINDOW;
            sorting.sort(ready);
        }
    }

    /// Hands in all results, with copies of open connections.
    pub(super) fn hand_in_all(&mut self) {
        self.hand_in();
        if self.kept {
            let mut sorting = lock(&self.collector.0);
            let open = self.lanes.iter().filter(|counts| !counts.is_empty()).cloned();
            sorting.open[self.number] = open.collect();
        }
    }

    /// Hands in everything at the end of the run.
    pub(super) fn end(&mut self) {
        self.connections.extend(self.lanes.drain(..).filter(|counts| !counts.is_empty()));
        self.hand_in();
        lock(&self.collector.0).open[self.number].clear();
    }

    pub(super) fn collector(&self) -> &Collector {
        &self.collector
    }
}
