//! Reads and writes all connections of a thread, so that no lane's time-out can end it.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::connection::{Connection, Lease, ToSend};
use crate::engine::connect::Stream;
use crate::engine::response::NO_SETTINGS;
use crate::tally::outcome::{Failure, FailureKind};

/// The most that one read takes: the frames of many responses.
const ROOM: usize = 65_536;

/// How often sending is put off while responses keep coming.
const PUT_OFF: u32 = 8;

/// The connections of one thread.
#[derive(Debug)]
pub(in crate::engine) struct Driver {
    /// Those that nobody reads yet.
    new: RefCell<Vec<Rc<Connection>>>,
    /// Those that have something to send.
    to_send: Rc<ToSend>,
    /// What is read goes here first, whatever the connection; little of it is kept.
    room: Rc<RefCell<Vec<u8>>>,
}

impl Default for Driver {
    fn default() -> Self {
        let room = Rc::new(RefCell::new(vec![0; ROOM]));
        Self { new: RefCell::default(), to_send: Rc::default(), room }
    }
}

impl Driver {
    /// Starts HTTP/2 on a stream, for up to `uses` requests. Waits for the server's settings, up to
    /// `left` of the time to connect, which is `limit`.
    pub(in crate::engine) async fn open(
        &self,
        (stream, remote): (Stream, Option<SocketAddr>),
        uses: u64,
        body_limit: usize,
        (left, limit): (Duration, Duration),
    ) -> Result<Lease, Failure> {
        let to_send = Rc::clone(&self.to_send);
        let connection = Connection::new((stream, remote), uses, body_limit, to_send);
        let settings = poll_fn(|cx| connection.poll_settings(cx, &mut self.room.borrow_mut()));
        tokio::time::timeout(left, settings).await.unwrap_or_else(|_| {
            let what = format!("{NO_SETTINGS} within {limit:?}");
            Err(Failure::new(FailureKind::Timeout, what))
        })?;
        let connection = Rc::new(connection);
        self.new.borrow_mut().push(Rc::clone(&connection));
        Ok(Lease::new(connection))
    }

    /// Reads and writes while `lanes` work: first what came, so that the lanes find it, and in the end
    /// what all of them have to send.
    pub(in crate::engine) async fn carry<T>(&self, lanes: impl Future<Output = T>) -> T {
        let (mut lanes, mut reading) = (pin!(lanes), FuturesUnordered::new());
        poll_fn(|cx| {
            while let Poll::Ready(Some(())) = reading.poll_next_unpin(cx) {}
            let ended = lanes.as_mut().poll(cx);
            self.send(cx);
            for connection in self.new.borrow_mut().drain(..) {
                reading.push(Reading { connection, room: Rc::clone(&self.room) });
            }
            while let Poll::Ready(Some(())) = reading.poll_next_unpin(cx) {}
            ended
        })
        .await
    }

    /// Sends what can be sent. While responses keep coming on a connection, it waits for more: a server
    /// that answers many streams sends them in pieces, and to answer each piece at once would cost both
    /// sides a system call for each few requests.
    fn send(&self, cx: &mut Context<'_>) {
        let mut to_send = self.to_send.borrow_mut();
        to_send.retain(|connection| {
            if connection.puts_off(PUT_OFF) {
                cx.waker().wake_by_ref();
                return true;
            }
            connection.poll_send(cx).is_pending()
        });
    }
}

/// Reads one connection until it ends.
struct Reading {
    connection: Rc<Connection>,
    room: Rc<RefCell<Vec<u8>>>,
}

impl Future for Reading {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.poll_read(cx, &mut self.room.borrow_mut())
    }
}
