//! A response in the buffers that it was read into, with HTTP/1.1 and HTTP/2 alike.

use std::io;
use std::time::{Duration, Instant};

use tokio_rustls::rustls;

use super::tls_error;
use super::wire::{Ending, Head};
use crate::tally::outcome::{Failure, FailureKind};

/// The longest response head that is read, in bytes.
pub(super) const MAX_HEAD: usize = 65_536;

/// The bytes of one response, in buffers that are reused for the next one.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// What was read, from the first byte of the head.
    pub(super) buffer: Vec<u8>,
    /// The content of a chunked body.
    pub(super) unchunked: Vec<u8>,
}

impl Buffers {
    /// The bytes that a response's [`Head`] refers to.
    #[must_use]
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// The body, as far as it was read.
    #[must_use]
    pub(super) fn body(&self, response: &Response) -> &[u8] {
        match response.head.ending {
            Ending::Chunked => &self.unchunked[..response.body],
            _ => &self.buffer[response.head.length..response.head.length + response.body],
        }
    }
}

/// How far a request got. The caller keeps it, so that it is known when time runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    /// Sent, but the response head is not complete.
    Head,
    Body,
}

impl Stage {
    /// What did not happen in time.
    #[must_use]
    pub(super) fn missing(self) -> &'static str {
        match self {
            Self::Connecting => "no connection",
            Self::Head => "no response headers",
            Self::Body => "the body did not end",
        }
    }
}

/// A complete response, whose bytes are in [`Buffers`].
#[derive(Debug)]
pub(super) struct Response {
    pub head: Head,
    /// Bytes of the body that were read.
    pub body: usize,
    /// Whether the body is longer than the limit, so that its end was not read.
    pub cut: bool,
    /// From the sending of the request to the first byte of the response.
    pub first_byte: Duration,
    /// When the last byte arrived.
    pub end: Instant,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

/// The failure that a connection's error means; `in_body` is the number of bytes of the body
/// that were read before it, `None` before the body.
pub(super) fn broken(error: &io::Error, in_body: Option<usize>) -> Failure {
    // With TLS 1.3 a server refuses the client's certificate after the handshake, so that
    // only reading the response shows it.
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(tls) = tls {
        let what = format!("TLS ended after the handshake: {}", tls_error::words(tls));
        return Failure::new(FailureKind::Tls, what);
    }
    let how = match error.kind() {
        io::ErrorKind::ConnectionReset => "reset",
        // TLS ended without close_notify, or the other side no longer reads.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "closed",
        _ => {
            let what = format!("the connection failed: {}", usage::system_error(error));
            return Failure::new(FailureKind::Reset, what);
        }
    };
    let place = match in_body {
        None => "before an answer".to_owned(),
        Some(read) => format!("in the body, after {read} bytes"),
    };
    Failure::new(FailureKind::Reset, format!("the connection was {how} {place}"))
}
