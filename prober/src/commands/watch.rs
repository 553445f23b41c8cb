//! `prober watch`: probes continuously until it is stopped, and then reports the last window.

use std::io::Write;

use tokio_util::sync::CancellationToken;

use super::Error;
use super::files::{read_expectations, read_matrix, read_request};
use crate::cli::WatchArgs;
use crate::matrix::file::{Matrix, Overrides};
use crate::matrix::{self, Row};
use crate::output;
use crate::plan;
use crate::report::Report;
use crate::watch::{self, WatchError, settings};

/// Returns the exit code.
pub(crate) fn run(
    args: &WatchArgs,
    stop: &CancellationToken,
    out: &mut (dyn Write + Send),
) -> Result<u8, Error> {
    let output = &args.run.output;
    let delivery = output::delivery(output)?;
    Ok(output::finish(&probe(args, stop)?, &delivery, output, out)?)
}

fn probe(args: &WatchArgs, stop: &CancellationToken) -> Result<Report, Error> {
    let settings = settings::read(args).map_err(WatchError::from)?;
    let matrix = rows(args)?;
    let plans = matrix.rows.iter().map(|row| &row.plan);
    settings::check_rounds(plans, settings.rhythm).map_err(WatchError::from)?;
    matrix::check(&matrix.rows)?;
    output::unused_proxy(&args.run.output, matrix::here(&matrix.rows));
    let quiet = args.run.output.quiet;
    let say = |line: &str| {
        if !quiet {
            output::terminal::note(line)
        }
    };
    matrix.rows.iter().filter_map(|row| row.plan.target.note()).for_each(|line| say(&line));
    Ok(watch::run(matrix, settings, stop, &say)?)
}

/// The rows of a file, or the targets of the flags. Each round has a fixed size instead of going on
/// until it is decided.
fn rows(args: &WatchArgs) -> Result<Matrix, Error> {
    let (requests, show) = (args.run.load.requests, args.run.show);
    let round = Some(plan::DEFAULT_REQUESTS);
    if let Some(path) = &args.matrix.0 {
        return read_matrix(path, &Overrides { requests, show, explain: false, round });
    }
    let mut run = args.run.clone();
    read_expectations(&mut run.judge)?;
    read_request(&mut run)?;
    if run.load.duration.is_none() {
        run.load.requests = requests.or(round);
    }
    let rows = plan::run(&run)?.into_iter().map(Row::here).collect();
    Ok(Matrix { clusters: run.judge.clusters, rows })
}
