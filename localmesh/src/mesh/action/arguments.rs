//! The arguments of the actions, and the readers of their values. Pure.

use std::time::Duration;

use clap::Args;
use usage::duration::{DurationError, parse_within};
use usage::whole::within;

use crate::topology::{
    Balancer, Destination, HashKey, Limits, Locality, Mirror, Outlier, RingHash,
};

/// The settings of outlier detection. Istio's defaults apply to what is not given.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct OutlierArgs {
    /// Service
    pub service: String,
    /// on or off
    pub switch: Switch,
    /// Consecutive 5xx responses that eject an endpoint [default: 5]
    #[arg(long, value_parser = within(1..=u32::MAX))]
    pub consecutive: Option<u32>,
    /// Interval of the checks that end an ejection [default: 10s]
    #[arg(long, value_parser = period)]
    pub interval: Option<Duration>,
    /// Ejection time, multiplied by the number of ejections so far [default: 30s]
    #[arg(long, value_parser = period)]
    pub ejection_time: Option<Duration>,
    /// The largest share of ejected endpoints, in percent [default: 10]
    #[arg(long, value_parser = within(0_u32..=100))]
    pub max_percent: Option<u32>,
    /// Use all endpoints if fewer than this are healthy, in percent [default: 0, never]
    #[arg(long, value_parser = within(0_u32..=100))]
    pub panic_percent: Option<u32>,
}

impl OutlierArgs {
    /// The outlier detection that they describe; `None` for off.
    pub(crate) fn outlier(&self) -> Result<Option<Outlier>, String> {
        let Self { consecutive, interval, ejection_time, max_percent, panic_percent, .. } = self;
        let durations = interval.or(*ejection_time).is_some();
        let numbers = consecutive.or(*max_percent).or(*panic_percent).is_some();
        let default = Outlier::default();
        match self.switch {
            Switch::Off if durations || numbers => Err(OFF_ALONE.into()),
            Switch::Off => Ok(None),
            Switch::On => Ok(Some(Outlier {
                consecutive: consecutive.unwrap_or(default.consecutive),
                interval: interval.unwrap_or(default.interval),
                ejection_time: ejection_time.unwrap_or(default.ejection_time),
                max_percent: max_percent.unwrap_or(default.max_percent),
                panic_percent: panic_percent.unwrap_or(default.panic_percent),
            })),
        }
    }
}

const OFF_ALONE: &str = "off has no settings; remove the options after it";

/// The load-balancing policy of a service. The key of ringhash is one of four.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[group(skip)]
pub struct BalancerArgs {
    /// Service
    pub service: String,
    /// The policy
    pub policy: BalancerName,
    /// ringhash: the key is this request header (`httpHeaderName`)
    #[arg(long, value_name = "NAME", group = "key", value_parser = header)]
    pub header: Option<String>,
    /// ringhash: the key is this cookie (`httpCookie`)
    #[arg(long, value_name = "NAME", group = "key", value_parser = token)]
    pub cookie: Option<String>,
    /// ringhash: the key is this query parameter (`httpQueryParameterName`)
    #[arg(long, value_name = "NAME", group = "key", value_parser = query)]
    pub query: Option<String>,
    /// ringhash: the key is the address of the client (`useSourceIp`)
    #[arg(long, group = "key")]
    pub source_ip: bool,
    /// Set the cookie for clients without it, valid for this time; 0s: for a session
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub ttl: Option<Duration>,
    /// The path of the cookie that is set
    #[arg(long, value_parser = cookie_path)]
    pub path: Option<String>,
    /// ringhash: the smallest number of places on the ring [default: 1024]
    #[arg(long, value_name = "SIZE", value_parser = within(1..=LARGEST_RING))]
    pub min_ring_size: Option<u64>,
}

/// Envoy answers nothing while it builds a ring, which takes seconds for its own limit of 8 million.
const LARGEST_RING: u64 = 256 * 1024;

/// The name of a load-balancing policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BalancerName {
    /// The less busy of two random endpoints: Istio's default
    LeastRequest,
    /// One endpoint after the other
    RoundRobin,
    /// A random endpoint
    Random,
    /// The endpoint that a hash of the key chooses (`consistentHash`)
    #[value(name = "ringhash", alias = "ring-hash")]
    RingHash,
}

impl BalancerArgs {
    /// The policy that they describe.
    pub(crate) fn balancer(&self) -> Result<Balancer, String> {
        // Not left to clap, which asks for no cookie beside another key.
        if self.ttl.is_some() && self.cookie.is_none() {
            return Err("--ttl is the lifetime of a cookie; add --cookie NAME".into());
        }
        if self.path.is_some() && self.ttl.is_none() {
            return Err("--path belongs to a cookie that is set; add --ttl DURATION".into());
        }
        let key = match (&self.header, &self.cookie, &self.query) {
            (Some(name), _, _) => Some(HashKey::Header(name.clone())),
            (_, Some(name), _) => {
                let (name, ttl, path) = (name.clone(), self.ttl, self.path.clone());
                Some(HashKey::Cookie { name, ttl, path })
            }
            (_, _, Some(name)) => Some(HashKey::Query(name.clone())),
            _ => self.source_ip.then_some(HashKey::SourceIp),
        };
        let plain = match self.policy {
            BalancerName::LeastRequest => Balancer::LeastRequest,
            BalancerName::RoundRobin => Balancer::RoundRobin,
            BalancerName::Random => Balancer::Random,
            BalancerName::RingHash => {
                let key = key.ok_or(
                    "ringhash needs a key: add --header NAME, --cookie NAME, --query NAME or \
                     --source-ip",
                )?;
                let min_ring_size = self.min_ring_size.unwrap_or(RingHash::MIN_RING_SIZE);
                return Ok(Balancer::RingHash(RingHash { key, min_ring_size }));
            }
        };
        match key.is_some() || self.min_ring_size.is_some() {
            true => Err("only ringhash has a key and a ring; write ringhash as the policy".into()),
            false => Ok(plain),
        }
    }
}

/// The limits of `connectionPool` in a DestinationRule.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct BreakerArgs {
    /// Service
    pub service: String,
    /// on or off
    pub switch: Switch,
    /// Connections (`tcp.maxConnections`); each endpoint may have one in any case
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection (`http.http1MaxPendingRequests`)
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    pub max_pending_requests: Option<u32>,
    /// Requests under way, with HTTP/1.1 too (`http.http2MaxRequests`)
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    pub max_requests: Option<u32>,
    /// Retries under way (`http.maxRetries`)
    #[arg(long, value_name = "NUMBER", value_parser = limit)]
    pub max_retries: Option<u32>,
}

/// Istio reads a limit as a signed number, and 0 as no limit.
fn limit(text: &str) -> Result<u32, String> {
    within(1..=i32::MAX.unsigned_abs())(text)
}

impl BreakerArgs {
    /// The limits that they describe; none for off.
    pub(crate) fn limits(&self) -> Result<Limits, String> {
        let limits = Limits {
            connections: self.max_connections,
            pending_requests: self.max_pending_requests,
            requests: self.max_requests,
            retries: self.max_retries,
        };
        match (self.switch, limits == Limits::default()) {
            (Switch::On, true) => Err("on needs a limit, for example --max-connections 1".into()),
            (Switch::Off, false) => Err(OFF_ALONE.into()),
            _ => Ok(limits),
        }
    }
}

/// A mirror of a VirtualService.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct MirrorArgs {
    /// Service whose requests are copied
    pub service: String,
    /// Where the copies go: a service (echo1), its pods in one cluster (gke1/echo2), or off
    #[arg(value_parser = mirror_to)]
    pub to: MirrorTo,
    /// How many requests are copied, in percent [default: 100]
    #[arg(long, value_parser = within(1_u32..=100))]
    pub percent: Option<u32>,
}

/// Where copies of requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorTo {
    Off,
    Destination(Destination),
}

impl MirrorArgs {
    /// The mirror that they describe; `None` for off.
    pub(crate) fn mirror(&self) -> Result<Option<Mirror>, String> {
        match &self.to {
            MirrorTo::Off if self.percent.is_some() => Err(OFF_ALONE.into()),
            MirrorTo::Off => Ok(None),
            MirrorTo::Destination(to) => {
                Ok(Some(Mirror { to: to.clone(), percent: self.percent.unwrap_or(100) }))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// Weights by cluster; empty for `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights(pub Vec<(String, u32)>);

/// Reads `kops=90,gke1=10`, or `off`.
pub(super) fn weights(text: &str) -> Result<Weights, String> {
    const FORM: &str = "write CLUSTER=WEIGHT[,CLUSTER=WEIGHT…] or off";
    if text == "off" {
        return Ok(Weights::default());
    }
    let mut found: Vec<(String, u32)> = Vec::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').ok_or_else(|| FORM.to_owned())?;
        let weight = weight.parse().map_err(|_| format!("'{weight}' is not a weight; {FORM}"))?;
        if name.is_empty() {
            return Err(FORM.to_owned());
        }
        if found.iter().any(|(other, _)| other == name) {
            return Err(format!("'{name}' is given twice"));
        }
        found.push((name.to_owned(), weight));
    }
    match found.iter().map(|(_, weight)| u64::from(*weight)).sum::<u64>() {
        100 => Ok(Weights(found)),
        sum => Err(format!("the weights add up to {sum}; they must add up to 100")),
    }
}

/// Reads `us-west1/us-west1-b`.
pub(super) fn locality(text: &str) -> Result<Locality, String> {
    match text.split_once('/') {
        Some((region, zone)) if !region.is_empty() && !zone.is_empty() && !zone.contains('/') => {
            Ok(Locality { region: region.into(), zone: zone.into() })
        }
        _ => Err("write REGION/ZONE".into()),
    }
}

/// Reads a duration of at most an hour.
pub(crate) fn duration(text: &str) -> Result<Duration, DurationError> {
    parse_within(text, Duration::ZERO..=Duration::from_hours(1))
}

/// Reads a duration of outlier detection: Istio and Envoy refuse 0.
fn period(text: &str) -> Result<Duration, DurationError> {
    parse_within(text, Duration::from_millis(1)..=Duration::from_hours(1))
}

/// The longest name in Kubernetes, in characters.
const LONGEST_NAME: usize = 253;

/// Reads the name of a service account: a DNS name, as in Kubernetes.
pub(super) fn account(text: &str) -> Result<String, String> {
    let belongs = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(belongs)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    match text.len() <= LONGEST_NAME && text.split('.').all(part) {
        true => Ok(text.to_owned()),
        false => Err("not the name of a service account; use small letters, digits, '-' and '.', \
                      such as other"
            .into()),
    }
}

/// Reads the lifetime of a cookie.
fn lifetime(text: &str) -> Result<Duration, DurationError> {
    parse_within(text, Duration::ZERO..=Duration::from_secs(365 * 24 * 60 * 60))
}

/// Reads `off`, `echo1` or `gke1/echo2`.
fn mirror_to(text: &str) -> Result<MirrorTo, String> {
    if text == "off" {
        return Ok(MirrorTo::Off);
    }
    let (subset, service) = match text.split_once('/') {
        Some((cluster, service)) => (Some(cluster), service),
        None => (None, text),
    };
    if subset == Some("") || service.is_empty() || service.contains('/') {
        return Err("write SERVICE, CLUSTER/SERVICE or off".into());
    }
    let subset = subset.map(str::to_owned);
    Ok(MirrorTo::Destination(Destination { service: service.to_owned(), subset }))
}

/// Reads the name of a header, or of a pseudo-header such as `:path`.
fn header(text: &str) -> Result<String, String> {
    token(text.strip_prefix(':').unwrap_or(text))?;
    Ok(text.to_ascii_lowercase())
}

/// Reads the name of a header or cookie (RFC 9110, section 5.6.2).
fn token(text: &str) -> Result<String, String> {
    let belongs = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match !text.is_empty() && text.chars().all(belongs) {
        true => Ok(text.to_owned()),
        false => Err("a name has ASCII letters, digits and !#$%&'*+-.^_`|~ only".into()),
    }
}

/// Reads the name of a query parameter.
fn query(text: &str) -> Result<String, String> {
    let ends = |c: char| "&=#".contains(c) || !c.is_ascii_graphic();
    match !text.is_empty() && !text.contains(ends) {
        true => Ok(text.to_owned()),
        false => Err("a name has visible ASCII characters, but not &, = or #".into()),
    }
}

/// Reads the path of a cookie.
fn cookie_path(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_graphic() && c != ';';
    match text.starts_with('/') && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("a path starts with / and has visible ASCII characters, but not ;".into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is accepted can be written into a header, a URL or a line of words.
        #[test]
        fn names_are_one_word(text in "\\PC{0,12}|[ -~]{0,12}") {
            for read in [header(&text), token(&text), query(&text), cookie_path(&text)] {
                match read {
                    Ok(read) => prop_assert!(
                        read.eq_ignore_ascii_case(&text)
                            && !read.is_empty()
                            && read.chars().all(|c| c.is_ascii_graphic()),
                        "{read:?}"
                    ),
                    Err(why) => prop_assert_eq!(why.lines().count(), 1),
                }
            }
        }

        /// Whatever is accepted can stand in a SPIFFE id.
        #[test]
        fn an_account_is_a_part_of_a_spiffe_id(text in "[a-b.-]{0,6}|\\PC{0,12}|[a-z]{250,256}") {
            match account(&text) {
                Ok(read) => {
                    prop_assert!(read == text && !read.is_empty() && read.len() <= LONGEST_NAME);
                    prop_assert!(!read.contains(['/', ' ', ':']) && read.is_ascii());
                }
                Err(why) => prop_assert_eq!(why.lines().count(), 1),
            }
        }

        #[test]
        fn a_mirror_is_read_back(text in "[a-c/]{0,6}|\\PC{0,12}") {
            if let Ok(MirrorTo::Destination(Destination { service, subset })) = mirror_to(&text) {
                let subset = subset.map(|subset| subset + "/").unwrap_or_default();
                prop_assert_eq!(subset + &service, text);
            }
        }
    }
}
