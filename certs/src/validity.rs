//! From when to when a certificate is valid, and periods as people write them.

use std::time::Duration;

use time::OffsetDateTime;

use crate::Error;

/// How long before now a new certificate becomes valid, so that a machine
/// whose clock is a little behind accepts it at once. Istiod does the same.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// The longest period that can be asked for: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * DAY);

const DAY: u64 = 24 * 60 * 60;

/// Start and end of a certificate made at `now`: no longer than its issuer's.
pub(crate) fn period(
    now: OffsetDateTime,
    length: Duration,
    issuer_end: Option<OffsetDateTime>,
) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    if length.as_secs() == 0 || length > LONGEST {
        let problem = "must be from a second to a hundred years";
        return Err(Error::Validity { text: format!("{length:?}"), problem });
    }
    let end = now + length;
    Ok((now - CLOCK_SKEW, issuer_end.map_or(end, |issuer_end| end.min(issuer_end))))
}

/// Reads `24h`, `90m`, `3650d`, `1h30m`.
///
/// # Errors
/// If the text has another form, is zero, or is more than a hundred years.
pub(crate) fn parse(text: &str) -> Result<Duration, Error> {
    let wrong = |problem| Error::Validity { text: text.into(), problem };
    let malformed = || wrong("is not of the form 24h, 90m, 3650d or 1h30m");
    let mut rest = text;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
        let number: u64 = rest[..digits].parse().map_err(|_| malformed())?;
        let unit = match rest.as_bytes()[digits] {
            b'd' => DAY,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(malformed()),
        };
        seconds = seconds.saturating_add(number.saturating_mul(unit));
        rest = &rest[digits + 1..];
    }
    match Duration::from_secs(seconds) {
        _ if text.is_empty() => Err(malformed()),
        Duration::ZERO => Err(wrong("is zero")),
        length if length > LONGEST => Err(wrong("is more than a hundred years")),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_as_people_write_them() {
        let seconds = |text| parse(text).unwrap().as_secs();
        assert_eq!(seconds("24h"), 86_400);
        assert_eq!(seconds("90m"), 5_400);
        assert_eq!(seconds("45s"), 45);
        assert_eq!(seconds("3650d"), 315_360_000);
        assert_eq!(seconds("1h30m"), 5_400);
    }

    #[test]
    fn each_bad_period_says_what_is_wrong() {
        for (text, problem) in [
            ("", "is not of the form"),
            ("24", "is not of the form"),
            ("h", "is not of the form"),
            ("-1h", "is not of the form"),
            ("1.5h", "is not of the form"),
            ("1y", "is not of the form"),
            ("1é", "is not of the form"),
            ("99999999999999999999h", "is not of the form"),
            ("0h", "is zero"),
            ("9999999999999999999d", "more than a hundred years"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn a_certificate_starts_early_and_never_outlives_its_issuer() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let hour = Duration::from_secs(3600);
        assert_eq!(period(now, hour, None).unwrap(), (now - CLOCK_SKEW, now + hour));
        let soon = now + Duration::from_secs(60);
        assert_eq!(period(now, hour, Some(soon)).unwrap().1, soon);
        assert!(period(now, Duration::ZERO, None).is_err());
        assert!(period(now, Duration::MAX, None).is_err());
    }
}
