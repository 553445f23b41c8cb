//! Verdicts on times, by runs made by hand and by seeded simulations whose truth is known.

use super::*;
use crate::expectation::parse;
use crate::stats::random::Random;
use crate::tally::failover::{Entry, Terms, Trail, measure};

const SECOND: Duration = Duration::from_secs(1);

/// A run to simulate: its rate, its instants in seconds, and what must hold after the fault.
#[derive(Clone, Copy)]
struct Plan<'a> {
    rate: u32,
    fault: u32,
    recovery: Option<u32>,
    end: u32,
    stated: &'a [(&'a str, f64)],
}

/// What came of a request: who answered (0 kops, 1 gke1), after how many ms, at which attempt.
type Answer = (Option<u32>, u32, bool);

impl Plan<'_> {
    /// `answer` is given the instant in seconds.
    fn run(&self, mut answer: impl FnMut(f64) -> Answer) -> Tally {
        let entry = |n: u32| {
            let due = SECOND * n / self.rate;
            let (cluster, ms, retried) = answer(due.as_secs_f64());
            Entry { due, took: Duration::from_millis(ms.into()), cluster, retried }
        };
        let entries: Vec<_> = (0..self.end * self.rate).map(entry).collect();
        let trail = Trail { clusters: vec!["kops".into(), "gke1".into()], entries, cut: false };
        let events: Vec<_> = [Some(self.fault), self.recovery].into_iter().flatten().collect();
        let events: Vec<_> = events.into_iter().map(|at| SECOND * at).collect();
        let shares = self.stated.iter().map(|(name, share)| ((*name).to_owned(), *share));
        let terms = Terms { shares: shares.collect(), ..Terms::default() };
        let failover = measure(&trail, &events, SECOND * self.end, &terms);
        Tally { failover, ..Tally::default() }
    }
}

fn ruling(text: &str, tally: &Tally) -> Ruling {
    judge(tally, &parse(text).unwrap(), &Rules::default())
}

/// Passes, inconclusive verdicts and fails among seeded runs.
fn verdicts(
    text: &str,
    runs: u64,
    plan: Plan<'_>,
    answer: impl Fn(&mut Random, f64) -> Answer,
) -> [u64; 3] {
    let mut counts = [0; 3];
    for seed in 0..runs {
        let mut random = Random::new(seed);
        let tally = plan.run(|at| answer(&mut random, at));
        counts[ruling(text, &tally).0 as usize] += 1;
    }
    counts
}

fn one_of(random: &mut Random, gke1: f64) -> Option<u32> {
    Some(u32::from(random.uniform() < gke1))
}

/// gke1 is away from 30 s to 40 s, and has the share `after` from then on.
fn away(random: &mut Random, at: f64, before: f64, after: f64) -> Answer {
    let share = match at {
        ..30.0 => before,
        ..40.0 => 0.0,
        _ => after,
    };
    (one_of(random, share), 3, false)
}

const AWAY: Plan<'_> = Plan { rate: 20, fault: 30, recovery: Some(40), end: 70, stated: &[] };

#[test]
fn failback_to_other_shares_never_passes() {
    for rate in [20, 50] {
        let plan = Plan { rate, ..AWAY };
        let found = verdicts("failback < 5s", 1_000, plan, |random, at| away(random, at, 0.5, 0.3));
        assert_eq!(found[0], 0, "{rate}: {found:?}");
        assert!(rate == 20 || found[2] > 300, "{found:?}");
    }
    // Just outside the tolerance, with answers enough to prove what is within it.
    let plan = Plan { rate: 100, ..AWAY };
    for after in [0.374, 0.626] {
        let found =
            verdicts("failback < 5s", 1_000, plan, |random, at| away(random, at, 0.5, after));
        assert!(found[0] <= 3, "{found:?}");
    }
    // A small cluster that stays away, or comes back with too little, is not back.
    for after in [0.0, 0.009] {
        let found =
            verdicts("failback < 5s", 1_000, plan, |random, at| away(random, at, 0.04, after));
        assert!(found[0] <= 3, "{found:?}");
    }
}

#[test]
fn failback_to_the_same_shares_passes_and_never_fails() {
    let found = verdicts("failback < 5s", 1_000, AWAY, |random, at| away(random, at, 0.5, 0.5));
    assert!(found[0] > 600, "{found:?}");
    assert_eq!(found[2], 0, "{found:?}");
    // Within the tolerance.
    let plan = Plan { rate: 50, ..AWAY };
    let found = verdicts("failback < 5s", 1_000, plan, |random, at| away(random, at, 0.5, 0.45));
    assert!(found[0] > 500, "{found:?}");
    assert_eq!(found[2], 0, "{found:?}");
    // On its edge neither is proven.
    let found = verdicts("failback < 5s", 1_000, plan, |random, at| away(random, at, 0.5, 0.3751));
    assert!(found[2] <= 3, "{found:?}");
    // In a second, with a bound that is near: nothing that is late by chance is called so.
    let found =
        verdicts("failback < 500ms", 1_000, AWAY, |random, at| away(random, at, 0.05, 0.05));
    assert_eq!(found[2], 0, "{found:?}");
}

#[test]
fn failures_that_never_stop_do_not_pass() {
    let for_good = |fault: f64| {
        move |random: &mut Random, at: f64| {
            let fails = at >= fault && random.uniform() < 0.05;
            ((!fails).then_some(0), 3, false)
        }
    };
    let plan = Plan { rate: 20, fault: 10, recovery: None, end: 40, stated: &[] };
    let found = verdicts("failover < 5s", 1_000, plan, for_good(10.0));
    assert_eq!(found[0], 0, "{found:?}");
    assert!(found[2] > 990, "{found:?}");
    // Also where the time after the fault is short, and ends with a recovery.
    for after in [6, 8, 12] {
        let plan = Plan { recovery: Some(10 + after), ..plan };
        let found = verdicts("failover < 5s", 1_000, plan, for_good(10.0));
        assert!(found[0] <= 3, "{after}: {found:?}");
    }
    // Failures that were there before, no more often: not the fault's.
    let plan = Plan { rate: 50, ..plan };
    let found = verdicts("failover < 5s", 1_000, plan, for_good(0.0));
    assert!(found[0] <= 3 && found[2] <= 3, "{found:?}");
}

#[test]
fn failures_that_stop_pass() {
    let plan = Plan { rate: 20, fault: 10, recovery: None, end: 30, stated: &[] };
    let outage = |random: &mut Random, at: f64| {
        let fails = (10.0..12.0).contains(&at) && random.uniform() < 0.5;
        ((!fails).then_some(0), 3, false)
    };
    let found = verdicts("failover < 5s", 1_000, plan, outage);
    assert!(found[0] > 990, "{found:?}");
    assert_eq!(found[2], 0, "{found:?}");
    let found = verdicts("failover < 1s", 1_000, plan, outage);
    assert_eq!(found[0], 0, "{found:?}");
    assert!(found[2] > 990, "{found:?}");
}

#[test]
fn stated_shares_must_be_proven() {
    let stated: &[_] = &[("kops", 0.7), ("gke1", 0.3)];
    let plan = Plan { rate: 50, fault: 10, recovery: None, end: 40, stated };
    let becomes = |share: f64| {
        move |random: &mut Random, at: f64| {
            (one_of(random, if at < 10.0 { 0.9 } else { share }), 3, false)
        }
    };
    for (share, pass, fail) in [(0.3, 900..=1_000, 0..=0), (0.5, 0..=0, 900..=1_000)] {
        let found = verdicts("failover < 5s", 1_000, plan, becomes(share));
        assert!(pass.contains(&found[0]) && fail.contains(&found[2]), "{share}: {found:?}");
    }
    let found = verdicts("failover < 5s", 1_000, plan, becomes(0.1949));
    assert!(found[0] <= 3, "{found:?}");
}

#[test]
fn a_fault_without_an_effect_is_inconclusive() {
    let nothing = |random: &mut Random, at: f64| {
        let _ = at;
        let slow = if random.uniform() < 0.01 { 300.0 * random.uniform() } else { 3.0 };
        let failed = random.uniform() < 0.002;
        (one_of(random, 0.5).filter(|_| !failed), slow as u32, random.uniform() < 0.005)
    };
    let plan = Plan { rate: 50, fault: 10, recovery: Some(20), end: 40, stated: &[] };
    for text in ["failover < 5s", "failback < 5s"] {
        let found = verdicts(text, 1_000, plan, nothing);
        assert!(found[0] <= 3, "{text}: {found:?}");
    }
    let tally = plan.run(|at| (Some((at * 50.0).round() as u32 % 2), 3, false));
    for text in ["failover < 5s", "failback < 5s"] {
        let (verdict, reason) = ruling(text, &tally);
        assert_eq!(verdict, Verdict::Inconclusive, "{text}");
        assert!(reason.starts_with("the fault had no visible effect: no request failed"));
        assert!(reason.ends_with("check that the command does what it should"), "{reason}");
    }
    let (verdict, reason) = ruling("lost <= 0", &tally);
    assert_eq!(verdict, Verdict::Pass);
    assert!(reason.starts_with("0 lost since the fault; the fault had no visible"), "{reason}");
}

#[test]
fn each_kind_of_effect_shows() {
    let plan = Plan { rate: 50, fault: 10, recovery: None, end: 30, stated: &[] };
    let turns = |at: f64| Some((at * 50.0).round() as u32 % 2);
    let during = |at: f64| (10.0..11.0).contains(&at);
    let shares = |at: f64| (if at < 10.0 { turns(at) } else { Some(0) }, 3, false);
    let slow = |at: f64| (turns(at), if during(at) { 50 } else { 3 }, false);
    let retried = |at: f64| (turns(at), 3, during(at));
    let failed = |at: f64| (turns(at).filter(|_| !during(at)), 3, false);
    let answers: [&dyn Fn(f64) -> Answer; 4] = [&shares, &slow, &retried, &failed];
    for (n, answer) in answers.into_iter().enumerate() {
        let (verdict, reason) = ruling("failover < 5s", &plan.run(answer));
        assert_eq!(verdict, Verdict::Pass, "{n}: {reason}");
        let (_, reason) = ruling("lost <= 50", &plan.run(answer));
        assert!(reason.ends_with("lost since the fault"), "{n}: {reason}");
    }
}

#[test]
fn what_cannot_be_told_is_inconclusive_and_says_what_it_takes() {
    let plan = Plan { rate: 20, fault: 5, recovery: Some(15), end: 25, stated: &[] };
    let random = std::cell::RefCell::new(Random::new(1));
    let even = |at: f64| {
        let share = if (5.0..15.0).contains(&at) { 0.0 } else { 0.5 };
        (one_of(&mut random.borrow_mut(), share), 3, false)
    };
    let down =
        |from: f64, to: f64| move |at: f64| ((!(from..to).contains(&at)).then_some(0), 3, false);
    let once = Plan { recovery: None, ..plan };
    let twice = |at: f64| down(5.0, 6.0)(at).0.filter(|_| at >= 0.1);
    let cases: [(_, Plan<'_>, &dyn Fn(f64) -> Answer, _); 8] = [
        ("failback < 2s", plan, &even, "answers before the fault (there are 100) and as many"),
        ("failback < 9s", once, &down(5.0, 6.0), "give a second --at"),
        ("failover < 5s", Plan { end: 12, ..once }, &down(5.0, 6.0), "it takes 135 requests"),
        ("failover < 60s", once, &down(5.0, 25.0), "no failover in the 20.000 s from the fault"),
        ("failback < 60s", plan, &down(5.0, 25.0), "from the recovery to the end, and calm must"),
        ("failover < 1s", once, &down(5.0, 6.0), "raise --rate to tell"),
        ("failover < 2s", Plan { fault: 0, ..once }, &down(0.0, 1.0), "no request was due before"),
        ("failover < 5s", once, &|at| (twice(at), 3, false), ""),
    ];
    for (text, plan, answer, part) in cases {
        let (verdict, reason) = ruling(text, &plan.run(answer));
        let passes = part.is_empty();
        let wanted = if passes { Verdict::Pass } else { Verdict::Inconclusive };
        assert_eq!(verdict, wanted, "{text}: {reason}");
        assert!(reason.contains(part), "{text}: {reason}");
    }
    assert_eq!(ruling("lost <= 7", &Tally::default()).0, Verdict::Inconclusive);
}

#[test]
fn a_cluster_below_the_least_share_need_not_come_back() {
    let plan = Plan { rate: 50, ..AWAY };
    // It gives one answer in 400 before the fault, and none after it.
    let rare = |at: f64| {
        let n = (at * 50.0).round() as u32;
        let failed = (30.0..31.0).contains(&at);
        ((!failed).then_some(u32::from(at < 30.0 && n % 400 == 7)), 3, false)
    };
    let (verdict, reason) = ruling("failback < 5s", &plan.run(rare));
    assert_eq!(verdict, Verdict::Pass, "{reason}");
}
