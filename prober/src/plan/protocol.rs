//! Which protocol carries the requests. Pure.

use serde::{Deserialize, Serialize};

use super::error::PlanError;
use crate::cli::{GrpcService, RequestArgs};

/// There is no fallback to another protocol: a run over another one is another measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Protocol {
    /// HTTP/1.1: a connection carries one request at a time.
    #[default]
    Http1,
    /// Negotiated by ALPN over TLS, otherwise with prior knowledge.
    Http2,
    /// A gRPC service over HTTP/2.
    Grpc(GrpcService),
}

impl Protocol {
    /// The protocol that the flags ask for, for a target with or without TLS.
    pub(super) fn of(args: &RequestArgs, tls: bool) -> Result<Self, PlanError> {
        match (args.grpc, args.http2_prior_knowledge, args.http2) {
            (Some(service), _, _) => Ok(Self::Grpc(service)),
            (None, true, _) => Ok(Self::Http2),
            (None, false, true) if tls => Ok(Self::Http2),
            (None, false, true) => Err(PlanError::PlainHttp2),
            (None, false, false) => Ok(Self::Http1),
        }
    }

    #[must_use]
    pub fn is_http2(self) -> bool {
        self != Self::Http1
    }

    /// What the client offers by ALPN (RFC 7301).
    #[must_use]
    pub fn alpn(self) -> &'static [u8] {
        if self.is_http2() { b"h2" } else { b"http/1.1" }
    }

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Grpc(GrpcService::Echo) => "gRPC",
            Self::Grpc(GrpcService::Health) => "gRPC health",
        }
    }
}

impl From<Protocol> for &'static str {
    fn from(protocol: Protocol) -> Self {
        protocol.name()
    }
}

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let services = [GrpcService::Echo, GrpcService::Health].map(Self::Grpc);
        let mut known = [Self::Http1, Self::Http2].into_iter().chain(services);
        known.find(|protocol| protocol.name() == name).ok_or_else(|| "unknown protocol".to_owned())
    }
}

impl GrpcService {
    /// The path of the method that is called.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Echo => "/echo.v1.EchoService/Echo",
            Self::Health => "/grpc.health.v1.Health/Check",
        }
    }
}
