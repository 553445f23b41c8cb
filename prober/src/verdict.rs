//! Tally × expectation → pass, fail or inconclusive, with the numbers that say why. Pure.
//!
//! Each verdict by itself keeps the stated confidence: what is called a pass is wrong, and
//! what is called a fail is wrong, in at most that part of all runs.

pub mod calibration;
mod counts;
mod evidence;
mod parts;
pub(crate) mod sample_size;
pub(crate) mod sampling;
mod shares;
pub(crate) mod simulate;
mod survival;
mod who;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expectation::{Expectation, Form};
use crate::tally::{Label, Tally, is_unknown};
use crate::units::count;
pub(crate) use evidence::{Evidence, THIS_RUN, Why, Worth};
pub(crate) use parts::alike;
pub(crate) use sampling::Sampling;

/// The confidence of a verdict, unless told otherwise.
pub(crate) const CONFIDENCE: f64 = 0.999;
/// The share that must be ruled out, unless told otherwise.
pub(crate) const MIN_SHARE: f64 = 0.01;
/// How many backends are told apart, unless told otherwise.
pub(crate) const MAX_BACKENDS: usize = 10_000;
/// So many requests must have ended well before `errors = 0` counts as met, where sampling
/// goes on until something is decided.
pub(crate) const ENOUGH_FOR_EXACT: u64 = 100;

/// How tallies are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// What a verdict is sure at, 0 to 1.
    pub confidence: f64,
    /// A group with less than this share, 0 to 1, counts as one that does not answer.
    pub min_share: f64,
    /// How the sample came to its size.
    pub sampling: Sampling,
    /// Up to which integrated autocorrelation time, in answers, verdicts speak for the mesh.
    pub dependence: f64,
    /// How long a run that goes on until it is decided lasts at least.
    pub min_time: Duration,
    /// How many backends are told apart: those that answer first.
    pub most_backends: usize,
    /// Clusters that are there, seen or not.
    pub clusters: Vec<String>,
    /// Whether each connection's address was drawn among all of the name's, so that addresses
    /// are independent of each other and not as a look-up happened to order them.
    pub addresses_drawn: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            confidence: CONFIDENCE,
            min_share: MIN_SHARE,
            sampling: Sampling::Fixed,
            dependence: sampling::DEPENDENCE,
            min_time: Duration::ZERO,
            most_backends: MAX_BACKENDS,
            clusters: Vec::new(),
            addresses_drawn: false,
        }
    }
}

/// Whether an expectation was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was met.
    Pass,
    /// The sample is too small to say.
    Inconclusive,
    /// It was missed.
    Fail,
}

impl Verdict {
    /// The word for it in a text report.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
        }
    }
}

/// An expectation and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The expectation; in JSON, in the grammar's words.
    #[serde(with = "in_words")]
    pub expectation: Expectation,
    /// Whether it was met.
    pub verdict: Verdict,
    /// The numbers that say why.
    pub reason: String,
}

impl Judged {
    /// Whether the verdict holds for the requests of the run only, by its own words.
    #[must_use]
    pub(crate) fn is_about_this_run_only(&self) -> bool {
        self.reason.contains(THIS_RUN)
    }

    /// Inconclusive, for this reason.
    #[must_use]
    pub(crate) fn open(expectation: Expectation, reason: String) -> Self {
        Self { expectation, verdict: Verdict::Inconclusive, reason }
    }
}

/// Expectations in reports: the words of the grammar.
mod in_words {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::expectation::{self, Expectation};

    pub(super) fn serialize<S: Serializer>(
        expectation: &Expectation,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(expectation)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Expectation, D::Error> {
        let words = String::deserialize(deserializer)?;
        expectation::parse(&words).map_err(D::Error::custom)
    }
}

/// A verdict and its reason.
type Ruling = (Verdict, String);

/// Judges one expectation. Without answers nothing passes.
#[must_use]
pub(crate) fn judge(tally: &Tally, expectation: &Expectation, rules: &Rules) -> Judged {
    let (verdict, reason) = rule(&Evidence::new(tally, rules), expectation);
    Judged { expectation: expectation.clone(), verdict, reason }
}

/// The verdict alone, in less time than [`judge`].
#[must_use]
pub(crate) fn verdict(tally: &Tally, expectation: &Expectation, rules: &Rules) -> Verdict {
    rule(&Evidence::new(tally, rules).silent(), expectation).0
}

/// Judges several expectations, in their order.
#[must_use]
pub(crate) fn judge_all(tally: &Tally, expectations: &[Expectation], rules: &Rules) -> Vec<Judged> {
    let evidence = Evidence::new(tally, rules);
    let judge = |expectation: &Expectation| {
        let (verdict, reason) = rule(&evidence, expectation);
        Judged { expectation: expectation.clone(), verdict, reason }
    };
    expectations.iter().map(judge).collect()
}

/// Whether nothing that is still to come could be needed to judge these expectations, where
/// sampling goes on until they are decided. A throughput is what a run has in the end.
#[must_use]
pub(crate) fn decided(tally: &Tally, expectations: &[Expectation], rules: &Rules) -> bool {
    if tally.elapsed < rules.min_time {
        return false;
    }
    let evidence = Evidence::new(tally, rules).silent();
    expectations.iter().all(|expectation| {
        let enough = tally.requests() >= ENOUGH_FOR_EXACT;
        if matches!(expectation, Expectation::Throughput { .. }) {
            return enough;
        }
        match rule(&evidence, expectation).0 {
            Verdict::Fail => true,
            Verdict::Inconclusive => false,
            Verdict::Pass => expectation.is_statistical() || enough,
        }
    })
}

fn rule(evidence: &Evidence<'_>, expectation: &Expectation) -> Ruling {
    let tally = evidence.tally;
    if let Some(label) = expectation.label()
        && let Some(ruling) = unknown(evidence, expectation, label)
    {
        return ruling;
    }
    let ruling = rule_at_any_size(evidence, expectation);
    let sequential = evidence.rules.sampling == Sampling::UntilDecided;
    let (requests, least) = (tally.requests(), evidence.least());
    // What is exact needs no least sample: one stray answer misses 'only', one failure 'errors = 0'.
    let exact = !expectation.is_statistical()
        || tally.answers() == 0
        || is_proven_by_one(evidence, expectation, ruling.0);
    if sequential && !exact && requests < least && ruling.0 != Verdict::Inconclusive {
        let said = format!("{}, but a verdict takes at least {least} requests", ruling.1);
        return (Verdict::Inconclusive, said);
    }
    ruling
}

/// Whether a verdict is that of a single answer: one of somebody else, or one of each.
fn is_proven_by_one(evidence: &Evidence<'_>, expectation: &Expectation, verdict: Verdict) -> bool {
    let Expectation::Who { form, label, names } = expectation else { return false };
    let stray = |name: &String| !names.contains(name);
    match (form, verdict) {
        (Form::Only | Form::Exactly, Verdict::Fail) => evidence.answers(*label).keys().any(stray),
        (Form::Reaches, Verdict::Pass) => true,
        _ => false,
    }
}

/// Where answers do not say what the expectation is about. Those that do say it can still prove
/// who answered, but shares are shares of all.
fn unknown(evidence: &Evidence<'_>, expectation: &Expectation, label: Label) -> Option<Ruling> {
    let (unknown, answers) = (evidence.unknown(label), evidence.tally.answers());
    let is_who = matches!(expectation, Expectation::Who { .. });
    if unknown == 0 || (is_who && unknown < answers) {
        return None;
    }
    if let Some(said) = evidence.tally.folded_in_words(label) {
        return Some((Verdict::Inconclusive, format!("unknown: {said}")));
    }
    if expectation.names().iter().any(|name| is_unknown(name)) {
        return None;
    }
    let some = match unknown == answers {
        true => "no answer carried".to_owned(),
        false => format!("{unknown} of {} did not carry", count(answers, "answer")),
    };
    let (header, remedy) = match label {
        Label::Address => {
            ("an address", "probe it from here, or from a prober at the source".into())
        }
        _ => (
            label.word(),
            format!("let the pods state it (x-echo-{}), or name it with --identify", label.word()),
        ),
    };
    Some((Verdict::Inconclusive, format!("unknown: {some} {header}; {remedy}")))
}

fn rule_at_any_size(evidence: &Evidence<'_>, expectation: &Expectation) -> Ruling {
    let tally = evidence.tally;
    match expectation {
        Expectation::NoErrors => counts::no_errors(tally),
        _ if tally.requests() == 0 => nothing_ended(),
        Expectation::ErrorRate { percent } => counts::error_rate(evidence, percent / 100.0),
        _ if tally.answers() == 0 => {
            let requests = tally.requests();
            (Verdict::Fail, format!("none of {} was answered", count(requests, "request")))
        }
        Expectation::NoRetries => counts::no_retries(tally),
        Expectation::Latency { quantile, of, below } => {
            counts::latency(evidence, *quantile, of.as_ref(), *below)
        }
        Expectation::Throughput { per_second } => counts::throughput(tally, *per_second),
        Expectation::Who { form, label, names } => who::judge(evidence, *form, *label, names),
        Expectation::Balanced { names, label, tolerance } => {
            shares::balanced(evidence, names, *label, tolerance / 100.0)
        }
        Expectation::Shares { shares, label, tolerance } => {
            let shares: Vec<_> =
                shares.iter().map(|(name, percent)| (name.clone(), percent / 100.0)).collect();
            shares::shares(evidence, &shares, *label, tolerance / 100.0)
        }
        Expectation::Share { group, side, percent } => {
            shares::share(evidence, group, *side, percent / 100.0)
        }
        Expectation::Failover(_) | Expectation::Failback(_) | Expectation::Lost { .. } => {
            survival::judge(tally, expectation, evidence.rules)
        }
    }
}

fn nothing_ended() -> Ruling {
    (Verdict::Inconclusive, "no request ended".to_owned())
}

/// Both must hold: the worse verdict counts, and its reason; of two passes, the second's bound
/// too.
fn both(first: Ruling, second: Ruling) -> Ruling {
    match (first.0, second.0) {
        (Verdict::Pass, Verdict::Pass) => {
            let bound = second.1.split_once("; ").map_or("", |(_, bound)| bound);
            (Verdict::Pass, format!("{}; {bound}", first.1))
        }
        (Verdict::Fail, Verdict::Fail) => (Verdict::Fail, format!("{}; {}", first.1, second.1)),
        (a, b) if a == b => first,
        (a, b) if a > b => first,
        _ => second,
    }
}

/// `the only answer`, `all 5 answers`.
pub(crate) fn all(n: u64, noun: &str) -> String {
    if n == 1 { format!("the only {noun}") } else { format!("all {n} {noun}s") }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
