//! One request → one outcome. Nothing is retried.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use tokio_rustls::rustls::ClientConfig;

use crate::clock;
use crate::engine::answer::Reading;
use crate::engine::connect::{self, Opening};
use crate::engine::deadlines::{Deadline, Rung};
use crate::engine::http1::Connection;
use crate::engine::http2::{self, Slot, Template};
use crate::engine::response::{Buffers, Response, Stage};
use crate::engine::wire::RequestBytes;
use crate::plan::ProbePlan;
use crate::resolve::Names;
use crate::tally::outcome::{Failure, FailureKind, Outcome, Remote, Timings, Wire};

/// What all requests of one thread share.
#[derive(Debug)]
pub(super) struct Prober<'a> {
    /// The row.
    pub plan: &'a ProbePlan,
    /// The look-up of names; it belongs to one thread's runtime.
    pub names: Names,
    /// The client's side of TLS, for https.
    pub tls: Option<Arc<ClientConfig>>,
    /// Begins every probe id, so that an answer of another run is known as such.
    pub run_id: &'a str,
    /// How many connections the run, on all threads, has begun to open.
    pub turns: &'a AtomicU64,
    /// The places of this thread's remote addresses, in the order in which they came.
    pub places: RefCell<HashMap<SocketAddr, usize>>,
}

/// What one lane keeps from request to request.
#[derive(Debug)]
pub(super) struct Lane {
    carrier: Carrier,
    alarm: Rc<Deadline>,
}

/// What carries a lane's requests.
#[derive(Debug)]
enum Carrier {
    /// HTTP/1.1: a connection of its own.
    Own(Own),
    /// HTTP/2: a connection that lanes share.
    Shared(Shared),
}

#[derive(Debug)]
struct Own {
    request: RequestBytes,
    connection: Option<Connection>,
    /// The page of a lane without a connection: it holds nothing.
    blank: Buffers,
    /// How many requests its connection may still carry.
    uses: u64,
    /// How many connections it has opened, which varies `--reuse N:M`.
    opened: u64,
    /// Where its connection leads, or the last one did.
    remote: Option<Remote>,
}

#[derive(Debug)]
struct Shared {
    request: Template,
    slot: Rc<Slot>,
    /// The connection of the request under way.
    connection: Option<Rc<http2::Connection>>,
    /// Where the connection of the last request leads.
    remote: Option<SocketAddr>,
    page: Buffers,
}

impl Lane {
    /// A lane without a connection; of HTTP/2, with the place of the one that it shares.
    #[must_use]
    pub(super) fn new(prober: &Prober<'_>, alarm: Rc<Deadline>, slot: Option<Rc<Slot>>) -> Self {
        let Prober { plan, run_id, .. } = *prober;
        let carrier = match slot {
            None => Carrier::Own(Own {
                request: RequestBytes::new(plan, run_id),
                connection: None,
                blank: Buffers::default(),
                uses: 0,
                opened: 0,
                remote: None,
            }),
            Some(slot) => Carrier::Shared(Shared {
                request: Template::new(plan, run_id),
                slot,
                connection: None,
                remote: None,
                page: Buffers::default(),
            }),
        };
        Self { carrier, alarm }
    }

    /// The bytes of the response that was just read.
    fn page(&self) -> &Buffers {
        match &self.carrier {
            Carrier::Own(own) => own.connection.as_ref().map_or(&own.blank, Connection::page),
            Carrier::Shared(shared) => &shared.page,
        }
    }

    /// The id of the request sent last.
    fn probe_id(&self) -> &[u8] {
        match &self.carrier {
            Carrier::Own(own) => own.request.id(),
            Carrier::Shared(shared) => shared.request.id(),
        }
    }

    /// After a request: whether its connection may carry another one.
    fn settle(&mut self, keep: bool, lifetime: Option<Duration>, now: Instant) {
        match &mut self.carrier {
            Carrier::Own(own) => own.settle(keep, lifetime, now),
            Carrier::Shared(shared) => shared.settle(),
        }
    }
}

impl Own {
    async fn exchange(
        &mut self,
        prober: &Prober<'_>,
        sequence: u64,
        opening: &mut Opening,
        stage: &mut Stage,
    ) -> Result<Response, Failure> {
        let plan = prober.plan;
        if self.connection.is_none() {
            let stream = prober.open(opening).await?;
            self.opened += 1;
            self.uses = plan.reuse.uses(sequence ^ self.opened.rotate_left(32));
            self.connection = Some(Connection::new(stream, clock::now()));
        }
        let Some(connection) = &mut self.connection else { unreachable!("just made") };
        let to_head = plan.request.method == Method::HEAD;
        let request = self.request.numbered(sequence);
        let request = (request, plan.request.body.as_deref().unwrap_or_default());
        connection.exchange(request, to_head, plan.limits.body, stage).await
    }

    fn settle(&mut self, keep: bool, lifetime: Option<Duration>, now: Instant) {
        self.uses = self.uses.saturating_sub(1);
        let age = |connection: &Connection| now.saturating_duration_since(connection.opened);
        let old = |c: &Connection| lifetime.is_some_and(|most| age(c) >= most);
        if !keep || self.uses == 0 || self.connection.as_ref().is_some_and(old) {
            self.connection = None;
        }
    }
}

impl Shared {
    async fn exchange(
        &mut self,
        prober: &Prober<'_>,
        sequence: u64,
        opening: &mut Opening,
        stage: &mut Stage,
        kept: &Cell<bool>,
    ) -> Result<Response, Failure> {
        let plan = prober.plan;
        let open = async |opened: u64| {
            let stream = prober.open(opening).await?;
            let uses = plan.reuse.uses(sequence ^ opened.rotate_left(32));
            http2::Connection::new(stream, uses, opening.remote).await
        };
        self.remote = None;
        let (connection, was_open) = self.slot.take(plan.connection_lifetime, open).await?;
        kept.set(was_open);
        let connection = self.connection.insert(connection);
        self.remote = connection.remote;
        let limit = plan.limits.body;
        let response =
            connection.exchange(&mut self.request, sequence, limit, &mut self.page, stage).await;
        response
            .map_err(|broken| {
                if broken.stream_only {
                    self.connection = None;
                }
                broken.failure
            })
            .inspect(|_| self.connection = None)
    }

    /// A connection on which a request is still under way did not answer in time, or broke.
    fn settle(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.slot.retire(&connection);
        }
    }
}

/// A request that may start, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Its number in the run.
    pub sequence: u64,
    /// When it should start.
    pub due: Instant,
    /// When it does.
    pub start: Instant,
}

impl Prober<'_> {
    /// Sends one request and hands its outcome to `record`. Returns when it ended, or
    /// `None` if the run stopped meanwhile, which leaves it without an outcome.
    pub(super) async fn once(
        &self,
        lane: &mut Lane,
        turn: Turn,
        record: impl FnOnce(Outcome<'_>),
    ) -> Option<Instant> {
        let Turn { sequence, due, start } = turn;
        let kept = Cell::new(false);
        let mut opening = Opening::default();
        let exchanged = self.exchanged(lane, turn, &mut opening, &kept).await?;
        let end = exchanged.as_ref().map_or_else(|_| clock::now(), |response| response.end);
        let Opening { dns, connect, tls, passed_over, remote, .. } = opening;
        let remote = match (&mut lane.carrier, remote) {
            (Carrier::Own(own), _) if kept.get() => own.remote,
            (Carrier::Own(own), remote) => {
                own.remote = remote.map(|address| self.remote(address));
                own.remote
            }
            (Carrier::Shared(shared), remote) => {
                remote.or(shared.remote).map(|address| self.remote(address))
            }
        };
        let first_byte = exchanged.as_ref().ok().map(|response| response.first_byte);
        let timings = Timings {
            total: end.saturating_duration_since(due),
            service: end.saturating_duration_since(start),
            dns,
            connect,
            tls,
            first_byte,
            upstream: None,
        };
        let wire = match (kept.get(), connect) {
            (true, _) => Wire::Kept,
            (false, Some(_)) => Wire::Fresh,
            (false, None) => Wire::None,
        };
        let keep = exchanged.as_ref().is_ok_and(|response| response.keep_alive);
        match &exchanged {
            Ok(response) => {
                let mut identity = None;
                let answer = Reading {
                    response,
                    page: lane.page(),
                    probe_id: lane.probe_id(),
                    plan: self.plan,
                };
                let timings = Timings { upstream: answer.upstream(), ..timings };
                let result = answer.read(sequence < self.plan.show, &mut identity);
                record(Outcome { sequence, result, timings, wire, remote, passed_over });
            }
            Err(failure) => {
                let result = Err(failure.clone());
                record(Outcome { sequence, result, timings, wire, remote, passed_over });
            }
        }
        lane.settle(keep, self.plan.connection_lifetime, end);
        Some(end)
    }

    /// The address with its place among this thread's.
    fn remote(&self, address: SocketAddr) -> Remote {
        let mut places = self.places.borrow_mut();
        let next = places.len();
        Remote { address, place: *places.entry(address).or_insert(next) }
    }

    /// Opens a connection: the next one of the run.
    async fn open(&self, opening: &mut Opening) -> Result<connect::Stream, Failure> {
        opening.turn = self.turns.fetch_add(1, Ordering::Relaxed);
        connect::open(self.plan, &self.names, self.tls.as_ref(), opening).await
    }

    /// Request and response within the limit; `None` if the run stopped.
    async fn exchanged(
        &self,
        lane: &mut Lane,
        turn: Turn,
        opening: &mut Opening,
        kept: &Cell<bool>,
    ) -> Option<Result<Response, Failure>> {
        let limit = self.plan.limits.total;
        let mut stage = Stage::Connecting;
        let alarm = Rc::clone(&lane.alarm);
        let (sequence, stage_of) = (turn.sequence, &mut stage);
        let work = async {
            match &mut lane.carrier {
                Carrier::Own(own) => {
                    kept.set(own.connection.is_some());
                    own.exchange(self, sequence, opening, stage_of).await
                }
                Carrier::Shared(shared) => {
                    shared.exchange(self, sequence, opening, stage_of, kept).await
                }
            }
        };
        match alarm.guard(Some(turn.start + limit), work).await {
            Ok(result) => Some(result),
            Err(Rung::Stop) => None,
            Err(Rung::Overdue) => {
                let what = format!("{} within {limit:?}", stage.missing());
                Some(Err(Failure::new(FailureKind::Timeout, what)))
            }
        }
    }
}
