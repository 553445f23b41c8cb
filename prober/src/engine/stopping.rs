//! Whether a run that samples until its expectations are decided has sent enough. Now and then
//! a thread reports its counts and judges the sum. A lock is taken only then.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::expectation::Expectation;
use crate::plan::ProbePlan;
use crate::plan::schedule::End;
use crate::tally::collector::Collector;
use crate::tally::meter::lock;
use crate::tally::{Order, Recorder, Stopped, Tally};
use crate::verdict::sampling;
use crate::verdict::{self, Sampling};

/// Judges a run while it goes on.
#[derive(Debug)]
pub(crate) struct StoppingRule<'a> {
    plan: &'a ProbePlan,
    /// Whether an expectation is about latency, so that histograms are needed.
    latencies: bool,
    /// The order of the results of all threads.
    collector: Collector,
    /// The counts from before, then the latest counts of each thread.
    parts: Mutex<Vec<Tally>>,
    decided: AtomicBool,
}

impl<'a> StoppingRule<'a> {
    /// The rule for a run that continues from `before`; `None` if its size is fixed.
    #[must_use]
    pub(crate) fn new(plan: &'a ProbePlan, collector: &Collector, before: &Tally) -> Option<Self> {
        if plan.rules.sampling == Sampling::Fixed {
            return None;
        }
        let latencies = plan.expectations.iter().any(Expectation::needs_latencies);
        // The collector has the order of all results, also of those from before.
        let mut counted = before.for_verdicts(latencies);
        counted.order = Order::default();
        let parts = Mutex::new(vec![counted]);
        let (collector, decided) = (collector.clone(), AtomicBool::new(false));
        Some(Self { plan, latencies, collector, parts, decided })
    }

    /// The side of one thread, numbered from 0.
    #[must_use]
    pub(crate) fn checkpoint(&'a self, thread: u64) -> Checkpoint<'a> {
        // Staggered, so that threads do not wait for each other's lock.
        let next = Cell::new(sampling::pause(0) + thread % 4);
        let place = usize::try_from(thread).unwrap_or(usize::MAX).saturating_add(1);
        Checkpoint { rule: self, place, ended: Cell::new(0), next }
    }

    /// Why the run is over, if it is. To be asked when no request is in flight.
    #[must_use]
    pub(crate) fn stopped(&self, whole: &Tally) -> Option<Stopped> {
        if verdict::decided(whole, &self.plan.expectations, &self.plan.rules) {
            return Some(Stopped::Decided);
        }
        let End::Requests(most) = self.plan.schedule.end else { return Some(Stopped::Exhausted) };
        (whole.requests() >= most).then_some(Stopped::Exhausted)
    }

    /// `elapsed` is the time since the run began, without its warm-up.
    fn judge(&self, place: usize, recorder: &mut Recorder, elapsed: Duration) {
        let part = recorder.so_far(self.latencies);
        let mut parts = lock(&self.parts);
        if parts.len() <= place {
            parts.resize_with(place + 1, Tally::default);
        }
        parts[place] = part;
        let mut whole = Tally::default();
        for part in parts.iter() {
            whole.merge(part.clone());
        }
        whole.elapsed = elapsed;
        whole.order = self.collector.order(false);
        if verdict::decided(&whole, &self.plan.expectations, &self.plan.rules) {
            self.decided.store(true, Ordering::Relaxed);
        }
    }
}

/// One thread's side of a [`StoppingRule`].
#[derive(Debug)]
pub(crate) struct Checkpoint<'a> {
    rule: &'a StoppingRule<'a>,
    place: usize,
    /// Requests of this thread that ended.
    ended: Cell<u64>,
    /// The number of ended requests at which the thread judges again.
    next: Cell<u64>,
}

impl Checkpoint<'_> {
    /// Counts an ended request, which `recorder` has just counted. `elapsed` is the time since
    /// the run began, without its warm-up.
    pub(crate) fn ended(&self, recorder: &mut Recorder, elapsed: impl Fn() -> Duration) {
        let ended = self.ended.get() + 1;
        self.ended.set(ended);
        if ended >= self.next.get() {
            self.rule.judge(self.place, recorder, elapsed());
            self.next.set(ended + sampling::pause(ended));
        }
    }

    /// Whether no more requests are needed.
    #[must_use]
    pub(crate) fn decided(&self) -> bool {
        self.rule.decided.load(Ordering::Relaxed)
    }
}
