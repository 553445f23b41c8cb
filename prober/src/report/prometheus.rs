//! A report as Prometheus' text exposition: one series for each row and what it counts, never
//! more of them than [`counts`] allows. Metrics and labels are documented in their `HELP`. Pure.
//!
//! Counters are of all that was ever counted, gauges of the report: for a run that ended both are
//! the same, while `prober watch` goes on, gauges are of its window.

pub(crate) mod counts;
mod exposition;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::rounds::{Rhythm, Rounds};
use super::{Report, Row, RowResult};
use crate::tally::outcome::FailureKind;
use crate::tally::{Label, Tally};
use crate::verdict::{Evidence, Judged, Rules, Sampling, Verdict};
use counts::{BOUNDS, Counts, MOST_CLUSTERS, OTHER};
use exposition::{Exposition, Kind};

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The source of a row that is asked from here.
pub(crate) const HERE: &str = "here";

/// One row, and what is counted beyond its report.
#[derive(Clone, Debug)]
pub(crate) struct Series<'a> {
    /// The row: its gauges.
    pub row: &'a Row,
    /// Its counters; they bound the series.
    pub counts: Cow<'a, Counts>,
    /// How shares are judged, and so how wide their intervals are.
    pub rules: Cow<'a, Rules>,
    /// Its rounds, where it is asked again and again.
    pub rounds: Option<&'a Rounds>,
}

/// A whole report; intervals of shares are at the default confidence.
#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let series: Vec<_> = report.rows.iter().map(Series::of).collect();
    expose(report.started, &report.clusters, None, &series)
}

impl<'a> Series<'a> {
    /// A row that was asked once.
    fn of(row: &'a Row) -> Self {
        let counts = row.tally().map(|tally| Counts::of(tally).bounded()).unwrap_or_default();
        let stopped = row.tally().is_some_and(|tally| tally.stopped.is_some());
        let sampling = if stopped { Sampling::UntilDecided } else { Sampling::Fixed };
        let rules = Rules { sampling, ..Rules::default() };
        Self { row, counts: Cow::Owned(counts), rules: Cow::Owned(rules), rounds: None }
    }

    fn verdicts(&self) -> &[Judged] {
        match &self.row.result {
            RowResult::Probed { verdicts, .. } => verdicts,
            RowResult::Unreachable { .. } => &[],
        }
    }

    /// Whether its source could probe when it was last asked to.
    fn up(&self) -> Option<bool> {
        match self.rounds {
            Some(rounds) => rounds.last.as_ref().map(|round| round.probed),
            None => Some(self.row.tally().is_some()),
        }
    }

    /// The clusters whose share is told: those that answer, and those that should.
    fn clusters(&self, named: &[String]) -> BTreeSet<String> {
        let expected = self.verdicts().iter().map(|one| {
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

/// A share and between which it is.
#[derive(Debug)]
struct Share {
    cluster: String,
    share: f64,
    /// None of those that are counted together.
    interval: Option<(f64, f64)>,
}

/// The share of each cluster in a tally; none without answers.
fn shares(series: &Series<'_>, tally: &Tally, named: &[String]) -> Vec<Share> {
    let answers = tally.answers();
    if answers == 0 {
        return Vec::new();
    }
    let mut by_cluster: BTreeMap<String, (Cow<'_, str>, u64)> = BTreeMap::new();
    for (cluster, count) in tally.answers_by(Label::Cluster) {
        by_cluster.entry(counts::name(&cluster)).or_insert((cluster, 0)).1 += count;
    }
    let evidence = Evidence::new(tally, &series.rules);
    let unseen = evidence.absent(Label::Cluster);
    let of = |cluster: String| {
        let (worth, count) = match by_cluster.get(&cluster) {
            Some((name, count)) => (evidence.worth(Label::Cluster, name), *count),
            None => (unseen, 0),
        };
        let share = count as f64 / answers as f64;
        Share { cluster, share, interval: Some(evidence.interval(worth)) }
    };
    let mut shares: Vec<_> = series.clusters(named).into_iter().map(of).collect();
    let others = 1.0 - shares.iter().map(|share| share.share).sum::<f64>();
    let told: BTreeSet<_> = shares.iter().map(|share| share.cluster.as_str()).collect();
    if by_cluster.keys().any(|cluster| !told.contains(cluster.as_str())) {
        shares.push(Share { cluster: OTHER.to_owned(), share: others.max(0.0), interval: None });
    }
    shares
}

/// The labels that tell rows apart, for each row. Two that are asked for the same thing, such
/// as with another header, are numbered.
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

/// A row's labels, and more of them.
fn with<'a, const N: usize>(
    name: &'a (String, String),
    more: [(&'static str, &'a str); N],
) -> Vec<(&'static str, &'a str)> {
    let mut labels = vec![("source", name.0.as_str()), ("target", name.1.as_str())];
    labels.extend(more);
    labels
}

/// The exposition of rows. `named` are clusters whose shares are told even if they are zero.
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

/// A row's labels and what there is of it.
type Named<'a> = (&'a (String, String), &'a Series<'a>);

fn about(text: &mut Exposition, started: SystemTime, rhythm: Option<Rhythm>) {
    let mut family =
        text.family("prober_build_info", Kind::Gauge, "Always 1; the label says which build.");
    family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    text.family("prober_started_timestamp_seconds", Kind::Gauge, "When probing began.")
        .sample(&[], seconds_since_epoch(started));
    if let Some(Rhythm { interval, window }) = rhythm {
        let help = "From the beginning of a round of requests to that of the next.";
        text.family("prober_interval_seconds", Kind::Gauge, help)
            .sample(&[], interval.as_secs_f64());
        let help = "How far back shares and verdicts look.";
        text.family("prober_window_seconds", Kind::Gauge, help).sample(&[], window.as_secs_f64());
    }
}

fn requests(text: &mut Exposition, rows: &[Named<'_>]) {
    let help = "Requests that ended, by whether an echo answered.";
    let mut family = text.family("prober_requests_total", Kind::Counter, help);
    for (name, series) in rows {
        let failed: u64 = series.counts.failures.iter().sum();
        for (result, count) in [("answered", series.counts.answered), ("failed", failed)] {
            family.sample(&with(name, [("result", result)]), count);
        }
    }
    let help = "Requests that no echo answered, by kind of failure.";
    let mut family = text.family("prober_failures_total", Kind::Counter, help);
    for (name, series) in rows {
        for (kind, count) in FailureKind::ALL.into_iter().zip(series.counts.failures) {
            family.sample(&with(name, [("kind", kind.word())]), count);
        }
    }
    let help = "Answers that were not the nearest Envoy's first attempt.";
    let mut family = text.family("prober_retried_answers_total", Kind::Counter, help);
    for (name, series) in rows {
        family.sample(&with(name, []), series.counts.retried);
    }
    let help = "TCP connections that were opened.";
    let mut family = text.family("prober_connections_total", Kind::Counter, help);
    for (name, series) in rows {
        family.sample(&with(name, []), series.counts.connections);
    }
}

fn answers(text: &mut Exposition, rows: &[Named<'_>]) {
    let help = "Answers, by the cluster and pod that gave them; beyond 30 pods the others of a \
                cluster are the pod other.";
    let mut family = text.family("prober_answers_total", Kind::Counter, help);
    for (name, series) in rows {
        for (backend, answers) in &series.counts.backends {
            let who =
                [("backend_cluster", backend.cluster.as_str()), ("backend_pod", &backend.pod)];
            family.sample(&with(name, who), answers.count);
        }
    }
    let help = "From the instant at which a request should have started to the end of its answer, \
                by backend; told apart to 0.1 %.";
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
    let help = "The part of the answers that a cluster gave, 0 to 1.";
    gauge("prober_share_ratio", help, &|share| Some(share.share));
    let help = "What a cluster's true share is at least, at the confidence of verdicts.";
    gauge("prober_share_lower_bound_ratio", help, &|share| Some(share.interval?.0));
    let help = "What a cluster's true share is at most, at the confidence of verdicts.";
    gauge("prober_share_upper_bound_ratio", help, &|share| Some(share.interval?.1));
}

/// The states of a verdict; of the series of each, one is 1 and the others are 0.
const STATES: [(&str, Verdict); 3] =
    [("pass", Verdict::Pass), ("fail", Verdict::Fail), ("inconclusive", Verdict::Inconclusive)];

fn verdicts(text: &mut Exposition, rows: &[Named<'_>]) {
    let help = "1 for the verdict on an expectation, 0 for the other two.";
    let mut family = text.family("prober_verdict", Kind::Gauge, help);
    for (name, series) in rows {
        let mut seen = BTreeSet::new();
        for judged in series.verdicts().iter() {
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
    let help = "1 for the worst verdict of a target, 0 for the other two; a source that could not \
                probe has failed.";
    let mut family = text.family("prober_target_verdict", Kind::Gauge, help);
    for (name, series) in rows {
        for (state, verdict) in STATES {
            family.sample(&with(name, [("verdict", state)]), series.row.verdict() == verdict);
        }
    }
    let help = "1 if the source could probe when it was last asked to, 0 if not.";
    let mut family = text.family("prober_source_up", Kind::Gauge, help);
    for (name, series) in rows {
        if let Some(up) = series.up() {
            family.sample(&with(name, []), up);
        }
    }
}

fn rounds(text: &mut Exposition, rows: &[Named<'_>]) {
    let all = || rows.iter().filter_map(|(name, series)| Some((*name, series.rounds?)));
    let help = "Rounds of requests that ended, by whether the source could probe.";
    let mut family = text.family("prober_rounds_total", Kind::Counter, help);
    for (name, rounds) in all() {
        for (result, count) in [("probed", rounds.probed), ("unreachable", rounds.unreachable)] {
            family.sample(&with(name, [("result", result)]), count);
        }
    }
    let last = || all().filter_map(|(name, rounds)| Some((name, rounds.last.as_ref()?)));
    let help = "When the last round ended.";
    let mut family = text.family("prober_last_round_timestamp_seconds", Kind::Gauge, help);
    for (name, round) in last() {
        family.sample(&with(name, []), seconds_since_epoch(round.ended));
    }
    let help = "How long the last round took.";
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
