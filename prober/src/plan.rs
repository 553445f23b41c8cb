//! Flags → a validated plan. Every contradiction is refused here, before anything is sent.
//! Pure, but for `--event-file`, which is read here.

pub(crate) mod envoys;
mod error;
mod events;
mod headers;
pub(crate) mod identify;
pub(crate) mod judging;
mod load;
pub(crate) mod number;
pub(crate) mod overrides;
mod protocol;
pub(crate) mod proxy;
pub(crate) mod request;
mod reuse;
pub(crate) mod schedule;
mod select;
mod source;
mod start_at;
pub(crate) mod target;
mod tls;
mod zone;

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use crate::cli::{NetworkArgs, ProxyHeader, RequestArgs, RunArgs, SelectForm};
use crate::expectation::Expectation;
use crate::resolve::{Family, NamesConfig};
use crate::tally::failover::Terms;
use crate::verdict::{Rules, Sampling};
pub(crate) use envoys::{Access, Envoy};
pub(crate) use error::PlanError;
pub(crate) use events::Event;
pub(crate) use headers::{Header, RequestHeaders};
use identify::Patterns;
pub(crate) use number::duration;
use number::{limit, optional_duration, within};
use overrides::Overrides;
pub(crate) use protocol::Protocol;
pub(crate) use reuse::Reuse;
use schedule::{Arrivals, End, Schedule};
pub(crate) use select::Select;
pub(crate) use source::Source;
pub(crate) use start_at::StartAt;
use target::Target;
pub(crate) use tls::{ClientIdentity, TlsPlan, TlsSession, TlsVersion};

/// The default of `-n`.
pub(crate) const DEFAULT_REQUESTS: u64 = 100;
/// The default of `-c`: wrk's.
const DEFAULT_CONCURRENCY: u64 = 10;
/// The most requests of a run until decided within `--min-time`: most expectations need fewer.
const MIN_TIME_REQUESTS: u64 = 4_000;
/// With more connections, one process runs out of ports and file descriptors.
const MAX_CONCURRENCY: u64 = 10_000;
const MAX_THREADS: u64 = 512;
/// What `--connect-timeout 0` means: curl's own limit.
const LONGEST_CONNECT: Duration = Duration::from_mins(5);
/// Most servers allow 100 to 250 on a connection.
const MAX_STREAMS: u64 = 1_000;
/// The longest body of a request, in bytes. curl sends a longer one only after the server agreed to
/// it (`Expect: 100-continue`).
pub(crate) const MAX_DATA: usize = 1 << 20;

/// All that the engine needs to know about one row: a target and how to probe it.
#[derive(Clone, Debug)]
pub struct ProbePlan {
    pub target: Target,
    pub schedule: Schedule,
    pub reuse: Reuse,
    /// The age at which a connection is replaced by a new one.
    pub connection_lifetime: Option<Duration>,
    /// Over HTTP/1.1, requests in flight; over HTTP/2, connections.
    pub concurrency: u64,
    /// Requests in flight on each connection.
    pub streams: u64,
    pub protocol: Protocol,
    /// Threads that send; `None` is one per core.
    pub threads: Option<u64>,
    pub request: RequestPlan,
    pub limits: Limits,
    /// How long to wait for the first answer before the run; `None` is not at all.
    pub wait: Option<Duration>,
    pub overrides: Overrides,
    pub names: NamesConfig,
    pub select: Select,
    /// Which end of this machine connections start from; `None` is any.
    pub source: Option<Source>,
    /// The PROXY header that is sent first on each connection.
    pub proxy_header: Option<ProxyHeader>,
    pub tls: TlsPlan,
    /// How to identify the backend of an answer; `None` is by what an echo states.
    pub identify: Option<Patterns>,
    pub expectations: Vec<Expectation>,
    pub rules: Rules,
    /// How many answers are printed verbatim.
    pub show: u64,
    /// The width of the timeline's bins, in whole ms; `None` means without a timeline.
    pub timeline: Option<Duration>,
    pub events: Vec<Event>,
    /// Whether each SIGUSR1 is an event, too.
    pub marks: bool,
    /// How long the command of an event may take.
    pub event_limit: Duration,
    pub terms: Terms,
    /// The Envoys to read before and after the run; empty without `--explain`.
    pub envoys: Vec<Envoy>,
}

impl ProbePlan {
    /// The number of requests; `None` if time or a decision ends the run.
    #[must_use]
    pub fn planned(&self) -> Option<u64> {
        match self.schedule.end {
            _ if self.rules.sampling == Sampling::UntilDecided => None,
            End::Requests(requests) => Some(requests),
            End::After(_) => None,
        }
    }

    /// The `Host` header, if `-H` sets another one than the URL's.
    #[must_use]
    pub(crate) fn own_host(&self) -> Option<String> {
        let sent = self.request.headers.get(&http::header::HOST)?;
        let sent = String::from_utf8_lossy(sent.as_bytes());
        (sent != self.target.authority).then(|| sent.into_owned())
    }

    /// The network interface that an IPv6 address of this plan is reached through, if it names one.
    #[must_use]
    pub(crate) fn zone(&self) -> Option<&str> {
        let by_rule = self.overrides.zone(&self.target.host, self.target.port);
        by_rule.or(self.target.zone.as_deref())
    }

    /// The most requests that can be in flight.
    #[must_use]
    pub fn lanes(&self) -> u64 {
        self.concurrency.saturating_mul(self.streams).max(1)
    }

    /// The longest time that the run can take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        // Without a limit, only the user ends a request that hangs.
        let each = self.limits.total.unwrap_or(Duration::MAX);
        let sending = match (self.schedule.end, self.schedule.arrivals) {
            (End::After(duration), _) => duration,
            (End::Requests(requests), Arrivals::Closed) => {
                let turns = requests.div_ceil(self.lanes());
                let pace = self.schedule.pace.over;
                each.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX)).saturating_add(pace)
            }
            (End::Requests(n), Arrivals::Constant(rate) | Arrivals::Poisson(rate, _)) => {
                let turns = u32::try_from(n.div_ceil(self.lanes())).unwrap_or(u32::MAX);
                let paced = Duration::try_from_secs_f64(2.0 * n as f64 / rate);
                paced.unwrap_or(Duration::MAX).max(each.saturating_mul(turns))
            }
        };
        let before = self.wait.unwrap_or_default().saturating_add(self.schedule.warmup);
        before.saturating_add(sending).saturating_add(each)
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
            End::After(duration) => {
                format!("requests for {}", usage::duration::format(duration))
            }
        };
        let pace = match self.schedule.arrivals {
            Arrivals::Closed => String::new(),
            Arrivals::Constant(rate) => format!(" at {rate}/s"),
            Arrivals::Poisson(rate, seed) => format!(" at {rate}/s (Poisson, seed {seed})"),
        };
        let (host, port) = self.overrides.connect_to(&target.host, target.port);
        let place = match self.overrides.addresses(&host, port) {
            Some(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                format!("{} port {port} by --resolve", addresses.join(","))
            }
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
            streams => format!("{concurrency} connections with {streams} streams each"),
        };
        format!(
            "{} {}: {amount}{pace} over {}, {at_once}, {reuse}, to {place}",
            self.request.method,
            target.url,
            self.protocol.name(),
        )
    }
}

/// The request that is sent again and again.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    pub method: Method,
    /// Those of `-H` in place of the program's own.
    pub headers: RequestHeaders,
    /// The body, if there is one; the headers have its length.
    pub body: Option<Bytes>,
}

/// What each request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// The whole request, [`connect`](Self::connect) included; `None` without a limit.
    pub total: Option<Duration>,
    /// The longest body that is read, in bytes.
    pub body: usize,
}

/// Flags → a plan for each target, in the order given.
pub(crate) fn run(args: &RunArgs) -> Result<Vec<ProbePlan>, PlanError> {
    let Some(first) = args.targets.urls.first() else {
        return Err(PlanError::NoTarget);
    };
    let common = common(args, target(first, args)?)?;
    check_events(args)?;
    let envoys = envoys::read(&args.envoys, args.targets.urls.len())?;
    let plan = |(given, envoys): (&String, Vec<Envoy>)| {
        let target = target(given, args)?;
        let request = request::request(args, &target)?;
        let protocol = Protocol::of(&args.request, target.tls)?;
        if protocol.is_http2() {
            target.check_http2()?;
            request::check_authority(&request)?;
        }
        Ok(ProbePlan { target, request, protocol, envoys, ..common.clone() })
    };
    args.targets.urls.iter().zip(envoys).map(plan).collect()
}

/// The plan of the first target, without Envoys; most of it is the same for all targets.
fn common(args: &RunArgs, target: Target) -> Result<ProbePlan, PlanError> {
    let (load, events) = (&args.load, &args.events);
    let expectations = judging::expectations(&args.judge.expectations, events.any())?;
    let (mut rules, most) = judging::rules(&args.judge, load, &expectations)?;
    let mut schedule = load::schedule(load)?;
    if rules.sampling == Sampling::UntilDecided {
        schedule.end = End::Requests(most);
    }
    let until_decided = (rules.sampling == Sampling::UntilDecided).then_some(most);
    schedule.pace = load::pace(load, args.judge.min_time.as_deref(), until_decided)?;
    if until_decided.is_some() {
        rules.min_time = schedule.pace.over;
    }
    let select = select(&args.network, load.seed)?;
    rules.addresses_drawn = matches!(select, Select::RoundRobin | Select::Random(_));
    let protocol = Protocol::of(&args.request, target.tls)?;
    let reuse = load::reuse(load.reuse.as_deref())?;
    let lifetime = load.connection_lifetime.as_deref();
    let threads = load.threads.map(|n| within("--threads", n, 1..=MAX_THREADS));
    let limits = limits(&args.request)?;
    Ok(ProbePlan {
        schedule,
        reuse,
        connection_lifetime: optional_duration("--connection-lifetime", lifetime)?,
        concurrency: load::concurrency(load, schedule.end)?,
        streams: load::streams(load, protocol, reuse)?,
        protocol,
        threads: threads.transpose()?,
        request: request::request(args, &target)?,
        target,
        limits,
        wait: optional_duration("--wait", load.wait.as_deref())?,
        overrides: Overrides::parse(&args.network.resolve, &args.network.connect_to)?,
        names: names(&args.network, limits.connect)?,
        select,
        source: args.connection.interface.as_deref().map(Source::parse).transpose()?,
        proxy_header: args.connection.haproxy_protocol,
        tls: TlsPlan::of(&args.tls),
        identify: Patterns::parse(&args.identify)?,
        expectations,
        rules,
        show: args.show.unwrap_or(0),
        timeline: load.timeline.as_deref().map(load::timeline).transpose()?,
        events: events::read(events, schedule)?,
        marks: events.marks,
        event_limit: duration("--event-timeout", &events.event_timeout)?,
        terms: events::terms(events)?,
        envoys: Vec::new(),
    })
}

/// Events belong to one run, and to one whose length is known beforehand.
fn check_events(args: &RunArgs) -> Result<(), PlanError> {
    let many = args.targets.urls.len() > 1 || args.network.select == Some(SelectForm::Each);
    if !args.events.any() {
        Ok(())
    } else if args.load.duration.is_none() && args.load.requests.is_none() {
        Err(PlanError::EventsWithoutEnd)
    } else if many {
        Err(PlanError::EventsWithManyTargets)
    } else {
        Ok(())
    }
}

/// The target; with `--grpc`, the path is that of the service.
fn target(given: &str, args: &RunArgs) -> Result<Target, PlanError> {
    let target = Target::parse(given, args.request.path_as_is)?;
    match args.request.grpc {
        None => Ok(target),
        Some(service) if target.path == "/" => Ok(target.at(service.path())),
        Some(service) => {
            let (service, path) = (service.path(), target.path);
            Err(PlanError::GrpcPath { service, path })
        }
    }
}

fn limits(args: &RequestArgs) -> Result<Limits, PlanError> {
    let total = limit("--max-time", &args.max_time)?;
    let connect = limit("--connect-timeout", &args.connect_timeout)?.unwrap_or(LONGEST_CONNECT);
    let body = within("--max-body", args.max_body, 1..=u64::from(u32::MAX))?;
    let body = usize::try_from(body).unwrap_or(usize::MAX);
    Ok(Limits { connect: total.map_or(connect, |total| connect.min(total)), total, body })
}

fn names(args: &NetworkArgs, timeout: Duration) -> Result<NamesConfig, PlanError> {
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    let servers = NamesConfig::parse_servers(&args.dns_servers)?;
    let anew = args.re_resolve;
    Ok(NamesConfig { servers, family, timeout, anew, ..NamesConfig::default() })
}

fn select(args: &NetworkArgs, seed: u64) -> Result<Select, PlanError> {
    Ok(match args.select.unwrap_or(SelectForm::First) {
        SelectForm::First => Select::First,
        SelectForm::RoundRobin => Select::RoundRobin,
        SelectForm::Random => Select::Random(seed),
        SelectForm::Each if args.re_resolve => return Err(PlanError::EachWithReResolve),
        SelectForm::Each => Select::Each,
    })
}

#[cfg(test)]
mod tests;
