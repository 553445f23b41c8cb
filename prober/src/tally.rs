//! Counts and histograms of one row (a source asking a target), per backend.
//! Tallies of several threads or runs merge without loss. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use echo_reply::Identity;

use crate::tally::failover::{Failover, Trail};
use crate::tally::latency::Latency;
use crate::tally::outcome::{Failure, FailureKind};

mod events;
pub(crate) mod failover;
mod label;
pub(crate) mod latency;
pub(crate) mod meter;
mod order;
pub(crate) mod outcome;
mod recorder;
pub(crate) mod sketch;
pub(crate) mod timeline;

pub(crate) use events::{EventEnding, EventRecord};
pub(crate) use label::Label;
pub(crate) use order::{Agreement, LAGS, Order, Pairs};
pub(crate) use recorder::Recorder;
use timeline::Timeline;

/// How many different failures are told apart; further ones are counted by kind.
const MAX_FAILURE_GROUPS: usize = 32;
/// What further failures of a kind are called.
const FURTHER: &str = "further failures of this kind";
/// How many addresses that were passed over are told apart; further ones are counted.
const MAX_PASSED_OVER: usize = 64;

/// What one backend answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendTally {
    /// Requests that it answered.
    pub answers: u64,
    /// Answers that were not the nearest Envoy's first attempt.
    pub retried: u64,
    /// Answers on connections that were opened for them.
    pub connections: u64,
    /// Time from the instant at which a request should have started to the end of its
    /// answer, on connections that were opened for it.
    pub fresh: Latency,
    /// The same on kept connections.
    pub kept: Latency,
}

impl BackendTally {
    /// The latency of all its answers.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut all = self.fresh.clone();
        all.merge(&self.kept);
        all
    }

    fn for_verdicts(&self, latencies: bool) -> Self {
        if latencies {
            return self.clone();
        }
        let Self { answers, retried, connections, .. } = *self;
        Self { answers, retried, connections, ..Self::default() }
    }

    fn merge(&mut self, other: &Self) {
        self.answers += other.answers;
        self.retried += other.retried;
        self.connections += other.connections;
        self.fresh.merge(&other.fresh);
        self.kept.merge(&other.kept);
    }
}

/// What went to one remote address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressTally {
    /// TCP connections that were opened to it.
    pub connections: u64,
    /// Answers that came from it.
    pub answers: u64,
}

impl AddressTally {
    fn merge(&mut self, other: Self) {
        self.connections += other.connections;
        self.answers += other.answers;
    }
}

/// The parts of requests' time, of all backends together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phases {
    /// Until the addresses of the name were known.
    pub dns: Latency,
    /// For TCP.
    pub connect: Latency,
    /// For the TLS handshake.
    pub tls: Latency,
    /// From the sending of a request to the first byte of its response.
    pub first_byte: Latency,
    /// The part of it that the nearest Envoy waited for its upstream host, where it says so
    /// (`x-envoy-upstream-service-time`). Envoy counts whole milliseconds; 0 ms is in here
    /// as the shortest latency there is, 1 µs.
    pub upstream: Latency,
    /// From the instant at which a request did start to the end of its answer.
    pub service: Latency,
}

impl Phases {
    /// All of them with their names.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Latency); 6] {
        [
            ("dns", &self.dns),
            ("connect", &self.connect),
            ("tls", &self.tls),
            ("first_byte", &self.first_byte),
            ("upstream", &self.upstream),
            ("service", &self.service),
        ]
    }

    /// The same, to be changed, in the same order.
    pub(crate) fn named_mut(&mut self) -> [&mut Latency; 6] {
        let Self { dns, connect, tls, first_byte, upstream, service } = self;
        [dns, connect, tls, first_byte, upstream, service]
    }

    fn merge(&mut self, other: &Self) {
        self.dns.merge(&other.dns);
        self.connect.merge(&other.connect);
        self.tls.merge(&other.tls);
        self.first_byte.merge(&other.first_byte);
        self.upstream.merge(&other.upstream);
        self.service.merge(&other.service);
    }
}

/// How well an open loop kept its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Punctuality {
    /// Requests that started more than 1 ms after their instant.
    pub late: u64,
    /// Requests whose instant passed, and that never started.
    pub dropped: u64,
    /// The longest delay of a start.
    pub worst: Duration,
}

/// Equal failures, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// Which of the closed list.
    pub kind: FailureKind,
    /// What happened, verbatim.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// An address that was tried and failed before another of the same name was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// How often.
    pub count: u64,
    /// Why, the first time.
    pub why: String,
}

/// What came of the requests of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Per backend: who answered, and how.
    pub backends: BTreeMap<Identity, BackendTally>,
    /// Failures, equal ones together, in the order in which they first came.
    pub failures: Vec<FailureGroup>,
    /// TCP connections that were opened.
    pub connections: u64,
    /// Where the connections led, and the answers came from.
    pub addresses: BTreeMap<SocketAddr, AddressTally>,
    /// Dead addresses of names that have others.
    pub passed_over: BTreeMap<SocketAddr, PassedOver>,
    /// How often addresses were passed over for which there was no more place above.
    pub passed_over_further: u64,
    /// The first outcomes as lines to print, by request number.
    pub shown: BTreeMap<u64, String>,
    /// Requests under way when the run was interrupted: neither answered nor failed.
    pub abandoned: u64,
    /// The parts of the answered requests' time.
    pub phases: Phases,
    /// How well the schedule was kept, where there was one.
    pub punctuality: Option<Punctuality>,
    /// Requests that ended during the warm-up, and are counted nowhere else.
    pub warmed_up: u64,
    /// The same over time, where it was asked for.
    pub timeline: Option<Timeline>,
    /// What came of each request, until the run ends and it is measured.
    pub trail: Option<Trail>,
    /// What happened during the run.
    pub events: Vec<EventRecord>,
    /// How the first of the events was survived.
    pub failover: Option<Failover>,
    /// How long the row took, the warm-up not included.
    pub elapsed: Duration,
    /// Which answers followed which.
    pub order: Order,
    /// Why sampling ended, where it went on until something was decided.
    pub stopped: Option<Stopped>,
}

/// Why a run ended that went on until its expectations were decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Each of them was.
    Decided,
    /// There were as many requests as allowed.
    Exhausted,
}

impl Tally {
    fn failed(&mut self, failure: Failure) -> String {
        let line = format!("[failed: {}] {}", failure.kind, failure.what);
        self.add_failures(FailureGroup { kind: failure.kind, what: failure.what, count: 1 });
        line
    }

    fn add_failures(&mut self, mut group: FailureGroup) {
        let full = self.failures.len() >= MAX_FAILURE_GROUPS;
        let known = |g: &FailureGroup, what: &str| g.kind == group.kind && g.what == what;
        if full && !self.failures.iter().any(|g| known(g, &group.what)) {
            FURTHER.clone_into(&mut group.what);
        }
        let same = self.failures.iter_mut().find(|g| g.kind == group.kind && g.what == group.what);
        match same {
            Some(same) => same.count += group.count,
            None => self.failures.push(group),
        }
    }

    fn pass_over(&mut self, address: SocketAddr, more: PassedOver) {
        let room = self.passed_over.len() < MAX_PASSED_OVER;
        match self.passed_over.entry(address) {
            Entry::Occupied(mut known) => known.get_mut().count += more.count,
            Entry::Vacant(place) if room => drop(place.insert(more)),
            Entry::Vacant(_) => self.passed_over_further += more.count,
        }
    }

    /// Adds all of another's: another thread's, or another part of the same row.
    pub fn merge(&mut self, other: Self) {
        for (identity, theirs) in other.backends {
            self.backends.entry(identity).or_default().merge(&theirs);
        }
        for group in other.failures {
            self.add_failures(group);
        }
        for (address, more) in other.passed_over {
            self.pass_over(address, more);
        }
        self.passed_over_further += other.passed_over_further;
        for (address, theirs) in other.addresses {
            self.addresses.entry(address).or_default().merge(theirs);
        }
        self.connections += other.connections;
        self.shown.extend(other.shown);
        self.abandoned += other.abandoned;
        self.warmed_up += other.warmed_up;
        self.phases.merge(&other.phases);
        self.punctuality = match (self.punctuality, other.punctuality) {
            (Some(a), Some(b)) => Some(Punctuality {
                late: a.late + b.late,
                dropped: a.dropped + b.dropped,
                worst: a.worst.max(b.worst),
            }),
            (a, b) => a.or(b),
        };
        if let Some(theirs) = other.timeline {
            match &mut self.timeline {
                Some(own) => own.merge(theirs),
                none => *none = Some(theirs),
            }
        }
        if let Some(theirs) = other.trail {
            self.trail.get_or_insert_default().merge(theirs);
        }
        self.events.extend(other.events);
        // Times of two runs are not those of a longer one.
        self.failover = self.failover.take().xor(other.failover);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.order.merge(other.order);
        self.stopped = self.stopped.or(other.stopped);
    }

    /// What verdicts need of it: no phases and no lines, and latencies only where they are
    /// asked for.
    #[must_use]
    pub fn for_verdicts(&self, latencies: bool) -> Self {
        let part = |(who, backend): (&Identity, &BackendTally)| {
            (who.clone(), backend.for_verdicts(latencies))
        };
        Self {
            backends: self.backends.iter().map(part).collect(),
            failures: self.failures.clone(),
            addresses: self.addresses.clone(),
            connections: self.connections,
            order: self.order.clone(),
            elapsed: self.elapsed,
            ..Self::default()
        }
    }

    /// Requests that ended: answers and failures.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.answers() + self.failed_requests()
    }

    /// Requests that an echo answered.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.backends.values().map(|backend| backend.answers).sum()
    }

    /// Requests that failed.
    #[must_use]
    pub fn failed_requests(&self) -> u64 {
        self.failures.iter().map(|group| group.count).sum()
    }

    /// Answers that were not the nearest Envoy's first attempt.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.backends.values().map(|backend| backend.retried).sum()
    }

    /// Failures per kind, in the order of a request's life, kinds that did not happen left out.
    #[must_use]
    pub fn failures_by_kind(&self) -> Vec<(FailureKind, u64)> {
        let count = |kind| self.failures.iter().filter(|g| g.kind == kind).map(|g| g.count).sum();
        FailureKind::ALL.into_iter().map(|k| (k, count(k))).filter(|(_, n)| *n > 0).collect()
    }

    /// Answers per remote address, those of its ports together. An answer has exactly one,
    /// so that they add up to all answers.
    #[must_use]
    pub fn answers_by_address(&self) -> BTreeMap<IpAddr, u64> {
        let mut groups = BTreeMap::new();
        for (address, counted) in self.addresses.iter().filter(|(_, counted)| counted.answers > 0) {
            *groups.entry(address.ip()).or_default() += counted.answers;
        }
        groups
    }

    /// Answers per value of a label, such as per cluster; by name.
    #[must_use]
    pub fn answers_by(&self, label: Label) -> BTreeMap<Cow<'_, str>, u64> {
        if label == Label::Address {
            let all = self.answers_by_address().into_iter();
            return all.map(|(address, n)| (address.to_string().into(), n)).collect();
        }
        let mut groups = BTreeMap::new();
        for (identity, backend) in &self.backends {
            *groups.entry(label.of(identity).into()).or_default() += backend.answers;
        }
        groups
    }
}

#[cfg(test)]
mod tests;
