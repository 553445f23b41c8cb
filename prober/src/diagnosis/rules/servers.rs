//! Causes at servers and gateways: refused connections, errors, pinned connections, slow answers.

use std::time::Duration;

use super::case::Case;
use super::connections::described;
use super::erring::{Erring, divided};
use super::said::Said;
use crate::diagnosis::evidence::{Endpoint, Reading, Role, Upstream};
use crate::diagnosis::finding::{Cause, Effect, Explanation, Finding, Layer};
use crate::stats::exact;
use crate::tally::latency::Latency;
use crate::tally::{BackendTally, Label, Tally};
use crate::units::count;

/// With fewer connections than this per pod behind a gateway, a pod may get none by chance.
const ENOUGH_CONNECTIONS: u64 = 10;
/// A cluster is slow compared to another if the p90 of its latency is so many times as long, and so
/// much longer.
const SLOW_FACTOR: u32 = 3;
const SLOW_BY: Duration = Duration::from_millis(20);
/// The risk of error of each bound on the share of late answers.
const SLOW_RISK: f64 = 1e-4;
/// Fewer answers than this cannot be compared.
const ENOUGH_ANSWERS: u64 = 20;

/// The listener's counter of connections that match no filter chain.
const NO_CHAIN: &str = "no_filter_chain_match";

fn misses(reading: &Reading) -> u64 {
    let all = reading.listeners.iter().filter(|(name, _)| name.ends_with(NO_CHAIN));
    all.map(|(_, change)| change.difference).sum()
}

/// A sidecar without a filter chain for plaintext: its mode is STRICT.
pub(super) fn plaintext(case: &Case<'_>, found: &mut Explanation) {
    let closed = case.saying(|said| matches!(said, Said::Cut | Said::Termination));
    for server in case.with_role(Role::Server) {
        let requests = misses(server).min(closed);
        if requests == 0 {
            continue;
        }
        found.findings.push(Finding {
            layer: Layer::Server,
            cause: Cause::PlaintextRefused,
            effect: Effect::Failed,
            requests,
            evidence: format!(
                "{} had no filter chain for {} ({NO_CHAIN}) and closed them: it accepts mTLS only",
                server.name,
                count(misses(server), "connection")
            ),
            next: "kubectl get peerauthentication -A; then give the caller a sidecar, or set the \
                   service's mode to PERMISSIVE"
                .to_owned(),
        });
    }
}

/// A gateway without a filter chain for the requested server name.
pub(super) fn unknown_server_names(case: &Case<'_>, found: &mut Explanation) {
    let failed = case.saying(|said| {
        matches!(said, Said::ConnectionFailure | Said::Termination | Said::Cut | Said::Elsewhere)
    });
    for gateway in case.with_role(Role::Gateway) {
        let requests = misses(gateway).min(failed.max(case.tally.retried()));
        if requests == 0 {
            continue;
        }
        found.findings.push(Finding {
            layer: Layer::Gateway,
            cause: Cause::UnknownServerName,
            effect: if failed > 0 { Effect::Failed } else { Effect::Moved },
            requests,
            evidence: format!(
                "{} had no filter chain for {} ({NO_CHAIN})",
                gateway.name,
                count(misses(gateway), "connection")
            ),
            next: "kubectl -n istio-system get gateway cross-network-gateway -o yaml; does the \
                   service exist there with the same name, namespace and port, and for a subset \
                   its DestinationRule too?"
                .to_owned(),
        });
    }
}

/// Attempts that an endpoint answered with an error, though it accepted the connection.
pub(super) fn error_responses(upstream: &Upstream) -> u64 {
    if upstream.counters.is_empty() {
        // Without counters, only endpoints without a failed connection are certain.
        let sure = upstream.endpoints.iter().filter(|e| e.connect_failures.difference == 0);
        return sure.map(|e| e.errors.difference).sum();
    }
    let grew = |counter| upstream.growth(counter);
    let ended = grew("upstream_cx_destroy_remote_with_active_rq");
    // What the Envoy could not read or was refused: some of it is counted by both.
    let reset = grew("upstream_rq_rx_reset")
        .max(grew("http2.rx_reset") + grew("http2.header_list_size_too_large"));
    let made_here = [
        grew("upstream_rq_pending_failure_eject"),
        ended,
        grew("upstream_cx_protocol_error").saturating_sub(ended),
        reset,
        grew("upstream_rq_timeout"),
        grew("upstream_rq_per_try_timeout"),
    ];
    upstream.errors().saturating_sub(made_here.iter().sum())
}

/// The sidecars behind a cluster's endpoints that could not connect to their application. Which
/// pods are behind a gateway is not known, so that each may be one, unless it is an endpoint of
/// another cluster.
fn dead_behind(case: &Case<'_>, upstream: &Upstream) -> Vec<String> {
    let ip = |endpoint: &Endpoint| {
        endpoint.address.rsplit_once(':').map(|(ip, _)| ip.to_owned()).unwrap_or_default()
    };
    let is_at = |server: &Reading, upstream: &Upstream| {
        let own = server.node.as_ref().and_then(|node| node.id.split('~').nth(1));
        own.is_some_and(|own| upstream.endpoints.iter().any(|endpoint| ip(endpoint) == own))
    };
    let elsewhere = |server: &Reading| {
        let others = case.upstreams().iter().filter(|other| other.name != upstream.name);
        !is_at(server, upstream) && others.into_iter().any(|other| is_at(server, other))
    };
    let dead = case.with_role(Role::Server).filter(|server| !elsewhere(server));
    let told = dead.filter_map(|server| {
        let inbound = server.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
        let failed: u64 = inbound.map(|endpoint| endpoint.connect_failures.difference).sum();
        let tried = || count(failed, "connection");
        (failed > 0).then(|| format!("{} failed to open {} to it", server.name, tried()))
    });
    told.collect()
}

/// A cluster whose endpoints answered with errors.
struct Answers<'a> {
    upstream: &'a Upstream,
    /// How many.
    errors: u64,
    /// The sidecars behind it that could not connect to their application.
    dead: Vec<String>,
}

impl Answers<'_> {
    /// How many of the errors may be of a sidecar that could not connect: it answers with 503.
    fn most_dead(&self) -> u64 {
        match self.upstream.counters.is_empty() {
            true => self.errors,
            false => self.errors.min(self.upstream.growth("upstream_rq_503")),
        }
    }
}

/// How many of the errors have one cause: those of each cluster, and those of which the cluster is
/// not known.
struct Parts {
    each: Vec<u64>,
    unknown: u64,
}

impl Parts {
    fn add(&mut self, failures: u64, most: &[u64]) -> u64 {
        let Some(parts) = divided(failures, most) else {
            self.unknown += failures;
            return 0;
        };
        self.each.iter_mut().zip(&parts).for_each(|(each, part)| *each += part);
        failures.saturating_sub(parts.iter().sum())
    }
}

/// The errors of sidecars that could not connect to their application, by the words of the
/// responses, or by the sidecars that were read if the words were replaced on the way.
fn of_dead_applications(case: &Case<'_>, all: &[Answers<'_>], unexplained: u64) -> Parts {
    let mut parts = Parts { each: vec![0; all.len()], unknown: 0 };
    // The client's own Envoy says the same about its own connections.
    let said = case.saying(|said| said == Said::ConnectionFailure);
    let said = said.saturating_sub(case.connect_failures());
    let read: Vec<_> = all.iter().map(|a| if a.dead.is_empty() { 0 } else { a.errors }).collect();
    let rest = parts.add(if said > 0 { said } else { unexplained }, &read);
    if said > 0 {
        let single = all.len() == 1;
        let most = |a: &Answers<'_>| if single { a.errors } else { a.most_dead() };
        let others = all.iter().map(|a| if a.dead.is_empty() { most(a) } else { 0 });
        parts.add(rest, &others.collect::<Vec<_>>());
    }
    parts
}

/// Error responses: the application behind a sidecar is down, or it responds with errors itself.
/// `unexplained` of them may be of applications.
pub(super) fn error_answers(case: &Case<'_>, unexplained: u64, found: &mut Explanation) {
    let answers = |upstream| Answers {
        upstream,
        errors: error_responses(upstream).min(case.failed()),
        dead: dead_behind(case, upstream),
    };
    let all: Vec<_> = case.upstreams().iter().map(answers).filter(|a| a.errors > 0).collect();
    let dead = of_dead_applications(case, &all, unexplained);
    let by_words = case.saying(|said| said == Said::ConnectionFailure) > case.connect_failures();
    let explained = if by_words { 0 } else { dead.each.iter().sum::<u64>() + dead.unknown };
    let left: Vec<_> = all.iter().zip(&dead.each).map(|(a, dead)| a.errors - dead).collect();
    let mut own = Parts { each: vec![0; all.len()], unknown: 0 };
    own.add(unexplained.saturating_sub(explained), &left);
    for (answers, (dead, own)) in all.iter().zip(dead.each.iter().zip(&own.each)) {
        let one = std::slice::from_ref(answers);
        found.findings.extend((*dead > 0).then(|| dead_application(case, one, *dead)));
        found.findings.extend((*own > 0).then(|| own_errors(case, one, *own)));
    }
    found.findings.extend((dead.unknown > 0).then(|| dead_application(case, &all, dead.unknown)));
    found.findings.extend((own.unknown > 0).then(|| own_errors(case, &all, own.unknown)));
}

fn dead_application(case: &Case<'_>, of: &[Answers<'_>], requests: u64) -> Finding {
    let mut servers: Vec<_> = of.iter().flat_map(|answers| answers.dead.clone()).collect();
    servers.dedup();
    let by = match servers.is_empty() {
        true => " by a sidecar that could not connect to its application".to_owned(),
        false => {
            format!("; the sidecar is up, but its application is not: {}", servers.join(", "))
        }
    };
    Finding {
        layer: Layer::Server,
        cause: Cause::AppDead,
        effect: Effect::Failed,
        requests,
        evidence: Erring::of(case, of.iter().map(|a| a.upstream)).answered(requests, &by),
        next: "kubectl get pods: is the application's container ready, and does it listen on the \
               service's targetPort?"
            .to_owned(),
    }
}

fn own_errors(case: &Case<'_>, of: &[Answers<'_>], requests: u64) -> Finding {
    let by = " by the application or a service that it calls";
    Finding {
        layer: Layer::Server,
        cause: Cause::ServerErrors,
        effect: Effect::Failed,
        requests,
        evidence: Erring::of(case, of.iter().map(|a| a.upstream)).answered(requests, by),
        next: "kubectl logs of the pods that answer with errors".to_owned(),
    }
}

/// Endpoints that accepted requests and did not respond before the client gave up.
pub(super) fn no_answer(case: &Case<'_>, found: &mut Explanation) {
    let mut late = case.saying(|said| said == Said::Late);
    let ends = case.upstreams().iter().flat_map(|upstream| &upstream.endpoints);
    let mut silent: Vec<_> = ends.filter(|endpoint| endpoint.unanswered > 0).collect();
    silent.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.unanswered));
    for endpoint in silent {
        let requests = endpoint.unanswered.min(late);
        if requests == 0 {
            return;
        }
        late -= requests;
        let place = if endpoint.is_gateway() { "In the cluster behind it, run " } else { "" };
        found.findings.push(Finding {
            layer: Layer::Server,
            cause: Cause::NoAnswer,
            effect: Effect::Failed,
            requests,
            evidence: format!(
                "{} of {} to {} got no response within the client's limit",
                endpoint.unanswered,
                count(endpoint.requests.difference, "request"),
                described(endpoint)
            ),
            next: format!(
                "{place}kubectl get pods and kubectl logs: does the application hang? The client's \
                 limit is --max-time"
            ),
        });
    }
}

/// The backends in an endpoint's region; backends that state no region count if they are in another
/// cluster than the client.
fn backends_at<'a>(case: &Case<'a>, endpoint: &Endpoint) -> Vec<&'a BackendTally> {
    let region = endpoint.locality.split('/').next().unwrap_or_default();
    let home = case.client.and_then(|client| client.node.as_ref()).map(|node| &node.cluster);
    let there = case.tally.backends.iter().filter(|(who, _)| match &who.region {
        Some(own) if !region.is_empty() => own == region,
        _ => home.is_some_and(|home| !home.is_empty() && *home != who.cluster),
    });
    there.map(|(_, backend)| backend).collect()
}

/// The pods behind a gateway.
pub(super) struct PodsBehind {
    pub(super) pods: u64,
    /// In how many zones they are; 0 if the gateway's Envoy was not read.
    pub(super) zones: usize,
}

/// The pods behind a gateway by the endpoints of its own Envoy, or else by its weight.
pub(super) fn behind(case: &Case<'_>, endpoint: &Endpoint) -> PodsBehind {
    let own_view = |reading: &&Reading| {
        let all: Vec<_> = reading
            .upstreams
            .iter()
            .filter(|upstream| upstream.name.starts_with("outbound_."))
            .flat_map(|upstream| upstream.endpoints.iter().filter(|e| e.after.is_some()))
            .collect();
        let zones: std::collections::BTreeSet<_> = all.iter().map(|e| e.locality.clone()).collect();
        zones
            .contains(&endpoint.locality)
            .then_some(PodsBehind { pods: all.len() as u64, zones: zones.len() })
    };
    let gateways = case.others.iter().copied().filter(|r| r.role == Role::Gateway);
    let weight = endpoint.place().map_or(1, |place| place.weight);
    gateways
        .into_iter()
        .find_map(|reading| own_view(&reading))
        .unwrap_or(PodsBehind { pods: weight, zones: 0 })
}

/// Few connections through a gateway reach only some of the pods behind it.
pub(super) fn pinned(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        for endpoint in upstream.endpoints.iter().filter(|endpoint| endpoint.is_gateway()) {
            let PodsBehind { pods, .. } = behind(case, endpoint);
            let answering = backends_at(case, endpoint);
            let (seen, answers) =
                (answering.len() as u64, answering.iter().map(|b| b.answers).sum::<u64>());
            let opened = endpoint.connections.difference;
            if pods < 2
                || seen == 0
                || seen >= pods
                || answers < ENOUGH_ANSWERS
                || opened >= ENOUGH_CONNECTIONS * pods
            {
                continue;
            }
            found.findings.push(Finding {
                layer: Layer::Gateway,
                cause: Cause::Pinned,
                effect: Effect::Concentrated,
                requests: answers * (pods - seen) / pods,
                evidence: format!(
                    "{answers} answers came over {} to {}, which balances connections, not requests: \
                     {seen} of {pods} pods behind it answered",
                    match opened {
                        0 => "connections from before the run".to_owned(),
                        n => count(n, "new connection"),
                    },
                    described(endpoint),
                ),
                next: "Send more requests at once to open more connections (-c 32), or set \
                       connectionPool.http.maxRequestsPerConnection in a DestinationRule"
                    .to_owned(),
            });
        }
    }
}

/// A cluster whose answers take much longer than another's.
pub(super) fn slow(case: &Case<'_>, found: &mut Explanation) {
    // A connect timeout delays the answer of the backend that is tried next.
    if case.growth("upstream_cx_connect_timeout") > 0 {
        return;
    }
    let mut clusters: Vec<_> = case
        .tally
        .answers_by(Label::Cluster)
        .into_iter()
        .filter(|(_, answers)| *answers >= ENOUGH_ANSWERS)
        .filter_map(|(name, answers)| {
            Some((latency(case.tally, &name).quantile(0.9)?, name, answers))
        })
        .collect();
    clusters.sort_by_key(|(time, _, _)| *time);
    let (Some(fast), Some(slow)) = (clusters.first(), clusters.last()) else { return };
    if slow.0 < fast.0 * SLOW_FACTOR || slow.0 < fast.0 + SLOW_BY {
        return;
    }
    // A retried answer includes the time of the failed attempt, whichever backend it is from.
    let own = case.tally.backends.iter().filter(|(who, _)| who.cluster == slow.1);
    if own.map(|(_, backend)| backend.retried).sum::<u64>() * 10 >= slow.2 {
        return;
    }
    // A stall of this machine delays a few answers of both clusters; a slow one surely has more.
    let late = (fast.0 * SLOW_FACTOR).max(fast.0 + SLOW_BY);
    let late_of = |name: &str| latency(case.tally, name).at_least(late);
    let least = exact::lower(late_of(&slow.1) as f64, slow.2 as f64, SLOW_RISK);
    let most = exact::upper(late_of(&fast.1) as f64, fast.2 as f64, SLOW_RISK);
    if least <= most {
        return;
    }
    found.findings.push(Finding {
        layer: Layer::Network,
        cause: Cause::Slow,
        effect: Effect::Delayed,
        requests: late_of(&slow.1),
        evidence: format!(
            "90 % of the answers of {} arrive within {:.0?}, of {} within {:.0?}; LEAST_REQUEST sends \
             less to slow endpoints while requests are in flight",
            slow.1, slow.0, fast.1, fast.0
        ),
        next: format!(
            "Probe {} from a client in its own cluster: if it is slow there too, its pods are the \
             cause, else the network between the clusters",
            slow.1
        ),
    });
}

/// The latency of all answers of a cluster.
fn latency(tally: &Tally, cluster: &str) -> Latency {
    let mut all = Latency::default();
    for (_, backend) in tally.backends.iter().filter(|(who, _)| who.cluster == cluster) {
        all.merge(&backend.latency());
    }
    all
}
