//! What a tally proves of a share: the one place where samples become evidence. Pure.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::{Rules, Sampling};
use crate::stats::dependence::Blocks;
use crate::stats::sequence::{self, Sample};
use crate::stats::{exact, unseen_share};
use crate::tally::sequence::{Hits, Indicator};
use crate::tally::{Label, Tally, is_unknown};
use crate::units;

/// What a reason says if the verdict holds for the requests of the run only.
pub(crate) const THIS_RUN: &str = "about this run only";

/// A sample, and the number of independent answers that it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Worth {
    /// As counted.
    pub sample: Sample,
    /// How many answers count as one independent answer: at least 1.
    pub time: f64,
    /// The number of reused connections, if the sample is worth more than one answer for each.
    /// Connections of other kinds may answer differently.
    pub connections: Option<u64>,
    /// Why the answers are not independent; `None` if they nearly are.
    pub why: Option<Why>,
}

/// Why answers are not independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// One connection's answers may all come from one backend.
    Connections,
    /// Equal answers follow each other.
    Runs,
    /// A connection has one address.
    Address,
    /// Name look-ups chose the addresses, so one look-up may determine all of them.
    LookUps,
}

impl Why {
    pub(crate) const ALL: [Self; 4] = [Self::Connections, Self::Runs, Self::Address, Self::LookUps];

    /// The reason, for a sentence.
    #[must_use]
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Connections => "kept connections may be pinned",
            Self::Runs => "answers of a kind follow each other",
            Self::Address => "a connection has one address",
            Self::LookUps => "look-ups chose the addresses",
        }
    }
}

/// A larger [`Worth::time`] is mentioned.
const NOTABLE: f64 = 3.0;

impl Worth {
    /// Independent answers.
    #[must_use]
    pub(crate) const fn of(sample: Sample) -> Self {
        Self { sample, time: 1.0, connections: None, why: None }
    }

    /// The same, misses for hits.
    #[must_use]
    pub(crate) fn mirrored(self) -> Self {
        Self { sample: self.sample.mirrored(), ..self }
    }

    /// The sample, scaled to independent answers.
    #[must_use]
    pub(crate) fn independent(&self) -> Sample {
        Sample { hits: self.sample.hits / self.time, trials: self.sample.trials / self.time }
    }

    /// `; they are worth 10 independent ones: …`, if they are not independent.
    #[must_use]
    pub(super) fn note(&self) -> String {
        let independent = self.independent().trials;
        let note = |why: Why| {
            format!("; they are worth {independent:.0} independent ones: {}", why.words())
        };
        self.why.map(note).unwrap_or_default()
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

    /// The lower bound of the share, for a sample of fixed size: the smaller one of Chernoff's, which
    /// holds for any dependence, and Clopper & Pearson's for the independent answers.
    #[must_use]
    pub(crate) fn lower(&self, risk: f64) -> f64 {
        let (risk, unseen) = self.unseen_kinds(risk);
        let (all, some) = (self.sample, self.independent());
        let least = exact::chernoff_lower(all.hits, all.trials, risk);
        least.min(exact::lower(some.hits, some.trials, risk)) * (1.0 - unseen)
    }

    /// The upper bound of the share, for a sample of fixed size.
    #[must_use]
    pub(crate) fn upper(&self, risk: f64) -> f64 {
        1.0 - self.mirrored().lower(risk)
    }
}

/// The groups of a label.
#[derive(Debug)]
struct Groups {
    answers: BTreeMap<String, u64>,
    worths: BTreeMap<String, Worth>,
    /// The evidence about a group without answers.
    absent: Worth,
}

/// The hits of a group, by block.
fn of<'a>(groups: &'a BTreeMap<&str, Hits>, name: &str) -> &'a [(u32, u32)] {
    groups.get(name).map_or(&[], Vec::as_slice)
}

/// A tally and the rules for judging it. The evidence of a label is computed once.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// What was counted.
    pub tally: &'a Tally,
    /// How it is judged.
    pub rules: &'a Rules,
    /// Whether reasons are left out, as during a run.
    pub silent: bool,
    /// In the order of [`Label::ALL`].
    groups: [OnceCell<Groups>; Label::ALL.len()],
}

impl<'a> Evidence<'a> {
    /// A tally under rules.
    #[must_use]
    pub(crate) fn new(tally: &'a Tally, rules: &'a Rules) -> Self {
        Self { tally, rules, silent: false, groups: Default::default() }
    }

    /// Leaves out reasons.
    #[must_use]
    pub(crate) fn silent(self) -> Self {
        Self { silent: true, ..self }
    }

    /// The risk of being wrong.
    #[must_use]
    pub(crate) fn risk(&self) -> f64 {
        1.0 - self.rules.confidence
    }

    /// `99.9 % sure`.
    pub(super) fn sure(&self) -> String {
        format!("{} % sure", units::percent(self.rules.confidence))
    }

    /// How many answers each group gave, by name.
    #[must_use]
    pub(crate) fn answers(&self, label: Label) -> &BTreeMap<String, u64> {
        &self.groups(label).answers
    }

    /// How many answers a group gave.
    #[must_use]
    pub(crate) fn count(&self, label: Label, name: &str) -> u64 {
        self.answers(label).get(name).copied().unwrap_or(0)
    }

    /// How many answers do not state the label, or came from backends that are not told apart.
    #[must_use]
    pub(crate) fn unknown(&self, label: Label) -> u64 {
        let all = self.answers(label).iter();
        let known: u64 = all.filter(|(name, _)| !is_unknown(name)).map(|(_, count)| count).sum();
        // Answers without an address are in no group.
        self.tally.answers().saturating_sub(known)
    }

    /// What the answers of one group among all are worth.
    #[must_use]
    pub(crate) fn worth(&self, label: Label, name: &str) -> Worth {
        let groups = self.groups(label);
        groups.worths.get(name).copied().unwrap_or(groups.absent)
    }

    /// The evidence about a group without answers: all answers, worth as few as those of any other
    /// group. A reused connection may be pinned, so it counts once.
    #[must_use]
    pub(crate) fn absent(&self, label: Label) -> Worth {
        self.groups(label).absent
    }

    fn groups(&self, label: Label) -> &Groups {
        let place = Label::ALL.iter().position(|(known, _)| *known == label).unwrap_or(0);
        self.groups[place].get_or_init(|| {
            let counted = self.tally.answers_by(label).into_iter();
            let answers = counted.map(|(name, n)| (name.into_owned(), n)).collect();
            match label {
                Label::Address => self.addresses(answers),
                _ => self.backends(label, answers),
            }
        })
    }

    fn backends(&self, label: Label, counted: BTreeMap<String, u64>) -> Groups {
        let answers = self.tally.answers();
        let opened: u64 = self.tally.all_backends().map(|backend| backend.connections).sum();
        let opened = opened.max(1);
        let kept = opened < answers;
        let (trials, hits) = self.tally.order.sequence.groups(label);
        let (on_each, by_connection) = self.tally.order.by_connection.groups(label);
        let (blocks, on_each) = (Blocks::new(trials), Blocks::new(on_each));
        let each = answers as f64 / opened as f64;
        // Connections of different lengths, each pinned, are worth less than their mean says.
        let longest = on_each.mean_length().map_or(each, |length| length.max(each));
        let mut worths = BTreeMap::new();
        let mut other = None;
        for (name, count) in &counted {
            let count = *count;
            let sample = Sample { hits: count as f64, trials: answers as f64 };
            // Of two groups, one has what the other has not: their order says the same.
            let runs = match other {
                Some(runs) if counted.len() == 2 => runs,
                _ => blocks.time(of(&hits, name)).unwrap_or(1.0),
            };
            other = Some(runs);
            // Of connections of which nothing more is known, each may be pinned.
            let within = match kept {
                true if count == answers => longest,
                true => on_each.design_effect(of(&by_connection, name)).unwrap_or(longest),
                false => 1.0,
            };
            let within = within.min(longest);
            let time = runs.max(within).max(1.0);
            let connections = (kept && answers as f64 / time > opened as f64).then_some(opened);
            let cause = if runs > within { Why::Runs } else { Why::Connections };
            let why = (time > NOTABLE).then_some(cause);
            worths.insert(name.clone(), Worth { sample, time, connections, why });
        }
        let most = worths.values().max_by(|a, b| a.time.total_cmp(&b.time)).copied();
        let sample = Sample { hits: 0.0, trials: answers as f64 };
        let mut absent = Worth { sample, ..most.unwrap_or(Worth::of(sample)) };
        if kept && absent.time < longest {
            let why = Some(Why::Connections).filter(|_| longest > NOTABLE);
            (absent.time, absent.why) = (longest, why);
        }
        absent.connections = None;
        Groups { answers: counted, worths, absent }
    }

    /// All answers of a connection come from one address, so they count once. If look-ups choose the
    /// addresses, one look-up may determine the address of every connection.
    fn addresses(&self, counted: BTreeMap<String, u64>) -> Groups {
        let tally = self.tally;
        let answers = tally.answers() as f64;
        let fresh: u64 = tally.all_backends().map(|backend| backend.connections).sum();
        let (mut independent, mut why) = (answers, None);
        if (fresh as f64) < answers {
            (independent, why) = (fresh as f64, Some(Why::Address));
        }
        if !self.rules.addresses_drawn {
            (independent, why) = (independent.min(1.0), Some(Why::LookUps));
        }
        let time = if independent > 0.0 { (answers / independent).max(1.0) } else { 1.0 };
        let why = why.filter(|_| time > NOTABLE);
        let of = |hits: f64| Worth { time, why, ..Worth::of(Sample { hits, trials: answers }) };
        let worths = counted.iter().map(|(name, n)| (name.clone(), of(*n as f64))).collect();
        Groups { answers: counted, worths, absent: of(0.0) }
    }

    /// The evidence about failures or slow answers, by their order. How they depend on connections is
    /// not known.
    #[must_use]
    pub(crate) fn worth_of(&self, indicator: Indicator<'_>, sample: Sample) -> Worth {
        let counts = self.tally.order.sequence.counts(indicator);
        let blocks = Blocks::new(counts.trials);
        let time = blocks.time(&counts.hits).unwrap_or(1.0).max(1.0);
        let why = (time > NOTABLE).then_some(Why::Runs);
        Worth { sample, time, connections: None, why }
    }

    /// The largest share of a group without answers, if there are `names` such groups (Boole's
    /// inequality).
    #[must_use]
    pub(crate) fn unseen(&self, label: Label, names: usize) -> f64 {
        let risk = self.risk() / names.max(1) as f64;
        let trials = self.absent(label).independent().trials;
        unseen_share(trials.floor() as u64, 1.0 - risk)
    }

    /// Whether the share is proven to be above `null`. A sample that is looked at while it grows is
    /// tested against `alternatives`.
    #[must_use]
    pub(crate) fn above(
        &self,
        worth: Worth,
        null: f64,
        alternatives: impl Fn(f64) -> Vec<(f64, f64)>,
        risk: f64,
    ) -> bool {
        if null < 0.0 {
            return true;
        }
        let (risk, unseen) = worth.unseen_kinds(risk);
        let (all, some, null) = (worth.sample, worth.independent(), null / (1.0 - unseen));
        if null >= 1.0 || all.trials <= 0.0 || all.share() <= null {
            return false;
        }
        match self.rules.sampling {
            Sampling::Fixed => {
                exact::chernoff(all.hits, all.trials, null) <= risk
                    && exact::at_least(some.hits, some.trials, null) <= risk
            }
            Sampling::UntilDecided => {
                sequence::ln_evidence_above(some, null, &alternatives(null)) >= -risk.ln()
            }
        }
    }

    /// Whether the share is proven to be below `null`; `alternatives` are those for misses.
    #[must_use]
    pub(crate) fn below(
        &self,
        worth: Worth,
        null: f64,
        alternatives: impl Fn(f64) -> Vec<(f64, f64)>,
        risk: f64,
    ) -> bool {
        self.above(worth.mirrored(), 1.0 - null, alternatives, risk)
    }

    /// The interval of the share, for a reason.
    #[must_use]
    pub(crate) fn interval(&self, worth: Worth) -> (f64, f64) {
        if self.silent {
            return (0.0, 1.0);
        }
        if self.rules.sampling == Sampling::Fixed {
            return (worth.lower(self.risk() / 2.0), worth.upper(self.risk() / 2.0));
        }
        let (risk, unseen) = worth.unseen_kinds(self.risk());
        let (low, high) = sequence::interval(worth.independent(), risk);
        (low * (1.0 - unseen), high + (1.0 - high) * unseen)
    }

    /// The fewest requests for a claim about the mesh beyond the run; see [`super::sampling`].
    #[must_use]
    pub(crate) fn least(&self) -> u64 {
        super::sampling::least(self.rules.dependence, self.risk())
    }

    /// A note if a sample of fixed size does not show anything beyond its own run: it is too small, or
    /// the order of its answers is not known.
    pub(super) fn limit_note(&self) -> String {
        let least = self.least();
        if self.tally.order.sequence.is_empty() {
            return format!("; {THIS_RUN}: the order of its answers is not known");
        }
        if self.rules.sampling == Sampling::UntilDecided || self.tally.requests() >= least {
            return String::new();
        }
        format!("; {THIS_RUN}: fewer than {least} requests")
    }

    /// [`Self::limit_note`], or else how rare an event must be to be missed, if the run's time is known.
    pub(super) fn rare_note(&self) -> String {
        let (limit, elapsed) = (self.limit_note(), self.tally.elapsed);
        if !limit.is_empty() || elapsed.is_zero() {
            return limit;
        }
        format!("; what comes less than once in {} is not seen", units::shown_time(Some(elapsed)))
    }
}
