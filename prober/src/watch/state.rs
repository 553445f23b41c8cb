//! The state of `prober watch`: windows, counters and current verdicts of all rows. Pure: callers
//! pass the time.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::lifetime::Lifetime;
use super::window::Window;
use crate::expectation::Expectation;
use crate::matrix;
use crate::report::prometheus::{self, Series};
use crate::report::rounds::{Rhythm, Round};
use crate::report::{self, Report, Row};
use crate::tally::Tally;
use crate::verdict::Verdict;

#[derive(Debug)]
pub(crate) struct State {
    /// The start of `prober watch`.
    pub started: SystemTime,
    pub rhythm: Rhythm,
    /// The clusters of the matrix file, in its order.
    clusters: Vec<String>,
    /// The same clusters, then those that expectations name.
    named: Vec<String>,
    rows: Vec<Watched>,
}

#[derive(Debug)]
pub(crate) struct Watched {
    asked: matrix::Row,
    window: Window,
    lifetime: Lifetime,
    /// Why the source could not probe in the last round, if so.
    unreachable: Option<String>,
    /// The window with its verdicts.
    row: Row,
}

/// A round that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When it ended, on the monotonic clock of the state.
    pub at: Duration,
    /// When it ended, on the wall clock.
    pub ended: SystemTime,
    pub took: Duration,
    /// The tally, or why the source could not probe.
    pub probed: Result<Tally, String>,
}

impl State {
    /// The state before the first round.
    #[must_use]
    pub(crate) fn new(matrix: matrix::file::Matrix, rhythm: Rhythm, started: SystemTime) -> Self {
        let mut named = matrix.clusters.clone();
        let expected = matrix.rows.iter().flat_map(|row| &row.plan.expectations);
        let mut known: BTreeSet<_> = named.iter().cloned().collect();
        for cluster in expected.flat_map(Expectation::clusters) {
            if known.insert(cluster.to_owned()) {
                named.push(cluster.to_owned());
            }
        }
        let rows = matrix.rows.into_iter().map(|row| Watched::new(row, rhythm.window)).collect();
        Self { started, rhythm, clusters: matrix.clusters, named, rows }
    }

    #[must_use]
    pub(crate) fn rows(&self) -> &[Watched] {
        &self.rows
    }

    /// The named clusters, then all other clusters that answered, by name.
    #[must_use]
    pub(crate) fn clusters(&self) -> Vec<String> {
        report::all_clusters(&self.named, self.rows.iter().map(Watched::row))
    }

    /// Adds a round of a row. Returns one line per change.
    pub(crate) fn add(&mut self, place: usize, round: Ended) -> Vec<String> {
        let quiet = self.rhythm.window.as_nanos() / self.rhythm.interval.as_nanos().max(1);
        let quiet = u64::try_from(quiet).unwrap_or(u64::MAX).max(1);
        self.rows[place].add(round, quiet)
    }

    /// Forgets rounds that are older than the window, and judges the changed rows again.
    pub(crate) fn refresh(&mut self, now: Duration) {
        for row in &mut self.rows {
            if row.window.forget(now) {
                row.judge();
            }
        }
    }

    /// Whether at least one round of every row has ended.
    #[must_use]
    pub(crate) fn is_ready(&self) -> bool {
        self.rows.iter().all(|row| row.lifetime.rounds().last.is_some())
    }

    /// The windows of all rows as a report.
    #[must_use]
    pub(crate) fn report(&self) -> Report {
        let rows: Vec<_> = self.rows.iter().map(|row| row.row.clone()).collect();
        let (started, clusters) = (self.started, self.clusters.clone());
        let (interrupted, matrix) = (false, rows.len() > 1);
        Report { run_id: None, started, interrupted, matrix, clusters, rows }.cleaned()
    }

    /// The metrics for Prometheus.
    #[must_use]
    pub(crate) fn metrics(&self) -> Vec<u8> {
        let series = self.rows.iter().map(|row| Series {
            row: &row.row,
            counts: Cow::Borrowed(row.lifetime.counts()),
            rules: Cow::Borrowed(&row.asked.plan.rules),
            rounds: Some(row.lifetime.rounds()),
        });
        let series: Vec<_> = series.collect();
        prometheus::expose(self.started, &self.named, Some(self.rhythm), &series)
    }
}

impl Watched {
    fn new(asked: matrix::Row, window: Duration) -> Self {
        let row = Row::new(
            asked.source.clone(),
            &asked.plan,
            matrix::judged(&asked.plan, Ok(Tally::default())),
        );
        let (window, lifetime) =
            (Window::new(window, asked.plan.rules.most_backends), Lifetime::default());
        Self { asked, window, lifetime, unreachable: None, row }
    }

    /// The window with its verdicts.
    #[must_use]
    pub(crate) fn row(&self) -> &Row {
        &self.row
    }

    #[must_use]
    pub(crate) fn rules(&self) -> &crate::verdict::Rules {
        &self.asked.plan.rules
    }

    #[must_use]
    pub(crate) fn last(&self) -> Option<&Round> {
        self.lifetime.rounds().last.as_ref()
    }

    /// Why the source could not probe in the last round, if so.
    #[must_use]
    pub(crate) fn unreachable(&self) -> Option<&str> {
        self.unreachable.as_deref()
    }

    fn add(&mut self, round: Ended, quiet: u64) -> Vec<String> {
        let Ended { at, ended, took, probed } = round;
        let seen = Round { ended, took, probed: probed.is_ok() };
        self.lifetime.add(probed.as_ref().ok(), seen, quiet);
        let was_unreachable = self.unreachable.take();
        match probed {
            Ok(tally) => self.window.add(at, tally),
            Err(reason) => {
                self.unreachable = Some(reason);
                self.window.forget(at);
            }
        }
        let before = states(&self.row);
        self.judge();
        let heading = self.row.heading();
        let mut lines = match (&was_unreachable, &self.unreachable) {
            (None, Some(reason)) => vec![format!("{heading}: the source cannot probe: {reason}")],
            (Some(_), None) => vec![format!("{heading}: the source can probe again")],
            _ => Vec::new(),
        };
        let changed = self.row.verdicts().iter().filter(|judged| {
            let state = (judged.expectation.clone(), judged.verdict);
            !before.contains(&state)
        });
        lines.extend(changed.map(|judged| {
            let (word, reason) = (judged.verdict.word(), &judged.reason);
            format!("{heading}: {word}: {}: {reason}", judged.expectation)
        }));
        lines
    }

    fn judge(&mut self) {
        let probed = match (self.window.tally(), &self.unreachable) {
            (Some(tally), _) => Ok(tally),
            (None, Some(reason)) => Err(reason.clone()),
            (None, None) => Ok(Tally::default()),
        };
        self.row = Row::new(
            self.asked.source.clone(),
            &self.asked.plan,
            matrix::judged(&self.asked.plan, probed.map_err(Into::into)),
        );
    }
}

fn states(row: &Row) -> Vec<(Expectation, Verdict)> {
    row.verdicts().iter().map(|judged| (judged.expectation.clone(), judged.verdict)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::file;
    use crate::report::samples;

    const SECOND: Duration = Duration::from_secs(1);

    fn state() -> State {
        let text = "clusters: [kops, gke1]\ntargets: [{url: a, requests: 100, min-share: 0.13, \
                    expect: ['exactly kops,gke1']}]\n";
        let matrix = file::parse("m.yaml", text, &file::Overrides::default()).unwrap();
        let rhythm = Rhythm { interval: 10 * SECOND, window: 60 * SECOND };
        State::new(matrix, rhythm, SystemTime::UNIX_EPOCH)
    }

    fn ended(second: u32, probed: Result<Tally, String>) -> Ended {
        Ended { at: second * SECOND, ended: SystemTime::UNIX_EPOCH, took: SECOND, probed }
    }

    fn well() -> Tally {
        samples::plain().rows[0].tally().unwrap().clone()
    }

    #[test]
    fn before_the_first_round_verdicts_are_inconclusive() {
        let mut state = state();
        assert!(!state.is_ready());
        assert_eq!(state.report().exit_code(), 3);
        let lines = state.add(0, ended(1, Ok(well())));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("curl a: PASS: errors = 0: "), "{lines:?}");
        assert!(lines[1].starts_with("curl a: PASS: exactly kops,gke1: "), "{lines:?}");
        assert!(state.is_ready());
        assert_eq!(state.report().exit_code(), 0);
        assert!(state.add(0, ended(11, Ok(well()))).is_empty(), "only changes are reported");
    }

    #[test]
    fn an_unreachable_source_keeps_its_verdicts_until_the_window_is_empty() {
        let mut state = state();
        state.add(0, ended(1, Ok(well())));
        let lines = state.add(0, ended(11, Err("no such pod".to_owned())));
        assert_eq!(lines, ["curl a: the source cannot probe: no such pod"]);
        assert_eq!(state.report().exit_code(), 0);
        state.refresh(62 * SECOND);
        assert_eq!(state.report().exit_code(), 1, "an unreachable source fails");
        let lines = state.add(0, ended(71, Ok(well())));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "curl a: the source can probe again");
    }

    #[test]
    fn an_empty_window_is_inconclusive() {
        let mut state = state();
        state.add(0, ended(1, Ok(well())));
        state.refresh(1000 * SECOND);
        assert_eq!(state.report().exit_code(), 3);
    }

    #[test]
    fn counters_keep_rounds_that_left_the_window() {
        let mut state = state();
        state.add(0, ended(1, Ok(well())));
        let answers = |state: &State| {
            let text = String::from_utf8(state.metrics()).unwrap();
            let line =
                |start: &str| text.lines().find(|line| line.starts_with(start)).map(str::to_owned);
            (line("prober_answers_total{").unwrap(), line("prober_share_ratio{"))
        };
        let (before, share) = answers(&state);
        assert!(share.is_some());
        state.refresh(1000 * SECOND);
        assert_eq!(answers(&state), (before, None));
    }
}
