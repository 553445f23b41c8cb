//! The files that several commands read: expectations, request bodies, matrices, reports.

use std::io;
use std::path::Path;

use echo_reply::printable;
use usage::file::MOST_TEXT;

use super::Error;
use crate::cli::{BodyPart, DataFlag, HeaderArg, JudgeArgs, RunArgs};
use crate::expectation;
use crate::matrix::file::{self, Matrix, Overrides};
use crate::plan::{MAX_DATA, PlanError, request};
use crate::report::{Report, html, json};

/// The name of stdin in messages.
pub(super) const STDIN: &str = "stdin";

/// Adds the expectations of `--expect-file` to the others, and checks them line by line.
pub(super) fn read_expectations(args: &mut JudgeArgs) -> Result<(), Error> {
    for path in &args.expect_files {
        let unreadable = |error| Error::ExpectFile(path.clone(), error);
        let text = usage::file::read_text(path).map_err(unreadable)?;
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

/// Reads the files of `-H`, `--data` and `--data-binary`, as curl does: a header on each line; `--data`
/// removes line ends and null bytes.
pub(super) fn read_request(args: &mut RunArgs) -> Result<(), Error> {
    check_stdin(args)?;
    let mut headers = Vec::new();
    for given in std::mem::take(&mut args.request.headers) {
        match given.file() {
            Some(name) => {
                let read = read(&name, "-H")?;
                headers.extend(header_lines(&name, &read)?);
            }
            None => headers.push(given),
        }
    }
    args.request.headers = headers;
    for part in &mut args.body.parts {
        if let BodyPart::File(flag, name) = part {
            let mut bytes = read(name, flag.name())?;
            if *flag == DataFlag::Data {
                bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
            }
            *part = BodyPart::Bytes(bytes);
        }
    }
    Ok(())
}

/// The headers of a file, each of them checked.
fn header_lines(name: &str, text: &[u8]) -> Result<Vec<HeaderArg>, Error> {
    let name = if name == "-" { STDIN } else { name };
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).enumerate();
    let header = |(n, line): (usize, &[u8])| {
        let place = Some(format!("{}:{}", printable(name), n + 1));
        let header = HeaderArg { text: line.to_vec(), place };
        request::parse_header(&header)?;
        Ok(header)
    };
    lines.filter(|(_, line)| !line.is_empty()).map(header).collect()
}

/// Stdin can be read once only.
fn check_stdin(args: &RunArgs) -> Result<(), Error> {
    let headers = args.request.headers.iter().map(|given| ("-H", given.file()));
    let parts = args.body.parts.iter().map(|part| match part {
        BodyPart::File(flag, name) => (flag.name(), Some(name.clone())),
        BodyPart::Bytes(_) => ("", None),
    });
    let mut all = headers.chain(parts).filter(|(_, name)| name.as_deref() == Some("-"));
    match (all.next(), all.next()) {
        (Some((first, _)), Some((second, _))) => Err(Error::StdinTwice(first, second)),
        _ => Ok(()),
    }
}

/// Reads a file of a request, or stdin for `-`.
fn read(name: &str, flag: &'static str) -> Result<Vec<u8>, Error> {
    let shown = printable(name).into_owned();
    // With the line ends that --data removes, a file may be longer than the body.
    let most = 2 * MAX_DATA as u64;
    let read = if name == "-" {
        usage::file::read_all(io::stdin().lock(), most)
    } else {
        usage::file::read(Path::new(name), most)
    };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => PlanError::LongFile { flag, name: shown }.into(),
        _ => Error::RequestFile { flag, name: shown, error },
    })
}

/// Reads a matrix; `-` is stdin.
pub(super) fn read_matrix(path: &Path, overrides: &Overrides) -> Result<Matrix, Error> {
    let unreadable = |error| Error::Unreadable(path.to_owned(), error);
    if path == Path::new("-") {
        let read = usage::file::read_all(io::stdin().lock(), MOST_TEXT);
        let text = read.and_then(usage::file::text).map_err(unreadable)?;
        return Ok(file::parse(STDIN, &text, overrides)?);
    }
    let text = usage::file::read_text(path).map_err(unreadable)?;
    Ok(file::parse(&path.to_string_lossy(), &text, overrides)?)
}

/// Reads a report in JSON, or in an HTML page, which has the JSON of its report embedded.
pub(super) fn read_report(path: &Path) -> Result<Report, Error> {
    let bytes = usage::file::read(path, json::MOST_BYTES)
        .map_err(|error| Error::ReportFile(path.to_owned(), error))?;
    let json = html::embedded(&bytes).unwrap_or(&bytes);
    json::parse(json).map_err(|error| Error::NotAReport(path.to_owned(), error))
}
