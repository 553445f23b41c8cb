//! Sources × targets from a file: the whole `echo-status`. Rows of one source run one after
//! another, and sources run at the same time. Results keep the order of the file.

pub(crate) mod file;
mod refusal;
pub(crate) mod source;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::diagnosis::Observation;
use crate::engine::{self, waiting::Note};
use crate::plan::ProbePlan;
use crate::report::{self, RowResult};
use crate::tally::Tally;
use crate::tally::meter::Meter;
use crate::tally::meter::lock;
use crate::verdict;
use source::Source;

/// How long a command may take to start and to end, in addition to its requests.
const COMMAND_OVERHEAD: Duration = Duration::from_secs(30);

/// A source and a target.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The source's name; `None` is this process.
    pub source: Option<String>,
    pub origin: Source,
    /// The prober's arguments, as a person would type them at the source.
    pub arguments: Vec<String>,
    /// The plan of these arguments.
    pub plan: ProbePlan,
}

/// Why there is no tally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotProbed {
    /// One line.
    pub reason: String,
    /// As in [`RowResult::Unreachable`].
    pub could_not_run: bool,
}

impl From<String> for NotProbed {
    fn from(reason: String) -> Self {
        Self { reason, could_not_run: false }
    }
}

impl From<engine::EngineError> for NotProbed {
    fn from(error: engine::EngineError) -> Self {
        Self { reason: error.to_string(), could_not_run: true }
    }
}

impl Row {
    /// A target that this process probes.
    #[must_use]
    pub(crate) fn here(plan: ProbePlan) -> Self {
        Self { source: None, origin: Source::Here, arguments: Vec::new(), plan }
    }

    /// The heading, as the original `make echo-status` prints it.
    #[must_use]
    pub(crate) fn heading(&self) -> String {
        report::heading(self.source.as_deref(), &self.plan.target.given)
    }

    fn run(&self, stop: &CancellationToken, meter: &Meter, note: Note<'_>) -> report::Row {
        let source = self.source.clone();
        let run = match &self.origin {
            Source::Here if self.plan.wait.is_some() => {
                engine::Run::prepare(&self.plan).and_then(|run| run.wait(stop, note))
            }
            // Behind a command, the prober there waits.
            Source::Here | Source::Command { .. } => Ok(()),
        };
        observed(source, &self.plan, stop, meter, || {
            run.map_err(NotProbed::from).and_then(|()| self.probe(stop, meter))
        })
    }

    /// Probes from the row's source, until the end or until `stop`.
    ///
    /// # Errors
    /// Why the source could not probe.
    pub(crate) fn probe(
        &self,
        stop: &CancellationToken,
        meter: &Meter,
    ) -> Result<Tally, NotProbed> {
        match &self.origin {
            _ if stop.is_cancelled() => Err("interrupted before it started".to_owned().into()),
            Source::Here => {
                Ok(engine::Run::prepare(&self.plan).and_then(|row| row.run(stop, meter))?)
            }
            Source::Command { .. } => self.probe_behind(stop, meter),
        }
    }

    fn probe_behind(&self, stop: &CancellationToken, meter: &Meter) -> Result<Tally, NotProbed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
            |error| format!("cannot wait for a command: {}", usage::local_limit(&error)),
        )?;
        let words = self.origin.words(&self.arguments);
        let report = runtime.block_on(source::probe_behind(&words, self.limit(), stop))?;
        let tally = source::whole(report, &self.plan.target.url, self.plan.planned())?;
        meter.count_all(&tally);
        Ok(tally)
    }

    fn limit(&self) -> Duration {
        self.plan.longest().saturating_add(COMMAND_OVERHEAD)
    }
}

/// Runs `probe` between two readings of the plan's Envoys, and judges the result.
pub(crate) fn observed(
    source: Option<String>,
    plan: &ProbePlan,
    stop: &CancellationToken,
    meter: &Meter,
    probe: impl FnOnce() -> Result<Tally, NotProbed>,
) -> report::Row {
    let observation = Observation::begin(&plan.envoys, stop);
    let probed = probe();
    meter.row_ended();
    let target = &plan.target;
    let readings = observation.map(|before| before.end(&target.host, target.port, stop));
    report::Row::new(source, plan, judged(plan, probed)).with(readings)
}

/// The tally with its verdicts, or why there is none.
#[must_use]
pub(crate) fn judged(plan: &ProbePlan, probed: Result<Tally, NotProbed>) -> RowResult {
    match probed {
        Ok(tally) => {
            let verdicts = verdict::judge_all(&tally, &plan.expectations, &plan.rules);
            RowResult::Probed { tally, verdicts }
        }
        Err(NotProbed { reason, could_not_run }) => {
            RowResult::Unreachable { reason, could_not_run }
        }
    }
}

/// The plans of the rows that this process probes.
pub(crate) fn here(rows: &[Row]) -> impl Iterator<Item = &ProbePlan> {
    rows.iter().filter(|row| row.origin == Source::Here).map(|row| &row.plan)
}

/// Reads the certificate files of the rows that this process probes, so that a wrong one is
/// reported before anything is sent. The files of other rows are where their sources are.
pub(crate) fn check(rows: &[Row]) -> Result<(), engine::EngineError> {
    here(rows).map(engine::Run::prepare).try_for_each(|ready| ready.map(drop))
}

/// Runs all rows and returns them in their order. `note` gets a line about each row that waits.
#[must_use]
pub(crate) fn run(
    rows: &[Row],
    stop: &CancellationToken,
    meter: &Meter,
    note: &(dyn Fn(&str) + Sync),
) -> Vec<report::Row> {
    let done: Mutex<Vec<(usize, report::Row)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for group in by_source(rows) {
            let done = &done;
            scope.spawn(move || {
                for place in group {
                    let row = rows[place].run(stop, meter, note);
                    lock(done).push((place, row));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, row)| row).collect()
}

/// The indices of the rows, grouped by source, in order.
fn by_source(rows: &[Row]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let source = row.source.as_deref();
        match groups.iter_mut().find(|(known, _)| *known == source) {
            Some((_, places)) => places.push(place),
            None => groups.push((source, vec![place])),
        }
    }
    groups.into_iter().map(|(_, places)| places).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_source_stay_together_and_in_order() {
        let text = "sources: [{name: a, here: true}, {name: b, here: true}]\n\
                    targets: [{from: a, url: x}, {url: y}, {from: b, url: x}, {from: a, url: z}]\n";
        let matrix = file::parse("m.yaml", text, &file::Overrides::default()).unwrap();
        assert_eq!(by_source(&matrix.rows), [vec![0, 3], vec![1], vec![2]]);
    }

    #[test]
    fn certificate_files_that_are_here_are_read_before_anything_is_sent() {
        let text = "sources: [{name: far, command: [x]}]\ntargets:\n\
                    - {from: far, url: 'https://a', cacert: /nonexistent}\n";
        let rows =
            |text: &str| file::parse("m.yaml", text, &file::Overrides::default()).unwrap().rows;
        assert!(check(&rows(text)).is_ok(), "the file is where the source is");
        let here = format!("{text}- {{url: 'https://a', cacert: /nonexistent}}\n");
        let error = check(&rows(&here)).unwrap_err().to_string();
        assert!(error.starts_with("--cacert /nonexistent: No such file"), "{error}");
    }

    #[test]
    fn a_command_may_take_what_its_requests_may_take() {
        let text = "sources: [{name: a, command: [x]}]\ndefaults: {requests: 100, concurrency: 10, \
                    max-time: 2}\ntargets: [{from: a, url: x}]\n";
        let matrix = file::parse("m.yaml", text, &file::Overrides::default()).unwrap();
        assert_eq!(matrix.rows[0].limit(), Duration::from_secs(53));
    }
}
