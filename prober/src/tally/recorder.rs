//! Counts outcomes on the hot path: no allocation for a backend that is known,
//! no lock. One for each thread; what it holds in the end is a [`Tally`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::Identity;

use super::order::Follower;
use super::timeline::Bins;
use super::{AddressTally, BackendTally, PassedOver, Tally};
use crate::tally::failover::{Entry, Trail};
use crate::tally::outcome::{Answer, IDENTITY_VALUES, Outcome, Remote, Timings, Who, Wire};

/// Between the values of a key; it stands in no header value.
const SEPARATOR: u8 = 0;

/// Counts the outcomes of one thread.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Everything but the backends.
    tally: Tally,
    backends: Vec<(Identity, BackendTally)>,
    /// By the thread's places; a place that only the warm-up used is empty.
    addresses: Vec<Option<(SocketAddr, AddressTally)>>,
    /// Values of the identity's headers → place in `backends`.
    by_key: HashMap<Box<[u8]>, usize>,
    /// The key of the answer before, and its place: most often the next one's too.
    last: (Vec<u8>, usize),
    /// The key of this answer; kept for its room.
    key: Vec<u8>,
    /// Which answers followed which.
    follower: Follower,
    /// The timeline, where it was asked for.
    bins: Option<Bins>,
    /// Each request, where something happens during the run; clusters are places of backends.
    trail: Option<Trail>,
}

impl Recorder {
    /// Counts nothing yet; with a timeline if a width of its bins is given.
    #[must_use]
    pub(crate) fn new(width: Option<Duration>) -> Self {
        Self { bins: width.map(Bins::new), ..Self::default() }
    }

    /// Keeps what came of each request too.
    #[must_use]
    pub(crate) fn with_trail(mut self, wanted: bool) -> Self {
        self.trail = wanted.then(Trail::default);
        self
    }

    /// Counts one outcome of a lane; its line is kept while its number is below `show`. `when`
    /// says when it should have started, from the end of the warm-up; it is asked only for a
    /// timeline. Returns the place of the backend that answered, if one did.
    pub(crate) fn record_on(
        &mut self,
        lane: usize,
        outcome: Outcome<'_>,
        show: u64,
        when: impl Fn() -> Duration,
    ) -> Option<usize> {
        let Outcome { sequence, result, timings, wire, remote, passed_over } = outcome;
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
            Ok(answer) => {
                let (line, place) = self.answered(answer, retried, &timings, wire);
                self.follower.answered(lane, sequence, place, wire == Wire::Kept);
                if let Some(bins) = &mut self.bins {
                    bins.answered(when(), place, timings.total, retried);
                }
                (line, Some(place))
            }
            Err(failure) => {
                self.follower.broken(lane);
                if let Some(bins) = &mut self.bins {
                    bins.failed(when(), failure.kind);
                }
                (Some(self.tally.failed(failure)), None)
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

    /// The cluster of the backend at a place.
    #[must_use]
    pub(crate) fn cluster(&self, place: usize) -> &str {
        &self.backends[place].0.cluster
    }

    /// Everything counted.
    #[must_use]
    pub(crate) fn into_tally(mut self) -> Tally {
        let mut tally = self.tally;
        tally.order = self.follower.order(self.backends.iter().map(|(identity, _)| identity));
        tally.timeline = self
            .bins
            .map(|bins| bins.into_timeline(self.backends.iter().map(|(identity, _)| identity)));
        tally.trail = self.trail.map(|mut trail| {
            trail.clusters =
                self.backends.iter().map(|(identity, _)| identity.cluster.clone()).collect();
            // Several pods of a cluster are one place from here on.
            let mut by_name = Trail::default();
            by_name.merge(trail);
            by_name
        });
        for (identity, counted) in self.backends {
            tally.backends.entry(identity).or_default().merge(&counted);
        }
        for (address, counted) in self.addresses.into_iter().flatten() {
            tally.addresses.entry(address).or_default().merge(counted);
        }
        tally
    }

    /// What verdicts need of everything counted so far: no phases and no lines, and
    /// latencies only where they are asked for.
    #[must_use]
    pub(crate) fn so_far(&mut self, latencies: bool) -> Tally {
        let order = self.follower.order(self.backends.iter().map(|(identity, _)| identity));
        let failures = self.tally.failures.clone();
        let mut tally = Tally { failures, order, ..Tally::default() };
        for (address, counted) in self.addresses.iter().flatten() {
            tally.addresses.entry(*address).or_default().merge(*counted);
        }
        for (identity, counted) in &self.backends {
            let part = counted.for_verdicts(latencies);
            tally.backends.entry(identity.clone()).or_default().merge(&part);
        }
        tally
    }

    /// What is not about single outcomes.
    pub(crate) fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn address(&mut self, Remote { address, place }: Remote) -> &mut AddressTally {
        if self.addresses.len() <= place {
            self.addresses.resize(place + 1, None);
        }
        let (_, counted) = self.addresses[place].get_or_insert((address, AddressTally::default()));
        counted
    }

    fn answered(
        &mut self,
        answer: Answer<'_>,
        retried: bool,
        timings: &Timings,
        wire: Wire,
    ) -> (Option<String>, usize) {
        let place = match answer.who {
            Who::Values(values) => self.place_of(values),
            Who::Body(identity) => self.place_of_identity(identity),
        };
        let (_, backend) = &mut self.backends[place];
        backend.answers += 1;
        backend.retried += u64::from(retried);
        if wire == Wire::Kept {
            backend.kept.record(timings.total);
        } else {
            backend.connections += 1;
            backend.fresh.record(timings.total);
        }
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
        (answer.text, place)
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

    fn place_of_key(&mut self, identity: impl FnOnce() -> Identity) -> usize {
        if self.key == self.last.0 && !self.backends.is_empty() {
            return self.last.1;
        }
        let place = match self.by_key.get(self.key.as_slice()) {
            Some(place) => *place,
            None => {
                self.backends.push((identity(), BackendTally::default()));
                self.by_key.insert(self.key.as_slice().into(), self.backends.len() - 1);
                self.backends.len() - 1
            }
        };
        self.last.0.clone_from(&self.key);
        self.last.1 = place;
        place
    }
}

/// The identity that these values state; bytes that are no UTF-8 are replaced.
fn identity(values: [&[u8]; IDENTITY_VALUES]) -> Identity {
    let mut values = values
        .into_iter()
        .map(|value| (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned()));
    let mut next = || values.next().flatten();
    Identity {
        pod: next().unwrap_or_default(),
        cluster: next().unwrap_or_default(),
        namespace: next(),
        node: next(),
        region: next(),
        zone: next(),
        network: next(),
        version: next(),
    }
}

#[cfg(test)]
impl Recorder {
    /// Counts one outcome of the only lane at the beginning of the run.
    pub(crate) fn record(&mut self, outcome: Outcome<'_>, show: u64) {
        self.record_at(outcome, show, || Duration::ZERO);
    }

    /// Counts one outcome of the only lane.
    pub(crate) fn record_at(
        &mut self,
        outcome: Outcome<'_>,
        show: u64,
        when: impl Fn() -> Duration,
    ) -> Option<usize> {
        self.record_on(0, outcome, show, when)
    }
}
