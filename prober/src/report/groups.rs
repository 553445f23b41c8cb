//! What reports for people show by name: a few clusters, each with a colour of its own on a page,
//! and the backends of a row with the most answers, with their shares. Other groups are summed up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::LazyLock;

use echo_reply::Identity;

use crate::report::Report;
use crate::tally::{AddressTally, BackendTally, FailureGroup, Label, PassedOver, Tally};
use crate::verdict::{Evidence, Rules, Sampling, Why, Worth};

/// The clusters with a colour. The palette has as many.
pub(crate) const COLOURS: usize = 8;
/// The most backends of a row that are shown.
pub(super) const MOST_BACKENDS: usize = 50;
/// Not a valid name: names have no control characters.
const OTHERS: &str = "\0";

/// The clusters that are shown by name: first those of the report, then those with the most
/// answers.
#[derive(Debug)]
pub(super) struct Clusters<'a> {
    names: Vec<&'a str>,
    /// How many more clusters there are.
    pub(super) others: usize,
}

impl<'a> Clusters<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let mut answers: BTreeMap<&str, u64> = BTreeMap::new();
        for tally in report.rows.iter().filter_map(|row| row.tally()) {
            for (who, backend, _) in known_backends(tally) {
                *answers.entry(&who.cluster).or_default() += backend.answers;
            }
        }
        let mut named = BTreeSet::new();
        let mut names: Vec<&str> = report.clusters.iter().map(String::as_str).collect();
        names.retain(|name| named.insert(*name));
        let mut more: Vec<_> = answers.into_iter().filter(|(n, _)| !named.contains(n)).collect();
        more.sort_by_key(|(_, count)| Reverse(*count));
        let room = COLOURS.saturating_sub(names.len());
        let all = names.len() + more.len();
        more.truncate(room);
        more.sort_unstable();
        names.extend(more.into_iter().map(|(name, _)| name));
        names.truncate(COLOURS);
        Self { others: all - names.len(), names }
    }

    /// The names, in the order that all parts of a report use.
    pub(super) fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The place of a cluster among the names; other clusters are behind the last one.
    pub(super) fn place(&self, cluster: &str) -> usize {
        self.names.iter().position(|name| *name == cluster).unwrap_or(self.names.len())
    }

    /// The class of a cluster's colour in the palette.
    pub(super) fn class(&self, cluster: &str) -> String {
        class(self.place(cluster), self.names.len())
    }
}

/// The class of the colour at a place; `c0` is for clusters without a colour of their own.
pub(super) fn class(place: usize, named: usize) -> String {
    if place < named { format!("c{}", place + 1) } else { "c0".to_owned() }
}

/// The share of a group and its interval.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Share {
    /// The answers of the group.
    pub(crate) answers: u64,
    /// The share of all answers, 0 to 1.
    pub(crate) share: f64,
    /// The interval of the true share, at the confidence of the rules.
    pub(crate) between: (f64, f64),
    /// Why the answers are not independent samples, if they are not.
    pub(crate) why: Option<&'static str>,
}

/// The shares of the groups of a label. What all groups need is computed once.
#[derive(Debug)]
pub(crate) struct Shares<'a> {
    evidence: Evidence<'a>,
    label: Label,
    total: u64,
}

impl<'a> Shares<'a> {
    pub(crate) fn new(tally: &'a Tally, rules: &'a Rules, label: Label) -> Self {
        Self { evidence: Evidence::new(tally, rules), label, total: tally.answers() }
    }

    /// The groups that answered, by name, and their answers.
    pub(crate) fn answers(&self) -> &BTreeMap<String, u64> {
        self.evidence.answers(self.label)
    }

    /// The share of a group, also of one that did not answer.
    pub(crate) fn of(&self, name: &str) -> Share {
        let answers = self.answers().get(name).copied().unwrap_or(0);
        let worth = self.worth(name);
        Share {
            answers,
            share: answers as f64 / self.total.max(1) as f64,
            between: self.between(worth),
            why: worth.why.map(Why::words),
        }
    }

    /// Who gave the answers of backends that are not told apart is not known.
    fn between(&self, worth: Worth) -> (f64, f64) {
        let (least, most) = self.evidence.interval(worth);
        (least, if self.evidence.tally.folded(self.label) > 0 { 1.0 } else { most })
    }

    fn worth(&self, name: &str) -> Worth {
        match self.answers().contains_key(name) {
            true => self.evidence.worth(self.label, name),
            // It depends on the worth of all groups.
            false => self.evidence.absent(self.label),
        }
    }
}

/// The addresses that were connected to, those with the most answers first.
pub(super) fn addresses(tally: &Tally) -> Vec<(&SocketAddr, &AddressTally)> {
    let mut all: Vec<_> = tally.addresses.iter().collect();
    all.sort_by_key(|(_, counted)| Reverse(counted.answers));
    all
}

/// The addresses that were passed over, the most frequent first.
pub(super) fn passed_over(tally: &Tally) -> Vec<(&SocketAddr, &PassedOver)> {
    let mut all: Vec<_> = tally.passed_over.iter().collect();
    all.sort_by_key(|(_, over)| Reverse(over.count));
    all
}

/// The failures, the most frequent first.
pub(crate) fn failures(tally: &Tally) -> Vec<&FailureGroup> {
    let mut all: Vec<_> = tally.failures.iter().collect();
    all.sort_by_key(|group| (Reverse(group.count), group.class()));
    all
}

/// The backends with the most answers first, with those that are only known by their failures.
pub(super) fn known_backends(tally: &Tally) -> Vec<(&Identity, &BackendTally, u64)> {
    static SILENT: LazyLock<BackendTally> = LazyLock::new(BackendTally::default);
    let failed = |who: &Identity| tally.failed_by.get(who).copied().unwrap_or(0);
    let answered = tally.backends.iter().map(|(who, counted)| (who, counted, failed(who)));
    let silent = tally.failed_by.iter().filter(|(who, _)| !tally.backends.contains_key(*who));
    let mut all: Vec<_> =
        answered.chain(silent.map(|(who, failed)| (who, &*SILENT, *failed))).collect();
    all.sort_by_key(|(_, counted, failed)| Reverse((counted.answers, *failed)));
    all
}

/// The backends, those with the most answers first.
pub(crate) fn backends(tally: &Tally) -> Vec<(&Identity, &BackendTally)> {
    let mut all: Vec<_> = tally.backends.iter().collect();
    all.sort_by_key(|(_, counted)| Reverse(counted.answers));
    all
}

/// How many answers the mesh retried, for a sentence.
pub(crate) fn retries(known: Option<u64>) -> String {
    known.map_or_else(|| "retries not reported".to_owned(), |n| format!("{n} retried by the mesh"))
}

/// The same for a cell of a table.
pub(crate) fn retries_cell(known: Option<u64>) -> String {
    known.map_or_else(|| "–".to_owned(), |n| n.to_string())
}

/// A backend that is shown.
#[derive(Debug)]
pub(super) struct Backend<'a> {
    pub(super) who: &'a Identity,
    pub(super) counted: &'a BackendTally,
    pub(super) share: Share,
    /// Requests that it answered with an error that names it.
    pub(super) failed: u64,
}

/// The backends and clusters of a row.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    /// The backends with the most answers, ordered by cluster and then by answers.
    pub(super) backends: Vec<Backend<'a>>,
    /// How many more backends there are, and what they add up to.
    pub(super) folded: usize,
    pub(super) folded_answers: u64,
    pub(super) folded_connections: u64,
    pub(super) folded_failed: u64,
    /// The clusters that answered this row, each with its place. Other clusters are last.
    pub(super) clusters: Vec<(usize, Share)>,
}

impl<'a> Groups<'a> {
    pub(super) fn of(tally: &'a Tally, clusters: &Clusters<'_>) -> Self {
        let mut all = known_backends(tally);
        let rest = all.split_off(all.len().min(MOST_BACKENDS));
        all.sort_by_key(|(who, counted, _)| {
            (clusters.place(&who.cluster), &who.cluster, Reverse(counted.answers))
        });
        let places: BTreeMap<&Identity, usize> =
            all.iter().enumerate().map(|(place, (who, ..))| (*who, place)).collect();
        let small = reduced(tally, |who| {
            let pod = places.get(who).map_or_else(|| OTHERS.to_owned(), usize::to_string);
            Identity::new(pod, clusters.place(&who.cluster).to_string())
        });
        let rules = Rules {
            sampling: tally.stopped.map_or(Sampling::Fixed, |_| Sampling::UntilDecided),
            ..Rules::default()
        };
        let of_pods = Shares::new(&small, &rules, Label::Pod);
        let of_clusters = Shares::new(&small, &rules, Label::Cluster);
        let backends = all.into_iter().enumerate().map(|(place, (who, counted, failed))| Backend {
            who,
            counted,
            failed,
            share: of_pods.of(&place.to_string()),
        });
        let seen: BTreeSet<usize> =
            tally.backends.keys().map(|who| clusters.place(&who.cluster)).collect();
        let by_cluster = seen.into_iter().map(|place| (place, of_clusters.of(&place.to_string())));
        Self {
            backends: backends.collect(),
            folded: rest.len(),
            folded_answers: rest.iter().map(|(_, counted, _)| counted.answers).sum(),
            folded_failed: rest.iter().map(|(.., failed)| failed).sum(),
            folded_connections: rest.iter().map(|(_, counted, _)| counted.connections).sum(),
            clusters: by_cluster.collect(),
        }
    }
}

/// The parts of a tally that shares depend on, with other names: backends that get the same name
/// are added up. A share among 10,000 backends then costs no more than one among 50.
fn reduced(tally: &Tally, rename: impl Fn(&Identity) -> Identity) -> Tally {
    let mut small = Tally { connections: tally.connections, ..Tally::default() };
    for (who, counted) in &tally.backends {
        let sum = small.backends.entry(rename(who)).or_default();
        sum.answers += counted.answers;
        sum.retried += counted.retried;
        sum.connections += counted.connections;
    }
    small.others = tally.others.for_verdicts(false);
    small.order = tally.order.renamed(&rename);
    small
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn shares_are_those_that_verdicts_are_given_on() {
        let report = samples::plain();
        let tally = report.rows[0].tally().unwrap();
        let clusters = Clusters::of(&report);
        let groups = Groups::of(tally, &clusters);
        let rules = Rules::default();
        let shares = |label| Shares::new(tally, &rules, label);
        let (of_clusters, of_pods) = (shares(Label::Cluster), shares(Label::Pod));
        assert_eq!(clusters.names(), ["gke1", "kops"]);
        for (place, shown) in &groups.clusters {
            let direct = of_clusters.of(clusters.names()[*place]);
            assert_eq!(*shown, direct);
            assert!(direct.between.0 < direct.share && direct.share < direct.between.1);
        }
        for backend in &groups.backends {
            assert_eq!(backend.share, of_pods.of(&backend.who.pod));
        }
    }

    #[test]
    fn pods_of_the_same_name_in_two_clusters_are_two() {
        let report = samples::matrix();
        let mut tally = report.rows[0].tally().unwrap().clone();
        let (who, counted) = tally.backends.pop_first().unwrap();
        tally.backends.insert(Identity { cluster: "gke1".into(), ..who.clone() }, counted.clone());
        tally.backends.insert(who, counted);
        let groups = Groups::of(&tally, &Clusters { names: vec!["kops"], others: 1 });
        let shares: Vec<_> = groups.backends.iter().map(|b| b.share.share).collect();
        assert_eq!(shares, [0.5, 0.5]);
        let places: Vec<_> = groups.clusters.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [0, 1], "gke1 is among the others here");
    }

    #[test]
    fn backends_with_the_most_answers_are_shown_and_all_are_counted() {
        let report = samples::many_pods();
        let tally = report.rows[0].tally().unwrap();
        let groups = Groups::of(tally, &Clusters::of(&report));
        assert_eq!((groups.backends.len(), groups.folded), (MOST_BACKENDS, 50));
        let shown: u64 = groups.backends.iter().map(|backend| backend.share.answers).sum();
        assert_eq!(shown + groups.folded_answers, tally.answers());
        assert_eq!(groups.clusters[0].1.answers, tally.answers());
    }
}
