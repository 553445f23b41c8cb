//! Every warning and remedy, in one place: what a report's numbers suggest to
//! do next. Pure; printed on stderr, last.

use crate::outcome::FailureKind;
use crate::report::{Report, Row};
use crate::tally::Tally;
use crate::verdict::Verdict;

/// What to do about what the report shows; each a line, none twice.
#[must_use]
pub fn of(report: &Report) -> Vec<String> {
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

fn of_row(row: &Row) -> Vec<String> {
    let Some(tally) = row.tally() else { return Vec::new() };
    let mut lines = Vec::new();
    for (kind, _) in tally.failures_by_kind() {
        lines.extend(of_kind(kind, row, tally));
    }
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
        FailureKind::Unidentified => {
            "what answers is no echo; look at the path of the target and at the routes of the \
             ingress"
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
    fn a_failing_endpoint_is_named_with_where_to_look() {
        let lines = of(&samples::matrix());
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("from kops:istio-enabled: curl echo2:8080: an Envoy has no"));
    }
}
