//! Every warning and remedy, in one place: what a report's numbers suggest to
//! do next. Pure; printed on stderr, last.

mod verdicts;

use crate::report::{Report, Row, RowResult};
use crate::tally::Tally;
use crate::tally::outcome::FailureKind;
use crate::verdict::Verdict;

/// What to do about what the report shows; each a line, none twice.
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

/// The same for one row.
#[must_use]
pub(crate) fn of_row(row: &Row) -> Vec<String> {
    let Some(tally) = row.tally() else { return Vec::new() };
    let mut lines = Vec::new();
    for (kind, _) in tally.failures_by_kind() {
        lines.extend(of_kind(kind, row, tally));
    }
    if let RowResult::Probed { verdicts, .. } = &row.result {
        lines.extend(verdicts.iter().filter_map(|judged| verdicts::of(judged, row, tally)));
    }
    lines.extend(pinned(row, tally));
    // Retries hide most of it, not always all: each draws lots again.
    if row.verdict() == Verdict::Fail && tally.retried() > tally.failed_requests() {
        lines.push(format!(
            "{}: the mesh retried {} of {} answers, so a backend fails behind its retries; look at \
             the east-west gateway and at the root certificates of both clusters",
            row.heading(),
            tally.retried(),
            tally.answers(),
        ));
    }
    lines
}

/// So many connections can meet every backend; of fewer, all may go to one.
const ENOUGH_CONNECTIONS: u64 = 10;

/// Requests that shared a few connections say little about a balancer of connections.
fn pinned(row: &Row, tally: &Tally) -> Option<String> {
    let answers = tally.answers();
    let connections = tally.backends.values().map(|backend| backend.connections).sum::<u64>();
    (connections < answers && connections < ENOUGH_CONNECTIONS).then(|| {
        let over = match connections {
            1 => "1 connection".to_owned(),
            n => format!("{n} connections"),
        };
        format!(
            "{}: all {answers} answers came over {over}, and a balancer of connections (L4) chooses \
             once for each; use --reuse never to see how it spreads them",
            row.heading()
        )
    })
}

fn of_kind(kind: FailureKind, row: &Row, tally: &Tally) -> Option<String> {
    let said = |text: &str| tally.failures.iter().any(|g| g.kind == kind && g.what.contains(text));
    let remedy = match kind {
        FailureKind::Dns => {
            "give the name's address with --resolve HOST:PORT:ADDRESS, or another server with \
             --dns-servers"
        }
        FailureKind::Unidentified if said("x-echo-probe") => {
            "something on the way answers with another request's answer; look for a cache"
        }
        FailureKind::Unidentified if said("--identify") => {
            "what answers does not name itself as --identify says; look at one answer with curl"
        }
        FailureKind::Unidentified => {
            "what answers is no echo; look at the path of the target and at the routes of the \
             ingress, or say with --identify how it names itself"
        }
        FailureKind::Status if said("no healthy upstream") || said("upstream connect error") => {
            "an Envoy has no working endpoint for some requests; look whether the application runs \
             behind its sidecar in every cluster, and at `istioctl proxy-config endpoint` of the source"
        }
        FailureKind::Status if said("404 ") => {
            "nothing is routed at this host name and path; look at the Gateway and the VirtualService"
        }
        FailureKind::Connect | FailureKind::Timeout if tally.answers() == 0 => {
            "nothing answers at this address; look whether the service runs there, and whether a \
             firewall lets you in"
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
    fn a_well_run_needs_no_advice() {
        assert_eq!(of(&samples::plain()), Vec::<String>::new());
    }

    #[test]
    fn requests_that_shared_a_few_connections_are_pointed_out() {
        let mut report = samples::plain();
        let crate::report::RowResult::Probed { tally, .. } = &mut report.rows[0].result else {
            unreachable!()
        };
        for (connections, said) in [
            ([1, 0], Some("all 100 answers came over 1 connection, and")),
            ([5, 4], Some("all 100 answers came over 9 connections, and")),
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
    fn a_failing_endpoint_is_named_with_where_to_look() {
        let lines = of(&samples::matrix());
        assert!(lines[0].starts_with("from kops:istio-enabled: curl echo2:8080: an Envoy has no"));
        assert_eq!(
            lines.iter().filter(|line| line.contains("'exactly kops,gke1'")).count(),
            2,
            "{lines:?}"
        );
    }
}
