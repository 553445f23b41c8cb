//! `-n`, `-d`, `-c`, `--rate`, `--reuse`: how many requests, when, and on how many connections.
//! Pure.

use std::time::Duration;

use super::error::PlanError;
use super::number::{count, duration, instant, optional_duration};
use super::protocol::Protocol;
use super::reuse::Reuse;
use super::schedule::{Arrivals, End, MAX_REQUESTS, Pace, Schedule};
use super::{
    DEFAULT_CONCURRENCY, DEFAULT_REQUESTS, MAX_CONCURRENCY, MAX_STREAMS, MIN_TIME_REQUESTS, judging,
};
use crate::cli::{ArrivalForm, LoadArgs};

pub(super) fn streams(load: &LoadArgs, protocol: Protocol, reuse: Reuse) -> Result<u64, PlanError> {
    let streams = count("--streams", load.streams, 1, MAX_STREAMS)?;
    match load.streams {
        Some(_) if !protocol.is_http2() => Err(PlanError::StreamsWithoutHttp2),
        Some(_) if streams > 1 && reuse == Reuse::NEVER => {
            Err(PlanError::StreamsWithoutReuse(streams))
        }
        _ => Ok(streams),
    }
}

pub(super) fn schedule(load: &LoadArgs) -> Result<Schedule, PlanError> {
    let end = match (load.requests, load.duration.as_deref()) {
        (Some(_), Some(_)) => return Err(PlanError::TwoEnds),
        (None, Some(given)) => End::After(duration("--duration", given)?),
        (requests, None) => End::Requests(count("-n", requests, DEFAULT_REQUESTS, MAX_REQUESTS)?),
    };
    let arrivals = match (&load.rate, load.arrivals) {
        (None, None) => Arrivals::Closed,
        (None, Some(_)) => return Err(PlanError::ArrivalsWithoutRate),
        (Some(given), arrivals) => {
            let rate = rate(given)?;
            match arrivals {
                Some(ArrivalForm::Poisson) => Arrivals::Poisson(rate, load.seed),
                _ => Arrivals::Constant(rate),
            }
        }
    };
    let warmup = optional_duration("--warmup", load.warmup.as_deref())?;
    Ok(Schedule { end, arrivals, warmup: warmup.unwrap_or_default(), pace: Pace::default() })
}

/// The pace of a closed loop. `until_decided` is the most requests of a run until decided.
pub(super) fn pace(
    load: &LoadArgs,
    given: Option<&str>,
    until_decided: Option<u64>,
) -> Result<Pace, PlanError> {
    if let Some(most) = until_decided {
        return Ok(Pace { over: judging::min_time(given)?, requests: MIN_TIME_REQUESTS.min(most) });
    }
    let Some(given) = given else { return Ok(Pace::default()) };
    let over = instant("--min-time", given)?;
    match load.requests.unwrap_or(DEFAULT_REQUESTS) {
        _ if load.duration.is_some() => Err(PlanError::MinTimeWithDuration),
        _ if load.rate.is_some() => Err(PlanError::MinTimeWithRate),
        requests => Ok(Pace { over, requests }),
    }
}

/// The width of a timeline's bins.
pub(super) fn timeline(given: &str) -> Result<Duration, PlanError> {
    let flag = "--timeline";
    let width = duration(flag, given)?;
    if width.subsec_nanos().is_multiple_of(1_000_000) {
        return Ok(width);
    }
    let right = "write whole milliseconds, such as 100ms".to_owned();
    Err(PlanError::Number { flag, value: format!("'{given}'"), right })
}

/// Requests per second: a number such as `0.5` or `1k`, with or without `/s`.
fn rate(given: &str) -> Result<f64, PlanError> {
    let number = given.strip_suffix("/s").unwrap_or(given);
    let counted = || usage::count::parse(number).ok().map(|count| count as f64);
    let rate = number.parse::<f64>().ok().or_else(counted);
    rate.filter(|rate| (0.001..=10_000_000.0).contains(rate)).ok_or_else(|| PlanError::Number {
        flag: "--rate",
        value: format!("'{given}'"),
        right: "write requests per second from 0.001 to 10000000, such as 50 or 1k".to_owned(),
    })
}

pub(super) fn reuse(given: Option<&str>) -> Result<Reuse, PlanError> {
    let given = given.unwrap_or("never");
    Reuse::parse(given).ok_or_else(|| PlanError::Number {
        flag: "--reuse",
        value: format!("'{given}'"),
        right: "write never, always, N, or N:M with N at most M".to_owned(),
    })
}

pub(super) fn concurrency(load: &LoadArgs, end: End) -> Result<u64, PlanError> {
    let asked = count("-c", load.concurrency, DEFAULT_CONCURRENCY, MAX_CONCURRENCY)?;
    Ok(match end {
        End::Requests(requests) => asked.min(requests),
        End::After(_) => asked,
    })
}
