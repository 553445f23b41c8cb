//! `prober --target URL`: a plain run, one target after another.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::files::{read_expectations, read_request};
use crate::cli::RunArgs;
use crate::clock;
use crate::engine::waiting::Note;
use crate::engine::{self, each_address};
use crate::matrix;
use crate::output;
use crate::output::progress::view::Goal;
use crate::plan::schedule::End;
use crate::plan::{self, ProbePlan, StartAt};
use crate::report::Report;
use crate::tally::meter::Meter;

/// How often the wall clock is read until the instant of `--start-at`: it may be set meanwhile.
const CLOCK_STEP: Duration = Duration::from_secs(1);

/// Returns the exit code.
pub(crate) fn run(
    mut args: RunArgs,
    stop: &CancellationToken,
    out: &mut (dyn Write + Send),
) -> Result<u8, Error> {
    let delivery = output::delivery(&args.output)?;
    read_expectations(&mut args.judge)?;
    read_request(&mut args)?;
    let meter = Arc::new(Meter::default());
    let earlier = delivery.earlier();
    let mut report = output::streaming(&args.output, &meter, out, || probe(&args, stop, &meter))?;
    report.remember(&earlier);
    Ok(output::finish(&report, &delivery, &args.output, out)?)
}

fn probe(args: &RunArgs, stop: &CancellationToken, meter: &Arc<Meter>) -> Result<Report, Error> {
    let note = |line: &str| output::waiting(&args.output, line);
    let plans = plan::run(args)?;
    plans.iter().filter_map(|plan| plan.target.note()).for_each(|line| note(&line));
    let plans = each_address::expand(plans, stop, &note)?;
    let ready: Result<Vec<_>, _> = plans.iter().map(engine::Run::prepare).collect();
    let ready = ready?;
    let start_at = StartAt::of(&args.load)?;
    start_at.as_ref().map(|start| start.left(clock::wall())).transpose()?;
    output::unused_proxy(&args.output, &plans);
    // All wait before the first one runs, so that the progress and its times begin with the runs.
    let waited: Vec<_> = ready.iter().map(|run| run.wait(stop, &note)).collect();
    let runs = !stop.is_cancelled() && waited.iter().any(Result::is_ok);
    if let Some(start) = start_at.filter(|_| runs) {
        wait_until(&start, stop, &note)?;
    }
    let started = clock::wall();
    let goal = Goal { requests: total(plans.iter()), time: time(&plans), rows: None };
    let display = output::display(meter, goal, &args.output);
    let mut rows = Vec::new();
    for ((plan, run), waited) in plans.iter().zip(ready).zip(waited) {
        if stop.is_cancelled() {
            break;
        }
        if args.output.verbose {
            display.note(&plan.summary());
        }
        rows.push(matrix::observed(None, plan, stop, meter, || {
            Ok(waited.and_then(|()| run.run(stop, meter))?)
        }));
    }
    drop(display);
    let (interrupted, clusters) = (stop.is_cancelled(), args.judge.clusters.clone());
    Ok(Report { run_id: args.run_id.clone(), started, interrupted, matrix: false, clusters, rows }
        .cleaned())
}

/// Waits for the instant of `--start-at`, or until `stop`.
fn wait_until(start: &StartAt, stop: &CancellationToken, note: Note<'_>) -> Result<(), Error> {
    let mut left = start.left(clock::wall())?;
    note(&start.note(left));
    let runtime = Builder::new_current_thread().enable_time().build().map_err(Error::Wait)?;
    runtime.block_on(stop.run_until_cancelled(async {
        while !left.is_zero() {
            tokio::time::sleep(left.min(CLOCK_STEP)).await;
            left = start.left(clock::wall()).unwrap_or_default();
        }
    }));
    Ok(())
}

/// The number of requests of all plans; `None` if one of them is not known.
pub(super) fn total<'a>(mut plans: impl Iterator<Item = &'a ProbePlan>) -> Option<u64> {
    plans.try_fold(0, |sum: u64, plan| Some(sum.saturating_add(plan.planned()?)))
}

/// How long these plans take, one after another; `None` if one of them is ended by requests.
fn time(plans: &[ProbePlan]) -> Option<Duration> {
    plans.iter().try_fold(Duration::ZERO, |sum, plan| match plan.schedule.end {
        End::After(duration) => {
            Some(sum.saturating_add(plan.schedule.warmup).saturating_add(duration))
        }
        End::Requests(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    fn plans(arguments: &[&str]) -> Vec<ProbePlan> {
        let words = ["prober", "-t", "a", "-t", "b"].iter().chain(arguments);
        plan::run(&Cli::try_parse_from(words).unwrap().run).unwrap()
    }

    #[test]
    fn the_requests_of_all_targets_are_counted_unless_time_ends_them() {
        let most = (1u64 << 47) - 1;
        assert_eq!(total(plans(&["-n", &most.to_string()]).iter()), Some(2 * most));
        assert_eq!(total(plans(&["-d", "1"]).iter()), None);
    }

    #[test]
    fn the_time_of_all_targets_is_known_unless_requests_end_them() {
        let both = time(&plans(&["-d", "3", "--warmup", "2"]));
        assert_eq!(both, Some(Duration::from_secs(10)));
        assert_eq!(time(&plans(&["-n", "3"])), None);
    }
}
