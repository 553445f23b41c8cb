//! What an explanation contains: the layer, the cause, the numbers that show it, and what to look at
//! next. Pure values.

use serde::Serialize;

/// Where on the way of a request a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The Envoy that chose the backends: its endpoints, settings, routes and filters.
    ClientBalancer,
    /// Between Envoys: connections and TLS.
    Network,
    Gateway,
    /// The pod that serves: its sidecar and its application.
    Server,
}

impl Layer {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ClientBalancer => "client balancer",
            Self::Network => "network",
            Self::Gateway => "gateway",
            Self::Server => "server",
        }
    }
}

/// The known causes, a closed list. The words are the same in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The client's Envoy has no endpoint in another network, for any service.
    OnlyLocalEndpoints,
    /// It has endpoints in another network for other services, but not for this one.
    NoRemoteMtlsEndpoints,
    /// It has the addresses of remote pods instead of their network's gateway.
    PodAddresses,
    /// It has no endpoint for this service at all.
    NoEndpoints,
    /// Endpoints came and went during the run.
    EndpointsChanged,
    /// Outlier detection ejected an endpoint.
    Ejected,
    /// `maxEjectionPercent` prevented an ejection.
    EjectionCapped,
    /// The control plane or a health check marked an endpoint as unhealthy.
    Unhealthy,
    /// No healthy endpoint was left.
    NoHealthyEndpoint,
    /// Too few endpoints were healthy, so Envoy used all of them.
    PanicMode,
    /// A nearer locality has priority.
    LocalityFailover,
    /// A DestinationRule gives each locality its share.
    Distribute,
    /// A VirtualService gives each subset its share.
    WeightedSplit,
    /// No service has the host, so that the Envoy passes requests on to their address.
    UnknownHost,
    /// The policy keeps requests with the same hash, such as of a header, at one endpoint.
    ConsistentHash,
    /// Endpoints have the weight of the pods behind them, and the numbers of pods differ.
    Weights,
    /// A gateway has the weight of the pods in one zone, not of all pods behind it.
    ZoneWeight,
    /// The policy prefers endpoints with few requests in flight, and a gateway has those of all pods
    /// behind it.
    LeastRequest,
    /// Each connection through a gateway stays with one of the pods behind it.
    Pinned,
    /// An endpoint refuses connections.
    ConnectionRefused,
    /// Connections to an endpoint time out.
    ConnectTimeout,
    /// Connections fail, and the Envoy keeps no counters that would show how.
    ConnectionsFail,
    /// The client does not trust the issuer of the server's certificate.
    RootMismatch,
    /// The server does not trust the issuer of the client's certificate.
    ClientRootMismatch,
    /// The server's identity (SAN) differs from what the client expects.
    SanMismatch,
    /// The server requires mTLS, and the client sends plaintext.
    PlaintextRefused,
    /// The gateway has no filter chain for the requested server name (SNI).
    UnknownServerName,
    /// The sidecar is up, but its application is down.
    AppDead,
    /// The application itself responds with errors.
    ServerErrors,
    /// An endpoint accepts requests and does not respond within the client's time limit.
    NoAnswer,
    /// Connections were closed while requests were in flight.
    ConnectionsBroken,
    /// A limit of a cluster on connections, pending requests or requests was reached.
    CircuitBreaker,
    /// The response is not valid HTTP of the version that the Envoy speaks, or its headers are too
    /// large.
    UpstreamProtocolError,
    /// The server, or an Envoy before it, reset the stream of a request.
    UpstreamReset,
    /// A limit on the duration, the size or the number of streams ended requests.
    ResetByLimit,
    /// The timeout of a route, or of one try, was over before the response.
    RouteTimeout,
    /// No route of an Envoy matches.
    NoRoute,
    /// A route leads to a cluster that the Envoy does not have.
    NoCluster,
    /// A route injects a fault that aborts requests.
    FaultInjection,
    /// A local or the global rate limit was exceeded.
    RateLimit,
    /// An authorization policy denies requests or connections.
    Rbac,
    /// One cluster responds much later than another.
    Slow,
}

impl Cause {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::OnlyLocalEndpoints => "only local endpoints",
            Self::NoRemoteMtlsEndpoints => "no remote mTLS endpoints",
            Self::PodAddresses => "pod addresses",
            Self::NoEndpoints => "no endpoints",
            Self::EndpointsChanged => "endpoints changed",
            Self::Ejected => "ejected",
            Self::EjectionCapped => "ejection capped",
            Self::Unhealthy => "unhealthy",
            Self::NoHealthyEndpoint => "no healthy endpoint",
            Self::PanicMode => "panic mode",
            Self::LocalityFailover => "locality failover",
            Self::Distribute => "distribute",
            Self::WeightedSplit => "weighted split",
            Self::UnknownHost => "unknown host",
            Self::ConsistentHash => "consistent hash",
            Self::Weights => "weights",
            Self::ZoneWeight => "zone weight",
            Self::LeastRequest => "least request",
            Self::Pinned => "pinned",
            Self::ConnectionRefused => "connection refused",
            Self::ConnectTimeout => "connect timeout",
            Self::ConnectionsFail => "connections fail",
            Self::RootMismatch => "root mismatch",
            Self::ClientRootMismatch => "client root mismatch",
            Self::SanMismatch => "SAN mismatch",
            Self::PlaintextRefused => "plaintext refused",
            Self::UnknownServerName => "unknown server name",
            Self::AppDead => "application dead",
            Self::ServerErrors => "server errors",
            Self::NoAnswer => "no answer",
            Self::ConnectionsBroken => "connections broken",
            Self::CircuitBreaker => "circuit breaker",
            Self::UpstreamProtocolError => "upstream protocol error",
            Self::UpstreamReset => "upstream reset",
            Self::ResetByLimit => "upstream reset by limit",
            Self::RouteTimeout => "route timeout",
            Self::NoRoute => "no such route",
            Self::NoCluster => "no such cluster",
            Self::FaultInjection => "fault injection",
            Self::RateLimit => "rate limit",
            Self::Rbac => "RBAC",
            Self::Slow => "slow",
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// What a cause did to requests, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    Failed,
    /// Another backend got them, at once or after a retry.
    Moved,
    /// One of several backends got them.
    Concentrated,
    Delayed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub layer: Layer,
    pub cause: Cause,
    pub effect: Effect,
    /// About how many requests it affected.
    pub requests: u64,
    /// The numbers that show it, one line.
    pub evidence: String,
    /// What to look at next: a command, or a sentence if no command helps.
    pub next: String,
}

/// Why the answers of a row are distributed as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The cause that accounts for most requests comes first.
    pub findings: Vec<Finding>,
    /// What is not known and why, one line each.
    pub unknown: Vec<String>,
    /// That nothing is skewed, one line; only if nothing was found.
    pub well: Option<String>,
}
