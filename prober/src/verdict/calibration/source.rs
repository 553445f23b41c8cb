//! Made-up outcomes whose shares are known.

use crate::stats::random::Random;

/// Lanes that send at once.
const LANES: usize = 10;

/// How answers come about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mesh {
    /// Each by itself, with these shares.
    Independent(&'static [f64]),
    /// In turn.
    RoundRobin(usize),
    /// One, then two of the other, and again.
    OneTwo,
    /// Each connection belongs to a backend drawn once, and carries so many requests.
    Pinned(&'static [f64], u64),
    /// Ten connections, each of which goes through one of two gateways that split their
    /// requests 80/20 and 20/80.
    Gateways,
    /// The share of the first moves, over so many requests, from one value to another.
    Drifting(f64, f64, u64),
    /// The first has this share. With this chance an answer comes from the same backend as the one
    /// before, otherwise it is drawn anew.
    Sticky(f64, f64),
    /// So many in a row from one backend, drawn with this share of the first. The run begins within a
    /// batch.
    Batches(u64, f64),
    /// The first alone for so many answers; then it has this share.
    Silent(u64, f64),
    /// The first has this share on average, and this much more or less for so many answers each.
    Levels(f64, f64, u64),
    /// Requests fail at this rate, so many in a row.
    Failing(f64, u64),
    /// The same with bursts of a geometric length, this long on average.
    FailingInBursts(f64, f64),
    /// So many slow answers in a row in each period of so many, at a random place in it.
    Slow(u64, u64),
    /// Connections of so many requests, each with two answers of one backend to one of the other. The
    /// first has two on this share of the connections.
    TwoToOne(u64, f64),
}

/// A made-up outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct MadeUp {
    pub(super) lane: usize,
    /// Who answered; `None` if it failed.
    pub(super) who: Option<usize>,
    /// Whether its connection was kept.
    pub(super) kept: bool,
    pub(super) slow: bool,
}

/// A source of answers.
pub(super) struct Source {
    mesh: Mesh,
    random: Random,
    pub(super) sent: u64,
    /// Of each lane: its connection's backend or gateway, and how many requests it carried.
    lanes: Vec<Option<(usize, u64)>>,
    /// The sum of the chances of what the truth is an average of.
    pub(super) chances: f64,
    /// Who answers at present, and for how many answers more.
    state: (usize, u64),
}

impl Source {
    pub(super) fn new(mesh: Mesh, seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let first = |random: &mut Random, share: f64| usize::from(random.uniform() >= share);
        let state = match mesh {
            Mesh::Sticky(share, _) => (first(&mut random, share), 0),
            Mesh::Batches(each, share) => (first(&mut random, share), 1 + random.below(each)),
            Mesh::Levels(_, _, each) => (first(&mut random, 0.5), 1 + random.below(each)),
            Mesh::Slow(_, period) => (0, random.below(period)),
            _ => (0, 0),
        };
        Self { mesh, random, sent: 0, lanes: vec![None; LANES], chances: 0.0, state }
    }

    /// The next outcome.
    pub(super) fn next(&mut self) -> MadeUp {
        let n = self.sent;
        self.sent += 1;
        let lane = (n % LANES as u64) as usize;
        let fresh = |who: usize| MadeUp { lane, who: Some(who), kept: false, slow: false };
        match self.mesh {
            Mesh::Independent(shares) => fresh(self.random.pick(shares)),
            Mesh::RoundRobin(backends) => fresh((n % backends as u64) as usize),
            Mesh::OneTwo => fresh(usize::from(!n.is_multiple_of(3))),
            Mesh::Pinned(..) | Mesh::TwoToOne(..) | Mesh::Gateways => self.on_connection(lane),
            Mesh::Failing(..) | Mesh::FailingInBursts(..) => {
                let failed = self.fails();
                MadeUp { who: (!failed).then_some(0), ..fresh(0) }
            }
            Mesh::Slow(slow, period) => {
                let slow = (n + self.state.1) % period < slow;
                self.chances += f64::from(u8::from(slow));
                MadeUp { slow, ..fresh(0) }
            }
            _ => fresh(self.dependent(n)),
        }
    }

    /// The first, or the other, with this share of the first.
    fn first_or_other(&mut self, share: f64) -> usize {
        usize::from(self.random.uniform() >= share)
    }

    /// Who gives the answer with this number, where that depends on the time or on answers before.
    fn dependent(&mut self, n: u64) -> usize {
        match self.mesh {
            Mesh::Drifting(from, to, over) => {
                let share = from + (to - from) * (n.min(over) as f64 / over as f64);
                self.chances += share;
                self.first_or_other(share)
            }
            Mesh::Silent(answers, _) if n < answers => 0,
            Mesh::Silent(_, share) => self.first_or_other(share),
            Mesh::Sticky(share, again) => {
                let same = if self.state.0 == 0 { again } else { 0.0 };
                self.chances += if n == 0 { share } else { (1.0 - again) * share + same };
                if self.random.uniform() >= again {
                    self.state.0 = self.first_or_other(share);
                }
                self.state.0
            }
            Mesh::Batches(each, share) => {
                self.draw_for(each, share);
                self.state.0
            }
            Mesh::Levels(mean, more, each) => {
                self.draw_for(each, 0.5);
                let share = if self.state.0 == 0 { mean + more } else { mean - more };
                self.chances += share;
                self.first_or_other(share)
            }
            _ => 0,
        }
    }

    /// Draws a state for so many answers, when those of the last one are over.
    fn draw_for(&mut self, each: u64, share: f64) {
        if self.state.1 == 0 {
            self.state = (self.first_or_other(share), each);
        }
        self.state.1 -= 1;
    }

    /// Whether the next request fails.
    fn fails(&mut self) -> bool {
        let (rate, long) = match self.mesh {
            Mesh::Failing(rate, each) => (rate, each as f64),
            Mesh::FailingInBursts(rate, long) => (rate, long),
            _ => return false,
        };
        let begins = rate / long / (1.0 - rate * (1.0 - 1.0 / long));
        self.chances += if self.state.1 == 0 { begins } else { 1.0 };
        if self.state.1 == 0 && self.random.uniform() < begins {
            self.state.1 = long as u64;
            if matches!(self.mesh, Mesh::FailingInBursts(..)) {
                self.state.1 = 1;
                while self.random.uniform() >= 1.0 / long {
                    self.state.1 += 1;
                }
            }
        }
        let failed = self.state.1 > 0;
        self.state.1 = self.state.1.saturating_sub(1);
        failed
    }

    /// An answer on the connection of a lane.
    fn on_connection(&mut self, lane: usize) -> MadeUp {
        let (each, share) = match self.mesh {
            Mesh::Pinned(shares, each) => (each, shares[0]),
            Mesh::TwoToOne(each, share) => (each, share),
            _ => (u64::MAX, 0.5),
        };
        let (kind, carried) = match self.lanes[lane] {
            Some((kind, carried)) if carried < each => (kind, carried),
            _ => (self.first_or_other(share), 0),
        };
        self.lanes[lane] = Some((kind, carried + 1));
        let who = match self.mesh {
            Mesh::TwoToOne(..) if carried % 3 == 2 => 1 - kind,
            Mesh::Gateways => self.first_or_other(if kind == 0 { 0.8 } else { 0.2 }),
            _ => kind,
        };
        MadeUp { lane, who: Some(who), kept: carried > 0, slow: false }
    }
}
