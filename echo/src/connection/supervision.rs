//! What ends a connection besides its client: the drain, an answer that is the last, the
//! idle timeout, and a request head that does not arrive.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep};

use crate::accounts::{Account, must_leave};

use super::activity::{Activity, HEAD_TIMEOUT, Verdict};

/// How long a draining connection waits for its first request. The request may be on its
/// way, and clients do not retry it if a new connection closes.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(500);

const GONE: Order = Order::End("the server has stopped");
const NO_ROOM: Order = Order::End("closed to make room");
const NOT_READING: Order = Order::End("the client does not read the answer");
const TOO_SLOW: Order = Order::End("the request head arrived too slowly");

/// What the connection has to do, whatever its client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// End after the answer that is about to be sent.
    Close,
    /// End after the requests in flight.
    Finish,
    /// End at once, for this reason.
    End(&'static str),
}

/// Waits for the events that end a connection.
pub(super) struct Supervision<'a> {
    pub(super) close: &'a Notify,
    /// Notified by the first request.
    pub(super) first: &'a Notify,
    /// The number of requests so far.
    pub(super) requests: &'a AtomicU64,
    pub(super) activity: &'a Activity,
    pub(super) account: Option<&'a Account>,
    pub(super) drain: watch::Receiver<()>,
    pub(super) check: Pin<Box<Sleep>>,
    /// Whether the connection was told to finish because it is idle.
    pub(super) finishing: bool,
}

impl Supervision<'_> {
    /// The next order, and the supervision that waits for further ones.
    pub(super) async fn next(mut self) -> (Order, Self) {
        let order = loop {
            tokio::select! {
                biased;
                () = self.close.notified() => break Order::Close,
                more = self.drain.changed() => {
                    break if more.is_ok() { self.drained().await } else { GONE };
                }
                () = must_leave(self.account) => break NO_ROOM,
                () = self.check.as_mut() => if let Some(order) = self.checked() { break order },
            }
        };
        (order, self)
    }

    async fn drained(&mut self) -> Order {
        if self.requests.load(Relaxed) == 0 {
            tokio::select! {
                _ = tokio::time::timeout(FIRST_REQUEST, self.first.notified()) => {}
                more = self.drain.changed() => if more.is_err() { return GONE },
            }
        }
        Order::Finish
    }

    fn checked(&mut self) -> Option<Order> {
        let now = Instant::now();
        let (order, next) = match self.activity.verdict(now) {
            Verdict::KeepFor(time) => (None, time),
            // It would have ended by now, if its client read what is left to send.
            Verdict::Idle if self.finishing => (Some(NOT_READING), HEAD_TIMEOUT),
            Verdict::Idle => {
                self.finishing = true;
                (Some(Order::Finish), self.activity.end())
            }
            Verdict::NotReading => (Some(NOT_READING), HEAD_TIMEOUT),
            Verdict::TooSlow => (Some(TOO_SLOW), HEAD_TIMEOUT),
        };
        self.check.as_mut().reset(now + next);
        order
    }
}
