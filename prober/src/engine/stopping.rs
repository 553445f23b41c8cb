//! Whether a run that goes on until its expectations are decided has sent enough. Threads
//! hand in what they counted now and then; whoever does judges the sum. A lock is taken at
//! these moments only.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::expectation::Expectation;
use crate::plan::ProbePlan;
use crate::plan::schedule::End;
use crate::tally::{Recorder, Stopped, Tally};
use crate::verdict::sampling;
use crate::verdict::{self, Sampling};

/// Judges a run while it goes on.
#[derive(Debug)]
pub(crate) struct StoppingRule<'a> {
    plan: &'a ProbePlan,
    /// Whether an expectation is about latency, so that histograms are needed.
    latencies: bool,
    /// What was counted before, then what each thread counted, as far as it said.
    parts: Mutex<Vec<Tally>>,
    decided: AtomicBool,
}

impl<'a> StoppingRule<'a> {
    /// A monitor of a run that goes on from `before`; none if its size is fixed.
    #[must_use]
    pub(crate) fn new(plan: &'a ProbePlan, before: &Tally) -> Option<Self> {
        if plan.rules.sampling == Sampling::Fixed {
            return None;
        }
        let latencies =
            plan.expectations.iter().any(|one| matches!(one, Expectation::Latency { .. }));
        let parts = Mutex::new(vec![before.for_verdicts(latencies)]);
        Some(Self { plan, latencies, parts, decided: AtomicBool::new(false) })
    }

    /// Where one thread, from 0, hands in what it counts.
    #[must_use]
    pub(crate) fn checkpoint(&'a self, thread: u64) -> Checkpoint<'a> {
        // Not all threads at the same moment.
        let next = Cell::new(sampling::pause(0) + thread % 4);
        let place = usize::try_from(thread).unwrap_or(usize::MAX).saturating_add(1);
        Checkpoint { monitor: self, place, ended: Cell::new(0), next }
    }

    /// Why the run is over, if it is: no request is under way any more.
    #[must_use]
    pub(crate) fn stopped(&self, whole: &Tally) -> Option<Stopped> {
        if verdict::decided(whole, &self.plan.expectations, &self.plan.rules) {
            return Some(Stopped::Decided);
        }
        let End::Requests(most) = self.plan.schedule.end else { return Some(Stopped::Exhausted) };
        (whole.requests() >= most).then_some(Stopped::Exhausted)
    }

    fn look(&self, place: usize, recorder: &mut Recorder) {
        let part = recorder.so_far(self.latencies);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.len() <= place {
            parts.resize_with(place + 1, Tally::default);
        }
        parts[place] = part;
        let mut whole = Tally::default();
        for part in parts.iter() {
            whole.merge(part.clone());
        }
        if verdict::decided(&whole, &self.plan.expectations, &self.plan.rules) {
            self.decided.store(true, Ordering::Relaxed);
        }
    }
}

/// One thread's side of a [`StoppingRule`].
#[derive(Debug)]
pub(crate) struct Checkpoint<'a> {
    monitor: &'a StoppingRule<'a>,
    place: usize,
    /// Requests of this thread that ended.
    ended: Cell<u64>,
    /// At how many of them it hands in what it counted.
    next: Cell<u64>,
}

impl Checkpoint<'_> {
    /// Counts an ended request, the one that `recorder` counted last.
    pub(crate) fn ended(&self, recorder: &mut Recorder) {
        let ended = self.ended.get() + 1;
        self.ended.set(ended);
        if ended >= self.next.get() {
            self.monitor.look(self.place, recorder);
            self.next.set(ended + sampling::pause(ended));
        }
    }

    /// Whether no more requests are needed.
    #[must_use]
    pub(crate) fn decided(&self) -> bool {
        self.monitor.decided.load(Ordering::Relaxed)
    }
}
