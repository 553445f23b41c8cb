//! Flags → a validated plan. All contradictions are refused here, before
//! anything touches the world. Pure.

mod reuse;
pub mod target;

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use thiserror::Error;

use crate::cli::{ArrivalForm, LoadArgs, NetworkArgs, RequestArgs, RunArgs, TlsArgs};
use crate::expectation::{self, Expectation, SyntaxError};
use crate::overrides::{OverrideError, Overrides};
use crate::resolve::{Family, NamesConfig, NamesError};
use crate::schedule::{Arrivals, End, Schedule};
pub use reuse::Reuse;
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
    /// Arrivals of what?
    #[error("--arrivals says how the requests of --rate are spread; give --rate too")]
    ArrivalsWithoutRate,
    /// A header does not parse.
    #[error("-H '{given}': {wrong}; write it as 'NAME: VALUE'")]
    Header {
        /// As given.
        given: String,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// A method that is a number: the flag next to it was meant.
    #[error("--request {0} would be the method; for {0} requests write -n {0} or --requests {0}")]
    MethodIsNumber(String),
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
    /// How many requests at once.
    pub concurrency: u64,
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
    /// How TLS is verified.
    pub tls: TlsPlan,
    /// What must hold.
    pub expectations: Vec<Expectation>,
    /// How many answers are printed verbatim.
    pub show: u64,
}

impl ProbePlan {
    /// How many requests there will be; `None` if time ends the run.
    #[must_use]
    pub fn planned(&self) -> Option<u64> {
        match self.schedule.end {
            End::Requests(requests) => Some(requests),
            End::After(_) => None,
        }
    }

    /// The longest time that the run can take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let each = self.limits.total;
        let sending = match (self.schedule.end, self.schedule.arrivals) {
            (End::After(duration), _) => duration,
            (End::Requests(requests), Arrivals::Closed) => {
                let turns = requests.div_ceil(self.concurrency.max(1));
                each.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX))
            }
            (End::Requests(n), Arrivals::Constant(rate) | Arrivals::Poisson(rate, _)) => {
                let turns = u32::try_from(n.div_ceil(self.concurrency.max(1))).unwrap_or(u32::MAX);
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
        format!(
            "{} {}: {amount}{pace}, {concurrency} at once, {reuse}, to {place}",
            self.request.method, target.url
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
    let schedule = schedule(&args.load)?;
    let load = &args.load;
    let first = Target::parse(&args.targets[0])?;
    let common = ProbePlan {
        target: first.clone(),
        schedule,
        reuse: reuse(load.reuse.as_deref())?,
        connection_lifetime: load
            .connection_lifetime
            .as_deref()
            .map(|given| seconds("--connection-lifetime", given))
            .transpose()?,
        concurrency: concurrency(load, schedule.end)?,
        threads: args.load.threads.map(|n| within("--threads", n, MAX_THREADS)).transpose()?,
        request: request(&args.request, &first)?,
        limits: limits(&args.request)?,
        overrides: Overrides::parse(&args.network.resolve, &args.network.connect_to)?,
        names: names(&args.network, &args.request)?,
        tls: tls(&args.tls),
        expectations: expectations(&args.expectations)?,
        show: args.output.show.unwrap_or(DEFAULT_SHOW),
    };
    let plan = |given: &String| {
        let target = Target::parse(given)?;
        let request = request(&args.request, &target)?;
        Ok(ProbePlan { target, request, ..common.clone() })
    };
    args.targets.iter().map(plan).collect()
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
    Ok(Schedule { end, arrivals, warmup: warmup.unwrap_or_default() })
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
    let method = match &args.method {
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
    let mut own = HeaderMap::new();
    for given in &args.headers {
        let (name, value) = parse_header(given)?;
        headers.remove(&name);
        own.append(name, value);
    }
    for (name, value) in own.iter().filter(|(_, value)| !value.is_empty()) {
        headers.append(name, value.clone());
    }
    Ok(RequestPlan { method, headers })
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
    Ok(NamesConfig { servers, family, timeout, ..NamesConfig::default() })
}

fn tls(args: &TlsArgs) -> TlsPlan {
    let identity = args.cert.clone().zip(args.key.clone());
    TlsPlan { cacert: args.cacert.clone(), identity, insecure: args.insecure }
}

/// Without `--expect`, the expectation is `errors = 0`.
fn expectations(given: &[String]) -> Result<Vec<Expectation>, SyntaxError> {
    if given.is_empty() {
        return Ok(vec![Expectation::NoErrors]);
    }
    given.iter().map(|text| expectation::parse(text)).collect()
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
fn seconds(flag: &'static str, given: &str) -> Result<Duration, PlanError> {
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
