//! The one grammar of durations on the command lines and in the files of all programs:
//! `250ms`, `2.5s`, `1m30s`, `1h`, `7d`, and `90` or `0.5` for seconds.
//! The arithmetic is exact to the nanosecond; digits below that are dropped.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The units and their nanoseconds, the longest first.
const UNITS: [(&str, u128); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
];
const SECOND: u128 = 1_000_000_000;

/// More digits of a fraction than any unit has nanoseconds.
const FRACTION_DIGITS: usize = 18;

/// The longest part of a wrong text that an error repeats, in characters.
const REPEATED: usize = 20;

/// Why a text is not a duration. The text of an error fits after the name of the flag and
/// its value, which it does not repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing was written.
    Empty,
    /// There is no number where one must stand.
    NotADuration,
    /// It starts with a minus sign.
    Negative,
    /// The letters after a number are not a unit.
    UnknownUnit(String),
    /// A number beside others has no unit, as the 30 of `1m30`.
    MissingUnit(String),
    /// More than `Duration` holds.
    TooLong,
    /// Outside the range that the flag allows.
    OutOfRange(RangeInclusive<Duration>),
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXAMPLES: &str = "write for example 250ms, 2.5s, 1m30s or 24h";
        match self {
            Self::Empty => write!(f, "the duration is empty; {EXAMPLES}"),
            Self::NotADuration => write!(f, "not a duration; {EXAMPLES}"),
            Self::Negative => write!(f, "a duration cannot be negative; {EXAMPLES}"),
            Self::UnknownUnit(unit) => {
                write!(f, "'{unit}' is not a unit of time; use us, ms, s, m, h or d")
            }
            Self::MissingUnit(number) => {
                write!(f, "'{number}' needs a unit: us, ms, s, m, h or d, as in 1m30s")
            }
            Self::TooLong => write!(f, "the duration is too long; {EXAMPLES}"),
            Self::OutOfRange(allowed) => {
                let (least, most) = (format(*allowed.start()), format(*allowed.end()));
                write!(f, "out of range; write a duration from {least} to {most}")
            }
        }
    }
}

impl std::error::Error for DurationError {}

/// Reads a duration: one or more numbers with a unit (`1m30s`), or one number of seconds.
/// Any number may have a fraction. Only ASCII is read.
///
/// # Errors
/// If the text has another form, or if the duration is longer than `Duration` holds.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let mut nanoseconds = 0_u128;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let scale = match unit {
            "" if number == text => SECOND,
            "" => return Err(DurationError::MissingUnit(repeated(number))),
            _ if number.is_empty() => return Err(DurationError::NotADuration),
            _ => known(unit)?,
        };
        nanoseconds =
            scaled(number, scale)?.checked_add(nanoseconds).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    let seconds = u64::try_from(nanoseconds / SECOND).map_err(|_| DurationError::TooLong)?;
    Ok(Duration::new(seconds, (nanoseconds % SECOND) as u32))
}

/// Reads a duration that must lie in a range.
///
/// # Errors
/// As [`parse`], or if the duration is outside the range.
pub fn parse_within(
    text: &str,
    allowed: RangeInclusive<Duration>,
) -> Result<Duration, DurationError> {
    match parse(text) {
        Ok(duration) if allowed.contains(&duration) => Ok(duration),
        Ok(_) | Err(DurationError::TooLong) => Err(DurationError::OutOfRange(allowed)),
        Err(error) => Err(error),
    }
}

/// A duration as [`parse`] reads it back, exactly: `1d2h`, `1m30s`, `2.5s`, `250ms`, `0s`.
#[must_use]
pub fn format(duration: Duration) -> String {
    let mut text = String::new();
    let mut left = duration.as_nanos();
    for (unit, scale) in &UNITS[..3] {
        let whole = left / scale;
        if whole > 0 {
            text.push_str(&format!("{whole}{unit}"));
        }
        left %= scale;
    }
    // The rest is one number: in seconds, or in the unit that leaves no zeros in front.
    let (unit, scale) = UNITS[3..]
        .iter()
        .find(|(_, scale)| left >= *scale && (left.is_multiple_of(*scale) || *scale == SECOND))
        .unwrap_or(&UNITS[3]);
    if left > 0 || text.is_empty() {
        let fraction = format!("{:09}", (left % scale) * (SECOND / scale));
        let number = format!("{}.{fraction}", left / scale);
        text.push_str(number.trim_end_matches('0').trim_end_matches('.'));
        text.push_str(unit);
    }
    text
}

/// The front of a text as far as `belongs`, and what follows it.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// The nanoseconds of a unit.
fn known(unit: &str) -> Result<u128, DurationError> {
    let found = UNITS.iter().find(|(name, _)| *name == unit);
    found.map(|(_, scale)| *scale).ok_or_else(|| DurationError::UnknownUnit(repeated(unit)))
}

/// `2.5` times a unit, in nanoseconds.
fn scaled(number: &str, scale: u128) -> Result<u128, DurationError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(DurationError::NotADuration);
    }
    let digits = |text: &str| match text {
        "" => Ok(0),
        _ => text.parse::<u128>().map_err(|_| DurationError::TooLong),
    };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    // At most 10^18 days in nanoseconds, which is below 10^32 and cannot overflow.
    let part = digits(fraction)? * scale / 10_u128.pow(fraction.len() as u32);
    let whole = digits(whole)?.checked_mul(scale);
    whole.and_then(|whole| whole.checked_add(part)).ok_or(DurationError::TooLong)
}

/// What an error repeats of a wrong text: short, and without control characters.
fn repeated(text: &str) -> String {
    let mut shown: String = text.chars().take(REPEATED).flat_map(char::escape_debug).collect();
    if text.chars().count() > REPEATED {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("2.5s", 2_500),
            ("1.5m", 90_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("30m1h", 5_400_000),
            ("1d", 86_400_000),
            ("3650d", 315_360_000_000),
            ("90", 90_000),
            ("0.5", 500),
            (".5", 500),
            ("2.", 2_000),
            ("0", 0),
            ("0h", 0),
            ("1500us", 1),
        ] {
            let read = parse(text).map(|duration| duration.as_millis());
            assert_eq!(read, Ok(milliseconds), "{text}");
        }
        assert_eq!(parse("0.0000000019"), Ok(Duration::from_nanos(1)));
        assert_eq!(parse(&format!("0.3{}", "3".repeat(99))), parse("0.333333333"));
    }

    #[test]
    fn an_error_says_what_is_wrong_and_what_is_right() {
        for (text, said) in [
            ("", "the duration is empty; write for example 250ms, 2.5s, 1m30s or 24h"),
            ("soon", "not a duration; write for example 250ms, 2.5s, 1m30s or 24h"),
            ("s", "not a duration; write for example 250ms, 2.5s, 1m30s or 24h"),
            (".", "not a duration; write for example 250ms, 2.5s, 1m30s or 24h"),
            ("1.2.3s", "not a duration; write for example 250ms, 2.5s, 1m30s or 24h"),
            ("-1s", "a duration cannot be negative; write for example 250ms, 2.5s, 1m30s or 24h"),
            ("1y", "'y' is not a unit of time; use us, ms, s, m, h or d"),
            ("1S", "'S' is not a unit of time; use us, ms, s, m, h or d"),
            ("30 s", "' s' is not a unit of time; use us, ms, s, m, h or d"),
            ("1\u{e9}", "'\u{e9}' is not a unit of time; use us, ms, s, m, h or d"),
            ("1\n", r"'\n' is not a unit of time; use us, ms, s, m, h or d"),
            ("1e3", "'e' is not a unit of time; use us, ms, s, m, h or d"),
            ("1m30", "'30' needs a unit: us, ms, s, m, h or d, as in 1m30s"),
            ("+1s", "not a duration; write for example 250ms, 2.5s, 1m30s or 24h"),
            (
                "99999999999999999999h",
                "the duration is too long; write for example 250ms, 2.5s, 1m30s or 24h",
            ),
        ] {
            assert_eq!(parse(text).map_err(|error| error.to_string()), Err(said.into()), "{text}");
        }
        let long = parse(&format!("1{}", "x".repeat(999))).unwrap_err().to_string();
        assert!(long.starts_with("'xxxxxxxxxxxxxxxxxxxx...' is not"), "{long}");
    }

    #[test]
    fn a_range_is_named_as_people_write_it() {
        let hour = Duration::from_secs(1)..=Duration::from_hours(1);
        let within = |text| parse_within(text, hour.clone()).map_err(|error| error.to_string());
        assert_eq!(within("1h"), Ok(Duration::from_hours(1)));
        let refused = Err("out of range; write a duration from 1s to 1h".to_owned());
        for text in ["0", "999ms", "3600.1", "99999999999999999999999999999999999999999d"] {
            assert_eq!(within(text), refused, "{text}");
        }
        assert!(within("1x").unwrap_err().contains("unit"));
    }

    #[test]
    fn durations_are_written_short() {
        for text in ["0s", "250ms", "1.5s", "1m30s", "1h", "1d2h3m4.5s", "20us", "1h5ms"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(format(Duration::from_nanos(1)), "0.000000001s");
        assert_eq!(parse(&format(Duration::MAX)), Ok(Duration::MAX));
        let past_the_last = format!("{}.999999999s1us", u64::MAX);
        assert_eq!(parse(&past_the_last), Err(DurationError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds: u64, nanoseconds in 0..1_000_000_000_u32) {
            let duration = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn short_ones_too(nanoseconds in 0..100_000_000_000_u64) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            if let Err(error) = parse(&text) {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }

        #[test]
        fn nothing_that_looks_like_a_duration_panics(text in "[-+]?([0-9.]{0,40}[dhmsu ]{0,2}){0,4}") {
            if let Err(error) = parse(&text) {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }
}
