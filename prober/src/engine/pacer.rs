//! Waits for the instants of an open loop, to a fraction of a millisecond: a timer
//! of the kernel for each thread, since the runtime's own ticks once a millisecond.

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

/// The instants that lanes of one thread wait for, and its timer.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    /// In the order of their instants, as they are handed out in it.
    waiting: RefCell<VecDeque<(Instant, Arc<Notify>)>>,
    more: Notify,
}

impl Pacer {
    /// A pacer of the runtime that is entered.
    ///
    /// # Errors
    /// If the system has no timer left to give.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(deprecated, reason = "its successor is unsafe; this owns its descriptor alone")]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer, waiting: RefCell::default(), more: Notify::new() })
    }

    /// Waits until `due`; at once if it has passed.
    pub(super) async fn until(&self, due: Instant) {
        if due <= clock::now() {
            return;
        }
        let turn = self.enqueue(due);
        turn.notified().await;
    }

    fn enqueue(&self, due: Instant) -> Arc<Notify> {
        let turn = Arc::new(Notify::new());
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.partition_point(|(other, _)| *other <= due);
        waiting.insert(place, (due, Arc::clone(&turn)));
        if place == 0 {
            self.more.notify_one();
        }
        turn
    }

    /// Wakes those whose instants have come. Never ends by itself.
    pub(super) async fn keep(&self) {
        loop {
            let first = self.waiting.borrow().front().map(|(due, _)| *due);
            let Some(due) = first else {
                self.more.notified().await;
                continue;
            };
            if due > clock::now() {
                tokio::select! {
                    () = self.sleep(due) => {}
                    () = self.more.notified() => continue,
                }
            }
            let now = clock::now();
            let mut waiting = self.waiting.borrow_mut();
            while waiting.front().is_some_and(|(due, _)| *due <= now) {
                if let Some((_, turn)) = waiting.pop_front() {
                    turn.notify_one();
                }
            }
        }
    }

    async fn sleep(&self, due: Instant) {
        let left = due.saturating_duration_since(clock::now());
        // A zero would disarm the timer.
        let nanos = i64::from(left.subsec_nanos()).max(1);
        let it_value =
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: nanos };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval, it_value };
        // Both fail only for a descriptor that is no timer, which this one is.
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
