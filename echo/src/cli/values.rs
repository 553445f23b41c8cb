//! What the values of flags and variables may be. Every error names the flag or the
//! variable that the value came from, and says what is allowed.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Command, Error};
use usage::duration::{self, DurationError};

use crate::call::Allowed;
use crate::identity;

/// More would only cost memory.
const MAX_THREADS: usize = 1024;
/// The longest delay and the longest timeout of a drain.
const MAX_DRAIN: Duration = Duration::from_hours(1);
/// The longest time that a connection may be idle.
const MAX_IDLE: Duration = Duration::from_hours(24);
/// The limits of a request head: hyper needs at least 8 KiB.
const HEADS: std::ops::RangeInclusive<u64> = (8 << 10)..=(1 << 20);

/// A parser whose errors name the variable if the value came from there. Clap alone always
/// names the flag.
#[derive(Clone)]
pub(super) struct Named<P>(pub(super) P);

impl<P: TypedValueParser> TypedValueParser for Named<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, Error> {
        self.parse_ref_(command, arg, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<Self::Value, Error> {
        let flag = arg.map(|arg| format!("'{arg}'")).unwrap_or_default();
        let origin = match arg.and_then(Arg::get_env) {
            Some(name) if source == ValueSource::EnvVariable => {
                format!("the variable {}", name.display())
            }
            _ => flag.clone(),
        };
        let refuse = |message| Error::raw(ErrorKind::ValueValidation, message).with_cmd(command);
        if value.to_str().is_none() {
            return Err(refuse(format!("the value of {origin} is not UTF-8")));
        }
        self.0
            .parse_ref(command, arg, value)
            .map_err(|error| refuse(usage::one_line(&error).replacen(&flag, &origin, 1)))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

pub(super) fn address(value: &str) -> Result<IpAddr, String> {
    let bare = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(value);
    bare.parse()
        .map_err(|_| "not an IP address; write for example 0.0.0.0, 127.0.0.1 or ::".to_owned())
}

pub(super) fn port(value: &str) -> Result<u16, String> {
    value.parse().map_err(|_| "not a port; write a number from 0 to 65535".to_owned())
}

pub(super) fn threads(value: &str) -> Result<NonZeroUsize, String> {
    match value.parse::<NonZeroUsize>() {
        Ok(threads) if threads.get() <= MAX_THREADS => Ok(threads),
        _ => Err(format!("not a number of threads; write a number from 1 to {MAX_THREADS}")),
    }
}

pub(super) fn identity_value(value: &str) -> Result<String, String> {
    if identity::fits(value) { Ok(value.to_owned()) } else { Err(identity::WHAT_FITS.to_owned()) }
}

pub(super) fn allowed(value: &str) -> Result<Allowed, String> {
    value.parse()
}

pub(super) fn count(value: &str) -> Result<u64, String> {
    match value.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("write a whole number from 1".to_owned()),
    }
}

/// Bytes: `1000`, `64KiB` or `8MiB`.
pub(super) fn bytes(value: &str) -> Result<u64, String> {
    let (number, unit) = match (value.strip_suffix("KiB"), value.strip_suffix("MiB")) {
        (Some(number), _) => (number, 1 << 10),
        (_, Some(number)) => (number, 1 << 20),
        _ => (value, 1),
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| plain);
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "not a size; write for example 65536, 64KiB or 8MiB".to_owned())
}

pub(super) fn head_bytes(value: &str) -> Result<usize, String> {
    let size = bytes(value)?;
    let fits = HEADS.contains(&size);
    if fits {
        Ok(size as usize)
    } else {
        Err("out of range; write a size from 8KiB to 1MiB".to_owned())
    }
}

/// A drain's delay or timeout.
pub(super) fn drain_time(value: &str) -> Result<Duration, DurationError> {
    duration::parse_within(value, Duration::ZERO..=MAX_DRAIN)
}

/// How long a connection may be idle.
pub(super) fn idle_time(value: &str) -> Result<Duration, DurationError> {
    duration::parse_within(value, Duration::from_secs(1)..=MAX_IDLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_bound() {
        assert_eq!(drain_time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(drain_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(drain_time("1h"), Ok(MAX_DRAIN));
        assert_eq!(drain_time("0"), Ok(Duration::ZERO));
        for bad in ["", "s", "30 s", "-1s", "61m", "99999999999999999999s", "1é"] {
            assert!(drain_time(bad).is_err(), "{bad:?}");
        }
        assert_eq!(idle_time("24h"), Ok(MAX_IDLE));
        assert!(idle_time("0").is_err() && idle_time("25h").is_err());
    }

    #[test]
    fn sizes_have_units_and_bounds() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!((bytes("64KiB"), bytes("8MiB")), (Ok(65_536), Ok(8 << 20)));
        for bad in
            ["", "KiB", "1kb", "+1", "-1", "1.5MiB", "99999999999999999999", "20000000000000MiB"]
        {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
        assert_eq!(head_bytes("8KiB"), Ok(8192));
        assert!(head_bytes("8191").is_err() && head_bytes("2MiB").is_err());
        assert!(count("0").is_err() && count("1").is_ok() && count("x").is_err());
    }

    #[test]
    fn an_address_may_be_in_brackets_and_is_never_a_name() {
        assert_eq!(address("[::1]"), Ok(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
        assert!(address("localhost").is_err());
        assert!(address("127.0.0.1:80").is_err());
    }

    #[test]
    fn threads_and_ports_are_bounded() {
        assert!(threads("0").is_err() && threads("1025").is_err() && threads("1024").is_ok());
        assert!(port("65536").is_err() && port("-1").is_err() && port("0").is_ok());
    }
}
