//! All advice in one place: what the numbers of a report suggest to do next. Each piece names one
//! remedy and one command. Pure; printed on stderr after the report.

mod verdicts;

use crate::report::{Report, Row};
use crate::tally::Tally;
use crate::tally::outcome::FailureKind;
use crate::units::count;
use crate::verdict::Verdict;

/// The advice on a report: one line each, without duplicates.
#[must_use]
pub(crate) fn of(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for row in &report.rows {
        for line in of_row(row) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// The advice on one row.
#[must_use]
pub(crate) fn of_row(row: &Row) -> Vec<String> {
    let Some(tally) = row.tally() else { return Vec::new() };
    let mut lines = Vec::new();
    for (kind, _) in tally.failures_by_kind() {
        lines.extend(of_kind(kind, row, tally));
    }
    lines.extend(row.verdicts().iter().filter_map(|judged| verdicts::of(judged, row, tally)));
    lines.extend(pinned(row, tally));
    // Retries hide most of such failures, but not all: a retry may fail, too.
    if row.verdict() == Verdict::Fail && tally.retried() > tally.failed_requests() {
        lines.push(format!(
            "{}: The mesh retried {} of {}: a backend fails, and retries hide it. Check the \
             east-west gateway and the root certificates of both clusters: run 'certs show'",
            row.heading(),
            tally.retried(),
            count(tally.answers(), "answer"),
        ));
    }
    lines
}

/// With fewer connections, all of them may reach the same backend.
const ENOUGH_CONNECTIONS: u64 = 10;

/// A few reused connections say little about an L4 load balancer.
fn pinned(row: &Row, tally: &Tally) -> Option<String> {
    let answers = tally.answers();
    let connections = tally.backends.values().map(|backend| backend.connections).sum::<u64>();
    (connections < answers && connections < ENOUGH_CONNECTIONS).then(|| {
        format!(
            "{}: All {answers} answers came over {}. An L4 load balancer chooses a backend once per \
             connection. Run prober again with --reuse never",
            row.heading(),
            count(connections, "connection"),
        )
    })
}

fn of_kind(kind: FailureKind, row: &Row, tally: &Tally) -> Option<String> {
    let said = |text: &str| tally.failures.iter().any(|g| g.kind == kind && g.what.contains(text));
    let url = &row.url;
    let remedy = match kind {
        FailureKind::Dns => {
            "The host name does not resolve. Run prober again with its address: --resolve \
             HOST:PORT:ADDRESS"
                .to_owned()
        }
        FailureKind::Unidentified if said("x-echo-probe") => {
            format!(
                "Some answers belong to other requests: a cache is on the path. Look for its response \
                 headers: run 'curl -i {url}'"
            )
        }
        FailureKind::Unidentified if said("--identify") => {
            format!(
                "The answers do not name a pod as --identify expects. Look at one answer: run 'curl \
                 -i {url}'"
            )
        }
        FailureKind::Unidentified => format!(
            "The answers do not come from an echo. Check the path of the target and the routes of \
             the ingress: run 'curl -i {url}'. To test another service, add --identify"
        ),
        FailureKind::Status if said("no healthy upstream") || said("upstream connect error") => {
            "An Envoy has no healthy endpoint for some requests. Check that the application runs in \
             every cluster: run 'istioctl proxy-config endpoint POD' with a pod of the source"
                .to_owned()
        }
        FailureKind::Status if said("404 ") => {
            "No route matches this host name and path. Check the Gateway and the VirtualService: \
             run 'istioctl analyze'"
                .to_owned()
        }
        FailureKind::Connect | FailureKind::Timeout if tally.answers() == 0 => {
            format!(
                "Nothing answers at this address. Check that the service runs there and that no \
                 firewall blocks it: run 'curl -v {url}'"
            )
        }
        _ => return None,
    };
    Some(format!("{}: {remedy}", row.heading()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_run_without_failures_needs_no_advice() {
        assert_eq!(of(&samples::plain()), Vec::<String>::new());
    }

    #[test]
    fn few_reused_connections_are_pointed_out() {
        let mut report = samples::plain();
        let crate::report::RowResult::Probed { tally, .. } = &mut report.rows[0].result else {
            unreachable!()
        };
        for (connections, said) in [
            ([1, 0], Some("All 100 answers came over 1 connection. An")),
            ([5, 4], Some("All 100 answers came over 9 connections. An")),
            ([5, 5], None),
        ] {
            for (backend, connections) in tally.backends.values_mut().zip(connections) {
                backend.connections = connections;
            }
            let line = pinned(&samples::plain().rows[0], tally);
            assert_eq!(line.is_some(), said.is_some(), "{line:?}");
            if let Some((line, said)) = line.zip(said) {
                assert!(line.contains(said) && line.contains("--reuse never"), "{line}");
            }
        }
    }

    #[test]
    fn a_failing_endpoint_is_named_with_the_command_to_run() {
        let lines = of(&samples::matrix());
        assert!(lines[0].starts_with("from kops:istio-enabled: curl echo2:8080: An Envoy has no"));
        assert_eq!(
            lines.iter().filter(|line| line.contains("'exactly kops,gke1'")).count(),
            2,
            "{lines:?}"
        );
    }
}
