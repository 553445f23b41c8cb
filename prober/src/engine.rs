//! The only engine: a schedule's requests on a few threads, each with a
//! runtime and a tally of its own, merged at the end.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

mod answer;
mod connect;
mod deadlines;
pub(crate) mod each_address;
pub(crate) mod events;
mod http1;
mod http2;
mod lane;
mod pacer;
mod response;
pub(crate) mod stopping;
pub(crate) mod wire;

use crate::clock;
use crate::engine::deadlines::Deadlines;
use crate::engine::lane::{Lane, Prober, Turn};
use crate::engine::pacer::Pacer;
use crate::engine::stopping::{Checkpoint, StoppingRule};
use crate::plan::ProbePlan;
use crate::plan::schedule::{End, Schedule, Share};
use crate::resolve::{Names, NamesError};
use crate::tally::failover;
use crate::tally::meter::{Counter, Meter};
use crate::tally::outcome::Outcome;
use crate::tally::{EventRecord, Recorder, Tally};
use connect::tls::{self, TlsError};
use events::marks;
use http2::Slot;

/// Why a run could not begin.
#[derive(Debug, Error)]
pub enum EngineError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Name look-up cannot be set up.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// The system gives no thread or no event queue.
    #[error("cannot start a sending thread: {}", usage::local_limit(.0))]
    Thread(#[from] io::Error),
}

/// A row that is ready to run: its files were read.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    plan: &'a ProbePlan,
    tls: Option<Arc<ClientConfig>>,
}

impl<'a> Run<'a> {
    /// Reads what the plan names, so that a bad file is known before anything is sent.
    pub(crate) fn prepare(plan: &'a ProbePlan) -> Result<Self, EngineError> {
        let tls = if plan.target.tls { Some(tls::load(&plan.tls, plan.protocol)?) } else { None };
        Ok(Self { plan, tls })
    }

    /// Sends the row's requests and returns what came of them. Blocks until
    /// the last one ended, or until `stop`, which abandons those under way.
    pub(crate) fn run(
        &self,
        stop: &CancellationToken,
        meter: &Meter,
    ) -> Result<Tally, EngineError> {
        let (plan, run_id, turns) = (self.plan, run_id(), AtomicU64::new(0));
        let mut whole = Tally::default();
        let mut schedule = plan.schedule;
        // What seemed decided while requests were under way is so once they have ended, or
        // sampling goes on: every request that was started counts, the slow ones too.
        loop {
            let monitor = StoppingRule::new(plan, &whole);
            let counter = AtomicU64::new(whole.requests());
            let part = Part {
                schedule,
                counter: &counter,
                turns: &turns,
                run_id: &run_id,
                monitor: monitor.as_ref(),
                before: whole.elapsed,
            };
            let more = self.part(&part, stop, meter)?;
            let elapsed = whole.elapsed + more.elapsed;
            whole.merge(more);
            whole.elapsed = elapsed;
            let Some(monitor) = monitor else { return Ok(whole) };
            whole.stopped = monitor.stopped(&whole);
            if whole.stopped.is_some() || stop.is_cancelled() {
                return Ok(whole);
            }
            schedule.warmup = Duration::ZERO;
        }
    }

    /// The requests of one part of a run.
    fn part(
        &self,
        part: &Part<'_>,
        stop: &CancellationToken,
        meter: &Meter,
    ) -> Result<Tally, EngineError> {
        let Part { schedule, counter, turns, run_id, monitor, before } = *part;
        let lanes = self.plan.concurrency;
        let threads = threads(self.plan.threads, lanes);
        let means: Result<Vec<_>, _> = (0..threads).map(|_| Means::new(self.plan)).collect();
        let means = means?;
        let start = clock::now();
        let mut ended = start;
        let over = CancellationToken::new();
        let (tallies, happened) = thread::scope(|scope| {
            let counted_from = start + schedule.warmup;
            let (events, limit, over) = (&self.plan.events, self.plan.event_limit, &over);
            let events = (!events.is_empty())
                .then(|| {
                    let work = move || events::run(events, limit, counted_from, over, stop);
                    thread::Builder::new().name("events".into()).spawn_scoped(scope, work)
                })
                .transpose()?;
            let spawn = |(n, means): (u64, Means)| {
                let work = Work {
                    row: self,
                    means,
                    turns,
                    lanes: lanes / threads + u64::from(n < lanes % threads),
                    share: Share::new(schedule, n, threads, counter),
                    run_id,
                    monitor,
                    thread: n,
                    start,
                    counted_from: (start + schedule.warmup).checked_sub(before).unwrap_or(start),
                    stop,
                    counter: meter.thread(),
                };
                let name = format!("prober-{n}");
                thread::Builder::new().name(name).spawn_scoped(scope, move || work.run())
            };
            let running: Result<Vec<_>, io::Error> = (0..threads).zip(means).map(spawn).collect();
            let joined: Result<Vec<_>, EngineError> = running.map_err(Into::into).map(|running| {
                let join = running.into_iter().map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                });
                join.collect()
            });
            ended = clock::now();
            // What has not begun by now never will.
            over.cancel();
            let happened = events.map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            Ok::<_, EngineError>((joined?, happened.unwrap_or_default()))
        })?;
        let mut whole = Tally::default();
        for tally in tallies {
            whole.merge(tally);
        }
        whole.elapsed = (ended - start).saturating_sub(schedule.warmup);
        whole.events = happened;
        if self.plan.marks {
            whole.events.extend(marks::between(start + schedule.warmup, ended));
            whole.events.sort_by_key(EventRecord::instant_us);
        }
        whole.failover = whole.trail.take().and_then(|trail| {
            let began = whole.events.iter().filter_map(|event| event.began_us);
            let began: Vec<_> = began.map(Duration::from_micros).collect();
            failover::measure(&trail, &began, whole.elapsed, &self.plan.terms)
        });
        Ok(whole)
    }
}

/// What the threads of one part of a run share. A run whose size is fixed has one part.
#[derive(Clone, Copy)]
struct Part<'a> {
    schedule: Schedule,
    /// The number of the next request.
    counter: &'a AtomicU64,
    /// The number of the next connection.
    turns: &'a AtomicU64,
    run_id: &'a str,
    monitor: Option<&'a StoppingRule<'a>>,
    /// How long the parts before took.
    before: Duration,
}

/// What a thread needs of the system. Made for all threads before any of them sends: where
/// descriptors are short, nothing is sent, instead of a part of it.
struct Means {
    runtime: Runtime,
    names: Names,
    pacer: Pacer,
}

impl Means {
    fn new(plan: &ProbePlan) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (names, pacer) = {
            let _entered = runtime.enter();
            (Names::new(&plan.names)?, Pacer::new()?)
        };
        Ok(Self { runtime, names, pacer })
    }
}

/// What one thread does.
struct Work<'a> {
    row: &'a Run<'a>,
    means: Means,
    turns: &'a AtomicU64,
    lanes: u64,
    share: Share<'a>,
    run_id: &'a str,
    monitor: Option<&'a StoppingRule<'a>>,
    /// Which of the threads, from 0.
    thread: u64,
    start: Instant,
    counted_from: Instant,
    stop: &'a CancellationToken,
    counter: Counter,
}

/// What the lanes of one thread share.
struct Common<'a> {
    prober: Prober<'a>,
    share: RefCell<Share<'a>>,
    recorder: RefCell<Recorder>,
    checkpoint: Option<Checkpoint<'a>>,
    pacer: Pacer,
    watch: Deadlines,
    start: Instant,
    /// Where the run's time begins: the end of the warm-up of its first part.
    counted_from: Instant,
    counter: Counter,
}

impl Work<'_> {
    fn run(self) -> Tally {
        let Self { row, means, turns, lanes, share, run_id, monitor, thread, .. } = self;
        let Self { start, counted_from, stop, counter, .. } = self;
        let Means { runtime, names, pacer } = means;
        runtime.block_on(async {
            let places = RefCell::default();
            let tls = row.tls.clone();
            let common = Common {
                prober: Prober { plan: row.plan, names, tls, run_id, turns, places },
                share: RefCell::new(share),
                recorder: RefCell::new(
                    Recorder::new(row.plan.timeline)
                        .with_trail(row.plan.marks || !row.plan.events.is_empty()),
                ),
                checkpoint: monitor.map(|monitor| monitor.checkpoint(thread)),
                pacer,
                watch: Deadlines::default(),
                start,
                counted_from,
                counter,
            };
            let lanes: Vec<_> = (0..lanes)
                .flat_map(|_| common.connection_lanes())
                .enumerate()
                .map(|(n, slot)| common.lane(n, slot))
                .collect();
            tokio::select! {
                _ = join_all(lanes) => {}
                () = common.pacer.keep() => {}
                () = common.watch.keep(row.plan.limits.total, stop) => {}
            }
            common.recorder.into_inner().into_tally()
        })
    }
}

impl Common<'_> {
    /// What carries the requests of the lanes of one connection: one lane of HTTP/1.1, or
    /// as many of HTTP/2 as there are streams.
    fn connection_lanes(&self) -> Vec<Option<Rc<Slot>>> {
        let plan = self.prober.plan;
        let slot = plan.protocol.is_http2().then(Rc::<Slot>::default);
        (0..plan.streams).map(|_| slot.clone()).collect()
    }

    /// One lane: one request after another until the schedule ends.
    async fn lane(&self, number: usize, slot: Option<Rc<Slot>>) {
        let alarm = self.watch.alarm();
        let mut lane = Lane::new(&self.prober, Rc::clone(&alarm), slot);
        let mut now = clock::now();
        while !alarm.stopped() && !self.decided() {
            let next = self.share.borrow_mut().next(now.saturating_duration_since(self.start));
            let Some(next) = next else { return };
            let mut due = now;
            if let Some(after) = next.due {
                due = self.start + after;
                if alarm.guard(None, self.pacer.until(due)).await.is_err() {
                    return;
                }
                now = clock::now();
                if !self.in_time(due, now, next.warmup) {
                    continue;
                }
            }
            let turn = Turn { sequence: next.sequence, due, start: now };
            let record = |outcome: Outcome<'_>| self.record(number, outcome, next.warmup, due);
            match self.prober.once(&mut lane, turn, record).await {
                Some(end) => now = end,
                None => {
                    self.recorder.borrow_mut().tally_mut().abandoned += u64::from(!next.warmup);
                    return;
                }
            }
        }
    }

    /// Counts how late a start of an open loop is; `false` if it comes after the end of
    /// the run's time, and is dropped.
    fn in_time(&self, due: Instant, start: Instant, warmup: bool) -> bool {
        if warmup {
            return true;
        }
        let mut recorder = self.recorder.borrow_mut();
        let punctuality = recorder.tally_mut().punctuality.get_or_insert_default();
        let schedule = &self.prober.plan.schedule;
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
        match recorder.record_on(lane, outcome, self.prober.plan.show, when) {
            Some(place) => self.counter.answered(place, || recorder.cluster(place)),
            None => self.counter.failed(),
        }
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.ended(&mut recorder);
        }
    }
}

/// A start that is later than this is counted as late.
const LATE: Duration = Duration::from_millis(1);

fn threads(asked: Option<u64>, lanes: u64) -> u64 {
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    asked.unwrap_or(cores).clamp(1, lanes.max(1))
}

/// Tells this run from any other: the process and the time, in hex.
fn run_id() -> String {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", std::process::id(), since.as_nanos() & 0xffff_ffff_ffff)
}
