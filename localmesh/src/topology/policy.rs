//! Traffic policies: what DestinationRules and VirtualServices configure. Pure.

use std::time::Duration;

/// The traffic policy of one service, the same in every cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub balancer: Balancer,
    /// `None`, Istio's default, never ejects an endpoint.
    pub outlier: Option<Outlier>,
    pub locality: LocalityLb,
    /// Weights of a VirtualService by cluster; empty without a split.
    pub split: Vec<(String, u32)>,
    /// Whether subsets by cluster exist: a split needs them, and they stay after it.
    pub subsets: bool,
    /// Retries by the nearest Envoy; Istio's default is 2.
    pub retries: u32,
    /// The SPIFFE ids that clients accept; `None` for the service's own id.
    pub sans: Option<Vec<String>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            balancer: Balancer::default(),
            outlier: None,
            locality: LocalityLb::default(),
            split: Vec::new(),
            subsets: false,
            retries: 2,
            sans: None,
        }
    }
}

/// The load-balancing policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Balancer {
    /// The less busy of two random endpoints: Istio's default.
    #[default]
    LeastRequest,
    RoundRobin,
    Random,
}

impl Balancer {
    /// Envoy's name of the policy.
    #[must_use]
    pub fn envoy(self) -> &'static str {
        match self {
            Self::LeastRequest => "LEAST_REQUEST",
            Self::RoundRobin => "ROUND_ROBIN",
            Self::Random => "RANDOM",
        }
    }
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
