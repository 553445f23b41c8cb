//! Errors, retries, latency and throughput. Pure.

use std::time::Duration;

use super::{Evidence, Ruling, Verdict, Worth, all, nothing_ended};
use crate::expectation::{Group, Time};
use crate::stats::sequence::Sample;
use crate::tally::Tally;
use crate::units::{count, percent};

pub(super) fn no_errors(tally: &Tally) -> Ruling {
    let requests = tally.requests();
    if requests == 0 {
        return nothing_ended();
    }
    let kinds = kinds(tally);
    if kinds.is_empty() {
        return (Verdict::Pass, format!("{} answered", all(requests, "request")));
    }
    let failed = tally.failed_requests();
    (Verdict::Fail, format!("{failed} of {} failed: {kinds}", count(requests, "request")))
}

fn kinds(tally: &Tally) -> String {
    let kinds: Vec<_> =
        tally.failures_by_kind().iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    kinds.join(", ")
}

/// Requests are taken as independent of each other.
pub(super) fn error_rate(evidence: &Evidence<'_>, most: f64) -> Ruling {
    let tally = evidence.tally;
    let (failed, requests) = (tally.failed_requests(), tally.requests());
    let sample = Worth::of(Sample { hits: failed as f64, trials: requests as f64 });
    let seen = format!("{failed} of {} failed", count(requests, "request"));
    if tally.answers() == 0 {
        return (Verdict::Fail, format!("{seen}: {}", kinds(tally)));
    }
    let (risk, bound, sure) = (evidence.risk(), percent(most), evidence.sure());
    if evidence.below(sample, most, Some(0.0), most, risk) {
        return (Verdict::Pass, format!("{seen}: less than {bound} % ({sure})"));
    }
    if evidence.above(sample, most, None, most, risk) {
        let kinds = kinds(tally);
        return (Verdict::Fail, format!("{seen}: more than {bound} % ({sure}): {kinds}"));
    }
    let (least, upper) = evidence.interval(sample);
    let said = format!(
        "{seen}: between {} and {} % ({sure}), which has {bound} % in it",
        percent(least),
        percent(upper)
    );
    (Verdict::Inconclusive, said)
}

pub(super) fn no_retries(tally: &Tally) -> Ruling {
    let (retried, answers) = (tally.retried(), tally.answers());
    if retried > 0 {
        let said = format!("the mesh retried {retried} of {}", count(answers, "answer"));
        return (Verdict::Fail, said);
    }
    (Verdict::Pass, format!("{} came at the first attempt", all(answers, "answer")))
}

/// A quantile is below a time if fewer answers than the rest take that long: a test of that
/// share, which is what the ranks of order statistics come to (Conover 1999, 3.2). Answers
/// are taken as independent of each other; times are told apart to 0.1 %.
pub(super) fn latency(
    evidence: &Evidence<'_>,
    quantile: f64,
    of: Option<&Group>,
    below: Duration,
) -> Ruling {
    let mut latency = crate::tally::latency::Latency::default();
    for (who, backend) in &evidence.tally.backends {
        if of.is_none_or(|group| group.label.of(who) == group.name) {
            latency.merge(&backend.latency());
        }
    }
    let answers = latency.count();
    if answers == 0 {
        let whose = of.map(|group| format!(" of {}", group.name)).unwrap_or_default();
        let total = count(evidence.tally.answers(), "answer");
        return (Verdict::Inconclusive, format!("there is no answer{whose} among {total}"));
    }
    let slow = latency.at_least(below);
    let sample = Worth::of(Sample { hits: slow as f64, trials: answers as f64 });
    let allowed = (100.0 - quantile) / 100.0;
    let measured = latency.quantile(quantile / 100.0).unwrap_or_default();
    let (limit, sure) = (Time(below), evidence.sure());
    let seen = format!(
        "p{quantile} is {}, {slow} of {} took {limit} or longer",
        Time(rounded(measured)),
        count(answers, "answer"),
    );
    let risk = evidence.risk();
    if evidence.below(sample, allowed, Some(0.0), allowed, risk) {
        return (Verdict::Pass, format!("{seen}: below {limit} ({sure})"));
    }
    if evidence.above(sample, allowed, None, allowed.min(1.0 - allowed), risk) {
        return (Verdict::Fail, format!("{seen}: not below {limit} ({sure})"));
    }
    let (least, most) = evidence.interval(sample);
    let said = format!(
        "{seen}: between {} and {} % take so long ({sure}), and {} % may",
        percent(least),
        percent(most),
        percent(allowed)
    );
    (Verdict::Inconclusive, said)
}

/// Three digits: what the histogram tells apart.
fn rounded(time: Duration) -> Duration {
    let us = time.as_micros() as f64;
    let unit = 10f64.powf((us.max(1.0).log10().floor() - 2.0).max(0.0));
    Duration::from_micros(((us / unit).round() * unit) as u64)
}

pub(super) fn throughput(tally: &Tally, least: f64) -> Ruling {
    let seconds = tally.elapsed.as_secs_f64();
    if seconds <= 0.0 {
        return (Verdict::Inconclusive, "the run took no time".to_owned());
    }
    let measured = tally.answers() as f64 / seconds;
    let said = format!("{} in {seconds:.3} s: {measured:.1}/s", count(tally.answers(), "answer"));
    (if measured >= least { Verdict::Pass } else { Verdict::Fail }, said)
}
