//! How clients are told to treat a service: what people write into
//! DestinationRules and VirtualServices. Pure.

use std::time::Duration;

/// The traffic policy of one service, the same in every cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How one of several endpoints is chosen.
    pub balancer: Balancer,
    /// Whether endpoints that fail are ejected. `None`, Istio's default, never ejects.
    pub outlier: Option<Outlier>,
    /// What localities mean.
    pub locality: LocalityLb,
    /// Weights of a VirtualService by cluster; empty for none.
    pub split: Vec<(String, u32)>,
    /// Whether there are subsets by cluster: a split needs them, and they stay after it.
    pub subsets: bool,
    /// How often the nearest Envoy tries again: Istio's default is 2.
    pub retries: u32,
    /// The SPIFFE ids that clients accept; `None` for the service's own.
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

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Balancer {
    /// The less busy of two drawn: Istio's default.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Drawn.
    Random,
}

impl Balancer {
    /// Envoy's word for it.
    #[must_use]
    pub fn envoy(self) -> &'static str {
        match self {
            Self::LeastRequest => "LEAST_REQUEST",
            Self::RoundRobin => "ROUND_ROBIN",
            Self::Random => "RANDOM",
        }
    }
}

/// When an endpoint is ejected, and for how long. Defaults are Istio's, or Envoy's where
/// Istio sets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// So many 5xx in a row eject; resets and refusals count as such.
    pub consecutive: u32,
    /// How often Envoy looks for who may return.
    pub interval: Duration,
    /// For how long, times the number of ejections so far.
    pub ejection_time: Duration,
    /// At most this part of the endpoints, in percent. Envoy's default of 10 never ejects one
    /// of two.
    pub max_percent: u32,
    /// Below this part of healthy endpoints, in percent, all are used: the panic threshold.
    /// Istio sets 0, never, unless `minHealthPercent` says otherwise.
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

/// What localities mean for the balancing. Failover acts only beside outlier detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalityLb {
    /// The nearest locality that is healthy: Istio's default, where outliers are detected.
    #[default]
    Failover,
    /// All localities alike.
    Off,
    /// Shares by cluster, in percent, wherever the client is; a cluster not named gets none.
    Distribute(Vec<(String, u32)>),
}

/// What an application is made to do to a part of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Answer later.
    pub delay: Option<Duration>,
    /// Answer with this status instead.
    pub abort: Option<u16>,
    /// Of so many requests, in percent.
    pub percent: u32,
}
