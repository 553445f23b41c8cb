//! Why a stream or a connection gave no response, in words.

use std::borrow::Cow;
use std::io;
use std::rc::Rc;

use super::frame::ErrorCode;
use crate::engine::response::broken;
use crate::tally::outcome::{Failure, FailureKind};

/// What the server did that HTTP/2 forbids, or that exceeds a limit of prober's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// What the server is told.
    pub code: ErrorCode,
    pub what: Cow<'static, str>,
    /// Whether HTTP/2 allows it, but prober does not.
    pub own_limit: bool,
}

impl Violation {
    pub(super) fn new(code: ErrorCode, what: impl Into<Cow<'static, str>>) -> Self {
        Self { code, what: what.into(), own_limit: false }
    }

    pub(super) fn protocol(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::PROTOCOL_ERROR, what)
    }

    /// A limit of prober's.
    pub(super) fn limit(what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: ErrorCode::ENHANCE_YOUR_CALM, what: what.into(), own_limit: true }
    }

    /// The failure of a request that met it.
    pub(super) fn failure(&self) -> Failure {
        let what = match self.own_limit {
            true => format!("{}; prober reads no more", self.what),
            false => format!("the server breaks the HTTP/2 protocol: {}", self.what),
        };
        Failure::new(FailureKind::Protocol, what)
    }
}

/// Why a connection carries no further response.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// It failed.
    Io(Rc<io::Error>),
    /// The server closed it.
    Closed,
    /// The server announced the end with this code, and that it does not answer the stream.
    GoAway(ErrorCode),
    Violation(Violation),
    /// The server speaks something else.
    Foreign(Cow<'static, str>),
}

impl Ended {
    /// The failure of a request; `in_body` is the number of bytes of the body that came before,
    /// `None` before the body.
    pub(super) fn failure(&self, in_body: Option<usize>) -> Failure {
        let place = in_body.map_or_else(String::new, |n| format!(" in the body, after {n} bytes"));
        match self {
            Self::Io(error) => broken(error, in_body),
            Self::Closed => broken(&io::ErrorKind::UnexpectedEof.into(), in_body),
            Self::GoAway(code) => {
                let what = format!("the server closed the connection (GOAWAY {code}){place}");
                Failure::new(FailureKind::Reset, what)
            }
            Self::Violation(violation) => violation.failure(),
            Self::Foreign(what) => Failure::new(FailureKind::Protocol, what.as_ref()),
        }
    }
}

/// The failure of a request whose stream the server reset.
pub(super) fn reset(code: ErrorCode, in_body: Option<usize>) -> Failure {
    let place = in_body.map_or_else(String::new, |n| format!(" in the body, after {n} bytes"));
    Failure::new(FailureKind::Reset, format!("the server reset the stream ({code}){place}"))
}

/// What a server speaks whose first bytes are not a frame with settings.
pub(super) fn foreign(start: &[u8]) -> Ended {
    Ended::Foreign(match start {
        // A TLS record of the type alert (RFC 8446, 5.1).
        [0x15, 0x03, ..] => {
            Cow::Borrowed("the server answers with a TLS alert: it expects TLS on this port")
        }
        _ => {
            let start = start.split(|byte| *byte == b'\r' || *byte == b'\n').next();
            let start = &start.unwrap_or_default()[..start.unwrap_or_default().len().min(40)];
            match start.iter().all(|byte| (0x20..0x7f).contains(byte)) && !start.is_empty() {
                true => {
                    let text = String::from_utf8_lossy(start);
                    format!("the response is not HTTP/2: it starts with \"{text}\"").into()
                }
                false => "the response is not HTTP/2: it does not start with settings".into(),
            }
        }
    })
}

/// Why a stream gave no response.
#[derive(Clone, Debug)]
pub(in crate::engine) struct StreamFailure {
    pub failure: Failure,
    /// Whether only the stream failed, so that the connection can carry other requests.
    pub stream_only: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_http2_is_quoted_if_it_can_be() {
        let words = |start: &[u8]| foreign(start).failure(None).what;
        assert_eq!(
            words(b"HTTP/1.1 400 Bad Request\r\nserver: x\r\n"),
            "the response is not HTTP/2: it starts with \"HTTP/1.1 400 Bad Request\""
        );
        assert!(words(b"\xff\xff").contains("is not HTTP/2: it does not start with settings"));
        assert!(words(b"\x15\x03\x01\0\x02\x02\x46").contains("it expects TLS"));
        assert!(words(&[b'x'; 200]).len() < 100);
    }

    #[test]
    fn a_limit_of_our_own_does_not_blame_the_server() {
        let limit = Violation::limit("more than 100 of them").failure();
        assert_eq!(limit.what, "more than 100 of them; prober reads no more");
        let wrong = Violation::protocol("a stream that was not opened").failure();
        assert!(wrong.what.contains("breaks the HTTP/2 protocol"), "{}", wrong.what);
    }
}
