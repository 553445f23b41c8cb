//! Start and end of certificates.

use std::time::Duration;

use time::OffsetDateTime;
use usage::duration::{DurationError, parse_within};

use crate::error::Error;

/// New certificates are valid from this long ago, so that machines with a slow clock accept
/// them at once. Istiod does the same.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// X.509 counts whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);
/// A hundred years.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Start and end of a certificate made at `now`. It ends no later than its issuer's.
pub(crate) fn period(
    now: OffsetDateTime,
    length: Duration,
    issuer_end: Option<OffsetDateTime>,
) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Err(Error::Validity { length });
    }
    let end = now + length;
    Ok((now - CLOCK_SKEW, issuer_end.map_or(end, |issuer_end| end.min(issuer_end))))
}

/// Reads the flag `--validity`.
///
/// # Errors
/// If the text is not a duration, or is not from a second to a hundred years.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    parse_within(text, SHORTEST..=LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_is_from_a_second_to_a_hundred_years() {
        let seconds = |text| parse(text).unwrap().as_secs();
        assert_eq!(seconds("24h"), 86_400);
        assert_eq!(seconds("3650d"), 315_360_000);
        assert_eq!(seconds("1h30m"), 5_400);
        for (text, problem) in [
            ("", "empty"),
            ("h", "not a duration"),
            ("-1h", "negative"),
            ("1y", "'y' is not a unit of time"),
            ("99999999999999999999h", "from 1s to 36500d"),
            ("0h", "from 1s to 36500d"),
            ("0.5s", "from 1s to 36500d"),
            ("9999999999999999999d", "from 1s to 36500d"),
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
