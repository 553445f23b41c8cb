//! The tally of one row (a source and a target): counts and histograms by backend, which merge
//! without loss. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use echo_reply::Identity;
use serde::{Deserialize, Serialize};

use super::events::EventRecord;
use super::failover::{Failover, Trail};
use super::failures::{self, FailureClass, FailureGroup};
use super::label::Label;
use super::latency::Latency;
use super::order::Order;
use super::outcome::Failure;
use super::remotes::MOST_ADDRESSES;
use super::sequence::MOST_BACKENDS;
use super::timeline::Timeline;
use super::transport::Transport;
use crate::units::count;

/// Addresses that were passed over and are counted separately.
pub(super) const MAX_PASSED_OVER: usize = 64;

/// The answers of one backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackendTally {
    pub answers: u64,
    /// Answers that were not the nearest Envoy's first attempt.
    pub retried: u64,
    /// Answers that stated which attempt they are.
    pub attempts: u64,
    /// Answers on connections that were opened for them, so also the connections.
    pub connections: u64,
    /// Time from a request's scheduled start to the end of its answer, on connections that were
    /// opened for it.
    pub fresh: Latency,
    /// The same on kept connections.
    pub kept: Latency,
}

impl BackendTally {
    /// The latency of all answers.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut all = self.fresh.clone();
        all.merge(&self.kept);
        all
    }

    pub(crate) fn for_verdicts(&self, latencies: bool) -> Self {
        if latencies {
            return self.clone();
        }
        let Self { answers, retried, attempts, connections, .. } = *self;
        Self { answers, retried, attempts, connections, ..Self::default() }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.answers += other.answers;
        self.retried += other.retried;
        self.attempts += other.attempts;
        self.connections += other.connections;
        self.fresh.merge(&other.fresh);
        self.kept.merge(&other.kept);
    }
}

/// The connections and answers of one remote address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressTally {
    pub connections: u64,
    pub answers: u64,
}

impl AddressTally {
    pub(super) fn merge(&mut self, other: Self) {
        self.connections += other.connections;
        self.answers += other.answers;
    }
}

/// The phases of answered requests, of all backends together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phases {
    /// Until the addresses of the name were known.
    pub dns: Latency,
    pub connect: Latency,
    pub tls: Latency,
    /// From sending a request to the first byte of its response.
    pub first_byte: Latency,
    /// The part of it that the nearest Envoy waited for its upstream host, if it says so
    /// (`x-envoy-upstream-service-time`). Envoy counts whole milliseconds; 0 ms counts as 1 µs, the
    /// shortest latency.
    pub upstream: Latency,
    /// From a request's actual start to the end of its answer.
    pub service: Latency,
}

impl Phases {
    /// All phases with their names.
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

    /// All phases, in the order of [`Phases::named`].
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
    /// Requests that started more than 1 ms after their scheduled start.
    pub late: u64,
    /// Requests that were due and never started.
    pub dropped: u64,
    /// The longest delay.
    pub worst: Duration,
}

/// An address that comes before the one of the same name that was used instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub count: u64,
    /// Why it was not used the first time.
    pub why: String,
}

/// The results of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub backends: BTreeMap<Identity, BackendTally>,
    /// All further backends together, beyond the bound of the map. Who they are is not known.
    pub others: BackendTally,
    /// Failures that are the same together, in the order in which they first happened.
    pub failures: Vec<FailureGroup>,
    /// Failures whose response names the backend that gave it; bounded as `backends`.
    pub failed_by: BTreeMap<Identity, u64>,
    /// Failures whose response states which attempt it is.
    pub failed_attempts: u64,
    /// Of them, those that were not the nearest Envoy's first attempt.
    pub failed_retried: u64,
    /// TCP connections that were opened.
    pub connections: u64,
    pub addresses: BTreeMap<SocketAddr, AddressTally>,
    /// All further addresses together, beyond [`MOST_ADDRESSES`].
    pub other_addresses: AddressTally,
    /// Addresses for which another one of the same name was used.
    pub passed_over: BTreeMap<SocketAddr, PassedOver>,
    /// How often further addresses were passed over, beyond the bound of the map.
    pub passed_over_further: u64,
    /// The most addresses that the target's name resolved to; 0 if that is not known.
    pub resolved: u64,
    pub transport: Transport,
    /// The first outcomes as printed lines, by request number.
    pub shown: BTreeMap<u64, String>,
    /// Requests in flight when the run was interrupted: neither answered nor failed.
    pub abandoned: u64,
    pub phases: Phases,
    /// `None` without a schedule.
    pub punctuality: Option<Punctuality>,
    /// Requests that ended during the warm-up; they are counted nowhere else.
    pub warmed_up: u64,
    /// Results over time, if requested.
    pub timeline: Option<Timeline>,
    /// The result of each request, until the failover is measured at the end of the run.
    pub trail: Option<Trail>,
    pub events: Vec<EventRecord>,
    /// How the run survived its first event.
    pub failover: Option<Failover>,
    /// How long the row took, without the warm-up.
    pub elapsed: Duration,
    /// Which answers followed which.
    pub order: Order,
    /// Why sampling ended; `None` if the sample size was fixed.
    pub stopped: Option<Stopped>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All expectations are decided.
    Decided,
    /// The limit of requests or time was reached.
    Exhausted,
    /// The answers that something else collected ended.
    Ended,
}

impl Tally {
    /// The counts of a backend, or those of all that are not told apart.
    pub(super) fn named_or_other(&mut self, who: Option<Identity>) -> &mut BackendTally {
        match who {
            Some(who) => self.backends.entry(who).or_default(),
            None => &mut self.others,
        }
    }

    /// Counts failures of a backend, if there is room for its name. `most` is the bound.
    pub(super) fn failed_by(&mut self, who: Identity, failed: u64, most: impl FnOnce() -> usize) {
        if let Some(known) = self.failed_by.get_mut(&who) {
            *known += failed;
        } else if self.failed_by.len() < most() {
            self.failed_by.insert(who, failed);
        }
    }

    /// Counts a failure and returns its line.
    pub(super) fn failed(&mut self, failure: Failure) -> String {
        let line = format!("[failed: {}] {}", failure.class(), failure.what);
        self.failed_attempts += u64::from(failure.attempt.is_some());
        self.failed_retried += u64::from(failure.attempt > Some(1));
        failures::add_one(&mut self.failures, failure);
        line
    }

    pub(super) fn pass_over(&mut self, address: SocketAddr, more: PassedOver) {
        let room = self.passed_over.len() < MAX_PASSED_OVER;
        match self.passed_over.entry(address) {
            Entry::Occupied(mut known) => known.get_mut().count += more.count,
            Entry::Vacant(place) if room => drop(place.insert(more)),
            Entry::Vacant(_) => self.passed_over_further += more.count,
        }
    }

    /// Adds the tally of another thread, or of another part of the same row.
    pub fn merge(&mut self, other: Self) {
        // The order of a part says nothing about that of the whole.
        let unknown = |tally: &Self| tally.order.sequence.is_empty() && tally.requests() > 0;
        let order_unknown = unknown(self) || unknown(&other);
        for (identity, theirs) in other.backends {
            self.backends.entry(identity).or_default().merge(&theirs);
        }
        for group in other.failures {
            failures::add(&mut self.failures, group);
        }
        self.others.merge(&other.others);
        for (identity, count) in other.failed_by {
            self.failed_by(identity, count, || usize::MAX);
        }
        self.failed_attempts += other.failed_attempts;
        self.failed_retried += other.failed_retried;
        for (address, more) in other.passed_over {
            self.pass_over(address, more);
        }
        self.passed_over_further += other.passed_over_further;
        for (address, theirs) in other.addresses {
            self.addresses.entry(address).or_default().merge(theirs);
        }
        self.other_addresses.merge(other.other_addresses);
        self.resolved = self.resolved.max(other.resolved);
        self.transport.merge(other.transport);
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
        // The failover times of two runs cannot be combined.
        self.failover = self.failover.take().xor(other.failover);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.order.merge(other.order);
        if order_unknown {
            self.order = Order::default();
        }
        self.stopped = self.stopped.or(other.stopped);
        self.fold(MOST_BACKENDS);
    }

    /// Tells at most this many backends apart, and as many addresses as ever. Those that are last by
    /// name are added up, so that the order of merging makes no difference.
    pub(crate) fn fold(&mut self, most_backends: usize) {
        while self.addresses.len() > MOST_ADDRESSES
            && let Some((_, counted)) = self.addresses.pop_last()
        {
            self.other_addresses.merge(counted);
        }
        while self.failed_by.len() > most_backends {
            self.failed_by.pop_last();
        }
        if self.backends.len() <= most_backends {
            return;
        }
        while self.backends.len() > most_backends
            && let Some((_, counted)) = self.backends.pop_last()
        {
            self.others.merge(&counted);
        }
        let known = |who: &Identity| self.backends.contains_key(who);
        self.order.keep(known);
        if let Some(timeline) = &mut self.timeline {
            timeline.keep(known);
        }
    }

    /// All that was counted of backends, told apart or not.
    pub(crate) fn all_backends(&self) -> impl Iterator<Item = &BackendTally> {
        self.backends.values().chain([&self.others])
    }

    /// The part that verdicts need: no phases and no lines, and latencies only if requested.
    #[must_use]
    pub fn for_verdicts(&self, latencies: bool) -> Self {
        let part = |(who, backend): (&Identity, &BackendTally)| {
            (who.clone(), backend.for_verdicts(latencies))
        };
        Self {
            backends: self.backends.iter().map(part).collect(),
            others: self.others.for_verdicts(latencies),
            failures: self.failures.clone(),
            addresses: self.addresses.clone(),
            other_addresses: self.other_addresses,
            connections: self.connections,
            order: self.order.clone(),
            elapsed: self.elapsed,
            ..Self::default()
        }
    }

    /// The latency of all answers.
    #[must_use]
    pub(crate) fn latency(&self) -> Latency {
        let mut all = Latency::default();
        self.all_backends().for_each(|backend| all.merge(&backend.latency()));
        all
    }

    /// Requests that ended: answers and failures.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.answers() + self.failed_requests()
    }

    #[must_use]
    pub fn answers(&self) -> u64 {
        self.all_backends().map(|backend| backend.answers).sum()
    }

    #[must_use]
    pub fn failed_requests(&self) -> u64 {
        self.failures.iter().map(|group| group.count).sum()
    }

    /// How many answers and failures were not the nearest Envoy's first attempt; `None` if no response
    /// says which attempt it is.
    #[must_use]
    pub fn known_retries(&self) -> Option<u64> {
        let stated = self.all_backends().any(|backend| backend.attempts > 0);
        let all = self.retried() + self.failed_retried;
        (stated || self.failed_attempts > 0 || all > 0).then_some(all)
    }

    /// How many requests the mesh retried, for a sentence: `2 of 100 answers`, or of the requests if
    /// some of them failed all the same. `None` if it is not known to have retried any.
    #[must_use]
    pub(crate) fn retries_in_words(&self) -> Option<String> {
        let all = self.retried() + self.failed_retried;
        let of = match self.failed_retried {
            0 => count(self.answers(), "answer"),
            _ => count(self.requests(), "request"),
        };
        (all > 0).then(|| format!("{all} of {of}"))
    }

    /// Answers that were not the nearest Envoy's first attempt, as far as they say so.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.all_backends().map(|backend| backend.retried).sum()
    }

    /// How many answers came from backends, or addresses, that are not told apart.
    #[must_use]
    pub(crate) fn folded(&self, label: Label) -> u64 {
        match label {
            Label::Address => self.other_addresses.answers,
            _ => self.others.answers,
        }
    }

    /// The same for a sentence; `None` if all are told apart.
    #[must_use]
    pub(crate) fn folded_in_words(&self, label: Label) -> Option<String> {
        let (known, what, remedy) = match label {
            Label::Address => (self.addresses.len(), "addresses", ""),
            _ => (self.backends.len(), "backends", "; see --max-backends"),
        };
        let (folded, all) = (self.folded(label), count(self.answers(), "answer"));
        (folded > 0).then(|| {
            format!(
                "{folded} of {all} came from {what} beyond the {known} that are told apart{remedy}"
            )
        })
    }

    /// Failures by kind and status code, in the order of [`FailureKind::ALL`]. They add up to all
    /// failures.
    #[must_use]
    pub fn failures_by_class(&self) -> BTreeMap<FailureClass, u64> {
        let mut classes = BTreeMap::new();
        for group in &self.failures {
            *classes.entry(group.class()).or_default() += group.count;
        }
        classes
    }

    /// The same as words: `1 reset, 49 status 503`.
    #[must_use]
    pub fn failures_in_words(&self) -> String {
        let classes = self.failures_by_class().into_iter();
        classes.map(|(class, n)| format!("{n} {class}")).collect::<Vec<_>>().join(", ")
    }

    /// Whether several pods answered on one connection, so that whatever is on the path chooses a
    /// backend for each request.
    #[must_use]
    pub fn has_mixed_connections(&self) -> bool {
        let (answers, pods) = self.order.by_connection.groups(Label::Pod);
        let mixed = |(block, hits): &(u32, u32)| answers[*block as usize] != *hits;
        self.order.by_connection.is_unjoined() && pods.values().flatten().any(mixed)
    }

    /// Copies of answers, such as from a cache. They are among the failures.
    #[must_use]
    pub fn copies(&self) -> u64 {
        self.failures.iter().filter(|group| group.copy).map(|group| group.count).sum()
    }

    /// Failures by the value of a label, as far as their responses name a backend.
    #[must_use]
    pub fn failures_by(&self, label: Label) -> BTreeMap<&str, u64> {
        let mut groups = BTreeMap::new();
        for (identity, count) in &self.failed_by {
            *groups.entry(label.of(identity)).or_default() += count;
        }
        groups
    }

    /// Answers by remote address, all ports together. With those of [`Self::other_addresses`] they add up
    /// to all answers.
    #[must_use]
    pub fn answers_by_address(&self) -> BTreeMap<IpAddr, u64> {
        let mut groups = BTreeMap::new();
        for (address, counted) in self.addresses.iter().filter(|(_, counted)| counted.answers > 0) {
            *groups.entry(address.ip()).or_default() += counted.answers;
        }
        groups
    }

    /// Answers by the value of a label, such as by cluster, as far as backends are told apart.
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
