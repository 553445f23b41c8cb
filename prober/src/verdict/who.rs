//! `only`, `reaches` and `exactly`: who answered at all. Pure.

use std::collections::BTreeSet;

use super::{Evidence, Ruling, Verdict, all, both};
use crate::expectation::Form;
use crate::stats::answers_to_miss;
use crate::tally::{Label, is_unknown};
use crate::units::{count, percent};

pub(super) fn judge(evidence: &Evidence<'_>, form: Form, label: Label, names: &[String]) -> Ruling {
    match form {
        Form::Only => only(evidence, label, names),
        Form::Reaches => reaches(evidence, label, names),
        Form::Exactly => both(reaches(evidence, label, names), only(evidence, label, names)),
    }
}

/// Passes when all others together are proven to give less than the share that must be ruled out.
fn only(evidence: &Evidence<'_>, label: Label, names: &[String]) -> Ruling {
    let total = evidence.tally.answers();
    let wanted: BTreeSet<_> = names.iter().collect();
    let others: Vec<_> = evidence
        .answers(label)
        .iter()
        .filter(|(name, _)| !wanted.contains(name) && !is_unknown(name))
        .map(|(name, n)| format!("{name} gave {n}"))
        .collect();
    if !others.is_empty() {
        return (Verdict::Fail, format!("{} of {}", others.join(", "), count(total, "answer")));
    }
    let nameless = evidence.unknown(label);
    if let Some(said) = evidence.tally.folded_in_words(label) {
        return (Verdict::Inconclusive, said);
    }
    if nameless > 0 {
        let word = label.word();
        let said = format!("{nameless} of {} say no {word}", count(total, "answer"));
        return (Verdict::Inconclusive, said);
    }
    let bound = evidence.unseen(label, 1);
    let said = format!(
        "{} came from {}; others give less than {} % ({})",
        all(total, "answer"),
        names.join(","),
        percent(bound),
        evidence.sure(),
    );
    if bound <= evidence.rules.min_share {
        return (Verdict::Pass, format!("{said}{}", evidence.rare_note()));
    }
    (Verdict::Inconclusive, format!("{said}, {}", more(evidence, label, 1)))
}

/// Fails when a missing group is proven to give less than the share that counts. Each named group could
/// be missed by chance (Boole's inequality).
pub(super) fn reaches(evidence: &Evidence<'_>, label: Label, names: &[String]) -> Ruling {
    let total = evidence.tally.answers();
    let gave = |name: &String| evidence.count(label, name);
    let missing: Vec<_> = names.iter().filter(|name| gave(name) == 0).map(String::as_str).collect();
    if missing.is_empty() {
        let list: Vec<_> = names.iter().map(|name| format!("{name} {}", gave(name))).collect();
        return (Verdict::Pass, format!("{} of {}", list.join(", "), count(total, "answer")));
    }
    let bound = evidence.unseen(label, names.len());
    let said = format!(
        "{} gave none of {}: less than {} % ({})",
        missing.join(", "),
        count(total, "answer"),
        percent(bound),
        evidence.sure(),
    );
    if let Some(folded) = evidence.tally.folded_in_words(label) {
        return (Verdict::Inconclusive, format!("{said}, but {folded}"));
    }
    let nameless = evidence.unknown(label);
    if nameless > 0 {
        let said = format!("{said}, but {nameless} say no {}", label.word());
        return (Verdict::Inconclusive, said);
    }
    if bound <= evidence.rules.min_share {
        return (Verdict::Fail, format!("{said}{}", evidence.rare_note()));
    }
    (Verdict::Inconclusive, format!("{said}, {}", more(evidence, label, names.len())))
}

/// How many answers would rule out the share for this many names.
fn more(evidence: &Evidence<'_>, label: Label, names: usize) -> String {
    let share = evidence.rules.min_share;
    let needed = answers_to_miss(share, evidence.risk() / names.max(1) as f64);
    let worth = evidence.absent(label);
    let independent = worth.independent().trials.floor();
    let less = match worth.why {
        Some(why) => format!("and these are worth {independent}: {}", why.words()),
        None if independent >= needed as f64 * 0.5 => {
            format!("and these may be worth only {independent}; or a larger --min-share")
        }
        None => "or a larger --min-share".to_owned(),
    };
    format!(
        "and {} % must be ruled out: it takes {needed} independent answers, {less}",
        percent(share)
    )
}
