//! Every form passes, fails and stays open; reasons carry the numbers.

use std::time::Duration;

use super::*;
use crate::expectation::parse;
use crate::tally::outcome::{Answer, Failure, FailureKind, Outcome, Timings, Who, Wire};
use crate::tally::{AddressTally, BackendTally, Recorder};
use echo_reply::Identity;

/// One pod in each cluster; each answer on a connection of its own, in 10 ms, evenly mixed.
pub(super) fn tally(answers: &[(&str, u64)], failures: u64) -> Tally {
    recorded(answers, failures, u64::MAX, Duration::from_millis(10))
}

/// The same with so many connections, on each of which all answer; in so much time.
pub(super) fn recorded(
    answers: &[(&str, u64)],
    failures: u64,
    connections: u64,
    total: Duration,
) -> Tally {
    let mut groups: Vec<_> =
        answers.iter().map(|(cluster, n)| (Some(Identity::new("p", *cluster)), *n, 0)).collect();
    groups.push((None, failures, 0));
    let all: u64 = groups.iter().map(|(_, n, _)| n).sum();
    let lanes = connections.min(all.max(1));
    let mut recorder = Recorder::default();
    for sequence in 0..all {
        // Whose turn it is most.
        let due = |(_, n, had): &(Option<Identity>, u64, u64)| {
            (*n as u128 * u128::from(sequence + 1)) as i128 - (*had as i128) * i128::from(all)
        };
        let place = (0..groups.len()).max_by_key(|place| due(&groups[*place])).unwrap();
        groups[place].2 += 1;
        let failure = || Failure::new(FailureKind::Status, "503");
        let answer = |who| Answer { who: Who::Body(who), attempt: Some(1), text: None };
        let result = groups[place].0.as_ref().map(answer).ok_or_else(failure);
        let timings = Timings { total, service: total, ..Timings::default() };
        let wire = if sequence < lanes { Wire::Fresh } else { Wire::Kept };
        let outcome = Outcome { timings, wire, ..Outcome::fresh(sequence, result) };
        // Not always the same on a lane.
        let lane = (sequence + sequence / lanes) % lanes;
        recorder.record_on(lane as usize, outcome, 0, || Duration::ZERO);
    }
    Tally { elapsed: Duration::from_secs(1), ..recorder.into_tally() }
}

pub(super) fn ruling(text: &str, tally: &Tally, sampling: Sampling) -> Judged {
    judge(tally, &parse(text).unwrap(), &Rules { sampling, ..Rules::default() })
}

#[test]
fn each_form_passes_fails_and_stays_open() {
    use Verdict::{Fail, Inconclusive, Pass};
    for (text, answers, failures, verdict) in [
        ("errors = 0", &[("kops", 10)][..], 0, Pass),
        ("errors = 0", &[("kops", 10)], 1, Fail),
        ("errors = 0", &[], 10, Fail),
        ("errors = 0", &[], 0, Inconclusive),
        ("retried = 0", &[("kops", 10)], 0, Pass),
        ("retried = 0", &[], 10, Fail),
        ("error-rate <= 1%", &[("kops", 2_000)], 0, Pass),
        ("error-rate <= 1%", &[("kops", 100)], 0, Inconclusive),
        ("error-rate <= 1%", &[("kops", 100)], 1, Inconclusive),
        ("error-rate <= 1%", &[("kops", 100)], 20, Fail),
        ("error-rate <= 1%", &[], 5, Fail),
        ("p99 < 80ms", &[("kops", 2_000)], 0, Pass),
        ("p99 < 80ms", &[("kops", 100)], 0, Inconclusive),
        ("p99 < 5ms", &[("kops", 100)], 0, Fail),
        ("p50 < 80ms", &[("kops", 20)], 0, Pass),
        ("p99{cluster=gke1} < 80ms", &[("kops", 2_000)], 0, Inconclusive),
        ("p99{cluster=kops} < 80ms", &[("kops", 2_000), ("gke1", 1)], 0, Pass),
        ("throughput >= 100/s", &[("kops", 100)], 0, Pass),
        ("throughput >= 101/s", &[("kops", 100)], 0, Fail),
        ("throughput >= 1/s", &[], 9, Fail),
        ("only kops", &[("kops", 700)], 0, Pass),
        ("only kops", &[("kops", 700)], 5, Pass),
        ("only kops", &[("kops", 600)], 0, Inconclusive),
        ("only kops", &[("kops", 99), ("gke1", 1)], 0, Fail),
        ("only kops", &[], 10, Fail),
        ("only kops", &[], 0, Inconclusive),
        ("reaches kops,gke1", &[("kops", 99), ("gke1", 1)], 0, Pass),
        ("reaches kops,gke1", &[("kops", 1), ("gke1", 1), ("x", 1)], 0, Pass),
        ("reaches kops,gke1", &[("kops", 800)], 0, Fail),
        ("reaches kops,gke1", &[("kops", 600)], 0, Inconclusive),
        ("reaches kops,gke1", &[], 10, Fail),
        ("exactly kops,gke1", &[("kops", 400), ("gke1", 400)], 0, Pass),
        ("exactly kops,gke1", &[("kops", 5), ("gke1", 5)], 0, Inconclusive),
        ("exactly kops,gke1", &[("kops", 5), ("gke1", 5), ("x", 1)], 0, Fail),
        ("exactly kops,gke1", &[("kops", 800)], 0, Fail),
        ("exactly kops,gke1", &[("kops", 3), ("x", 1)], 0, Fail),
        ("exactly p by pod", &[("kops", 400), ("gke1", 400)], 0, Pass),
        ("balanced ± 5%", &[("kops", 2_000), ("gke1", 2_000)], 0, Pass),
        ("balanced ± 5%", &[("kops", 50), ("gke1", 50)], 0, Inconclusive),
        ("balanced ± 5%", &[("kops", 1_400), ("gke1", 600)], 0, Fail),
        ("balanced ± 5%", &[("kops", 60)], 0, Inconclusive),
        ("balanced ± 5%", &[("kops", 4_000)], 0, Fail),
        ("balanced ± 5%", &[], 10, Fail),
        ("balanced ± 5%", &[], 0, Inconclusive),
        ("balanced kops,gke1 ± 5%", &[("kops", 40)], 0, Fail),
        ("balanced kops,gke1 ± 5%", &[("kops", 8)], 0, Inconclusive),
        ("balanced kops,gke1 ± 60%", &[("kops", 600)], 0, Inconclusive),
        ("balanced kops,gke1 ± 60%", &[("kops", 4_000)], 0, Fail),
        ("balanced kops,gke1 ± 5%", &[("kops", 300), ("gke1", 300), ("x", 400)], 0, Fail),
        ("balanced kops,gke1 ± 5%", &[("kops", 4_000), ("gke1", 4_000), ("x", 40)], 0, Pass),
        ("shares kops=90%,gke1=10% ± 3%", &[("kops", 9_000), ("gke1", 1_000)], 0, Pass),
        ("shares kops=90%,gke1=10% ± 3%", &[("kops", 90), ("gke1", 10)], 0, Inconclusive),
        ("shares kops=90%,gke1=10% ± 3%", &[("kops", 500), ("gke1", 500)], 0, Fail),
        ("share{cluster=gke1} >= 20%", &[("kops", 700), ("gke1", 300)], 0, Pass),
        ("share{cluster=gke1} >= 20%", &[("kops", 80), ("gke1", 20)], 0, Inconclusive),
        ("share{cluster=gke1} >= 20%", &[("kops", 100)], 0, Fail),
        ("share{cluster=gke1} <= 20%", &[("kops", 100)], 0, Pass),
        ("share{cluster=gke1} <= 20%", &[("kops", 80), ("gke1", 20)], 0, Inconclusive),
        ("share{cluster=gke1} <= 20%", &[("kops", 50), ("gke1", 50)], 0, Fail),
    ] {
        let tally = tally(answers, failures);
        for sampling in [Sampling::Fixed, Sampling::UntilDecided] {
            let judged = ruling(text, &tally, sampling);
            let reason = &judged.reason;
            let proven = sampling == Sampling::Fixed || tally.requests() >= 783;
            let one_is_enough = answers.is_empty()
                || !judged.expectation.is_statistical()
                || matches!((&text[..4], verdict), ("only", Fail) | ("reac", Pass))
                || answers.iter().any(|(name, _)| *name == "x");
            let wanted = if proven || one_is_enough { verdict } else { Inconclusive };
            assert_eq!(
                judged.verdict, wanted,
                "{text} {answers:?} {failures} {sampling:?}: {reason}"
            );
            assert_eq!(judged.expectation.to_string(), text);
            assert_eq!(reason.lines().count(), 1);
        }
    }
}

#[test]
fn a_retry_is_missed_though_all_was_answered() {
    let mut tally = tally(&[("kops", 100)], 0);
    tally.backends.values_mut().for_each(|backend| backend.retried = 1);
    let judged = ruling("retried = 0", &tally, Sampling::Fixed);
    assert_eq!(judged.verdict, Verdict::Fail);
    assert_eq!(judged.reason, "the mesh retried 1 of 100 answers");
}

#[test]
fn a_cluster_that_a_matrix_names_cannot_hide() {
    let tally = tally(&[("kops", 100)], 0);
    let clusters = vec!["kops".to_owned(), "gke1".to_owned()];
    let rules = Rules { clusters, ..Rules::default() };
    let judged = judge(&tally, &parse("balanced ± 5%").unwrap(), &rules);
    assert_eq!(judged.verdict, Verdict::Fail, "{}", judged.reason);
}

/// Ten kept connections, each with 400 answers of one cluster.
fn pinned() -> Tally {
    let who = ["kops", "gke1"].map(|cluster| Identity::new("p", cluster));
    let mut recorder = Recorder::default();
    for sequence in 0..4_000 {
        let lane = (sequence % 10) as usize;
        let answer = Answer { who: Who::Body(&who[lane % 2]), attempt: None, text: None };
        let (result, timings) = (Ok(answer), Timings::default());
        let wire = if sequence < 10 { Wire::Fresh } else { Wire::Kept };
        let outcome = Outcome { timings, wire, ..Outcome::fresh(sequence, result) };
        recorder.record_on(lane, outcome, 0, || Duration::ZERO);
    }
    recorder.into_tally()
}

#[test]
fn pinned_connections_are_worth_what_they_are_many() {
    for sampling in [Sampling::Fixed, Sampling::UntilDecided] {
        let judged = ruling("balanced ± 5%", &pinned(), sampling);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{}", judged.reason);
        let part = "worth 10 independent ones: kept connections may be pinned";
        assert!(judged.reason.contains(part), "{}", judged.reason);
        let judged = ruling("exactly kops,gke1", &pinned(), sampling);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{}", judged.reason);
    }
}

/// Answers of one pod by two addresses, each with so many connections.
fn by_address(answers: [u64; 2], connections: [u64; 2]) -> Tally {
    let mut tally = tally(&[("kops", answers[0] + answers[1])], 0);
    tally.backends.values_mut().for_each(|b| b.connections = connections[0] + connections[1]);
    for (n, (answers, connections)) in answers.into_iter().zip(connections).enumerate() {
        let address = ([10, 0, 0, n as u8 + 1], 80).into();
        tally.addresses.insert(address, AddressTally { connections, answers });
    }
    tally
}

#[test]
fn addresses_are_judged_by_connections_that_drew_theirs() {
    use Verdict::{Fail, Inconclusive, Pass};
    let drawn = Rules { addresses_drawn: true, ..Rules::default() };
    let many = by_address([2_000, 2_000], [2_000, 2_000]);
    let kept = by_address([2_000, 2_000], [5, 5]);
    let one = by_address([3_000, 0], [3_000, 0]);
    for (text, tally, verdict) in [
        ("balanced by address ± 5%", &many, Pass),
        ("balanced by address ± 5%", &kept, Inconclusive),
        ("balanced 10.0.0.1,10.0.0.2 by address ± 5%", &one, Fail),
        ("share{address=10.0.0.2} >= 30%", &many, Pass),
        ("shares 10.0.0.1=80%,10.0.0.2=20% by address ± 5%", &many, Fail),
        ("only 10.0.0.1 by address", &one, Pass),
        ("only 10.0.0.1 by address", &many, Fail),
        ("exactly 10.0.0.1,10.0.0.2 by address", &many, Pass),
        ("exactly 10.0.0.1,10.0.0.2 by address", &kept, Inconclusive),
        ("reaches 10.0.0.2 by address", &one, Fail),
    ] {
        let judged = judge(tally, &parse(text).unwrap(), &drawn);
        assert_eq!(judged.verdict, verdict, "{text}: {}", judged.reason);
        // As a look-up's order had it: what was seen is true, what was not proves nothing.
        let judged = judge(tally, &parse(text).unwrap(), &Rules::default());
        let seen = text.starts_with("only") && verdict == Fail;
        let wanted = if seen { Fail } else { Inconclusive };
        assert_eq!(judged.verdict, wanted, "{text}: {}", judged.reason);
        assert!(
            seen || judged.reason.contains("look-ups chose the addresses"),
            "{}",
            judged.reason
        );
    }
}

/// Answers on so many connections, on which one says nothing of the next.
fn mixed(kops: u64, gke1: u64, connections: u64) -> Tally {
    recorded(&[("kops", kops), ("gke1", gke1)], 0, connections, Duration::from_millis(10))
}

#[test]
fn kept_connections_that_mix_are_worth_more() {
    let tally = mixed(2_000, 2_000, 400);
    let rules = Rules::default();
    let worth = Evidence::new(&tally, &rules).worth(crate::tally::Label::Cluster, "kops");
    assert!((3_000.0..4_000.0).contains(&worth.independent().trials), "{worth:?}");
}

#[test]
fn few_connections_leave_out_what_others_would_show() {
    for sampling in [Sampling::Fixed, Sampling::UntilDecided] {
        // All ten may have gone through the one of several gateways that has no preference.
        let judged = ruling("balanced ± 5%", &mixed(5_000, 5_000, 10), sampling);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{}", judged.reason);
        // 1 - 0.0005^(1/10)
        let part = "10 kept connections may have missed kinds of connections that are up to 53.2 %";
        assert!(judged.reason.contains(part), "{}", judged.reason);
        for (kops, connections, verdict) in [
            (8_000, 100, Verdict::Fail),
            (5_000, 60, Verdict::Inconclusive),
            (5_000, 200, Verdict::Pass),
        ] {
            let judged =
                ruling("balanced ± 5%", &mixed(kops, 10_000 - kops, connections), sampling);
            assert_eq!(judged.verdict, verdict, "{connections}: {}", judged.reason);
        }
        let judged = ruling("exactly kops,gke1", &mixed(5_000, 5_000, 10), sampling);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{}", judged.reason);
        let judged = ruling("exactly kops,gke1", &mixed(5_000, 5_000, 700), sampling);
        assert_eq!(judged.verdict, Verdict::Pass, "{}", judged.reason);
    }
}

#[test]
fn answers_that_come_in_clusters_are_worth_less_though_each_has_its_connection() {
    let who = ["kops", "gke1"].map(|cluster| Identity::new("p", cluster));
    let mut recorder = Recorder::default();
    for sequence in 0..4_000 {
        // Twenty in a row.
        let place = (sequence / 20 % 2) as usize;
        let answer = Answer { who: Who::Body(&who[place]), attempt: None, text: None };
        let (result, timings) = (Ok(answer), Timings::default());
        let (remote, wire) = (None, Wire::Fresh);
        let outcome = Outcome { timings, wire, remote, ..Outcome::fresh(sequence, result) };
        recorder.record(outcome, 0);
    }
    let judged = ruling("balanced ± 5%", &recorder.into_tally(), Sampling::Fixed);
    assert_eq!(judged.verdict, Verdict::Inconclusive, "{}", judged.reason);
    assert!(judged.reason.contains("follow each other"), "{}", judged.reason);
}

#[test]
fn reasons_carry_the_numbers() {
    for (text, answers, failures, reason) in [
        (
            "exactly kops,gke1",
            &[("kops", 600), ("gke1", 400)][..],
            0,
            "kops 600, gke1 400 of 1000 answers; others give less than 0.71 % (99.9 % sure); what comes less than once in 1.00 s is not seen",
        ),
        ("only kops", &[("kops", 60), ("gke1", 40)], 0, "gke1 gave 40 of 100 answers"),
        (
            "reaches kops,gke1",
            &[("kops", 4)],
            0,
            "gke1 gave none of 4 answers: less than 85 % (99.9 % sure), and 1 % must be ruled out: it \
             takes 757 independent answers, or a larger --min-share",
        ),
        ("errors = 0", &[("kops", 97)], 3, "3 of 100 requests failed: 3 status"),
        (
            "balanced ± 5%",
            &[("kops", 2_010), ("gke1", 1_990)],
            0,
            "gke1 49.8 %, kops 50.2 % of 4000 answers: each within 5 points of its share (99.9 % sure)",
        ),
        (
            "balanced kops,gke1 ± 5%",
            &[("kops", 700), ("gke1", 300)],
            0,
            "kops 70 %, gke1 30 % of 1000 answers: kops is above 55 % (99.9 % sure)",
        ),
        (
            "balanced kops,gke1 ± 5%",
            &[("kops", 60), ("gke1", 40)],
            0,
            "kops 60 %, gke1 40 % of 100 answers: kops is between 40.6 and 77.4 % (99.9 % sure), which \
             neither proves nor excludes 45 to 55 %",
        ),
        (
            "p99 < 80ms",
            &[("kops", 2_000)],
            0,
            "p99 is 10ms, 0 of 2000 answers took 80ms or longer: below 80ms (99.9 % sure); what comes less than once in 1.00 s is not seen",
        ),
        (
            "error-rate <= 1%",
            &[("kops", 2_000)],
            0,
            "0 of 2000 requests failed: less than 1 % (99.9 % sure); what comes less than once in 1.00 s is not seen",
        ),
        ("throughput >= 50/s", &[("kops", 100)], 0, "100 answers in 1.000 s: 100.0/s"),
    ] {
        assert_eq!(
            ruling(text, &tally(answers, failures), Sampling::Fixed).reason,
            reason,
            "{text}"
        );
    }
}

#[test]
fn sampling_goes_on_until_all_is_decided_and_enough_was_asked() {
    let rules = Rules { sampling: Sampling::UntilDecided, ..Rules::default() };
    let until = |texts: &[&str], answers: &[(&str, u64)], failures| {
        let expectations: Vec<_> = texts.iter().map(|text| parse(text).unwrap()).collect();
        decided(&tally(answers, failures), &expectations, &rules)
    };
    assert!(until(&["reaches kops"], &[("kops", 1)], 0));
    assert!(!until(&["errors = 0", "reaches kops"], &[("kops", 99)], 0));
    assert!(until(&["errors = 0", "reaches kops"], &[("kops", 100)], 0));
    assert!(until(&["errors = 0", "reaches kops"], &[("kops", 5)], 1));
    assert!(!until(&["throughput >= 1/s", "reaches kops"], &[("kops", 5)], 1));
    assert!(!until(&["reaches kops", "balanced ± 5%"], &[("kops", 50), ("gke1", 50)], 0));
}

/// A label with ten times as many names takes about ten times as long, not a hundred times.
#[test]
fn many_pods_are_judged_in_time_that_grows_with_them() {
    let mut tally = Tally::default();
    for n in 0..20_000 {
        let backend = BackendTally { answers: 2, connections: 2, ..BackendTally::default() };
        tally.backends.insert(Identity::new(format!("p{n}"), format!("c{}", n % 3)), backend);
    }
    let all: Vec<_> = (0..20_000).map(|n| format!("p{n}")).collect();
    let texts = ["balanced by pod ± 5%".to_owned(), format!("exactly {} by pod", all.join(","))];
    for text in texts {
        // Quadratic work is four hundred million steps, minutes in a debug build: the test's own
        // limit of time would end it.
        let judged = judge(&tally, &parse(&text).unwrap(), &Rules::default());
        assert_eq!(judged.verdict, Verdict::Pass, "{}", judged.reason);
    }
}

/// Of whom nothing is known, no verdict says anything.
#[test]
fn answers_of_backends_that_are_not_told_apart_prove_nothing_about_who_answers() {
    use Verdict::{Fail, Inconclusive, Pass};
    let mut even = tally(&[("kops", 2_000), ("gke1", 2_000)], 0);
    even.others = BackendTally { answers: 1, ..BackendTally::default() };
    for (text, verdict) in [
        ("exactly kops,gke1", Inconclusive),
        ("only kops,gke1", Inconclusive),
        ("only kops", Fail),
        ("reaches kops", Pass),
        ("reaches kops,c2", Inconclusive),
        ("balanced ± 5%", Inconclusive),
        ("balanced by pod ± 5%", Inconclusive),
        ("shares kops=50%,gke1=50% ± 5%", Inconclusive),
        ("share{cluster=kops} >= 10%", Inconclusive),
        ("share{cluster=<unknown>} <= 10%", Inconclusive),
        ("share{version=<none>} >= 10%", Inconclusive),
        ("p99{cluster=kops} < 1s", Inconclusive),
        ("errors = 0", Pass),
        ("error-rate <= 1%", Pass),
        ("throughput >= 1/s", Pass),
    ] {
        let judged = ruling(text, &even, Sampling::Fixed);
        assert_eq!(judged.verdict, verdict, "{text}: {}", judged.reason);
        if verdict == Inconclusive {
            let said = "1 of 4001 answers came from backends beyond the 2 that are told apart";
            assert!(judged.reason.contains(said), "{text}: {}", judged.reason);
        }
    }
    let mut addressed = tally(&[("kops", 2_000)], 0);
    let one = AddressTally { connections: 2_000, answers: 1_999 };
    addressed.addresses.insert("127.0.0.1:80".parse().unwrap(), one);
    addressed.other_addresses = AddressTally { connections: 0, answers: 1 };
    let judged = ruling("only 127.0.0.1 by address", &addressed, Sampling::Fixed);
    assert_eq!(judged.verdict, Inconclusive, "{}", judged.reason);
    assert!(
        judged.reason.contains("addresses beyond the 1 that are told apart"),
        "{}",
        judged.reason
    );
    assert_eq!(ruling("exactly kops", &addressed, Sampling::Fixed).verdict, Pass);
}

/// Two of three are proven to be below their greatest share; whether the third is above its least is open.
#[test]
fn shares_need_proof_on_both_sides() {
    let tally = tally(&[("c1", 1_560), ("c2", 1_560), ("c3", 880)], 0);
    for (text, verdict) in [
        ("balanced ± 10%", Verdict::Inconclusive),
        ("balanced ± 20%", Verdict::Pass),
        ("balanced ± 5%", Verdict::Fail),
    ] {
        let judged = ruling(text, &tally, Sampling::Fixed);
        assert_eq!(judged.verdict, verdict, "{text}: {}", judged.reason);
    }
    let judged = ruling("balanced ± 10%", &tally, Sampling::Fixed);
    assert!(judged.reason.contains("c3 is between"), "{}", judged.reason);
}
