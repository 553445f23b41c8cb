//! Why flags do not make a plan.

use std::path::PathBuf;

use thiserror::Error;
use usage::duration::DurationError;

use super::MAX_DATA;
use super::identify::PatternError;
use super::overrides::OverrideError;
use super::target::TargetError;
use crate::expectation::SyntaxError;
use crate::resolve::NamesError;

/// Why flags do not make a plan. `Display` is one line.
#[derive(Debug, Error)]
pub enum PlanError {
    #[error("no target; name one, such as: prober localhost:8080")]
    NoTarget,
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("--expect: {0}")]
    Expectation(#[from] SyntaxError),
    #[error(transparent)]
    Override(#[from] OverrideError),
    #[error(transparent)]
    Identify(#[from] PatternError),
    #[error(transparent)]
    Names(#[from] NamesError),
    /// A number is not a number, or is out of its range.
    #[error("{flag} {value}: {right}")]
    Number {
        flag: &'static str,
        value: String,
        /// What to write instead.
        right: String,
    },
    #[error("{flag} '{value}': {error}")]
    Duration { flag: &'static str, value: String, error: DurationError },
    /// In another tool, the flag means something else.
    #[error("{flag} '{value}': not a duration; for {what} write {right}")]
    OtherFlag { flag: &'static str, value: String, what: &'static str, right: String },
    #[error("--start-at '{value}': {wrong}")]
    StartAt {
        value: String,
        /// With what to write instead.
        wrong: String,
    },
    #[error("{0} limits answers that are read until decided; add --until-decided, or remove it")]
    NotUntilDecided(&'static str),
    #[error("--expect: '{0}' needs a fault during a run; the answers of a file have none")]
    NoFaultInFile(String),
    #[error("-d sets how long the run takes; remove --min-time")]
    MinTimeWithDuration,
    #[error("--rate sets how long -n requests take; remove --min-time")]
    MinTimeWithRate,
    #[error("-n and -d both end the run; remove one of them")]
    TwoEnds,
    #[error(
        "--max-requests limits a run that ends once every expectation is decided; remove -n and \
         -d, or remove --max-requests"
    )]
    TwoLimits,
    #[error("--expect: '{0}' needs a fault during the run; add one, such as --at 5s 'COMMAND'")]
    NoFault(String),
    #[error("--arrivals needs a rate; add --rate, such as --rate 100")]
    ArrivalsWithoutRate,
    #[error(
        "--select each looks the name up once, before the run, and --re-resolve for every \
         connection; remove one of them"
    )]
    EachWithReResolve,
    #[error("-H {given}: {wrong}; write it as 'NAME: VALUE'")]
    Header {
        /// With quotes, and with its place in a file.
        given: String,
        wrong: &'static str,
    },
    #[error("-H {0}: --data sets the length of the body itself; remove this header")]
    LengthHeader(String),
    #[error("the body (--data) is too long; send at most {} MiB", MAX_DATA >> 20)]
    LongData,
    #[error("{flag} @{name}: the file is too long; send at most {} MiB", MAX_DATA >> 20)]
    LongFile { flag: &'static str, name: String },
    /// A row of a matrix may run on another machine, which does not have the file.
    #[error("{flag} '@{name}': only a plain run reads files; write the text itself")]
    FileInPlan { flag: &'static str, name: String },
    #[error("--http2 is negotiated by TLS; for an http:// target write --http2-prior-knowledge")]
    PlainHttp2,
    #[error("--streams needs HTTP/2; add --http2, --http2-prior-knowledge or --grpc")]
    StreamsWithoutHttp2,
    #[error("--streams {0} needs connections that are reused; add --reuse always")]
    StreamsWithoutReuse(u64),
    #[error("--grpc calls {service}; remove the path '{path}' from the target")]
    GrpcPath { service: &'static str, path: String },
    /// The flag next to it was meant.
    #[error(
        "--request {0} sets the method to {0}; for {0} requests write -n {0} or --requests {0}"
    )]
    MethodIsNumber(String),
    #[error("cannot read --event-file {}: {}", .0.display(), usage::system_error(.1))]
    EventFile(PathBuf, std::io::Error),
    #[error("{file}, line {line}: '{text}' is not an event; write TIME COMMAND, such as 5s date")]
    EventLine {
        file: String,
        /// From 1.
        line: usize,
        text: String,
    },
    #[error("--at {at}: the run ends after {end}; choose an earlier instant, or a longer run (-d)")]
    EventAfterEnd { at: String, end: String },
    #[error("--at needs a run of known length; add -d, such as -d 30s")]
    EventsWithoutEnd,
    #[error("--at, --event-file and --marks need a single run; give one --target")]
    EventsWithManyTargets,
    #[error("--failover-to '{given}': {wrong}; write NAME[,NAME…] or NAME=PERCENT%[,…]")]
    FailoverTo { given: String, wrong: String },
    #[error("--envoy-admin '{given}': {wrong}; write [NAME=]URL, such as http://127.0.0.1:15000")]
    EnvoyAdmin { given: String, wrong: &'static str },
    #[error(
        "--envoy-admin: {envoys} Envoys for {targets} targets; give one for all, or one for each"
    )]
    EnvoysPerTarget { envoys: usize, targets: usize },
    #[error(
        "--interface '{0}': write an interface, an IP address or a host name, such as eth0 or 192.0.2.1"
    )]
    Interface(String),
    #[error("-X '{0}' is not an HTTP method; write one such as GET or POST")]
    Method(String),
}

impl PlanError {
    /// Lines that point at the place, if there is one to point at.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Expectation(error) => Some(error.pointer()),
            _ => None,
        }
    }
}
