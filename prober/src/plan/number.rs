//! Flags whose value is a count, a duration or a part of 1, each with its range. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::PlanError;
use super::schedule::MAX_REQUESTS;

/// No run waits for anything longer than a day.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

/// A count from 1 to `most`, or the default.
pub(super) fn count(
    flag: &'static str,
    given: Option<u64>,
    default: u64,
    most: u64,
) -> Result<u64, PlanError> {
    given.map_or(Ok(default), |value| within(flag, value, 1..=most))
}

/// A whole number in a range.
pub(crate) fn within(
    flag: &'static str,
    value: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, PlanError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    let right = match *most {
        // This limit is too large to help anybody who reads it.
        MAX_REQUESTS if value < *least => format!("write a number of at least {least}"),
        most => format!("write a number from {least} to {most}"),
    };
    Err(PlanError::Number { flag, value: value.to_string(), right })
}

/// A duration from 1 ms to a day: seconds as curl takes them (`0.5`), or with units (`1m30s`).
pub(crate) fn duration(flag: &'static str, given: &str) -> Result<Duration, PlanError> {
    in_range(flag, given, Duration::from_millis(1)..=LONGEST)
}

/// A duration that may be missing.
pub(super) fn optional_duration(
    flag: &'static str,
    given: Option<&str>,
) -> Result<Option<Duration>, PlanError> {
    given.map(|given| duration(flag, given)).transpose()
}

/// A time limit; as in curl, 0 means no limit.
pub(super) fn limit(flag: &'static str, given: &str) -> Result<Option<Duration>, PlanError> {
    match usage::duration::parse(given) {
        Ok(Duration::ZERO) => Ok(None),
        _ => duration(flag, given).map(Some),
    }
}

/// An instant of the run, counted from its start: unlike a duration it may be 0.
pub(super) fn instant(flag: &'static str, given: &str) -> Result<Duration, PlanError> {
    in_range(flag, given, Duration::ZERO..=LONGEST)
}

fn in_range(
    flag: &'static str,
    given: &str,
    allowed: RangeInclusive<Duration>,
) -> Result<Duration, PlanError> {
    usage::duration::parse_within(given, allowed).map_err(|error| {
        let value = given.to_owned();
        match other_flag(flag, given) {
            Some((what, right)) => PlanError::OtherFlag { flag, value, what, right },
            None => PlanError::Duration { flag, value, error },
        }
    })
}

/// What a value was meant for if it is not a duration: `-d` is a body in curl, `-m` a method in hey.
fn other_flag(flag: &str, given: &str) -> Option<(&'static str, String)> {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    match flag {
        "--duration" if given.contains(['=', '{', '@']) => {
            Some(("a body", format!("--data '{given}'")))
        }
        "--max-time" if METHODS.contains(&given) => Some(("a method", format!("-X {given}"))),
        _ => None,
    }
}

/// A part of 1, or of 100 with a percent sign. A number above 1 can only be percent.
pub(crate) fn fraction(
    flag: &'static str,
    given: &str,
    range: RangeInclusive<f64>,
    right: &str,
) -> Result<f64, PlanError> {
    let number = match given.trim().strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => {
            let number = given.trim().parse::<f64>().ok();
            number.map(|number| if number > 1.0 { number / 100.0 } else { number })
        }
    };
    number.filter(|value| range.contains(value)).ok_or_else(|| PlanError::Number {
        flag,
        value: format!("'{given}'"),
        right: right.to_owned(),
    })
}
