//! Tally × expectation → pass, fail or inconclusive, with the numbers that say why. Pure.

use serde::{Deserialize, Serialize};

use crate::expectation::{Expectation, Form};
use crate::stats;
use crate::tally::Tally;

/// The confidence of a verdict.
pub const CONFIDENCE: f64 = 0.999;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The expectation, in the grammar's words.
    pub expectation: String,
    /// Whether it was met.
    pub verdict: Verdict,
    /// The numbers that say why.
    pub reason: String,
}

/// Judges one expectation. Without answers nothing passes.
#[must_use]
pub fn judge(tally: &Tally, expectation: &Expectation) -> Judged {
    let (verdict, reason) = match expectation {
        Expectation::NoErrors => no_errors(tally),
        Expectation::Who { .. } if tally.requests() == 0 => nothing_ended(),
        Expectation::Who { .. } if tally.answers() == 0 => {
            let requests = tally.requests();
            (Verdict::Fail, format!("none of {} was answered", count(requests, "request")))
        }
        Expectation::Who { form, label, names } => {
            let answers = tally.answers_by(*label);
            let only = || only(&answers, names);
            let reaches = || reaches(&answers, names);
            match form {
                Form::Only => only(),
                Form::Reaches => reaches(),
                Form::Exactly => both(reaches(), only()),
            }
        }
    };
    Judged { expectation: expectation.to_string(), verdict, reason }
}

type Answers<'a> = std::collections::BTreeMap<&'a str, u64>;

fn nothing_ended() -> (Verdict, String) {
    (Verdict::Inconclusive, "no request ended".to_owned())
}

fn no_errors(tally: &Tally) -> (Verdict, String) {
    let requests = tally.requests();
    if requests == 0 {
        return nothing_ended();
    }
    let kinds: Vec<_> =
        tally.failures_by_kind().iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    if kinds.is_empty() {
        return (Verdict::Pass, format!("{} answered", all(requests, "request")));
    }
    let failed = tally.failed_requests();
    let list = kinds.join(", ");
    (Verdict::Fail, format!("{failed} of {} failed: {list}", count(requests, "request")))
}

fn only(answers: &Answers<'_>, names: &[String]) -> (Verdict, String) {
    let total: u64 = answers.values().sum();
    let others: Vec<_> = answers
        .iter()
        .filter(|(name, _)| !names.iter().any(|wanted| wanted == *name))
        .map(|(name, n)| format!("{name} gave {n}"))
        .collect();
    if others.is_empty() {
        let bound = stats::unseen_share(total, CONFIDENCE) * 100.0;
        let bound =
            format!("others give less than {bound:.2} % ({:.1} % sure)", CONFIDENCE * 100.0);
        return (
            Verdict::Pass,
            format!("{} came from {}; {bound}", all(total, "answer"), names.join(",")),
        );
    }
    (Verdict::Fail, format!("{} of {}", others.join(", "), count(total, "answer")))
}

fn reaches(answers: &Answers<'_>, names: &[String]) -> (Verdict, String) {
    let total: u64 = answers.values().sum();
    let gave = |name: &String| answers.get(name.as_str()).copied().unwrap_or(0);
    let missing: Vec<_> = names.iter().filter(|name| gave(name) == 0).map(String::as_str).collect();
    if missing.is_empty() {
        let list: Vec<_> = names.iter().map(|name| format!("{name} {}", gave(name))).collect();
        return (Verdict::Pass, format!("{} of {}", list.join(", "), count(total, "answer")));
    }
    let wanted = missing.join(", ");
    let silent = format!("{wanted} gave none of {}", count(total, "answer"));
    // An even share among all who are named or were seen.
    let others = answers.keys().filter(|seen| !names.iter().any(|name| name == **seen)).count();
    let groups = names.len() + others;
    let needed = stats::answers_to_miss(1.0 / groups as f64, 1.0 - CONFIDENCE);
    if total >= needed {
        return (Verdict::Fail, silent);
    }
    (
        Verdict::Inconclusive,
        format!("{silent}, and fewer than {needed} cannot tell: send more (-n)"),
    )
}

/// Both must hold: the worse verdict counts, and its reason; of two passes, the second's bound too.
fn both(first: (Verdict, String), second: (Verdict, String)) -> (Verdict, String) {
    match (first.0, second.0) {
        (Verdict::Pass, Verdict::Pass) => {
            let bound = second.1.split_once("; ").map_or("", |(_, bound)| bound);
            (Verdict::Pass, format!("{}; {bound}", first.1))
        }
        (a, b) if a == b => (a, format!("{}; {}", first.1, second.1)),
        (a, b) if a > b => first,
        _ => second,
    }
}

fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn all(n: u64, noun: &str) -> String {
    if n == 1 { format!("the only {noun}") } else { format!("all {n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectation::parse;
    use crate::outcome::FailureKind;
    use crate::tally::{BackendTally, FailureGroup};
    use echo_reply::Identity;

    fn tally(answers: &[(&str, u64)], failures: u64) -> Tally {
        let mut tally = Tally::default();
        for (cluster, n) in answers {
            let backend = BackendTally { answers: *n, ..BackendTally::default() };
            tally.backends.insert(Identity::new("p", *cluster), backend);
        }
        if failures > 0 {
            let what = "503".to_owned();
            let kind = FailureKind::Status;
            tally.failures.push(FailureGroup { kind, what, count: failures });
        }
        tally
    }

    #[test]
    fn each_form_passes_fails_and_stays_open() {
        use Verdict::{Fail, Inconclusive, Pass};
        for (text, answers, failures, verdict) in [
            ("errors = 0", &[("kops", 10)][..], 0, Pass),
            ("errors = 0", &[("kops", 10)], 1, Fail),
            ("errors = 0", &[], 10, Fail),
            ("errors = 0", &[], 0, Inconclusive),
            ("only kops", &[("kops", 10)], 0, Pass),
            ("only kops", &[("kops", 10)], 5, Pass),
            ("only kops", &[("kops", 99), ("gke1", 1)], 0, Fail),
            ("only kops", &[], 10, Fail),
            ("only kops", &[], 0, Inconclusive),
            ("reaches kops,gke1", &[("kops", 99), ("gke1", 1)], 0, Pass),
            ("reaches kops,gke1", &[("kops", 1), ("gke1", 1), ("x", 1)], 0, Pass),
            ("reaches kops,gke1", &[("kops", 100)], 0, Fail),
            ("reaches kops,gke1", &[("kops", 4)], 0, Inconclusive),
            ("reaches gke1", &[("kops", 1)], 0, Inconclusive),
            ("reaches gke1", &[("kops", 9)], 0, Inconclusive),
            ("reaches gke1", &[("kops", 10)], 0, Fail),
            ("reaches kops,gke1", &[], 10, Fail),
            ("exactly kops,gke1", &[("kops", 5), ("gke1", 5)], 0, Pass),
            ("exactly kops,gke1", &[("kops", 5), ("gke1", 5), ("x", 1)], 0, Fail),
            ("exactly kops,gke1", &[("kops", 100)], 0, Fail),
            ("exactly kops,gke1", &[("kops", 4)], 0, Inconclusive),
            ("exactly kops,gke1", &[("kops", 3), ("x", 1)], 0, Fail),
            ("exactly kops", &[("kops", 1)], 0, Pass),
            ("exactly p by pod", &[("kops", 1), ("gke1", 1)], 0, Pass),
        ] {
            let judged = judge(&tally(answers, failures), &parse(text).unwrap());
            assert_eq!(judged.verdict, verdict, "{text} {answers:?} {failures}: {}", judged.reason);
            assert_eq!(judged.expectation, text);
        }
    }

    #[test]
    fn reasons_carry_the_numbers() {
        let reason = |text: &str, answers: &[(&str, u64)], failures| {
            judge(&tally(answers, failures), &parse(text).unwrap()).reason
        };
        assert_eq!(
            reason("exactly kops,gke1", &[("kops", 60), ("gke1", 40)], 0),
            "kops 60, gke1 40 of 100 answers; others give less than 6.67 % (99.9 % sure)"
        );
        assert_eq!(
            reason("only kops", &[("kops", 60), ("gke1", 40)], 0),
            "gke1 gave 40 of 100 answers"
        );
        assert_eq!(
            reason("reaches kops,gke1", &[("kops", 4)], 0),
            "gke1 gave none of 4 answers, and fewer than 10 cannot tell: send more (-n)"
        );
        assert_eq!(reason("errors = 0", &[("kops", 97)], 3), "3 of 100 requests failed: 3 status");
    }
}
