//! `--start-at`: the instant at which a run begins, so that several machines load together. Pure.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::error::PlanError;
use super::number::LONGEST;
use crate::cli::LoadArgs;

/// How far ahead the instant lies that an error proposes.
const PROPOSED: Duration = Duration::from_mins(1);

/// The instant at which a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartAt {
    /// As it was written.
    given: String,
    at: SystemTime,
}

impl StartAt {
    /// The instant of the flags, if they name one.
    ///
    /// # Errors
    /// If it is not a time of RFC 3339.
    pub(crate) fn of(load: &LoadArgs) -> Result<Option<Self>, PlanError> {
        load.start_at.as_deref().map(Self::parse).transpose()
    }

    /// Reads a time of RFC 3339, with a space or a `T` between date and time: `date` writes both.
    fn parse(given: &str) -> Result<Self, PlanError> {
        let read = |text: &str| OffsetDateTime::parse(text, &Rfc3339);
        let text = given.replacen(' ', "T", 1);
        if let Ok(at) = read(&text) {
            return Ok(Self { given: given.to_owned(), at: at.into() });
        }
        let wrong = if read(&format!("{text}Z")).is_ok() {
            format!("the time zone is missing; write {text}Z for UTC, or an offset such as +01:00")
        } else {
            "not a time; write one of RFC 3339, such as 2026-11-28T03:00:00Z".to_owned()
        };
        Err(PlanError::StartAt { value: given.to_owned(), wrong })
    }

    /// How long it is until the run begins.
    ///
    /// # Errors
    /// If the instant is over, or more than a day ahead.
    pub(crate) fn left(&self, now: SystemTime) -> Result<Duration, PlanError> {
        let wrong = match self.at.duration_since(now) {
            Ok(left) if left <= LONGEST => return Ok(left),
            Ok(left) => format!("that is in {}, more than a day; write an earlier", rounded(left)),
            Err(over) => format!("that was {} ago; write a later", rounded(over.duration())),
        };
        let example = seconds(now + PROPOSED);
        let wrong = format!("{wrong} time, such as {example}");
        Err(PlanError::StartAt { value: self.given.clone(), wrong })
    }

    /// What is said while the run waits.
    pub(crate) fn note(&self, left: Duration) -> String {
        format!("the run begins at {} (--start-at), in {}", self.given, rounded(left))
    }
}

/// To the second; below one, to the millisecond.
fn rounded(duration: Duration) -> String {
    usage::duration::format(match duration.as_secs() {
        0 => Duration::from_millis(duration.subsec_millis().into()),
        whole => Duration::from_secs(whole),
    })
}

/// `2026-11-28T03:00:00Z`
fn seconds(at: SystemTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    OffsetDateTime::from(at).format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-28T03:00:00Z
    fn at() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_834_800)
    }

    fn line(result: Result<impl std::fmt::Debug, PlanError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn an_instant_is_read_with_any_offset() {
        for given in [
            "2026-11-28T03:00:00Z",
            "2026-11-28t03:00:00z",
            "2026-11-28T03:00:00.000Z",
            "2026-11-28 03:00:00+00:00",
            "2026-11-28T04:00:00+01:00",
            "2026-11-27T22:00:00-05:00",
        ] {
            let read = StartAt::parse(given).unwrap();
            assert_eq!((read.at, read.given.as_str()), (at(), given));
        }
        let late = StartAt::parse("2026-11-28T03:00:00.25Z").unwrap();
        assert_eq!(late.at, at() + Duration::from_millis(250));
    }

    #[test]
    fn other_texts_are_refused_with_what_to_write() {
        for given in
            ["", "soon", "+10s", "03:00", "1795834800", "2026-11-28", "2026-11-31T03:00:00Z"]
        {
            assert_eq!(
                line(StartAt::parse(given)),
                format!(
                    "--start-at '{given}': not a time; write one of RFC 3339, such as \
                     2026-11-28T03:00:00Z"
                )
            );
        }
        let zoneless = line(StartAt::parse("2026-11-28 03:00:00"));
        let right = "the time zone is missing; write 2026-11-28T03:00:00Z for UTC, or an offset";
        assert!(zoneless.contains(right), "{zoneless}");
    }

    #[test]
    fn an_instant_lies_ahead_but_not_more_than_a_day() {
        let start = StartAt::parse("2026-11-28T03:00:00Z").unwrap();
        for ahead in [Duration::ZERO, Duration::from_millis(1), Duration::from_hours(24)] {
            assert_eq!(start.left(at() - ahead).unwrap(), ahead);
        }
        for (now, wrong) in [
            (
                at() + Duration::from_millis(40),
                "was 40ms ago; write a later time, such as 2026-11-28T03:01:00Z",
            ),
            (
                at() + Duration::from_millis(90_400),
                "was 1m30s ago; write a later time, such as 2026-11-28T03:02:30Z",
            ),
            (
                at() - Duration::from_secs(86_401),
                "is in 1d1s, more than a day; write an earlier time, such as 2026-11-27T03:00:59Z",
            ),
        ] {
            assert_eq!(
                line(start.left(now)),
                format!("--start-at '2026-11-28T03:00:00Z': that {wrong}")
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{0,12}(Z|[+-][0-9:]{0,6})") {
            if let Ok(read) = StartAt::parse(&text) {
                let _ = read.left(at());
            }
        }
    }
}
