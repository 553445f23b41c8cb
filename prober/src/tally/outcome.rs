//! The outcome of one request: an answer of a backend, or a failure. Pure.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::Identity;
use serde::{Deserialize, Serialize};

use super::transport::Transport;

/// Why no echo answered a request. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// The name has no address.
    Dns,
    /// No TCP connection: refused, unreachable, or no free port or descriptor here.
    Connect,
    /// The TLS handshake failed, or TLS refused a certificate after it.
    Tls,
    /// A time limit ran out.
    Timeout,
    /// The connection ended before the response did.
    Reset,
    /// The response is not valid HTTP, or exceeds prober's limits.
    Protocol,
    /// An HTTP response whose status is not 2xx.
    Status,
    /// A 2xx that is not from an echo, or belongs to another request.
    Unidentified,
}

impl FailureKind {
    /// All kinds, in the order in which a request can meet them.
    pub const ALL: [Self; 8] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Protocol,
        Self::Status,
        Self::Unidentified,
    ];

    /// The same word in every format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Unidentified => "unidentified",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The status code of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    Http(u16),
    /// `grpc-status`, in a response whose HTTP status is 2xx.
    Grpc(u16),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(code) => write!(f, "{code}"),
            Self::Grpc(code) => write!(f, "grpc-status {code}"),
        }
    }
}

/// A request that no echo answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub kind: FailureKind,
    /// The status code of the response, if there was a response.
    pub code: Option<Code>,
    /// Whether the answer is a copy, such as from a cache, of one that another request got.
    pub copy: bool,
    /// The backend that failed, if the response names it.
    pub who: Option<Box<Identity>>,
    /// The attempt of the nearest Envoy, if the response states it; above 1 the mesh retried.
    pub attempt: Option<u32>,
    /// What happened, in one line.
    pub what: String,
}

impl Failure {
    /// A failure; `what` is reduced to one bounded line.
    #[must_use]
    pub(crate) fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        let what = one_line(&what.into());
        Self { kind, code: None, copy: false, who: None, attempt: None, what }
    }

    /// An answer that is a copy of one that another request got.
    #[must_use]
    pub(crate) fn copied(what: impl Into<String>) -> Self {
        Self { copy: true, ..Self::new(FailureKind::Unidentified, what) }
    }

    /// The same with the status code of the response.
    #[must_use]
    pub(crate) fn with(self, code: Code) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The same at this attempt.
    #[must_use]
    pub(crate) fn at(self, attempt: Option<u32>) -> Self {
        Self { attempt, ..self }
    }

    /// The same of a backend.
    #[must_use]
    pub(crate) fn by(self, who: Option<Identity>) -> Self {
        Self { who: who.map(|who| Box::new(who.bounded())), ..self }
    }
}

/// The longest description of a failure, in characters.
const MAX_WHAT: usize = 300;

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let mut line = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.chars().count() > MAX_WHAT {
        line = line.chars().take(MAX_WHAT).collect();
        line.push('…');
    }
    printable::clean_in_place(&mut line);
    line
}

pub(crate) const IDENTITY_VALUES: usize = 8;

/// Who answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// The values of the identity's headers in the order of [`Identity::values`], still in the
    /// connection's buffer; empty if missing.
    Values([&'a [u8]; IDENTITY_VALUES]),
    /// Read from the body.
    Body(&'a Identity),
}

/// The identity with these values; bytes that are not UTF-8 are replaced.
#[must_use]
pub(crate) fn identity(values: [&[u8]; IDENTITY_VALUES]) -> Identity {
    let mut values = values
        .into_iter()
        .map(|value| (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned()));
    let mut next = || values.next().flatten();
    Identity {
        pod: next().unwrap_or_default(),
        cluster: next().unwrap_or_default(),
        namespace: next(),
        node: next(),
        region: next(),
        zone: next(),
        network: next(),
        version: next(),
    }
}

/// A request that an echo answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    pub who: Who<'a>,
    /// The attempt of the nearest Envoy; above 1 the mesh retried.
    pub attempt: Option<u32>,
    /// The body as text, if it is to be shown.
    pub text: Option<String>,
}

/// Which connection a request used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// None: no connection was established.
    None,
    /// One that was opened for it.
    Fresh,
    /// One that had carried another request.
    Kept,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub address: SocketAddr,
    /// Its index among the thread's addresses, so that requests on a kept connection need no
    /// look-up.
    pub place: usize,
}

/// How long a request and its phases took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    /// From the scheduled start to the end of the body, or to the failure. Without a rate, the
    /// scheduled start is the actual one.
    pub total: Duration,
    /// From the actual start.
    pub service: Duration,
    /// Until the addresses of the name were known.
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// From sending the request to the first byte of the response.
    pub first_byte: Option<Duration>,
    /// The part of it that the nearest Envoy waited for its upstream host, in whole milliseconds
    /// (`x-envoy-upstream-service-time`).
    pub upstream: Option<Duration>,
}

/// How one request ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome<'a> {
    /// Its number in the run, from 0.
    pub sequence: u64,
    pub result: Result<Answer<'a>, Failure>,
    pub timings: Timings,
    pub wire: Wire,
    /// The other end of its connection; `None` if there was none.
    pub remote: Option<Remote>,
    /// Addresses for which another one of the same name was used, and why.
    pub passed_over: Vec<(SocketAddr, String)>,
    pub transport: Transport,
}

impl<'a> Outcome<'a> {
    /// The outcome of a request on a connection of its own, in no time.
    #[must_use]
    pub(crate) fn fresh(sequence: u64, result: Result<Answer<'a>, Failure>) -> Self {
        let (timings, wire, passed_over) = (Timings::default(), Wire::Fresh, Vec::new());
        let transport = Transport::default();
        Self { sequence, result, timings, wire, remote: None, passed_over, transport }
    }
}

impl<'a> Answer<'a> {
    /// An answer that states who gave it, and nothing else.
    #[must_use]
    pub(crate) fn of(identity: &'a Identity) -> Self {
        Self { who: Who::Body(identity), attempt: None, text: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_bounded_line() {
        let failure = Failure::new(FailureKind::Status, "503\r\n  no\thealthy \u{1b}[1mupstream\n");
        assert_eq!(failure.what, "503 no healthy [1mupstream");
        let long = Failure::new(FailureKind::Status, "é".repeat(1000));
        assert_eq!(long.what.chars().count(), MAX_WHAT + 1);
    }

    #[test]
    fn json_says_the_same_word() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }
}
