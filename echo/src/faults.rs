//! Fault injection: reads and checks the faults that a request asks for, and draws random
//! ones. Pure; `faults/body.rs` makes the bodies, `answer/faulty.rs` does the rest.
//!
//! A request asks by query (`/?delay=100ms&status=503`) or by the header [`HEADER`], in the
//! same form. Without `--faults`, echo ignores both.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use echo_reply::{headers as names, printable};
use usage::duration;

use crate::request_headers::RequestHeaders;

pub(crate) mod body;

pub(crate) const HEADER: HeaderName = HeaderName::from_static(names::FAULT);
/// The response header that lists the injected faults.
pub(crate) const DONE: HeaderName = HeaderName::from_static(names::FAULTS);

const NAMES: [&str; 7] = ["delay", "status", "abort", "drip", "size", "close", "unready"];
/// The longest delay and the longest drip.
const MAX_WAIT: Duration = Duration::from_mins(10);
const MAX_UNREADY: Duration = Duration::from_hours(1);
/// In bytes.
const MAX_SIZE: u64 = 1 << 30;

/// The faults that a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// The shortest and the longest delay of the answer.
    pub delay: Option<(Duration, Duration)>,
    /// Statuses with their relative weights.
    pub status: Vec<(StatusCode, u32)>,
    pub abort: Option<Abort>,
    /// The time over which the body is sent.
    pub drip: Option<Duration>,
    /// The length of the body, in bytes.
    pub size: Option<u64>,
    /// Whether the connection closes after the answer.
    pub close: bool,
    /// How long the echo is unready.
    pub unready: Option<Duration>,
}

/// Where an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abort {
    /// Before the head: there is no answer.
    Before,
    /// In the middle of its body.
    Body,
}

/// Why a fault is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A name in the header that is not a fault.
    #[error("unknown fault {0:?}; use delay, status, abort, drip, size, close or unready")]
    Unknown(String),
    #[error("the fault {0} is given twice; remove one")]
    Twice(&'static str),
    #[error("the fault {name} cannot be {value:?}; write {fits}")]
    Unfit {
        name: &'static str,
        value: String,
        /// What to write instead.
        fits: &'static str,
    },
    #[error(
        "gRPC does not support the fault {0}; use delay, status, abort=before, close or unready"
    )]
    NotForCalls(&'static str),
}

/// The faults of one answer, with all random choices made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub delay: Option<Duration>,
    pub status: Option<StatusCode>,
    pub abort: Option<Abort>,
    /// The time over which the body is sent.
    pub drip: Option<Duration>,
    /// The length of the body, in bytes.
    pub size: Option<u64>,
    /// Whether the connection closes after the answer.
    pub close: bool,
    /// How long the echo is unready.
    pub unready: Option<Duration>,
}

/// Whether a request asks for any fault, valid or not.
#[must_use]
pub(crate) fn are_asked(head: &Parts, request_headers: &RequestHeaders<'_>) -> bool {
    request_headers.fault
        || head.uri.query().is_some_and(|query| {
            form_urlencoded::parse(query.as_bytes()).any(|(name, _)| NAMES.contains(&&*name))
        })
}

/// The faults that a request asks for; `None` if it names none.
///
/// # Errors
///
/// If a fault is unknown, given twice, or has an invalid value.
pub(crate) fn asked(head: &Parts) -> Result<Option<Faults>, Refusal> {
    let mut faults = Faults::default();
    let mut any = false;
    // Other names in a query are not about faults.
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    for (name, value) in query.filter(|(name, _)| NAMES.contains(&&**name)) {
        faults.add(&name, &value)?;
        any = true;
    }
    for header in head.headers.get_all(HEADER) {
        for (name, value) in form_urlencoded::parse(header.as_bytes()) {
            faults.add(name.trim(), value.trim())?;
            any = true;
        }
    }
    Ok(any.then_some(faults))
}

impl Faults {
    fn add(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            return Err(Refusal::Unknown(printable(name).into_owned()));
        };
        let unfit = |fits| Refusal::Unfit { name, value: printable(value).into_owned(), fits };
        let once = |given: bool| if given { Err(Refusal::Twice(name)) } else { Ok(()) };
        match name {
            "delay" => {
                once(self.delay.is_some())?;
                let range = range(value).ok_or_else(|| {
                    unfit("a time or a range such as 100ms or 100ms-2s, at most 10m")
                })?;
                self.delay = Some(range);
            }
            "status" => {
                once(!self.status.is_empty())?;
                self.status = statuses(value).ok_or_else(|| {
                    unfit("a status from 200 to 599, or several with weights such as 500:10,200:90")
                })?;
            }
            "abort" => {
                once(self.abort.is_some())?;
                self.abort = Some(match value {
                    "before" => Abort::Before,
                    "body" => Abort::Body,
                    _ => return Err(unfit("before or body")),
                });
            }
            "drip" => {
                once(self.drip.is_some())?;
                let drip =
                    time(value, MAX_WAIT).ok_or_else(|| unfit("a time such as 2s, at most 10m"))?;
                self.drip = Some(drip);
            }
            "size" => {
                once(self.size.is_some())?;
                let size = value.parse().ok().filter(|size| *size <= MAX_SIZE);
                self.size =
                    Some(size.ok_or_else(|| unfit("a number of bytes, at most 1073741824"))?);
            }
            "close" => {
                once(self.close)?;
                if !matches!(value, "" | "1" | "true") {
                    return Err(unfit("close alone, close=1 or close=true"));
                }
                self.close = true;
            }
            _ => {
                once(self.unready.is_some())?;
                let unready = time(value, MAX_UNREADY)
                    .ok_or_else(|| unfit("a time such as 10s, at most 1h"))?;
                self.unready = Some(unready);
            }
        }
        Ok(())
    }

    /// Draws the faults of one answer; `random` returns uniform numbers.
    #[must_use]
    pub(crate) fn draw(&self, mut random: impl FnMut() -> u64) -> Drawn {
        let delay = self.delay.map(|(from, to)| {
            let span = u64::try_from((to - from).as_micros()).unwrap_or(u64::MAX - 1);
            from + Duration::from_micros(random() % (span + 1))
        });
        Drawn {
            delay,
            status: weighted(&self.status, &mut random),
            abort: self.abort,
            drip: self.drip,
            size: self.size,
            close: self.close,
            unready: self.unready,
        }
    }
}

impl Drawn {
    /// The value of [`DONE`]: `delay=120ms,status=503`.
    #[must_use]
    pub(crate) fn said(&self) -> String {
        let mut said = String::new();
        let Self { delay, status, abort, drip, size, close, unready } = self;
        let mut add = |name: &str, value: Cow<'_, str>| {
            let comma = if said.is_empty() { "" } else { "," };
            let equals = if value.is_empty() { "" } else { "=" };
            let _ = write!(said, "{comma}{name}{equals}{value}");
        };
        let ms = |time: &Duration| format!("{}ms", time.as_millis()).into();
        delay.iter().for_each(|time| add("delay", ms(time)));
        status.iter().for_each(|status| add("status", status.as_str().into()));
        abort.iter().for_each(|abort| {
            add("abort", if *abort == Abort::Before { "before" } else { "body" }.into());
        });
        drip.iter().for_each(|time| add("drip", ms(time)));
        size.iter().for_each(|size| add("size", size.to_string().into()));
        if *close {
            add("close", "".into());
        }
        unready.iter().for_each(|time| add("unready", ms(time)));
        said
    }

    /// Whether gRPC supports these faults.
    ///
    /// # Errors
    ///
    /// Names the fault that gRPC does not support.
    pub(crate) fn fits_calls(&self) -> Result<(), Refusal> {
        match self {
            Self { abort: Some(Abort::Body), .. } => Err(Refusal::NotForCalls("abort=body")),
            Self { drip: Some(_), .. } => Err(Refusal::NotForCalls("drip")),
            Self { size: Some(_), .. } => Err(Refusal::NotForCalls("size")),
            _ => Ok(()),
        }
    }
}

fn weighted(choices: &[(StatusCode, u32)], random: &mut impl FnMut() -> u64) -> Option<StatusCode> {
    let total: u64 = choices.iter().map(|(_, weight)| u64::from(*weight)).sum();
    if total == 0 {
        return None;
    }
    let mut left = random() % total;
    choices.iter().find_map(|(status, weight)| {
        let here = left < u64::from(*weight);
        left = left.saturating_sub(u64::from(*weight));
        here.then_some(*status)
    })
}

fn range(value: &str) -> Option<(Duration, Duration)> {
    let (from, to) = value.split_once('-').unwrap_or((value, value));
    let (from, to) = (time(from, MAX_WAIT)?, time(to, MAX_WAIT)?);
    (from <= to).then_some((from, to))
}

fn time(value: &str, most: Duration) -> Option<Duration> {
    duration::parse_within(value, Duration::ZERO..=most).ok()
}

/// `503`, or `500:10,200:90`.
fn statuses(value: &str) -> Option<Vec<(StatusCode, u32)>> {
    let one = |item: &str| {
        let (status, weight) = match item.split_once(':') {
            Some((status, weight)) => (status, weight.parse().ok()?),
            None => (item, 1),
        };
        let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
        (200..600).contains(&status.as_u16()).then_some((status, weight))
    };
    let all: Vec<_> = value.split(',').map(one).collect::<Option<_>>()?;
    let some_come = all.iter().any(|(_, weight)| *weight > 0);
    (some_come && all.len() <= 100).then_some(all)
}

#[cfg(test)]
mod tests;
