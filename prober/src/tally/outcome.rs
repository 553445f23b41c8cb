//! One request ends in one outcome: answered by a backend, or failed.
//! The failure kinds are a closed list; nothing here does I/O.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::Identity;
use serde::{Deserialize, Serialize};

/// Why a request was not answered by an echo. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// The name has no address.
    Dns,
    /// No TCP connection: refused, unreachable, out of ports or descriptors.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// A limit of time ran out.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// What came back is not HTTP, or breaks its rules or our bounds.
    Protocol,
    /// An HTTP answer whose status is not 2xx.
    Status,
    /// A 2xx that is from no echo, or is the answer to another request.
    Unidentified,
}

impl FailureKind {
    /// All of them, in the order of a request's life.
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

    /// The word for it, the same in every format.
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

/// A request that no echo answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which of the closed list.
    pub kind: FailureKind,
    /// What happened, one line, without parts that differ from request to
    /// request, so that equal failures can be counted together.
    pub what: String,
}

impl Failure {
    /// A failure of `kind`; `what` is cleaned to one bounded line.
    #[must_use]
    pub(crate) fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        Self { kind, what: one_line(&what.into()) }
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
    line
}

/// How many values an identity has.
pub(crate) const IDENTITY_VALUES: usize = 8;

/// Who answered, as far as it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// The values of the identity's headers, in the order of [`Identity::values`], still in the
    /// connection's buffer; empty where missing.
    Values([&'a [u8]; IDENTITY_VALUES]),
    /// Read from the body.
    Body(&'a Identity),
}

/// A request that an echo answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    /// Who.
    pub who: Who<'a>,
    /// Which attempt of the nearest Envoy it was; above 1 the mesh retried.
    pub attempt: Option<u32>,
    /// The body as text, where it is still to be shown.
    pub text: Option<String>,
}

/// What a request did on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// No connection was made for it.
    None,
    /// It opened a connection.
    Fresh,
    /// It used one that had carried another request.
    Kept,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// Its address.
    pub address: SocketAddr,
    /// Its place among the addresses that the thread has met, so that requests on a kept
    /// connection need not look it up.
    pub place: usize,
}

/// How long a request took, and its parts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    /// From the instant at which it should have started to the end of the body, or to
    /// the failure. Without a rate, it should start when it does.
    pub total: Duration,
    /// From the instant at which it did start.
    pub service: Duration,
    /// Until the addresses of the name were known.
    pub dns: Option<Duration>,
    /// For TCP.
    pub connect: Option<Duration>,
    /// For the TLS handshake.
    pub tls: Option<Duration>,
    /// From the sending of the request to the first byte of the response.
    pub first_byte: Option<Duration>,
    /// The part of it that the nearest Envoy waited for its upstream host, in whole
    /// milliseconds, by `x-envoy-upstream-service-time`.
    pub upstream: Option<Duration>,
}

/// How one request ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome<'a> {
    /// Its number in the run, from 0.
    pub sequence: u64,
    /// The answer or the failure.
    pub result: Result<Answer<'a>, Failure>,
    /// How long it took.
    pub timings: Timings,
    /// What it did on the network.
    pub wire: Wire,
    /// Where its connection led; `None` where none was made.
    pub remote: Option<Remote>,
    /// Addresses of the name that were tried first and failed, and why.
    pub passed_over: Vec<(SocketAddr, String)>,
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
