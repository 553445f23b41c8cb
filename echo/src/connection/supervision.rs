//! What ends a connection, other than its client: the drain, an answer that is
//! to be the last, rest for too long, and a head that does not come.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep};

use super::activity::{Activity, HEAD_TIMEOUT, Verdict};

/// How long, once draining, a connection without any request so far is kept: its
/// first one may be on its way, and on a new connection nobody would send it again.
pub(super) const FIRST_REQUEST: Duration = Duration::from_millis(500);

const GONE: Order = Order::End("the server has stopped");
const TOO_SLOW: Order = Order::End("the request's head came too slowly");

/// What becomes of a connection, whatever its client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// An answer that stands is the last.
    Close,
    /// What is in flight is the last.
    Finish,
    /// It ends at once; why.
    End(&'static str),
}

/// Waits for what ends a connection.
pub(super) struct Supervision<'a> {
    pub(super) close: &'a Notify,
    /// Notified of the first request.
    pub(super) first: &'a Notify,
    /// How many requests have come.
    pub(super) requests: &'a AtomicU64,
    pub(super) activity: &'a Activity,
    pub(super) drain: watch::Receiver<()>,
    pub(super) check: Pin<Box<Sleep>>,
}

impl Supervision<'_> {
    /// The next order, and who waits for those after it.
    pub(super) async fn next(mut self) -> (Order, Self) {
        let order = loop {
            tokio::select! {
                biased;
                () = self.close.notified() => break Order::Close,
                more = self.drain.changed() => {
                    break if more.is_ok() { self.drained().await } else { GONE };
                }
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
            Verdict::Idle => (Some(Order::Finish), HEAD_TIMEOUT),
            Verdict::TooSlow => (Some(TOO_SLOW), HEAD_TIMEOUT),
        };
        self.check.as_mut().reset(now + next);
        order
    }
}
