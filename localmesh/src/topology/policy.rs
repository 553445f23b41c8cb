//! Traffic policies: what DestinationRules and VirtualServices configure. Pure.

use std::time::Duration;

/// Istio's default.
const DEFAULT_RETRIES: u32 = 2;

/// The traffic policy of one service, the same in every cluster that has its DestinationRule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub balancer: Balancer,
    pub limits: Limits,
    pub mirror: Option<Mirror>,
    /// `None`, Istio's default, never ejects an endpoint.
    pub outlier: Option<Outlier>,
    pub locality: LocalityLb,
    /// Weights of a VirtualService by cluster; empty without a split.
    pub split: Vec<(String, u32)>,
    /// Whether subsets by cluster exist: a split needs them, and they stay after it.
    pub subsets: bool,
    /// Retries by the nearest Envoy.
    pub retries: u32,
    /// The SPIFFE ids that clients accept; `None` for the service's own id.
    pub sans: Option<Vec<String>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            balancer: Balancer::default(),
            limits: Limits::default(),
            mirror: None,
            outlier: None,
            locality: LocalityLb::default(),
            split: Vec::new(),
            subsets: false,
            retries: DEFAULT_RETRIES,
            sans: None,
        }
    }
}

impl Policy {
    /// What is left of it without the DestinationRule: the settings of a VirtualService.
    #[must_use]
    pub(crate) fn of_virtual_service(&self) -> Self {
        let Self { split, mirror, retries, .. } = self;
        let (split, mirror) = (split.clone(), mirror.clone());
        Self { split, mirror, retries: *retries, ..Self::default() }
    }

    /// Whether a VirtualService exists for the service: without one, sidecars use the routes of
    /// a plain Service.
    #[must_use]
    pub fn has_virtual_service(&self) -> bool {
        !self.split.is_empty() || self.mirror.is_some() || self.retries != DEFAULT_RETRIES
    }
}

/// The load-balancing policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balancer {
    /// The less busy of two random endpoints: Istio's default.
    #[default]
    LeastRequest,
    RoundRobin,
    Random,
    RingHash(RingHash),
}

impl Balancer {
    /// Envoy's name of the policy.
    #[must_use]
    pub fn envoy(&self) -> &'static str {
        match self {
            Self::LeastRequest => "LEAST_REQUEST",
            Self::RoundRobin => "ROUND_ROBIN",
            Self::Random => "RANDOM",
            Self::RingHash(_) => "RING_HASH",
        }
    }
}

/// `consistentHash`: requests with the same key go to the same endpoint while it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingHash {
    pub key: HashKey,
    /// `minimumRingSize`.
    pub min_ring_size: u64,
}

impl RingHash {
    /// Istio's default.
    pub const MIN_RING_SIZE: u64 = 1024;
}

/// What is hashed. Requests without it are spread at random.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// `httpHeaderName`.
    Header(String),
    /// `httpCookie`. With a lifetime, Envoy sets the cookie where it is missing; a lifetime of
    /// zero makes a session cookie.
    Cookie { name: String, ttl: Option<Duration>, path: Option<String> },
    /// `httpQueryParameterName`.
    Query(String),
    /// `useSourceIp`.
    SourceIp,
}

/// `connectionPool`: what each Envoy allows at the same time. `None` is Istio's default, no
/// limit. Requests beyond a limit fail at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `tcp.maxConnections`. Envoy allows each endpoint one connection in any case.
    pub connections: Option<u32>,
    /// `http.http1MaxPendingRequests`: requests that wait for a connection.
    pub pending_requests: Option<u32>,
    /// `http.http2MaxRequests`: requests under way, with HTTP/1.1 too.
    pub requests: Option<u32>,
    /// `http.maxRetries`: retries under way.
    pub retries: Option<u32>,
}

/// `mirror` of a VirtualService: copies of requests go to another service, whose answers are
/// dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub to: Destination,
    /// `mirrorPercentage`: the share of requests that are copied.
    pub percent: u32,
}

/// The destination of a route: a service, or its subset in one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub service: String,
    pub subset: Option<String>,
}

/// Outlier detection. The defaults are Istio's, or Envoy's where Istio sets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Consecutive 5xx responses that eject an endpoint. Resets and refused connections count.
    pub consecutive: u32,
    /// The interval of the checks that end an ejection.
    pub interval: Duration,
    /// Multiplied by the number of ejections so far.
    pub ejection_time: Duration,
    /// The largest share of ejected endpoints, in percent. Envoy's default of 10 never ejects
    /// one of two.
    pub max_percent: u32,
    /// The panic threshold: below this share of healthy endpoints, in percent, all are used.
    /// Istio sets 0 (never), unless `minHealthPercent` says otherwise.
    pub panic_percent: u32,
}

impl Default for Outlier {
    fn default() -> Self {
        Self {
            consecutive: 5,
            interval: Duration::from_secs(10),
            ejection_time: Duration::from_secs(30),
            max_percent: 10,
            panic_percent: 0,
        }
    }
}

/// Locality load balancing. Failover needs outlier detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalityLb {
    /// Prefers the nearest healthy locality: Istio's default with outlier detection.
    #[default]
    Failover,
    /// Treats all localities alike.
    Off,
    /// Shares by cluster in percent, for all clients; a cluster without an entry gets nothing.
    Distribute(Vec<(String, u32)>),
}

/// A fault of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub delay: Option<Duration>,
    /// The status to answer with.
    pub abort: Option<u16>,
    /// The share of affected requests.
    pub percent: u32,
}
