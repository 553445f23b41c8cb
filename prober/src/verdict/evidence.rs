//! What a tally proves of a share: the one place where samples become evidence. Pure.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::{Rules, Sampling};
use crate::stats::order::{self, Correlation};
use crate::stats::sequence::{self, Sample};
use crate::stats::{exact, unseen_share};
use crate::tally::{GroupChains, Label, Tally};

/// What a group's answers are worth as independent ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Worth {
    /// The group's answers among all, in units of independent ones.
    pub sample: Sample,
    /// On how many kept connections they came, where they are worth more than one each: kinds
    /// of connections that are not among these may answer differently.
    pub connections: Option<u64>,
    /// Why they are worth less than they are many; `None` if they are not.
    pub why: Option<&'static str>,
}

impl Worth {
    /// Independent answers.
    #[must_use]
    pub(crate) const fn of(sample: Sample) -> Self {
        Self { sample, connections: None, why: None }
    }

    /// The same, misses for hits.
    #[must_use]
    pub(crate) fn mirrored(self) -> Self {
        Self { sample: self.sample.mirrored(), ..self }
    }

    /// The risk that is left for the answers, and the part of all connections that may be of
    /// kinds which are not among those seen. Whatever those answer, a share above `low` among
    /// the kinds seen is one above `low · (1 - part)` among all. That all of `n` connections
    /// are of kinds that make up `1 - part` has a chance of `(1 - part)^n`; half of the risk is
    /// its own. That holds at every moment together: the first `n` for which it is too small
    /// is one moment.
    pub(super) fn unseen_kinds(&self, risk: f64) -> (f64, f64) {
        match self.connections {
            Some(connections) => (risk / 2.0, unseen_share(connections, 1.0 - risk / 2.0)),
            None => (risk, 0.0),
        }
    }

    /// The share is above this, of a sample whose size was fixed before.
    #[must_use]
    pub(crate) fn lower(&self, risk: f64) -> f64 {
        let (risk, unseen) = self.unseen_kinds(risk);
        exact::lower(self.sample.hits, self.sample.trials, risk) * (1.0 - unseen)
    }

    /// The share is below this, of a sample whose size was fixed before.
    #[must_use]
    pub(crate) fn upper(&self, risk: f64) -> f64 {
        let (risk, unseen) = self.unseen_kinds(risk);
        let seen = exact::upper(self.sample.hits, self.sample.trials, risk);
        seen + (1.0 - seen) * unseen
    }
}

/// A tally and the rules by which it is judged. The evidence of a label is computed once.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// What was counted.
    pub tally: &'a Tally,
    /// How it is judged.
    pub rules: &'a Rules,
    /// In the order of [`Label::ALL`].
    labels: [OnceCell<Groups>; Label::ALL.len()],
}

/// The groups of a label.
#[derive(Debug)]
struct Groups {
    answers: BTreeMap<String, u64>,
    worths: BTreeMap<String, Worth>,
    /// Of a group that did not answer, by the order of the others' answers.
    unseen: Worth,
    /// The same, worth no more than the answers of any group.
    absent: Worth,
}

/// All answers, and all connections that were opened for them.
#[derive(Clone, Copy, Debug)]
struct Totals {
    answers: u64,
    connections: u64,
}

/// With less than this part of the answers' worth, it is said.
const NOTABLE: f64 = 0.9;

impl<'a> Evidence<'a> {
    /// A tally under rules.
    #[must_use]
    pub(crate) fn new(tally: &'a Tally, rules: &'a Rules) -> Self {
        Self { tally, rules, labels: Default::default() }
    }

    /// The risk of being wrong.
    #[must_use]
    pub(crate) fn risk(&self) -> f64 {
        1.0 - self.rules.confidence
    }

    /// `99.9 % sure`.
    pub(super) fn sure(&self) -> String {
        format!("{} % sure", crate::units::percent(self.rules.confidence))
    }

    /// How many answers each group gave, by name.
    #[must_use]
    pub(crate) fn answers(&self, label: Label) -> &BTreeMap<String, u64> {
        &self.groups(label).answers
    }

    /// What the answers of one group among all are worth. Answers on a connection of their own are
    /// independent, unless their order shows otherwise. Answers on reused connections are as
    /// dependent as their order cannot rule out: the connections of a group may be pinned to it.
    #[must_use]
    pub(crate) fn worth(&self, label: Label, name: &str) -> Worth {
        let groups = self.groups(label);
        groups.worths.get(name).copied().unwrap_or(groups.unseen)
    }

    /// What is known of a group that did not answer. A reused connection may be pinned to it, so
    /// that no more answers count than there are connections.
    #[must_use]
    pub(crate) fn absent(&self, label: Label) -> Worth {
        self.groups(label).absent
    }

    fn groups(&self, label: Label) -> &Groups {
        let place = Label::ALL.iter().position(|(known, _)| *known == label).unwrap_or(0);
        self.labels[place].get_or_init(|| {
            let counted = self.tally.answers_by(label).into_iter();
            let answers: BTreeMap<_, _> = counted.map(|(name, n)| (name.into_owned(), n)).collect();
            let (worths, unseen) = match label {
                Label::Address => self.worths_of_addresses(&answers),
                _ => self.worths(label, &answers),
            };
            let trials = |worth: &&Worth| worth.sample.trials;
            let least = worths.values().min_by(|a, b| trials(a).total_cmp(&trials(b)));
            let least = least.copied().unwrap_or(Worth::of(Sample { hits: 0.0, trials: 0.0 }));
            let most = least.connections.map_or(f64::INFINITY, |connections| connections as f64);
            let trials = least.sample.trials.min(most);
            let absent = Worth { why: least.why, ..Worth::of(Sample { hits: 0.0, trials }) };
            Groups { answers, worths, unseen, absent }
        })
    }

    fn totals(&self) -> Totals {
        let connections = self.tally.backends.values().map(|backend| backend.connections).sum();
        Totals { answers: self.tally.answers(), connections }
    }

    /// What each group's answers are worth, and those of one that did not answer.
    fn worths(
        &self,
        label: Label,
        answers: &BTreeMap<String, u64>,
    ) -> (BTreeMap<String, Worth>, Worth) {
        let totals = self.totals();
        let mut opened: BTreeMap<&str, u64> = BTreeMap::new();
        for (who, backend) in &self.tally.backends {
            *opened.entry(label.of(who)).or_default() += backend.connections;
        }
        let chains = self.tally.order.chains(label);
        let worth = |(name, hits): (&String, &u64)| {
            let opened = opened.get(name.as_str()).copied().unwrap_or(0);
            let chains = chains.groups.get(name.as_str()).unwrap_or(&chains.absent);
            (name.clone(), worth_of_group(totals, *hits, opened, chains))
        };
        let unseen = worth_of_group(totals, 0, 0, &chains.absent);
        (answers.iter().map(worth).collect(), unseen)
    }

    fn worths_of_addresses(
        &self,
        answers: &BTreeMap<String, u64>,
    ) -> (BTreeMap<String, Worth>, Worth) {
        let totals = self.totals();
        let mut connections: BTreeMap<String, u64> = BTreeMap::new();
        for (address, counted) in &self.tally.addresses {
            *connections.entry(address.ip().to_string()).or_default() += counted.connections;
        }
        let worth = |(name, hits): (&String, &u64)| {
            let opened = connections.get(name).copied().unwrap_or(0);
            (name.clone(), self.worth_of_address(totals, *hits, opened))
        };
        let unseen = self.worth_of_address(totals, 0, 0);
        (answers.iter().map(worth).collect(), unseen)
    }

    /// A connection has one address, for which all of its answers count once; where a look-up
    /// chose it, all connections may owe theirs to one order of one answer.
    fn worth_of_address(&self, totals: Totals, hits: u64, opened: u64) -> Worth {
        let Totals { answers, connections: fresh } = totals;
        let mut share = if answers > 0 { hits as f64 / answers as f64 } else { 0.0 };
        let (mut worth, mut why) = (answers, None);
        if fresh < answers {
            let all: u64 = self.tally.addresses.values().map(|counted| counted.connections).sum();
            share = opened as f64 / all.max(1) as f64;
            (worth, why) = (fresh, Some("a connection has one address"));
        }
        if !self.rules.addresses_drawn {
            (worth, why) = (worth.min(1), Some("look-ups chose the addresses"));
        }
        let why = why.filter(|_| (worth as f64) < answers as f64 * NOTABLE);
        let sample = Sample { hits: share * worth as f64, trials: worth as f64 };
        Worth { why, ..Worth::of(sample) }
    }

    /// The largest share that a group can have which did not answer.
    #[must_use]
    pub(crate) fn unseen(&self, label: Label) -> f64 {
        unseen_share(self.absent(label).sample.trials.floor() as u64, self.rules.confidence)
    }

    /// Whether the share is above `null`, at a risk that several tests share. `around` is the
    /// share that is hoped for, if any, and `scale` is what a difference worth finding is like.
    #[must_use]
    pub(crate) fn above(
        &self,
        worth: Worth,
        null: f64,
        around: Option<f64>,
        scale: f64,
        risk: f64,
    ) -> bool {
        if null < 0.0 {
            return true;
        }
        let (risk, unseen) = worth.unseen_kinds(risk);
        let (sample, null) = (worth.sample, null / (1.0 - unseen));
        if null >= 1.0 || sample.trials <= 0.0 || sample.share() <= null {
            return false;
        }
        match self.rules.sampling {
            Sampling::Fixed => exact::at_least(sample.hits, sample.trials, null) <= risk,
            Sampling::UntilDecided => {
                let alternatives = match around {
                    Some(target) => sequence::around(target, null, scale),
                    None => sequence::beyond(null, scale),
                };
                sequence::ln_evidence_above(sample, null, &alternatives) >= -risk.ln()
            }
        }
    }

    /// Whether the share is below `null`; as [`Self::above`].
    #[must_use]
    pub(crate) fn below(
        &self,
        worth: Worth,
        null: f64,
        around: Option<f64>,
        scale: f64,
        risk: f64,
    ) -> bool {
        self.above(worth.mirrored(), 1.0 - null, around.map(|target| 1.0 - target), scale, risk)
    }

    /// Between which shares the true one is.
    #[must_use]
    pub(crate) fn interval(&self, worth: Worth) -> (f64, f64) {
        if self.rules.sampling == Sampling::Fixed {
            return (worth.lower(self.risk() / 2.0), worth.upper(self.risk() / 2.0));
        }
        let (risk, unseen) = worth.unseen_kinds(self.risk());
        let (low, high) = sequence::interval(worth.sample, risk);
        (low * (1.0 - unseen), high + (1.0 - high) * unseen)
    }
}

/// Of a group with so many answers, on so many connections that were opened for them.
fn worth_of_group(totals: Totals, hits: u64, opened: u64, chains: &GroupChains) -> Worth {
    let answers = totals.answers as f64;
    let connections = totals.connections.max(1) as f64;
    let share = if answers > 0.0 { hits as f64 / answers } else { 0.0 };
    let (mut worth, mut share, mut why) = (answers, share, None);
    let mut of_connections = None;
    if connections < answers {
        let within = Correlation::of(&chains.kept).map_or(1.0, |correlation| correlation.upper());
        worth = order::worth_of_connections(answers, answers / connections, within);
        why = Some("kept connections may be pinned");
        if worth < connections * 1.5 {
            // The first answer of each: what the balancer decided, once for each.
            (worth, share) = (connections, opened as f64 / connections);
        } else {
            of_connections = Some(connections as u64);
        }
    }
    if let Some(order) = Correlation::of(&chains.started).filter(Correlation::clusters) {
        let chained = order::worth_of_chain(answers, order.upper());
        if chained < worth {
            (worth, why) = (chained, Some("answers of a kind follow each other"));
        }
    }
    let why = why.filter(|_| worth < answers * NOTABLE);
    let sample = Sample { hits: share * worth, trials: worth };
    Worth { sample, connections: of_connections, why }
}
