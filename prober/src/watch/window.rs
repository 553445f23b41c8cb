//! The sum of the rounds in the window. To limit memory, rounds are merged into a few bins with
//! compressed histograms. Pure.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use crate::tally::Tally;
use crate::tally::latency::Latency;

/// Bins per window. A round may leave the window too early by at most the length of a bin.
const BINS: u32 = 60;

/// The most entries of the order of results in a bin.
const MAX_ORDER: usize = 4_096;

/// The tallies of rounds, by the time of their end. Times have a common, arbitrary origin.
#[derive(Debug)]
pub(crate) struct Window {
    length: Duration,
    /// How many backends are told apart in a bin, and in all of them together.
    most_backends: usize,
    bins: VecDeque<Bin>,
}

/// The sum of rounds that ended in the same part of the window.
#[derive(Debug)]
struct Bin {
    /// The number of the bin since the origin.
    place: u128,
    /// When the first round of the bin ended.
    first: Duration,
    rounds: Packed,
}

impl Window {
    #[must_use]
    pub(crate) fn new(length: Duration, most_backends: usize) -> Self {
        Self { length, most_backends, bins: VecDeque::new() }
    }

    /// Adds a round that ended at `at`. Rounds must be added in order.
    pub(crate) fn add(&mut self, at: Duration, round: Tally) {
        self.forget(at);
        // A timeline starts at its round: those of several rounds cannot be added.
        let round = Tally { timeline: None, ..round };
        let place = at.as_nanos() / (self.length / BINS).as_nanos().max(1);
        match self.bins.back_mut() {
            Some(bin) if bin.place == place => {
                let mut rounds = mem::take(&mut bin.rounds).unpack();
                append(&mut rounds, round, self.most_backends);
                bin.rounds = Packed::pack(rounds);
            }
            _ => self.bins.push_back(Bin { place, first: at, rounds: Packed::pack(round) }),
        }
    }

    /// Forgets the rounds that are older than the window. Returns whether there were any.
    pub(crate) fn forget(&mut self, now: Duration) -> bool {
        let before = self.bins.len();
        while self.bins.front().is_some_and(|bin| bin.first + self.length < now) {
            self.bins.pop_front();
        }
        self.bins.len() < before
    }

    /// The sum of all rounds; `None` if there are none.
    #[must_use]
    pub(crate) fn tally(&self) -> Option<Tally> {
        let mut bins = self.bins.iter().map(|bin| bin.rounds.clone().unpack());
        let mut whole = bins.next()?;
        bins.for_each(|bin| append(&mut whole, bin, self.most_backends));
        Some(whole)
    }
}

/// Adds a later round. [`Tally::merge`] is for parallel runs; here the durations add up.
fn append(whole: &mut Tally, round: Tally, most_backends: usize) {
    let elapsed = whole.elapsed + round.elapsed;
    whole.merge(round);
    whole.fold(most_backends);
    whole.elapsed = elapsed;
}

/// A tally with compressed histograms. Latencies that are stored as a list are small already.
#[derive(Clone, Debug, Default)]
struct Packed {
    /// The tally without histograms.
    tally: Tally,
    /// The histograms, in the order of [`latencies`]; `None` for lists.
    histograms: Vec<Option<Box<[u8]>>>,
}

impl Packed {
    fn pack(mut tally: Tally) -> Self {
        tally.order = mem::take(&mut tally.order).bounded(MAX_ORDER);
        let histograms = latencies(&mut tally).map(pack).collect();
        Self { tally, histograms }
    }

    fn unpack(self) -> Tally {
        let mut tally = self.tally;
        for (latency, packed) in latencies(&mut tally).zip(self.histograms) {
            if let Some(bytes) = packed {
                *latency = unpack(&bytes);
            }
        }
        tally
    }
}

/// All latencies of a tally, always in the same order.
fn latencies(tally: &mut Tally) -> impl Iterator<Item = &mut Latency> {
    let phases = tally.phases.named_mut();
    let backends = tally.backends.values_mut().chain([&mut tally.others]);
    backends.flat_map(|backend| [&mut backend.fresh, &mut backend.kept]).chain(phases)
}

fn pack(latency: &mut Latency) -> Option<Box<[u8]>> {
    if latency.is_small() {
        return None;
    }
    let latency = mem::take(latency);
    let mut bytes = Vec::new();
    let written = V2Serializer::new().serialize(&latency.histogram(), &mut bytes);
    written.expect("a Vec takes everything");
    Some(bytes.into_boxed_slice())
}

fn unpack(mut bytes: &[u8]) -> Latency {
    let read = Deserializer::new().deserialize(&mut bytes);
    Latency::from_histogram(&read.expect("it is what was packed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    const SECOND: Duration = Duration::from_secs(1);

    fn round() -> Tally {
        samples::matrix().rows[1].tally().unwrap().clone()
    }

    #[test]
    fn packing_loses_nothing() {
        for report in [samples::plain(), samples::matrix(), samples::many_pods()] {
            for tally in report.rows.iter().filter_map(crate::report::Row::tally) {
                let packed = Packed::pack(tally.clone());
                assert!(packed.tally.backends.values().all(|backend| backend.fresh.is_small()));
                assert_eq!(&packed.unpack(), tally);
            }
        }
    }

    #[test]
    fn a_round_is_in_the_window_until_it_is_too_old() {
        let mut window = Window::new(60 * SECOND, 10);
        assert_eq!(window.tally(), None);
        for second in [0, 10, 20] {
            window.add(second * SECOND, round());
        }
        let requests = round().requests();
        let counted = |window: &Window| window.tally().map_or(0, |tally| tally.requests());
        assert_eq!(counted(&window), 3 * requests);
        assert!(!window.forget(60 * SECOND), "the first ended exactly so long ago");
        assert!(window.forget(61 * SECOND));
        assert_eq!(counted(&window), 2 * requests);
        window.add(75 * SECOND, round());
        assert_eq!(counted(&window), 2 * requests, "one came, one went");
        assert!(window.forget(1000 * SECOND));
        assert_eq!(window.tally(), None);
    }

    #[test]
    fn durations_of_rounds_add_up() {
        let mut window = Window::new(60 * SECOND, 10);
        window.add(SECOND, Tally { elapsed: SECOND, ..round() });
        window.add(SECOND, Tally { elapsed: 2 * SECOND, ..round() });
        window.add(9 * SECOND, Tally { elapsed: 3 * SECOND, ..round() });
        let tally = window.tally().unwrap();
        assert_eq!((tally.elapsed, tally.requests()), (6 * SECOND, 3 * round().requests()));
        let latencies: u64 = tally.backends.values().map(|b| b.latency().count()).sum();
        assert_eq!(latencies, tally.answers());
    }

    #[test]
    fn the_number_of_bins_is_limited() {
        let mut window = Window::new(60 * SECOND, 10);
        for n in 0..5000 {
            window.add(n * SECOND / 20, Tally { elapsed: SECOND, ..Tally::default() });
            assert!(window.bins.len() <= BINS as usize + 1);
        }
        // A bin leaves with its oldest round, so up to a second of rounds is missing.
        let elapsed = window.tally().unwrap().elapsed.as_secs();
        assert!((1180..=1201).contains(&elapsed), "{elapsed}");
    }
}
