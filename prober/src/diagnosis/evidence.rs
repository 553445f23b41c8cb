//! The part of the Envoys' pages that is relevant to the target, before and after the run, bounded.
//! It is stored in the report. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::admin_pages::{self, Host, Node, Settings, Snapshot};

/// The most Envoy clusters kept of each Envoy, and the most endpoints of each.
const MAX_UPSTREAMS: usize = 8;
const MAX_ENDPOINTS: usize = 32;
/// The most counters of listeners kept of each Envoy.
const MAX_LISTENER_COUNTERS: usize = 32;
/// The counter that is kept even at zero: it shows that the Envoy keeps counters at all.
const ALWAYS_KEPT: &str = "upstream_cx_total";
/// The most counters of filters kept of each Envoy.
const MAX_FILTER_COUNTERS: usize = 32;
/// The requests of a connection manager: they show that the Envoy keeps its counters.
const ACCEPTED: &str = "downstream_rq_total";
/// The last parts of the names of the counters of filters. Those of `rbac` differ, because its
/// prefix may be configured.
const OF_FILTERS: [&str; 9] = [
    "downstream_rq_idle_timeout",
    "downstream_rq_max_duration_reached",
    "downstream_rq_too_large",
    ACCEPTED,
    "fault.aborts_injected",
    "http_local_rate_limit.enforced",
    "no_cluster",
    "no_route",
    "rs_too_large",
];
/// The port on which Istio's east-west gateways accept mTLS from other networks.
const EAST_WEST_PORT: &str = ":15443";
/// The prefix of Istio's names for the clusters of an east-west gateway.
const GATEWAY_CLUSTER: &str = "outbound_.";

/// What was read of all Envoys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// The client's own first, then the others in the order of the command line or file.
    pub envoys: Vec<Reading>,
}

/// The role of an Envoy on the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It chose the backends: the client's sidecar, or the ingress gateway.
    Client,
    /// It forwards requests of other networks.
    Gateway,
    /// It is the sidecar of the application.
    Server,
}

/// What was read of one Envoy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// `client`, or the name from the command line or matrix file.
    pub name: String,
    pub role: Role,
    /// The URL or command by which it was read.
    pub from: String,
    /// Why it was not read, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// Its clusters that are relevant to the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<Upstream>,
    /// How many of its other clusters have an endpoint that is an east-west gateway.
    #[serde(default)]
    pub others_with_gateways: u64,
    /// The counters of its listeners that grew, by full names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub listeners: BTreeMap<String, Change>,
    /// The counters of its connection managers and their filters that grew, by full names. They
    /// count requests before a cluster is chosen, so that they say nothing about an upstream.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, Change>,
}

impl Reading {
    /// By how much the counters of filters with this last part grew.
    #[must_use]
    pub fn filtered(&self, end: &str) -> u64 {
        let own = self.filters.iter().filter(|(name, _)| of_filter(name) == Some(end));
        own.map(|(_, change)| change.difference).sum()
    }

    /// The same counters with their full names, at most three: `http.inbound.rbac.denied 20`.
    pub(crate) fn filter_counters(&self, end: &str) -> Vec<String> {
        let own = self.filters.iter().filter(|(name, _)| of_filter(name) == Some(end));
        own.take(3).map(|(name, change)| format!("{name} {}", change.difference)).collect()
    }

    /// How many connections it closed because of a policy or a limit.
    #[must_use]
    pub fn closed_on_purpose(&self) -> u64 {
        let overflows: u64 = self.upstreams.iter().map(Upstream::tcp_overflows).sum();
        self.filtered("tcp.rbac.denied") + overflows
    }

    /// Whether it keeps the counters of its connection managers; requests have passed one.
    #[must_use]
    pub fn keeps_filters(&self) -> bool {
        self.filtered(ACCEPTED) > 0
    }
}

/// One cluster of an Envoy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    /// Such as `outbound|8080||echo2.ns.svc.cluster.local`.
    pub name: String,
    /// Its settings at the end of the run; `None` if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Those with most requests come first.
    pub endpoints: Vec<Endpoint>,
    /// Its counters, by the last parts of the names. Empty if the Envoy keeps none, which is Istio's
    /// default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, Change>,
}

/// One endpoint, before and after the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `127.10.2.3:15443`.
    pub address: String,
    /// `region/zone`.
    pub locality: String,
    /// Its place before the run; `None` if the Envoy did not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Place>,
    /// Its place after the run; `None` if the Envoy did not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Place>,
    /// Attempts sent there.
    pub requests: Change,
    /// Attempts that ended in a 5xx or a reset.
    pub errors: Change,
    /// Connections opened or attempted.
    pub connections: Change,
    /// Connections that failed.
    pub connect_failures: Change,
    /// Attempts sent there during the run that got no response, although no error ended them:
    /// the client gave up.
    #[serde(default, skip_serializing_if = "crate::units::is_zero")]
    pub unanswered: u64,
}

/// An endpoint's place among the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub weight: u64,
    /// 0 is used first.
    pub priority: u64,
    /// `healthy`, or why it gets no requests.
    pub health: String,
}

/// A counter or gauge before and after the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub before: u64,
    pub after: u64,
    /// By how much it grew; all of `after` if it was reset.
    pub difference: u64,
}

impl Change {
    #[must_use]
    pub fn between(before: u64, after: u64) -> Self {
        Self { before, after, difference: after.checked_sub(before).unwrap_or(after) }
    }

    /// Whether it was reset during the run: it is smaller afterwards.
    #[must_use]
    pub fn was_reset(self) -> bool {
        self.after < self.before
    }
}

impl Upstream {
    /// The subset of a DestinationRule that it is; nothing for the service as a whole.
    pub(crate) fn subset(&self) -> &str {
        self.name.split('|').nth(2).unwrap_or_default()
    }

    /// By how much a counter grew; 0 if it is not kept.
    #[must_use]
    pub fn growth(&self, counter: &str) -> u64 {
        self.counters.get(counter).map_or(0, |change| change.difference)
    }

    /// Whether the Envoy ever counted this.
    #[must_use]
    pub fn has(&self, counter: &str) -> bool {
        self.counters.get(counter).is_some_and(|change| change.after > 0)
    }

    /// Connections of TCP that the Envoy closed because the cluster has too many. Requests of HTTP
    /// wait instead.
    #[must_use]
    pub fn tcp_overflows(&self) -> u64 {
        match self.has("upstream_cx_http1_total") || self.has("upstream_cx_http2_total") {
            true => 0,
            false => self.growth("upstream_cx_overflow"),
        }
    }

    /// Requests that were not sent because the cluster has too many pending requests, or too many
    /// requests. Before version 1.38, Envoy counted both as pending.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.growth("upstream_rq_pending_overflow") + self.growth("upstream_rq_active_overflow")
    }

    /// All attempts during the run.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.endpoints.iter().map(|endpoint| endpoint.requests.difference).sum()
    }

    /// How much of the run concerns it: attempts, failed connections, and requests that got no
    /// endpoint.
    fn activity(&self) -> u64 {
        let ends: u64 = self.endpoints.iter().map(|e| e.connect_failures.difference).sum();
        let unsent = ["upstream_cx_none_healthy", "ratelimit.over_limit", "upstream_cx_total"];
        self.requests()
            + ends
            + self.overflows()
            + unsent.iter().map(|counter| self.growth(counter)).sum::<u64>()
    }

    /// Attempts during the run that ended in a 5xx or a reset.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.endpoints.iter().map(|endpoint| endpoint.errors.difference).sum()
    }

    /// How many endpoints it has at the end of the run.
    #[must_use]
    pub fn held(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.after.is_some()).count()
    }
}

impl Endpoint {
    /// Whether it is the east-west gateway of another network.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        is_gateway(&self.address)
    }

    /// The last known place.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

fn is_gateway(address: &str) -> bool {
    address.ends_with(EAST_WEST_PORT)
}

/// One Envoy's pages before and after the run, or why they were not read.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    /// `None` for the client's own Envoy.
    pub name: Option<String>,
    /// The URL or command by which it was read.
    pub from: String,
    pub before: Result<Snapshot, String>,
    pub after: Result<Snapshot, String>,
}

/// Keeps what is relevant to requests to `host` and `port`.
#[must_use]
pub(crate) fn digest(sightings: Vec<Sighting>, host: &str, port: u16) -> Readings {
    let mut envoys: Vec<_> =
        sightings.into_iter().map(|sighting| reading(sighting, host, port)).collect();
    // The gateway's clusters have the same host names as the client's.
    let hosts: Vec<String> = envoys
        .iter()
        .filter(|reading| reading.role == Role::Client)
        .flat_map(|reading| {
            reading.upstreams.iter().filter_map(|u| Some(host_of(&u.name)?.to_owned()))
        })
        .collect();
    for reading in &mut envoys {
        let wanted = |upstream: &Upstream| match reading.role {
            Role::Gateway => {
                hosts.is_empty()
                    || host_of(&upstream.name).is_some_and(|h| hosts.iter().any(|k| k == h))
            }
            Role::Client | Role::Server => true,
        };
        reading.upstreams.retain(wanted);
        reading.upstreams.truncate(MAX_UPSTREAMS);
        for upstream in &mut reading.upstreams {
            upstream.endpoints.truncate(MAX_ENDPOINTS);
        }
    }
    Readings { envoys }
}

/// Whether it is a gateway, by its node id or by the names of its clusters.
fn is_router(seen: &Snapshot) -> bool {
    let named = seen.node.id.starts_with("router~");
    named || seen.clusters.keys().any(|name| name.starts_with(GATEWAY_CLUSTER))
}

fn reading(sighting: Sighting, host: &str, port: u16) -> Reading {
    let Sighting { name, from, before, after } = sighting;
    let role = match (&name, after.as_ref().or(before.as_ref())) {
        (None, _) => Role::Client,
        (_, Ok(seen)) if is_router(seen) => Role::Gateway,
        _ => Role::Server,
    };
    let (before, after, unread) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after, None),
        (Err(why), _) => (Snapshot::default(), Snapshot::default(), Some(admin_pages::plain(&why))),
        (_, Err(why)) => {
            let why = format!("after the run: {}", admin_pages::plain(&why));
            (Snapshot::default(), Snapshot::default(), Some(why))
        }
    };
    let unread = unread.or_else(|| {
        (before.node.id != after.node.id)
            .then(|| format!("another Envoy answered after the run: {}", after.node.id))
    });
    let mut reading = Reading {
        name: name.unwrap_or_else(|| "client".to_owned()),
        role,
        from: admin_pages::plain(&from),
        node: unread.is_none().then(|| after.node.clone()),
        unread,
        upstreams: Vec::new(),
        others_with_gateways: 0,
        listeners: BTreeMap::new(),
        filters: BTreeMap::new(),
    };
    if reading.unread.is_some() {
        return reading;
    }
    let mut all = upstreams(&before, &after);
    let asked = |upstream: &Upstream| match role {
        Role::Client => is_service(&upstream.name, host, port),
        Role::Gateway => upstream.name.starts_with(GATEWAY_CLUSTER),
        Role::Server => upstream.name.starts_with("inbound"),
    };
    let mut chosen: Vec<_> = all.iter().filter(|upstream| asked(upstream)).cloned().collect();
    if chosen.iter().all(|upstream| upstream.activity() == 0) {
        // A route may lead to clusters of other names.
        let active = |u: &&Upstream| u.activity() > 0 && !asked(u) && !is_own(&u.name);
        let more: Vec<_> = all.iter().filter(active).cloned().collect();
        chosen.extend(more);
    }
    all.retain(|upstream| !chosen.iter().any(|own| own.name == upstream.name));
    let through_gateway =
        |upstream: &&Upstream| upstream.endpoints.iter().any(Endpoint::is_gateway);
    reading.others_with_gateways = all.iter().filter(through_gateway).count() as u64;
    reading.upstreams = chosen;
    reading.listeners = listeners(&before, &after);
    reading.filters = filters(&before, &after, role);
    reading
}

/// All clusters of both snapshots, the most active first.
fn upstreams(before: &Snapshot, after: &Snapshot) -> Vec<Upstream> {
    let mut counters: BTreeMap<&str, BTreeMap<String, Change>> = BTreeMap::new();
    for (name, value) in &after.counters {
        let Some((cluster, end)) = of_cluster(name) else { continue };
        let change = change(before, name, *value);
        if (change.before, change.after) == (0, 0) && end != ALWAYS_KEPT {
            continue;
        }
        counters.entry(cluster).or_default().insert(end.to_owned(), change);
    }
    let names = after.clusters.keys().chain(before.clusters.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    let none = Vec::new();
    let mut all: Vec<_> = names
        .into_iter()
        .map(|name| Upstream {
            name: name.clone(),
            settings: None,
            endpoints: endpoints(
                before.clusters.get(name).unwrap_or(&none),
                after.clusters.get(name).unwrap_or(&none),
            ),
            counters: counters.remove(name.as_str()).unwrap_or_default(),
        })
        .collect();
    all.sort_by_key(|upstream| std::cmp::Reverse(upstream.activity()));
    all
}

fn endpoints(before: &[Host], after: &[Host]) -> Vec<Endpoint> {
    /// Before and after the run.
    type Both<'a> = (Option<&'a Host>, Option<&'a Host>);
    let mut all: BTreeMap<(&str, &str), Both<'_>> = BTreeMap::new();
    for host in before {
        all.entry((&host.address, &host.locality)).or_default().0 = Some(host);
    }
    for host in after {
        all.entry((&host.address, &host.locality)).or_default().1 = Some(host);
    }
    let place = |host: &Host| Place {
        weight: host.weight,
        priority: host.priority,
        health: host.health.clone(),
    };
    let mut endpoints: Vec<_> = all
        .into_iter()
        .map(|((address, locality), (before, after))| {
            let change = |field: fn(&Host) -> u64| {
                Change::between(before.map_or(0, field), after.map_or(0, field))
            };
            Endpoint {
                address: address.to_owned(),
                locality: locality.to_owned(),
                before: before.map(place),
                after: after.map(place),
                requests: change(|host| host.requests),
                errors: change(|host| host.errors),
                connections: change(|host| host.connections),
                connect_failures: change(|host| host.connect_failures),
                unanswered: unanswered(before, after),
            }
        })
        .collect();
    endpoints.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.requests.difference));
    endpoints
}

/// By how much a counter changed.
fn change(before: &Snapshot, name: &str, value: u64) -> Change {
    Change::between(before.counters.get(name).copied().unwrap_or(0), value)
}

/// The counters of filters that grew, without those of the other direction in a sidecar. Those of
/// refusals come first if there are too many.
fn filters(before: &Snapshot, after: &Snapshot, role: Role) -> BTreeMap<String, Change> {
    let inbound = |name: &str| name.starts_with("http.inbound");
    let named_so = after.counters.keys().any(|name| inbound(name));
    let sidecar = after.node.id.starts_with("sidecar~");
    let on_the_way = |name: &str| match role {
        // In a sidecar, policies for TCP apply to what it receives.
        Role::Client => !(inbound(name) || sidecar && name.starts_with("tcp.")),
        Role::Server => !named_so || !name.starts_with("http.") || inbound(name),
        Role::Gateway => true,
    };
    let grown = after.counters.iter().filter_map(|(name, value)| {
        let end = of_filter(name).filter(|_| on_the_way(name))?;
        let change = change(before, name, *value);
        (change.difference > 0).then(|| (end == ACCEPTED, name.clone(), change))
    });
    let mut grown: Vec<_> = grown.collect();
    grown.sort_by_key(|(accepted, ..)| *accepted);
    grown.into_iter().take(MAX_FILTER_COUNTERS).map(|(_, name, change)| (name, change)).collect()
}

/// The last part of the name of a filter's counter.
fn of_filter(name: &str) -> Option<&'static str> {
    let others = ["cluster.", "listener.", "vhost.", "http.admin."];
    if others.iter().any(|other| name.starts_with(other)) {
        return None;
    }
    // A policy's own counter repeats what its filter counts.
    if name.ends_with(".denied") && name.contains("rbac.") && !name.contains(".policy.") {
        return Some(if name.starts_with("http.") { "rbac.denied" } else { "tcp.rbac.denied" });
    }
    let ends_so = |end: &&str| name.strip_suffix(end).is_some_and(|before| before.ends_with('.'));
    OF_FILTERS.into_iter().find(ends_so)
}

/// The counters of listeners that grew.
fn listeners(before: &Snapshot, after: &Snapshot) -> BTreeMap<String, Change> {
    let of_listener = |name: &&String| {
        name.starts_with("listener.") && !name.contains(".worker_") && !name.contains(".admin.")
    };
    let own = after.counters.iter().filter(|(name, _)| of_listener(name));
    let changed = own.map(|(name, value)| (name.clone(), change(before, name, *value)));
    changed.filter(|(_, change)| change.difference > 0).take(MAX_LISTENER_COUNTERS).collect()
}

/// How many attempts ended neither in a success nor in an error.
fn unanswered(before: Option<&Host>, after: Option<&Host>) -> u64 {
    let Some(successes) = after.and_then(|host| host.successes) else { return 0 };
    let grew = |field: fn(&Host) -> u64| {
        Change::between(before.map_or(0, field), after.map_or(0, field)).difference
    };
    let earlier = before.and_then(|host| host.successes).unwrap_or(0);
    let successes = Change::between(earlier, successes).difference;
    // A connection that failed is an error, too, but nothing was sent there.
    let errors = grew(|host| host.errors).saturating_sub(grew(|host| host.connect_failures));
    grew(|host| host.requests).saturating_sub(successes + errors)
}

/// `cluster.NAME.END` → name and end.
fn of_cluster(name: &str) -> Option<(&str, &'static str)> {
    let end = admin_pages::end_of(name)?;
    let cluster = name.strip_prefix("cluster.")?.strip_suffix(end)?.strip_suffix('.')?;
    // Newer Istio versions put a semicolon after the cluster's name.
    Some((cluster.strip_suffix(';').unwrap_or(cluster), end))
}

/// The service's host name in a cluster's name: `outbound|PORT|SUBSET|HOST`, or, on a gateway,
/// `outbound_.PORT_.SUBSET_.HOST`.
fn host_of(cluster: &str) -> Option<&str> {
    let host = match cluster.strip_prefix(GATEWAY_CLUSTER) {
        Some(rest) => rest.splitn(3, "_.").nth(2),
        None => cluster.splitn(4, '|').nth(3),
    };
    host.filter(|host| !host.is_empty())
}

/// Whether a cluster is for the Envoy's own needs, or for what a sidecar receives.
fn is_own(cluster: &str) -> bool {
    const OWN: [&str; 5] = ["xds-grpc", "sds-grpc", "prometheus_stats", "agent", "zipkin"];
    OWN.contains(&cluster) || cluster.to_ascii_lowercase().starts_with("inbound")
}

/// Whether this is a cluster of the service with this host name, which may be a short one.
fn is_service(cluster: &str, host: &str, port: u16) -> bool {
    let Some(whole) = host_of(cluster) else { return false };
    let host = host.trim_end_matches('.');
    let named = whole == host || whole.strip_prefix(host).is_some_and(|rest| rest.starts_with('.'));
    named && cluster.split('|').nth(1) == Some(port.to_string().as_str())
}

#[cfg(test)]
mod tests;
