//! Connections of the client's Envoy that failed, or were closed while requests were in flight.

use super::case::Case;
use super::said::Said;
use crate::diagnosis::evidence::{Endpoint, Reading, Role, Upstream};
use crate::diagnosis::finding::{Cause, Effect, Explanation, Finding, Layer};
use crate::units::count;

/// How connections failed, by the counters of their cluster.
struct Failures {
    root: u64,
    san: u64,
    timeout: u64,
    /// The rest: refused, or closed before the handshake.
    refused: u64,
    all: u64,
}

impl Failures {
    fn of(upstream: &Upstream) -> Self {
        let all = upstream.endpoints.iter().map(|e| e.connect_failures.difference).sum();
        let san = upstream.growth("ssl.fail_verify_san");
        let root = upstream.growth("ssl.fail_verify_error")
            + upstream.growth("ssl.fail_verify_no_cert")
            + upstream.growth("ssl.fail_verify_cert_hash");
        let timeout = upstream.growth("upstream_cx_connect_timeout");
        let refused = u64::saturating_sub(all, san + root + timeout);
        Self { root, san, timeout, refused, all }
    }
}

/// Connections that failed, by the counters for TLS and for timeouts.
pub(super) fn failed(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams() {
        let failures = Failures::of(upstream);
        if failures.all == 0 {
            continue;
        }
        let made = if upstream.counters.is_empty() {
            vec![(Cause::ConnectionsFail, failures.all)]
        } else {
            let kinds = [
                (Cause::RootMismatch, failures.root),
                (Cause::SanMismatch, failures.san),
                (Cause::ConnectTimeout, failures.timeout),
                (Cause::ConnectionRefused, failures.refused),
            ];
            kinds.into_iter().filter(|(_, count)| *count > 0).collect()
        };
        for (cause, part) in made {
            found.findings.push(finding(case, upstream, cause, part, failures.all));
        }
    }
}

fn finding(case: &Case<'_>, upstream: &Upstream, cause: Cause, part: u64, all: u64) -> Finding {
    let worst = upstream.endpoints.iter().max_by_key(|e| e.connect_failures.difference);
    let (effect, requests) = effect(case, cause);
    // Each kind accounts for its part.
    let requests = (u128::from(requests) * u128::from(part) / u128::from(all.max(1))) as u64;
    Finding {
        layer: layer(case, cause, worst),
        cause,
        effect,
        requests: requests.max(1),
        evidence: evidence(case, upstream, cause, part),
        next: next_step(case, upstream, cause, worst),
    }
}

/// What failed connections did: requests failed, or were retried elsewhere, which answers show by
/// their attempts. A retry after a timeout is late.
fn effect(case: &Case<'_>, cause: Cause) -> (Effect, u64) {
    let (retried, failed) = (case.tally.retried(), case.failed());
    // Failures that mention connections, or time limits.
    let own = case.saying(|said| matches!(said, Said::ConnectionFailure | Said::Late)).min(failed);
    match cause {
        _ if own > retried => (Effect::Failed, own),
        Cause::ConnectTimeout => (Effect::Delayed, retried.max(own)),
        _ => (Effect::Moved, retried),
    }
}

/// The connections that gateways failed to open to the pods behind them: where they were read.
fn behind_gateways(case: &Case<'_>) -> Vec<String> {
    let each = |gateway: &Reading| {
        let ends = gateway.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
        let failing: Vec<_> = ends.filter(|e| e.connect_failures.difference > 0).collect();
        let told = failing.iter().take(3).map(|e| {
            let failed = count(e.connect_failures.difference, "connection");
            format!("{} failed to open {failed} to {}", gateway.name, described(e))
        });
        told.collect::<Vec<_>>()
    };
    case.with_role(Role::Gateway).flat_map(each).collect()
}

fn layer(case: &Case<'_>, cause: Cause, endpoint: Option<&Endpoint>) -> Layer {
    match cause {
        Cause::ConnectionRefused if !behind_gateways(case).is_empty() => Layer::Server,
        Cause::ConnectionRefused | Cause::ConnectTimeout => match endpoint {
            Some(endpoint) if endpoint.is_gateway() => Layer::Gateway,
            _ => Layer::Server,
        },
        _ => Layer::Network,
    }
}

fn evidence(case: &Case<'_>, upstream: &Upstream, cause: Cause, part: u64) -> String {
    let mut failing: Vec<_> =
        upstream.endpoints.iter().filter(|e| e.connect_failures.difference > 0).collect();
    failing.sort_by_key(|e| std::cmp::Reverse(e.connect_failures.difference));
    let ends: Vec<_> = failing
        .iter()
        .take(3)
        .map(|e| {
            let (failed, all) = (e.connect_failures.difference, e.connections.difference);
            // Connections that never came up may not be among all.
            let of = match failed <= all {
                true => format!("{failed} of {}", count(all, "connection")),
                false => count(failed, "connection"),
            };
            format!("{of} to {}", described(e))
        })
        .collect();
    let how = match cause {
        Cause::RootMismatch => {
            format!("{part} by ssl.fail_verify_error: the issuer of the certificate is unknown")
        }
        Cause::SanMismatch => {
            format!("{part} by ssl.fail_verify_san: the certificate is for another service account")
        }
        Cause::ConnectTimeout => format!("{part} by upstream_cx_connect_timeout"),
        Cause::ConnectionRefused => {
            let how = format!("{part} with neither a timeout nor a TLS failure");
            match (failing.first().is_some_and(|e| e.is_gateway()), behind_gateways(case)) {
                (false, _) => how,
                (true, pods) if pods.is_empty() && upstream.subset().is_empty() => {
                    format!("{how}: closed or refused at the gateway or the pods behind it")
                }
                (true, pods) if pods.is_empty() => format!(
                    "{how}: closed or refused at the gateway, which may not know subset {}, or the \
                     pods behind it",
                    upstream.subset()
                ),
                (true, pods) => format!("{how}: {}", pods.join(", ")),
            }
        }
        _ => "but how is not counted".to_owned(),
    };
    let retried = match case.tally.retried() {
        0 => String::new(),
        n => format!("; {} came from a retry", count(n, "answer")),
    };
    format!("{} failed, {how}{retried}", ends.join(", "))
}

/// `127.10.2.3:15443 (gateway, us-west1/us-west1-b)`.
pub(super) fn described(endpoint: &Endpoint) -> String {
    let Endpoint { address, locality, .. } = endpoint;
    match (endpoint.is_gateway(), locality.as_str()) {
        (true, "") => format!("{address} (gateway)"),
        (true, _) => format!("{address} (gateway, {locality})"),
        (false, "") => address.clone(),
        (false, _) => format!("{address} ({locality})"),
    }
}

fn next_step(
    case: &Case<'_>,
    upstream: &Upstream,
    cause: Cause,
    worst: Option<&Endpoint>,
) -> String {
    let gateway = worst.is_some_and(Endpoint::is_gateway);
    match cause {
        Cause::RootMismatch => case.secrets(),
        Cause::SanMismatch => {
            "kubectl get destinationrule -A -o yaml | grep -A3 subjectAltNames; and check the service \
             account of the pods there"
                .to_owned()
        }
        Cause::ConnectionRefused
            if gateway && behind_gateways(case).is_empty() && !upstream.subset().is_empty() =>
        {
            format!(
                "In the cluster behind it, run kubectl get destinationrule,pods -A: is the \
                 DestinationRule with subset {} in that cluster too? Are the pods of the service and \
                 istio-system's istio-eastwestgateway running?",
                upstream.subset()
            )
        }
        Cause::ConnectionRefused if gateway && behind_gateways(case).is_empty() => {
            "In the cluster behind it, run kubectl get pods -A -o wide: are the pods of the service \
             and istio-system's istio-eastwestgateway running?"
                .to_owned()
        }
        Cause::ConnectionRefused if gateway => {
            "In the cluster behind it, run kubectl get pods -A -o wide: are the pods of the service \
             running?"
                .to_owned()
        }
        // By either API, its name holds this word.
        Cause::ConnectTimeout | Cause::ConnectionsFail if gateway => {
            "In the cluster behind it, run kubectl -n istio-system get pods,svc | grep eastwestgateway"
                .to_owned()
        }
        Cause::ConnectionRefused | Cause::ConnectTimeout => {
            "kubectl get pods -o wide: is the pod at that address running?".to_owned()
        }
        _ => case.look_at("endpoint", upstream),
    }
}

/// Connections that were closed while requests were in flight. A TLS error means that the server
/// refused the client's certificate, which with TLS 1.3 arrives after the client's part of the
/// handshake.
pub(super) fn broken(case: &Case<'_>, found: &mut Explanation) {
    let refusing: Vec<_> = case
        .others
        .iter()
        .filter_map(|reading| {
            let mut all = reading.listeners.iter();
            let own = all.find(|(name, _)| name.ends_with("ssl.fail_verify_error"))?.1;
            Some(format!("{} refused {} certificates", reading.name, own.difference))
        })
        .collect();
    // Where an Envoy closed them on purpose, that is the cause.
    let refused: u64 = case.others.iter().map(|reading| reading.closed_on_purpose()).sum();
    let failed = case.saying(Said::may_be_broken_connection);
    for upstream in case.upstreams() {
        let ended = upstream.growth("upstream_cx_destroy_remote_with_active_rq");
        let ended = ended.saturating_sub(refused);
        let alerts = upstream.growth("ssl.connection_error").min(ended);
        let requests = |count: u64| count.min(failed.max(case.tally.retried()));
        let effect = if failed > 0 { Effect::Failed } else { Effect::Moved };
        if requests(alerts) > 0 {
            let said = if refusing.is_empty() {
                String::new()
            } else {
                format!("; {} (ssl.fail_verify_error)", refusing.join(", "))
            };
            found.findings.push(Finding {
                layer: Layer::Server,
                cause: Cause::ClientRootMismatch,
                effect,
                requests: requests(alerts),
                evidence: format!(
                    "{} failed with a TLS error after the handshake, while a request was in flight \
                     (ssl.connection_error){said}",
                    count(alerts, "connection")
                ),
                next: case.secrets(),
            });
        }
        let others = ended - alerts;
        if others > 0 && requests(others) > 0 {
            found.findings.push(Finding {
                layer: Layer::Network,
                cause: Cause::ConnectionsBroken,
                effect,
                requests: requests(others),
                evidence: format!(
                    "the other side closed {} while a request was in flight \
                     (upstream_cx_destroy_remote_with_active_rq)",
                    count(others, "connection")
                ),
                next: "kubectl get events -A --field-selector reason=Killing: were pods killed before \
                       they were drained?"
                    .to_owned(),
            });
        }
    }
}
