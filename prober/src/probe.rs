//! One request → one outcome. Nothing is retried.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echo_reply::Identity;
use http::{Method, StatusCode};
use tokio_rustls::rustls::ClientConfig;

use crate::clock;
use crate::connect::exchange::{Connection, Response, Stage};
use crate::connect::{self, Opening};
use crate::identity;
use crate::outcome::{Answer, Failure, FailureKind, Outcome, Timings, Who, Wire};
use crate::plan::ProbePlan;
use crate::resolve::Names;
use crate::watch::{Alarm, Ring};
use crate::wire::{Field, RequestBytes};

/// What all requests of one thread share.
#[derive(Debug)]
pub struct Prober<'a> {
    /// The row.
    pub plan: &'a ProbePlan,
    /// The look-up of names; it belongs to one thread's runtime.
    pub names: Names,
    /// The client's side of TLS, for https.
    pub tls: Option<Arc<ClientConfig>>,
    /// Begins every probe id, so that an answer of another run is known as such.
    pub run_id: &'a str,
}

/// What one lane keeps from request to request.
#[derive(Debug)]
pub struct Lane {
    request: RequestBytes,
    connection: Option<Connection>,
    /// How many requests its connection may still carry.
    uses: u64,
    alarm: Rc<Alarm>,
    /// How many connections it has opened, which varies `--reuse N:M`.
    opened: u64,
}

impl Lane {
    /// A lane without a connection.
    #[must_use]
    pub fn new(prober: &Prober<'_>, alarm: Rc<Alarm>) -> Self {
        let request = RequestBytes::new(prober.plan, prober.run_id);
        Self { request, connection: None, uses: 0, alarm, opened: 0 }
    }

    /// After a request: whether its connection may carry another one.
    fn settle(&mut self, keep: bool, lifetime: Option<Duration>, now: Instant) {
        self.uses = self.uses.saturating_sub(1);
        let age = |connection: &Connection| now.saturating_duration_since(connection.opened);
        let old = |c: &Connection| lifetime.is_some_and(|most| age(c) >= most);
        if !keep || self.uses == 0 || self.connection.as_ref().is_some_and(old) {
            self.connection = None;
        }
    }
}

/// A request that may start, and when.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
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
    pub async fn once(
        &self,
        lane: &mut Lane,
        turn: Turn,
        record: impl FnOnce(Outcome<'_>),
    ) -> Option<Instant> {
        let Turn { sequence, due, start } = turn;
        let kept = lane.connection.is_some();
        let mut opening = Opening::default();
        let exchanged = self.exchanged(lane, turn, &mut opening).await?;
        let end = exchanged.as_ref().map_or_else(|_| clock::now(), |response| response.end);
        let Opening { dns, connect, tls, passed_over } = opening;
        let first_byte = exchanged.as_ref().ok().map(|response| response.first_byte);
        let timings = Timings {
            total: end.saturating_duration_since(due),
            service: end.saturating_duration_since(start),
            dns,
            connect,
            tls,
            first_byte,
        };
        let wire = match (kept, connect) {
            (true, _) => Wire::Kept,
            (false, Some(_)) => Wire::Fresh,
            (false, None) => Wire::None,
        };
        let keep = exchanged.as_ref().is_ok_and(|response| response.keep_alive);
        match (&exchanged, &lane.connection) {
            (Ok(response), Some(connection)) => {
                let mut identity = None;
                let answer = Reading { response, connection, probe_id: lane.request.id() };
                let result = answer.read(sequence < self.plan.show, &mut identity);
                record(Outcome { sequence, result, timings, wire, passed_over });
            }
            (Err(failure), _) => {
                let result = Err(failure.clone());
                record(Outcome { sequence, result, timings, wire, passed_over });
            }
            (Ok(_), None) => unreachable!("a response comes on a connection"),
        }
        lane.settle(keep, self.plan.connection_lifetime, end);
        Some(end)
    }

    /// Request and response within the limit; `None` if the run stopped.
    async fn exchanged(
        &self,
        lane: &mut Lane,
        turn: Turn,
        opening: &mut Opening,
    ) -> Option<Result<Response, Failure>> {
        let limit = self.plan.limits.total;
        let mut stage = Stage::Connecting;
        let alarm = Rc::clone(&lane.alarm);
        let work = async {
            if lane.connection.is_none() {
                let tls = self.tls.as_ref();
                let stream = connect::open(self.plan, &self.names, tls, opening).await?;
                lane.opened += 1;
                lane.uses = self.plan.reuse.uses(turn.sequence ^ lane.opened.rotate_left(32));
                lane.connection = Some(Connection::new(stream, clock::now()));
            }
            let Some(connection) = &mut lane.connection else { unreachable!("just made") };
            let to_head = self.plan.request.method == Method::HEAD;
            let request = lane.request.numbered(turn.sequence);
            connection.exchange(request, to_head, self.plan.limits.body, &mut stage).await
        };
        match alarm.guard(Some(turn.start + limit), work).await {
            Ok(result) => Some(result),
            Err(Ring::Stop) => None,
            Err(Ring::Deadline) => {
                let what = format!("{} within {limit:?}", stage.missing());
                Some(Err(Failure::new(FailureKind::Timeout, what)))
            }
        }
    }
}

/// A whole response, to be read.
struct Reading<'a> {
    response: &'a Response,
    connection: &'a Connection,
    probe_id: &'a [u8],
}

impl<'a> Reading<'a> {
    /// Who answered, if it was an echo and to this request. `identity` is the place of
    /// one that is read from the body.
    fn read(&self, show: bool, identity: &'a mut Option<Identity>) -> Result<Answer<'a>, Failure> {
        let Self { response, connection, .. } = *self;
        let body = connection.read_body(response);
        if !(200..300).contains(&response.head.status) {
            return Err(self.bad_status(body));
        }
        if response.cut {
            let what = format!("the body is longer than {} bytes (--max-body)", body.len());
            return Err(Failure::new(FailureKind::Protocol, what));
        }
        let text = show.then(|| identity::shown(body));
        if self.field(Field::Pod).is_some() && self.field(Field::Cluster).is_some() {
            self.is_ours(self.field(Field::Probe))?;
            let mut names = response.head.identity(connection.buffer());
            if !names.all(|name| name.iter().all(|byte| (0x20..0x7f).contains(byte))) {
                let what = "a name in the x-echo headers that cannot be printed";
                return Err(Failure::new(FailureKind::Unidentified, what));
            }
            let attempt = self.field(Field::Attempt).and_then(number);
            let who = Who::Headers(&response.head, connection.buffer());
            return Ok(Answer { who, attempt, text });
        }
        let claim = identity::from_body(body).ok_or_else(|| {
            let what = format!("{} from no echo: {}", response.head.status, quoted(body));
            Failure::new(FailureKind::Unidentified, what)
        })?;
        self.is_ours(claim.probe.as_deref().map(str::as_bytes))?;
        let who = Who::Body(identity.insert(claim.identity));
        Ok(Answer { who, attempt: claim.attempt, text })
    }

    fn field(&self, field: Field) -> Option<&'a [u8]> {
        self.response.head.field(self.connection.buffer(), field)
    }

    /// An answer that names another request than the one it came for is somebody else's.
    fn is_ours(&self, probe: Option<&[u8]>) -> Result<(), Failure> {
        if probe.is_none_or(|probe| probe == self.probe_id) {
            return Ok(());
        }
        let what = "the answer to another request (its x-echo-probe differs)";
        Err(Failure::new(FailureKind::Unidentified, what))
    }

    fn bad_status(&self, body: &[u8]) -> Failure {
        let code = self.response.head.status;
        let known = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
        let status = known.map_or_else(|| code.to_string(), |words| format!("{code} {words}"));
        let text = |field| self.field(field).map(String::from_utf8_lossy);
        let what = match (code, text(Field::Location), text(Field::Server)) {
            (300..400, Some(location), _) => {
                format!("{status} to {location} (redirects are not followed)")
            }
            (_, _, Some(server)) => format!("{status} from {server}: {}", quoted(body)),
            _ => format!("{status}: {}", quoted(body)),
        };
        Failure::new(FailureKind::Status, what)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => "no body".to_owned(),
        text => format!("\"{text}\""),
    }
}
