//! The files that several commands read: expectations, request bodies, matrices, reports.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::cli::{JudgeArgs, RequestArgs};
use crate::expectation;
use crate::matrix::file::{self, Matrix, Overrides};
use crate::plan::{MAX_DATA, PlanError};
use crate::report::{Report, html, json};

/// Adds the expectations of `--expect-file` to the others, and checks them line by line.
pub(super) fn read_expectations(args: &mut JudgeArgs) -> Result<(), Error> {
    for path in &args.expect_files {
        let unreadable = |error| Error::ExpectFile(path.clone(), error);
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let before = args.expectations.len();
        for (n, line) in text.lines().enumerate() {
            let line = expectation::without_comment(line).trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |error| Error::ExpectLine(path.clone(), n + 1, error);
            expectation::parse(line).map_err(wrong)?;
            args.expectations.push(line.to_owned());
        }
        if args.expectations.len() == before {
            return Err(Error::NoExpectation(path.clone()));
        }
    }
    Ok(())
}

/// Reads the files of `--data`. As curl does, it removes line ends and null bytes.
pub(super) fn read_data(args: &mut RequestArgs) -> Result<(), Error> {
    if args.data.iter().all(|data| !data.starts_with('@')) {
        return Ok(());
    }
    let mut parts = Vec::new();
    for data in &args.data {
        let Some(path) = data.strip_prefix('@').map(PathBuf::from) else {
            parts.push(data.clone().into_bytes());
            continue;
        };
        let unreadable = |error| Error::Data(path.clone(), error);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(unreadable)?;
        file.take(MAX_DATA as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > MAX_DATA {
            return Err(PlanError::LongData.into());
        }
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
        parts.push(bytes);
    }
    args.body = Some(parts.join(&b'&'));
    Ok(())
}

pub(super) fn read_matrix(path: &Path, overrides: &Overrides) -> Result<Matrix, Error> {
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Ok(file::parse(&path.to_string_lossy(), &text, overrides)?)
}

/// Reads a report in JSON, or in an HTML page, which has the JSON of its report embedded.
pub(super) fn read_report(path: &Path) -> Result<Report, Error> {
    let bytes = fs::read(path).map_err(|error| Error::ReportFile(path.to_owned(), error))?;
    let json = html::embedded(&bytes).unwrap_or(&bytes);
    json::parse(json).map_err(|error| Error::NotAReport(path.to_owned(), error))
}
