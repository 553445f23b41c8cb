//! What of a report the forms for eyes show by name: a few clusters, on a page each with a colour
//! of its own, and of each row the backends with most answers; with their shares.

use std::collections::{BTreeMap, BTreeSet};

use echo_reply::Identity;

use crate::report::Report;
use crate::tally::{BackendTally, Label, Tally};
use crate::verdict::{Evidence, Rules, Sampling};

/// So many clusters have a colour; the style sheet knows as many.
pub(super) const COLOURS: usize = 8;
/// So many backends of a row are shown.
pub(super) const MOST_BACKENDS: usize = 50;
/// What no name can be: names have no control characters.
const OTHERS: &str = "\0";

/// The clusters that are shown by name: those that were named, or answered most.
#[derive(Debug)]
pub(super) struct Clusters<'a> {
    names: Vec<&'a str>,
    /// How many there are besides.
    pub(super) others: usize,
}

impl<'a> Clusters<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let mut answers: BTreeMap<&str, u64> = BTreeMap::new();
        for tally in report.rows.iter().filter_map(|row| row.tally()) {
            for (who, backend) in &tally.backends {
                *answers.entry(&who.cluster).or_default() += backend.answers;
            }
        }
        let mut names: Vec<&str> = Vec::new();
        for name in &report.clusters {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let named: BTreeSet<_> = names.iter().copied().collect();
        let mut more: Vec<_> = answers.into_iter().filter(|(n, _)| !named.contains(n)).collect();
        more.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let room = COLOURS.saturating_sub(names.len());
        let all = names.len() + more.len();
        more.truncate(room);
        more.sort_unstable();
        names.extend(more.into_iter().map(|(name, _)| name));
        names.truncate(COLOURS);
        Self { others: all - names.len(), names }
    }

    /// Their names, in the order in which they stand everywhere.
    pub(super) fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The place of a cluster among them; behind the last one for all others.
    pub(super) fn place(&self, cluster: &str) -> usize {
        self.names.iter().position(|name| *name == cluster).unwrap_or(self.names.len())
    }

    /// The class of a cluster's colour.
    pub(super) fn class(&self, cluster: &str) -> String {
        class(self.place(cluster), self.names.len())
    }
}

/// The class of the colour at a place; `c0` is for what has none of its own.
pub(super) fn class(place: usize, named: usize) -> String {
    if place < named { format!("c{}", place + 1) } else { "c0".to_owned() }
}

/// The share of a group, and what is sure of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    /// Its answers.
    pub(super) answers: u64,
    /// Of all answers, 0 to 1.
    pub(super) share: f64,
    /// Between which the true share is, at [`crate::verdict::CONFIDENCE`].
    pub(super) between: (f64, f64),
    /// Why the answers are worth less than they are many.
    pub(super) why: Option<&'static str>,
}

/// A backend that is shown, or the sum of those that are not.
#[derive(Debug)]
pub(super) struct Backend<'a> {
    pub(super) who: &'a Identity,
    pub(super) counted: &'a BackendTally,
    pub(super) share: Share,
}

/// The backends and clusters of a row.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    /// Those with most answers, by cluster, and there by answers.
    pub(super) backends: Vec<Backend<'a>>,
    /// How many more there are.
    pub(super) folded: usize,
    /// The answers and the connections of those.
    pub(super) folded_answers: u64,
    pub(super) folded_connections: u64,
    /// The shown clusters that answered here, by their place; all others last.
    pub(super) clusters: Vec<(usize, Share)>,
}

impl<'a> Groups<'a> {
    pub(super) fn of(tally: &'a Tally, clusters: &Clusters<'_>) -> Self {
        let mut all: Vec<_> = tally.backends.iter().collect();
        all.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.answers));
        let rest = all.split_off(all.len().min(MOST_BACKENDS));
        all.sort_by_key(|(who, counted)| {
            (clusters.place(&who.cluster), &who.cluster, std::cmp::Reverse(counted.answers))
        });
        let places: BTreeMap<&Identity, usize> =
            all.iter().enumerate().map(|(place, (who, _))| (*who, place)).collect();
        let small = reduced(tally, |who| {
            let pod = places.get(who).map_or_else(|| OTHERS.to_owned(), usize::to_string);
            Identity::new(pod, clusters.place(&who.cluster).to_string())
        });
        let rules = Rules {
            sampling: tally.stopped.map_or(Sampling::Fixed, |_| Sampling::UntilDecided),
            ..Rules::default()
        };
        let evidence = Evidence::new(&small, &rules);
        let backends = all.into_iter().enumerate().map(|(place, (who, counted))| Backend {
            who,
            counted,
            share: share(&evidence, Label::Pod, &place.to_string()),
        });
        let seen: BTreeSet<usize> =
            tally.backends.keys().map(|who| clusters.place(&who.cluster)).collect();
        let by_cluster = seen
            .into_iter()
            .map(|place| (place, share(&evidence, Label::Cluster, &place.to_string())));
        Self {
            backends: backends.collect(),
            folded: rest.len(),
            folded_answers: rest.iter().map(|(_, counted)| counted.answers).sum(),
            folded_connections: rest.iter().map(|(_, counted)| counted.connections).sum(),
            clusters: by_cluster.collect(),
        }
    }
}

fn share(evidence: &Evidence<'_>, label: Label, name: &str) -> Share {
    let all = evidence.tally.answers();
    let answers = evidence.tally.answers_by(label).get(name).copied().unwrap_or(0);
    let worth = evidence.worth(label, name);
    Share {
        answers,
        share: answers as f64 / all.max(1) as f64,
        between: evidence.interval(worth),
        why: worth.why,
    }
}

/// What shares rest on, with other names: those that are the same are added up. So that the
/// share of one among ten thousand costs no more than that of one among fifty.
fn reduced(tally: &Tally, rename: impl Fn(&Identity) -> Identity) -> Tally {
    let mut small = Tally { connections: tally.connections, ..Tally::default() };
    for (who, counted) in &tally.backends {
        let sum = small.backends.entry(rename(who)).or_default();
        sum.answers += counted.answers;
        sum.retried += counted.retried;
        sum.connections += counted.connections;
    }
    for ((before, after), pairs) in &tally.order.pairs {
        let sum = small.order.pairs.entry((rename(before), rename(after))).or_default();
        sum.kept += pairs.kept;
        sum.started += pairs.started;
    }
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
        let evidence = Evidence::new(tally, &rules);
        assert_eq!(clusters.names(), ["gke1", "kops"]);
        for (place, shown) in &groups.clusters {
            let direct = share(&evidence, Label::Cluster, clusters.names()[*place]);
            assert_eq!(*shown, direct);
            assert!(direct.between.0 < direct.share && direct.share < direct.between.1);
        }
        for backend in &groups.backends {
            assert_eq!(backend.share, share(&evidence, Label::Pod, &backend.who.pod));
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
    fn of_many_backends_the_biggest_are_shown_and_all_are_counted() {
        let report = samples::many_pods();
        let tally = report.rows[0].tally().unwrap();
        let groups = Groups::of(tally, &Clusters::of(&report));
        assert_eq!((groups.backends.len(), groups.folded), (MOST_BACKENDS, 50));
        let shown: u64 = groups.backends.iter().map(|backend| backend.share.answers).sum();
        assert_eq!(shown + groups.folded_answers, tally.answers());
        assert_eq!(groups.clusters[0].1.answers, tally.answers());
    }
}
