//! Comparing reports: worse, seemingly worse, and not comparable.

use std::time::{Duration, SystemTime};

use super::*;
use crate::plan::Protocol;
use crate::report::RowResult;
use crate::report::samples;
use crate::tally::outcome::FailureKind;
use crate::tally::{BackendTally, FailureGroup};
use echo_reply::Identity;

fn report(answers: &[(&str, u64)], failures: u64, milliseconds: u64) -> Report {
    let mut tally = Tally::default();
    for (cluster, n) in answers {
        let mut backend = BackendTally { answers: *n, connections: *n, ..BackendTally::default() };
        // Spread over 10 ms.
        (0..*n).for_each(|n| backend.fresh.record(Duration::from_millis(milliseconds + n % 10)));
        tally.backends.insert(Identity::new("p", *cluster), backend);
    }
    if failures > 0 {
        let what = "503".to_owned();
        tally.failures.push(FailureGroup { kind: FailureKind::Status, what, count: failures });
    }
    Report {
        started: SystemTime::UNIX_EPOCH,
        interrupted: false,
        clusters: Vec::new(),
        rows: vec![Row {
            source: None,
            target: "a".to_owned(),
            url: "http://a/".to_owned(),
            protocol: Protocol::Http1,
            address: None,
            result: RowResult::Probed { tally, verdicts: Vec::new() },
            readings: None,
        }],
    }
}

/// The default limits with these tolerances.
fn limits(tolerate: &[(&str, f64)]) -> Limits {
    let mut limits = Limits::default();
    for (what, value) in tolerate {
        match *what {
            "shares" => limits.shares = *value,
            "latency" => limits.latency = *value,
            _ => limits.errors = *value,
        }
    }
    limits
}

#[test]
fn only_differences_beyond_the_tolerance_count() {
    let even = &[("kops", 2_000), ("gke1", 2_000)][..];
    for (before, after, tolerate, code) in [
        (report(even, 0, 10), report(even, 0, 10), &[][..], 0),
        (report(even, 0, 10), report(&[("kops", 1_000), ("gke1", 3_000)], 0, 10), &[], 1),
        (
            report(even, 0, 10),
            report(&[("kops", 1_000), ("gke1", 3_000)], 0, 10),
            &[("shares", 0.3)],
            0,
        ),
        (
            report(&[("kops", 9), ("gke1", 9)], 0, 10),
            report(&[("kops", 12), ("gke1", 6)], 0, 10),
            &[],
            3,
        ),
        (report(even, 0, 10), report(&[("kops", 4_000)], 0, 10), &[], 1),
        (report(even, 0, 10), report(even, 200, 10), &[], 1),
        (report(even, 0, 10), report(even, 200, 10), &[("errors", 0.1)], 0),
        (report(even, 200, 10), report(even, 0, 10), &[], 0),
        (report(even, 0, 10), report(even, 1, 10), &[], 3),
        (report(even, 0, 10), report(even, 0, 20), &[], 1),
        (report(even, 0, 10), report(even, 0, 20), &[("latency", 2.0)], 0),
        (report(even, 0, 20), report(even, 0, 10), &[], 0),
        (report(even, 0, 10), report(&[], 10, 10), &[], 1),
    ] {
        let compared = compare(&before, &after, &limits(tolerate)).unwrap();
        assert_eq!(compared.exit_code(), code, "{}", compared.text());
    }
}

#[test]
fn differences_are_shown_with_their_numbers() {
    let before = report(&[("kops", 2_000), ("gke1", 2_000)], 0, 10);
    let after = report(&[("kops", 1_000), ("gke1", 3_000)], 40, 20);
    let compared = compare(&before, &after, &limits(&[])).unwrap();
    insta::assert_snapshot!(compared.text());
}

#[test]
fn quantiles_lie_between_their_ranks() {
    let mut latency = Latency::default();
    (1..=1_000).for_each(|ms| latency.record(Duration::from_millis(ms)));
    let (low, high) = ranks(&latency, 0.5, 0.025);
    // Conover's ranks for n = 1000 at 95 %: 469 and 532.
    assert_eq!(low.map(|t| t.as_millis() / 2), Some(469 / 2));
    assert_eq!(high.map(|t| t.as_millis() / 2), Some(532 / 2));
    let mut few = Latency::default();
    few.record(Duration::from_millis(1));
    assert_eq!(ranks(&few, 0.99, 0.0005).1, None, "one answer bounds no p99");
}

#[test]
fn reports_without_common_rows_are_refused_in_one_line() {
    let (a, b) = (report(&[("kops", 9)], 0, 1), samples::plain());
    let error = compare(&a, &b, &limits(&[])).unwrap_err().to_string();
    assert!(error.contains("no source and target in common: curl a and curl istio1"), "{error}");
}
