//! `prober explain-run REPORT`: at which hop a skew or a failure arose.

use std::io::{self, Write};

use super::Error;
use super::files::read_report;
use crate::cli::ExplainRunArgs;
use crate::output::{delivery, terminal};
use crate::report::text;

/// Returns the exit code.
pub(crate) fn run(args: &ExplainRunArgs, out: &mut dyn Write) -> Result<u8, Error> {
    let report = read_report(&args.file)?;
    if report.rows.iter().all(|row| row.readings.is_none()) {
        return Err(Error::NoEvidence(args.file.clone()));
    }
    let columns = terminal::columns(&io::stdout());
    let style = terminal::style(args.color, false, false, columns);
    delivery::print(out, &text::why(&report, style))?;
    Ok(0)
}
