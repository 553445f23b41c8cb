//! `--wait`: asks a target until it answers for the first time. Nothing of that is counted.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::deadlines::Deadlines;
use super::http2::{ConnectionSlot, Driver};
use super::lane::{DueRequest, Lane, Sender};
use super::{EngineError, Run, connect, run_id};
use crate::clock;
use crate::plan::schedule::WARMUP_SEQUENCE;
use crate::plan::{ProbePlan, Select};
use crate::resolve::Names;
use crate::tally::outcome::Failure;

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(250);

/// Gets a line when the target fails in a new way.
pub(crate) type Note<'a> = &'a dyn Fn(&str);

/// The attempts so far.
struct Waiting<'a> {
    plan: &'a ProbePlan,
    note: Note<'a>,
    /// How the last attempt failed.
    last: RefCell<Option<Failure>>,
}

impl<'a> Waiting<'a> {
    fn new(plan: &'a ProbePlan, note: Note<'a>) -> Self {
        Self { plan, note, last: RefCell::default() }
    }

    fn failed(&self, failure: Failure) {
        let Failure { kind, what, .. } = &failure;
        let mut last = self.last.borrow_mut();
        // Not for each new text: it may have the id of the request.
        if last.as_ref().is_none_or(|last| last.kind != *kind) {
            let target = &self.plan.target.given;
            (self.note)(&format!("waiting for {target} to answer: {}: {what}", kind.word()));
        }
        *last = Some(failure);
    }

    /// The error after `limit`.
    fn over(&self, limit: Duration) -> EngineError {
        let last = match self.last.borrow().as_ref() {
            Some(Failure { kind, what, .. }) => format!("{}: {what}", kind.word()),
            None => "it did not end".to_owned(),
        };
        EngineError::NoAnswer { within: usage::duration::format(limit), last }
    }

    /// Repeats `attempt` until it succeeds, at most for `limit`. `None` if `stop` came first.
    async fn until<T>(
        &self,
        limit: Duration,
        stop: &CancellationToken,
        mut attempt: impl AsyncFnMut() -> Result<Result<T, Failure>, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        let attempts = async {
            loop {
                match attempt().await? {
                    Ok(done) => return Ok(Some(done)),
                    Err(failure) => self.failed(failure),
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        match stop.run_until_cancelled(tokio::time::timeout(limit, attempts)).await {
            None => Ok(None),
            Some(ended) => ended.unwrap_or_else(|_| Err(self.over(limit))),
        }
    }
}

impl Run<'_> {
    /// Waits as the plan says: asks the target, one request after another, until an answer would
    /// count in a run, or until `stop`.
    ///
    /// # Errors
    /// If no answer came in time, or if the system refuses resources.
    pub(crate) fn wait(&self, stop: &CancellationToken, note: Note<'_>) -> Result<(), EngineError> {
        let plan = self.plan;
        let Some(limit) = plan.wait else { return Ok(()) };
        let waiting = Waiting::new(plan, note);
        if let Select::Nowhere(why) = &plan.select {
            // The look-up of `--select each` has already waited.
            return Err(EngineError::NoAnswer {
                within: usage::duration::format(limit),
                last: why.clone(),
            });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (run_id, next_connection, mut number) = (run_id(), AtomicU64::new(0), WARMUP_SEQUENCE);
        runtime.block_on(waiting.until(limit, stop, async || {
            number += 1;
            // Made anew each time, so that no look-up is remembered.
            let names = Names::new(&plan.names);
            let sender = Sender {
                plan,
                names,
                dead: std::sync::Arc::default(),
                tls: self.tls.clone(),
                local: &self.local,
                run_id: &run_id,
                next_connection: &next_connection,
                remotes: RefCell::default(),
                answered: Cell::default(),
                addresses: Cell::default(),
                http2: Driver::default(),
            };
            Ok(ask(&sender, number).await)
        }))?;
        Ok(())
    }
}

/// Sends one request on a connection of its own.
async fn ask(sender: &Sender<'_>, sequence: u64) -> Result<(), Failure> {
    let (deadlines, never) = (Deadlines::default(), CancellationToken::new());
    let plan = sender.plan;
    let slot = plan.protocol.is_http2().then(|| Rc::new(ConnectionSlot::new(plan)));
    let mut lane = Lane::new(sender, deadlines.add(), slot);
    let now = clock::now();
    let mut result = Ok(());
    let sent = sender.send(&mut lane, DueRequest { sequence, due: now, start: now }, |outcome| {
        result = outcome.result.map(drop);
    });
    tokio::select! {
        _ = sender.http2.carry(sent) => {}
        () = deadlines.enforce(plan.limits.total, &never) => {}
    }
    result
}

/// Looks up a target's addresses; with `--wait`, until there are some.
///
/// # Errors
/// If the system refuses resources.
pub(super) async fn addresses(
    plan: &ProbePlan,
    stop: &CancellationToken,
    note: Note<'_>,
) -> Result<Result<Vec<std::net::IpAddr>, String>, EngineError> {
    let once = async || {
        let names = Names::new(&plan.names);
        Ok::<_, EngineError>(connect::of_target(plan, &names).await)
    };
    let Some(limit) = plan.wait else {
        return Ok(once().await?.map_err(|failure| failure.what));
    };
    let waiting = Waiting::new(plan, note);
    match waiting.until(limit, stop, once).await {
        Ok(Some(found)) => Ok(Ok(found)),
        Ok(None) => Ok(Err("interrupted".to_owned())),
        Err(EngineError::NoAnswer { last, .. }) => Ok(Err(last)),
        Err(error) => Err(error),
    }
}
