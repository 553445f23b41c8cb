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
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::connect::tls::{self, TlsError};
use crate::outcome::Outcome;
use crate::pace::Pacer;
use crate::plan::ProbePlan;
use crate::probe::{Lane, Prober, Turn};
use crate::progress::{Counts, Meter};
use crate::resolve::{Names, NamesError};
use crate::schedule::{End, Share};
use crate::tally::{Recorder, Tally};
use crate::watch::Watch;

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
    #[error("cannot start a sending thread: {0}")]
    Thread(#[from] io::Error),
}

/// A row that is ready to run: its files were read.
#[derive(Debug)]
pub struct Row<'a> {
    plan: &'a ProbePlan,
    tls: Option<Arc<ClientConfig>>,
}

impl<'a> Row<'a> {
    /// Reads what the plan names, so that a bad file is known before anything is sent.
    pub fn prepare(plan: &'a ProbePlan) -> Result<Self, EngineError> {
        let tls = if plan.target.tls { Some(tls::load(&plan.tls)?) } else { None };
        Ok(Self { plan, tls })
    }

    /// Sends the row's requests and returns what came of them. Blocks until
    /// the last one ended, or until `stop`, which abandons those under way.
    pub fn run(&self, stop: &CancellationToken, meter: &Meter) -> Result<Tally, EngineError> {
        let (lanes, run_id, counter) = (self.plan.concurrency, run_id(), AtomicU64::new(0));
        let threads = threads(self.plan.threads, lanes);
        let start = clock::now();
        let tallies = thread::scope(|scope| {
            let spawn = |n: u64| {
                let work = Work {
                    row: self,
                    lanes: lanes / threads + u64::from(n < lanes % threads),
                    share: Share::new(self.plan.schedule, n, threads, &counter),
                    run_id: &run_id,
                    start,
                    stop,
                    counts: meter.thread(),
                };
                let name = format!("prober-{n}");
                thread::Builder::new().name(name).spawn_scoped(scope, move || work.run())
            };
            let running: Result<Vec<_>, io::Error> = (0..threads).map(spawn).collect();
            let joined = running?.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect::<Result<Vec<Tally>, EngineError>>()
        })?;
        let mut whole = Tally::default();
        for tally in tallies {
            whole.merge(tally);
        }
        whole.elapsed = (clock::now() - start).saturating_sub(self.plan.schedule.warmup);
        Ok(whole)
    }
}

/// What one thread does.
struct Work<'a> {
    row: &'a Row<'a>,
    lanes: u64,
    share: Share<'a>,
    run_id: &'a str,
    start: Instant,
    stop: &'a CancellationToken,
    counts: Arc<Counts>,
}

/// What the lanes of one thread share.
struct Common<'a> {
    prober: Prober<'a>,
    share: RefCell<Share<'a>>,
    recorder: RefCell<Recorder>,
    pacer: Pacer,
    watch: Watch,
    start: Instant,
    counts: Arc<Counts>,
}

impl Work<'_> {
    fn run(self) -> Result<Tally, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let Self { row, lanes, share, run_id, start, stop, counts } = self;
            let names = Names::new(&row.plan.names)?;
            let common = Common {
                prober: Prober { plan: row.plan, names, tls: row.tls.clone(), run_id },
                share: RefCell::new(share),
                recorder: RefCell::default(),
                pacer: Pacer::new()?,
                watch: Watch::default(),
                start,
                counts,
            };
            let lanes: Vec<_> = (0..lanes).map(|_| common.lane()).collect();
            tokio::select! {
                _ = join_all(lanes) => {}
                () = common.pacer.keep() => {}
                () = common.watch.keep(row.plan.limits.total, stop) => {}
            }
            Ok(common.recorder.into_inner().into_tally())
        })
    }
}

impl Common<'_> {
    /// One lane: one request after another until the schedule ends.
    async fn lane(&self) {
        let alarm = self.watch.alarm();
        let mut lane = Lane::new(&self.prober, Rc::clone(&alarm));
        let mut now = clock::now();
        while !alarm.stopped() {
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
            let record = |outcome: Outcome<'_>| self.record(outcome, next.warmup);
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

    fn record(&self, outcome: Outcome<'_>, warmup: bool) {
        let mut recorder = self.recorder.borrow_mut();
        if warmup {
            recorder.tally_mut().warmed_up += 1;
            return;
        }
        self.counts.count(outcome.result.is_ok());
        recorder.record(outcome, self.prober.plan.show);
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
