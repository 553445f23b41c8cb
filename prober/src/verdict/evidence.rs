//! What a tally proves of a share: the one place where samples become evidence. Pure.

use super::{Rules, Sampling};
use crate::stats::order::{self, Correlation};
use crate::stats::sequence::{self, Sample};
use crate::stats::{exact, unseen_share};
use crate::tally::{Label, Tally};

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

/// A tally and the rules by which it is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// What was counted.
    pub tally: &'a Tally,
    /// How it is judged.
    pub rules: &'a Rules,
}

/// With less than this part of the answers' worth, it is said.
const NOTABLE: f64 = 0.9;

impl<'a> Evidence<'a> {
    /// A tally under rules.
    #[must_use]
    pub(crate) fn new(tally: &'a Tally, rules: &'a Rules) -> Self {
        Self { tally, rules }
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

    /// What the answers of one group among all are worth. Answers on a connection of their
    /// own are independent, unless their order says otherwise; those on kept connections are
    /// as dependent as their order cannot rule out: one group's connection may be pinned to it.
    #[must_use]
    pub(crate) fn worth(&self, label: Label, name: &str) -> Worth {
        if label == Label::Address {
            return self.worth_of_address(name);
        }
        let hits = self.tally.answers_by(label).get(name).copied().unwrap_or(0) as f64;
        let answers = self.tally.answers() as f64;
        let opened = |one: bool| -> f64 {
            let all = self.tally.backends.iter();
            all.filter(|(who, _)| !one || label.of(who) == name)
                .map(|(_, b)| b.connections)
                .sum::<u64>() as f64
        };
        let (kept, started) = self.tally.order.chains(label, name);
        let share = if answers > 0.0 { hits / answers } else { 0.0 };
        let connections = opened(false).max(1.0);
        let (mut worth, mut share, mut why) = (answers, share, None);
        let mut of_connections = None;
        if connections < answers {
            let within = Correlation::of(&kept).map_or(1.0, |correlation| correlation.upper());
            worth = order::worth_of_connections(answers, answers / connections, within);
            why = Some("kept connections may be pinned");
            if worth < connections * 1.5 {
                // The first answer of each: what the balancer decided, once for each.
                (worth, share) = (connections, opened(true) / connections);
            } else {
                of_connections = Some(connections as u64);
            }
        }
        if let Some(order) = Correlation::of(&started).filter(Correlation::clusters) {
            let chained = order::worth_of_chain(answers, order.upper());
            if chained < worth {
                (worth, why) = (chained, Some("answers of a kind follow each other"));
            }
        }
        let why = why.filter(|_| worth < answers * NOTABLE);
        let sample = Sample { hits: share * worth, trials: worth };
        Worth { sample, connections: of_connections, why }
    }

    /// A connection has one address, for which all of its answers count once; where a look-up
    /// chose it, all connections may owe theirs to one order of one answer.
    fn worth_of_address(&self, name: &str) -> Worth {
        let answers = self.tally.answers();
        let hits = self.tally.answers_by(Label::Address).get(name).copied().unwrap_or(0);
        let mut share = if answers > 0 { hits as f64 / answers as f64 } else { 0.0 };
        let fresh: u64 = self.tally.backends.values().map(|backend| backend.connections).sum();
        let (mut worth, mut why) = (answers, None);
        if fresh < answers {
            let of = |all: bool| -> u64 {
                let addresses = self.tally.addresses.iter();
                let those =
                    addresses.filter(|(address, _)| all || address.ip().to_string() == name);
                those.map(|(_, counted)| counted.connections).sum()
            };
            share = of(false) as f64 / of(true).max(1) as f64;
            (worth, why) = (fresh, Some("a connection has one address"));
        }
        if !self.rules.addresses_drawn {
            (worth, why) = (worth.min(1), Some("look-ups chose the addresses"));
        }
        let why = why.filter(|_| (worth as f64) < answers as f64 * NOTABLE);
        let sample = Sample { hits: share * worth as f64, trials: worth as f64 };
        Worth { why, ..Worth::of(sample) }
    }

    /// What all answers are worth where one group is all there is, or none of it was seen.
    #[must_use]
    pub(crate) fn worth_of_all(&self, label: Label) -> Worth {
        let groups = self.tally.answers_by(label);
        let worths = groups.keys().map(|name| self.worth(label, name));
        let least = worths.min_by(|a, b| a.sample.trials.total_cmp(&b.sample.trials));
        least.unwrap_or(Worth::of(Sample { hits: 0.0, trials: 0.0 }))
    }

    /// What a group is known by that did not answer. A kept connection may be pinned to it, so
    /// that no more count than there are connections.
    #[must_use]
    pub(crate) fn absent(&self, label: Label) -> Worth {
        let worth = self.worth_of_all(label);
        let most = worth.connections.map_or(f64::INFINITY, |connections| connections as f64);
        let trials = worth.sample.trials.min(most);
        Worth { why: worth.why, ..Worth::of(Sample { hits: 0.0, trials }) }
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
