//! What the rules look at: the readings of the Envoys beside the tally. Pure.

use super::said::Said;
use crate::diagnosis::admin_pages::Node;
use crate::diagnosis::evidence::{Reading, Readings, Role, Upstream};
use crate::tally::Tally;

/// What the rules look at.
pub(super) struct Case<'a> {
    /// The Envoy that chose the backends; `None` if it was not read.
    pub(super) client: Option<&'a Reading>,
    pub(super) others: Vec<&'a Reading>,
    pub(super) tally: &'a Tally,
    /// Whether the distribution of answers is as expected.
    pub(super) expected: bool,
}

impl<'a> Case<'a> {
    pub(super) fn new(readings: &'a Readings, tally: &'a Tally, expected: bool) -> Self {
        let client = readings.envoys.iter().find(|reading| reading.role == Role::Client);
        let others = readings.envoys.iter().filter(|reading| reading.role != Role::Client);
        Self { client, others: others.collect(), tally, expected }
    }

    /// The clusters of the client's Envoy that are relevant to this run.
    pub(super) fn upstreams(&self) -> &'a [Upstream] {
        self.client.map_or(&[], |client| client.upstreams.as_slice())
    }

    pub(super) fn with_role(&self, role: Role) -> impl Iterator<Item = &'a Reading> {
        self.others.iter().copied().filter(move |reading| reading.role == role)
    }

    /// By how much a counter of the client's Envoy grew, over all its clusters.
    pub(super) fn growth(&self, counter: &str) -> u64 {
        self.upstreams().iter().map(|upstream| upstream.growth(counter)).sum()
    }

    /// Whether the client's Envoy keeps counters of its clusters.
    pub(super) fn has_counters(&self) -> bool {
        self.upstreams().iter().any(|upstream| !upstream.counters.is_empty())
    }

    /// All requests, including the warm-up's, which the Envoys counted too.
    pub(super) fn requests(&self) -> u64 {
        self.tally.requests() + self.tally.warmed_up
    }

    pub(super) fn failed(&self) -> u64 {
        self.tally.failed_requests()
    }

    /// How many connections of the client's Envoy failed.
    pub(super) fn connect_failures(&self) -> u64 {
        let all = self.upstreams().iter().flat_map(|upstream| &upstream.endpoints);
        all.map(|endpoint| endpoint.connect_failures.difference).sum()
    }

    /// How many failures are of such kinds.
    pub(super) fn saying(&self, kind: impl Fn(Said) -> bool) -> u64 {
        let own = self.tally.failures.iter().filter(|group| kind(Said::of(group)));
        own.map(|group| group.count).sum()
    }

    /// How many failed requests a cluster may account for: it sent them to an endpoint that failed,
    /// or to none.
    pub(super) fn failed_at(&self, upstream: &Upstream) -> u64 {
        let unsent = upstream.growth("upstream_cx_none_healthy") + upstream.overflows();
        self.failed().min(upstream.errors() + unsent)
    }

    /// A command that shows more about a cluster of the client's Envoy.
    pub(super) fn look_at(&self, kind: &str, upstream: &Upstream) -> String {
        let Some(client) = self.client else { return String::new() };
        match client.node.as_ref().and_then(|node| node.pod()) {
            Some(pod) => {
                let flag = if kind == "endpoint" { "--cluster" } else { "--fqdn" };
                let name = if kind == "endpoint" {
                    upstream.name.as_str()
                } else {
                    upstream.name.rsplit('|').next().unwrap_or_default()
                };
                format!("istioctl proxy-config {kind} {pod} {flag} '{name}'")
            }
            None => format!("curl {}/clusters", client.from),
        }
    }

    /// A command that shows the limits of the circuit breakers of the client's Envoy.
    pub(super) fn look_at_breaker(&self) -> String {
        match self.client.filter(|client| client.node.as_ref().and_then(Node::pod).is_none()) {
            Some(client) => format!("curl -s {}/clusters | grep default_priority", client.from),
            None => "kubectl get destinationrule -A -o yaml | grep -A12 connectionPool".to_owned(),
        }
    }

    /// A command that shows the certificates of the client's Envoy.
    pub(super) fn secrets(&self) -> String {
        match self.client.and_then(|client| client.node.as_ref()?.pod()) {
            Some(pod) => format!(
                "istioctl proxy-config secret {pod}; compare it with a server of that cluster"
            ),
            None => "Compare the root certificates of both sides".to_owned(),
        }
    }
}
