//! Where the threads of a run wait for each other, so that the time that each needs to get
//! ready is not part of any request's latency.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock;
use crate::tally::meter::lock;

#[derive(Debug, Default)]
pub(super) struct StartLine {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: u64,
    signal: Option<Signal>,
}

#[derive(Clone, Copy, Debug)]
enum Signal {
    Start(Instant),
    CallOff,
}

/// A thread on its way to the line. It counts as ready when this is dropped, so that a thread
/// that panics does not keep the others waiting.
#[derive(Debug)]
pub(super) struct Arrival<'a>(&'a StartLine);

impl StartLine {
    pub(super) fn arrival(&self) -> Arrival<'_> {
        Arrival(self)
    }

    /// Waits until `threads` are ready, and starts them. Returns the first instant of the run.
    pub(super) fn start(&self, threads: u64) -> Instant {
        let waiting = |state: &mut State| state.ready < threads;
        let waited = self.changed.wait_while(self.locked(), waiting);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let start = clock::now();
        self.signal(Signal::Start(start));
        start
    }

    /// Sends all threads home that are or will be waiting.
    pub(super) fn call_off(&self) {
        self.signal(Signal::CallOff);
    }

    fn signal(&self, signal: Signal) {
        self.locked().signal = Some(signal);
        self.changed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Arrival<'_> {
    /// Waits for the first instant of the run; `None` if the run was called off.
    pub(super) fn wait(self) -> Option<Instant> {
        let line = self.0;
        drop(self);
        let waiting = |state: &mut State| state.signal.is_none();
        let state = line.changed.wait_while(line.locked(), waiting);
        match state.unwrap_or_else(PoisonError::into_inner).signal {
            Some(Signal::Start(start)) => Some(start),
            Some(Signal::CallOff) | None => None,
        }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.locked().ready += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn nobody_starts_before_everybody_is_ready() {
        let (line, prepared) = (StartLine::default(), AtomicU64::new(0));
        thread::scope(|scope| {
            let work = || {
                let arrival = line.arrival();
                thread::yield_now();
                let ready = clock::now();
                prepared.fetch_add(1, Ordering::SeqCst);
                let start = arrival.wait().unwrap();
                (prepared.load(Ordering::SeqCst), ready <= start, start)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
            let start = line.start(8);
            for thread in threads {
                assert_eq!(thread.join().unwrap(), (8, true, start));
            }
        });
    }

    #[test]
    fn a_run_that_is_called_off_or_loses_a_thread_keeps_nobody_waiting() {
        let line = StartLine::default();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| line.arrival().wait());
            line.call_off();
            assert_eq!(waiting.join().unwrap(), None);
            assert_eq!(line.arrival().wait(), None, "also who comes late");
        });
        let line = StartLine::default();
        thread::scope(|scope| {
            let lost = scope.spawn(|| {
                let _arrival = line.arrival();
                std::panic::resume_unwind(Box::new("lost"));
            });
            line.start(1);
            assert!(lost.join().is_err());
        });
    }
}
