//! One connection as a state: bytes come in, bytes go out, responses become complete. No I/O and no
//! clock, so that every rule can be tested without a server.

mod receive;
mod send;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::failure::{Ended, StreamFailure, Violation, foreign};
use super::frame::{self, ErrorCode, FRAME_SIZE, MAX_STREAM, MAX_WINDOW, WINDOW, setting};
use super::gate::Gate;
use super::head::{Kind, kind_of};
use super::hpack::Decoder;
use super::request::{ServerTable, Template};
use super::stream::Stream;
use crate::engine::response::{Buffers, MAX_HEAD, Response};
use crate::tally::outcome::Failure;
use receive::HeaderBlock;

/// How much a server may send on a connection before prober allows more: so much that no slow
/// reader of one stream can hold up the others.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// The most bytes of replies (to PING and SETTINGS) that wait for a server that does not read them.
const MAX_REPLIES: usize = 262_144;
/// A buffer of more bytes is not kept.
const LARGE: usize = 1 << 18;

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Session {
    /// What is to be sent, of which the first bytes were.
    out: Vec<u8>,
    sent: usize,
    /// How many requests are in it.
    unsent_requests: usize,
    /// Bytes of replies in `out`.
    replies: usize,
    /// The start of a frame whose end has not arrived.
    partial: Vec<u8>,
    block: Option<HeaderBlock>,
    decoder: Decoder<Kind>,
    streams: Vec<Stream>,
    free: Vec<usize>,
    /// The places of the streams that are open, by their ids.
    open: HashMap<u32, usize, BuildHasherDefault<IdHasher>>,
    next_id: u32,
    /// The streams with a body that is not sent yet.
    sending: VecDeque<(usize, u32)>,
    server: ServerSettings,
    server_table: ServerTable,
    /// How many bytes of bodies may be sent on the connection.
    send_window: i64,
    /// How many bytes the server used of its window that were not given back.
    used: u32,
    goaway: Option<(u32, ErrorCode)>,
    ended: Option<Ended>,
    /// Whether no request was under way or waited for a stream when it ended, or when the server
    /// announced a graceful end.
    ended_idle: bool,
    gate: Rc<Gate>,
    body_limit: usize,
}

/// What the server's settings say; the rest has no meaning for a client.
#[derive(Clone, Copy, Debug)]
struct ServerSettings {
    /// Whether they came.
    known: bool,
    window: u32,
    frame_size: usize,
}

impl Session {
    /// A new connection, whose first bytes are ready to be sent. Of each body, up to `body_limit`
    /// bytes are read. The streams are counted at the `gate`.
    pub(super) fn new(body_limit: usize, gate: Rc<Gate>) -> Self {
        let mut out = frame::PREFACE.to_vec();
        let settings = [
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, stream_window(body_limit)),
            (setting::MAX_HEADER_LIST_SIZE, MAX_HEAD as u32),
        ];
        frame::settings(&settings, &mut out);
        frame::window_update(0, CONNECTION_WINDOW - WINDOW, &mut out);
        Self {
            out,
            sent: 0,
            unsent_requests: 0,
            replies: 0,
            partial: Vec::new(),
            block: None,
            decoder: Decoder::new(kind_of),
            streams: Vec::new(),
            free: Vec::new(),
            open: HashMap::default(),
            next_id: 1,
            sending: VecDeque::new(),
            server: ServerSettings { known: false, window: WINDOW, frame_size: FRAME_SIZE },
            server_table: ServerTable::Empty,
            send_window: i64::from(WINDOW),
            used: 0,
            goaway: None,
            ended: None,
            ended_idle: false,
            gate,
            body_limit,
        }
    }

    /// Whether the server's settings came.
    pub(super) fn is_ready(&self) -> bool {
        self.server.known
    }

    /// Why it carries no further response, if so.
    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Whether the server ended it in order, or announced to, while no request was under way.
    pub(super) fn closed_while_idle(&self) -> bool {
        let in_order = self.goaway.is_none_or(|(_, code)| code == ErrorCode::NO_ERROR);
        self.ended_idle
            && in_order
            && matches!(self.ended, None | Some(Ended::Closed | Ended::Io(_)))
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty() && !self.gate.has_waiting()
    }

    /// Why no request can start on it, if so.
    pub(super) fn refusal(&self) -> Failure {
        match (&self.ended, self.goaway) {
            (Some(ended), _) => ended.failure(None),
            (None, Some((_, code))) => Ended::GoAway(code).failure(None),
            (None, None) => Ended::Closed.failure(None),
        }
    }

    /// Starts a request, for which the gate was entered. Returns the place of its stream.
    pub(super) fn begin(
        &mut self,
        template: &Template,
        probe_id: &[u8],
        buffers: Buffers,
        now: Instant,
    ) -> usize {
        let id = self.next_id;
        self.next_id += 2;
        if self.next_id > MAX_STREAM {
            self.gate.close();
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.streams.push(Stream::new(now));
            self.streams.len() - 1
        });
        if self.server_table == ServerTable::Empty && !template.fits() {
            self.server_table = ServerTable::Unused;
        }
        template.write_head(id, probe_id, &mut self.server_table, &mut self.out);
        self.unsent_requests += 1;
        let stream = &mut self.streams[place];
        stream.start(id, buffers, template.to_head, now);
        stream.window = stream_window(self.body_limit);
        self.open.insert(id, place);
        if let Some(body) = &template.body {
            stream.upload = Some(body.clone());
            self.sending.push_back((place, id));
            self.send_bodies();
        }
        place
    }

    /// The response of a stream, once it is complete; otherwise `waker` is woken then.
    pub(super) fn poll_response(
        &mut self,
        place: usize,
        waker: &Waker,
    ) -> Poll<Result<(Response, Buffers), StreamFailure>> {
        let stream = &mut self.streams[place];
        let Some(ended) = stream.ended.take() else {
            if !stream.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                stream.waker = Some(waker.clone());
            }
            return Poll::Pending;
        };
        stream.id = 0;
        self.free.push(place);
        Poll::Ready(ended.map(|end| stream.take(end)))
    }

    /// Gives a request up, whether it has ended or not. Returns whether its body was under way.
    pub(super) fn cancel(&mut self, place: usize) -> bool {
        let id = self.streams[place].id;
        if self.open.remove(&id).is_some() {
            self.gate.leave();
            if self.ended.is_none() {
                frame::rst_stream(id, ErrorCode::CANCEL, &mut self.out);
            }
        }
        let stream = &mut self.streams[place];
        (stream.id, stream.upload, stream.ended) = (0, None, None);
        self.free.push(place);
        stream.head.is_complete()
    }

    /// Ends a stream, and tells the lane that waits for it.
    fn complete(&mut self, place: usize, ended: Result<Instant, StreamFailure>) {
        let stream = &mut self.streams[place];
        self.open.remove(&stream.id);
        stream.upload = None;
        stream.ended = Some(ended);
        if let Some(waker) = &stream.waker {
            waker.wake_by_ref();
        }
        self.gate.leave();
    }

    /// The server closed its side of the connection.
    pub(super) fn closed(&mut self) {
        let ended = match self.goaway {
            _ if !self.server.known && !self.partial.is_empty() => foreign(&self.partial),
            Some((_, code)) if code != ErrorCode::NO_ERROR => Ended::GoAway(code),
            _ => Ended::Closed,
        };
        self.end(ended);
    }

    /// The connection failed.
    pub(super) fn broken(&mut self, error: io::Error) {
        let ended = match self.goaway {
            _ if !self.server.known && !self.partial.is_empty() => foreign(&self.partial),
            Some((_, code)) if code != ErrorCode::NO_ERROR => Ended::GoAway(code),
            _ => Ended::Io(Rc::new(error)),
        };
        self.end(ended);
    }

    /// The server takes nothing more. What it sent before, or the end of it, says why.
    pub(super) fn cannot_send(&mut self) {
        self.gate.close();
        self.out.clear();
        self.sent = 0;
    }

    fn violate(&mut self, violation: Violation) {
        frame::goaway(violation.code, &mut self.out);
        self.end(Ended::Violation(violation));
    }

    fn end(&mut self, ended: Ended) {
        if self.ended.is_some() {
            return;
        }
        // After a GOAWAY, that one counts.
        if self.goaway.is_none() {
            self.ended_idle = self.is_idle();
        }
        self.gate.close();
        let failed: Vec<_> = self.open.values().copied().collect();
        for place in failed {
            let failure = ended.failure(self.streams[place].in_body());
            self.complete(place, Err(StreamFailure { failure, stream_only: false }));
        }
        self.ended = Some(ended);
    }

    /// What is to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// Whether responses to requests that were sent are still to come.
    pub(super) fn is_awaiting(&self) -> bool {
        self.open.len() > self.unsent_requests && self.out.len() < LARGE
    }

    /// Whether enough replies to frames of the server wait that they should not wait longer.
    pub(super) fn owes_replies(&self) -> bool {
        self.replies > FRAME_SIZE
    }

    /// So many bytes of it were sent.
    pub(super) fn advance(&mut self, sent: usize) {
        self.sent += sent;
        if self.sent == self.out.len() {
            self.out.clear();
            self.out.shrink_to(LARGE);
            (self.sent, self.replies, self.unsent_requests) = (0, 0, 0);
            self.send_bodies();
        }
    }

    /// Says farewell.
    pub(super) fn farewell(&mut self) {
        if self.ended.is_none() {
            frame::goaway(ErrorCode::NO_ERROR, &mut self.out);
        }
    }
}

/// How much a server may send on a stream at once: all that is read of a body, and a byte that shows
/// that it is longer.
fn stream_window(body_limit: usize) -> u32 {
    let wanted = u32::try_from(body_limit).unwrap_or(u32::MAX);
    wanted.saturating_add(1).clamp(WINDOW, MAX_WINDOW)
}

/// Spreads the ids of streams, which are odd numbers in order, over a table.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, id: u32) {
        // Fibonacci hashing.
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests;
