//! How the client's Envoy chooses: what it holds, and what it was told to make of it.

use std::collections::BTreeMap;

use super::{Case, connections::described, servers::behind};
use crate::diagnosis::evidence::{Change, Endpoint, Upstream};
use crate::diagnosis::finding::{Cause, Effect, Explanation, Finding, Layer};
use crate::units::count;

/// How many standard deviations of a fair coin a share may be off before it is skewed: the chance
/// of more is 6e-5 for a balancer without a bias.
const DEVIATIONS: f64 = 4.0;

fn push(
    found: &mut Explanation,
    cause: Cause,
    effect: Effect,
    requests: u64,
    evidence: String,
    next: String,
) {
    let layer = Layer::ClientBalancer;
    found.findings.push(Finding { layer, cause, effect, requests, evidence, next });
}

/// Outlier detection that may not eject.
pub(super) fn ejection_capped(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let refused = upstream.came("outlier_detection.ejections_overflow");
        if refused == 0 || upstream.came("outlier_detection.ejections_enforced_total") > 0 {
            continue;
        }
        let limit = upstream.settings.as_ref().and_then(|s| s.max_ejection_percent);
        let limit = limit.map_or_else(String::new, |percent| {
            format!(": at most {percent} % of {} endpoints", upstream.endpoints.len())
        });
        push(
            found,
            Cause::EjectionCapped,
            Effect::Failed,
            case.failed().max(1),
            format!(
                "outlier detection wanted to eject {refused} times and might not \
                 (ejections_overflow){limit}"
            ),
            "set outlierDetection.maxEjectionPercent: 100 in the DestinationRule".to_owned(),
        );
    }
}

/// Nobody healthy to send to, or so few that all are used.
pub(super) fn nobody_left(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let none = upstream
            .came("upstream_cx_none_healthy")
            .max(case.said(&["no healthy upstream"]))
            .min(case.failed());
        let held = upstream.endpoints.iter().filter(|e| e.after.is_some()).count();
        if none > 0 {
            let ejections = upstream.came("outlier_detection.ejections_enforced_total");
            let (cause, evidence) = match (held, ejections) {
                (0, _) => {
                    let found = format!("{} found no endpoint at all", count(none, "request"));
                    (Cause::NoEndpoints, found)
                }
                (held, 0) => (
                    Cause::NoHealthyEndpoint,
                    format!("{none} requests found none of {held} endpoints healthy"),
                ),
                (held, n) => (
                    Cause::NoHealthyEndpoint,
                    format!(
                        "{none} requests found none of {held} endpoints healthy (\
                         upstream_cx_none_healthy) after {}",
                        count(n, "ejection")
                    ),
                ),
            };
            push(found, cause, Effect::Failed, none, evidence, case.look_at("endpoint", upstream));
        }
        let panicked = upstream.came("lb_healthy_panic");
        if panicked > 0 {
            let below = upstream.settings.as_ref().and_then(|s| s.panic_percent);
            let below = below.map_or_else(String::new, |percent| format!(" (below {percent} %)"));
            push(
                found,
                Cause::PanicMode,
                if case.failed() > 0 { Effect::Failed } else { Effect::Moved },
                if case.failed() > 0 { panicked.min(case.failed()) } else { panicked },
                format!(
                    "{panicked} times too few endpoints were healthy{below}, and all were used, \
                     ejected or not (lb_healthy_panic)"
                ),
                "look at why they are unhealthy; outlierDetection.minHealthPercent is the threshold"
                    .to_owned(),
            );
        }
    }
}

/// Endpoints that were taken out, by outlier detection or by who told of them.
pub(super) fn ejected(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let ejections = upstream.came("outlier_detection.ejections_enforced_total");
        let out: Vec<_> =
            upstream.endpoints.iter().filter(|e| health(e) == Some("ejected")).collect();
        if ejections > 0 || !out.is_empty() {
            let failing = upstream.endpoints.iter().filter(|e| e.errors.difference > 0);
            let whom = out.first().copied().or_else(|| failing.max_by_key(|e| e.errors.difference));
            let whom_text = whom.map_or_else(|| "an endpoint".to_owned(), described);
            let errors = whom.map_or(0, |endpoint| endpoint.errors.difference);
            let now = if out.is_empty() { "and has let it in again" } else { "which is still out" };
            push(
                found,
                Cause::Ejected,
                Effect::Moved,
                whom.map_or(1, |endpoint| missing(upstream, endpoint)).max(1),
                format!(
                    "outlier detection ejected {whom_text} ({}, {} there), {now}",
                    count(ejections, "ejection"),
                    count(errors, "error")
                ),
                case.look_at("endpoint", upstream),
            );
        }
        let sick = upstream.endpoints.iter().find(|endpoint| {
            health(endpoint).is_some_and(|health| health != "healthy" && health != "ejected")
        });
        if let Some(endpoint) = sick {
            push(
                found,
                Cause::Unhealthy,
                Effect::Moved,
                missing(upstream, endpoint).max(1),
                format!("{} is held as {}", described(endpoint), health(endpoint).unwrap_or("?")),
                case.look_at("endpoint", upstream),
            );
        }
    }
}

fn health(endpoint: &Endpoint) -> Option<&str> {
    Some(endpoint.after.as_ref()?.health.as_str())
}

/// What an endpoint got less than as many as it would have of equal shares, or had got before
/// others were first in line.
fn missing(upstream: &Upstream, endpoint: &Endpoint) -> u64 {
    let all = upstream.requests();
    let first = |e: &Endpoint| e.place().map_or(0, |place| place.priority);
    let rank = first(endpoint);
    let peers = upstream.endpoints.iter().filter(|e| first(e) == rank).count() as u64;
    let alone = upstream.endpoints.iter().all(|e| first(e) >= rank);
    let fair = if alone { all / peers.max(1) } else { 0 };
    fair.saturating_sub(endpoint.requests.difference)
}

/// The endpoints of one side: those at home, or those in one region behind gateways.
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

/// Whether so many of `all` are off a share by more than chance.
fn off(hits: u64, all: u64, share: f64) -> bool {
    let all = all as f64;
    (hits as f64 - share * all).abs() > DEVIATIONS * (all * share * (1.0 - share)).sqrt() + 1.0
}

/// What the first side got above its even part, where that is more than chance; of all sides.
fn skew(sides: &[Side<'_>]) -> Option<u64> {
    let all: u64 = sides.iter().map(Side::requests).sum();
    let even = 1.0 / sides.len().max(1) as f64;
    let skewed = all > 0 && sides.iter().any(|side| off(side.requests(), all, even));
    let above = |side: &Side<'_>| side.requests().saturating_sub(all / sides.len().max(1) as u64);
    skewed.then(|| sides.iter().map(above).sum())
}

/// What bends the shares without any failure: what is held, and how it is weighed.
pub(super) fn chosen(case: &Case<'_>, found: &mut Explanation) {
    if split(case, found) {
        return;
    }
    let Some(upstream) = case.upstreams().first() else { return };
    changed(case, upstream, found);
    let sides = sides(upstream);
    if sides.len() < 2 {
        one_sided(case, upstream, found);
        return;
    }
    zones(case, upstream, found);
    let Some(skew) = skew(&sides) else { return };
    let told = |side: &Side<'_>| format!("{} {}", side.name, side.requests());
    let got = sides.iter().map(told).collect::<Vec<_>>().join(", ");
    let settings = upstream.settings.as_ref();
    if let Some(settings) = settings.filter(|settings| settings.locality_weighted) {
        let told = |(name, weight): (&String, &u64)| format!("{name} {weight}");
        let weights: Vec<_> = settings.localities.iter().map(told).collect();
        push(
            found,
            Cause::Distribute,
            Effect::Moved,
            skew,
            format!("weights of localities count ({}): requests {got}", weights.join(", ")),
            "kubectl get destinationrule -A -o yaml | grep -A8 distribute".to_owned(),
        );
        return;
    }
    let first = sides.iter().map(Side::priority).min().unwrap_or(0);
    if sides.iter().any(|side| side.priority() != first) {
        let told = |side: &Side<'_>| format!("{} priority {}", side.name, side.priority());
        let ranks: Vec<_> = sides.iter().map(told).collect();
        push(
            found,
            Cause::LocalityFailover,
            Effect::Moved,
            skew,
            format!("a nearer locality comes first ({}): requests {got}", ranks.join(", ")),
            "that is locality failover, which acts with outlierDetection; localityLbSetting.enabled: \
             false in the DestinationRule turns it off"
                .to_owned(),
        );
        return;
    }
    let all: u64 = sides.iter().map(Side::requests).sum();
    let weights: u64 = sides.iter().map(Side::weight).sum();
    let share = |side: &Side<'_>| side.weight() as f64 / weights.max(1) as f64;
    let uneven = sides.iter().any(|side| side.weight() != sides[0].weight());
    if uneven && sides.iter().all(|side| !off(side.requests(), all, share(side))) {
        let told = |side: &Side<'_>| format!("{} weight {}", side.name, side.weight());
        let weights: Vec<_> = sides.iter().map(told).collect();
        push(
            found,
            Cause::Weights,
            Effect::Moved,
            skew,
            format!(
                "endpoints weigh as the pods behind them ({}): requests {got}",
                weights.join(", ")
            ),
            "as many pods in each cluster make even shares".to_owned(),
        );
        return;
    }
    if found.findings.is_empty() {
        let weights: Vec<_> = sides.iter().map(|side| side.weight().to_string()).collect();
        found.unknown.push(format!(
            "why the shares are uneven: requests {got}, of weights {} and equal priorities; no \
             known cause shows",
            weights.join(":")
        ));
    }
}

/// A VirtualService's split: each subset is a cluster of its own.
fn split(case: &Case<'_>, found: &mut Explanation) -> bool {
    let subset = |name: &str| name.split('|').nth(2).unwrap_or_default().to_owned();
    let tried = |upstream: &Upstream| {
        // A request that met no connection is one attempt of its retries.
        upstream.requests() + upstream.came("upstream_rq_503")
    };
    let parts: Vec<_> = case
        .upstreams()
        .iter()
        .filter(|upstream| !subset(&upstream.name).is_empty())
        .map(|upstream| (subset(&upstream.name), tried(upstream)))
        .filter(|(_, count)| *count > 0)
        .collect();
    if parts.is_empty() {
        return false;
    }
    let all: u64 = parts.iter().map(|(_, count)| count).sum();
    let even = all / parts.len() as u64;
    let above = parts.iter().map(|(_, count)| count.saturating_sub(even)).sum::<u64>();
    if parts.len() == 1 || parts.iter().any(|(_, n)| off(*n, all, 1.0 / parts.len() as f64)) {
        let told: Vec<_> = parts
            .iter()
            .map(|(name, count)| {
                let share = crate::units::rounded_percent(*count as f64 / all.max(1) as f64);
                format!("subset {name} {count} ({share})")
            })
            .collect();
        push(
            found,
            Cause::WeightedSplit,
            Effect::Moved,
            if parts.len() == 1 { all } else { above },
            format!(
                "requests go to subsets, by a route's weights: {}; there is no failover between them",
                told.join(", ")
            ),
            "kubectl get virtualservice -A -o yaml | grep -B4 'weight:'".to_owned(),
        );
    }
    true
}

/// Endpoints that came or went while the run went on.
fn changed(case: &Case<'_>, upstream: &Upstream, found: &mut Explanation) {
    let changes = upstream.came("membership_change");
    let moved: Vec<_> = upstream
        .endpoints
        .iter()
        .filter(|e| e.before.is_some() != e.after.is_some() || e.requests.began_anew())
        .collect();
    // A counter of an endpoint that was thrown away has less than what was answered.
    let sent = upstream.requests();
    let lost = case.requests().saturating_sub(case.failed()).saturating_sub(sent);
    if changes == 0 && moved.is_empty() {
        return;
    }
    let how = |e: &&Endpoint| match (&e.before, &e.after) {
        (Some(_), None) => format!("{} went", described(e)),
        (None, Some(_)) => format!("{} came", described(e)),
        _ => format!("{} went and came back", described(e)),
    };
    let which: Vec<_> = moved.iter().take(4).map(how).collect();
    let which = match (which.is_empty(), lost) {
        (false, _) => format!(": {}", which.join(", ")),
        (true, 0) => String::new(),
        (true, lost) => {
            format!(": one went and came back, and the count of {} with it", count(lost, "request"))
        }
    };
    let sides = sides(upstream);
    let answers = case.tally.answers_by(crate::tally::Label::Cluster);
    let most = answers.values().max().copied().unwrap_or(0);
    let even = case.tally.answers() / (answers.len().max(sides.len()).max(1) as u64);
    push(
        found,
        Cause::EndpointsChanged,
        Effect::Moved,
        most.saturating_sub(even).max(1),
        format!("endpoints were changed during the run, {}{which}", count(changes, "time")),
        "istioctl remote-clusters; kubectl get events -A: what removed them?".to_owned(),
    );
}

/// Only endpoints at home are held.
fn one_sided(case: &Case<'_>, upstream: &Upstream, found: &mut Explanation) {
    let istio = upstream.name.starts_with("outbound|");
    let gateways = upstream.endpoints.iter().any(Endpoint::is_gateway);
    let held = upstream.endpoints.iter().filter(|e| e.after.is_some()).count();
    if !istio || gateways || held == 0 || case.expected {
        return;
    }
    let Some(client) = case.client else { return };
    let home = client.node.as_ref().map(|node| node.locality.split('/').next().unwrap_or_default());
    let region = |e: &Endpoint| e.locality.split('/').next().unwrap_or_default().to_owned();
    let abroad: Vec<_> = upstream
        .endpoints
        .iter()
        .filter(|e| home.is_some_and(|home| !home.is_empty() && region(e) != home))
        .collect();
    let failing = abroad.iter().find(|e| e.connect_failures.difference > 0);
    let requests = case.requests();
    let next = "istioctl remote-clusters; kubectl get namespace istio-system -L \
                topology.istio.io/network, in every cluster";
    if let Some(endpoint) = failing {
        push(
            found,
            Cause::PodAddresses,
            Effect::Failed,
            requests,
            format!(
                "{} is held as a pod's own address, not as its network's gateway, and {} \
                 connections there failed",
                described(endpoint),
                endpoint.connect_failures.difference
            ),
            next.to_owned(),
        );
    } else if abroad.is_empty() && client.others_with_gateways > 0 {
        push(
            found,
            Cause::NoRemoteMtlsEndpoints,
            Effect::Moved,
            requests,
            format!(
                "{held} endpoints of this service are held, all at home, while {} other services \
                 have some at gateways: here no pod elsewhere has a sidecar, or none is ready",
                client.others_with_gateways
            ),
            "in the other cluster: kubectl get pods, with 2/2 containers? a Service of the same \
             name, namespace and port?"
                .to_owned(),
        );
    } else if abroad.is_empty() {
        push(
            found,
            Cause::OnlyLocalEndpoints,
            Effect::Moved,
            requests,
            format!(
                "{held} endpoints are held, all at home, and no service has any at a gateway: the \
                 remote secret or a network label is missing"
            ),
            next.to_owned(),
        );
    }
}

/// A gateway that weighs less than there are pods behind it, in several zones: an address is
/// held once, with the weight of the first zone.
fn zones(case: &Case<'_>, upstream: &Upstream, found: &mut Explanation) {
    let weight = |e: &Endpoint| e.place().map_or(1, |place| place.weight);
    let all: u64 = upstream.endpoints.iter().map(weight).sum();
    for endpoint in upstream.endpoints.iter().filter(|e| e.is_gateway()) {
        let (pods, zones) = behind(case, endpoint);
        let own = weight(endpoint);
        // Weights may be multiples of pods; what counts is pods at home of weight 1.
        let at_home = upstream.endpoints.iter().find(|e| !e.is_gateway()).map_or(1, &weight);
        if zones < 2 || pods * at_home <= own {
            continue;
        }
        let (sent, right) = (upstream.requests(), all - own + pods * at_home);
        let should =
            (u128::from(sent) * u128::from(pods * at_home) / u128::from(right.max(1))) as u64;
        push(
            found,
            Cause::ZoneWeight,
            Effect::Moved,
            should.saturating_sub(endpoint.requests.difference).max(1),
            format!(
                "{} weighs {own}, and {pods} pods in {zones} zones stand behind it: {} of {sent} \
                 requests instead of {should} (istio/istio#56355)",
                described(endpoint),
                endpoint.requests.difference,
            ),
            "one zone for its pods, or as many gateways as zones".to_owned(),
        );
    }
}

/// What is as it should be, one line.
pub(super) fn well(case: &Case<'_>) -> Option<String> {
    let upstream = case.upstreams().first()?;
    let told = |e: &Endpoint| {
        let Change { difference, .. } = e.requests;
        let weight = e.place().map_or(0, |place| place.weight);
        format!("{} {difference} (weight {weight})", described(e))
    };
    let shown: Vec<_> = upstream.endpoints.iter().take(6).map(told).collect();
    Some(format!("nothing is skewed; requests by endpoint: {}", shown.join(", ")))
}
