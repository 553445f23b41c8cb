//! One request and its response on a connection, as bytes in buffers that are
//! used again and again.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::clock;
use crate::engine::connect::Stream;
use crate::engine::response::{Buffers, MAX_HEAD, Response, Stage, broken};
use crate::engine::wire::{Chunks, Ending, Head, WireError};
use crate::tally::outcome::{Failure, FailureKind};

/// How much room a read is given at least.
const ROOM: usize = 8_192;

/// An open connection, with what was read from it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    page: Buffers,
    /// How many requests it has carried.
    pub requests: u64,
    /// When it was opened.
    pub opened: Instant,
}

impl Connection {
    /// A connection that was just opened.
    #[must_use]
    pub(super) fn new(stream: Stream, opened: Instant) -> Self {
        let page = Buffers { buffer: Vec::with_capacity(ROOM), unchunked: Vec::new() };
        Self { stream, page, requests: 0, opened }
    }

    /// Sends a request, its head and its body, and reads the response, of its body at most
    /// `limit` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: (&[u8], &[u8]),
        to_head: bool,
        limit: usize,
        stage: &mut Stage,
    ) -> Result<Response, Failure> {
        self.requests += 1;
        self.page.buffer.clear();
        *stage = Stage::Head;
        let sent_at = clock::now();
        // A server that answers early and closes makes the write fail; its answer,
        // already on the way, says more than the broken pipe.
        let sent = self.send(request).await;
        let (head, first_byte) = match (self.head(to_head).await, sent) {
            (Ok(head), _) => head,
            (Err(failure), Err(error)) if failure.kind != FailureKind::Tls => {
                return Err(broken(&error, None));
            }
            (Err(failure), _) => return Err(failure),
        };
        *stage = Stage::Body;
        let (body, cut, surplus) = self.body(&head, limit).await?;
        let end = clock::now();
        let keep_alive = head.keep_alive && !cut && !surplus;
        let first_byte = first_byte.saturating_duration_since(sent_at);
        Ok(Response { head, body, cut, first_byte, end, keep_alive })
    }

    /// What was read of the current response.
    #[must_use]
    pub(super) fn page(&self) -> &Buffers {
        &self.page
    }

    async fn send(&mut self, (head, body): (&[u8], &[u8])) -> io::Result<()> {
        self.stream.write_all(head).await?;
        if !body.is_empty() {
            self.stream.write_all(body).await?;
        }
        match &mut self.stream {
            // TCP has nothing to flush.
            Stream::Plain(_) => Ok(()),
            Stream::Tls(stream) => stream.flush().await,
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        if self.page.buffer.capacity() - self.page.buffer.len() < ROOM / 2 {
            self.page.buffer.reserve(ROOM);
        }
        self.stream.read_buf(&mut self.page.buffer).await
    }

    async fn head(&mut self, to_head: bool) -> Result<(Head, Instant), Failure> {
        let mut first_byte = None;
        loop {
            let read = self.more().await.map_err(|error| broken(&error, None))?;
            let now = *first_byte.get_or_insert_with(clock::now);
            if read == 0 {
                return Err(closed(None));
            }
            match Head::read(&self.page.buffer, to_head).map_err(|error| against_rules(&error))? {
                Some(head) => return Ok((head, now)),
                None if self.page.buffer.len() > MAX_HEAD => {
                    let what = format!("the response header is larger than {MAX_HEAD} bytes");
                    return Err(Failure::new(FailureKind::Protocol, what));
                }
                None => {}
            }
        }
    }

    /// Reads the body; its length, whether it was cut, and whether more came than belongs to it.
    async fn body(&mut self, head: &Head, limit: usize) -> Result<(usize, bool, bool), Failure> {
        match head.ending {
            Ending::Length(length) => {
                let whole = usize::try_from(length).unwrap_or(usize::MAX);
                let wanted = whole.min(limit);
                self.until(head.length + wanted, head.length).await?;
                let surplus = self.page.buffer.len() > head.length.saturating_add(whole);
                Ok((wanted, whole > limit, surplus))
            }
            Ending::Close => self.until_closed(head.length, limit).await,
            Ending::Chunked => self.chunked(head.length, limit).await,
        }
    }

    async fn until(&mut self, wanted: usize, start: usize) -> Result<(), Failure> {
        while self.page.buffer.len() < wanted {
            let so_far = self.page.buffer.len() - start;
            match self.more().await {
                Ok(0) => return Err(closed(Some(so_far))),
                Ok(_) => {}
                Err(error) => return Err(broken(&error, Some(so_far))),
            }
        }
        Ok(())
    }

    async fn until_closed(
        &mut self,
        start: usize,
        limit: usize,
    ) -> Result<(usize, bool, bool), Failure> {
        loop {
            let so_far = self.page.buffer.len() - start;
            if so_far > limit {
                return Ok((limit, true, false));
            }
            match self.more().await {
                Ok(0) => return Ok((so_far, false, false)),
                Ok(_) => {}
                Err(error) => return Err(broken(&error, Some(so_far))),
            }
        }
    }

    async fn chunked(
        &mut self,
        start: usize,
        limit: usize,
    ) -> Result<(usize, bool, bool), Failure> {
        self.page.unchunked.clear();
        let mut chunks = Chunks::default();
        let mut used = start;
        loop {
            let fresh = &self.page.buffer[used..];
            let (read, done) = chunks
                .read(fresh, &mut self.page.unchunked)
                .map_err(|error| against_rules(&error))?;
            used += read;
            let so_far = self.page.unchunked.len();
            if so_far > limit {
                return Ok((limit, true, false));
            }
            if done {
                return Ok((so_far, false, self.page.buffer.len() > used));
            }
            // The head stays, the places in it are still needed; what was read of the body goes.
            self.page.buffer.drain(start..used);
            used = start;
            match self.more().await {
                Ok(0) => return Err(closed(Some(so_far))),
                Ok(_) => {}
                Err(error) => return Err(broken(&error, Some(so_far))),
            }
        }
    }
}

fn against_rules(error: &WireError) -> Failure {
    Failure::new(FailureKind::Protocol, error.to_string())
}

/// The connection ended in order, but too early: before an answer, or in its body.
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
    fn a_client_certificate_refused_after_the_handshake_is_a_failure_of_tls() {
        let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
        let failure = broken(&io::Error::new(io::ErrorKind::InvalidData, alert), None);
        assert_eq!(failure.kind, FailureKind::Tls, "{failure:?}");
        assert!(failure.what.contains("CertificateRequired"), "{failure:?}");
    }

    #[test]
    fn how_a_connection_ended_is_said_as_it_was() {
        let what = |kind: io::ErrorKind, read| broken(&kind.into(), read).what;
        let reset = what(io::ErrorKind::ConnectionReset, None);
        assert_eq!(reset, "the connection was reset before an answer");
        let closed = what(io::ErrorKind::UnexpectedEof, Some(7));
        assert_eq!(closed, "the connection was closed in the body, after 7 bytes");
    }
}
