//! Deadlines of many lanes on one thread, kept by one task that looks at all of
//! them now and then: a timer for each request would cost more than the
//! request's own work.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock;

/// Why a lane was woken from what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    /// Its deadline passed.
    Overdue,
    /// The run is to stop.
    Stop,
}

/// One lane's deadline.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    deadline: Cell<Option<Instant>>,
    rung: Cell<Option<Rung>>,
    waker: RefCell<Option<Waker>>,
}

impl Deadline {
    /// Waits for `work`, until `deadline` if there is one, or until the run stops. It is
    /// met to within the tick of [`Deadlines::keep`]; it never rings early.
    pub(super) async fn guard<T>(
        &self,
        deadline: Option<Instant>,
        work: impl Future<Output = T>,
    ) -> Result<T, Rung> {
        self.deadline.set(deadline);
        let mut work = pin!(work);
        let result = poll_fn(|cx| {
            if let Some(ring) = self.rung.get() {
                return Poll::Ready(Err(ring));
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
        self.deadline.set(None);
        if self.rung.get() == Some(Rung::Overdue) {
            self.rung.set(None);
        }
        result
    }

    /// Whether the run is to stop.
    #[must_use]
    pub(super) fn stopped(&self) -> bool {
        self.rung.get() == Some(Rung::Stop)
    }

    fn ring(&self, ring: Rung) {
        self.rung.set(Some(ring));
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// All alarms of a thread.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    alarms: RefCell<Vec<Rc<Deadline>>>,
}

impl Deadlines {
    /// A new alarm, looked after from now on.
    pub(super) fn alarm(&self) -> Rc<Deadline> {
        let alarm = Rc::new(Deadline::default());
        self.alarms.borrow_mut().push(Rc::clone(&alarm));
        alarm
    }

    /// Rings what is overdue, and everything once `stop` says so. Never ends by itself.
    /// The tick is a fiftieth of `limit`, from 1 to 50 ms.
    pub(super) async fn keep(&self, limit: Duration, stop: &CancellationToken) {
        let tick = (limit / 50).clamp(Duration::from_millis(1), Duration::from_millis(50));
        loop {
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                () = stop.cancelled() => {
                    self.alarms.borrow().iter().for_each(|alarm| alarm.ring(Rung::Stop));
                    std::future::pending::<()>().await;
                }
            }
            let now = clock::now();
            for alarm in self.alarms.borrow().iter() {
                if alarm.deadline.get().is_some_and(|deadline| deadline <= now) {
                    alarm.ring(Rung::Overdue);
                }
            }
        }
    }
}
