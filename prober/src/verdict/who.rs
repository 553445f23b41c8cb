//! `only`, `reaches` and `exactly`: who answered at all. Pure.

use std::collections::BTreeSet;

use super::{Evidence, Ruling, Verdict, all, both};
use crate::expectation::Form;
use crate::stats::answers_to_miss;
use crate::tally::Label;
use crate::units::{count, percent};

pub(super) fn judge(evidence: &Evidence<'_>, form: Form, label: Label, names: &[String]) -> Ruling {
    match form {
        Form::Only => only(evidence, label, names),
        Form::Reaches => reaches(evidence, label, names),
        Form::Exactly => both(reaches(evidence, label, names), only(evidence, label, names)),
    }
}

/// Passes once others give less than the share that must be ruled out.
fn only(evidence: &Evidence<'_>, label: Label, names: &[String]) -> Ruling {
    let answers = evidence.answers(label);
    let total: u64 = answers.values().sum();
    let wanted: BTreeSet<_> = names.iter().collect();
    let others: Vec<_> = answers
        .iter()
        .filter(|(name, _)| !wanted.contains(name))
        .map(|(name, n)| format!("{name} gave {n}"))
        .collect();
    if !others.is_empty() {
        return (Verdict::Fail, format!("{} of {}", others.join(", "), count(total, "answer")));
    }
    let bound = evidence.unseen(label);
    let said = format!(
        "{} came from {}; others give less than {} % ({})",
        all(total, "answer"),
        names.join(","),
        percent(bound),
        evidence.sure(),
    );
    if bound <= evidence.rules.min_share {
        return (Verdict::Pass, said);
    }
    (Verdict::Inconclusive, format!("{said}, {}", more(evidence, label)))
}

/// Fails once a missing one is proven to give less than the share that counts.
pub(super) fn reaches(evidence: &Evidence<'_>, label: Label, names: &[String]) -> Ruling {
    let answers = evidence.answers(label);
    let total: u64 = answers.values().sum();
    let gave = |name: &String| answers.get(name.as_str()).copied().unwrap_or(0);
    let missing: Vec<_> = names.iter().filter(|name| gave(name) == 0).map(String::as_str).collect();
    if missing.is_empty() {
        let list: Vec<_> = names.iter().map(|name| format!("{name} {}", gave(name))).collect();
        return (Verdict::Pass, format!("{} of {}", list.join(", "), count(total, "answer")));
    }
    let bound = evidence.unseen(label);
    let said = format!(
        "{} gave none of {}: less than {} % ({})",
        missing.join(", "),
        count(total, "answer"),
        percent(bound),
        evidence.sure(),
    );
    if bound <= evidence.rules.min_share {
        return (Verdict::Fail, said);
    }
    (Verdict::Inconclusive, format!("{said}, {}", more(evidence, label)))
}

/// What it takes to rule a share out, for one who has not done it.
pub(super) fn more(evidence: &Evidence<'_>, label: Label) -> String {
    let share = evidence.rules.min_share;
    let needed = answers_to_miss(share, evidence.risk());
    let worth = evidence.absent(label);
    let less = match worth.why {
        Some(why) => format!("and these are worth {:.0}: {why}", worth.sample.trials),
        None => "or a larger --min-share".to_owned(),
    };
    format!(
        "and {} % must be ruled out: it takes {needed} independent answers, {less}",
        percent(share)
    )
}
