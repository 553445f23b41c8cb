//! `balanced`, `shares` and `share`: how much each group answered. Pure.
//!
//! A pass needs every group inside its tolerance, each proven at the full risk: were one
//! outside, that very proof would have to be wrong (an intersection-union test, Berger
//! 1982). A fail needs one outside, and the risk is divided among all that might seem to be.

use std::collections::BTreeSet;

use super::{Evidence, Ruling, Verdict, Worth, both, who};
use crate::expectation::{Group, Side};
use crate::stats::sequence::Sample;
use crate::tally::Label;
use crate::units::{count, percent};

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
    if names.is_empty() {
        if label == Label::Cluster {
            names.extend(evidence.rules.clusters.iter().cloned());
        }
        let known: BTreeSet<_> = names.iter().cloned().collect();
        let seen = evidence.answers(label).keys().filter(|name| !known.contains(*name));
        names.extend(seen.cloned());
    }
    if let [name] = names.as_slice() {
        return alone(evidence, label, name);
    }
    let even = 1.0 / names.len() as f64;
    let shares: Vec<_> = names.into_iter().map(|name| (name, even)).collect();
    self::shares(evidence, &shares, label, tolerance)
}

/// One group was seen, and nobody said which others there are.
fn alone(evidence: &Evidence<'_>, label: Label, name: &str) -> Ruling {
    let bound = evidence.unseen(label);
    let said = format!(
        "only {name} gave all {}, others less than {} % ({}), so there is nothing to be balanced; \
         name the {}s that should answer: balanced {name},…",
        count(evidence.tally.answers(), "answer"),
        percent(bound),
        evidence.sure(),
        label.word(),
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
    let missing = wanted.iter().any(|name| !evidence.answers(label).contains_key(name.as_str()));
    if missing { both(who::reaches(evidence, label, &wanted), ruling) } else { ruling }
}

fn within(evidence: &Evidence<'_>, claims: &[Claim], label: Label, tolerance: f64) -> Ruling {
    let risk = evidence.risk();
    let seen = shown(evidence, claims, label);
    // With two groups, the one above is the other below.
    let tests = if claims.len() == 2 { 2.0 } else { 2.0 * claims.len() as f64 + 1.0 };
    for Claim { name, low, high, worth, .. } in claims {
        let said = if evidence.above(*worth, *high, None, tolerance, risk / tests) {
            format!("above {} %", percent(*high))
        } else if *low > 0.0 && evidence.below(*worth, *low, None, tolerance, risk / tests) {
            format!("below {} %", percent(*low))
        } else {
            continue;
        };
        let (note, sure) = (worth_note(evidence, worth), evidence.sure());
        return (Verdict::Fail, format!("{seen}: {name} is {said} ({sure}){note}"));
    }
    if let Some(ruling) = strangers(evidence, claims, label, (tolerance, risk / tests), &seen) {
        return ruling;
    }
    let open = claims.iter().find(|Claim { target, low, high, worth, .. }| {
        let around = Some(*target);
        let above = *low <= 0.0 || evidence.above(*worth, *low, around, tolerance, risk);
        let below = *high >= 1.0 || evidence.below(*worth, *high, around, tolerance, risk);
        !(above && below)
    });
    let Some(Claim { name, low, high, worth, .. }) = open else {
        let (sure, points) = (evidence.sure(), percent(tolerance));
        let note = claims.first().map(|c| worth_note(evidence, &c.worth)).unwrap_or_default();
        let said = format!("{seen}: each within {points} points of its share ({sure}){note}");
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

/// Those that nobody named have no share: together they may give up to the tolerance.
fn strangers(
    evidence: &Evidence<'_>,
    claims: &[Claim],
    label: Label,
    (tolerance, risk): (f64, f64),
    seen: &str,
) -> Option<Ruling> {
    let named: BTreeSet<_> = claims.iter().map(|claim| claim.name.as_str()).collect();
    let others = evidence.answers(label).keys().map(String::as_str);
    let others: Vec<_> = others.filter(|name| !named.contains(name)).collect();
    if others.is_empty() {
        return None;
    }
    let parts: Vec<_> = others.iter().map(|name| evidence.worth(label, name)).collect();
    let trials = parts.iter().map(|part| part.sample.trials).fold(f64::INFINITY, f64::min);
    let hits = parts.iter().map(|part| part.sample.share() * trials).sum::<f64>().min(trials);
    let connections = parts.iter().find_map(|part| part.connections);
    let together = Worth { connections, ..Worth::of(Sample { hits, trials }) };
    let names = others.join(", ");
    let sure = evidence.sure();
    if evidence.above(together, tolerance, None, tolerance, risk) {
        let said = format!("{seen}: {names} is above {} % unasked ({sure})", percent(tolerance));
        return Some((Verdict::Fail, said));
    }
    if evidence.below(together, tolerance, Some(0.0), tolerance, evidence.risk()) {
        return None;
    }
    let said = format!(
        "{seen}: {names}, which was not named, may give more than {} %",
        percent(tolerance)
    );
    Some((Verdict::Inconclusive, said))
}

pub(super) fn share(evidence: &Evidence<'_>, group: &Group, side: Side, bound: f64) -> Ruling {
    let risk = evidence.risk();
    let worth = evidence.worth(group.label, &group.name);
    let scale = bound.min(1.0 - bound) / 4.0;
    let above = evidence.above(worth, bound, None, scale, risk);
    let below = evidence.below(worth, bound, None, scale, risk);
    let hits = evidence.answers(group.label).get(&group.name).copied();
    let seen = format!(
        "{} gave {} of {}, {} %",
        group.name,
        hits.unwrap_or(0),
        count(evidence.tally.answers(), "answer"),
        percent(hits.unwrap_or(0) as f64 / evidence.tally.answers() as f64),
    );
    let (note, sure) = (worth_note(evidence, &worth), evidence.sure());
    let (met, missed, word) = match side {
        Side::AtLeast => (above, below, if above { "above" } else { "below" }),
        Side::AtMost => (below, above, if below { "below" } else { "above" }),
    };
    if met || missed {
        let verdict = if met { Verdict::Pass } else { Verdict::Fail };
        return (verdict, format!("{seen}: {word} {} % ({sure}){note}", percent(bound)));
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

/// `kops 50.3 %, gke1 49.7 % of 1890 answers`.
fn shown(evidence: &Evidence<'_>, claims: &[Claim], label: Label) -> String {
    /// More would fill the line.
    const MOST: usize = 6;
    let total = evidence.tally.answers();
    let answers = evidence.answers(label);
    let share = |name: &str| answers.get(name).copied().unwrap_or(0) as f64 / total as f64;
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

/// `; they are worth 10 independent ones: …`, where that is much less, and what kept
/// connections cannot say, where it matters.
fn worth_note(evidence: &Evidence<'_>, worth: &Worth) -> String {
    /// Of all connections: less than any tolerance that is worth its name.
    const NOTABLE: f64 = 0.01;
    let mut note = String::new();
    if let Some(why) = worth.why {
        note = format!("; they are worth {:.0} independent ones: {why}", worth.sample.trials);
    }
    let (_, unseen) = worth.unseen_kinds(evidence.risk());
    if let Some(connections) = worth.connections.filter(|_| unseen > NOTABLE) {
        let (connections, most) = (count(connections, "kept connection"), percent(unseen));
        note += &format!(
            "; {connections} may have missed kinds of connections that are up to {most} % of all"
        );
    }
    note
}
