//! Counts and histograms of one row (a source asking a target), per backend.
//! Tallies of several threads or runs merge without loss. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::Identity;

use crate::latency::Latency;
use crate::outcome::{Failure, FailureKind};

mod recorder;

pub use recorder::Recorder;

/// How many different failures are told apart; further ones are counted by kind.
const MAX_FAILURE_GROUPS: usize = 32;
/// What further failures of a kind are called.
const FURTHER: &str = "further failures of this kind";

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

    fn merge(&mut self, other: &Self) {
        self.answers += other.answers;
        self.retried += other.retried;
        self.connections += other.connections;
        self.fresh.merge(&other.fresh);
        self.kept.merge(&other.kept);
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
    /// From the instant at which a request did start to the end of its answer.
    pub service: Latency,
}

impl Phases {
    /// All of them with their names.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Latency); 5] {
        [
            ("dns", &self.dns),
            ("connect", &self.connect),
            ("tls", &self.tls),
            ("first_byte", &self.first_byte),
            ("service", &self.service),
        ]
    }

    fn merge(&mut self, other: &Self) {
        self.dns.merge(&other.dns);
        self.connect.merge(&other.connect);
        self.tls.merge(&other.tls);
        self.first_byte.merge(&other.first_byte);
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
    /// Dead addresses of names that have others.
    pub passed_over: BTreeMap<SocketAddr, PassedOver>,
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
    /// How long the row took, the warm-up not included.
    pub elapsed: Duration,
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
        let known = self.passed_over.entry(address);
        known.and_modify(|known| known.count += more.count).or_insert(more);
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
        self.elapsed = self.elapsed.max(other.elapsed);
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

    /// Answers per value of a label, such as per cluster; by name.
    #[must_use]
    pub fn answers_by(&self, label: Label) -> BTreeMap<&str, u64> {
        let mut groups = BTreeMap::new();
        for (identity, backend) in &self.backends {
            *groups.entry(label.of(identity)).or_default() += backend.answers;
        }
        groups
    }
}

/// What backends can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The cluster: the default.
    Cluster,
    /// The pod.
    Pod,
    /// The pod's namespace.
    Namespace,
    /// The node.
    Node,
    /// The zone.
    Zone,
    /// The region.
    Region,
    /// The workload's version.
    Version,
}

impl Label {
    /// All of them, with the word for each.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Cluster, "cluster"),
        (Self::Pod, "pod"),
        (Self::Namespace, "namespace"),
        (Self::Node, "node"),
        (Self::Zone, "zone"),
        (Self::Region, "region"),
        (Self::Version, "version"),
    ];

    /// The value of this label; `<none>` where the backend does not state it.
    #[must_use]
    pub fn of(self, identity: &Identity) -> &str {
        let stated = match self {
            Self::Cluster => Some(&identity.cluster),
            Self::Pod => Some(&identity.pod),
            Self::Namespace => identity.namespace.as_ref(),
            Self::Node => identity.node.as_ref(),
            Self::Zone => identity.zone.as_ref(),
            Self::Region => identity.region.as_ref(),
            Self::Version => identity.version.as_ref(),
        };
        stated.map_or("<none>", String::as_str)
    }
}

#[cfg(test)]
mod tests;
