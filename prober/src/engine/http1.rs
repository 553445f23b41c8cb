//! HTTP/1.1: one request and its response at a time on a connection, as bytes in buffers that
//! are reused.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::clock;
use crate::engine::connect::{Quiet, Stream};
use crate::engine::response::{Buffers, EchoNumbers, MAX_HEAD, Response, Stage, broken};
use crate::engine::wire::{Chunks, Ending, Head, WireError};
use crate::tally::outcome::{Failure, FailureKind};

/// A longer body is sent while the response is read: it may not fit into the buffers between client and
/// server, and the server may answer before it has read it.
const AT_ONCE: usize = 65_536;
/// How long the rest of a line may take that is wrong already.
const REST_OF_LINE: Duration = Duration::from_millis(100);

/// The size by which the buffer grows; a read has at least half of it.
const ROOM: usize = 8_192;

/// A connection without a request for this long may have met the server's keep-alive timeout.
const IDLE: Duration = Duration::from_millis(100);
/// A server that closes an idle connection while a request is on the way ends it within a round trip.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// An open connection, with the buffers of its current response.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    buffers: Buffers,
    /// The part of a long body that has not been sent; `None` once all of it is.
    unsent: Option<Bytes>,
    numbers: EchoNumbers,
    /// When its last response ended; `None` before the first one.
    answered: Option<Instant>,
    pub opened: Instant,
}

/// What was read of a body.
#[derive(Clone, Copy, Debug)]
struct Body {
    /// Bytes, at most the limit.
    length: usize,
    /// Whether it is longer than the limit.
    cut: bool,
    /// Whether more bytes arrived than belong to it.
    surplus: bool,
}

impl Connection {
    #[must_use]
    pub(super) fn new(stream: Stream, opened: Instant) -> Self {
        let buffers = Buffers { buffer: Vec::with_capacity(ROOM), unchunked: Vec::new() };
        let numbers = EchoNumbers::default();
        Self { stream, buffers, unsent: None, numbers, answered: None, opened }
    }

    /// Sends a request, its head and its body, and reads the response, of which the body up to
    /// `limit` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: (&[u8], Option<&Bytes>),
        to_head: bool,
        limit: usize,
        stage: &mut Stage,
    ) -> Result<Response, Failure> {
        self.buffers.buffer.clear();
        *stage = Stage::Head;
        let sent_at = clock::now();
        // If a server responds early and closes, the write fails, but its response is already
        // on the way and says more than the broken pipe.
        let sent = self.send(request).await;
        let (head, first_byte) = match (self.head(to_head).await, sent) {
            (Ok(head), _) => head,
            (Err(failure), Err(error)) if failure.kind != FailureKind::Tls => {
                return Err(self.after_idling(broken(&error, None), sent_at));
            }
            (Err(failure), _) => return Err(self.after_idling(failure, sent_at)),
        };
        *stage = Stage::Body;
        let body = self.body(&head, limit).await?;
        let end = clock::now();
        self.answered = Some(end);
        let keep_alive = head.keep_alive && !body.cut && !body.surplus && self.unsent.is_none();
        let first_byte = first_byte.saturating_duration_since(sent_at);
        let repeated = self.numbers.repeated(&head, &self.buffers.buffer);
        let (body, cut, surplus) = (body.length, body.cut, body.surplus && head.status != 101);
        let interim = head.interim.into();
        Ok(Response { head, body, cut, repeated, interim, surplus, first_byte, end, keep_alive })
    }

    #[must_use]
    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Whether it can carry a further request; see [`Stream::between_requests`].
    pub(super) async fn between_requests(&mut self) -> Quiet {
        self.stream.between_requests().await
    }

    /// Names the likely cause of a connection that ended without a byte of the answer, if it was idle
    /// before the request: the server closed it while the request was on the way.
    fn after_idling(&self, failure: Failure, sent_at: Instant) -> Failure {
        let idle = self.answered.map(|answered| sent_at.saturating_duration_since(answered));
        let Some(idle) = idle.filter(|idle| *idle >= IDLE) else { return failure };
        let soon = clock::now().saturating_duration_since(sent_at) < ROUND_TRIP;
        if failure.kind != FailureKind::Reset || !self.buffers.buffer.is_empty() || !soon {
            return failure;
        }
        let idle = usage::duration::format(Duration::from_millis(idle.as_millis() as u64));
        let what = format!(
            "{}, after {idle} without a request; the server's keep-alive timeout may be that short",
            failure.what
        );
        Failure { what, ..failure }
    }

    async fn send(&mut self, (head, body): (&[u8], Option<&Bytes>)) -> io::Result<()> {
        self.stream.write_all(head).await?;
        match body {
            Some(body) if body.len() > AT_ONCE => self.unsent = Some(body.clone()),
            Some(body) => self.stream.write_all(body).await?,
            None => {}
        }
        match &mut self.stream {
            // TCP needs no flush.
            Stream::Plain(_) => Ok(()),
            Stream::Tls(stream) => stream.flush().await,
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        if self.buffers.buffer.capacity() - self.buffers.buffer.len() < ROOM / 2 {
            self.buffers.buffer.reserve(ROOM);
        }
        if self.unsent.is_none() {
            return self.stream.read_buf(&mut self.buffers.buffer).await;
        }
        poll_fn(|cx| {
            self.poll_send(cx);
            pin!(self.stream.read_buf(&mut self.buffers.buffer)).poll(cx)
        })
        .await
    }

    /// Sends as much of a long body as the server takes. If that fails, what can be read says why.
    fn poll_send(&mut self, cx: &mut Context<'_>) {
        let Some(unsent) = &mut self.unsent else { return };
        while !unsent.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, unsent) {
                Poll::Ready(Ok(sent)) if sent > 0 => unsent.advance(sent),
                _ => return,
            }
        }
        if Pin::new(&mut self.stream).poll_flush(cx).is_ready() {
            self.unsent = None;
        }
    }

    async fn head(&mut self, to_head: bool) -> Result<(Head, Instant), Failure> {
        let mut first_byte = None;
        loop {
            let read = self.more().await.map_err(|error| self.in_head(broken(&error, None)))?;
            let now = *first_byte.get_or_insert_with(clock::now);
            if read == 0 {
                return Err(self.in_head(closed(None)));
            }
            let head = loop {
                match Head::read_unfolding(&mut self.buffers.buffer, to_head) {
                    Ok(head) => break head,
                    Err(_) if self.more_of_the_line().await => {}
                    Err(error) => return Err(other_protocol(&self.buffers.buffer, &error)),
                }
            };
            let length = head.as_ref().map_or(self.buffers.buffer.len(), |head| head.length);
            if length > MAX_HEAD {
                let what = format!("the response headers are larger than {MAX_HEAD} bytes");
                return Err(Failure::new(FailureKind::Protocol, what));
            }
            if let Some(head) = head {
                return Ok((head, now));
            }
        }
    }

    /// Whether more came, within a short time, of a line that is wrong already: half of it would say
    /// something false about the cause.
    async fn more_of_the_line(&mut self) -> bool {
        let buffer = &self.buffers.buffer;
        let cut = buffer.last() != Some(&b'\n') && buffer.len() < MAX_HEAD;
        cut && matches!(timeout(REST_OF_LINE, self.more()).await, Ok(Ok(1..)))
    }

    /// The failure of a connection that ended in the head, if some of it had come.
    fn in_head(&self, failure: Failure) -> Failure {
        let place = match self.buffers.buffer.len() {
            0 => return failure,
            read => format!("in the response headers, after {read} bytes"),
        };
        Failure { what: failure.what.replace("before an answer", &place), ..failure }
    }

    async fn body(&mut self, head: &Head, limit: usize) -> Result<Body, Failure> {
        match head.ending {
            Ending::Length(length) => {
                let whole = usize::try_from(length).unwrap_or(usize::MAX);
                let wanted = whole.min(limit);
                self.until(head.length + wanted, head.length).await?;
                let surplus = self.buffers.buffer.len() > head.length.saturating_add(whole);
                Ok(Body { length: wanted, cut: whole > limit, surplus })
            }
            Ending::Close => self.until_closed(head.length, limit).await,
            Ending::Chunked => self.chunked(head.length, limit).await,
        }
    }

    async fn until(&mut self, wanted: usize, start: usize) -> Result<(), Failure> {
        while self.buffers.buffer.len() < wanted {
            let so_far = self.buffers.buffer.len() - start;
            match self.more().await {
                Ok(0) => return Err(closed(Some(so_far))),
                Ok(_) => {}
                Err(error) => return Err(broken(&error, Some(so_far))),
            }
        }
        Ok(())
    }

    async fn until_closed(&mut self, start: usize, limit: usize) -> Result<Body, Failure> {
        loop {
            let so_far = self.buffers.buffer.len() - start;
            if so_far > limit {
                return Ok(Body { length: limit, cut: true, surplus: false });
            }
            match self.more().await {
                Ok(0) => return Ok(Body { length: so_far, cut: false, surplus: false }),
                Ok(_) => {}
                Err(error) => return Err(broken(&error, Some(so_far))),
            }
        }
    }

    async fn chunked(&mut self, start: usize, limit: usize) -> Result<Body, Failure> {
        self.buffers.unchunked.clear();
        let mut chunks = Chunks::default();
        let mut used = start;
        loop {
            let fresh = &self.buffers.buffer[used..];
            let progress =
                chunks.read(fresh, &mut self.buffers.unchunked).map_err(|error| invalid(&error))?;
            used += progress.used;
            let so_far = self.buffers.unchunked.len();
            if so_far > limit {
                return Ok(Body { length: limit, cut: true, surplus: false });
            }
            if progress.done {
                let surplus = self.buffers.buffer.len() > used;
                return Ok(Body { length: so_far, cut: false, surplus });
            }
            // Drops the part of the body that was read; the head stays, since ranges refer to it.
            self.buffers.buffer.drain(start..used);
            used = start;
            match self.more().await {
                Ok(0) => return Err(closed(Some(so_far))),
                Ok(_) => {}
                Err(error) => return Err(broken(&error, Some(so_far))),
            }
        }
    }
}

/// The failure of a response whose first bytes may be those of another protocol.
fn other_protocol(start: &[u8], error: &WireError) -> Failure {
    let what = match start {
        // A TLS record of the type alert (RFC 8446, 5.1).
        [0x15, 0x03, ..] => "the server answers with a TLS alert: it expects TLS on this port",
        // The frame SETTINGS or GOAWAY of the stream 0 (RFC 9113, 4.1).
        [_, _, _, 0x04 | 0x07, _, 0, 0, 0, 0, ..] => "the server speaks HTTP/2 only on this port",
        _ => return invalid(error),
    };
    Failure::new(FailureKind::Protocol, what)
}

fn invalid(error: &WireError) -> Failure {
    Failure::new(FailureKind::Protocol, error.to_string())
}

/// The connection was closed properly, but before the end of the response.
fn closed(in_body: Option<usize>) -> Failure {
    Failure::new(
        FailureKind::Reset,
        match in_body {
            None => "the connection was closed before an answer".to_owned(),
            Some(read) => format!("the connection was closed in the body, after {read} bytes"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_rustls::rustls::{AlertDescription, Error};

    #[test]
    fn a_client_certificate_refused_after_the_handshake_is_a_tls_failure() {
        let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
        let failure = broken(&io::Error::new(io::ErrorKind::InvalidData, alert), None);
        assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");
        assert!(failure.what.contains("requires a client certificate"), "{failure:?}");
    }

    #[test]
    fn a_failure_tells_a_reset_from_a_close() {
        let what = |kind: io::ErrorKind, read| broken(&kind.into(), read).what;
        let reset = what(io::ErrorKind::ConnectionReset, None);
        assert_eq!(reset, "the connection was reset before an answer");
        let closed = what(io::ErrorKind::UnexpectedEof, Some(7));
        assert_eq!(closed, "the connection was closed in the body, after 7 bytes");
    }
}
