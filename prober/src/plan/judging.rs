//! How a run is judged: expectations, confidence, and when sampling stops. Pure.

use std::time::Duration;

use super::error::PlanError;
use super::number::{fraction, instant, within};
use crate::cli::{JudgeArgs, LoadArgs};
use crate::expectation::{self, Expectation};
use crate::tally::MOST_BACKENDS;
use crate::verdict::sampling::DEPENDENCE;
use crate::verdict::{CONFIDENCE, MAX_BACKENDS, MIN_SHARE, Rules, Sampling};

/// The default of `--min-time` for a sample until decided.
pub(crate) const DEFAULT_MIN_TIME: Duration = Duration::from_secs(1);
/// The default of `--max-requests`.
const DEFAULT_MAX_REQUESTS: u64 = 20_000;
/// Nobody waits for more.
const MOST_REQUESTS: u64 = 1_000_000_000;

/// The expectations of `--expect`, and `errors = 0` unless one of them speaks of errors. Those
/// about a fault are refused unless the run has events.
pub(crate) fn expectations(
    given: &[String],
    has_events: bool,
) -> Result<Vec<Expectation>, PlanError> {
    let read = |text: &String| {
        let expectation = expectation::parse(text)?;
        if expectation.needs_timeline() && !has_events {
            return Err(PlanError::NoFault(expectation.to_string()));
        }
        Ok(expectation)
    };
    let given: Result<Vec<_>, PlanError> = given.iter().map(read).collect();
    Ok(expectation::with_errors(given?))
}

/// The rules of a run, and the number of requests at which sampling until decided gives up.
pub(super) fn rules(
    args: &JudgeArgs,
    load: &LoadArgs,
    expectations: &[Expectation],
) -> Result<(Rules, u64), PlanError> {
    let given = args.max_requests;
    if given.is_some() && (load.requests.is_some() || load.duration.is_some()) {
        return Err(PlanError::TwoLimits);
    }
    let most = given
        .map_or(Ok(DEFAULT_MAX_REQUESTS), |n| within("--max-requests", n, 1..=MOST_REQUESTS))?;
    let open = load.requests.is_none() && load.duration.is_none();
    let statistical = expectations.iter().any(Expectation::is_statistical);
    let rules = Rules {
        confidence: args.confidence.as_deref().map_or(Ok(CONFIDENCE), confidence)?,
        min_share: args.min_share.as_deref().map_or(Ok(MIN_SHARE), min_share)?,
        sampling: if open && statistical { Sampling::UntilDecided } else { Sampling::Fixed },
        dependence: args.dependence.map_or(Ok(DEPENDENCE), dependence)?,
        most_backends: args.max_backends.map_or(Ok(MAX_BACKENDS), most_backends)?,
        clusters: args.clusters.clone(),
        ..Rules::default()
    };
    Ok((rules, most))
}

/// How answers from a file are judged: expectations, rules, and the number of answers at which
/// reading until decided gives up.
pub(crate) fn of_file(
    args: &JudgeArgs,
    until_decided: bool,
) -> Result<(Vec<Expectation>, Rules, u64), PlanError> {
    let expectations = expectations(&args.expectations, true)?;
    if let Some(one) = expectations.iter().find(|one| one.needs_timeline()) {
        return Err(PlanError::NoFaultInFile(one.to_string()));
    }
    let given =
        [("--max-requests", args.max_requests.is_some()), ("--min-time", args.min_time.is_some())];
    if let Some((flag, _)) = given.iter().find(|(_, given)| *given && !until_decided) {
        return Err(PlanError::NotUntilDecided(flag));
    }
    let (mut rules, most) = rules(args, &LoadArgs::default(), &expectations)?;
    rules.sampling = if until_decided { Sampling::UntilDecided } else { Sampling::Fixed };
    if until_decided {
        rules.min_time = min_time(args.min_time.as_deref())?;
    }
    Ok((expectations, rules, most))
}

/// `--min-time` of a sample until decided.
pub(super) fn min_time(given: Option<&str>) -> Result<Duration, PlanError> {
    given.map_or(Ok(DEFAULT_MIN_TIME), |given| instant("--min-time", given))
}

/// The rules for judging a sample of fixed size, from the flags or their defaults.
pub(crate) fn fixed(confidence: Option<&str>, min_share: Option<&str>) -> Result<Rules, PlanError> {
    Ok(Rules {
        confidence: confidence.map_or(Ok(CONFIDENCE), self::confidence)?,
        min_share: min_share.map_or(Ok(MIN_SHARE), self::min_share)?,
        ..Rules::default()
    })
}

/// `--confidence`, as a part of 1.
pub(crate) fn confidence(given: &str) -> Result<f64, PlanError> {
    let right = "write a part of 1 from 0.5 to 0.999999999, or percent such as 99.9%";
    fraction("--confidence", given, 0.5..=0.999_999_999, right)
}

/// `--dependence`, in answers.
fn dependence(given: u64) -> Result<f64, PlanError> {
    Ok(within("--dependence", given, 1..=1_000_000)? as f64)
}

/// `--max-backends`.
fn most_backends(given: u64) -> Result<usize, PlanError> {
    let within = within("--max-backends", given, 1..=MOST_BACKENDS as u64)?;
    Ok(usize::try_from(within).unwrap_or(MOST_BACKENDS))
}

fn min_share(given: &str) -> Result<f64, PlanError> {
    let right = "write a part of 1 from 0.000001 to 0.99, or percent such as 1%";
    fraction("--min-share", given, 1e-6..=0.99, right)
}
