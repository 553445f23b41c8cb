//! Counts outcomes on the hot path: no allocation for a known backend, no lock. Each thread has its
//! own recorder, which becomes a [`Tally`] at the end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::{Identity, UNKNOWN_CLUSTER};

use super::collector::{Collector, Tracker};
use super::remotes::MOST_ADDRESSES;
use super::timeline::Bins;
use super::totals::{AddressTally, BackendTally, PassedOver, Tally};
use crate::tally::failover::{Entry, Trail};
use crate::tally::outcome::{
    Answer, Failure, IDENTITY_VALUES, Outcome, Remote, Timings, Who, Wire, identity,
};

/// So many backends may have histograms, which are fast and large; further ones have lists.
const FAST_HISTOGRAMS: usize = 256;
/// Separates the values of a key; header values cannot contain it.
const SEPARATOR: u8 = 0;

/// Counts the outcomes of one thread.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Everything but the backends.
    tally: Tally,
    backends: Vec<(Identity, BackendTally)>,
    /// The index of what stands for all backends that are not told apart, once there are such.
    others: Option<usize>,
    /// By [`Remote::place`]; an address that only the warm-up used is `None`.
    addresses: Vec<Option<(SocketAddr, AddressTally)>>,
    /// From a key, the values of the identity, to an index of `backends`.
    indexes: HashMap<Box<[u8]>, usize>,
    /// The previous answer's key and index: most often the next answer has the same.
    last_key: Vec<u8>,
    last_index: usize,
    /// The key of the current answer; a field, so that its memory is reused.
    key: Vec<u8>,
    /// The results in the order of their requests; a run has one order for all its threads.
    tracker: Tracker,
    /// Whether other recorders use the same [`Collector`].
    shared: bool,
    /// The timeline, if requested.
    bins: Option<Bins>,
    /// The result of each request, if the run has events; clusters are indexes of `backends`.
    trail: Option<Trail>,
}

impl Recorder {
    /// `width` is the width of the timeline's bins; `None` for no timeline.
    #[must_use]
    pub(crate) fn new(width: Option<Duration>) -> Self {
        Self { bins: width.map(Bins::new), ..Self::default() }
    }

    /// Gives the results to a collector, as the other threads of the run do. They are not in its
    /// own tally then.
    #[must_use]
    pub(crate) fn handing_in(mut self, collector: &Collector) -> Self {
        (self.tracker, self.shared) = (Tracker::of(collector.clone()), true);
        self
    }

    /// Tells at most this many backends apart: those that answer first.
    #[must_use]
    pub(crate) fn telling_apart(mut self, most_backends: usize) -> Self {
        self.tracker = Tracker::of(Collector::new(most_backends));
        self
    }

    /// Also keeps the result of each request, if `wanted`.
    #[must_use]
    pub(crate) fn with_trail(mut self, wanted: bool) -> Self {
        self.trail = wanted.then(Trail::default);
        self
    }

    /// Counts one outcome of a lane; keeps its line if its number is below `show`. `when` returns the
    /// scheduled start, from the end of the warm-up; it is called only if needed. Returns the index
    /// of the backend that answered.
    pub(crate) fn record_on(
        &mut self,
        lane: usize,
        outcome: Outcome<'_>,
        show: u64,
        when: impl Fn() -> Duration,
    ) -> Option<usize> {
        let Outcome { sequence, result, timings, wire, remote, passed_over, transport } = outcome;
        self.tally.transport.merge(transport);
        self.tally.connections += u64::from(wire == Wire::Fresh);
        if let Some(remote) = remote {
            let address = self.address(remote);
            address.connections += u64::from(wire == Wire::Fresh);
            address.answers += u64::from(result.is_ok());
        }
        let retried = result.as_ref().is_ok_and(|answer| answer.attempt > Some(1));
        for (address, why) in passed_over {
            self.tally.pass_over(address, PassedOver { count: 1, why });
        }
        let (line, place) = match result {
            Ok(mut answer) => {
                let line = answer.text.take();
                let place = self.answered(&answer, retried, &timings, wire);
                let us = u32::try_from(timings.total.as_micros()).unwrap_or(u32::MAX);
                let on = (lane, sequence, wire == Wire::Kept);
                self.tracker.answered(on, place, us);
                if let Some(bins) = &mut self.bins {
                    bins.answered(when(), place, timings.total, retried);
                }
                (line, Some(place))
            }
            Err(failure) => {
                self.tracker.failed(sequence);
                if let Some(bins) = &mut self.bins {
                    bins.failed(when(), failure.kind);
                }
                (Some(self.failed(failure)), None)
            }
        };
        if let Some(trail) = &mut self.trail {
            let cluster = place.map(|place| u32::try_from(place).unwrap_or(u32::MAX));
            trail.note(Entry { due: when(), took: timings.total, cluster, retried });
        }
        if sequence < show
            && let Some(line) = line
        {
            self.tally.shown.insert(sequence, line);
        }
        place
    }

    /// The cluster of the backend with an index.
    #[must_use]
    pub(crate) fn cluster(&self, place: usize) -> &str {
        &self.backends[place].0.cluster
    }

    #[must_use]
    pub(crate) fn into_tally(mut self) -> Tally {
        self.tracker.end();
        let mut tally = self.tally;
        if !self.shared {
            tally.order = self.tracker.collector().order(true);
        }
        let others = self.others;
        let told_apart = |place: usize| Some(place) != others;
        let names = self.backends.iter().enumerate();
        let names = names.map(|(place, (who, _))| told_apart(place).then_some(who));
        tally.timeline = self.bins.map(|bins| bins.into_timeline(names));
        tally.trail = self.trail.map(|mut trail| {
            trail.clusters =
                self.backends.iter().map(|(identity, _)| identity.cluster.clone()).collect();
            // Merges the backends of a cluster into one index.
            let mut by_name = Trail::default();
            by_name.merge(trail);
            by_name
        });
        for (place, (identity, counted)) in self.backends.into_iter().enumerate() {
            tally.named_or_other(told_apart(place).then_some(identity)).merge(&counted);
        }
        for (address, counted) in self.addresses.into_iter().flatten() {
            tally.addresses.entry(address).or_default().merge(counted);
        }
        tally
    }

    /// The part of the counts so far that verdicts need: no phases and no lines, and latencies only
    /// if requested.
    #[must_use]
    pub(crate) fn so_far(&mut self, latencies: bool) -> Tally {
        self.tracker.hand_in_all();
        let failures = self.tally.failures.clone();
        let mut tally = Tally { failures, ..Tally::default() };
        if !self.shared {
            tally.order = self.tracker.collector().order(true);
        }
        tally.other_addresses = self.tally.other_addresses;
        for (address, counted) in self.addresses.iter().flatten() {
            tally.addresses.entry(*address).or_default().merge(*counted);
        }
        for (place, (identity, counted)) in self.backends.iter().enumerate() {
            let part = counted.for_verdicts(latencies);
            let told_apart = Some(place) != self.others;
            tally.named_or_other(told_apart.then(|| identity.clone())).merge(&part);
        }
        tally
    }

    /// For counts that are not outcomes of requests.
    pub(crate) fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn failed(&mut self, mut failure: Failure) -> String {
        if let Some(who) = failure.who.take() {
            let most = || self.tracker.collector().most_backends();
            self.tally.failed_by(*who, 1, most);
        }
        self.tally.failed(failure)
    }

    fn address(&mut self, Remote { address, place }: Remote) -> &mut AddressTally {
        if place >= MOST_ADDRESSES {
            return &mut self.tally.other_addresses;
        }
        if self.addresses.len() <= place {
            self.addresses.resize(place + 1, None);
        }
        let (_, counted) = self.addresses[place].get_or_insert((address, AddressTally::default()));
        counted
    }

    fn answered(
        &mut self,
        answer: &Answer<'_>,
        retried: bool,
        timings: &Timings,
        wire: Wire,
    ) -> usize {
        let place = match answer.who {
            Who::Values(values) => self.place_of(values),
            Who::Body(identity) => self.place_of_identity(identity),
        };
        let (_, backend) = &mut self.backends[place];
        backend.answers += 1;
        backend.retried += u64::from(retried);
        backend.attempts += u64::from(answer.attempt.is_some());
        let latencies = if wire == Wire::Kept { &mut backend.kept } else { &mut backend.fresh };
        match place < FAST_HISTOGRAMS {
            true => latencies.record(timings.total),
            false => latencies.record_compactly(timings.total),
        }
        backend.connections += u64::from(wire != Wire::Kept);
        let phases = &mut self.tally.phases;
        let parts = [
            (timings.dns, &mut phases.dns),
            (timings.connect, &mut phases.connect),
            (timings.tls, &mut phases.tls),
            (timings.first_byte, &mut phases.first_byte),
            (timings.upstream, &mut phases.upstream),
        ];
        for (time, phase) in parts {
            if let Some(time) = time {
                phase.record(time);
            }
        }
        phases.service.record(timings.service);
        place
    }

    fn place_of(&mut self, values: [&[u8]; IDENTITY_VALUES]) -> usize {
        self.key.clear();
        for value in values {
            self.key.extend_from_slice(value);
            self.key.push(SEPARATOR);
        }
        self.place_of_key(|| identity(values))
    }

    fn place_of_identity(&mut self, identity: &Identity) -> usize {
        self.key.clear();
        for value in identity.values() {
            self.key.extend_from_slice(value.unwrap_or_default().as_bytes());
            self.key.push(SEPARATOR);
        }
        self.place_of_key(|| identity.clone())
    }

    fn place_of_others(&mut self) -> usize {
        *self.others.get_or_insert_with(|| {
            self.tracker.admit_others();
            self.backends.push((Identity::new("", UNKNOWN_CLUSTER), BackendTally::default()));
            self.backends.len() - 1
        })
    }

    fn place_of_key(&mut self, identity: impl FnOnce() -> Identity) -> usize {
        if self.key == self.last_key && !self.backends.is_empty() {
            return self.last_index;
        }
        let place = match self.indexes.get(self.key.as_slice()) {
            Some(place) => *place,
            None => {
                let identity = identity();
                // Known by its short form, so that no key is long.
                if identity.is_too_long() {
                    return self.place_of_identity(&identity.bounded());
                }
                if !self.tracker.admit(&identity) {
                    return self.place_of_others();
                }
                self.backends.push((identity, BackendTally::default()));
                self.indexes.insert(self.key.as_slice().into(), self.backends.len() - 1);
                self.backends.len() - 1
            }
        };
        self.last_key.clone_from(&self.key);
        self.last_index = place;
        place
    }
}
