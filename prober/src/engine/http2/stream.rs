//! One request and its response on a connection. Pure.

use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::failure::{StreamFailure, Violation};
use super::head::{HeadBuilder, Section};
use crate::engine::response::{Buffers, Response};

/// A stream; kept for the next request when the response was taken.
#[derive(Debug)]
pub(super) struct Stream {
    /// 0 if it carries no request.
    pub id: u32,
    pub head: HeadBuilder,
    pub buffers: Buffers,
    to_head: bool,
    sent_at: Instant,
    /// When the headers of the response were complete.
    head_at: Instant,
    /// Whether the body is longer than the limit.
    cut: bool,
    /// The rest of the request's body.
    pub upload: Option<Bytes>,
    /// By how much the server enlarged the stream's window, less what was sent.
    pub credit: i64,
    /// How many bytes the server may still send, and how many it used that were not given back.
    pub window: u32,
    pub used: u32,
    pub waker: Option<Waker>,
    /// How it ended: when the last byte arrived, or why there is no response.
    pub ended: Option<Result<Instant, StreamFailure>>,
}

/// What follows from a part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// The response is complete.
    Complete,
    /// It is long enough; the rest of its body is not wanted.
    Enough,
}

impl Stream {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            id: 0,
            head: HeadBuilder::default(),
            buffers: Buffers::default(),
            to_head: false,
            sent_at: now,
            head_at: now,
            cut: false,
            upload: None,
            credit: 0,
            window: 0,
            used: 0,
            waker: None,
            ended: None,
        }
    }

    /// Makes it carry another request.
    pub(super) fn start(&mut self, id: u32, mut buffers: Buffers, to_head: bool, now: Instant) {
        buffers.buffer.clear();
        buffers.unchunked.clear();
        (self.id, self.buffers, self.to_head) = (id, buffers, to_head);
        self.head.clear();
        (self.sent_at, self.head_at, self.cut) = (now, now, false);
        (self.upload, self.credit, self.used, self.ended) = (None, 0, 0, None);
    }

    /// How many bytes of the body came; `None` before the body.
    pub(super) fn in_body(&self) -> Option<usize> {
        self.head.is_complete().then_some(self.buffers.unchunked.len())
    }

    /// Ends a block of headers.
    pub(super) fn end_block(&mut self, last: bool, now: Instant) -> Result<Progress, Violation> {
        if self.head.end_block(last, &mut self.buffers.buffer)? == Section::Final {
            self.head_at = now;
        }
        self.after_part(last)
    }

    /// Takes a part of the body, of which `limit` bytes are wanted.
    pub(super) fn data(
        &mut self,
        data: &[u8],
        last: bool,
        limit: usize,
    ) -> Result<Progress, Violation> {
        if !self.head.is_complete() {
            return Err(Violation::protocol("a body came before the headers of the response"));
        }
        let body = &mut self.buffers.unchunked;
        let room = limit - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            self.cut = true;
            return Ok(Progress::Enough);
        }
        self.after_part(last)
    }

    fn after_part(&self, last: bool) -> Result<Progress, Violation> {
        if !last {
            return Ok(Progress::More);
        }
        self.head.check_length(self.buffers.unchunked.len(), self.to_head)?;
        Ok(Progress::Complete)
    }

    /// The response, which is complete since `end`, and its bytes.
    pub(super) fn take(&mut self, end: Instant) -> (Response, Buffers) {
        let mut buffers = std::mem::take(&mut self.buffers);
        let interim = self.head.interim;
        let head = self.head.finish(&mut buffers.buffer);
        let response = Response {
            head,
            body: buffers.unchunked.len(),
            cut: self.cut,
            repeated: false,
            interim,
            surplus: false,
            first_byte: self.head_at.saturating_duration_since(self.sent_at),
            end,
            keep_alive: true,
        };
        (response, buffers)
    }
}
