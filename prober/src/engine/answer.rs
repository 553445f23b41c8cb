//! What a complete response says: who answered, or why that is not known. Pure.

mod copy;
mod decode;
mod grpc;
mod identity;
mod printed;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use echo_reply::headers::{PROBE, PROBE_ID, REQUEST};
use echo_reply::{Identity, TextLine};
use http::{HeaderName, StatusCode};

use crate::engine::response::{Buffers, Response};
use crate::engine::wire::Field;
use crate::plan::identify::{Nobody, Patterns};
use crate::plan::{ProbePlan, Protocol};
use crate::tally::outcome::{self, Answer, Code, Failure, FailureKind, Who};
use decode::Undecoded;

/// The most characters of a body, or of a header, in the text of a failure.
const MAX_QUOTED: usize = 100;
/// The most characters of an answer of another application that are shown.
const MAX_SHOWN: usize = 200;

/// Reads who answered from a complete response.
pub(super) struct ResponseReader<'a> {
    pub(super) response: &'a Response,
    pub(super) buffers: &'a Buffers,
    pub(super) probe_id: &'a [u8],
    /// Where the connection leads.
    pub(super) remote: Option<IpAddr>,
    pub(super) plan: &'a ProbePlan,
}

impl<'a> ResponseReader<'a> {
    /// Who answered, if that is an echo and the answer belongs to this request. `identity` stores
    /// an identity that is read from the body.
    pub(super) fn read(
        &self,
        show: bool,
        identity: &'a mut Option<Identity>,
    ) -> Result<Answer<'a>, Failure> {
        let Self { response, buffers, plan, .. } = *self;
        let raw = buffers.body(response);
        if !is_success(response.head.status) {
            // A stored error says nothing about a backend either.
            self.check_own()?;
            return Err(self.bad_status(&self.readable(raw)).at(self.attempt(None)));
        }
        if response.cut {
            let what = format!("the body is longer than {} bytes (--max-body)", raw.len());
            let who = self.failing(&self.readable(raw));
            return Err(Failure::new(FailureKind::Protocol, what).by(who));
        }
        if let Protocol::Grpc(service) = plan.protocol {
            let checked = self.grpc(raw).check(service);
            let named = |failure: Failure| failure.by(self.failing(raw)).at(self.attempt(None));
            checked.map_err(named)?;
        }
        self.check_own()?;
        let text = || show.then(|| self.shown(raw));
        if let Some(patterns) = &plan.identify {
            let (found, attempt) = self.by_patterns(patterns, raw)?;
            let who = Who::Body(identity.insert(found));
            return Ok(Answer { who, attempt, text: text() });
        }
        if self.field(Field::Pod).is_some() && self.field(Field::Cluster).is_some() {
            let names = response.head.identity(buffers.buffer());
            if !names.iter().all(|name| is_name(name)) {
                let what = "a name in the x-echo headers cannot be printed";
                return Err(Failure::new(FailureKind::Unidentified, what));
            }
            let who = Who::Values(names);
            return Ok(Answer { who, attempt: self.attempt(None), text: text() });
        }
        let body = self.whole(raw)?;
        let claim = identity::from_body(&body)
            .ok_or_else(|| self.unidentified(&format!("not an echo: {}", beginning(&body))))?;
        if claim.probe.as_deref().is_some_and(|probe| !self.is_own(probe.as_bytes())) {
            return Err(self.copied("it answers another request (its probe id differs)"));
        }
        let who = Who::Body(identity.insert(claim.identity));
        Ok(Answer { who, attempt: self.attempt(claim.attempt), text: text() })
    }

    fn grpc<'b>(&'b self, body: &'b [u8]) -> grpc::GrpcResponse<'b> {
        let (status, message) = (self.field(Field::GrpcStatus), self.field(Field::GrpcMessage));
        grpc::GrpcResponse { status, message, body }
    }

    /// The answer as it is printed. A gRPC answer is not text: it becomes the echo's text line.
    fn shown(&self, body: &[u8]) -> String {
        match (self.plan.protocol, self.field(Field::Pod), self.field(Field::Cluster)) {
            (Protocol::Grpc(_), Some(pod), Some(cluster)) => {
                let text = |name| String::from_utf8_lossy(name).into_owned();
                let (pod, cluster) = (text(pod), text(cluster));
                let url = &self.plan.target.url;
                let line = TextLine { url, pod: &pod, cluster: &cluster }.to_string();
                identity::shown(line.as_bytes())
            }
            // Other applications than echoes answer with many lines.
            _ if self.plan.identify.is_some() => identity::excerpt(&self.readable(body), MAX_SHOWN),
            _ => identity::shown(&self.readable(body)),
        }
    }

    /// The body without its encodings, and why that is not all of it, if so.
    fn decoded(&self, raw: &'a [u8]) -> (Cow<'a, [u8]>, Option<Undecoded>) {
        if self.field(Field::ContentEncoding).is_none() {
            return (Cow::Borrowed(decode::without_mark(raw)), None);
        }
        let mut encodings = Vec::new();
        self.response.head.find::<()>(self.buffers.buffer(), |name, value| {
            if name.eq_ignore_ascii_case("content-encoding") {
                encodings.push(value);
            }
            None
        });
        let (body, why) = decode::decode(&encodings, raw, self.plan.limits.body);
        (Cow::Owned(body), why)
    }

    /// The decoded body, or as much of it as there is; if that is nothing, why.
    fn readable(&self, raw: &'a [u8]) -> Cow<'a, [u8]> {
        match self.decoded(raw) {
            (body, Some(why)) if body.is_empty() => Cow::Owned(format!("({why})").into_bytes()),
            (body, _) => body,
        }
    }

    /// The decoded body.
    fn whole(&self, raw: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        match self.decoded(raw) {
            (body, None) => Ok(body),
            (_, Some(why @ Undecoded::TooLong(_))) => {
                Err(Failure::new(FailureKind::Protocol, why.to_string()).with(self.code()))
            }
            (_, Some(why)) => Err(self.unidentified(&why.to_string())),
        }
    }

    fn unidentified(&self, why: &str) -> Failure {
        let what = format!("{}, but {why}", self.response.head.status);
        Failure::new(FailureKind::Unidentified, what).with(self.code())
    }

    /// Who answered, by the patterns of `--identify`, and the attempt.
    fn by_patterns(
        &self,
        patterns: &Patterns,
        raw: &'a [u8],
    ) -> Result<(Identity, Option<u32>), Failure> {
        let body = if patterns.read_bodies() { self.whole(raw)? } else { self.decoded(raw).0 };
        let identity = self.named_by(patterns, &body).map_err(|nobody| {
            let nobody = match std::str::from_utf8(&body) {
                Err(_) if patterns.read_bodies() => format!("{nobody}; the body is not UTF-8"),
                _ => nobody.to_string(),
            };
            self.unidentified(&format!("{nobody}: {}", beginning(&body)))
        })?;
        if self.field(Field::Probe).is_none() && printed::is_of_another(&body, self.probe_id) {
            let what = format!("it answers another request (its body has another {PROBE_ID})");
            return Err(self.copied(&what));
        }
        Ok((identity, self.attempt(printed::attempt(&body))))
    }

    fn named_by(&self, patterns: &Patterns, body: &[u8]) -> Result<Identity, Nobody> {
        let stated = self.response.head.identity(self.buffers.buffer());
        patterns.identify(body, stated, self.remote, |name| self.header(name))
    }

    /// Which attempt the answer is. An application states the one that its nearest Envoy counted,
    /// `stated`, and the response's own header states the one of the Envoy nearest to us. Each of them
    /// counts retries of its own, so that the larger one says whether the mesh retried.
    fn attempt(&self, stated: Option<u32>) -> Option<u32> {
        let told = self.field(Field::Attempt).and_then(number);
        stated.max(told).max(self.field(Field::EnvoyAttempt).and_then(number))
    }

    /// The first value of any header that is not empty.
    fn header(&self, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
        let head = &self.response.head;
        head.header(self.buffers.buffer(), name.as_str()).map(Cow::Borrowed)
    }

    fn field(&self, field: Field) -> Option<&'a [u8]> {
        self.response.head.field(self.buffers.buffer(), field)
    }

    /// How long the nearest Envoy waited for its upstream host. The header is in ms; more than a
    /// day is ignored.
    pub(super) fn upstream(&self) -> Option<Duration> {
        let ms = self.field(Field::Upstream).and_then(number)?;
        (ms <= 86_400_000).then(|| Duration::from_millis(ms.into()))
    }

    /// Fails if the headers say that the answer was not made for this request. An answer with the id
    /// of this request was, whatever a cache says.
    fn check_own(&self) -> Result<(), Failure> {
        for (field, name) in [(Field::Probe, PROBE), (Field::ProbeId, PROBE_ID)] {
            match self.field(field) {
                Some(id) if self.is_own(id) => return Ok(()),
                Some(_) => {
                    let what = format!("it answers another request (its {name} differs)");
                    return Err(self.copied(&what));
                }
                None => {}
            }
        }
        let Response { head, repeated, .. } = self.response;
        if *repeated {
            let what = format!("its {REQUEST} was on this connection before");
            return Err(self.copied(&what));
        }
        let found = |name: &'a str, value: &'a [u8]| {
            copy::is_from_cache(name, value).then_some((name, value))
        };
        match head.cache.then(|| head.find(self.buffers.buffer(), found)).flatten() {
            Some(_) if self.prints_own_id() => Ok(()),
            Some((name, value)) => {
                let value = identity::excerpt(value, MAX_QUOTED);
                Err(self.copied(&format!("{name}: {value} (a cache on the path answered)")))
            }
            None => Ok(()),
        }
    }

    /// Whether an application prints the id of this request, so that it made the answer for it.
    fn prints_own_id(&self) -> bool {
        let body = || self.decoded(self.buffers.body(self.response)).0;
        self.plan.identify.is_some() && printed::is_own(&body(), self.probe_id)
    }

    /// Whether an answer states the id of this request; a server may have got it twice.
    fn is_own(&self, id: &[u8]) -> bool {
        id.split(|byte| *byte == b',').any(|id| id.trim_ascii() == self.probe_id)
    }

    fn copied(&self, why: &str) -> Failure {
        Failure::copied(format!("a copy: {why}")).with(self.code())
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
        Failure::new(FailureKind::Status, what).with(self.code()).by(self.failing(body))
    }

    fn code(&self) -> Code {
        Code::Http(self.response.head.status)
    }

    /// The backend that an error response names.
    fn failing(&self, body: &[u8]) -> Option<Identity> {
        if let Some(patterns) = &self.plan.identify {
            return self.named_by(patterns, body).ok();
        }
        if self.field(Field::Pod).is_some() && self.field(Field::Cluster).is_some() {
            let named = outcome::identity(self.response.head.identity(self.buffers.buffer()));
            return named.is_printable().then_some(named);
        }
        identity::from_body(body).map(|claim| claim.identity)
    }
}

/// Whether a response says that its request succeeded. A server that changes the protocol (101) does
/// what the request asked for.
fn is_success(status: u16) -> bool {
    status == 101 || (200..300).contains(&status)
}

/// Whether a value of an `x-echo-*` header is printable ASCII, and no command for a CI system.
fn is_name(value: &[u8]) -> bool {
    let plain = |byte: &u8| (0x20..0x7f).contains(byte);
    value.iter().all(plain)
        && std::str::from_utf8(value)
            .is_ok_and(|text| matches!(printable::clean_name(text), Cow::Borrowed(_)))
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

fn beginning(body: &[u8]) -> String {
    quoted(identity::excerpt(body, MAX_QUOTED).as_bytes())
}
