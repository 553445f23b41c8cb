//! A report in the text format of Prometheus. [`counts`] limits the number of series. Metrics are
//! documented in their `HELP`. Pure.
//!
//! Counters count everything since the start, gauges describe the report. For `prober watch` the
//! report is the window; for a run both cover the whole run.

pub(crate) mod counts;
mod exposition;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::groups::Shares;
use super::rounds::{Rhythm, Rounds};
use super::{Report, Row};
use crate::tally::outcome::FailureKind;
use crate::tally::{Label, Tally};
use crate::verdict::{Rules, Sampling, Verdict};
use counts::{BOUNDS, Counts, MOST_CLUSTERS, OTHER};
use exposition::{Exposition, Kind};

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The label of rows without a source.
pub(crate) const HERE: &str = "here";

/// One row and its counters.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    /// The source of the gauges.
    pub row: &'a Row,
    /// The counters; they limit the number of series.
    pub counts: Cow<'a, Counts>,
    /// The rules of the intervals.
    pub rules: Cow<'a, Rules>,
    /// The rounds of `prober watch`.
    pub rounds: Option<&'a Rounds>,
}

/// The exposition of a report. Intervals of shares have the default confidence.
#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let series: Vec<_> = report.rows.iter().map(Series::of).collect();
    expose(report.started, &report.clusters, None, &series)
}

impl<'a> Series<'a> {
    /// The series of a run.
    fn of(row: &'a Row) -> Self {
        let counts = row.tally().map(|tally| Counts::of(tally).bounded()).unwrap_or_default();
        let stopped = row.tally().is_some_and(|tally| tally.stopped.is_some());
        let sampling = if stopped { Sampling::UntilDecided } else { Sampling::Fixed };
        let rules = Rules { sampling, ..Rules::default() };
        Self { row, counts: Cow::Owned(counts), rules: Cow::Owned(rules), rounds: None }
    }

    /// Whether the source could probe in the last round; `None` before it.
    fn up(&self) -> Option<bool> {
        match self.rounds {
            Some(rounds) => rounds.last.as_ref().map(|round| round.probed),
            None => Some(self.row.tally().is_some()),
        }
    }

    /// The clusters that have a share: those that answer, and those that should.
    fn clusters(&self, named: &[String]) -> BTreeSet<String> {
        let expected = self.row.verdicts().iter().map(|one| {
            one.expectation.clusters().into_iter().map(str::to_owned).collect::<Vec<_>>()
        });
        let known = self.counts.backends.keys().map(|backend| backend.cluster.clone());
        let named = named.iter().cloned().chain(expected.flatten()).chain(known);
        let names = named.map(|name| counts::name(&name)).filter(|name| name != OTHER);
        let mut clusters = BTreeSet::new();
        for name in names {
            if clusters.len() < MOST_CLUSTERS {
                clusters.insert(name);
            }
        }
        clusters
    }
}

#[derive(Debug)]
struct Share {
    cluster: String,
    share: f64,
    /// `None` for the sum of other clusters.
    interval: Option<(f64, f64)>,
}

/// The share of each cluster; empty without answers.
fn shares(series: &Series<'_>, tally: &Tally, named: &[String]) -> Vec<Share> {
    let answers = tally.answers();
    if answers == 0 {
        return Vec::new();
    }
    let of_clusters = Shares::new(tally, &series.rules, Label::Cluster);
    // Clusters with the same cut name share a series.
    let mut by_cluster: BTreeMap<String, (&str, u64)> = BTreeMap::new();
    for (cluster, count) in of_clusters.answers() {
        by_cluster.entry(counts::name(cluster)).or_insert((cluster, 0)).1 += count;
    }
    let of = |cluster: String| {
        let (name, count) = by_cluster.get(&cluster).copied().unwrap_or((&cluster, 0));
        let interval = Some(of_clusters.of(name).between);
        Share { share: count as f64 / answers as f64, interval, cluster }
    };
    let mut shares: Vec<_> = series.clusters(named).into_iter().map(of).collect();
    let others = 1.0 - shares.iter().map(|share| share.share).sum::<f64>();
    let told: BTreeSet<_> = shares.iter().map(|share| share.cluster.as_str()).collect();
    if by_cluster.keys().any(|cluster| !told.contains(cluster.as_str())) {
        shares.push(Share { cluster: OTHER.to_owned(), share: others.max(0.0), interval: None });
    }
    shares
}

/// The source and target labels of each row. Rows with the same source and target are numbered.
fn names(series: &[Series<'_>]) -> Vec<(String, String)> {
    let mut seen: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut names = Vec::new();
    for one in series {
        let source = counts::name(one.row.source.as_deref().unwrap_or(HERE));
        let target = counts::name(&one.row.target_shown());
        let count = seen.entry((source.clone(), target.clone())).or_default();
        *count += 1;
        let target = if *count > 1 { format!("{target} #{count}") } else { target };
        names.push((source, target));
    }
    names
}

/// The labels of a row, and more labels.
fn with<'a, const N: usize>(
    name: &'a (String, String),
    more: [(&'static str, &'a str); N],
) -> Vec<(&'static str, &'a str)> {
    let mut labels = vec![("source", name.0.as_str()), ("target", name.1.as_str())];
    labels.extend(more);
    labels
}

/// The exposition of rows. The clusters in `named` have a share even if they do not answer.
#[must_use]
pub(crate) fn expose(
    started: SystemTime,
    named: &[String],
    rhythm: Option<Rhythm>,
    series: &[Series<'_>],
) -> Vec<u8> {
    let names = names(series);
    let rows: Vec<_> = names.iter().zip(series).collect();
    let mut text = Exposition::default();
    about(&mut text, started, rhythm);
    requests(&mut text, &rows);
    answers(&mut text, &rows);
    share_gauges(&mut text, &rows, named);
    verdicts(&mut text, &rows);
    if rhythm.is_some() {
        rounds(&mut text, &rows);
    }
    text.into_bytes()
}

/// The labels of a row and its series.
type Named<'a> = (&'a (String, String), &'a Series<'a>);

fn about(text: &mut Exposition, started: SystemTime, rhythm: Option<Rhythm>) {
    let mut family = text.family(
        "prober_build_info",
        Kind::Gauge,
        "Always 1. The label is the version of prober.",
    );
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    text.family(
        "prober_started_timestamp_seconds",
        Kind::Gauge,
        "Unix time at which probing started.",
    )
    .sample(&[], seconds_since_epoch(started));
    if let Some(Rhythm { interval, window }) = rhythm {
        let help = "Time from the start of a round to the start of the next.";
        text.family("prober_interval_seconds", Kind::Gauge, help)
            .sample(&[], interval.as_secs_f64());
        let help = "Length of the window that shares and verdicts cover.";
        text.family("prober_window_seconds", Kind::Gauge, help).sample(&[], window.as_secs_f64());
    }
}

fn requests(text: &mut Exposition, rows: &[Named<'_>]) {
    let help = "Requests that ended, by result.";
    let mut family = text.family("prober_requests_total", Kind::Counter, help);
    for (name, series) in rows {
        let failed: u64 = series.counts.failures.iter().sum();
        for (result, count) in [("answered", series.counts.answered), ("failed", failed)] {
            family.sample(&with(name, [("result", result)]), count);
        }
    }
    let help = "Failed requests, by kind of failure.";
    let mut family = text.family("prober_failures_total", Kind::Counter, help);
    for (name, series) in rows {
        for (kind, count) in FailureKind::ALL.into_iter().zip(series.counts.failures) {
            family.sample(&with(name, [("kind", kind.word())]), count);
        }
    }
    let help = "Failed requests of the kind status, by status code.";
    let mut family = text.family("prober_failed_responses_total", Kind::Counter, help);
    for (name, series) in rows {
        for (code, count) in &series.counts.codes {
            family.sample(&with(name, [("code", code.as_str())]), *count);
        }
    }
    let help =
        "Copies of answers, such as from a cache. They are failures of the kind unidentified.";
    let mut family = text.family("prober_copies_total", Kind::Counter, help);
    for (name, series) in rows {
        family.sample(&with(name, []), series.counts.copies);
    }
    let help = "Answers that needed a retry by an Envoy.";
    let mut family = text.family("prober_retried_answers_total", Kind::Counter, help);
    for (name, series) in rows {
        family.sample(&with(name, []), series.counts.retried);
    }
    let help = "TCP connections that prober opened.";
    let mut family = text.family("prober_connections_total", Kind::Counter, help);
    for (name, series) in rows {
        family.sample(&with(name, []), series.counts.connections);
    }
}

fn answers(text: &mut Exposition, rows: &[Named<'_>]) {
    let help = "Answers, by cluster and pod. Beyond 30 pods of a target, the other pods of a \
                cluster count as the pod other.";
    let mut family = text.family("prober_answers_total", Kind::Counter, help);
    for (name, series) in rows {
        for (backend, answers) in &series.counts.backends {
            let who =
                [("backend_cluster", backend.cluster.as_str()), ("backend_pod", &backend.pod)];
            family.sample(&with(name, who), answers.count);
        }
    }
    let help = "Failed requests whose response names its backend, by cluster and pod.";
    let mut family = text.family("prober_backend_failures_total", Kind::Counter, help);
    for (name, series) in rows {
        for (backend, answers) in series.counts.backends.iter().filter(|(_, a)| a.failed > 0) {
            let who =
                [("backend_cluster", backend.cluster.as_str()), ("backend_pod", &backend.pod)];
            family.sample(&with(name, who), answers.failed);
        }
    }
    let help = "Time from the scheduled start of a request to the end of its answer, by cluster and \
                pod; accurate to 0.1 %.";
    let mut family = text.family("prober_answer_duration_seconds", Kind::Histogram, help);
    let bounds = BOUNDS.map(|us| Duration::from_micros(us).as_secs_f64().to_string());
    for (name, series) in rows {
        for (backend, answers) in &series.counts.backends {
            let who =
                [("backend_cluster", backend.cluster.as_str()), ("backend_pod", &backend.pod)];
            let labels = with(name, who);
            let mut count = 0;
            let ends = bounds.iter().map(String::as_str).chain(["+Inf"]);
            for (bound, bucket) in ends.zip(answers.buckets) {
                count += bucket;
                let mut labels = labels.clone();
                labels.push(("le", bound));
                family.suffixed("_bucket", &labels, count);
            }
            family.suffixed("_sum", &labels, answers.sum.as_secs_f64());
            family.suffixed("_count", &labels, count);
        }
    }
}

fn share_gauges(text: &mut Exposition, rows: &[Named<'_>], named: &[String]) {
    let shares: Vec<(&Named<'_>, Vec<Share>)> = rows
        .iter()
        .filter_map(|row| Some((row, shares(row.1, row.1.row.tally()?, named))))
        .collect();
    let mut gauge = |metric, help, value: &dyn Fn(&Share) -> Option<f64>| {
        let mut family = text.family(metric, Kind::Gauge, help);
        for ((name, _), shares) in &shares {
            for share in shares {
                if let Some(value) = value(share) {
                    family.sample(&with(name, [("backend_cluster", &share.cluster)]), value);
                }
            }
        }
    };
    let help = "Share of the answers of a target that a cluster gave, 0 to 1.";
    gauge("prober_share_ratio", help, &|share| Some(share.share));
    let help = "Lower bound of the true share of a cluster, at the confidence of the verdicts.";
    gauge("prober_share_lower_bound_ratio", help, &|share| Some(share.interval?.0));
    let help = "Upper bound of the true share of a cluster, at the confidence of the verdicts.";
    gauge("prober_share_upper_bound_ratio", help, &|share| Some(share.interval?.1));
}

/// The states of a verdict. One of the three series is 1, the others are 0.
const STATES: [(&str, Verdict); 3] =
    [("pass", Verdict::Pass), ("fail", Verdict::Fail), ("inconclusive", Verdict::Inconclusive)];

fn verdicts(text: &mut Exposition, rows: &[Named<'_>]) {
    let help = "1 for the verdict on an expectation, 0 for the other two verdicts.";
    let mut family = text.family("prober_verdict", Kind::Gauge, help);
    for (name, series) in rows {
        let mut seen = BTreeSet::new();
        for judged in series.row.verdicts() {
            let expectation = judged.expectation.to_string();
            if !seen.insert(expectation.clone()) {
                continue;
            }
            for (state, verdict) in STATES {
                let labels = [("expectation", expectation.as_str()), ("verdict", state)];
                family.sample(&with(name, labels), judged.verdict == verdict);
            }
        }
    }
    let help = "1 for the worst verdict of a target, 0 for the other two verdicts. A target whose \
                source cannot probe fails.";
    let mut family = text.family("prober_target_verdict", Kind::Gauge, help);
    for (name, series) in rows {
        for (state, verdict) in STATES {
            family.sample(&with(name, [("verdict", state)]), series.row.verdict() == verdict);
        }
    }
    let help = "1 if the source could probe in the last round, 0 if not.";
    let mut family = text.family("prober_source_up", Kind::Gauge, help);
    for (name, series) in rows {
        if let Some(up) = series.up() {
            family.sample(&with(name, []), up);
        }
    }
}

fn rounds(text: &mut Exposition, rows: &[Named<'_>]) {
    let all = || rows.iter().filter_map(|(name, series)| Some((*name, series.rounds?)));
    let help = "Rounds that ended, by whether the source could probe.";
    let mut family = text.family("prober_rounds_total", Kind::Counter, help);
    for (name, rounds) in all() {
        for (result, count) in [("probed", rounds.probed), ("unreachable", rounds.unreachable)] {
            family.sample(&with(name, [("result", result)]), count);
        }
    }
    let last = || all().filter_map(|(name, rounds)| Some((name, rounds.last.as_ref()?)));
    let help = "Unix time at which the last round ended.";
    let mut family = text.family("prober_last_round_timestamp_seconds", Kind::Gauge, help);
    for (name, round) in last() {
        family.sample(&with(name, []), seconds_since_epoch(round.ended));
    }
    let help = "Duration of the last round.";
    let mut family = text.family("prober_last_round_duration_seconds", Kind::Gauge, help);
    for (name, round) in last() {
        family.sample(&with(name, []), round.took.as_secs_f64());
    }
}

fn seconds_since_epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
