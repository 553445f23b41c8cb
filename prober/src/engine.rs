//! The only engine: sends a schedule's requests on a few threads. Each thread has its own runtime
//! and tally; the tallies are merged at the end.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

mod answer;
mod connect;
mod deadlines;
pub(crate) mod each_address;
pub(crate) mod events;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod http1;
mod http2;
mod lane;
mod pacer;
mod response;
mod start_line;
pub(crate) mod stopping;
mod tls_error;
pub(crate) mod waiting;
pub(crate) mod wire;

use crate::clock;
use crate::engine::deadlines::Deadlines;
use crate::engine::lane::{DueRequest, Lane, Sender};
use crate::engine::pacer::Pacer;
use crate::engine::start_line::StartLine;
use crate::engine::stopping::{Checkpoint, StoppingRule};
use crate::plan::ProbePlan;
use crate::plan::schedule::{End, Pace, Schedule, Share};
use crate::resolve::Names;
use crate::tally::collector::Collector;
use crate::tally::failover;
use crate::tally::meter::{Counter, Meter};
use crate::tally::outcome::Outcome;
use crate::tally::{EventRecord, Recorder, Tally};
use connect::tls::{Client, TlsError};
use connect::{DeadAddresses, LocalEnd, LocalError};
use events::marks;
use http2::{ConnectionSlot, Driver};

/// Why a run could not start.
#[derive(Debug, Error)]
pub enum EngineError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Local(#[from] LocalError),
    /// `--wait` is over.
    #[error(
        "the target gave no answer that counts within {within} (--wait); the last request: {last}"
    )]
    NoAnswer {
        within: String,
        /// Why the last request failed.
        last: String,
    },
    /// The system provides no thread, timer or event queue.
    #[error("cannot start a sending thread: {}", usage::local_limit(.0))]
    Thread(#[from] io::Error),
}

/// A run that is ready to start: its files were read.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    plan: &'a ProbePlan,
    tls: Option<Arc<Client>>,
    dead: Arc<DeadAddresses>,
    local: LocalEnd,
}

impl<'a> Run<'a> {
    /// Reads the files and finds the interfaces that the plan names, so that a bad one is reported
    /// before anything is sent.
    pub(crate) fn prepare(plan: &'a ProbePlan) -> Result<Self, EngineError> {
        let tls = plan.target.tls.then(|| Client::load(&plan.tls, plan.protocol)).transpose()?;
        let local = LocalEnd::of(plan)?;
        Ok(Self { plan, tls: tls.map(Arc::new), dead: Arc::default(), local })
    }

    /// Sends the requests and returns the counts. Blocks until the last request ended, or until
    /// `stop`, which abandons those in flight.
    pub(crate) fn run(
        &self,
        stop: &CancellationToken,
        meter: &Meter,
    ) -> Result<Tally, EngineError> {
        let (plan, run_id, next_connection) = (self.plan, run_id(), AtomicU64::new(0));
        let mut whole = Tally::default();
        let mut schedule = plan.schedule;
        let collector = Collector::new(plan.rules.most_backends);
        // The stopping rule may decide while requests are in flight. Those count too, also the
        // slow ones, so it decides again once they have ended; else sampling goes on.
        loop {
            let rule = StoppingRule::new(plan, &collector, &whole);
            let next_request = AtomicU64::new(whole.requests());
            let segment = Segment {
                schedule,
                next_request: &next_request,
                next_connection: &next_connection,
                run_id: &run_id,
                collector: &collector,
                rule: rule.as_ref(),
                elapsed_before: whole.elapsed,
            };
            let more = self.segment(&segment, stop, meter)?;
            let elapsed = whole.elapsed + more.elapsed;
            whole.merge(more);
            whole.elapsed = elapsed;
            whole.fold(plan.rules.most_backends);
            whole.order = collector.order(true);
            let Some(rule) = rule else { return Ok(whole) };
            whole.stopped = rule.stopped(&whole);
            if whole.stopped.is_some() || stop.is_cancelled() {
                return Ok(whole);
            }
            (schedule.warmup, schedule.pace) = (Duration::ZERO, Pace::default());
        }
    }

    /// Sends the requests of one segment, with its events beside them.
    fn segment(
        &self,
        segment: &Segment<'_>,
        stop: &CancellationToken,
        meter: &Meter,
    ) -> Result<Tally, EngineError> {
        let threads = threads(self.plan.threads, self.plan.concurrency);
        let resources: Result<Vec<_>, _> =
            (0..threads).map(|_| ThreadResources::new(self.plan)).collect();
        let resources = resources?;
        let (line, over) = (StartLine::default(), CancellationToken::new());
        let (tallies, events, start, ended) = thread::scope(|scope| {
            let spawn = |(n, resources): (u64, ThreadResources)| {
                let thread = SendingThread {
                    run: self,
                    segment: *segment,
                    resources,
                    number: n,
                    threads,
                    line: &line,
                    stop,
                    counter: meter.thread(),
                };
                let name = format!("prober-{n}");
                thread::Builder::new().name(name).spawn_scoped(scope, move || thread.run())
            };
            let sending: Result<Vec<_>, io::Error> =
                (0..threads).zip(resources).map(spawn).collect();
            let all = sending.and_then(|sending| {
                Ok((sending, self.start_events(scope, segment, (&line, &over, stop))?))
            });
            let (sending, events) = all.inspect_err(|_| line.call_off())?;
            let start = line.start(threads + u64::from(events.is_some()));
            let tallies: Vec<_> = sending.into_iter().map(join).collect();
            let ended = clock::now();
            // Events that have not started by now never will.
            over.cancel();
            let events = events.map(join).unwrap_or_default();
            Ok::<_, EngineError>((tallies, events, start, ended))
        })?;
        let first_counted = start + segment.schedule.warmup;
        let mut whole = Tally::default();
        for tally in tallies {
            whole.merge(tally);
        }
        whole.elapsed = (ended - start).saturating_sub(segment.schedule.warmup);
        whole.events = events;
        if self.plan.marks {
            whole.events.extend(marks::between(first_counted, ended));
            whole.events.sort_by_key(EventRecord::instant_us);
        }
        whole.failover = whole.trail.take().and_then(|trail| {
            let began = whole.events.iter().filter_map(|event| event.began_us);
            let began: Vec<_> = began.map(Duration::from_micros).collect();
            failover::measure(&trail, &began, whole.elapsed, &self.plan.terms)
        });
        Ok(whole)
    }

    /// A thread that runs the plan's events, if it has any.
    fn start_events<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        segment: &Segment<'_>,
        (line, over, stop): (
            &'scope StartLine,
            &'scope CancellationToken,
            &'scope CancellationToken,
        ),
    ) -> io::Result<Option<ScopedJoinHandle<'scope, Vec<EventRecord>>>> {
        let (events, limit) = (&self.plan.events, self.plan.event_limit);
        if events.is_empty() {
            return Ok(None);
        }
        let warmup = segment.schedule.warmup;
        let work = move || {
            let start = line.arrival().wait();
            start.map_or_else(Vec::new, |start| {
                events::run(events, limit, start + warmup, over, stop)
            })
        };
        thread::Builder::new().name("events".into()).spawn_scoped(scope, work).map(Some)
    }
}

/// What a thread returned; a panic in it goes on here.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The part of a run between two decisions of the stopping rule, and what its threads share. A
/// run of a fixed size has one segment.
#[derive(Clone, Copy)]
struct Segment<'a> {
    schedule: Schedule,
    next_request: &'a AtomicU64,
    next_connection: &'a AtomicU64,
    run_id: &'a str,
    /// The order of the results of all threads.
    collector: &'a Collector,
    rule: Option<&'a StoppingRule<'a>>,
    /// How long the segments before took.
    elapsed_before: Duration,
}

/// The system resources of a thread. They are created for all threads before any thread sends:
/// if file descriptors are short, nothing is sent at all.
struct ThreadResources {
    runtime: Runtime,
    names: Names,
    pacer: Pacer,
}

impl ThreadResources {
    fn new(plan: &ProbePlan) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (names, pacer) = {
            let _entered = runtime.enter();
            (Names::new(&plan.names), Pacer::new()?)
        };
        Ok(Self { runtime, names, pacer })
    }
}

/// One sending thread of a segment.
struct SendingThread<'a> {
    run: &'a Run<'a>,
    segment: Segment<'a>,
    resources: ThreadResources,
    /// Which of the `threads` it is, from 0.
    number: u64,
    threads: u64,
    line: &'a StartLine,
    stop: &'a CancellationToken,
    counter: Counter,
}

/// What the lanes of one thread share.
struct LaneContext<'a> {
    sender: Sender<'a>,
    share: RefCell<Share<'a>>,
    recorder: RefCell<Recorder>,
    checkpoint: Option<Checkpoint<'a>>,
    pacer: Pacer,
    deadlines: Deadlines,
    start: Instant,
    /// The zero of the run's times: the end of the warm-up of its first segment.
    counted_from: Instant,
    counter: Counter,
}

impl SendingThread<'_> {
    fn run(self) -> Tally {
        let Self { run, segment, resources, number, threads, line, stop, counter } = self;
        let arrival = line.arrival();
        if let Some(tls) = &run.tls {
            tls.warm_up();
        }
        let Some(start) = arrival.wait() else { return Tally::default() };
        let Segment { schedule, next_request, next_connection, run_id, rule, .. } = segment;
        let ThreadResources { runtime, names, pacer } = resources;
        let plan = run.plan;
        let lanes = plan.concurrency / threads + u64::from(number < plan.concurrency % threads);
        let counted_from =
            (start + schedule.warmup).checked_sub(segment.elapsed_before).unwrap_or(start);
        runtime.block_on(async {
            let (tls, dead) = (run.tls.clone(), Arc::clone(&run.dead));
            let remotes = RefCell::default();
            let (answered, addresses) = (Cell::default(), Cell::default());
            let local = &run.local;
            let context = LaneContext {
                sender: Sender {
                    plan,
                    names,
                    dead,
                    tls,
                    local,
                    run_id,
                    next_connection,
                    remotes,
                    answered,
                    addresses,
                    http2: Driver::default(),
                },
                share: RefCell::new(Share::new(schedule, number, threads, next_request)),
                recorder: RefCell::new(
                    Recorder::new(plan.timeline)
                        .with_trail(plan.marks || !plan.events.is_empty())
                        .handing_in(segment.collector),
                ),
                checkpoint: rule.map(|rule| rule.checkpoint(number)),
                pacer,
                deadlines: Deadlines::default(),
                start,
                counted_from,
                counter,
            };
            let lanes: Vec<_> = (0..lanes)
                .flat_map(|_| context.connection_slots())
                .enumerate()
                .map(|(n, slot)| context.lane(n, slot))
                .collect();
            tokio::select! {
                _ = context.sender.http2.carry(join_all(lanes)) => {}
                () = context.pacer.run() => {}
                () = context.deadlines.enforce(plan.limits.total, stop) => {}
            }
            let tally = context.recorder.into_inner().into_tally();
            Tally { resolved: context.sender.addresses.get() as u64, ..tally }
        })
    }
}

impl LaneContext<'_> {
    /// A slot for each lane that uses one connection: HTTP/1.1 has one lane and no slot, HTTP/2
    /// a lane per stream, which share a slot.
    fn connection_slots(&self) -> Vec<Option<Rc<ConnectionSlot>>> {
        let plan = self.sender.plan;
        let slot = plan.protocol.is_http2().then(|| Rc::new(ConnectionSlot::new(plan)));
        (0..plan.streams).map(|_| slot.clone()).collect()
    }

    /// Sends one request after another until the schedule ends.
    async fn lane(&self, number: usize, slot: Option<Rc<ConnectionSlot>>) {
        let deadline = self.deadlines.add();
        let mut lane = Lane::new(&self.sender, Rc::clone(&deadline), slot);
        let mut now = clock::now();
        while !deadline.stopped() && !self.decided() {
            let next = self.share.borrow_mut().next(now.saturating_duration_since(self.start));
            let Some(next) = next else { return };
            if let Some(instant) = next.due.or(next.not_before) {
                let until = self.start + instant;
                if deadline.guard(None, self.pacer.until(until)).await.is_err() {
                    return;
                }
                now = clock::now();
            }
            let due = next.due.map_or(now, |due| self.start + due);
            if next.due.is_some() && !self.in_time(due, now, next.warmup) {
                continue;
            }
            let request = DueRequest { sequence: next.sequence, due, start: now };
            let record = |outcome: Outcome<'_>| self.record(number, outcome, next.warmup, due);
            match self.sender.send(&mut lane, request, record).await {
                Some(end) => now = end,
                None => {
                    self.recorder.borrow_mut().tally_mut().abandoned += u64::from(!next.warmup);
                    return;
                }
            }
        }
    }

    /// Counts how late a start of an open loop is. Returns `false` if it comes after the end of
    /// the run, so that the request is dropped.
    fn in_time(&self, due: Instant, start: Instant, warmup: bool) -> bool {
        if warmup {
            return true;
        }
        let mut recorder = self.recorder.borrow_mut();
        let punctuality = recorder.tally_mut().punctuality.get_or_insert_default();
        let schedule = &self.sender.plan.schedule;
        if let End::After(duration) = schedule.end
            && start >= self.start + schedule.warmup + duration
        {
            punctuality.dropped += 1;
            return false;
        }
        let delay = start.saturating_duration_since(due);
        punctuality.late += u64::from(delay > LATE);
        punctuality.worst = punctuality.worst.max(delay);
        true
    }

    /// Whether no more requests are needed.
    fn decided(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(Checkpoint::decided)
    }

    fn record(&self, lane: usize, outcome: Outcome<'_>, warmup: bool, due: Instant) {
        let mut recorder = self.recorder.borrow_mut();
        if warmup {
            recorder.tally_mut().warmed_up += 1;
            return;
        }
        let when = || due.saturating_duration_since(self.counted_from);
        match recorder.record_on(lane, outcome, self.sender.plan.show, when) {
            Some(place) => self.counter.answered(place, || recorder.cluster(place)),
            None => self.counter.failed(),
        }
        if let Some(checkpoint) = &self.checkpoint {
            let elapsed = || clock::now().saturating_duration_since(self.counted_from);
            checkpoint.ended(&mut recorder, elapsed);
        }
    }
}

/// A start that is delayed by more than this counts as late.
const LATE: Duration = Duration::from_millis(1);

fn threads(asked: Option<u64>, lanes: u64) -> u64 {
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    asked.unwrap_or(cores).clamp(1, lanes.max(1))
}

/// Distinguishes this run from any other: the process id and the time, in hex.
fn run_id() -> String {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", std::process::id(), since.as_nanos() & 0xffff_ffff_ffff)
}
