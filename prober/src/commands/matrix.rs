//! `prober matrix FILE`: sources × targets.

use std::io::Write;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Error;
use super::files::read_matrix;
use super::run::total;
use crate::cli::{MatrixArgs, OutputArgs};
use crate::clock;
use crate::matrix::file::{Matrix, Overrides};
use crate::matrix::{self, Row};
use crate::output;
use crate::output::progress::view::Goal;
use crate::report::Report;
use crate::tally::meter::Meter;

/// Returns the exit code.
pub(crate) fn run(
    args: &MatrixArgs,
    stop: &CancellationToken,
    out: &mut (dyn Write + Send),
) -> Result<u8, Error> {
    let delivery = output::delivery(&args.output)?;
    let matrix = read(args)?;
    if args.dry_run {
        return dry_run(&matrix, out);
    }
    matrix::check(&matrix.rows)?;
    output::unused_proxy(&args.output, matrix::here(&matrix.rows));
    let meter = Arc::new(Meter::default());
    let probe = || probe(matrix, &args.output, stop, &meter);
    let earlier = delivery.earlier();
    let mut report = output::streaming(&args.output, &meter, out, probe);
    report.remember(&earlier);
    Ok(output::finish(&report, &delivery, &args.output, out)?)
}

fn read(args: &MatrixArgs) -> Result<Matrix, Error> {
    let (requests, show, explain) = (args.requests, args.show, args.explain);
    let overrides = Overrides { requests, show, explain, round: None };
    let mut matrix = read_matrix(&args.file, &overrides)?;
    if !args.only.is_empty() {
        let headings: Vec<_> = matrix.rows.iter().map(Row::heading).collect();
        matrix.rows.retain(|row| args.only.iter().any(|text| row.heading().contains(text)));
        if matrix.rows.is_empty() {
            return Err(Error::NoRow(headings.join("; ")));
        }
    }
    Ok(matrix)
}

fn probe(
    matrix: Matrix,
    args: &OutputArgs,
    stop: &CancellationToken,
    meter: &Arc<Meter>,
) -> Report {
    let started = clock::wall();
    if args.verbose {
        for row in &matrix.rows {
            output::terminal::note(&format!("{}: {}", row.heading(), command_line(row)));
        }
    }
    let note = |line: &str| output::waiting(args, line);
    matrix.rows.iter().filter_map(|row| row.plan.target.note()).for_each(|line| note(&line));
    let planned = total(matrix.rows.iter().map(|row| &row.plan));
    let goal = Goal { requests: planned, time: None, rows: Some(matrix.rows.len() as u64) };
    let display = output::display(meter, goal, args);
    let rows = matrix::run(&matrix.rows, stop, meter, &note);
    drop(display);
    let interrupted = stop.is_cancelled();
    Report { run_id: None, started, interrupted, matrix: true, clusters: matrix.clusters, rows }
        .cleaned()
}

/// Prints the commands of all rows, as a person would type them.
fn dry_run(matrix: &Matrix, out: &mut dyn Write) -> Result<u8, Error> {
    let mut text = String::new();
    for row in &matrix.rows {
        text.push_str(&format!("# {}\n{}\n", row.heading(), command_line(row)));
    }
    output::delivery::print_lines(out, &text)?;
    Ok(0)
}

/// A row's command, quoted for a shell.
fn command_line(row: &Row) -> String {
    let words = row.origin.words(&row.arguments);
    let quoted = shlex::try_join(words.iter().map(String::as_str));
    quoted.unwrap_or_else(|_| words.join(" "))
}
