//! Flags → a validated plan. All contradictions are refused here, before
//! anything touches the world. Pure.

pub(crate) mod envoys;
mod events;
pub(crate) mod judging;
mod protocol;
mod reuse;
mod select;
pub mod target;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use thiserror::Error;

use crate::cli::{ArrivalForm, LoadArgs, NetworkArgs, RequestArgs, RunArgs, SelectForm, TlsArgs};
use crate::events::Event;
use crate::expectation::{Expectation, SyntaxError};
use crate::explain::Envoy;
use crate::failover::Terms;
use crate::identity::pattern::{PatternError, Patterns};
use crate::overrides::{OverrideError, Overrides};
use crate::resolve::{Family, NamesConfig, NamesError};
use crate::schedule::{Arrivals, End, Schedule};
use crate::verdict::{Rules, Sampling};
pub use protocol::Protocol;
pub use reuse::Reuse;
pub use select::Select;
use target::{Target, TargetError};

/// Requests to each target, unless told otherwise.
pub const DEFAULT_REQUESTS: u64 = 100;
/// Requests under way at once, unless told otherwise: wrk's default.
pub const DEFAULT_CONCURRENCY: u64 = 10;
/// Answers printed verbatim, unless told otherwise: what `make echo-status` asks for.
pub const DEFAULT_SHOW: u64 = 4;
/// More connections than this from one process meet the limits of ports and descriptors.
const MAX_CONCURRENCY: u64 = 10_000;
const MAX_THREADS: u64 = 512;
/// What most servers allow on a connection is 100 to 250.
const MAX_STREAMS: u64 = 1_000;
/// The longest body of a request, in bytes. A server that answers without reading it stops
/// nobody: so much fits into the buffers between.
pub const MAX_DATA: usize = 65_536;
/// Numbers above are those of warm-up requests.
const MAX_REQUESTS: u64 = crate::schedule::WARMUP_SEQUENCE - 1;

/// Why flags make no plan. `Display` is one line.
#[derive(Debug, Error)]
pub enum PlanError {
    /// Nothing to ask.
    #[error("no target; say what to ask, such as: prober --target istio1.xiaowenx.com/echo2")]
    NoTarget,
    /// A target is no URL.
    #[error("--target: {0}")]
    Target(#[from] TargetError),
    /// An expectation does not parse.
    #[error("--expect: {0}")]
    Expectation(#[from] SyntaxError),
    /// An override does not parse.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// How an answer names its pod is no pattern.
    #[error(transparent)]
    Identify(#[from] PatternError),
    /// A DNS server is none.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// A number is out of its range.
    #[error("{flag} {value}: {right}")]
    Number {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        right: String,
    },
    /// A count and a time both end the run.
    #[error("-n and -d both say when to end; give one of them")]
    TwoEnds,
    /// Sampling until decided has another end than the one given.
    #[error("--max-requests ends sampling that goes on until it is decided; leave -n and -d away")]
    TwoLimits,
    /// Times of a fault where none happens.
    #[error("--expect: '{0}' is about a fault; let one happen, such as --at 5s 'COMMAND'")]
    Timeline(String),
    /// Arrivals of what?
    #[error("--arrivals says how the requests of --rate are spread; give --rate too")]
    ArrivalsWithoutRate,
    /// Once before the run, or for every connection?
    #[error(
        "--select each looks the name up once, before the run, --re-resolve for every connection; \
         give one of them"
    )]
    EachAnew,
    /// A header does not parse.
    #[error("-H '{given}': {wrong}; write it as 'NAME: VALUE'")]
    Header {
        /// As given.
        given: String,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// A body is longer than one that every server's kernel takes unread.
    #[error("--data is longer than {MAX_DATA} bytes; send less")]
    LongData,
    /// A file where only a plain run reads any.
    #[error("--data '{0}': files are read by a plain run only; write the body itself")]
    DataFile(String),
    /// HTTP/2 without TLS cannot be negotiated.
    #[error("--http2 is negotiated by TLS; for a plain target write --http2-prior-knowledge")]
    PlainHttp2,
    /// Streams of what?
    #[error("--streams is of HTTP/2; add --http2, --http2-prior-knowledge or --grpc")]
    StreamsWithoutHttp2,
    /// Several streams are several requests on one connection.
    #[error(
        "--streams {0} puts {0} requests on a connection at once; allow it with --reuse always"
    )]
    StreamsWithoutReuse(u64),
    /// A gRPC service has paths of its own.
    #[error("--grpc calls {service}; leave the path '{path}' away from the target")]
    GrpcPath {
        /// The path of the service.
        service: &'static str,
        /// The path given.
        path: String,
    },
    /// A method that is a number: the flag next to it was meant.
    #[error("--request {0} would be the method; for {0} requests write -n {0} or --requests {0}")]
    MethodIsNumber(String),
    /// A file of events cannot be read.
    #[error("--event-file {0}: {1}")]
    EventFile(PathBuf, std::io::Error),
    /// A line of such a file is none.
    #[error("{file}, line {line}: '{text}' is no event; write TIME COMMAND, such as 5s date")]
    EventLine {
        /// The file.
        file: String,
        /// The line's number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// An event would come after the end.
    #[error("--at {at}: the run ends after {end}; let events come before, or the run go on (-d)")]
    EventAfterEnd {
        /// The event's instant.
        at: String,
        /// How long the run takes.
        end: String,
    },
    /// Until when?
    #[error("--at happens at an instant of a run of known length; give -d, such as -d 30s")]
    EventsWithoutEnd,
    /// Whose events?
    #[error("--at and --event-file are about one run; give one --target")]
    EventsOfMany,
    /// Shares do not parse.
    #[error("--failover-to '{given}': {wrong}; write NAME[,NAME…] or NAME=PERCENT%[,…]")]
    FailoverTo {
        /// As given.
        given: String,
        /// What is wrong with it.
        wrong: String,
    },
    /// An admin interface is none.
    #[error("--envoy-admin '{given}': {wrong}; write [NAME=]URL, such as http://127.0.0.1:15000")]
    EnvoyAdmin {
        /// As given.
        given: String,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// Whose Envoys?
    #[error(
        "--envoy-admin: {envoys} Envoys for {targets} targets; give one for all, or one for each"
    )]
    EnvoysOfTargets {
        /// How many Envoys.
        envoys: usize,
        /// How many targets.
        targets: usize,
    },
    /// A method is none.
    #[error("-X '{0}' is no HTTP method; write one such as GET or POST")]
    Method(String),
}

impl PlanError {
    /// Lines that point at the place, where there is one to point at.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Expectation(error) => Some(error.pointer()),
            _ => None,
        }
    }
}

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
            Arrivals::Constant(rate) if self.schedule.burst > 1 => {
                format!(" at {rate}/s in bursts of {}", self.schedule.burst)
            }
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
pub fn run(args: &RunArgs) -> Result<Vec<ProbePlan>, PlanError> {
    if args.targets.is_empty() {
        return Err(PlanError::NoTarget);
    }
    let load = &args.load;
    let expectations = judging::expectations(&args.judge.expectations, args.events.any())?;
    let (mut rules, most) = judging::rules(&args.judge, load, &expectations)?;
    let mut schedule = schedule(load)?;
    if rules.sampling == Sampling::UntilDecided {
        schedule.end = End::Requests(most);
    }
    let select = select(&args.network, load.seed)?;
    rules.addresses_drawn = matches!(select, Select::RoundRobin | Select::Random(_));
    let first = target(&args.targets[0], args)?;
    let protocol = Protocol::of(&args.request, first.tls)?;
    let reuse = reuse(load.reuse.as_deref())?;
    let common = ProbePlan {
        target: first.clone(),
        schedule,
        reuse,
        connection_lifetime: load
            .connection_lifetime
            .as_deref()
            .map(|given| seconds("--connection-lifetime", given))
            .transpose()?,
        concurrency: concurrency(load, schedule.end)?,
        streams: streams(load, protocol, reuse)?,
        protocol,
        threads: args.load.threads.map(|n| within("--threads", n, MAX_THREADS)).transpose()?,
        request: request(&args.request, &first)?,
        limits: limits(&args.request)?,
        overrides: Overrides::parse(&args.network.resolve, &args.network.connect_to)?,
        names: names(&args.network, &args.request)?,
        select,
        tls: tls(&args.tls),
        identify: Patterns::parse(&args.identify)?,
        expectations,
        rules,
        show: args.show.unwrap_or(DEFAULT_SHOW),
        timeline: load.timeline.as_deref().map(timeline).transpose()?,
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
        let request = request(&args.request, &target)?;
        let protocol = Protocol::of(&args.request, target.tls)?;
        if protocol.is_http2() {
            check_authority(&request)?;
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

fn streams(load: &LoadArgs, protocol: Protocol, reuse: Reuse) -> Result<u64, PlanError> {
    let streams = positive("--streams", load.streams, 1, MAX_STREAMS)?;
    match load.streams {
        Some(_) if !protocol.is_http2() => Err(PlanError::StreamsWithoutHttp2),
        Some(_) if streams > 1 && reuse == Reuse::NEVER => {
            Err(PlanError::StreamsWithoutReuse(streams))
        }
        _ => Ok(streams),
    }
}

fn schedule(load: &LoadArgs) -> Result<Schedule, PlanError> {
    let end = match (load.requests, load.duration.as_deref()) {
        (Some(_), Some(_)) => return Err(PlanError::TwoEnds),
        (None, Some(given)) => End::After(seconds("--duration", given)?),
        (requests, None) => {
            End::Requests(positive("-n", requests, DEFAULT_REQUESTS, MAX_REQUESTS)?)
        }
    };
    let arrivals = match (&load.rate, load.arrivals) {
        (None, None) => Arrivals::Closed,
        (None, Some(_)) => return Err(PlanError::ArrivalsWithoutRate),
        (Some(given), arrivals) => {
            let rate = rate(given)?;
            match arrivals {
                Some(ArrivalForm::Poisson) => Arrivals::Poisson(rate, load.seed),
                _ => Arrivals::Constant(rate),
            }
        }
    };
    let warmup = load.warmup.as_deref().map(|given| seconds("--warmup", given)).transpose()?;
    let burst = positive("--burst", load.burst, 1, MAX_CONCURRENCY)?;
    Ok(Schedule { end, arrivals, burst, warmup: warmup.unwrap_or_default() })
}

/// The width of a timeline's bins.
fn timeline(given: &str) -> Result<Duration, PlanError> {
    let whole = seconds("--timeline", given).ok().filter(|w| w.as_nanos() % 1_000_000 == 0);
    whole.ok_or_else(|| PlanError::Number {
        flag: "--timeline",
        value: format!("'{given}'"),
        right: "write whole milliseconds or seconds, from 1ms to 86400, such as 100ms".to_owned(),
    })
}

/// Requests each second: a number, `/s` allowed behind it.
fn rate(given: &str) -> Result<f64, PlanError> {
    let number = given.strip_suffix("/s").unwrap_or(given).parse::<f64>().ok();
    number.filter(|rate| (0.001..=10_000_000.0).contains(rate)).ok_or_else(|| PlanError::Number {
        flag: "--rate",
        value: format!("'{given}'"),
        right: "write requests each second, from 0.001 to 10000000".to_owned(),
    })
}

fn reuse(given: Option<&str>) -> Result<Reuse, PlanError> {
    let given = given.unwrap_or("never");
    Reuse::parse(given).ok_or_else(|| PlanError::Number {
        flag: "--reuse",
        value: format!("'{given}'"),
        right: "write never, always, N, or N:M with N at most M".to_owned(),
    })
}

fn concurrency(load: &LoadArgs, end: End) -> Result<u64, PlanError> {
    let asked = positive("-c", load.concurrency, DEFAULT_CONCURRENCY, MAX_CONCURRENCY)?;
    Ok(match end {
        End::Requests(requests) => asked.min(requests),
        End::After(_) => asked,
    })
}

fn request(args: &RequestArgs, target: &Target) -> Result<RequestPlan, PlanError> {
    let host = HeaderValue::from_str(&target.authority)
        .map_err(|_| TargetError::Space(target.given.clone()))?;
    let body = body(args)?;
    let method = match &args.method {
        None if body.is_some() => Method::POST,
        None => Method::GET,
        Some(given) if given.parse::<u64>().is_ok() => {
            return Err(PlanError::MethodIsNumber(given.clone()));
        }
        Some(given) => given.parse().map_err(|_| PlanError::Method(given.clone()))?,
    };
    let mut headers = HeaderMap::new();
    let agent = HeaderValue::from_static(concat!("prober/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::HOST, host);
    if let Some(body) = &body {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut own = HeaderMap::new();
    for given in &args.headers {
        let (name, value) = parse_header(given)?;
        if body.is_some() && [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(&name) {
            let (given, wrong) = (given.clone(), "--data has a length of its own");
            return Err(PlanError::Header { given, wrong });
        }
        headers.remove(&name);
        own.append(name, value);
    }
    for (name, value) in own.iter().filter(|(_, value)| !value.is_empty()) {
        headers.append(name, value.clone());
    }
    Ok(RequestPlan { method, headers, body })
}

/// What `--data` says, as curl joins it; `None` without it.
fn body(args: &RequestArgs) -> Result<Option<Bytes>, PlanError> {
    if args.data.is_empty() {
        return Ok(None);
    }
    if let (None, Some(file)) = (&args.body, args.data.iter().find(|data| data.starts_with('@'))) {
        return Err(PlanError::DataFile(file.clone()));
    }
    let body = args.body.clone().unwrap_or_else(|| args.data.join("&").into_bytes());
    match body.len() {
        length if length > MAX_DATA => Err(PlanError::LongData),
        _ => Ok(Some(body.into())),
    }
}

/// HTTP/2 has the host in `:authority`, which is not as free as a header.
fn check_authority(request: &RequestPlan) -> Result<(), PlanError> {
    let Some(host) = request.headers.get(header::HOST) else { return Ok(()) };
    http::uri::Authority::try_from(host.as_bytes()).map(drop).map_err(|_| PlanError::Header {
        given: format!("Host: {}", String::from_utf8_lossy(host.as_bytes())),
        wrong: "over HTTP/2 its value must be a host",
    })
}

/// `NAME: VALUE`; as in curl, `NAME:` removes one of the program's own headers.
fn parse_header(given: &str) -> Result<(HeaderName, HeaderValue), PlanError> {
    let wrong = |wrong| PlanError::Header { given: given.escape_debug().to_string(), wrong };
    let (name, value) = given.split_once(':').ok_or_else(|| wrong("it has no colon"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| wrong("its name is no header name"))?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| wrong("its value holds a control character"))?;
    Ok((name, value))
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
