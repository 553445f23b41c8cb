//! What a complete response says: who answered, or why that is not known. Pure.

mod grpc;
mod identity;

use std::borrow::Cow;
use std::time::Duration;

use echo_reply::{Identity, TextLine};
use http::{HeaderName, StatusCode};

use crate::engine::response::{Buffers, Response};
use crate::engine::wire::Field;
use crate::plan::identify::Patterns;
use crate::plan::{ProbePlan, Protocol};
use crate::tally::outcome::{self, Answer, Code, Failure, FailureKind, Who};

/// Reads who answered from a complete response.
pub(super) struct ResponseReader<'a> {
    pub(super) response: &'a Response,
    pub(super) buffers: &'a Buffers,
    pub(super) probe_id: &'a [u8],
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
        let body = buffers.body(response);
        if !(200..300).contains(&response.head.status) {
            return Err(self.bad_status(body));
        }
        if response.cut {
            let what = format!("the body is longer than {} bytes (--max-body)", body.len());
            return Err(Failure::new(FailureKind::Protocol, what).by(self.failing(body)));
        }
        if let Protocol::Grpc(service) = plan.protocol {
            let checked = self.grpc(body).check(service);
            checked.map_err(|failure| failure.by(self.failing(body)))?;
        }
        let text = show.then(|| self.shown(body));
        if let Some(patterns) = &plan.identify {
            let who = Who::Body(identity.insert(self.by_patterns(patterns, body)?));
            let attempt = self.field(Field::Attempt).and_then(number);
            return Ok(Answer { who, attempt, text });
        }
        if self.field(Field::Pod).is_some() && self.field(Field::Cluster).is_some() {
            self.is_ours(self.field(Field::Probe))?;
            let names = response.head.identity(buffers.buffer());
            if !names.iter().all(|name| name.iter().all(|byte| (0x20..0x7f).contains(byte))) {
                let what = "a name in the x-echo headers cannot be printed";
                return Err(Failure::new(FailureKind::Unidentified, what));
            }
            let attempt = self.field(Field::Attempt).and_then(number);
            let who = Who::Values(names);
            return Ok(Answer { who, attempt, text });
        }
        let claim = identity::from_body(body).ok_or_else(|| {
            let what = format!("{}, but not an echo: {}", response.head.status, quoted(body));
            Failure::new(FailureKind::Unidentified, what).with(self.code())
        })?;
        self.is_ours(claim.probe.as_deref().map(str::as_bytes))?;
        let who = Who::Body(identity.insert(claim.identity));
        Ok(Answer { who, attempt: claim.attempt, text })
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
            _ => identity::shown(body),
        }
    }

    /// Who answered, by the patterns of `--identify`.
    fn by_patterns(&self, patterns: &Patterns, body: &[u8]) -> Result<Identity, Failure> {
        self.is_ours(self.field(Field::Probe))?;
        let head = &self.response.head;
        let stated = head.identity(self.buffers.buffer());
        patterns.identify(body, stated, |name| self.header(name)).map_err(|nobody| {
            let what = format!("{}, but {nobody}: {}", head.status, quoted(body));
            Failure::new(FailureKind::Unidentified, what).with(self.code())
        })
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

    /// Fails if the answer names another request than the one that it arrived for.
    fn is_ours(&self, probe: Option<&[u8]>) -> Result<(), Failure> {
        if probe.is_none_or(|probe| probe == self.probe_id) {
            return Ok(());
        }
        let what = "the answer belongs to another request (its x-echo-probe differs)";
        Err(Failure::copied(what).with(self.code()))
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
        let stated = self.response.head.identity(self.buffers.buffer());
        if let Some(patterns) = &self.plan.identify {
            return patterns.identify(body, stated, |name| self.header(name)).ok();
        }
        if self.field(Field::Pod).is_some() && self.field(Field::Cluster).is_some() {
            let named = outcome::identity(stated);
            return named.is_printable().then_some(named);
        }
        identity::from_body(body).map(|claim| claim.identity)
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
