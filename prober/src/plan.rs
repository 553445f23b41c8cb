//! Flags → a validated plan. All contradictions are refused here, before
//! anything touches the world. Pure.

pub(crate) mod envoys;
mod error;
mod events;
pub(crate) mod identify;
pub(crate) mod judging;
mod load;
pub(crate) mod overrides;
mod protocol;
mod request;
mod reuse;
pub(crate) mod schedule;
mod select;
pub(crate) mod target;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::cli::{NetworkArgs, RequestArgs, RunArgs, SelectForm, TlsArgs};
use crate::expectation::Expectation;
use crate::plan::identify::Patterns;
use crate::plan::overrides::Overrides;
use crate::plan::schedule::{Arrivals, End, Schedule};
use crate::resolve::{Family, NamesConfig, NamesError};
use crate::tally::failover::Terms;
use crate::verdict::{Rules, Sampling};
pub(crate) use envoys::{Access, Envoy};
pub(crate) use error::PlanError;
pub(crate) use events::Event;
pub(crate) use protocol::Protocol;
pub(crate) use reuse::Reuse;
pub(crate) use select::Select;
use target::Target;

/// Requests to each target, unless told otherwise.
pub(crate) const DEFAULT_REQUESTS: u64 = 100;
/// Requests under way at once, unless told otherwise: wrk's default.
pub(crate) const DEFAULT_CONCURRENCY: u64 = 10;
/// Answers printed verbatim, unless told otherwise: what `make echo-status` asks for.
pub(crate) const DEFAULT_SHOW: u64 = 4;
/// More connections than this from one process meet the limits of ports and descriptors.
const MAX_CONCURRENCY: u64 = 10_000;
const MAX_THREADS: u64 = 512;
/// What most servers allow on a connection is 100 to 250.
const MAX_STREAMS: u64 = 1_000;
/// The longest body of a request, in bytes. A server that answers without reading it stops
/// nobody: so much fits into the buffers between.
pub(crate) const MAX_DATA: usize = 65_536;
/// Numbers above are those of warm-up requests.
const MAX_REQUESTS: u64 = crate::plan::schedule::WARMUP_SEQUENCE - 1;

/// Everything that the engine needs to know of one row: a target and how it is asked.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    /// What is asked.
    pub target: Target,
    /// When requests start.
    pub schedule: Schedule,
    /// How many requests a connection carries.
    pub reuse: Reuse,
    /// How old a connection may get.
    pub connection_lifetime: Option<Duration>,
    /// How many requests at once; of HTTP/2, how many connections.
    pub concurrency: u64,
    /// How many requests at once on each connection.
    pub streams: u64,
    /// What carries the requests.
    pub protocol: Protocol,
    /// Threads that send; `None` is one per core.
    pub threads: Option<u64>,
    /// What each request looks like.
    pub request: RequestPlan,
    /// What each request may take.
    pub limits: Limits,
    /// Where connections go instead.
    pub overrides: Overrides,
    /// How names are looked up.
    pub names: NamesConfig,
    /// Which of a name's addresses a connection goes to.
    pub select: Select,
    /// How TLS is verified.
    pub tls: TlsPlan,
    /// How answers name who gave them; `None` if as an echo does.
    pub identify: Option<Patterns>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
    /// How that is judged.
    pub rules: Rules,
    /// How many answers are printed verbatim.
    pub show: u64,
    /// The width of the timeline's bins, in whole ms; `None` is no timeline.
    pub timeline: Option<Duration>,
    /// What happens while the run goes on.
    pub events: Vec<Event>,
    /// Whether signals mark instants, as events of their own.
    pub marks: bool,
    /// How long each event may take.
    pub event_limit: Duration,
    /// How surviving a fault is measured.
    pub terms: Terms,
    /// The Envoys to read before and after the run; none if nothing is to be explained.
    pub envoys: Vec<Envoy>,
}

impl ProbePlan {
    /// How many requests there will be; `None` if time or a decision ends the run.
    #[must_use]
    pub fn planned(&self) -> Option<u64> {
        match self.schedule.end {
            _ if self.rules.sampling == Sampling::UntilDecided => None,
            End::Requests(requests) => Some(requests),
            End::After(_) => None,
        }
    }

    /// How many requests can be under way at once.
    #[must_use]
    pub fn lanes(&self) -> u64 {
        self.concurrency.saturating_mul(self.streams).max(1)
    }

    /// The longest time that the run can take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let each = self.limits.total;
        let sending = match (self.schedule.end, self.schedule.arrivals) {
            (End::After(duration), _) => duration,
            (End::Requests(requests), Arrivals::Closed) => {
                let turns = requests.div_ceil(self.lanes());
                each.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
            }
            (End::Requests(n), Arrivals::Constant(rate) | Arrivals::Poisson(rate, _)) => {
                let turns = u32::try_from(n.div_ceil(self.lanes())).unwrap_or(u32::MAX);
                let paced = Duration::try_from_secs_f64(2.0 * n as f64 / rate);
                paced.unwrap_or(Duration::MAX).max(each.saturating_mul(turns))
            }
        };
        self.schedule.warmup.saturating_add(sending).saturating_add(each)
    }

    /// What will be done, one line for `--verbose`.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { target, concurrency, reuse, .. } = self;
        let amount = match self.schedule.end {
            End::Requests(requests) if self.rules.sampling == Sampling::UntilDecided => {
                format!("requests until decided, at most {requests}")
            }
            End::Requests(requests) => format!("{requests} requests"),
            End::After(duration) => format!("requests for {duration:?}"),
        };
        let pace = match self.schedule.arrivals {
            Arrivals::Closed => String::new(),
            Arrivals::Constant(rate) => format!(" at {rate}/s"),
            Arrivals::Poisson(rate, seed) => format!(" at {rate}/s (Poisson, seed {seed})"),
        };
        let (host, port) = self.overrides.connect_to(&target.host, target.port);
        let place = match self.overrides.addresses(&host, port) {
            Some(addresses) => format!("{addresses:?} port {port} by --resolve"),
            None => format!("{host} port {port}"),
        };
        let place = match &self.select {
            Select::First | Select::Each => place,
            Select::RoundRobin => format!("{place}, addresses in turn"),
            Select::Random(seed) => format!("{place}, addresses at random (seed {seed})"),
            Select::Only(address) => format!("{address} of {place}"),
            Select::Nowhere(why) => format!("nowhere: {why}"),
        };
        let at_once = match self.streams {
            1 => format!("{concurrency} at once"),
            streams => format!("{concurrency} connections of {streams} streams"),
        };
        format!(
            "{} {}: {amount}{pace} over {}, {at_once}, {reuse}, to {place}",
            self.request.method,
            target.url,
            self.protocol.name(),
        )
    }
}

/// What each request looks like.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    /// The method.
    pub method: Method,
    /// Headers, the person's own over the program's, `Host` among them unless it was removed.
    pub headers: HeaderMap,
    /// The body, if there is one; the headers have its length.
    pub body: Option<Bytes>,
}

/// What each request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Look-up, TCP and TLS together.
    pub connect: Duration,
    /// All of a request.
    pub total: Duration,
    /// The longest body that is read, in bytes.
    pub body: usize,
}

/// Files and wishes about TLS; the files are read when the run starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsPlan {
    /// Roots to trust instead of the system's.
    pub cacert: Option<PathBuf>,
    /// Own certificate chain and key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether any certificate of the server will do.
    pub insecure: bool,
}

/// Flags → a plan for each target, in the order given.
pub(crate) fn run(args: &RunArgs) -> Result<Vec<ProbePlan>, PlanError> {
    if args.targets.is_empty() {
        return Err(PlanError::NoTarget);
    }
    let load = &args.load;
    let expectations = judging::expectations(&args.judge.expectations, args.events.any())?;
    let (mut rules, most) = judging::rules(&args.judge, load, &expectations)?;
    let mut schedule = load::schedule(load)?;
    if rules.sampling == Sampling::UntilDecided {
        schedule.end = End::Requests(most);
    }
    let select = select(&args.network, load.seed)?;
    rules.addresses_drawn = matches!(select, Select::RoundRobin | Select::Random(_));
    let first = target(&args.targets[0], args)?;
    let protocol = Protocol::of(&args.request, first.tls)?;
    let reuse = load::reuse(load.reuse.as_deref())?;
    let common = ProbePlan {
        target: first.clone(),
        schedule,
        reuse,
        connection_lifetime: load
            .connection_lifetime
            .as_deref()
            .map(|given| seconds("--connection-lifetime", given))
            .transpose()?,
        concurrency: load::concurrency(load, schedule.end)?,
        streams: load::streams(load, protocol, reuse)?,
        protocol,
        threads: args.load.threads.map(|n| within("--threads", n, MAX_THREADS)).transpose()?,
        request: request::request(&args.request, &first)?,
        limits: limits(&args.request)?,
        overrides: Overrides::parse(&args.network.resolve, &args.network.connect_to)?,
        names: names(&args.network, &args.request)?,
        select,
        tls: tls(&args.tls),
        identify: Patterns::parse(&args.identify)?,
        expectations,
        rules,
        show: args.show.unwrap_or(DEFAULT_SHOW),
        timeline: load.timeline.as_deref().map(load::timeline).transpose()?,
        events: events::read(&args.events, schedule)?,
        marks: args.events.marks,
        event_limit: seconds("--event-timeout", &args.events.event_timeout)?,
        terms: events::terms(&args.events)?,
        envoys: Vec::new(),
    };
    if args.events.any() && load.duration.is_none() && load.requests.is_none() {
        return Err(PlanError::EventsWithoutEnd);
    }
    if args.events.any()
        && (args.targets.len() > 1 || args.network.select == Some(SelectForm::Each))
    {
        return Err(PlanError::EventsOfMany);
    }
    let envoys = envoys::read(&args.envoys, args.targets.len())?;
    let plan = |(given, envoys): (&String, Vec<Envoy>)| {
        let target = target(given, args)?;
        let request = request::request(&args.request, &target)?;
        let protocol = Protocol::of(&args.request, target.tls)?;
        if protocol.is_http2() {
            request::check_authority(&request)?;
        }
        Ok(ProbePlan { target, request, protocol, envoys, ..common.clone() })
    };
    args.targets.iter().zip(envoys).map(plan).collect()
}

/// The target; a gRPC service has a path of its own.
fn target(given: &str, args: &RunArgs) -> Result<Target, PlanError> {
    let target = Target::parse(given)?;
    match args.request.grpc {
        None => Ok(target),
        Some(service) if target.path == "/" => Ok(target.at(service.path())),
        Some(service) => {
            let (service, path) = (service.path(), target.path.to_string());
            Err(PlanError::GrpcPath { service, path })
        }
    }
}

fn limits(args: &RequestArgs) -> Result<Limits, PlanError> {
    let total = seconds("--max-time", &args.max_time)?;
    let connect = seconds("--connect-timeout", &args.connect_timeout)?;
    let most = u64::from(u32::MAX);
    let body = positive("--max-body", Some(args.max_body), 0, most)?;
    let body = usize::try_from(body).unwrap_or(usize::MAX);
    Ok(Limits { connect: connect.min(total), total, body })
}

fn names(network: &NetworkArgs, request: &RequestArgs) -> Result<NamesConfig, PlanError> {
    let family = match (network.ipv4, network.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    let servers = NamesConfig::parse_servers(&network.dns_servers)?;
    let timeout = limits(request)?.connect;
    let anew = network.re_resolve;
    Ok(NamesConfig { servers, family, timeout, anew, ..NamesConfig::default() })
}

fn select(network: &NetworkArgs, seed: u64) -> Result<Select, PlanError> {
    Ok(match network.select.unwrap_or(SelectForm::First) {
        SelectForm::First => Select::First,
        SelectForm::RoundRobin => Select::RoundRobin,
        SelectForm::Random => Select::Random(seed),
        SelectForm::Each if network.re_resolve => return Err(PlanError::EachAnew),
        SelectForm::Each => Select::Each,
    })
}

fn tls(args: &TlsArgs) -> TlsPlan {
    let identity = args.cert.clone().zip(args.key.clone());
    TlsPlan { cacert: args.cacert.clone(), identity, insecure: args.insecure }
}

fn positive(
    flag: &'static str,
    given: Option<u64>,
    default: u64,
    most: u64,
) -> Result<u64, PlanError> {
    given.map_or(Ok(default), |value| within(flag, value, most))
}

fn within(flag: &'static str, value: u64, most: u64) -> Result<u64, PlanError> {
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    let right = match most {
        MAX_REQUESTS if value == 0 => "write a number of at least 1".to_owned(),
        most => format!("write a number from 1 to {most}"),
    };
    Err(PlanError::Number { flag, value: value.to_string(), right })
}

/// Seconds as curl takes them (`0.5`), or with a unit (`500ms`, `2s`, `1m`).
pub(crate) fn seconds(flag: &'static str, given: &str) -> Result<Duration, PlanError> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("", 1.0)];
    let number = units.into_iter().find_map(|(unit, factor)| {
        let digits = given.strip_suffix(unit)?;
        Some(digits.parse::<f64>().ok()? * factor)
    });
    let valid = number.filter(|s| (0.001..=86_400.0).contains(s));
    valid.map(Duration::from_secs_f64).ok_or_else(|| PlanError::Number {
        flag,
        value: format!("'{given}'"),
        right: "write seconds from 0.001 to 86400, such as 2.5 or 500ms".to_owned(),
    })
}

#[cfg(test)]
mod tests;
