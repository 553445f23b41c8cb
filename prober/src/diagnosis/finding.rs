//! What an explanation says: the layer at which it arose, the cause among the known ones, the
//! numbers that show it, and what to look at next. Pure values.

use serde::Serialize;

/// Where on the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The Envoy that chose: what it holds, and how it was told to balance.
    ClientBalancer,
    /// Between Envoys: connections and TLS.
    Network,
    /// The east-west gateway.
    Gateway,
    /// The pod that serves: its sidecar and its application.
    Server,
}

impl Layer {
    /// In words.
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

/// The causes that are known. A closed list; the words are the same in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The client's Envoy holds no endpoint of any other network.
    OnlyLocalEndpoints,
    /// It holds some of other services, none of this one.
    NoRemoteMtlsEndpoints,
    /// It holds remote pods instead of their network's gateway.
    PodAddresses,
    /// It holds no endpoint at all.
    NoEndpoints,
    /// Endpoints came and went during the run.
    EndpointsChanged,
    /// Outlier detection took an endpoint out.
    Ejected,
    /// Outlier detection may take none out: `maxEjectionPercent`.
    EjectionCapped,
    /// An endpoint is marked unhealthy by who told of it, or by a health check.
    Unhealthy,
    /// There was no endpoint left to send to.
    NoHealthyEndpoint,
    /// Too few were healthy, so that all were used.
    PanicMode,
    /// A nearer locality comes first.
    LocalityFailover,
    /// A DestinationRule gives each locality its share.
    Distribute,
    /// A VirtualService gives each subset its share.
    WeightedSplit,
    /// Endpoints weigh as many as the pods behind them, and those differ.
    Weights,
    /// A gateway weighs as many as the pods of one zone, not of all.
    ZoneWeight,
    /// Connections through a gateway stay with one of the pods behind it.
    Pinned,
    /// An endpoint refuses connections.
    ConnectionRefused,
    /// An endpoint takes a connection, and then nothing comes.
    ConnectTimeout,
    /// Connections fail, and the Envoy does not keep the counters that would say how.
    ConnectionsFail,
    /// The client does not trust who signed for the server.
    RootMismatch,
    /// The server does not trust who signed for the client.
    ClientRootMismatch,
    /// The server is another identity than the client wants.
    SanMismatch,
    /// A server that wants mTLS is asked in plaintext.
    PlaintextRefused,
    /// The gateway has no chain for the server name that was asked for.
    UnknownServerName,
    /// The sidecar lives, its application does not.
    AppDead,
    /// The application itself answers with errors.
    ServerErrors,
    /// Connections ended under their requests.
    ConnectionsBroken,
    /// Some answer much later than others.
    Slow,
}

impl Cause {
    /// The words for it.
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
            Self::Weights => "weights",
            Self::ZoneWeight => "zone weight",
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
            Self::ConnectionsBroken => "connections broken",
            Self::Slow => "slow",
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// What a cause did to requests. Failures come before what only bends shares or costs time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// They failed.
    Failed,
    /// Another backend got them, at a second attempt or at once.
    Moved,
    /// One backend of several got them.
    Concentrated,
    /// They took longer.
    Delayed,
}

/// One cause that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where it arose.
    pub layer: Layer,
    /// What it is.
    pub cause: Cause,
    /// What it did.
    pub effect: Effect,
    /// To about how many requests.
    pub requests: u64,
    /// The numbers that show it, one line.
    pub evidence: String,
    /// What to look at next: a command, or a sentence where no command helps.
    pub next: String,
}

/// Why the answers of a row are distributed as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What was found, what accounts for most first.
    pub findings: Vec<Finding>,
    /// What could not be told, and what was not read for it; each a line.
    pub unknown: Vec<String>,
    /// What is as it should be, one line, where nothing was found.
    pub well: Option<String>,
}
