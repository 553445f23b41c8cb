//! Why a command cannot run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use usage::system_error;

use super::compare::LimitsError;
use super::plan::SizeError;
use crate::collected::CollectedError;
use crate::engine::EngineError;
use crate::expectation::SyntaxError;
use crate::matrix::file::FileError;
use crate::output::delivery::DeliveryError;
use crate::plan::PlanError;
use crate::report::compare::NothingInCommon;
use crate::report::json::JsonError;
use crate::report::merge::MergeError;
use crate::watch::WatchError;

/// Why a command cannot run. `Display` is one line.
#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot read the matrix file {}: {}", .0.display(), system_error(.1))]
    Unreadable(PathBuf, io::Error),
    #[error("cannot read --expect-file {}: {}", .0.display(), system_error(.1))]
    ExpectFile(PathBuf, io::Error),
    #[error("--expect-file {0}:{1}: {2}")]
    ExpectLine(PathBuf, usize, SyntaxError),
    #[error("--expect-file {0}: the file has no expectations; write one on each line")]
    NoExpectation(PathBuf),
    #[error("cannot read the report {}: {}", .0.display(), system_error(.1))]
    ReportFile(PathBuf, io::Error),
    #[error("{0}: {1}")]
    NotAReport(PathBuf, JsonError),
    #[error("cannot read {flag} @{name}: {}", system_error(.error))]
    RequestFile { flag: &'static str, name: String, error: io::Error },
    #[error("{0} and {1} both read stdin; give one of them a file")]
    StdinTwice(&'static str, &'static str),
    #[error("{0}: the report was made without --explain; run again with --explain --output json")]
    NoEvidence(PathBuf),
    #[error(transparent)]
    Limits(#[from] LimitsError),
    #[error(transparent)]
    NothingInCommon(#[from] NothingInCommon),
    #[error(transparent)]
    SampleSize(#[from] SizeError),
    #[error("--only matches no row; write a part of one of: {0}")]
    NoRow(String),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Collected(#[from] CollectedError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("'{0}' is not a command; 'prober --help' lists them")]
    UnknownCommand(String),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("cannot wait: {}", system_error(.0))]
    Wait(io::Error),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error("cannot write to stdout: {}", system_error(.0))]
    Output(#[from] io::Error),
}

impl Error {
    /// Lines that point at the place of the error, if there is one to point at.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Plan(error) => error.pointer(),
            Self::File(error) => error.pointer(),
            Self::ExpectLine(_, _, error) => Some(error.pointer()),
            Self::SampleSize(error) => error.pointer(),
            _ => None,
        }
    }
}
