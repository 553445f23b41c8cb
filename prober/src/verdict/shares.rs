//! `balanced`, `shares` and `share`: how much each group answered. Pure.
//!
//! A pass needs every group inside its tolerance, each proven at the full risk: were one
//! outside, that very proof would have to be wrong (an intersection-union test, Berger
//! 1982). A fail needs one outside, and the risk is divided among all that might seem to be.

use std::collections::BTreeSet;

use super::{Evidence, Ruling, Verdict, Worth, all, both, who};
use crate::expectation::{Form, Group, Side, quoted};
use crate::stats::sequence::{self, Sample};
use crate::tally::Label;
use crate::units::{count, percent};

/// A group with less than this part of an even share is a stray.
const STRAY: f64 = 0.25;

/// A group, its share, and where it may be.
struct Claim {
    name: String,
    target: f64,
    low: f64,
    high: f64,
    worth: Worth,
}

pub(super) fn balanced(
    evidence: &Evidence<'_>,
    names: &[String],
    label: Label,
    tolerance: f64,
) -> Ruling {
    let mut names = names.to_vec();
    let named = !names.is_empty();
    if !named {
        if label == Label::Cluster {
            names.extend(evidence.rules.clusters.iter().cloned());
        }
        // A group that gave less than counts as answering is a stray, not a member that should
        // have an even share. With many groups, an even share may be that small.
        let groups = evidence.answers(label).len().max(1) as f64;
        let least = evidence.rules.min_share.min(STRAY / groups) * evidence.tally.answers() as f64;
        let known: BTreeSet<_> = names.iter().cloned().collect();
        let counted =
            |(name, count): &(&String, &u64)| **count as f64 >= least && !known.contains(*name);
        names.extend(evidence.answers(label).iter().filter(counted).map(|(name, _)| name.clone()));
    }
    if let [name] = names.as_slice() {
        return alone(evidence, label, name, named);
    }
    let even = 1.0 / names.len() as f64;
    let shares: Vec<_> = names.into_iter().map(|name| (name, even)).collect();
    self::shares(evidence, &shares, label, tolerance)
}

/// One group was seen, and nobody said which others there are; or one was named.
fn alone(evidence: &Evidence<'_>, label: Label, name: &str, named: bool) -> Ruling {
    if named {
        return who::judge(evidence, Form::Only, label, &[name.to_owned()]);
    }
    let bound = evidence.unseen(label, 1);
    let given = evidence.count(label, name);
    let word = label.word();
    let said = format!(
        "only {name} gave {}, other {word}s less than {} % ({}), so there is nothing to be balanced; \
         name the {word}s that should answer: balanced {},…",
        all(given, "answer"),
        percent(bound),
        evidence.sure(),
        quoted(name),
    );
    let proven = bound <= evidence.rules.min_share;
    (if proven { Verdict::Fail } else { Verdict::Inconclusive }, said)
}

pub(super) fn shares(
    evidence: &Evidence<'_>,
    shares: &[(String, f64)],
    label: Label,
    tolerance: f64,
) -> Ruling {
    let claims: Vec<_> = shares
        .iter()
        .map(|(name, target)| Claim {
            name: name.clone(),
            target: *target,
            low: target - tolerance,
            high: target + tolerance,
            worth: evidence.worth(label, name),
        })
        .collect();
    let ruling = within(evidence, &claims, label, tolerance);
    // Where the tolerance reaches down to nothing, each must still be seen.
    let wanted: Vec<_> = claims
        .iter()
        .filter(|claim| claim.target > 0.0 && claim.low <= 0.0)
        .map(|claim| claim.name.clone())
        .collect();
    let missing = wanted.iter().any(|name| evidence.count(label, name) == 0);
    if missing { both(who::reaches(evidence, label, &wanted), ruling) } else { ruling }
}

fn within(evidence: &Evidence<'_>, claims: &[Claim], label: Label, tolerance: f64) -> Ruling {
    let risk = evidence.risk();
    let seen = shown(evidence, claims, label);
    // With two groups, the one above is the other below. Half of the risk is for a group that is
    // missing altogether.
    let tests = if claims.len() == 2 { 2.0 } else { 2.0 * claims.len() as f64 + 1.0 };
    let reaches = claims.iter().any(|claim| claim.target > 0.0 && claim.low <= 0.0);
    let tests = if reaches { 2.0 * tests } else { tests };
    let far = |null: f64| sequence::beyond(null, tolerance);
    for Claim { name, low, high, worth, .. } in claims {
        let said = if evidence.above(*worth, *high, far, risk / tests) {
            format!("above {} %", percent(*high))
        } else if *low > 0.0 && evidence.below(*worth, *low, far, risk / tests) {
            format!("below {} %", percent(*low))
        } else {
            continue;
        };
        let (note, sure) = (worth_note(evidence, worth), evidence.sure());
        let limit = limit_note(evidence, label);
        return (Verdict::Fail, format!("{seen}: {name} is {said} ({sure}){note}{limit}"));
    }
    let strays = match strangers(evidence, claims, label, (tolerance, risk / tests), &seen) {
        (Verdict::Pass, strays) => strays,
        ruling => return ruling,
    };
    let open = claims.iter().find(|Claim { target, low, high, worth, .. }| {
        let from_below = |null: f64| sequence::around(*target, null, tolerance);
        let from_above = |null: f64| sequence::around(1.0 - target, null, tolerance);
        let above = *low <= 0.0 || evidence.above(*worth, *low, from_below, risk);
        let below = *high >= 1.0 || evidence.below(*worth, *high, from_above, risk);
        !(above && below)
    });
    let Some(Claim { name, low, high, worth, .. }) = open else {
        let (sure, points) = (evidence.sure(), percent(tolerance));
        let longest = claims.iter().max_by(|a, b| a.worth.time.total_cmp(&b.worth.time));
        let note = longest.map(|c| worth_note(evidence, &c.worth)).unwrap_or_default();
        let limit = limit_note(evidence, label);
        let said = format!(
            "{seen}: each within {points} points of its share ({sure}){strays}{note}{limit}"
        );
        return (Verdict::Pass, said);
    };
    let (least, most) = evidence.interval(*worth);
    let said = format!(
        "{seen}: {name} is between {} and {} % ({}), which neither proves nor excludes {} to {} %{}",
        percent(least),
        percent(most),
        evidence.sure(),
        percent(low.max(0.0)),
        percent(high.min(1.0)),
        worth_note(evidence, worth),
    );
    (Verdict::Inconclusive, said)
}

/// Groups that are not named may give up to the tolerance together. A pass lists them.
fn strangers(
    evidence: &Evidence<'_>,
    claims: &[Claim],
    label: Label,
    (tolerance, risk): (f64, f64),
    seen: &str,
) -> Ruling {
    let named: BTreeSet<_> = claims.iter().map(|claim| claim.name.as_str()).collect();
    let others = evidence.answers(label).keys().map(String::as_str);
    let others: Vec<_> = others.filter(|name| !named.contains(name)).collect();
    if others.is_empty() {
        return (Verdict::Pass, String::new());
    }
    let parts: Vec<_> = others.iter().map(|name| evidence.worth(label, name)).collect();
    let hits = parts.iter().map(|part| part.sample.hits).sum::<f64>();
    let trials = evidence.tally.answers() as f64;
    let time = parts.iter().map(|part| part.time).fold(1.0, f64::max);
    let connections = parts.iter().find_map(|part| part.connections);
    let together = Worth { connections, time, ..Worth::of(Sample { hits, trials }) };
    let (names, points) = (others.join(", "), percent(tolerance));
    let sure = evidence.sure();
    let far = |null: f64| sequence::beyond(null, tolerance);
    if evidence.above(together, tolerance, far, risk) {
        let said = format!("{seen}: {names} is above {points} % unasked ({sure})");
        return (Verdict::Fail, said);
    }
    let none = |null: f64| sequence::around(1.0, null, tolerance);
    if evidence.below(together, tolerance, none, evidence.risk()) {
        let gave = count(hits as u64, "answer");
        return (Verdict::Pass, format!("; strays: {names} gave {gave}"));
    }
    let said = format!("{seen}: {names}, which was not named, may give more than {points} %");
    (Verdict::Inconclusive, said)
}

pub(super) fn share(evidence: &Evidence<'_>, group: &Group, side: Side, bound: f64) -> Ruling {
    let risk = evidence.risk();
    let worth = evidence.worth(group.label, &group.name);
    let scale = bound.min(1.0 - bound) / 4.0;
    let far = |null: f64| sequence::beyond(null, scale);
    let above = evidence.above(worth, bound, far, risk);
    let below = evidence.below(worth, bound, far, risk);
    let hits = evidence.count(group.label, &group.name);
    let seen = format!(
        "{} gave {} of {}, {} %",
        group.name,
        hits,
        count(evidence.tally.answers(), "answer"),
        percent(hits as f64 / evidence.tally.answers() as f64),
    );
    let (note, sure) = (worth_note(evidence, &worth), evidence.sure());
    let (met, missed, word) = match side {
        Side::AtLeast => (above, below, if above { "above" } else { "below" }),
        Side::AtMost => (below, above, if below { "below" } else { "above" }),
    };
    if met || missed {
        let verdict = if met { Verdict::Pass } else { Verdict::Fail };
        let limit = limit_note(evidence, group.label);
        return (verdict, format!("{seen}: {word} {} % ({sure}){note}{limit}", percent(bound)));
    }
    let (least, most) = evidence.interval(worth);
    let said = format!(
        "{seen}: between {} and {} % ({sure}), which has {} % in it{note}",
        percent(least),
        percent(most),
        percent(bound),
    );
    (Verdict::Inconclusive, said)
}

/// What the verdict does not cover. Equal answers do not show their dependence.
fn limit_note(evidence: &Evidence<'_>, label: Label) -> String {
    match evidence.answers(label).len() {
        1 => evidence.rare_note(),
        _ => evidence.limit_note(),
    }
}

/// `kops 50.3 %, gke1 49.7 % of 1890 answers`.
fn shown(evidence: &Evidence<'_>, claims: &[Claim], label: Label) -> String {
    /// More would fill the line.
    const MOST: usize = 6;
    let total = evidence.tally.answers();
    let share = |name: &str| evidence.count(label, name) as f64 / total as f64;
    let listed = claims.iter().take(MOST);
    let mut list: Vec<_> =
        listed.map(|c| format!("{} {} %", c.name, percent(share(&c.name)))).collect();
    if claims.len() > MOST {
        let rest = claims[MOST..].iter().map(|claim| share(&claim.name));
        let (least, most) = rest.fold((1.0_f64, 0.0_f64), |(a, b), s| (a.min(s), b.max(s)));
        let n = claims.len() - MOST;
        list.push(format!("{n} more {} to {} %", percent(least), percent(most)));
    }
    format!("{} of {}", list.join(", "), count(total, "answer"))
}

/// [`Worth::note`], and what reused connections cannot show, if it matters.
fn worth_note(evidence: &Evidence<'_>, worth: &Worth) -> String {
    /// Of all connections: less than any tolerance that is worth its name.
    const NOTABLE: f64 = 0.01;
    let mut note = worth.note();
    let (_, unseen) = worth.unseen_kinds(evidence.risk());
    if let Some(connections) = worth.connections.filter(|_| unseen > NOTABLE) {
        let (connections, most) = (count(connections, "kept connection"), percent(unseen));
        note += &format!(
            "; {connections} may have missed kinds of connections that are up to {most} % of all"
        );
    }
    note
}
