//! A connection with its stream of bytes: read and written in one place, however many lanes use it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::failure::StreamFailure;
use super::gate::{Closed, Gate};
use super::request::Template;
use super::session::Session;
use crate::clock;
use crate::engine::connect::Stream;
use crate::engine::response::{Buffers, EchoNumbers, Response, Stage};
use crate::tally::outcome::Failure;

/// An open connection.
#[derive(Debug)]
pub(in crate::engine) struct Connection {
    io: RefCell<Stream>,
    session: RefCell<Session>,
    gate: Rc<Gate>,
    pub(super) opened: Instant,
    /// Where it leads.
    pub remote: Option<SocketAddr>,
    /// How many more requests may start on it.
    pub(super) uses: Cell<u64>,
    numbers: EchoNumbers,
    /// How many users it has.
    leases: Cell<usize>,
    /// Wakes whoever reads.
    reader: RefCell<Option<Waker>>,
    /// Whether something was read since the last turn of sending, and for how many turns.
    fresh: Cell<bool>,
    fresh_turns: Cell<u32>,
    /// Whether it is among those that have something to send, which are here.
    queued: Cell<bool>,
    to_send: Rc<ToSend>,
}

/// Connections that have something to send, each once.
pub(super) type ToSend = RefCell<Vec<Rc<Connection>>>;

impl Connection {
    /// Starts HTTP/2 on a stream, for up to `uses` requests, of whose responses up to `body_limit`
    /// bytes are read.
    pub(super) fn new(
        (stream, remote): (Stream, Option<SocketAddr>),
        uses: u64,
        body_limit: usize,
        to_send: Rc<ToSend>,
    ) -> Self {
        let gate = Rc::new(Gate::new());
        Self {
            io: RefCell::new(stream),
            session: RefCell::new(Session::new(body_limit, Rc::clone(&gate))),
            gate,
            opened: clock::now(),
            remote,
            uses: Cell::new(uses),
            numbers: EchoNumbers::default(),
            leases: Cell::default(),
            reader: RefCell::default(),
            fresh: Cell::default(),
            fresh_turns: Cell::default(),
            queued: Cell::default(),
            to_send,
        }
    }

    /// Reads until the server's settings have come.
    pub(super) fn poll_settings(
        &self,
        cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<Result<(), Failure>> {
        loop {
            {
                let session = self.session.borrow();
                if let Some(ended) = session.ended() {
                    return Poll::Ready(Err(ended.failure(None)));
                }
                if session.is_ready() {
                    return Poll::Ready(Ok(()));
                }
            }
            let _ = self.poll_send(cx);
            if self.poll_receive(cx, room).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Reads until the connection ends, or until nobody uses it.
    pub(super) fn poll_read(self: &Rc<Self>, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<()> {
        loop {
            let unused = self.leases.get() == 0;
            if unused || self.session.borrow().ended().is_some() {
                self.finish(cx);
                return Poll::Ready(());
            }
            if self.poll_receive(cx, room).is_pending() {
                let mut reader = self.reader.borrow_mut();
                if !reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    *reader = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
            self.fresh.set(true);
            let session = self.session.borrow();
            let (unsent, replies) = (!session.unsent().is_empty(), session.owes_replies());
            drop(session);
            // Replies go out at once: many may follow, and only a server that does not take them is
            // to blame if they pile up.
            if replies {
                let _ = self.poll_send(cx);
            }
            if unsent {
                self.queue();
            }
        }
    }

    /// Says farewell, and sends what can be sent at once.
    fn finish(&self, cx: &mut Context<'_>) {
        self.gate.close();
        self.session.borrow_mut().farewell();
        let _ = self.poll_send(cx);
        let mut io = self.io.borrow_mut();
        if matches!(*io, Stream::Tls(_)) {
            // A last record says that nothing follows.
            let _ = Pin::new(&mut *io).poll_shutdown(cx);
        }
    }

    /// Puts it among those that have something to send.
    fn queue(self: &Rc<Self>) {
        if !self.queued.replace(true) {
            self.to_send.borrow_mut().push(Rc::clone(self));
        }
    }

    /// Whether it is better to send later: responses come right now, and others will. Not for more
    /// than `turns` turns.
    pub(super) fn puts_off(&self, turns: u32) -> bool {
        let fresh = self.fresh.replace(false);
        let wait = fresh && self.fresh_turns.get() < turns && self.session.borrow().is_awaiting();
        self.fresh_turns.set(if wait { self.fresh_turns.get() + 1 } else { 0 });
        wait
    }

    /// Sends what can be sent now; `Pending` if something is left.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (mut io, mut session) = (self.io.borrow_mut(), self.session.borrow_mut());
        while !session.unsent().is_empty() {
            match ready!(Pin::new(&mut *io).poll_write(cx, session.unsent())) {
                Ok(0) | Err(_) => session.cannot_send(),
                Ok(written) => session.advance(written),
            }
        }
        // TCP needs no flush. With TLS, what was written may wait to be encrypted and sent.
        if matches!(*io, Stream::Tls(_)) && ready!(Pin::new(&mut *io).poll_flush(cx)).is_err() {
            session.cannot_send();
        }
        self.queued.set(false);
        Poll::Ready(())
    }

    fn poll_receive(&self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<()> {
        let mut buffer = ReadBuf::new(room);
        let read = Pin::new(&mut *self.io.borrow_mut()).poll_read(cx, &mut buffer);
        let mut session = self.session.borrow_mut();
        match read {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => session.closed(),
            Poll::Ready(Ok(())) => session.receive(buffer.filled(), clock::now()),
            Poll::Ready(Err(error)) => session.broken(error),
        }
        Poll::Ready(())
    }

    /// Whether further requests may start on it.
    pub(super) fn is_open(&self) -> bool {
        !self.gate.is_closed()
    }

    /// Whether the server closed it while no request was under way, and without a word.
    pub(super) fn closed_while_idle(&self) -> bool {
        self.session.borrow().closed_while_idle()
    }

    /// Why a request cannot start on it.
    pub(in crate::engine) fn refusal(&self) -> Failure {
        self.session.borrow().refusal()
    }

    /// How many streams the server allows at the same time.
    #[must_use]
    pub(in crate::engine) fn streams_allowed(&self) -> u32 {
        self.gate.limit()
    }

    /// Turns away those that wait for a stream; requests that were sent go on.
    pub(super) fn turn_away(&self) {
        self.gate.close();
    }
}

/// A lane that may open a stream.
#[derive(Debug)]
pub(in crate::engine) struct Entered<'a> {
    connection: &'a Rc<Connection>,
    /// Whether it opened one.
    used: bool,
}

impl Entered<'_> {
    /// Sends a request, and reads its response into `buffers`.
    pub(in crate::engine) async fn exchange(
        mut self,
        (template, probe_id): (&Template, &[u8]),
        buffers: &mut Buffers,
        stage: &mut Stage,
    ) -> Result<Response, StreamFailure> {
        let connection = self.connection;
        let filled = std::mem::take(buffers);
        let now = clock::now();
        let place = connection.session.borrow_mut().begin(template, probe_id, filled, now);
        self.used = true;
        *stage = Stage::Head;
        connection.queue();
        let mut exchange = Exchange { connection, place, ended: false, stage };
        let ended =
            poll_fn(|cx| connection.session.borrow_mut().poll_response(place, cx.waker())).await;
        exchange.ended = true;
        let (mut response, filled) = ended?;
        *buffers = filled;
        response.repeated = connection.numbers.repeated(&response.head, buffers.buffer());
        Ok(response)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.connection.gate.leave();
        }
    }
}

/// A request that was sent. If it is dropped before the response came, its stream is reset.
struct Exchange<'a> {
    connection: &'a Rc<Connection>,
    place: usize,
    ended: bool,
    /// Says in the end how far the response came.
    stage: &'a mut Stage,
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.connection.session.borrow_mut().cancel(self.place) {
            *self.stage = Stage::Body;
        }
        self.connection.queue();
    }
}

/// A connection in use. When the last lease of a connection is dropped, the connection ends.
#[derive(Debug)]
pub(in crate::engine) struct Lease(Rc<Connection>);

impl Lease {
    pub(super) fn new(connection: Rc<Connection>) -> Self {
        connection.leases.set(connection.leases.get() + 1);
        Self(connection)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Waits until one more stream may be opened.
    pub(in crate::engine) async fn enter(&self) -> Result<Entered<'_>, Closed> {
        self.gate.enter().await?;
        Ok(Entered { connection: &self.0, used: false })
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.0))
    }
}

impl Deref for Lease {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let left = self.leases.get() - 1;
        self.leases.set(left);
        if let (0, Some(reader)) = (left, self.reader.borrow().as_ref()) {
            reader.wake_by_ref();
        }
    }
}
