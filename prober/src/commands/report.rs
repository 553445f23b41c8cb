//! `prober report REPORT`: prints a report again, in any format.

use std::io::Write;

use super::Error;
use super::files::read_report;
use crate::cli::ReportArgs;
use crate::output;

/// Returns the exit code of the report.
pub(crate) fn run(args: &ReportArgs, out: &mut (dyn Write + Send)) -> Result<u8, Error> {
    let report = read_report(&args.file)?;
    let delivery = output::delivery(&args.output)?;
    Ok(output::finish(&report, &delivery, &args.output, out)?)
}
