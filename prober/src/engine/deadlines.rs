//! Deadlines of many lanes on one thread. One task checks all of them at every tick: a timer
//! for each request would cost more than the request's own work.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock;

/// Why a lane was woken before its work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// Its deadline passed.
    Overdue,
    /// The run stops.
    Stop,
}

#[derive(Debug, Default)]
pub(super) struct Deadline {
    at: Cell<Option<Instant>>,
    rung: Cell<Option<Rung>>,
    waker: RefCell<Option<Waker>>,
}

impl Deadline {
    /// Waits for `work`, until the instant `at` if there is one, or until the run stops. A
    /// deadline is noticed within one tick of [`Deadlines::enforce`], and never early.
    pub(super) async fn guard<T>(
        &self,
        at: Option<Instant>,
        work: impl Future<Output = T>,
    ) -> Result<T, Rung> {
        self.at.set(at);
        let mut work = pin!(work);
        let result = poll_fn(|cx| {
            if let Some(rung) = self.rung.get() {
                return Poll::Ready(Err(rung));
            }
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
        self.at.set(None);
        if self.rung.get() == Some(Rung::Overdue) {
            self.rung.set(None);
        }
        result
    }

    /// Whether the run stops.
    #[must_use]
    pub(super) fn stopped(&self) -> bool {
        self.rung.get() == Some(Rung::Stop)
    }

    fn ring(&self, rung: Rung) {
        self.rung.set(Some(rung));
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// The deadlines of all lanes of a thread.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    all: RefCell<Vec<Rc<Deadline>>>,
    /// Whether the run stops.
    stopped: Cell<bool>,
}

impl Deadlines {
    /// Adds the deadline of one more lane. The run may have stopped before the lane started.
    pub(super) fn add(&self) -> Rc<Deadline> {
        let deadline = Rc::new(Deadline::default());
        deadline.rung.set(self.stopped.get().then_some(Rung::Stop));
        self.all.borrow_mut().push(Rc::clone(&deadline));
        deadline
    }

    /// Wakes the lanes that are overdue, and all lanes when `stop` is cancelled. Never returns.
    /// The tick is a fiftieth of `limit`, from 1 to 50 ms. Without a limit no lane is overdue.
    pub(super) async fn enforce(&self, limit: Option<Duration>, stop: &CancellationToken) {
        let longest = Duration::from_millis(50);
        let tick =
            limit.map_or(longest, |limit| (limit / 50).clamp(Duration::from_millis(1), longest));
        loop {
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                () = stop.cancelled() => {
                    self.stopped.set(true);
                    self.all.borrow().iter().for_each(|deadline| deadline.ring(Rung::Stop));
                    std::future::pending::<()>().await;
                }
            }
            let now = clock::now();
            for deadline in self.all.borrow().iter() {
                if deadline.at.get().is_some_and(|at| at <= now) {
                    deadline.ring(Rung::Overdue);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_starts_after_the_stop_does_not_start() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (deadlines, stop) = (Deadlines::default(), CancellationToken::new());
            let before = deadlines.add();
            stop.cancel();
            let enforcing = deadlines.enforce(Some(Duration::from_secs(1)), &stop);
            let enforced = tokio::time::timeout(Duration::from_millis(1), enforcing).await;
            assert!(enforced.is_err(), "it never returns");
            assert!(before.stopped() && deadlines.add().stopped());
        });
    }
}
