//! Every reason for which flags make no plan.

use std::path::PathBuf;

use thiserror::Error;

use super::target::TargetError;
use super::{MAX_DATA, NamesError};
use crate::expectation::SyntaxError;
use crate::plan::identify::PatternError;
use crate::plan::overrides::OverrideError;

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
