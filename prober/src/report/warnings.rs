//! What a verdict does not say: what was not judged, and what looks wrong although no expectation
//! asks about it. Pure.

mod identity;

use std::collections::BTreeMap;

use super::groups::{Share, Shares};
use super::{Report, Row, shell_word};
use crate::expectation::{Expectation, Form, quoted};
use crate::tally::{Label, Tally, is_unknown};
use crate::units::{count, percent, rounded_percent};
use crate::verdict::{self, CONFIDENCE, Rules};

/// The most clusters whose pods are compared.
const MAX_CLUSTERS: usize = 8;

/// The warnings about a row, one line each.
#[must_use]
pub(crate) fn of(report: &Report, row: &Row) -> Vec<String> {
    let Some(tally) = row.tally().filter(|tally| tally.answers() > 0) else { return Vec::new() };
    let judged = row.verdicts().iter().map(|judged| &judged.expectation);
    let distribution = judged.clone().any(Expectation::is_about_who_answers);
    let retries = judged.clone().any(|one| *one == Expectation::NoRetries);
    let mut lines = Vec::new();
    lines.extend([Label::Pod, Label::Address].iter().filter_map(|of| tally.folded_in_words(*of)));
    let complete = lines.is_empty();
    if !distribution && complete {
        if !row.gone.is_empty() {
            let names = row.gone.join(", ");
            lines.push(format!("{names} answered in the earlier report, and not in this run"));
        }
        let gone = row.gone.iter().filter(|name| !report.clusters.contains(name));
        let known: Vec<_> = report.clusters.iter().chain(gone).cloned().collect();
        lines.push(not_judged(report, tally, &known));
        lines.extend(skewed(tally));
        lines.extend(one_of_many(tally));
    }
    if let Some(retried) = tally.retries_in_words().filter(|_| !retries) {
        lines.push(format!("the mesh retried {retried}, which hides failed attempts"));
    }
    lines.extend(identity::host_as_pod(row, tally));
    lines
}

/// `all 100 answers`.
fn all_of(tally: &Tally) -> String {
    verdict::all(tally.answers(), "answer")
}

/// How to add an expectation: a flag, or in the file of a matrix.
fn expect(report: &Report, wanted: &str) -> String {
    match report.matrix {
        true => format!("add to its row: expect: [{}]", serde_json::Value::from(wanted)),
        false => format!("add --expect {}", shell_word(wanted)),
    }
}

/// That nobody asked who should answer, and how to ask.
fn not_judged(report: &Report, tally: &Tally, clusters: &[String]) -> String {
    let answers = tally.answers_by(Label::Cluster);
    if answers.keys().all(|cluster| is_unknown(cluster)) {
        return format!("distribution not judged: {}", expect(report, "balanced by pod ± 5%"));
    }
    let seen: Vec<&str> = answers.keys().map(AsRef::as_ref).collect();
    // The clusters of a matrix, of --clusters and of an earlier report are known, answering or not.
    let silent: Vec<&str> =
        clusters.iter().map(String::as_str).filter(|name| !answers.contains_key(*name)).collect();
    let exactly = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Expectation::Who { form: Form::Exactly, label: Label::Cluster, names }.to_string()
    };
    if let ([only], []) = (seen.as_slice(), silent.as_slice()) {
        // One cluster may be all that is left.
        return format!(
            "distribution not judged: {} came from {only}; {}, with every cluster that should answer",
            all_of(tally),
            expect(report, &format!("exactly {},…", quoted(only))),
        );
    }
    let none = match silent.is_empty() {
        true => String::new(),
        false => {
            format!("{} gave none of {}; ", silent.join(", "), count(tally.answers(), "answer"))
        }
    };
    let all = [seen, silent].concat();
    format!("distribution not judged: {none}{}", expect(report, &exactly(&all)))
}

/// That clusters, or the pods of a cluster, surely do not share evenly.
fn skewed(tally: &Tally) -> Vec<String> {
    let rules = Rules::default();
    let of_clusters = Shares::new(tally, &rules, Label::Cluster);
    let of_pods = Shares::new(tally, &rules, Label::Pod);
    let mut pods: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for who in tally.backends.keys() {
        pods.entry(&who.cluster).or_default().push(&who.pod);
    }
    let clusters: Vec<&str> = pods.keys().copied().collect();
    let mut lines: Vec<_> =
        uneven(&of_clusters, &clusters, "clusters", (1.0, 1.0)).into_iter().collect();
    for (cluster, own) in pods.iter().take(MAX_CLUSTERS) {
        let said = match clusters.len() {
            1 => "pods".to_owned(),
            _ => format!("pods of {cluster}"),
        };
        lines.extend(uneven(&of_pods, own, &said, of_clusters.of(cluster).between));
    }
    lines
}

/// That some of these groups surely have another share than an even part of `whole`, which lies between
/// two bounds.
fn uneven(shares: &Shares<'_>, names: &[&str], said: &str, whole: (f64, f64)) -> Option<String> {
    let parts = names.len().max(1) as f64;
    let (least, most) = (whole.0 / parts, whole.1 / parts);
    let mut all: Vec<_> = names.iter().map(|name| (*name, shares.of(name))).collect();
    all.sort_by_key(|(_, share)| std::cmp::Reverse(share.answers));
    let is_off = |share: &Share| share.between.0 > most || share.between.1 < least;
    let ((first, high), (last, low)) = (all.first()?, all.last()?);
    (names.len() > 1 && all.iter().any(|(_, share)| is_off(share))).then(|| {
        format!(
            "the {said} share unevenly: {first} {}, {last} {} ({} % sure)",
            rounded_percent(high.share),
            rounded_percent(low.share),
            percent(CONFIDENCE),
        )
    })
}

/// That all answers came from one pod, although the name has several addresses.
fn one_of_many(tally: &Tally) -> Option<String> {
    let used = tally.answers_by_address().len() as u64;
    let addresses = tally.resolved.max(used + tally.passed_over.len() as u64);
    let (who, _) = tally.backends.first_key_value()?;
    (tally.backends.len() == 1 && addresses > 1).then(|| {
        let all = all_of(tally);
        let each = if used < addresses { "; test each of them with --select each" } else { "" };
        format!(
            "{all} came from the pod {}, although the name has {addresses} addresses{each}",
            who.pod
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RowResult, samples};
    use crate::tally::outcome::{Answer, Outcome};
    use crate::tally::{BackendTally, PassedOver, Recorder};
    use echo_reply::Identity;

    /// The warnings of a row with these answers of clusters, each with one pod.
    fn warnings(
        answers: &[(&str, u64)],
        expectations: &[&str],
        clusters: &[&str],
        change: impl FnOnce(&mut Tally),
    ) -> Vec<String> {
        let all: Vec<_> = answers
            .iter()
            .map(|(name, n)| (Identity::new(format!("pod-{name}"), *name), *n))
            .collect();
        let most = all.iter().map(|(_, n)| *n).max().unwrap_or(0);
        let mut recorder = Recorder::default();
        // Interleaved: the answers of each are spread over the run.
        let mut sequence = 0;
        for turn in 0..most {
            for (who, n) in &all {
                if turn * n / most < (turn + 1) * n / most {
                    recorder.record(Outcome::fresh(sequence, Ok(Answer::of(who))), 0);
                    sequence += 1;
                }
            }
        }
        let mut tally = recorder.into_tally();
        change(&mut tally);
        let row = samples::row(None, "a", tally, expectations);
        let mut report = samples::report(vec![row]);
        report.clusters = clusters.iter().map(|name| (*name).to_owned()).collect();
        of(&report, &report.rows[0])
    }

    #[test]
    fn a_distribution_that_nobody_asked_about_is_said_to_be_not_judged() {
        let only = ["errors = 0"];
        let even = [("kops", 400), ("gke1", 400)];
        let lines = warnings(&even, &only, &[], |_| {});
        assert_eq!(lines, ["distribution not judged: add --expect 'exactly gke1,kops'"]);
        let one = warnings(&[("kops", 100)], &only, &[], |_| {});
        assert_eq!(
            one,
            ["distribution not judged: all 100 answers came from kops; add --expect 'exactly \
                 kops,…', with every cluster that should answer"]
        );
        let named = warnings(&[("kops", 100)], &only, &["gke1", "kops"], |_| {});
        assert_eq!(
            named,
            [
                "distribution not judged: gke1 gave none of 100 answers; add --expect 'exactly kops,gke1'"
            ]
        );
        let unknown = warnings(&[(echo_reply::UNKNOWN_CLUSTER, 9)], &only, &[], |_| {});
        assert_eq!(unknown, ["distribution not judged: add --expect 'balanced by pod ± 5%'"]);
        for judged in ["exactly kops,gke1", "balanced ± 5%", "share{pod=a} >= 1%", "reaches kops"]
        {
            assert_eq!(warnings(&even, &[judged], &[], |_| {}), Vec::<String>::new(), "{judged}");
        }
        for other in ["p99 < 1s", "p99{cluster=kops} < 1s", "retried = 0", "throughput >= 1/s"] {
            assert_eq!(warnings(&even, &[other], &[], |_| {}).len(), 1, "{other}");
        }
        assert_eq!(warnings(&[], &only, &[], |_| {}), Vec::<String>::new(), "nothing answered");
    }

    #[test]
    fn a_cluster_that_answered_in_an_earlier_report_is_missed() {
        let before = samples::plain();
        let mut report = samples::plain();
        let RowResult::Probed { tally, verdicts } = &mut report.rows[0].result else {
            unreachable!()
        };
        tally.backends.retain(|who, _| who.cluster == "kops");
        verdicts.clear();
        report.remember(std::slice::from_ref(&before));
        let lines = of(&report, &report.rows[0]);
        assert_eq!(
            lines[..2],
            [
                "gke1 answered in the earlier report, and not in this run",
                "distribution not judged: gke1 gave none of 52 answers; add --expect 'exactly \
                 kops,gke1'"
            ]
        );
        report.clusters = vec!["kops".to_owned(), "gke1".to_owned()];
        let lines = of(&report, &report.rows[0]);
        assert!(lines[1].ends_with("--expect 'exactly kops,gke1'"), "named once: {lines:?}");
        report.rows[0].address = Some([10, 0, 0, 1].into());
        report.remember(std::slice::from_ref(&before));
        assert_eq!(report.rows[0].gone, Vec::<String>::new(), "another address");
        report.rows[0].address = None;
        report.rows[0].target = "another".to_owned();
        report.remember(&[before]);
        assert_eq!(report.rows[0].gone, Vec::<String>::new(), "another target");
    }

    #[test]
    fn a_skew_is_named_if_it_is_sure() {
        let lines = warnings(&[("kops", 900), ("gke1", 300)], &["errors = 0"], &[], |_| {});
        assert_eq!(lines[1], "the clusters share unevenly: kops 75.0%, gke1 25.0% (99.9 % sure)");
        let pods = |tally: &mut Tally| {
            let (who, counted) = tally.backends.pop_last().unwrap();
            let few = BackendTally { answers: 4, ..BackendTally::default() };
            tally.backends.insert(Identity { pod: "pod-z".into(), ..who.clone() }, few);
            let most = BackendTally { answers: counted.answers - 4, ..counted };
            tally.backends.insert(who, most);
        };
        let lines = warnings(&[("gke1", 600), ("kops", 600)], &["errors = 0"], &[], pods);
        let said = "the pods of kops share unevenly: pod-kops 49.7%, pod-z 0.3% (99.9 % sure)";
        assert_eq!(lines[1], said, "{lines:?}");
        let few = warnings(&[("kops", 6), ("gke1", 4)], &["errors = 0"], &[], |_| {});
        assert_eq!(few.len(), 1, "{few:?}");
    }

    #[test]
    fn retries_are_named_unless_they_are_judged() {
        let retried = |tally: &mut Tally| {
            tally.backends.values_mut().for_each(|backend| backend.retried = 62);
        };
        let judged = ["exactly kops"];
        let line = warnings(&[("kops", 100)], &judged, &[], retried).concat();
        assert!(line.starts_with("the mesh retried 62 of 100 answers, which hides"), "{line}");
        let both = ["exactly kops", "retried = 0"];
        assert_eq!(warnings(&[("kops", 100)], &both, &[], retried), Vec::<String>::new());
    }

    #[test]
    fn one_pod_behind_a_name_with_several_addresses_is_named() {
        let one = [("kops", 100)];
        let last =
            |change: fn(&mut Tally)| warnings(&one, &["errors = 0"], &[], change).pop().unwrap();
        let line = last(|tally| tally.resolved = 3);
        assert_eq!(
            line,
            "all 100 answers came from the pod pod-kops, although the name has 3 addresses; test each \
             of them with --select each"
        );
        let line = last(|tally| {
            let over = PassedOver { count: 1, why: "refused".into() };
            tally.passed_over.insert("10.0.0.1:80".parse().unwrap(), over);
            tally.passed_over.insert(
                "10.0.0.2:80".parse().unwrap(),
                PassedOver { count: 1, why: "refused".into() },
            );
        });
        assert!(line.contains("has 2 addresses"), "{line}");
        assert!(!last(|tally| tally.resolved = 1).contains("addresses"));
        let mut report = samples::plain();
        let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
        tally.resolved = 3;
        assert!(!of(&report, &report.rows[0]).concat().contains("addresses"), "two pods");
    }
}
