//! Causes at servers and gateways: refused connections, errors, pinned connections, slow answers.

use std::time::Duration;

use super::case::Case;
use super::connections::described;
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
                   service exist there with the same name, namespace and port?"
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

/// How many requests to an endpoint ended in an error, the most first, at most three.
pub(super) fn failing(upstream: &Upstream) -> Vec<String> {
    let mut failing: Vec<_> =
        upstream.endpoints.iter().filter(|e| e.errors.difference > 0).collect();
    failing.sort_by_key(|e| std::cmp::Reverse(e.errors.difference));
    let told = |e: &&Endpoint| {
        let all = e.requests.difference.max(e.errors.difference);
        format!("{} of {} to {}", e.errors.difference, count(all, "request"), described(e))
    };
    failing.iter().take(3).map(told).collect()
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

/// How many error responses of a cluster are of sidecars that could not connect to their
/// application, by the words of the responses; `None` if other clusters erred, too, and no counter
/// tells whose words these are.
fn of_dead_application(case: &Case<'_>, upstream: &Upstream, responses: u64) -> Option<u64> {
    // The client's own Envoy says the same about its own connections.
    let own = case.upstreams().iter().flat_map(|upstream| &upstream.endpoints);
    let own: u64 = own.map(|endpoint| endpoint.connect_failures.difference).sum();
    let said = case.saying(|said| said == Said::ConnectionFailure).saturating_sub(own);
    let erring = case.upstreams().iter().filter(|upstream| error_responses(upstream) > 0).count();
    match (said, upstream.counters.is_empty()) {
        (0, _) => Some(0),
        _ if erring == 1 => Some(said.min(responses)),
        (_, true) => None,
        (_, false) => Some(said.min(responses).min(upstream.growth("upstream_rq_503"))),
    }
}

/// Error responses: the application behind a sidecar is down, or it responds with errors itself.
/// `unexplained` of them may be of applications.
pub(super) fn error_answers(case: &Case<'_>, unexplained: u64, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let responses = error_responses(upstream).min(case.failed());
        if responses == 0 {
            continue;
        }
        let servers = dead_behind(case, upstream);
        let own = unexplained.min(responses);
        let (dead, erring) = match of_dead_application(case, upstream, responses) {
            _ if !servers.is_empty() => {
                let said = case.saying(|said| said == Said::ConnectionFailure) + unexplained;
                (responses.min(said), 0)
            }
            Some(dead) => (dead, own.min(responses - dead)),
            None => (0, responses),
        };
        let answered = format!("{} were answered with an error", failing(upstream).join(", "));
        if dead > 0 {
            let proof = match servers.is_empty() {
                true => " by a sidecar that could not connect to its application".to_owned(),
                false => format!(
                    "; the sidecar is up, but its application is not: {}",
                    servers.join(", ")
                ),
            };
            found.findings.push(Finding {
                layer: Layer::Server,
                cause: Cause::AppDead,
                effect: Effect::Failed,
                requests: dead,
                evidence: format!("{answered}{proof}"),
                next: "kubectl get pods: is the application's container ready, and does it \
                       listen on the service's targetPort?"
                    .to_owned(),
            });
        }
        if erring > 0 {
            let by = match own {
                0 => " by the application, or by a sidecar that could not connect to it",
                _ => " by the application or a service that it calls",
            };
            found.findings.push(Finding {
                layer: Layer::Server,
                cause: Cause::ServerErrors,
                effect: Effect::Failed,
                requests: erring,
                evidence: format!("{answered}{by}"),
                next: "kubectl logs of the pods that answer with errors".to_owned(),
            });
        }
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
