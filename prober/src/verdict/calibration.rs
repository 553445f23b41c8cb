//! Whether verdicts keep their error rate: answers of known shares, made up and seeded, judged
//! as the engine judges, beside the checks that people use. Pure; no part of a run. The test
//! here is of moderate size; `prober/examples/calibration.rs` makes the table.

mod cases;
mod source;

use std::fmt::Write as _;
use std::time::Duration;

use echo_reply::Identity;

use crate::expectation::{self, Expectation};
use crate::stats::exact;
use crate::tally::outcome::{Answer, Failure, FailureKind, Outcome, Timings, Wire};
use crate::tally::{Recorder, Tally};
use crate::verdict::sampling;
use crate::verdict::{self, MIN_SHARE, Rules, Sampling, Verdict};
use cases::Truth;
pub use cases::cases;
use source::{MadeUp, Mesh, Source};

/// Requests at which a run gives up: the prober's own default.
const MOST: u64 = 20_000;
/// The most backends of a case.
const BACKENDS: usize = 100;

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    name: &'static str,
    mesh: Mesh,
    expectation: String,
    truth: Truth,
    /// Whether every run must be decided.
    decidable: bool,
    /// The number of requests; `None` is until decided.
    size: Option<u64>,
    min_share: f64,
}

/// What came of a case's runs.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// What the case is.
    pub case: Case,
    pub runs: u64,
    /// Passes of what is not true.
    pub false_passes: u64,
    /// Fails of what is true.
    pub false_fails: u64,
    /// Runs that ended undecided.
    pub inconclusive: u64,
    /// Requests, on average.
    pub mean: u64,
    /// Requests in 95 % of runs, at most.
    pub most: u64,
    /// How often 500 requests and ± 5 points, tried up to ten times, are wrong, in parts of all
    /// runs; `None` if the expectation is not about shares.
    pub fixed: Option<f64>,
    /// How often "each was seen in 20 requests", tried up to ten times, is wrong; likewise.
    pub seen: Option<f64>,
}

impl CaseResult {
    /// The upper bound of the rate of wrong verdicts, at 95 % (Clopper & Pearson 1934): of passes
    /// and of fails, whichever is more.
    #[must_use]
    pub fn bound(&self) -> f64 {
        let wrong = self.false_passes.max(self.false_fails);
        exact::upper(wrong as f64, self.runs as f64, 0.05)
    }

    /// Its row of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { case, mean, most, runs, .. } = self;
        let percent = |part: f64| format!("{:.2} %", part * 100.0);
        let part = |n: u64| percent(n as f64 / *runs as f64);
        let beside = |part: Option<f64>| part.map_or_else(|| "–".to_owned(), percent);
        format!(
            "| {} | `{}` | {} | {} | {} | {mean}, {most} | {} | {} |",
            case.name,
            shortened(&case.expectation),
            part(self.false_passes),
            part(self.false_fails),
            part(self.inconclusive),
            beside(self.fixed),
            beside(self.seen),
        )
    }

    /// Whether all runs are decided that must be, but for one in a hundred.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        !self.case.decidable || self.inconclusive * 100 <= self.runs
    }
}

/// What one run came to.
struct Run {
    verdict: Verdict,
    requests: u64,
    /// The first one's average chance until then.
    average: f64,
}

impl Case {
    fn new(name: &'static str, mesh: Mesh, expectation: String, truth: Truth) -> Self {
        let (decidable, size, min_share) = (false, None, MIN_SHARE);
        Self { name, mesh, expectation, truth, decidable, size, min_share }
    }

    /// The same, where every run must be decided.
    fn decided(self) -> Self {
        Self { decidable: true, ..self }
    }

    /// The same, where the average of the run's chances counts: it holds between these.
    fn on_average(self, low: f64, high: f64) -> Self {
        Self { truth: Truth::Average(low, high), ..self }
    }

    /// The same with a fixed number of requests.
    fn of(self, size: u64) -> Self {
        Self { size: Some(size), ..self }
    }

    /// The same where smaller shares than this do not count.
    fn counting_from(self, min_share: f64) -> Self {
        Self { min_share, ..self }
    }

    /// What its answers are like.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// So many runs, each with its seed.
    #[must_use]
    pub fn run(&self, runs: u64) -> CaseResult {
        let expectation = expectation::parse(&self.expectation);
        let expectation = expectation.expect("the cases' expectations are in the grammar");
        let all: Vec<_> = (0..runs).map(|seed| self.one(&expectation, seed)).collect();
        let number = |of: &dyn Fn(&Run) -> bool| all.iter().filter(|run| of(run)).count() as u64;
        let mut requests: Vec<_> = all.iter().map(|run| run.requests).collect();
        requests.sort_unstable();
        let tries = runs.min(2_000);
        let comparable = !Self::targets(&expectation).is_empty() && self.size.is_none();
        let wrong = |check: &dyn Fn(u64) -> bool| {
            let holds = matches!(self.truth, Truth::Holds);
            let known = comparable && !matches!(self.truth, Truth::Average(..));
            known.then(|| {
                (0..tries).filter(|seed| check(*seed) != holds).count() as f64 / tries as f64
            })
        };
        CaseResult {
            case: self.clone(),
            runs,
            false_passes: number(&|run| run.verdict == Verdict::Pass && !self.holds(run)),
            false_fails: number(&|run| run.verdict == Verdict::Fail && self.holds(run)),
            inconclusive: number(&|run| run.verdict == Verdict::Inconclusive),
            mean: requests.iter().sum::<u64>() / runs.max(1),
            most: requests[requests.len() * 95 / 100],
            fixed: wrong(&|seed| self.fixed_check(&expectation, seed)),
            seen: wrong(&|seed| self.seen_check(seed)),
        }
    }

    fn holds(&self, run: &Run) -> bool {
        match self.truth {
            Truth::Holds => true,
            Truth::Fails => false,
            Truth::Average(low, high) => run.average > low && run.average < high,
        }
    }

    /// One run as the engine does it: looked at now and then, until decided or at the limit.
    fn one(&self, expectation: &Expectation, seed: u64) -> Run {
        let sampling = self.size.map_or(Sampling::UntilDecided, |_| Sampling::Fixed);
        let rules = Rules { sampling, min_share: self.min_share, ..Rules::default() };
        let most = self.size.unwrap_or(MOST);
        let mut source = Source::new(self.mesh, seed);
        let latencies = expectation.needs_latencies();
        let mut recorder = Recorder::default();
        let who: Vec<_> =
            (0..BACKENDS).map(|n| Identity::new(format!("c{n}"), format!("c{n}"))).collect();
        loop {
            let least = sampling::least(rules.dependence, 1.0 - rules.confidence);
            let until = match self.size {
                Some(size) => size,
                None => sampling::next(source.sent, least).min(MOST),
            };
            while source.sent < until {
                let sequence = source.sent;
                let made_up = source.next();
                let outcome = outcome(sequence, made_up, &who);
                recorder.record_on(made_up.lane, outcome, 0, || Duration::ZERO);
            }
            if source.sent < least.min(most) {
                continue;
            }
            let tally: Tally = recorder.so_far(latencies);
            let verdict = verdict::verdict(&tally, expectation, &rules);
            if verdict != Verdict::Inconclusive || source.sent >= most {
                let average = source.chances / source.sent as f64;
                return Run { verdict, requests: source.sent, average };
            }
        }
    }

    /// Shares that the expectation has for each of the groups.
    fn targets(expectation: &Expectation) -> Vec<f64> {
        match expectation {
            Expectation::Shares { shares, .. } => shares.iter().map(|(_, s)| s / 100.0).collect(),
            Expectation::Balanced { names, .. } => {
                let n = if names.is_empty() { 12 } else { names.len() };
                vec![1.0 / n as f64; n]
            }
            _ => Vec::new(),
        }
    }

    /// The Gateway API's check of weights: 500 requests, each share within 5 points, up to
    /// ten tries.
    fn fixed_check(&self, expectation: &Expectation, seed: u64) -> bool {
        let targets = Self::targets(expectation);
        let mut source = Source::new(self.mesh, seed ^ 0xf1);
        (0..10).any(|_| {
            let mut counts = [0u32; BACKENDS];
            (0..500).for_each(|_| counts[source.next().who.unwrap_or(BACKENDS - 1)] += 1);
            let mut pairs = targets.iter().zip(counts);
            pairs.all(|(target, n)| (f64::from(n) / 500.0 - target).abs() <= 0.05)
        })
    }

    /// Istio's check: each was seen at least once, in 20 requests, up to ten tries.
    fn seen_check(&self, seed: u64) -> bool {
        let backends = match self.mesh {
            Mesh::Independent(shares) | Mesh::Pinned(shares, _) => shares.len(),
            Mesh::RoundRobin(backends) => backends,
            _ => 2,
        };
        let mut source = Source::new(self.mesh, seed ^ 0x5e);
        (0..10).any(|_| {
            let mut counts = [0u32; BACKENDS];
            (0..20).for_each(|_| counts[source.next().who.unwrap_or(BACKENDS - 1)] += 1);
            counts[..backends].iter().all(|n| *n > 0)
        })
    }
}

fn outcome<'a>(sequence: u64, made_up: MadeUp, backends: &'a [Identity]) -> Outcome<'a> {
    let MadeUp { who, kept, slow, .. } = made_up;
    let failed = || Failure::new(FailureKind::Status, "503");
    let result = who.map(|who| Answer::of(&backends[who])).ok_or_else(failed);
    let total = Duration::from_millis(if slow { 100 } else { 10 });
    let timings = Timings { total, ..Timings::default() };
    let wire = if kept { Wire::Kept } else { Wire::Fresh };
    Outcome { timings, wire, ..Outcome::fresh(sequence, result) }
}

/// An expectation for a table: of many names the first two and the last.
fn shortened(expectation: &str) -> String {
    let names: Vec<_> = expectation.split(',').collect();
    match names.as_slice() {
        [first, second, .., last] if names.len() > 4 => format!("{first},{second},…,{last}"),
        _ => expectation.to_owned(),
    }
}

/// The rows in Markdown.
#[must_use]
pub fn table(rows: &[CaseResult], runs: u64) -> String {
    let mut out = String::from(
        "| answers | expectation | false pass | false fail | inconclusive | requests: mean, 95 % | 500 ± 5 \
         points, 10 tries: wrong | each seen once: wrong |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let _ = writeln!(out, "{}", row.line());
    }
    let _ = writeln!(
        out,
        "\n{runs} runs of each, seeded; verdicts at 99.9 %, at most {MOST} requests."
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What decisions may cost, on average and in 95 % of runs. The average of 400 runs has a
    /// standard error of 2 %.
    #[test]
    fn decisions_take_no_more_requests_than_they_must() {
        for (name, mean, most) in [
            ("independent 50/50", 2_750, 4_600),
            ("independent 60/40", 2_400, 4_600),
            ("independent 95/5", 800, 800),
            ("one of two is dead", 800, 800),
            ("errors 1 %", 1_200, 2_100),
            ("errors 5 %", 800, 800),
        ] {
            let case = cases().into_iter().find(|case| case.name == name).unwrap();
            let row = case.run(400);
            assert!(row.mean <= mean && row.most <= most, "{row:?}");
        }
    }

    /// The table in the documents is the command's: its cases are these, in this order.
    #[test]
    fn the_documents_have_every_case() {
        let mut rest = include_str!("../../../docs/statistics.md");
        for case in cases() {
            let row = format!("\n| {} | `{}` | ", case.name, shortened(&case.expectation));
            let after = rest.split_once(&row).map(|(_, after)| after);
            rest = after.unwrap_or_else(|| panic!("docs/statistics.md has no row '{}'", case.name));
        }
    }

    /// At the stated 0.1 %, 10 runs have a wrong one with a chance of 0.01; seeded, so that this
    /// cannot fail by chance.
    #[test]
    fn verdicts_are_as_seldom_wrong_as_they_say() {
        const RUNS: u64 = 10;
        std::thread::scope(|scope| {
            for half in 0..2 {
                scope.spawn(move || {
                    for case in cases().iter().skip(half).step_by(2) {
                        let row = case.run(RUNS);
                        let wrong = row.false_passes + row.false_fails;
                        assert!(wrong == 0 && row.is_decided(), "{row:?}");
                    }
                });
            }
        });
    }
}
