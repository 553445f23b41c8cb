//! One request has one outcome; nothing is retried. A lane sends one request after another.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Method;

use crate::clock;
use crate::engine::answer::ResponseReader;
use crate::engine::connect::{self, ConnectWith, DeadAddresses, LocalEnd, Opening, Quiet, tls};
use crate::engine::deadlines::{Deadline, Rung};
use crate::engine::http1::Connection;
use crate::engine::http2::{ConnectionSlot, Driver, Lease, Taken};
use crate::engine::response::{Buffers, Response, Stage};
use crate::engine::wire::{RequestBytes, number_in_place, probe_id};
use crate::plan::ProbePlan;
use crate::resolve::Names;
use crate::tally::Remotes;
use crate::tally::outcome::{Failure, FailureKind, Outcome, Remote, Timings, Wire};

/// Sends the requests of one thread.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    pub plan: &'a ProbePlan,
    /// Belongs to the thread's runtime.
    pub names: Names,
    /// Those of the run.
    pub dead: Arc<DeadAddresses>,
    /// For https.
    pub tls: Option<Arc<tls::Client>>,
    pub local: &'a LocalEnd,
    /// The start of every probe id, so that an answer to another run is recognized.
    pub run_id: &'a str,
    /// The number of the run's next connection, counted over all threads.
    pub next_connection: &'a AtomicU64,
    pub remotes: RefCell<Remotes>,
    /// Whether this thread got a response.
    pub answered: Cell<bool>,
    /// The most addresses of the target that a connection could choose from.
    pub addresses: Cell<usize>,
    /// Carries the HTTP/2 connections of this thread.
    pub http2: Driver,
}

/// What a lane keeps from one request to the next.
#[derive(Debug)]
pub(super) struct Lane {
    carrier: Carrier,
    deadline: Rc<Deadline>,
}

/// What carries a lane's requests.
#[expect(clippy::large_enum_variant, reason = "a lane is not moved, and all of a run are alike")]
#[derive(Debug)]
enum Carrier {
    /// HTTP/1.1: a connection of the lane's own.
    Own(OwnConnection),
    /// HTTP/2: a connection that lanes share.
    Shared(SharedConnection),
}

#[derive(Debug)]
struct OwnConnection {
    request: RequestBytes,
    connection: Option<Connection>,
    /// The buffers while there is no connection.
    empty: Buffers,
    /// How many more requests the connection may carry.
    uses: u64,
    /// How many connections the lane opened; `--reuse N:M` varies with it.
    opened: u64,
    /// Where the connection leads, or the last one led.
    remote: Option<Remote>,
}

#[derive(Debug)]
struct SharedConnection {
    probe_id: Vec<u8>,
    slot: Rc<ConnectionSlot>,
    /// The connection of the request in flight.
    connection: Option<Lease>,
    /// Where the last request's connection leads.
    remote: Option<SocketAddr>,
    buffers: Buffers,
}

impl Lane {
    /// A lane without a connection; with HTTP/2, `slot` holds the connection that it shares.
    #[must_use]
    pub(super) fn new(
        sender: &Sender<'_>,
        deadline: Rc<Deadline>,
        slot: Option<Rc<ConnectionSlot>>,
    ) -> Self {
        let Sender { plan, run_id, .. } = *sender;
        let carrier = match slot {
            None => Carrier::Own(OwnConnection {
                request: RequestBytes::new(plan, run_id),
                connection: None,
                empty: Buffers::default(),
                uses: 0,
                opened: 0,
                remote: None,
            }),
            Some(slot) => Carrier::Shared(SharedConnection {
                probe_id: probe_id(run_id, 0).into_bytes(),
                slot,
                connection: None,
                remote: None,
                buffers: Buffers::default(),
            }),
        };
        Self { carrier, deadline }
    }

    /// The buffers of the last response.
    fn buffers(&self) -> &Buffers {
        match &self.carrier {
            Carrier::Own(own) => own.connection.as_ref().map_or(&own.empty, Connection::buffers),
            Carrier::Shared(shared) => &shared.buffers,
        }
    }

    /// The probe id of the last request.
    fn probe_id(&self) -> &[u8] {
        match &self.carrier {
            Carrier::Own(own) => own.request.id(),
            Carrier::Shared(shared) => &shared.probe_id,
        }
    }

    /// Keeps or drops the connection after a request.
    fn settle(&mut self, keep: bool) {
        match &mut self.carrier {
            Carrier::Own(own) => own.settle(keep),
            Carrier::Shared(shared) => shared.settle(),
        }
    }
}

impl OwnConnection {
    async fn exchange(
        &mut self,
        sender: &Sender<'_>,
        DueRequest { sequence, start, .. }: DueRequest,
        opening: &mut Opening,
        stage: &mut Stage,
        kept: &Cell<bool>,
    ) -> Result<Response, Failure> {
        let plan = sender.plan;
        self.drop_unusable(plan.connection_lifetime, start, opening).await;
        kept.set(self.connection.is_some());
        if self.connection.is_none() {
            let stream = sender.open(opening).await?;
            self.opened += 1;
            self.uses = plan.reuse.uses(sequence ^ self.opened.rotate_left(32));
            self.connection = Some(Connection::new(stream, clock::now()));
        }
        let Some(connection) = &mut self.connection else { unreachable!("just made") };
        let to_head = plan.request.method == Method::HEAD;
        let request = self.request.numbered(sequence);
        let request = (request, plan.request.body.as_ref());
        connection.exchange(request, to_head, plan.limits.body, stage).await
    }

    /// Drops a kept connection that is too old, or that the server has ended.
    async fn drop_unusable(
        &mut self,
        lifetime: Option<Duration>,
        now: Instant,
        opening: &mut Opening,
    ) {
        let Some(connection) = &mut self.connection else { return };
        let age = now.saturating_duration_since(connection.opened);
        if lifetime.is_some_and(|most| age >= most) {
            self.connection = None;
            return;
        }
        match connection.between_requests().await {
            Quiet::Yes => return,
            Quiet::Ended => opening.transport.closed_while_idle = 1,
            Quiet::Unasked => opening.transport.unasked = 1,
        }
        self.connection = None;
    }

    fn settle(&mut self, keep: bool) {
        self.uses = self.uses.saturating_sub(1);
        if !keep || self.uses == 0 {
            self.connection = None;
        }
    }
}

impl SharedConnection {
    async fn exchange(
        &mut self,
        sender: &Sender<'_>,
        sequence: u64,
        opening: &mut Opening,
        stage: &mut Stage,
        kept: &Cell<bool>,
    ) -> Result<Response, Failure> {
        number_in_place(&mut self.probe_id, sequence);
        self.remote = None;
        loop {
            *stage = Stage::Connecting;
            let connection = self.take(sender, sequence, opening, stage, kept).await?;
            self.remote = connection.remote;
            let allowed = u64::from(connection.streams_allowed());
            opening.transport.allows(allowed, sender.plan.streams);
            *stage = Stage::Stream(allowed);
            let Ok(entered) = connection.enter().await else {
                // The connection ends, and the request was not sent: another one carries it, unless
                // the server ends every connection at once.
                if kept.get() {
                    continue;
                }
                return Err(connection.refusal());
            };
            // It may have waited for a higher limit.
            opening.transport.allows(connection.streams_allowed().into(), sender.plan.streams);
            self.connection = Some(connection.clone());
            let request = (&self.slot.request, &self.probe_id[..]);
            let response = entered.exchange(request, &mut self.buffers, stage).await;
            if response.as_ref().map_or_else(|failed| failed.stream_only, |_| true) {
                self.connection = None;
            }
            return response.map_err(|failed| failed.failure);
        }
    }

    /// A connection for one more request.
    async fn take(
        &mut self,
        sender: &Sender<'_>,
        sequence: u64,
        opening: &mut Opening,
        stage: &mut Stage,
        kept: &Cell<bool>,
    ) -> Result<Lease, Failure> {
        let plan = sender.plan;
        let closed_while_idle = Cell::new(0);
        let open = async |opened: u64| {
            let start = clock::now();
            let stream = sender.open(opening).await?;
            *stage = Stage::Settings;
            let uses = plan.reuse.uses(sequence ^ opened.rotate_left(32));
            let limit = plan.limits.connect;
            let left = limit.saturating_sub(clock::now().saturating_duration_since(start));
            let stream = (stream, opening.remote);
            sender.http2.open(stream, uses, plan.limits.body, (left, limit)).await
        };
        let taken = self.slot.take(&closed_while_idle, open).await;
        opening.transport.closed_while_idle += closed_while_idle.get();
        let Taken { connection, kept: was_open } = taken?;
        kept.set(was_open);
        Ok(connection)
    }

    /// Abandons a connection whose request did not end: it timed out, or the connection failed.
    fn settle(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.slot.abandon(&connection);
        }
    }
}

/// A request that may start now.
#[derive(Clone, Copy, Debug)]
pub(super) struct DueRequest {
    /// Its number in the run.
    pub sequence: u64,
    /// When it should start.
    pub due: Instant,
    /// When it starts.
    pub start: Instant,
}

impl Sender<'_> {
    /// Sends one request and passes its outcome to `record`. Returns when it ended, or `None` if
    /// the run stopped first: then the request has no outcome.
    pub(super) async fn send(
        &self,
        lane: &mut Lane,
        due_request: DueRequest,
        record: impl FnOnce(Outcome<'_>),
    ) -> Option<Instant> {
        let DueRequest { sequence, due, start } = due_request;
        let kept = Cell::new(false);
        let mut opening = Opening::default();
        let exchanged = self.exchange(lane, due_request, &mut opening, &kept).await?;
        let end = exchanged.as_ref().map_or_else(|_| clock::now(), |response| response.end);
        let Opening { dns, connect, tls, passed_over, remote, mut transport, .. } = opening;
        exchanged.iter().for_each(|response| response.note(&mut transport));
        let remote = match (&mut lane.carrier, remote) {
            (Carrier::Own(own), _) if kept.get() => own.remote,
            (Carrier::Own(own), remote) => {
                own.remote = remote.map(|address| self.remotes.borrow_mut().remote(address));
                own.remote
            }
            (Carrier::Shared(shared), remote) => {
                remote.or(shared.remote).map(|address| self.remotes.borrow_mut().remote(address))
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
        let ended = |result, timings| {
            record(Outcome { sequence, result, timings, wire, remote, passed_over, transport });
        };
        match &exchanged {
            Ok(response) => {
                let mut identity = None;
                let reader = ResponseReader {
                    response,
                    buffers: lane.buffers(),
                    probe_id: lane.probe_id(),
                    remote: remote.map(|remote| remote.address.ip()),
                    plan: self.plan,
                };
                let timings = Timings { upstream: reader.upstream(), ..timings };
                ended(reader.read(sequence < self.plan.show, &mut identity), timings);
            }
            Err(failure) => ended(Err(failure.clone()), timings),
        }
        lane.settle(keep);
        Some(end)
    }

    /// Opens the run's next connection.
    async fn open(&self, opening: &mut Opening) -> Result<connect::Stream, Failure> {
        opening.number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let with = ConnectWith {
            names: &self.names,
            dead: &self.dead,
            local: self.local,
            tls: self.tls.as_deref(),
        };
        let opened = connect::open(self.plan, with, opening).await;
        self.addresses.set(self.addresses.get().max(opening.addresses));
        opened
    }

    /// A server that misses a certificate may end the connection so fast that its reason is lost.
    fn explained(&self, failure: Failure) -> Failure {
        match self.tls.as_ref().and_then(|tls| tls.hint()) {
            Some(hint) if failure.kind == FailureKind::Reset && !self.answered.get() => {
                Failure { what: format!("{}; {hint}", failure.what), ..failure }
            }
            _ => failure,
        }
    }

    /// Sends a request and reads the response within the time limit; `None` if the run stopped.
    async fn exchange(
        &self,
        lane: &mut Lane,
        due_request: DueRequest,
        opening: &mut Opening,
        kept: &Cell<bool>,
    ) -> Option<Result<Response, Failure>> {
        let limit = self.plan.limits.total;
        let mut stage = Stage::Connecting;
        let deadline = Rc::clone(&lane.deadline);
        let (sequence, stage_of) = (due_request.sequence, &mut stage);
        let work = async {
            match &mut lane.carrier {
                Carrier::Own(own) => own.exchange(self, due_request, opening, stage_of, kept).await,
                Carrier::Shared(shared) => {
                    shared.exchange(self, sequence, opening, stage_of, kept).await
                }
            }
        };
        match deadline.guard(limit.map(|limit| due_request.start + limit), work).await {
            Ok(result) => {
                self.answered.set(self.answered.get() || result.is_ok());
                Some(result.map_err(|failure| self.explained(failure)))
            }
            Err(Rung::Stop) => None,
            Err(Rung::Overdue) => {
                let what = format!("{} within {:?}", stage.missing(), limit.unwrap_or_default());
                Some(Err(Failure::new(FailureKind::Timeout, what)))
            }
        }
    }
}
