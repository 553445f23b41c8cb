//! A response in the buffers that it was read into, whatever protocol carried it.

use std::io;
use std::time::{Duration, Instant};

use tokio_rustls::rustls;

use super::wire::{Ending, Head};
use crate::tally::outcome::{Failure, FailureKind};

/// The most bytes of a response head that are read.
pub(super) const MAX_HEAD: usize = 65_536;

/// The bytes of one response, in buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// What was read of it, from its first byte on.
    pub(super) buffer: Vec<u8>,
    /// The content of a body that came in pieces.
    pub(super) unchunked: Vec<u8>,
}

impl Buffers {
    /// The bytes that the response's head refers to.
    #[must_use]
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// The response's body, as far as it was read.
    #[must_use]
    pub(super) fn body(&self, response: &Response) -> &[u8] {
        match response.head.ending {
            Ending::Chunked => &self.unchunked[..response.body],
            _ => &self.buffer[response.head.length..response.head.length + response.body],
        }
    }
}

/// How far a request came; kept outside, so that it is known when time runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not connected yet.
    Connecting,
    /// Sent, and no whole response head yet.
    Head,
    /// In the body.
    Body,
}

impl Stage {
    /// What did not happen in time.
    #[must_use]
    pub(super) fn missing(self) -> &'static str {
        match self {
            Self::Connecting => "no connection",
            Self::Head => "no response header",
            Self::Body => "the body did not end",
        }
    }
}

/// A response, whole in the connection's buffers.
#[derive(Debug)]
pub(super) struct Response {
    /// What its head says.
    pub head: Head,
    /// Bytes of the body that were read.
    pub(super) body: usize,
    /// Whether the body is longer than the limit, and was not read to its end.
    pub cut: bool,
    /// From the sending of the request to the first byte of the response.
    pub first_byte: Duration,
    /// When its last byte came.
    pub end: Instant,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

/// The failure that an error of a connection is; `in_body` is how many bytes of the body came
/// before it.
pub(super) fn broken(error: &io::Error, in_body: Option<usize>) -> Failure {
    // TLS 1.3 lets a server refuse the client's certificate after the handshake, so
    // that the first to hear of it is who reads the answer.
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(tls) = tls {
        let what = format!("TLS broke off after the handshake: {tls}");
        return Failure::new(FailureKind::Tls, what);
    }
    let how = match error.kind() {
        io::ErrorKind::ConnectionReset => "reset",
        // TLS ended without its farewell, or the other side no longer listens.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "closed",
        _ => return Failure::new(FailureKind::Reset, format!("the connection broke: {error}")),
    };
    let place = match in_body {
        None => "before an answer".to_owned(),
        Some(read) => format!("in the body, after {read} bytes"),
    };
    Failure::new(FailureKind::Reset, format!("the connection was {how} {place}"))
}
