//! The only engine: a schedule's requests on a few threads, each with a
//! runtime and a tally of its own, merged at the end.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use thiserror::Error;
use tokio::task::LocalSet;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::connect::tls::{self, TlsError};
use crate::plan::ProbePlan;
use crate::probe::Prober;
use crate::progress::Meter;
use crate::resolve::{Names, NamesError};
use crate::schedule::Schedule;
use crate::tally::Tally;

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
        let start = clock::now();
        let schedule = Schedule::closed(self.plan.requests);
        let run_id = run_id();
        let lanes = self.plan.concurrency;
        let threads = threads(self.plan.threads, lanes);
        let tallies = thread::scope(|scope| {
            let spawn = |n: u64| {
                let lanes = lanes / threads + u64::from(n < lanes % threads);
                let (schedule, run_id) = (&schedule, run_id.as_str());
                let work = move || self.thread(lanes, schedule, run_id, stop, meter);
                thread::Builder::new().name(format!("prober-{n}")).spawn_scoped(scope, work)
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
        whole.elapsed = clock::now() - start;
        Ok(whole)
    }

    fn thread(
        &self,
        lanes: u64,
        schedule: &Schedule,
        run_id: &str,
        stop: &CancellationToken,
        meter: &Meter,
    ) -> Result<Tally, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tally = Rc::new(RefCell::new(Tally::default()));
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let names = Names::new(&self.plan.names)?;
            let tls = self.tls.clone();
            let prober = Prober { plan: self.plan, names, tls, run_id };
            let lane = || lane(&prober, schedule, stop, &tally, meter);
            let lanes: Vec<_> = (0..lanes).map(|_| lane()).collect();
            futures_util::future::join_all(lanes).await;
            Ok::<(), EngineError>(())
        })?;
        Ok(tally.take())
    }
}

/// One lane: one request after another until the schedule is used up.
async fn lane(
    prober: &Prober<'_>,
    schedule: &Schedule,
    stop: &CancellationToken,
    tally: &RefCell<Tally>,
    meter: &Meter,
) {
    while !stop.is_cancelled() {
        let Some(sequence) = schedule.next() else { return };
        let outcome = tokio::select! {
            outcome = prober.once(sequence) => outcome,
            () = stop.cancelled() => {
                tally.borrow_mut().abandoned += 1;
                return;
            }
        };
        meter.count(outcome.result.is_ok());
        tally.borrow_mut().record(outcome, prober.plan.show);
    }
}

fn threads(asked: Option<u64>, lanes: u64) -> u64 {
    let cores = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    asked.unwrap_or(cores).clamp(1, lanes.max(1))
}

/// Tells this run from any other: the process and the time, in hex.
fn run_id() -> String {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", std::process::id(), since.as_nanos() & 0xffff_ffff_ffff)
}
