//! Waits for the scheduled starts of an open loop, accurate to a fraction of a millisecond. Each
//! thread has a kernel timer, because the runtime's own timer ticks once per millisecond.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::clock;

/// The timer of one thread, and the starts that its lanes wait for.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    /// Ordered by instant.
    waiting: RefCell<VecDeque<(Instant, Arc<Notify>)>>,
    /// Notified when the first start changes.
    changed: Notify,
}

impl Pacer {
    /// A pacer for the runtime that is entered.
    ///
    /// # Errors
    /// If the system provides no timer.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; this is the descriptor's only owner"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer, waiting: RefCell::default(), changed: Notify::new() })
    }

    /// Waits until `due`; returns at once if it has passed.
    pub(super) async fn until(&self, due: Instant) {
        if due <= clock::now() {
            return;
        }
        let wake = self.enqueue(due);
        wake.notified().await;
    }

    fn enqueue(&self, due: Instant) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.partition_point(|(other, _)| *other <= due);
        waiting.insert(place, (due, Arc::clone(&wake)));
        if place == 0 {
            self.changed.notify_one();
        }
        wake
    }

    /// Wakes the lanes whose start is due. Never returns.
    pub(super) async fn run(&self) {
        loop {
            let first = self.waiting.borrow().front().map(|(due, _)| *due);
            let Some(due) = first else {
                self.changed.notified().await;
                continue;
            };
            if due > clock::now() {
                tokio::select! {
                    () = self.sleep(due) => {}
                    () = self.changed.notified() => continue,
                }
            }
            let now = clock::now();
            let mut waiting = self.waiting.borrow_mut();
            while waiting.front().is_some_and(|(due, _)| *due <= now) {
                if let Some((_, wake)) = waiting.pop_front() {
                    wake.notify_one();
                }
            }
        }
    }

    async fn sleep(&self, due: Instant) {
        let left = due.saturating_duration_since(clock::now());
        // Zero would disarm the timer.
        let nanos = i64::from(left.subsec_nanos()).max(1);
        let it_value =
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: nanos };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval, it_value };
        // These fail only for a descriptor that is not a timer.
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec).is_err() {
            return;
        }
        if let Ok(mut ready) = self.timer.readable().await {
            let mut expirations = [0; 8];
            let _ = rustix::io::read(&self.timer, &mut expirations);
            ready.clear_ready();
        }
    }
}
