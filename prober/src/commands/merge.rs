//! `prober merge REPORT…`: several reports → one.

use std::io::Write;
use std::path::PathBuf;

use super::Error;
use super::files::read_report;
use crate::cli::MergeArgs;
use crate::output;
use crate::plan::judging;
use crate::report::{Report, merge};

/// Returns the exit code of the merged report.
pub(crate) fn run(args: &MergeArgs, out: &mut (dyn Write + Send)) -> Result<u8, Error> {
    let merged = merged(args)?;
    let delivery = output::delivery(&args.output)?;
    Ok(output::finish(&merged, &delivery, &args.output, out)?)
}

fn merged(args: &MergeArgs) -> Result<Report, Error> {
    let read = |file: &PathBuf| Ok((file.to_string_lossy().into_owned(), read_report(file)?));
    let rules = judging::fixed(args.confidence.as_deref(), args.min_share.as_deref())?;
    let reports: Result<Vec<_>, Error> = args.files.iter().map(read).collect();
    let expectations = match args.expectations.as_slice() {
        [] => Vec::new(),
        given => judging::expectations(given, true)?,
    };
    Ok(merge::merge(reports?, &expectations, &rules)?)
}
