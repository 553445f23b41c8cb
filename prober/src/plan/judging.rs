//! How a run is judged: expectations, confidence, and how long sampling goes on. Pure.

use super::{PlanError, within};
use crate::cli::{JudgeArgs, LoadArgs};
use crate::expectation::{self, Expectation};
use crate::verdict::{CONFIDENCE, MIN_SHARE, Rules, Sampling};

/// Requests until sampling gives up, unless told otherwise.
const DEFAULT_MAX_REQUESTS: u64 = 20_000;
/// Sampling for longer than this decides nothing that anybody waits for.
const MOST_REQUESTS: u64 = 1_000_000_000;

/// Without `--expect`, the expectation is `errors = 0`.
/// Those about a fault need an event that is one (`faults`).
pub(super) fn expectations(given: &[String], faults: bool) -> Result<Vec<Expectation>, PlanError> {
    if given.is_empty() {
        return Ok(vec![Expectation::NoErrors]);
    }
    let read = |text: &String| {
        let expectation = expectation::parse(text)?;
        if expectation.needs_timeline() && !faults {
            return Err(PlanError::Timeline(expectation.to_string()));
        }
        Ok(expectation)
    };
    given.iter().map(read).collect()
}

/// The rules of a run, and the request at which sampling until decided gives up.
pub(crate) fn rules(
    args: &JudgeArgs,
    load: &LoadArgs,
    expectations: &[Expectation],
) -> Result<(Rules, u64), PlanError> {
    let given = args.max_requests;
    if given.is_some() && (load.requests.is_some() || load.duration.is_some()) {
        return Err(PlanError::TwoLimits);
    }
    let most =
        given.map_or(Ok(DEFAULT_MAX_REQUESTS), |n| within("--max-requests", n, MOST_REQUESTS))?;
    let open = load.requests.is_none() && load.duration.is_none();
    let statistical = expectations.iter().any(Expectation::is_statistical);
    let rules = Rules {
        confidence: args.confidence.as_deref().map_or(Ok(CONFIDENCE), confidence)?,
        min_share: args.min_share.as_deref().map_or(Ok(MIN_SHARE), min_share)?,
        sampling: if open && statistical { Sampling::UntilDecided } else { Sampling::Fixed },
        clusters: args.clusters.clone(),
        ..Rules::default()
    };
    Ok((rules, most))
}

/// The rules for samples that were taken before, by the flags where they are given.
pub(crate) fn stated(
    confidence: Option<&str>,
    min_share: Option<&str>,
) -> Result<Rules, PlanError> {
    Ok(Rules {
        confidence: confidence.map_or(Ok(CONFIDENCE), self::confidence)?,
        min_share: min_share.map_or(Ok(MIN_SHARE), self::min_share)?,
        ..Rules::default()
    })
}

/// `--confidence`, as a part of 1.
pub(crate) fn confidence(given: &str) -> Result<f64, PlanError> {
    let right = "write what verdicts are sure at, from 0.5 to 0.999999999, or in percent: 99.9%";
    fraction("--confidence", given, 0.5..=0.999_999_999, right)
}

fn min_share(given: &str) -> Result<f64, PlanError> {
    let right = "write the share to rule out, from 0.000001 to 0.99, or in percent: 1%";
    fraction("--min-share", given, 1e-6..=0.99, right)
}

/// A part of 1, or of 100 with a percent sign.
pub(crate) fn fraction(
    flag: &'static str,
    given: &str,
    range: std::ops::RangeInclusive<f64>,
    right: &str,
) -> Result<f64, PlanError> {
    let number = match given.trim().strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => given.trim().parse().ok(),
    };
    number.filter(|value| range.contains(value)).ok_or_else(|| PlanError::Number {
        flag,
        value: format!("'{given}'"),
        right: right.to_owned(),
    })
}
