//! Errors, retries, latency and throughput. Pure.

use std::time::Duration;

use super::{Evidence, Ruling, Verdict, Worth, all, nothing_ended};
use crate::expectation::{Group, Time};
use crate::stats::sequence::{self, Sample};
use crate::tally::Tally;
use crate::tally::latency::Latency;
use crate::tally::sequence::Indicator;
use crate::units::{count, percent};

pub(super) fn no_errors(tally: &Tally) -> Ruling {
    let requests = tally.requests();
    if requests == 0 {
        return nothing_ended();
    }
    if tally.failed_requests() == 0 {
        return (Verdict::Pass, format!("{} answered", all(requests, "request")));
    }
    let (failed, kinds) = (tally.failed_requests(), tally.failures_in_words());
    (Verdict::Fail, format!("{failed} of {} failed: {kinds}", count(requests, "request")))
}

/// The failed requests among all.
pub(super) fn failed(evidence: &Evidence<'_>) -> Worth {
    let (failed, requests) = (evidence.tally.failed_requests(), evidence.tally.requests());
    let sample = Sample { hits: failed as f64, trials: requests as f64 };
    evidence.worth_of(Indicator::Failed, sample)
}

pub(super) fn error_rate(evidence: &Evidence<'_>, most: f64) -> Ruling {
    let tally = evidence.tally;
    let (failed, requests) = (tally.failed_requests(), tally.requests());
    let sample = self::failed(evidence);
    let seen = format!("{failed} of {} failed", count(requests, "request"));
    if tally.answers() == 0 {
        return (Verdict::Fail, format!("{seen}: {}", tally.failures_in_words()));
    }
    let (risk, bound, sure) = (evidence.risk(), percent(most), evidence.sure());
    let (note, limit) = (sample.note(), evidence.limit_note());
    if evidence.below(sample, most, |null| sequence::around(1.0, null, most), risk) {
        let rare = evidence.rare_note();
        return (Verdict::Pass, format!("{seen}: less than {bound} % ({sure}){note}{rare}"));
    }
    if evidence.above(sample, most, sequence::more_often, risk) {
        let kinds = tally.failures_in_words();
        return (
            Verdict::Fail,
            format!("{seen} ({kinds}): more than {bound} % ({sure}){note}{limit}"),
        );
    }
    let (least, upper) = evidence.interval(sample);
    let said = format!(
        "{seen}: between {} and {} % ({sure}), which has {bound} % in it{note}",
        percent(least),
        percent(upper)
    );
    (Verdict::Inconclusive, said)
}

pub(super) fn no_retries(tally: &Tally) -> Ruling {
    let answers = tally.answers();
    if let Some(retried) = tally.retries_in_words() {
        return (Verdict::Fail, format!("the mesh retried {retried}"));
    }
    let stated: u64 = tally.all_backends().map(|backend| backend.attempts).sum();
    if stated < answers {
        let said = match stated {
            0 => "unknown: no answer carried an attempt count".to_owned(),
            _ => format!("unknown: only {stated} of {answers} answers carried an attempt count"),
        };
        return (
            Verdict::Inconclusive,
            format!(
                "{said}; let Envoy count attempts (includeRequestAttemptCount: true in the \
                 VirtualService)"
            ),
        );
    }
    (Verdict::Pass, format!("{} came at the first attempt", all(answers, "answer")))
}

/// The latencies of a group, or of all answers.
fn latencies(tally: &Tally, of: Option<&Group>) -> Latency {
    let Some(group) = of else { return tally.latency() };
    let mut latency = Latency::default();
    for (who, backend) in &tally.backends {
        if group.label.of(who) == group.name {
            latency.merge(&backend.latency());
        }
    }
    latency
}

/// The answers of a group, or of all, that took at least as long as `below`.
pub(super) fn slow(evidence: &Evidence<'_>, of: Option<&Group>, below: Duration) -> Worth {
    slow_among(evidence, &latencies(evidence.tally, of), of, below)
}

fn slow_among(
    evidence: &Evidence<'_>,
    latency: &Latency,
    of: Option<&Group>,
    below: Duration,
) -> Worth {
    let sample = Sample { hits: latency.at_least(below) as f64, trials: latency.count() as f64 };
    let least_us = u32::try_from(below.as_micros()).unwrap_or(u32::MAX);
    let group = of.map(|group| (group.label, group.name.as_str()));
    evidence.worth_of(Indicator::Slow(least_us, group), sample)
}

/// A quantile is below a time if fewer answers than the rest take that long: a test of that
/// share, which is what the ranks of order statistics come to (Conover 1999, 3.2). Times are told
/// apart to 0.1 %.
pub(super) fn latency(
    evidence: &Evidence<'_>,
    quantile: f64,
    of: Option<&Group>,
    below: Duration,
) -> Ruling {
    let latency = latencies(evidence.tally, of);
    let answers = latency.count();
    let group_answers =
        of.map_or(evidence.tally.answers(), |group| evidence.count(group.label, &group.name));
    if answers < group_answers {
        let said = "unknown: not every answer carried a latency; add latency_us to each of them";
        return (Verdict::Inconclusive, said.to_owned());
    }
    if answers == 0 {
        let whose = of.map(|group| format!(" of {}", group.name)).unwrap_or_default();
        let total = count(evidence.tally.answers(), "answer");
        return (Verdict::Inconclusive, format!("there is no answer{whose} among {total}"));
    }
    let sample = slow_among(evidence, &latency, of, below);
    let slow = sample.sample.hits;
    let allowed = (100.0 - quantile) / 100.0;
    let measured = latency.quantile(quantile / 100.0).unwrap_or_default();
    let (limit, sure) = (Time(below), evidence.sure());
    let seen = format!(
        "p{quantile} is {}, {slow} of {} took {limit} or longer",
        Time(rounded(measured)),
        count(answers, "answer"),
    );
    let risk = evidence.risk();
    let (note, only) = (sample.note(), evidence.limit_note());
    if evidence.below(sample, allowed, |null| sequence::around(1.0, null, allowed), risk) {
        let rare = evidence.rare_note();
        return (Verdict::Pass, format!("{seen}: below {limit} ({sure}){note}{rare}"));
    }
    let slower = |null: f64| match null < 0.1 {
        true => sequence::more_often(null),
        false => sequence::beyond(null, allowed.min(1.0 - allowed)),
    };
    if evidence.above(sample, allowed, slower, risk) {
        return (Verdict::Fail, format!("{seen}: not below {limit} ({sure}){note}{only}"));
    }
    let (least, most) = evidence.interval(sample);
    let said = format!(
        "{seen}: between {} and {} % take so long ({sure}), and {} % may{note}",
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
        let said = "unknown: the answers do not say how long they took; add at_us to each of them";
        return (Verdict::Inconclusive, said.to_owned());
    }
    let measured = tally.answers() as f64 / seconds;
    let said = format!("{} in {seconds:.3} s: {measured:.1}/s", count(tally.answers(), "answer"));
    (if measured >= least { Verdict::Pass } else { Verdict::Fail }, said)
}
