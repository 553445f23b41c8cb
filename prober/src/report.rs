//! The report: one value, and one pure function per format that renders it to bytes.

pub(crate) mod advice;
mod clean;
pub(crate) mod compare;
pub(crate) mod csv;
pub(crate) mod format;
pub(crate) mod groups;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod markdown;
pub(crate) mod merge;
pub(crate) mod prometheus;
pub(crate) mod rounds;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod text;
mod transport;
pub(crate) mod warnings;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::SystemTime;

use crate::diagnosis::{self, Explanation, Readings};
use crate::plan::{ProbePlan, Protocol};
use crate::tally::Tally;
use crate::units::count;
use crate::verdict::{Judged, Verdict};

/// The results of a whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The id of the run that it is a part of (`--run-id`).
    pub run_id: Option<String>,
    /// When the run began.
    pub started: SystemTime,
    /// Whether the run was interrupted; then the report is partial.
    pub interrupted: bool,
    /// Whether it is that of a matrix file: then the text keeps the form of `make echo-status`.
    pub matrix: bool,
    /// Clusters in the order of the matrix file; other clusters follow by name.
    pub clusters: Vec<String>,
    /// One row for each source and target, in the order of the file or the flags.
    pub rows: Vec<Row>,
}

/// The results of one source and one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The source of the requests; `None` for this machine.
    pub source: Option<String>,
    /// The target as the user wrote it.
    pub target: String,
    /// The URL of the requests.
    pub url: String,
    /// The `Host` header, if `-H` sets another one than the URL's.
    pub host: Option<String>,
    pub protocol: Protocol,
    /// The only address of this row, if each address of a name has a row.
    pub address: Option<IpAddr>,
    pub result: RowResult,
    /// The clusters that answered this row in the earlier report that this one replaces, and do not
    /// answer now.
    pub gone: Vec<String>,
    /// The configuration and counters of the Envoys on the path; `None` without `--explain`.
    pub readings: Option<Readings>,
}

#[expect(clippy::large_enum_variant, reason = "a handful of rows, most of them probed")]
#[derive(Clone, Debug, PartialEq)]
pub enum RowResult {
    /// Requests were sent.
    Probed { tally: Tally, verdicts: Vec<Judged> },
    /// The source could not probe at all.
    Unreachable {
        /// Why, in one line.
        reason: String,
        /// Whether the cause is how the prober was called, so that it never began: a wrong setting of
        /// the source, or `--wait` that was over. Nothing in the mesh is to blame.
        could_not_run: bool,
    },
}

impl Row {
    #[must_use]
    pub fn new(source: Option<String>, plan: &ProbePlan, result: RowResult) -> Self {
        let target = &plan.target;
        let mut row = Self {
            source,
            target: target.given.clone(),
            url: target.url.clone(),
            host: plan.own_host(),
            protocol: plan.protocol,
            address: plan.select.only(),
            result,
            gone: Vec::new(),
            readings: None,
        };
        row.clean();
        row
    }

    /// Sets the readings.
    #[must_use]
    pub fn with(self, readings: Option<Readings>) -> Self {
        Self { readings, ..self }
    }

    /// At which hop a skew arose, and why; `None` without `--explain`.
    #[must_use]
    pub fn explanation(&self) -> Option<Explanation> {
        Some(diagnosis::explain(self.readings.as_ref()?, self.tally(), self.verdicts()))
    }

    /// `from SOURCE: curl TARGET`.
    #[must_use]
    pub fn heading(&self) -> String {
        heading(self.source.as_deref(), &self.target_shown())
    }

    /// The target, with its address if each address of a name has a row.
    #[must_use]
    pub fn target_shown(&self) -> String {
        match self.address {
            Some(address) => format!("{} ({address})", self.target),
            None => self.target.clone(),
        }
    }

    /// The judged expectations; empty if the source could not probe.
    #[must_use]
    pub fn verdicts(&self) -> &[Judged] {
        match &self.result {
            RowResult::Probed { verdicts, .. } => verdicts,
            RowResult::Unreachable { .. } => &[],
        }
    }

    /// The tally; `None` if the source could not probe.
    #[must_use]
    pub fn tally(&self) -> Option<&Tally> {
        match &self.result {
            RowResult::Probed { tally, .. } => Some(tally),
            RowResult::Unreachable { .. } => None,
        }
    }

    /// Whether it meets its expectations: `misses 1 of 2 expectations`.
    #[must_use]
    pub(crate) fn outcome(&self) -> String {
        if self.tally().is_none() {
            return "could not be probed".to_owned();
        }
        let verdicts = self.verdicts();
        let all = match verdicts.len() {
            1 => "its expectation".to_owned(),
            n => format!("all {n} expectations"),
        };
        let with = |verdict| verdicts.iter().filter(|judged| judged.verdict == verdict).count();
        let of = |some: usize| match verdicts.len() {
            1 => "its expectation".to_owned(),
            n => format!("{some} of {n} expectations"),
        };
        match (with(Verdict::Fail), with(Verdict::Inconclusive)) {
            (0, 0) => format!("meets {all}"),
            (0, open) => format!("leaves {} undecided", of(open)),
            (missed, _) => format!("misses {}", of(missed)),
        }
    }

    /// Why the prober could not run for this row, if so.
    #[must_use]
    pub(crate) fn could_not_run(&self) -> Option<&str> {
        match &self.result {
            RowResult::Unreachable { reason, could_not_run: true } => Some(reason),
            _ => None,
        }
    }

    /// The worst verdict of the row: a fail if the source could not probe, inconclusive without
    /// expectations.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.result {
            RowResult::Unreachable { .. } => Verdict::Fail,
            RowResult::Probed { verdicts, .. } => {
                verdicts.iter().map(|judged| judged.verdict).max().unwrap_or(Verdict::Inconclusive)
            }
        }
    }
}

impl Report {
    /// Notes the clusters that answered in earlier reports and do not answer now.
    pub(crate) fn remember(&mut self, earlier: &[Self]) {
        for row in &mut self.rows {
            let same = |one: &&Row| {
                (&one.source, &one.target, one.address) == (&row.source, &row.target, row.address)
            };
            let before = earlier.iter().flat_map(|report| &report.rows).filter(same);
            let clusters = |row: &Row| {
                let known = row.tally().into_iter().flat_map(|tally| tally.backends.keys());
                let known = known.map(|who| who.cluster.clone());
                known.chain(row.gone.iter().cloned()).collect::<BTreeSet<_>>()
            };
            // What was gone before is not forgotten.
            let before: BTreeSet<_> = before.flat_map(clusters).collect();
            row.gone.clear();
            row.gone = before.difference(&clusters(row)).cloned().collect();
        }
    }

    /// The clusters of the report, then all other clusters that answered, by name.
    #[must_use]
    pub fn all_clusters(&self) -> Vec<String> {
        all_clusters(&self.clusters, &self.rows)
    }

    /// The worst verdict of all rows; inconclusive without rows.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        worst(&self.rows)
    }

    /// How many rows meet their expectations, miss them, and are inconclusive.
    #[must_use]
    pub(crate) fn summary(&self) -> String {
        let rows = self.rows.len();
        let with = |verdict| self.rows.iter().filter(|row| row.verdict() == verdict).count();
        match (with(Verdict::Fail), with(Verdict::Inconclusive)) {
            (0, 0) => format!("all {rows} rows meet their expectations"),
            (0, open) => format!("{open} of {rows} rows inconclusive"),
            (missed, 0) => format!("{missed} of {rows} rows miss their expectations"),
            (missed, open) => {
                format!("{missed} of {rows} rows miss their expectations, {open} inconclusive")
            }
        }
    }

    /// The exit code: 0 met, 1 missed, 2 the prober could not run for a row, 3 inconclusive, 130
    /// interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.interrupted {
            return 130;
        }
        if self.rows.iter().any(|row| row.could_not_run().is_some()) {
            return 2;
        }
        match self.verdict() {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Inconclusive => 3,
        }
    }
}

/// What verdicts claim, in one sentence; `None` if no verdict is statistical.
#[must_use]
pub(crate) fn claim(report: &Report) -> Option<&'static str> {
    let all = report.rows.iter().flat_map(Row::verdicts);
    let mut sure = all.filter(|judged| judged.verdict != Verdict::Inconclusive);
    sure.any(|judged| judged.expectation.is_statistical()).then_some(
        "A verdict holds for the run's average; unless it says 'about this run only', also beyond \
         the run if an answer depends on at most --dependence others (100).",
    )
}

/// A word of a command, quoted for a shell if it needs to be: it may come from a response.
pub(crate) fn shell_word(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| format!("{word:?}"), Cow::into_owned)
}

/// Each text once, after the heading of its row: `curl a: TEXT`, `curl a and 2 more rows: TEXT`.
pub(crate) fn with_rows(all: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut texts: Vec<(String, String, u64)> = Vec::new();
    for (heading, text) in all {
        match texts.iter_mut().find(|(_, known, _)| *known == text) {
            Some((_, _, rows)) => *rows += 1,
            None => texts.push((heading, text, 1)),
        }
    }
    let line = |(heading, text, rows): (String, String, u64)| match rows {
        1 => format!("{heading}: {text}"),
        rows => format!("{heading} and {}: {text}", count(rows - 1, "more row")),
    };
    texts.into_iter().map(line).collect()
}

/// The worst verdict of rows; inconclusive without rows.
pub(crate) fn worst<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Verdict {
    rows.into_iter().map(Row::verdict).max().unwrap_or(Verdict::Inconclusive)
}

/// The named clusters, then all other clusters that answered, by name.
pub(crate) fn all_clusters<'a>(
    named: &[String],
    rows: impl IntoIterator<Item = &'a Row>,
) -> Vec<String> {
    let known: BTreeSet<_> = named.iter().map(String::as_str).collect();
    let identities = rows.into_iter().filter_map(Row::tally).flat_map(|t| t.backends.keys());
    let seen: BTreeSet<_> = identities.map(|who| who.cluster.as_str()).collect();
    let others = seen.difference(&known).map(|name| (*name).to_owned());
    named.iter().cloned().chain(others).collect()
}

/// The heading of a source and a target, as `make echo-status` prints it.
#[must_use]
pub(crate) fn heading(source: Option<&str>, target: &str) -> String {
    match source {
        Some(source) => format!("from {source}: curl {target}"),
        None => format!("curl {target}"),
    }
}
