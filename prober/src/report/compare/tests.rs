//! Comparing reports: worse, seemingly worse, and not comparable.

use std::time::Duration;

use super::*;
use crate::report::samples;
use crate::stats::random::Random;
use crate::tally::Recorder;
use crate::tally::outcome::{Answer, Failure, FailureKind, Who};
use echo_reply::Identity;

/// Answers and failures, mixed at random, with latencies spread over 10 ms.
fn report(answers: &[(&str, u64)], failures: u64, milliseconds: u64) -> Report {
    let mut random = Random::new(3);
    let mut all: Vec<Option<&str>> =
        answers.iter().flat_map(|(cluster, n)| (0..*n).map(move |_| Some(*cluster))).collect();
    all.extend((0..failures).map(|_| None));
    for place in (1..all.len()).rev() {
        all.swap(place, random.below(place as u64 + 1) as usize);
    }
    let times: Vec<_> = all.iter().map(|_| milliseconds + random.below(10)).collect();
    of(all.into_iter().zip(times))
}

/// Who answered each request, or that it failed, and in how many ms.
fn of<'a>(all: impl Iterator<Item = (Option<&'a str>, u64)>) -> Report {
    let mut recorder = Recorder::default();
    for (n, (cluster, ms)) in all.enumerate() {
        let who = cluster.map(|cluster| Identity::new("p", cluster));
        let answer = |who| Answer { who: Who::Body(who), attempt: Some(1), text: None };
        let failure = || Failure::new(FailureKind::Status, "503");
        let mut outcome = samples::outcome(n as u64, who.as_ref().map(answer).ok_or_else(failure));
        outcome.timings.total = Duration::from_millis(ms);
        recorder.record(outcome, 0);
    }
    let row = samples::row(None, "a", recorder.into_tally(), &[]);
    samples::report(vec![row])
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
    let even = &[("kops", 4_000), ("gke1", 4_000)][..];
    let few = &[("kops", 125), ("gke1", 125)][..];
    let skewed = &[("kops", 2_000), ("gke1", 6_000)][..];
    for (before, after, tolerate, code) in [
        (report(even, 0, 10), report(even, 0, 10), &[][..], 0),
        (report(even, 0, 10), report(skewed, 0, 10), &[], 1),
        (report(even, 0, 10), report(skewed, 0, 10), &[("shares", 0.3)], 0),
        // Few answers prove nothing, whether they look alike or not.
        (report(few, 0, 10), report(few, 0, 10), &[], 3),
        (report(few, 0, 10), report(&[("kops", 145), ("gke1", 105)], 0, 10), &[], 3),
        (report(even, 0, 10), report(&[("kops", 8_000)], 0, 10), &[], 1),
        (report(even, 0, 10), report(even, 400, 10), &[], 1),
        (report(even, 0, 10), report(even, 400, 10), &[("errors", 0.1)], 0),
        (report(even, 400, 10), report(even, 0, 10), &[], 0),
        (report(even, 0, 10), report(even, 1, 10), &[], 0),
        (report(even, 0, 10), report(even, 1, 10), &[("errors", 0.0)], 3),
        (report(even, 0, 10), report(even, 0, 20), &[], 1),
        (report(even, 0, 10), report(even, 0, 20), &[("latency", 2.0)], 0),
        (report(even, 0, 20), report(even, 0, 10), &[], 0),
        (report(even, 0, 10), report(&[], 10, 10), &[], 1),
    ] {
        let compared = compare(&before, &after, &limits(tolerate)).unwrap();
        assert_eq!(compared.exit_code(), code, "{}", compared.text());
    }
}

/// Of identical services whose latencies drift slowly, one is not worse.
#[test]
fn identical_services_are_not_worse() {
    let sample = |seed: u64, n: usize| {
        let mut random = Random::new(seed);
        let mut normal = move || (0..12).map(|_| random.uniform()).sum::<f64>() - 6.0;
        let mut level = normal();
        let all = (0..n).map(move |_| {
            level = 0.99 * level + (1.0_f64 - 0.99 * 0.99).sqrt() * normal();
            (Some("kops"), (20.0 * (0.3 * level).exp()).round() as u64)
        });
        of(all)
    };
    for seed in 0..60 {
        for n in [250, 1_000] {
            let (before, after) = (sample(2 * seed, n), sample(2 * seed + 1, n));
            let compared = compare(&before, &after, &limits(&[])).unwrap();
            assert_ne!(compared.exit_code(), 1, "seed {seed}: {}", compared.text());
        }
    }
}

/// A share that moved is not "the same" because few answers do not show it.
#[test]
fn a_share_that_moved_does_not_pass() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut sample = |share: f64| {
            let all = (0..250).map(|_| random.uniform() < share).collect::<Vec<_>>();
            of(all.into_iter().map(|kops| (Some(if kops { "kops" } else { "gke1" }), 10)))
        };
        let compared = compare(&sample(0.5), &sample(0.58), &limits(&[])).unwrap();
        assert_ne!(compared.exit_code(), 0, "seed {seed}: {}", compared.text());
    }
}

#[test]
fn differences_are_shown_with_their_numbers() {
    let before = report(&[("kops", 2_000), ("gke1", 2_000)], 0, 10);
    let after = report(&[("kops", 1_000), ("gke1", 3_000)], 400, 20);
    let compared = compare(&before, &after, &limits(&[])).unwrap();
    insta::assert_snapshot!(compared.text());
}

#[test]
fn quantiles_lie_between_their_ranks() {
    let mut latency = Latency::default();
    (1..=1_000).for_each(|ms| latency.record(Duration::from_millis(ms)));
    let (low, high) = ranks(&latency, 0.5, 0.025, 1.0);
    // Conover's ranks for n = 1000 at 95 %: 469 and 532.
    assert_eq!(low.map(|t| t.as_millis() / 2), Some(469 / 2));
    assert_eq!(high.map(|t| t.as_millis() / 2), Some(532 / 2));
    let mut few = Latency::default();
    few.record(Duration::from_millis(1));
    assert_eq!(ranks(&few, 0.99, 0.0005, 1.0).1, None, "one answer bounds no p99");
}

#[test]
fn reports_without_common_rows_are_refused_in_one_line() {
    let (a, b) = (report(&[("kops", 9)], 0, 1), samples::plain());
    let error = compare(&a, &b, &limits(&[])).unwrap_err().to_string();
    assert!(error.contains("no source and target in common: curl a and curl istio1"), "{error}");
}
