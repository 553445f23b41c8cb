//! Golden lines: what each form of the grammar says when it passes, fails and stays open, for a
//! sample of fixed size and for one that was looked at while it grew.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use super::tests::{recorded, ruling, tally};
use super::{Sampling, Verdict};
use crate::expectation::FORMS;
use crate::tally::Tally;
use crate::tally::failover::{self, Entry, Terms, Trail};

/// Requests every 10 ms for 8 s, of which those that start at the given times, in ms, fail. The
/// fault is at 2 s, the recovery at 5 s.
fn faulty(times: &[Range<u64>]) -> Tally {
    let entry = |ms: u64| Entry {
        due: Duration::from_millis(ms),
        took: Duration::from_millis(1),
        cluster: (!times.iter().any(|failing| failing.contains(&ms))).then_some(0),
        retried: false,
    };
    let entries: Vec<_> = (0..800).map(|n| entry(10 * n)).collect();
    let failures = entries.iter().filter(|entry| entry.cluster.is_none()).count() as u64;
    let trail = Trail { clusters: vec!["kops".to_owned()], entries, cut: false };
    let seconds = Duration::from_secs;
    let events = [seconds(2), seconds(5)];
    let failover = failover::measure(&trail, &events, seconds(8), &Terms::default());
    assert!(failover.is_some());
    Tally { failover, ..tally(&[("kops", 800 - failures)], failures) }
}

/// The same answers, each in a tenth of a second.
fn slow(answers: &[(&str, u64)]) -> Tally {
    recorded(answers, 0, u64::MAX, Duration::from_millis(100))
}

/// A form, and tallies of which it passes, fails and stays open.
fn samples() -> Vec<(&'static str, [Tally; 3])> {
    let t = tally;
    let until = |end: u64| 2_000..end;
    let half = || until(2_500);
    let retried = |answers: &[(&str, u64)]| {
        let mut tally = t(answers, 0);
        tally.backends.values_mut().for_each(|backend| backend.retried = 2);
        tally
    };
    let instant = Tally { elapsed: Duration::ZERO, ..t(&[("kops", 10)], 0) };
    let ten: &[(&str, u64)] = &[("kops", 10)];
    let even: &[(&str, u64)] = &[("kops", 5_000), ("gke1", 5_000)];
    let skewed: &[(&str, u64)] = &[("kops", 1_600), ("gke1", 400)];
    let few: &[(&str, u64)] = &[("kops", 6), ("gke1", 4)];
    let many: &[(&str, u64)] = &[("kops", 3_000)];
    vec![
        ("errors = 0", [t(ten, 0), t(ten, 3), t(&[], 0)]),
        ("error-rate <= 1%", [t(many, 0), t(&[("kops", 900)], 90), t(ten, 0)]),
        ("retried = 0", [t(ten, 0), retried(few), t(&[], 0)]),
        ("p99 < 80ms", [t(many, 0), slow(&[("kops", 900)]), t(ten, 0)]),
        (
            "p99{cluster=kops} < 80ms",
            [t(even, 0), slow(&[("kops", 900), ("gke1", 10)]), t(&[("gke1", 9)], 0)],
        ),
        ("throughput >= 10/s", [t(ten, 0), t(&[("kops", 9)], 0), instant]),
        ("only kops", [t(many, 0), t(few, 0), t(ten, 0)]),
        ("reaches kops,gke1", [t(few, 0), t(many, 0), t(ten, 0)]),
        ("exactly kops,gke1", [t(even, 0), t(many, 0), t(few, 0)]),
        ("balanced ± 5%", [t(even, 0), t(skewed, 0), t(few, 0)]),
        ("balanced kops,gke1 ± 5%", [t(even, 0), t(many, 0), t(few, 0)]),
        ("shares kops=80%,gke1=20% ± 5%", [t(skewed, 0), t(even, 0), t(few, 0)]),
        ("share{cluster=gke1} >= 30%", [t(even, 0), t(skewed, 0), t(few, 0)]),
        ("share{cluster=gke1} <= 30%", [t(skewed, 0), t(even, 0), t(few, 0)]),
        ("failover < 1s", [faulty(&[half()]), faulty(&[until(5_000)]), faulty(&[])]),
        ("failover < 1s", [faulty(&[half()]), faulty(&[until(3_500)]), faulty(&[until(3_000)])]),
        (
            "failover < 2500ms",
            [faulty(&[half()]), faulty(&[until(5_000)]), faulty(&[until(4_000)])],
        ),
        ("failback < 1s", [faulty(&[half()]), faulty(&[half(), 5_000..8_000]), t(ten, 0)]),
        (
            "failback < 1500ms",
            [faulty(&[half()]), faulty(&[half(), 7_800..7_810]), faulty(&[half(), 5_000..5_500])],
        ),
        ("lost <= 50", [faulty(&[half()]), faulty(&[half(), 5_000..5_010]), t(ten, 0)]),
    ]
}

#[test]
fn what_each_form_says_in_each_of_its_verdicts() {
    for (sampling, name) in [(Sampling::Fixed, "fixed"), (Sampling::UntilDecided, "until_decided")]
    {
        let mut said = String::new();
        let mut open: Vec<_> = FORMS.iter().map(|(word, _)| *word).collect();
        for (text, tallies) in samples() {
            let _ = writeln!(said, "{text}");
            let wanted = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive];
            for (tally, wanted) in tallies.iter().zip(wanted) {
                let judged = ruling(text, tally, sampling);
                assert_eq!(judged.verdict, wanted, "{text}: {}", judged.reason);
                let _ = writeln!(said, "  {:12}  {}", judged.verdict.word(), judged.reason);
            }
            let keyword = text.split([' ', '{']).next();
            open.retain(|word| Some(*word) != keyword);
        }
        assert!(open.is_empty(), "forms without a golden line: {open:?}");
        insta::assert_snapshot!(name, said);
    }
}
