//! How the client's Envoy chooses backends: its endpoints and its load-balancing settings.

use std::collections::BTreeMap;

use super::case::Case;
use super::connections::described;
use super::said::Said;
use super::servers::{PodsBehind, behind};
use super::shares::{self, off};
use crate::diagnosis::evidence::{Endpoint, Place, Upstream};
use crate::diagnosis::finding::{Cause, Effect, Explanation, Finding, Layer};
use crate::units::count;

fn finding(cause: Cause, effect: Effect, requests: u64, evidence: String, next: String) -> Finding {
    Finding { layer: Layer::ClientBalancer, cause, effect, requests, evidence, next }
}

/// Outlier detection that was not allowed to eject.
pub(super) fn ejection_capped(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let refused = upstream.growth("outlier_detection.ejections_overflow");
        if refused == 0 || upstream.growth("outlier_detection.ejections_enforced_total") > 0 {
            continue;
        }
        let limit = upstream.settings.as_ref().and_then(|s| s.max_ejection_percent);
        let limit = limit.map_or_else(String::new, |percent| {
            format!(": at most {percent} % of {} endpoints", upstream.endpoints.len())
        });
        found.findings.push(finding(
            Cause::EjectionCapped,
            Effect::Failed,
            case.failed_at(upstream).max(1),
            format!(
                "outlier detection tried to eject {refused} times and was not allowed to \
                 (ejections_overflow){limit}"
            ),
            "Set outlierDetection.maxEjectionPercent: 100 in the DestinationRule".to_owned(),
        ));
    }
}

/// No healthy endpoint, or so few that Envoy used all endpoints.
pub(super) fn no_healthy_endpoint(case: &Case<'_>, found: &mut Explanation) {
    uncounted(case, found);
    for upstream in case.upstreams() {
        let none = nobody_healthy(case, upstream);
        let held = upstream.held();
        if none > 0 {
            let ejections = upstream.growth("outlier_detection.ejections_enforced_total");
            let name = &upstream.name;
            let (cause, evidence) = match (held, ejections) {
                (0, _) => (
                    Cause::NoEndpoints,
                    format!("{} found no endpoint at all in {name}", count(none, "request")),
                ),
                (held, 0) => (
                    Cause::NoHealthyEndpoint,
                    format!("{none} requests found no healthy endpoint among {held} of {name}"),
                ),
                (held, n) => (
                    Cause::NoHealthyEndpoint,
                    format!(
                        "{none} requests found no healthy endpoint among {held} of {name} \
                         (upstream_cx_none_healthy) after {}",
                        count(n, "ejection")
                    ),
                ),
            };
            let next = case.look_at("endpoint", upstream);
            found.findings.push(finding(cause, Effect::Failed, none, evidence, next));
        }
        // A cluster without endpoints counts as panicking, too.
        if held > 0 {
            found.findings.extend(panicked(case, upstream));
        }
    }
}

/// How many failed requests found no healthy endpoint in a cluster. Without counters the words of
/// responses are attributed only if no other cluster can be meant.
fn nobody_healthy(case: &Case<'_>, upstream: &Upstream) -> u64 {
    if !upstream.counters.is_empty() {
        // Words may be replaced on the way; a 503 of an endpoint counts as its error.
        let errors: u64 = case.upstreams().iter().map(Upstream::errors).sum();
        let other = |said| matches!(said, Said::Empty(503) | Said::Other(Some(503) | None));
        let unsaid = case.saying(other).saturating_sub(errors);
        let said = case.saying(|said| matches!(said, Said::NobodyHealthy | Said::Cut));
        return upstream.growth("upstream_cx_none_healthy").min(said + unsaid);
    }
    match &without_healthy(case)[..] {
        [only] if only.name == upstream.name => case.saying(|said| said == Said::NobodyHealthy),
        _ => 0,
    }
}

/// The clusters without counters that have no healthy endpoint, or had none.
fn without_healthy<'a>(case: &Case<'a>) -> Vec<&'a Upstream> {
    let none = |place: fn(&Endpoint) -> Option<&Place>, upstream: &Upstream| {
        !upstream.endpoints.iter().filter_map(place).any(|place| place.health == "healthy")
    };
    let all = case.upstreams().iter().filter(|upstream| upstream.counters.is_empty());
    all.filter(|upstream| {
        none(|e| e.before.as_ref(), upstream) || none(|e| e.after.as_ref(), upstream)
    })
    .collect()
}

/// Responses without a healthy endpoint that no counter attributes to a cluster.
fn uncounted(case: &Case<'_>, found: &mut Explanation) {
    let said = case.saying(|said| said == Said::NobodyHealthy);
    if said == 0 || case.upstreams().iter().any(|upstream| nobody_healthy(case, upstream) > 0) {
        return;
    }
    let may: Vec<_> = without_healthy(case).iter().map(|upstream| upstream.name.as_str()).collect();
    let which = match may.is_empty() {
        true => "no cluster that was read had none before or after the run".to_owned(),
        false => format!("it may be any of {}", may.join(", ")),
    };
    found.unknown.push(format!(
        "which cluster had no healthy endpoint: {} \"no healthy upstream\", and {which}",
        if said == 1 { "1 response says".to_owned() } else { format!("{said} responses say") }
    ));
}

/// Too few healthy endpoints, so that Envoy used all of them.
fn panicked(case: &Case<'_>, upstream: &Upstream) -> Option<Finding> {
    let panicked = upstream.growth("lb_healthy_panic");
    if panicked == 0 {
        return None;
    }
    let below = upstream.settings.as_ref().and_then(|s| s.panic_percent);
    let below = below.map_or_else(String::new, |percent| format!(" (below {percent} %)"));
    let (effect, requests) = match case.failed_at(upstream) {
        0 => (Effect::Moved, panicked),
        failed => (Effect::Failed, panicked.min(failed)),
    };
    Some(finding(
        Cause::PanicMode,
        effect,
        requests,
        format!(
            "{panicked} times, too few endpoints were healthy{below}, so Envoy used all of them, \
             including ejected ones (lb_healthy_panic)"
        ),
        "Find out why they are unhealthy; outlierDetection.minHealthPercent is the threshold"
            .to_owned(),
    ))
}

/// Failed requests that were not retried because too many retries were in flight.
pub(super) fn retries_capped(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let refused = upstream.growth("upstream_rq_retry_overflow");
        let requests = refused.min(case.failed_at(upstream));
        if requests > 0 {
            found.findings.push(finding(
                Cause::CircuitBreaker,
                Effect::Failed,
                requests,
                format!(
                    "{} to {} failed without a further try, because a limit of its circuit breaker \
                     on retries was reached (upstream_rq_retry_overflow {refused})",
                    count(requests, "request"),
                    upstream.name
                ),
                case.look_at_breaker(),
            ));
        }
    }
}

/// Endpoints that outlier detection ejected, or that are marked as unhealthy.
pub(super) fn ejected(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let ejections = upstream.growth("outlier_detection.ejections_enforced_total");
        let out: Vec<_> =
            upstream.endpoints.iter().filter(|e| health(e) == Some("ejected")).collect();
        if ejections > 0 || !out.is_empty() {
            let failing = upstream.endpoints.iter().filter(|e| e.errors.difference > 0);
            let whom = out.first().copied().or_else(|| failing.max_by_key(|e| e.errors.difference));
            let whom_text = whom.map_or_else(|| "an endpoint".to_owned(), described);
            let errors = whom.map_or(0, |endpoint| endpoint.errors.difference);
            let now = if out.is_empty() { "and readmitted it" } else { "which is still ejected" };
            // Not each Envoy keeps the counter, and the ejection may be older than the run.
            let times = match ejections {
                0 => String::new(),
                _ => format!("{}, ", count(ejections, "ejection")),
            };
            found.findings.push(finding(
                Cause::Ejected,
                Effect::Moved,
                whom.map_or(1, |endpoint| missing(upstream, endpoint)).max(1),
                format!(
                    "outlier detection ejected {whom_text} ({times}{} there), {now}",
                    count(errors, "error")
                ),
                case.look_at("endpoint", upstream),
            ));
        }
        let sick = upstream.endpoints.iter().find(|endpoint| {
            health(endpoint).is_some_and(|health| health != "healthy" && health != "ejected")
        });
        if let Some(endpoint) = sick {
            found.findings.push(finding(
                Cause::Unhealthy,
                Effect::Moved,
                missing(upstream, endpoint).max(1),
                format!("{} is marked as {}", described(endpoint), health(endpoint).unwrap_or("?")),
                case.look_at("endpoint", upstream),
            ));
        }
    }
}

fn health(endpoint: &Endpoint) -> Option<&str> {
    Some(endpoint.after.as_ref()?.health.as_str())
}

/// How many requests an endpoint got less than an even share; 0 if others have priority over it.
fn missing(upstream: &Upstream, endpoint: &Endpoint) -> u64 {
    let all = upstream.requests();
    let first = |e: &Endpoint| e.place().map_or(0, |place| place.priority);
    let rank = first(endpoint);
    let peers = upstream.endpoints.iter().filter(|e| first(e) == rank).count() as u64;
    let alone = upstream.endpoints.iter().all(|e| first(e) >= rank);
    let fair = if alone { all / peers.max(1) } else { 0 };
    fair.saturating_sub(endpoint.requests.difference)
}

/// The endpoints of one side: those in the client's network, or those in one region behind
/// gateways.
struct Side<'a> {
    name: String,
    endpoints: Vec<&'a Endpoint>,
}

impl Side<'_> {
    fn requests(&self) -> u64 {
        self.endpoints.iter().map(|e| e.requests.difference).sum()
    }

    fn weight(&self) -> u64 {
        let weight = |e: &&Endpoint| e.place().map_or(0, |place| place.weight);
        self.endpoints.iter().map(weight).sum()
    }

    fn priority(&self) -> u64 {
        let priority = |e: &&Endpoint| e.place().map_or(0, |place| place.priority);
        self.endpoints.iter().map(priority).min().unwrap_or(0)
    }
}

fn sides(upstream: &Upstream) -> Vec<Side<'_>> {
    let mut all: BTreeMap<String, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in &upstream.endpoints {
        let region = endpoint.locality.split('/').next().unwrap_or_default();
        let name = match (endpoint.is_gateway(), region) {
            (true, "") => format!("the gateway {}", endpoint.address),
            (true, region) => format!("{region} through its gateway"),
            (false, _) => "home".to_owned(),
        };
        all.entry(name).or_default().push(endpoint);
    }
    all.into_iter().map(|(name, endpoints)| Side { name, endpoints }).collect()
}

/// The requests above even shares; `None` if the difference may be chance.
fn excess(sides: &[Side<'_>]) -> Option<u64> {
    let all: u64 = sides.iter().map(Side::requests).sum();
    let even = 1.0 / sides.len().max(1) as f64;
    let skewed = all > 0 && sides.iter().any(|side| off(side.requests(), all, even));
    let above = |side: &Side<'_>| side.requests().saturating_sub(all / sides.len().max(1) as u64);
    skewed.then(|| sides.iter().map(above).sum())
}

/// What makes shares uneven without any failure: the endpoints, and the settings.
pub(super) fn chosen(case: &Case<'_>, found: &mut Explanation) {
    shares::consistent_hash(case, found);
    if passed_through(case, found) || split(case, found) {
        return;
    }
    let Some(upstream) = case.upstreams().first() else { return };
    changed(case, upstream, found);
    let sides = sides(upstream);
    if sides.len() < 2 {
        found.findings.extend(one_sided(case, upstream));
        return;
    }
    zones(case, upstream, found);
    let Some(excess) = excess(&sides) else { return };
    if shares::by_hash(upstream) {
        return;
    }
    let skew = Skew { upstream, sides: &sides, excess };
    let alone = found.findings.is_empty();
    let known = skew
        .distribute()
        .or_else(|| skew.locality_failover())
        .or_else(|| skew.weights())
        .or_else(|| skew.least_request().filter(|_| alone));
    if let Some(finding) = known {
        found.findings.push(finding);
    } else if alone {
        let weights: Vec<_> = sides.iter().map(|side| side.weight().to_string()).collect();
        found.unknown.push(format!(
            "why the shares are uneven: requests went to {}, with weights {} and equal priorities; \
             no known cause matches",
            skew.requests(),
            weights.join(":")
        ));
    }
}

/// Sides whose requests differ by more than chance.
struct Skew<'a> {
    upstream: &'a Upstream,
    sides: &'a [Side<'a>],
    /// The requests above even shares.
    excess: u64,
}

impl Skew<'_> {
    /// Each side with one of its numbers: `home 30, us-west1 through its gateway 10`.
    fn list(&self, number: impl Fn(&Side<'_>) -> String) -> String {
        let each = |side: &Side<'_>| format!("{} {}", side.name, number(side));
        self.sides.iter().map(each).collect::<Vec<_>>().join(", ")
    }

    fn requests(&self) -> String {
        self.list(|side| side.requests().to_string())
    }

    /// The requests of all sides.
    fn all(&self) -> u64 {
        self.sides.iter().map(Side::requests).sum()
    }

    fn share_by_weight(&self, side: &Side<'_>) -> f64 {
        let weights: u64 = self.sides.iter().map(Side::weight).sum();
        side.weight() as f64 / weights.max(1) as f64
    }

    /// Whether a side's requests differ from its share by weight by more than chance.
    fn is_off(&self, side: &Side<'_>) -> bool {
        off(side.requests(), self.all(), self.share_by_weight(side))
    }

    /// Locality weights of a DestinationRule.
    fn distribute(&self) -> Option<Finding> {
        let settings = self.upstream.settings.as_ref().filter(|s| s.locality_weighted)?;
        let each = |(name, weight): (&String, &u64)| format!("{name} {weight}");
        let weights: Vec<_> = settings.localities.iter().map(each).collect();
        Some(finding(
            Cause::Distribute,
            Effect::Moved,
            self.excess,
            format!(
                "locality weights apply ({}): requests went to {}",
                weights.join(", "),
                self.requests()
            ),
            "kubectl get destinationrule -A -o yaml | grep -A8 distribute".to_owned(),
        ))
    }

    /// Priorities by locality.
    fn locality_failover(&self) -> Option<Finding> {
        let first = self.sides.iter().map(Side::priority).min().unwrap_or(0);
        if self.sides.iter().all(|side| side.priority() == first) {
            return None;
        }
        let priorities = self.list(|side| format!("priority {}", side.priority()));
        Some(finding(
            Cause::LocalityFailover,
            Effect::Moved,
            self.excess,
            format!(
                "a nearer locality has priority ({priorities}): requests went to {}",
                self.requests()
            ),
            "Locality failover is active because outlierDetection is set; to turn it off, set \
             localityLbSetting.enabled: false in the DestinationRule"
                .to_owned(),
        ))
    }

    /// A gateway below its share, for want of another cause: with equal weights, this policy goes by the
    /// requests in flight alone.
    fn least_request(&self) -> Option<Finding> {
        self.upstream.settings.as_ref().filter(|settings| settings.policy == "LEAST_REQUEST")?;
        let is_below = |side: &Side<'_>| {
            let fair = self.share_by_weight(side) * self.all() as f64;
            (side.requests() as f64) < fair && self.is_off(side)
        };
        let gateway = |side: &Side<'_>| side.endpoints.iter().all(|endpoint| endpoint.is_gateway());
        self.sides.iter().find(|side| gateway(side) && is_below(side))?;
        Some(finding(
            Cause::LeastRequest,
            Effect::Moved,
            self.excess,
            format!(
                "the policy LEAST_REQUEST (Istio's default) prefers endpoints with few requests in flight, and \
                 a gateway is one endpoint for all pods behind it, on a longer way: requests went to {}",
                self.requests()
            ),
            "Ask with -c 1 to see the shares without it. loadBalancer: {simple: ROUND_ROBIN} in the \
             DestinationRule ignores what is in flight"
                .to_owned(),
        ))
    }

    /// Endpoints that differ in weight, with requests in proportion.
    fn weights(&self) -> Option<Finding> {
        let uneven = self.sides.iter().any(|side| side.weight() != self.sides[0].weight());
        if !uneven || self.sides.iter().any(|side| self.is_off(side)) {
            return None;
        }
        let weights = self.list(|side| format!("weight {}", side.weight()));
        Some(finding(
            Cause::Weights,
            Effect::Moved,
            self.excess,
            format!(
                "endpoints have the weight of the pods behind them ({weights}): requests went to {}",
                self.requests()
            ),
            "Run the same number of pods in each cluster to get even shares".to_owned(),
        ))
    }
}

/// How often Istio's default policy retries a request.
const MAX_RETRIES: u64 = 2;

/// How many requests of the run a route sent to a cluster.
fn tried(case: &Case<'_>, upstream: &Upstream) -> u64 {
    // A request that reached no endpoint counts only as a 503.
    let reached =
        upstream.errors().saturating_sub(upstream.growth("upstream_rq_pending_failure_eject"));
    let unsent = match upstream.counters.is_empty() {
        true => nobody_healthy(case, upstream),
        false => upstream.growth("upstream_rq_503").saturating_sub(reached),
    };
    upstream.requests() + unsent
}

/// Istio's cluster for hosts that no service has. Its endpoints are the addresses of requests.
const PASSTHROUGH: &str = "PassthroughCluster";

/// Requests to a host that no service has, which a sidecar passes on to their address.
fn passed_through(case: &Case<'_>, found: &mut Explanation) -> bool {
    let passed = case.upstreams().iter().find(|upstream| upstream.name == PASSTHROUGH);
    let Some(upstream) = passed.filter(|upstream| upstream.requests() > 0) else { return false };
    let asked = upstream.endpoints.iter().filter(|endpoint| endpoint.requests.difference > 0);
    let addresses: Vec<_> = asked.take(4).map(|endpoint| endpoint.address.as_str()).collect();
    found.findings.push(finding(
        Cause::UnknownHost,
        Effect::Moved,
        upstream.requests(),
        format!(
            "{} went through {PASSTHROUGH} to {}: no service has the host that was asked for",
            count(upstream.requests(), "request"),
            addresses.join(", ")
        ),
        "Use the name of the service: a pod that is asked by address gets no load balancing, mTLS \
         or failover"
            .to_owned(),
    ));
    true
}

/// A VirtualService's split: each subset is an Envoy cluster of its own.
fn split(case: &Case<'_>, found: &mut Explanation) -> bool {
    let parts: Vec<_> = case
        .upstreams()
        .iter()
        .filter(|upstream| !upstream.subset().is_empty())
        .map(|upstream| (upstream.subset().to_owned(), tried(case, upstream)))
        .filter(|(_, count)| *count > 0)
        .collect();
    if parts.is_empty() {
        return false;
    }
    let all: u64 = parts.iter().map(|(_, count)| count).sum();
    let most = case.requests() + MAX_RETRIES * (case.tally.retried() + case.failed());
    if parts.len() > 1 && all > most {
        found.unknown.push(format!(
            "whether a route splits requests among subsets: they got {all} requests, more than the \
             {} of this run, so that a route mirrors requests or others send some",
            case.requests()
        ));
        return true;
    }
    if parts.len() == 1 || parts.iter().any(|(_, n)| off(*n, all, 1.0 / parts.len() as f64)) {
        found.findings.push(weighted_split(&parts, all));
    }
    true
}

/// `parts` are the subsets with their requests, `all` in total.
fn weighted_split(parts: &[(String, u64)], all: u64) -> Finding {
    let even = all / parts.len().max(1) as u64;
    let above = parts.iter().map(|(_, count)| count.saturating_sub(even)).sum::<u64>();
    let told = |(name, count): &(String, u64)| {
        let share = crate::units::rounded_percent(*count as f64 / all.max(1) as f64);
        format!("subset {name} {count} ({share})")
    };
    let (requests, evidence) = match parts {
        [(only, count)] => (
            all,
            format!(
                "a route sends all requests to subset {only} ({count}); there is no failover to \
                 another one"
            ),
        ),
        _ => (
            above,
            format!(
                "a route splits requests among subsets by weight: {}; there is no failover between \
                 them",
                parts.iter().map(told).collect::<Vec<_>>().join(", ")
            ),
        ),
    };
    let next = "kubectl get virtualservice -A -o yaml | grep -B4 'weight:'".to_owned();
    finding(Cause::WeightedSplit, Effect::Moved, requests, evidence, next)
}

/// Endpoints that were added or removed during the run.
fn changed(case: &Case<'_>, upstream: &Upstream, found: &mut Explanation) {
    let changes = upstream.growth("membership_change");
    let moved: Vec<_> = upstream
        .endpoints
        .iter()
        .filter(|e| e.before.is_some() != e.after.is_some() || e.requests.was_reset())
        .collect();
    // If an endpoint was removed, its counter is gone, so that fewer requests were counted than
    // answered.
    let sent = upstream.requests();
    let lost = case.requests().saturating_sub(case.failed()).saturating_sub(sent);
    if changes == 0 && moved.is_empty() {
        return;
    }
    let how = |e: &&Endpoint| match (&e.before, &e.after) {
        (Some(_), None) => format!("{} was removed", described(e)),
        (None, Some(_)) => format!("{} was added", described(e)),
        _ => format!("{} was removed and added again", described(e)),
    };
    let which: Vec<_> = moved.iter().take(4).map(how).collect();
    let which = match (which.is_empty(), lost) {
        (false, _) => format!(": {}", which.join(", ")),
        (true, 0) => String::new(),
        (true, lost) => {
            format!(
                ": one was removed and added again, and with it the count of {}",
                count(lost, "request")
            )
        }
    };
    // Not each Envoy keeps the counter.
    let times = match changes {
        0 => String::new(),
        _ => format!(", {}", count(changes, "time")),
    };
    let sides = sides(upstream);
    let answers = case.tally.answers_by(crate::tally::Label::Cluster);
    let most = answers.values().max().copied().unwrap_or(0);
    let even = case.tally.answers() / (answers.len().max(sides.len()).max(1) as u64);
    found.findings.push(finding(
        Cause::EndpointsChanged,
        Effect::Moved,
        most.saturating_sub(even).max(1),
        format!("endpoints changed during the run{times}{which}"),
        "istioctl remote-clusters; kubectl get events -A shows what removed them".to_owned(),
    ));
}

const LOOK_AT_NETWORKS: &str = "istioctl remote-clusters; kubectl get namespace istio-system -L \
                                topology.istio.io/network, in every cluster";

/// Why no endpoint is in another network, as far as that can be told; `others` is the number of
/// services that have such endpoints. To the client, a service without ready pods looks the same as
/// a missing remote secret.
fn no_remote_endpoint(known: usize, others: u64) -> (Cause, String, String) {
    let pods = "In the other cluster, run kubectl get pods,endpointslices for this service.";
    let have = match others {
        0 => {
            return (
                Cause::OnlyLocalEndpoints,
                format!(
                    "no remote endpoint: all endpoints ({known}) are in the client's region, and no \
                     service has an endpoint at a gateway: the other cluster has no ready pods, or \
                     the remote secret or a network label is missing"
                ),
                format!("{pods} If they are ready, run {LOOK_AT_NETWORKS}"),
            );
        }
        1 => "1 other service has endpoints".to_owned(),
        others => format!("{others} other services have endpoints"),
    };
    (
        Cause::NoRemoteMtlsEndpoints,
        format!(
            "all endpoints of this service ({known}) are in the client's region, but {have} at \
             gateways, so the remote secret works: the other cluster has no ready pods of this \
             service, they have no sidecar, or its port differs there"
        ),
        format!(
            "{pods} Are 2/2 containers ready? Is there a Service of the same name, namespace and port?"
        ),
    )
}

/// Why all endpoints are at home.
fn one_sided(case: &Case<'_>, upstream: &Upstream) -> Option<Finding> {
    let istio = upstream.name.starts_with("outbound|");
    let gateways = upstream.endpoints.iter().any(Endpoint::is_gateway);
    let known = upstream.endpoints.iter().filter(|e| e.after.is_some()).count();
    if !istio || gateways || known == 0 || case.expected {
        return None;
    }
    let client = case.client?;
    let home = client.node.as_ref().map(|node| node.locality.split('/').next().unwrap_or_default());
    let region = |e: &Endpoint| e.locality.split('/').next().unwrap_or_default().to_owned();
    let remote: Vec<_> = upstream
        .endpoints
        .iter()
        .filter(|e| home.is_some_and(|home| !home.is_empty() && region(e) != home))
        .collect();
    let failing = remote.iter().find(|e| e.connect_failures.difference > 0);
    let (cause, effect, evidence, next) = match (failing, client.others_with_gateways) {
        (Some(endpoint), _) => (
            Cause::PodAddresses,
            Effect::Failed,
            format!(
                "the endpoint {} is a pod's own address, not its network's gateway, and {} to it \
                 failed",
                described(endpoint),
                count(endpoint.connect_failures.difference, "connection")
            ),
            LOOK_AT_NETWORKS.to_owned(),
        ),
        (None, _) if !remote.is_empty() => return None,
        (None, others) => {
            let (cause, evidence, next) = no_remote_endpoint(known, others);
            (cause, Effect::Moved, evidence, next)
        }
    };
    Some(finding(cause, effect, case.requests(), evidence, next))
}

/// A gateway whose weight is less than the number of pods behind it, in several zones: Envoy keeps
/// an address once, with the weight of the first zone.
fn zones(case: &Case<'_>, upstream: &Upstream, found: &mut Explanation) {
    let weight = |e: &Endpoint| e.place().map_or(1, |place| place.weight);
    let all: u64 = upstream.endpoints.iter().map(weight).sum();
    for endpoint in upstream.endpoints.iter().filter(|e| e.is_gateway()) {
        let PodsBehind { pods, zones } = behind(case, endpoint);
        let own = weight(endpoint);
        // Weights may be multiples of the number of pods, so a pod at home is the unit.
        let at_home = upstream.endpoints.iter().find(|e| !e.is_gateway()).map_or(1, &weight);
        if zones < 2 || pods * at_home <= own {
            continue;
        }
        let (sent, right) = (upstream.requests(), all - own + pods * at_home);
        let should =
            (u128::from(sent) * u128::from(pods * at_home) / u128::from(right.max(1))) as u64;
        found.findings.push(finding(
            Cause::ZoneWeight,
            Effect::Moved,
            should.saturating_sub(endpoint.requests.difference).max(1),
            format!(
                "{} has weight {own}, but {pods} pods in {zones} zones are behind it: it got {} of {sent} \
                 requests instead of {should} (istio/istio#56355)",
                described(endpoint),
                endpoint.requests.difference,
            ),
            "Run its pods in one zone, or one gateway per zone".to_owned(),
        ));
    }
}
