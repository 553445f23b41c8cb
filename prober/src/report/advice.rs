//! Advice: what the failures and verdicts of a report suggest to do next. Each piece names one remedy
//! and one command. Pure; printed on stderr after the report. What no expectation asks about is in
//! `warnings`, and printed in the report.

mod failures;
mod verdicts;

use std::collections::BTreeSet;

use crate::report::{Report, Row, groups};
use crate::tally::Tally;
use crate::units::count;

/// The advice on a report: one line for each remedy, with the rows that it is for.
#[must_use]
pub(crate) fn of(report: &Report) -> Vec<String> {
    super::with_rows(
        report
            .rows
            .iter()
            .flat_map(|row| of_row(row).into_iter().map(|remedy| (row.heading(), remedy))),
    )
}

/// The advice on one row: failures first, since they also explain shares.
#[must_use]
pub(crate) fn of_row(row: &Row) -> Vec<String> {
    let Some(tally) = row.tally() else { return Vec::new() };
    let mut lines: Vec<String> = Vec::new();
    // A verdict that misses a group knows more than the failures and retries that it causes.
    let missing = row.verdicts().iter().any(|judged| verdicts::misses_a_group(judged, tally));
    let failures = groups::failures(tally).into_iter().filter(|group| !group.is_of_others());
    let failures = failures.filter(|group| !(missing && failures::is_unreachable(group)));
    lines.extend(failures.filter_map(|group| failures::of(group, row, tally)));
    lines.extend(row.verdicts().iter().filter_map(|judged| verdicts::of(judged, row, tally)));
    lines.extend(pinned(tally));
    let mut seen = BTreeSet::new();
    lines.retain(|line| seen.insert(line.clone()));
    lines
}

/// With fewer connections, all of them may reach the same backend.
const ENOUGH_CONNECTIONS: u64 = 10;

/// A few reused connections say little about an L4 load balancer, unless one of them was answered by
/// several pods: then it chooses a backend for each request.
fn pinned(tally: &Tally) -> Option<String> {
    let answers = tally.answers();
    // Not those of the backends: a connection whose first request failed belongs to none.
    let connections = tally.connections;
    let few = connections < answers && connections < ENOUGH_CONNECTIONS;
    (few && !tally.has_mixed_connections()).then(|| {
        format!(
            "All {answers} answers came over {}. An L4 load balancer chooses a backend once per \
             connection. Run prober again with --reuse never",
            count(connections, "connection"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RowResult, samples};

    #[test]
    fn a_run_without_failures_needs_no_advice() {
        assert_eq!(of(&samples::plain()), Vec::<String>::new());
    }

    #[test]
    fn few_reused_connections_are_pointed_out() {
        let mut report = samples::plain();
        let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
        for (connections, said) in [
            (1, Some("All 100 answers came over 1 connection. An")),
            (9, Some("All 100 answers came over 9 connections. An")),
            (10, None),
        ] {
            tally.connections = connections;
            let line = pinned(tally);
            assert_eq!(line.is_some(), said.is_some(), "{line:?}");
            if let Some((line, said)) = line.zip(said) {
                assert!(line.contains(said) && line.contains("--reuse never"), "{line}");
            }
        }
    }

    #[test]
    fn a_failing_endpoint_is_named_with_the_command_to_run() {
        let mut report = samples::matrix();
        let lines = of(&report);
        let first = "from kops:istio-enabled: curl echo2:8080: 'exactly kops,gke1': gke1 never answered; \
                     50 requests failed, and the mesh retried 1 of 55 answers";
        assert!(lines[0].starts_with(first), "{lines:?}");
        assert_eq!(
            lines.iter().filter(|line| line.contains("'exactly kops,gke1'")).count(),
            2,
            "{lines:?}"
        );
        let RowResult::Probed { verdicts, .. } = &mut report.rows[1].result else { unreachable!() };
        verdicts.truncate(1);
        let lines = of(&report);
        assert!(lines[0].starts_with("from kops:istio-enabled: curl echo2:8080: An Envoy has no"));
    }
}
