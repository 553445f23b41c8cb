//! Who may open a stream: at most as many lanes at once as the server allows. The others wait in
//! the order in which they came.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Counts the open streams of a connection.
#[derive(Debug)]
pub(super) struct Gate {
    limit: Cell<u32>,
    open: Cell<u32>,
    closed: Cell<bool>,
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
    /// Those whose turn came, but who have not noticed yet; their streams count as open.
    admitted: RefCell<VecDeque<Rc<Waiter>>>,
}

/// A lane that waits.
#[derive(Debug, Default)]
struct Waiter {
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The gate is closed: the connection takes no further streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Closed;

impl Gate {
    /// A gate without a limit.
    pub(super) fn new() -> Self {
        Self {
            limit: Cell::new(u32::MAX),
            open: Cell::default(),
            closed: Cell::default(),
            waiting: RefCell::default(),
            admitted: RefCell::default(),
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// How many streams are open.
    #[cfg(test)]
    pub(super) fn open(&self) -> u32 {
        self.open.get()
    }

    /// Whether lanes wait for a stream.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.borrow().is_empty() || !self.admitted.borrow().is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Opens a stream at once, if the limit allows it and nobody waits.
    pub(super) fn enter_now(&self) -> Result<bool, Closed> {
        if self.closed.get() {
            return Err(Closed);
        }
        let free = self.open.get() < self.limit.get() && self.waiting.borrow().is_empty();
        self.open.set(self.open.get() + u32::from(free));
        Ok(free)
    }

    /// Opens a stream when it is this lane's turn.
    pub(super) async fn enter(&self) -> Result<(), Closed> {
        if self.enter_now()? {
            return Ok(());
        }
        let waiter = Rc::new(Waiter::default());
        self.waiting.borrow_mut().push_back(Rc::clone(&waiter));
        let mut turn = Turn { gate: self, waiter, taken: false };
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(Err(Closed));
            }
            if turn.waiter.granted.get() {
                self.admitted.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &turn.waiter));
                turn.taken = true;
                return Poll::Ready(Ok(()));
            }
            *turn.waiter.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// A stream was closed.
    pub(super) fn leave(&self) {
        self.open.set(self.open.get().saturating_sub(1));
        self.admit();
    }

    /// The server allows so many streams from now on. If those are fewer, the lanes that were admitted
    /// last and have not opened their stream wait again, in front of the others.
    pub(super) fn set_limit(&self, limit: u32) {
        self.limit.set(limit);
        while self.open.get() > limit {
            let Some(last) = self.admitted.borrow_mut().pop_back() else { break };
            last.granted.set(false);
            self.open.set(self.open.get() - 1);
            self.waiting.borrow_mut().push_front(last);
        }
        self.admit();
    }

    /// Opens no further stream; those that wait are turned away.
    pub(super) fn close(&self) {
        self.closed.set(true);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.iter().for_each(|waiter| waiter.wake());
    }

    fn admit(&self) {
        while self.open.get() < self.limit.get() {
            let Some(next) = self.waiting.borrow_mut().pop_front() else { return };
            self.open.set(self.open.get() + 1);
            next.granted.set(true);
            next.wake();
            self.admitted.borrow_mut().push_back(next);
        }
    }
}

impl Waiter {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The place of a lane that waits; given up when dropped.
struct Turn<'a> {
    gate: &'a Gate,
    waiter: Rc<Waiter>,
    /// Whether the lane has its stream.
    taken: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        match (self.taken, self.waiter.granted.get()) {
            (true, _) => {}
            // Its turn came, but the lane went away before it noticed.
            (false, true) => {
                let mut admitted = self.gate.admitted.borrow_mut();
                admitted.retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
                drop(admitted);
                self.gate.leave();
            }
            (false, false) => {
                let mut waiting = self.gate.waiting.borrow_mut();
                waiting.retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::Context;

    fn poll(work: Pin<&mut impl Future<Output = Result<(), Closed>>>) -> Poll<Result<(), Closed>> {
        work.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn lanes_enter_in_order_and_never_more_than_the_limit() {
        let gate = Gate::new();
        gate.set_limit(1);
        assert_eq!(gate.enter_now(), Ok(true));
        let (mut first, mut second) = (pin!(gate.enter()), pin!(gate.enter()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        gate.leave();
        assert_eq!(gate.enter_now(), Ok(false), "the lane that waits is first");
        assert!(poll(second.as_mut()).is_pending());
        assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(())));
        assert_eq!(gate.open(), 1);
        gate.set_limit(2);
        assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(())));
        assert_eq!((gate.open(), gate.enter_now()), (2, Ok(false)));
        gate.set_limit(0);
        gate.leave();
        gate.leave();
        assert_eq!((gate.open(), gate.enter_now()), (0, Ok(false)), "none is allowed");
    }

    /// The end of streams and a lower limit may come in one read, before a lane is polled.
    #[test]
    fn a_lower_limit_holds_for_lanes_that_have_not_noticed_their_turn() {
        let gate = Gate::new();
        gate.set_limit(3);
        (0..3).for_each(|_| assert_eq!(gate.enter_now(), Ok(true)));
        let (mut first, mut second, mut third) =
            (pin!(gate.enter()), pin!(gate.enter()), pin!(gate.enter()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        (0..3).for_each(|_| gate.leave());
        gate.set_limit(1);
        assert!(poll(third.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert_eq!((poll(first.as_mut()), gate.open()), (Poll::Ready(Ok(())), 1));
        gate.leave();
        assert!(poll(third.as_mut()).is_pending(), "the second was before it");
        assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(())));
        gate.set_limit(2);
        assert_eq!((poll(third.as_mut()), gate.open()), (Poll::Ready(Ok(())), 2));
        assert!(gate.admitted.borrow().is_empty() && gate.waiting.borrow().is_empty());
    }

    #[test]
    fn a_lane_that_goes_away_leaves_its_turn_to_the_next() {
        let gate = Gate::new();
        gate.set_limit(1);
        assert_eq!(gate.enter_now(), Ok(true));
        let mut last = pin!(gate.enter());
        {
            let (mut gone, mut late) = (pin!(gate.enter()), pin!(gate.enter()));
            assert!(poll(gone.as_mut()).is_pending() && poll(late.as_mut()).is_pending());
            assert!(poll(last.as_mut()).is_pending());
            gate.leave();
        }
        assert_eq!(poll(last.as_mut()), Poll::Ready(Ok(())));
        assert_eq!(gate.open(), 1);
    }

    #[test]
    fn a_closed_gate_turns_everyone_away() {
        let gate = Gate::new();
        gate.set_limit(0);
        let mut waiting = pin!(gate.enter());
        assert!(poll(waiting.as_mut()).is_pending());
        gate.close();
        assert_eq!(poll(waiting.as_mut()), Poll::Ready(Err(Closed)));
        assert_eq!(gate.enter_now(), Err(Closed));
    }
}
