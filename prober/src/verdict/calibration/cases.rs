//! What the calibration is made of: each kind of dependence with a truth that holds and one that
//! does not.

use super::Case;
use super::source::Mesh::{
    self, Batches, Drifting, Failing, FailingInBursts, Gateways, Independent, Levels, OneTwo,
    Pinned, RoundRobin, Silent, Slow, Sticky, TwoToOne,
};

/// What is true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Truth {
    /// The expectation holds.
    Holds,
    /// It does not.
    Fails,
    /// It holds if the average of the chances up to the decision is between these: verdicts speak
    /// for no more than the run.
    Average(f64, f64),
}

const EVEN: &[f64] = &[0.5, 0.5];
const BALANCED: &str = "balanced c0,c1 ± 5%";
const MOSTLY: &str = "share{cluster=c0} >= 70%";
const FEW_ERRORS: &str = "error-rate <= 0.1%";
const ERRORS: &str = "error-rate <= 1%";
const FAST: &str = "p99 < 50ms";

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [independent(), connections(), sticky(), failures_and_latency(), many_names(), fixed_size()]
        .into_iter()
        .flatten()
        .collect()
}

fn holds(name: &'static str, mesh: Mesh, expectation: impl Into<String>) -> Case {
    Case::new(name, mesh, expectation.into(), Truth::Holds)
}

fn fails(name: &'static str, mesh: Mesh, expectation: impl Into<String>) -> Case {
    Case::new(name, mesh, expectation.into(), Truth::Fails)
}

fn independent() -> Vec<Case> {
    const WEIGHTED: &str = "shares c0=90%,c1=10% ± 3%";
    vec![
        holds("independent 50/50", Independent(EVEN), BALANCED).decided(),
        holds("independent 52/48", Independent(&[0.52, 0.48]), BALANCED).decided(),
        fails("independent 55/45, on the edge", Independent(&[0.55, 0.45]), BALANCED),
        holds("independent 54.9/45.1, just inside", Independent(&[0.549, 0.451]), BALANCED),
        fails("independent 60/40", Independent(&[0.6, 0.4]), BALANCED).decided(),
        fails("independent 70/30", Independent(&[0.7, 0.3]), BALANCED).decided(),
        fails("independent 95/5", Independent(&[0.95, 0.05]), BALANCED).decided(),
        fails("one of two is dead", Independent(&[1.0, 0.0]), BALANCED).decided(),
        holds("weighted 90/10", Independent(&[0.9, 0.1]), WEIGHTED).decided(),
        fails("weighted 80/20 where 90/10 is meant", Independent(&[0.8, 0.2]), WEIGHTED).decided(),
        holds("twelve even pods", Independent(&[1.0 / 12.0; 12]), "balanced by pod ± 5%").decided(),
        holds("round robin", RoundRobin(2), BALANCED).decided(),
        holds("round robin over three", RoundRobin(3), "balanced c0,c1,c2 ± 5%").decided(),
        fails("periodic 1:2", OneTwo, BALANCED).decided(),
        holds("periodic 1:2 as meant", OneTwo, "shares c0=33.3%,c1=66.7% ± 5%").decided(),
    ]
}

fn connections() -> Vec<Case> {
    vec![
        holds("pinned, connections for ever", Pinned(EVEN, u64::MAX), BALANCED),
        holds("pinned, 100 requests each", Pinned(EVEN, 100), BALANCED),
        holds("pinned, 4 requests each", Pinned(EVEN, 4), BALANCED),
        fails("pinned 60/40, 100 requests each", Pinned(&[0.6, 0.4], 100), BALANCED),
        fails("pinned 60/40, 4 requests each", Pinned(&[0.6, 0.4], 4), BALANCED),
        holds("two gateways, connections for ever", Gateways, BALANCED),
        holds("2:1 and 1:2 connections", TwoToOne(100, 0.5), BALANCED),
        fails("2:1 and 1:2 connections, on the edge", TwoToOne(100, 0.65), BALANCED),
    ]
}

/// What lasts for longer than 100 answers, such as levels, counts by the run's average.
fn sticky() -> Vec<Case> {
    vec![
        holds("next equals last with 0.75", Sticky(0.5, 0.5), BALANCED),
        fails("next equals last with 0.75, on the edge", Sticky(0.55, 0.5), BALANCED),
        holds("next equals last with 0.90", Sticky(0.5, 0.8), BALANCED),
        fails("next equals last with 0.90, on the edge", Sticky(0.55, 0.8), BALANCED),
        fails("next equals last with 0.90, share", Sticky(0.5, 0.8), MOSTLY),
        holds("next equals last with 0.95", Sticky(0.5, 0.9), BALANCED),
        holds("next equals last with 0.98", Sticky(0.5, 0.96), BALANCED),
        fails("next equals last with 0.98, on the edge", Sticky(0.55, 0.96), BALANCED),
        fails("next equals last with 0.98, share", Sticky(0.5, 0.96), MOSTLY),
        holds("next equals last with 0.99", Sticky(0.5, 0.98), BALANCED).on_average(0.45, 0.55),
        holds("next equals last with 0.99, share", Sticky(0.5, 0.98), MOSTLY).on_average(0.7, 1.0),
        holds("next equals last with 0.995", Sticky(0.5, 0.99), BALANCED).on_average(0.45, 0.55),
        holds("batches of 8", Batches(8, 0.5), BALANCED),
        fails("batches of 8, on the edge", Batches(8, 0.55), BALANCED),
        holds("batches of 32", Batches(32, 0.5), BALANCED),
        fails("batches of 32, on the edge", Batches(32, 0.55), BALANCED),
        holds("batches of 64", Batches(64, 0.5), BALANCED),
        fails("batches of 64, on the edge", Batches(64, 0.55), BALANCED),
        holds("one silent for 200 answers, then even", Silent(200, 0.5), BALANCED),
        fails("one silent for 200 answers, then 60/40", Silent(200, 0.6), BALANCED),
        holds("40 and 60 %, 100 answers each", Levels(0.5, 0.1, 100), BALANCED)
            .on_average(0.45, 0.55),
        holds("45 and 65 %, 100 answers each", Levels(0.55, 0.1, 100), BALANCED)
            .on_average(0.45, 0.55),
        holds("30 and 70 %, 50 answers each", Levels(0.5, 0.2, 50), BALANCED),
        fails("35 and 75 %, 50 answers each", Levels(0.55, 0.2, 50), BALANCED),
        holds("drifting from 35 to 65 %", Drifting(0.35, 0.65, 4_000), BALANCED)
            .on_average(0.45, 0.55),
        holds("drifting from 50 to 70 %", Drifting(0.5, 0.7, 4_000), BALANCED)
            .on_average(0.45, 0.55),
    ]
}

/// A run may have none of some bursts, and then speaks for itself alone: by its average.
fn failures_and_latency() -> Vec<Case> {
    vec![
        fails("errors 1 %", Failing(0.01, 1), FEW_ERRORS).decided(),
        fails("errors 5 %", Failing(0.05, 1), FEW_ERRORS).decided(),
        holds("errors 0.05 %, ten in a row", Failing(0.0005, 10), FEW_ERRORS),
        fails("errors 0.11 %, ten in a row", Failing(0.0011, 10), FEW_ERRORS)
            .on_average(-1.0, 0.001),
        holds("errors 0.5 %, 32 in a row", Failing(0.005, 32), ERRORS),
        holds("errors 0.9 %, ten in a row", Failing(0.009, 10), ERRORS),
        fails("errors 1.1 %, ten in a row", Failing(0.011, 10), ERRORS).on_average(-1.0, 0.01),
        holds("errors 0.8 %, bursts of 40", FailingInBursts(0.008, 40.0), ERRORS),
        holds("0.8 % slow, 8 in a row of 1,000", Slow(8, 1_000), FAST),
        fails("1.2 % slow, 12 in a row of 1,000", Slow(12, 1_000), FAST).on_average(-1.0, 0.01),
        fails("1.5 % slow, 3 in a row of 200", Slow(3, 200), FAST),
    ]
}

fn many_names() -> Vec<Case> {
    let names = |n: usize| (0..n).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    let small: String = (1..=10).map(|n| format!(",c{n}=1%")).collect();
    let shares = format!("shares c0=90%{small} ± 3%");
    const MANY: &[f64] = &[0.9, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01];
    const LESS: &[f64] = &[0.86, 0.05, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01];
    let twelve = format!("exactly {} by pod", names(12));
    vec![
        holds("twelve even pods, exactly", Independent(&[1.0 / 12.0; 12]), twelve.clone())
            .decided(),
        holds("twelve even pods, --min-share 8%", Independent(&[1.0 / 12.0; 12]), twelve.clone())
            .counting_from(0.08),
        fails("eleven of twelve pods", Independent(&[1.0 / 11.0; 11]), twelve).decided(),
        holds("100 even pods", Independent(&[0.01; 100]), format!("exactly {} by pod", names(100)))
            .counting_from(0.005),
        holds("90 % and ten of 1 %", Independent(MANY), shares.clone()).decided(),
        fails("86 %, 5 % and nine of 1 %", Independent(LESS), shares),
    ]
}

/// Of a size that was fixed before, and too small to speak for more than the run.
fn fixed_size() -> Vec<Case> {
    let edge = |share, size, name| {
        let case = Case::new(name, Sticky(share, 0.1), MOSTLY.to_owned(), Truth::Average(0.7, 1.0));
        case.of(size)
    };
    vec![
        edge(0.7, 20, "next equals last with 0.55, on the edge, -n 20"),
        edge(0.7, 500, "next equals last with 0.55, on the edge, -n 500"),
        holds("independent 50/50, -n 250", Independent(EVEN), BALANCED).of(250),
        fails("independent 60/40, -n 1000", Independent(&[0.6, 0.4]), BALANCED).of(1_000),
        fails("next equals last with 0.90, share, -n 2000", Sticky(0.5, 0.8), MOSTLY).of(2_000),
        holds("batches of 32, -n 2000", Batches(32, 0.5), BALANCED).of(2_000),
    ]
}
