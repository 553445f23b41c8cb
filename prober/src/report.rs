//! One report value; each format is a pure function of it that returns bytes.

pub(crate) mod advice;
pub(crate) mod compare;
pub(crate) mod csv;
pub(crate) mod format;
mod groups;
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

use std::net::IpAddr;
use std::time::SystemTime;

use crate::diagnosis::{self, Explanation, Readings};
use crate::plan::{ProbePlan, Protocol};
use crate::tally::{Label, Tally};
use crate::verdict::{Judged, Verdict};

/// What a whole run found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// When it began.
    pub started: SystemTime,
    /// Whether it was interrupted before its end.
    pub interrupted: bool,
    /// Clusters in the order in which a matrix file names them; others follow by name.
    pub clusters: Vec<String>,
    /// One row for each source and target, in the order asked.
    pub rows: Vec<Row>,
}

/// What one source found of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where the requests started; `None` is here.
    pub source: Option<String>,
    /// The target as the person wrote it.
    pub target: String,
    /// The URL that was asked.
    pub url: String,
    /// What carried the requests.
    pub protocol: Protocol,
    /// The one address that was asked, where every address of a name is a row.
    pub address: Option<IpAddr>,
    /// What came of it.
    pub result: RowResult,
    /// What the Envoys on the way held and counted; `None` if that was not asked for.
    pub readings: Option<Readings>,
}

/// What came of one row.
#[expect(clippy::large_enum_variant, reason = "a handful of rows, most of them probed")]
#[derive(Clone, Debug, PartialEq)]
pub enum RowResult {
    /// The requests were sent.
    Probed {
        /// What came of them.
        tally: Tally,
        /// The expectations, judged.
        verdicts: Vec<Judged>,
    },
    /// The source could not probe at all.
    Unreachable {
        /// Why, one line.
        reason: String,
    },
}

impl Row {
    /// The row of a plan.
    #[must_use]
    pub fn new(source: Option<String>, plan: &ProbePlan, result: RowResult) -> Self {
        let target = &plan.target;
        Self {
            source,
            target: target.given.clone(),
            url: target.url.clone(),
            protocol: plan.protocol,
            address: plan.select.only(),
            result,
            readings: None,
        }
    }

    /// The same with what was read of the Envoys on the way.
    #[must_use]
    pub fn with(self, readings: Option<Readings>) -> Self {
        Self { readings, ..self }
    }

    /// At which hop a skew arose, and why, where that was asked for.
    #[must_use]
    pub fn explanation(&self) -> Option<Explanation> {
        Some(diagnosis::explain(self.readings.as_ref()?, self.tally(), self.verdicts()))
    }

    /// The row's heading.
    #[must_use]
    pub fn heading(&self) -> String {
        heading(self.source.as_deref(), &self.target_shown())
    }

    /// The target, with the address where it is one of several rows of a name.
    #[must_use]
    pub fn target_shown(&self) -> String {
        match self.address {
            Some(address) => format!("{} ({address})", self.target),
            None => self.target.clone(),
        }
    }

    /// The expectations, judged; none where the source could not probe.
    #[must_use]
    pub fn verdicts(&self) -> &[Judged] {
        match &self.result {
            RowResult::Probed { verdicts, .. } => verdicts,
            RowResult::Unreachable { .. } => &[],
        }
    }

    /// The row's tally, if its source could probe.
    #[must_use]
    pub fn tally(&self) -> Option<&Tally> {
        match &self.result {
            RowResult::Probed { tally, .. } => Some(tally),
            RowResult::Unreachable { .. } => None,
        }
    }

    /// The worst verdict of the row. A source that cannot be reached has failed.
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
    /// All clusters that were named or seen: the named ones first, others by name.
    #[must_use]
    pub fn all_clusters(&self) -> Vec<String> {
        let mut clusters = self.clusters.clone();
        let tallies = self.rows.iter().filter_map(Row::tally);
        let seen = tallies.flat_map(|tally| tally.answers_by(Label::Cluster).into_keys());
        let others: std::collections::BTreeSet<_> =
            seen.map(std::borrow::Cow::into_owned).collect();
        clusters.extend(others.into_iter().filter(|other| !self.clusters.contains(other)));
        clusters
    }

    /// The exit code: 0 met, 1 missed, 3 inconclusive, 130 interrupted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.interrupted {
            return 130;
        }
        match self.rows.iter().map(Row::verdict).max() {
            Some(Verdict::Pass) => 0,
            Some(Verdict::Fail) => 1,
            Some(Verdict::Inconclusive) | None => 3,
        }
    }
}

/// The heading that the original `make echo-status` gives to a source and a target.
#[must_use]
pub(crate) fn heading(source: Option<&str>, target: &str) -> String {
    match source {
        Some(source) => format!("from {source}: curl {target}"),
        None => format!("curl {target}"),
    }
}
