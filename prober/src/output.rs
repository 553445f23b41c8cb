//! Writes results, progress and advice to stdout, files and stderr.

pub(crate) mod delivery;
pub(crate) mod progress;
pub(crate) mod terminal;

use std::io::{self, Write};
use std::sync::Arc;

use crate::cli::{OutputArgs, OutputForm};
use crate::plan::{ProbePlan, proxy};
use crate::report::text::Style;
use crate::report::{self, Report, Row, advice, text};
use crate::tally::meter::Meter;
use delivery::{Delivery, DeliveryError};
use progress::view::Goal;
use progress::{Display, stream};
use terminal::{columns, note, style};

/// Shows the progress towards `goal` on stderr, as the flags say.
pub(crate) fn display(meter: &Arc<Meter>, goal: Goal, args: &OutputArgs) -> Display {
    let style = style(args.color, args.verbose, args.ascii, columns(&io::stderr()));
    Display::start(meter, goal, progress::form(args.quiet, style))
}

/// Prints a line about a target that does not answer yet.
pub(crate) fn waiting(args: &OutputArgs, line: &str) {
    if !args.quiet {
        note(line);
    }
}

/// Says once which proxy variable of the environment is not used, if curl would use it.
pub(crate) fn unused_proxy<'a>(args: &OutputArgs, plans: impl IntoIterator<Item = &'a ProbePlan>) {
    if !args.quiet
        && let Some(line) = proxy::note(plans, |name| std::env::var(name).ok())
    {
        note(&line);
    }
}

/// Does `work`. With `--output ndjson`, prints one line per second until it is done.
pub(crate) fn streaming<T>(
    args: &OutputArgs,
    meter: &Meter,
    out: &mut (dyn Write + Send),
    work: impl FnOnce() -> T,
) -> T {
    match args.output {
        OutputForm::Ndjson => stream::during(meter, out, work),
        _ => work(),
    }
}

/// The destinations of the report, checked before the first request.
pub(crate) fn delivery(args: &OutputArgs) -> Result<Delivery, DeliveryError> {
    let style = style(args.color, args.verbose, args.ascii, columns(&io::stdout()));
    Delivery::prepare(args, style)
}

/// Writes the report, then the advice and why the prober could not run for some rows, and returns
/// the exit code. If it could run for no row, there is nothing to report.
pub(crate) fn finish(
    report: &Report,
    delivery: &Delivery,
    args: &OutputArgs,
    out: &mut (dyn Write + Send),
) -> Result<u8, DeliveryError> {
    let could_not_run = could_not_run(report);
    let nothing =
        !report.rows.is_empty() && report.rows.iter().all(|r| r.could_not_run().is_some());
    if !nothing || report.interrupted {
        delivery.deliver(report, out)?;
        if !args.quiet {
            advise(report, args);
        }
    }
    could_not_run.iter().for_each(|line| note(line));
    Ok(report.exit_code())
}

fn advise(report: &Report, args: &OutputArgs) {
    let style = style(args.color, args.verbose, args.ascii, columns(&io::stderr()));
    // `note` writes the name of the program first.
    let style = Style { width: style.width - "prober: ".len(), ..style };
    for line in advice::of(report) {
        note(text::wrapped(&format!("advice: {}", printable::clean(&line)), style).trim_end());
    }
}

/// A line for each reason why the prober could not run for a row.
fn could_not_run(report: &Report) -> Vec<String> {
    let reason = |row: &Row| Some((row.heading(), row.could_not_run()?.to_owned()));
    report::with_rows(report.rows.iter().filter_map(reason))
}
