//! A response in the buffers that it was read into, with HTTP/1.1 and HTTP/2 alike.

use std::borrow::Cow;
use std::cell::Cell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::time::{Duration, Instant};

use tokio_rustls::rustls;

use super::tls_error;
use super::wire::{Ending, Field, Head};
use crate::tally::Transport;
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

/// What is missing if an HTTP/2 server sends nothing.
pub(super) const NO_SETTINGS: &str = "the server sent no HTTP/2 settings";

/// How far a request got. The caller keeps it, so that it is known when time runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    /// Connected, but the server's HTTP/2 settings have not come.
    Settings,
    /// Waits for a stream, of which the server allows so many at the same time.
    Stream(u64),
    /// Sent, but the response head is not complete.
    Head,
    Body,
}

impl Stage {
    /// What did not happen in time.
    #[must_use]
    pub(super) fn missing(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Connecting => "no connection",
            Self::Settings => NO_SETTINGS,
            Self::Stream(allowed) => {
                let what =
                    format!("no stream was free (the server allows {allowed} at the same time)");
                return Cow::Owned(what);
            }
            Self::Head => "no response headers",
            Self::Body => "the body did not end",
        })
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
    /// Whether an echo numbered it as it numbered an earlier response on this connection.
    pub repeated: bool,
    /// How many interim (1xx) responses came before it.
    pub interim: u64,
    /// Whether it was followed by bytes that belong to no response.
    pub surplus: bool,
    /// From the sending of the request to the first byte of the response.
    pub first_byte: Duration,
    /// When the last byte arrived.
    pub end: Instant,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

impl Response {
    /// Notes what the connection did beside it.
    pub(super) fn note(&self, transport: &mut Transport) {
        transport.interim += self.interim;
        transport.unasked += u64::from(self.surplus);
    }
}

/// How many responses of a connection are remembered: a cache has few copies, and proxies mix a few
/// connections to echoes.
const REMEMBERED: usize = 8;

/// The last numbers that echoes gave to the responses on one connection, each with the echo and its
/// connection; as hashes, so that nothing is allocated.
#[derive(Debug, Default)]
pub(super) struct EchoNumbers {
    last: Cell<[u64; REMEMBERED]>,
    next: Cell<usize>,
}

impl EchoNumbers {
    /// Whether this response has the number of an earlier one: an echo gives each number of its
    /// connection once. A response without a number never has.
    pub(super) fn repeated(&self, head: &Head, buffer: &[u8]) -> bool {
        // An answer with a probe id says by that whether it is one's own.
        let id = head.field(buffer, Field::Probe).or(head.field(buffer, Field::ProbeId));
        let Some(request) = head.field(buffer, Field::Request).filter(|_| id.is_none()) else {
            return false;
        };
        let mut hasher = DefaultHasher::new();
        let origin = [Field::Pod, Field::Cluster, Field::Connection];
        (origin.map(|field| head.field(buffer, field)), request).hash(&mut hasher);
        // 0 is a free place.
        let number = hasher.finish().max(1);
        let mut last = self.last.get();
        if last.contains(&number) {
            return true;
        }
        let next = self.next.get();
        last[next] = number;
        self.last.set(last);
        self.next.set((next + 1) % REMEMBERED);
        false
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(numbers: &EchoNumbers, headers: &str) -> bool {
        let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        let head = Head::read(text.as_bytes(), false).unwrap().unwrap();
        numbers.repeated(&head, text.as_bytes())
    }

    #[test]
    fn a_number_repeats_only_for_the_same_connection_of_the_same_echo() {
        let numbers = EchoNumbers::default();
        let headers = |pod: &str, connection: &str, request: u64| {
            format!(
                "x-echo-pod: {pod}\r\nx-echo-connection: {connection}\r\nx-echo-request: {request}\r\n"
            )
        };
        for (pod, connection, request, same) in [
            ("a", "1", 1, false),
            ("a", "1", 2, false),
            ("a", "2", 1, false),
            ("b", "1", 1, false),
            ("a", "1", 1, true),
            ("b", "1", 1, true),
            ("b", "1", 2, false),
        ] {
            let headers = headers(pod, connection, request);
            assert_eq!(repeated(&numbers, &headers), same, "{headers}");
        }
        assert!(!repeated(&numbers, "") && !repeated(&numbers, ""), "no number is no repetition");
        let alone = "x-echo-request: 1\r\n";
        assert!(!repeated(&numbers, alone) && repeated(&numbers, alone));
        assert!(!repeated(&EchoNumbers::default(), alone), "another connection");
        for request in 10..20 {
            assert!(!repeated(&numbers, &headers("c", "3", request)));
        }
        assert!(repeated(&numbers, &headers("c", "3", 12)), "the last 8 are remembered");
        assert!(!repeated(&numbers, &headers("c", "3", 11)));
    }
}
