//! How many dependent answers count as one independent answer. Pure.
//!
//! The mean of `n` dependent answers has the variance of `n / time` independent answers. `time` is
//! the integrated autocorrelation time (Sokal 1997): 1 for independent answers, 19 if the next answer
//! equals the last one with a chance of 0.95, 32 for batches of 32. It is estimated by batch means
//! (Glynn & Whitt 1991) over blocks of 1, 2, 4, … answers. The correlation of neighbouring blocks
//! accounts for dependence that is longer than a block. The largest estimate is used, even if it
//! differs from 1 by chance only: no test decides whether answers are independent.

/// Fewer blocks do not show a variance.
const FEWEST_BLOCKS: usize = 24;
/// Standard errors that are added to the correlation of the shortest blocks, and to the variance of
/// longer ones. There are many of the shortest blocks, and they show most kinds of dependence, so they
/// get the bound of a 99.9 % test. `verdict::calibration` measures the effect of both.
const ERRORS_SHORT: f64 = 3.09;
const ERRORS_LONG: f64 = 0.1;
/// Raises an estimate from few independent answers of the rarer kind.
const FEW: f64 = 0.5;
/// A sequence of results has fewer blocks than this.
const MOST_BLOCKS: f64 = 2_048.0;
/// Stronger correlations of neighbouring blocks are reduced to this one.
const MOST_CORRELATED: f64 = 0.995;
/// Standard errors that are added to the variance between connections, as in a 99.9 % test.
const ERRORS_CONNECTIONS: f64 = 3.09;

/// The answers of the rarer kind, in mean lengths of a connection, that a design effect needs.
const LEAST_LENGTHS: f64 = 5.0;

/// How many answers of a group came in each of successive blocks; blocks without any are left out.
pub(crate) type Hits = [(u32, u32)];

/// Successive blocks of answers, and longer blocks made of them: what all groups have in common.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Each level has blocks of twice the length of the level before. A last block without a neighbour
    /// is left out.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    /// The answers of each block.
    trials: Vec<f64>,
    /// The answers of both neighbours of each block.
    beside: Vec<f64>,
    /// The sum of the squares of the answers, and of the products of neighbours.
    squares: f64,
    neighbours: f64,
}

impl Level {
    fn new(trials: Vec<f64>) -> Self {
        let squares = trials.iter().map(|n| n * n).sum();
        let neighbours = trials.windows(2).map(|n| n[0] * n[1]).sum();
        let at = |place: usize| trials.get(place).copied().unwrap_or(0.0);
        let before = |place: usize| if place == 0 { 0.0 } else { at(place - 1) };
        let beside = (0..trials.len()).map(|place| before(place) + at(place + 1)).collect();
        Self { trials, beside, squares, neighbours }
    }

    /// With `d` for the hits of a block above its share: the sum of `d²`, and of the products of
    /// neighbouring `d`. The time grows with the number of blocks that have hits.
    fn deviations(&self, hits: &Hits, share: f64) -> (f64, f64) {
        let (mut squares, mut with_trials, mut with_beside, mut pairs) = (0.0, 0.0, 0.0, 0.0);
        let mut last = (u32::MAX, 0.0);
        for (block, count) in hits {
            let (place, count) = (*block as usize, f64::from(*count));
            squares += count * count;
            with_trials += count * self.trials[place];
            with_beside += count * self.beside[place];
            if last.0.wrapping_add(1) == *block {
                pairs += last.1 * count;
            }
            last = (*block, count);
        }
        let all = share * share;
        let squares = squares - 2.0 * share * with_trials + all * self.squares;
        (squares.max(0.0), pairs - share * with_beside + all * self.neighbours)
    }
}

impl Blocks {
    /// `trials` are the answers of each block, in order.
    #[must_use]
    pub(crate) fn new(trials: Vec<u32>) -> Self {
        let trials: Vec<f64> = trials.into_iter().map(f64::from).collect();
        let mut levels = vec![Level::new(trials)];
        while let Some(last) = levels.last().filter(|level| level.trials.len() >= 2 * FEWEST_BLOCKS)
        {
            let pairs = last.trials.chunks_exact(2).map(|pair| pair[0] + pair[1]);
            levels.push(Level::new(pairs.collect()));
        }
        Self { levels }
    }

    /// An upper estimate of the integrated autocorrelation time of a group, in answers, at least 1.
    /// `None` if all answers or none are hits, because they do not show any dependence.
    #[must_use]
    pub(crate) fn time(&self, hits: &Hits) -> Option<f64> {
        let (all, share, variance) = self.totals(hits)?;
        let mut longest = 1.0_f64;
        let mut joined = hits.to_vec();
        for (place, level) in self.levels.iter().enumerate() {
            let blocks = level.trials.len();
            if place > 0 {
                join_pairs(&mut joined, blocks);
            }
            if blocks < FEWEST_BLOCKS {
                break;
            }
            let blocks = blocks as f64;
            let (squares, neighbours) = level.deviations(&joined, share);
            let inflation = squares / (all * variance);
            let mut correlation = if squares > 0.0 { neighbours / squares } else { 0.0 };
            let mut errors = ERRORS_LONG;
            if place == 0 {
                correlation += ERRORS_SHORT / blocks.sqrt();
                errors = 0.0;
            }
            let correlation = correlation.clamp(0.0, MOST_CORRELATED);
            let beyond = (1.0 + correlation) / (1.0 - correlation);
            longest = longest.max(inflation * (1.0 + errors * (2.0 / blocks).sqrt()) * beyond);
        }
        let rarer = all * share.min(1.0 - share) / longest;
        Some(longest * (1.0 + FEW / rarer.max(0.25).sqrt()))
    }

    /// An upper estimate of the design effect of a cluster sample (Kish 1965), if each block is a
    /// connection: how many answers on reused connections count as one independent answer. `None` if
    /// there are too few answers of the rarer kind.
    #[must_use]
    pub(crate) fn design_effect(&self, hits: &Hits) -> Option<f64> {
        let (all, share, variance) = self.totals(hits)?;
        // If all long connections are alike, short ones alone would make the estimate.
        if all * share.min(1.0 - share) < LEAST_LENGTHS * self.mean_length()? {
            return None;
        }
        let connections = self.levels.first()?;
        let (squares, _) = connections.deviations(hits, share);
        let errors = ERRORS_CONNECTIONS * (2.0 / connections.trials.len() as f64).sqrt();
        Some((squares / (all * variance) * (1.0 + errors)).max(1.0))
    }

    /// The mean length of the block that an answer belongs to; `None` without answers.
    #[must_use]
    pub(crate) fn mean_length(&self) -> Option<f64> {
        let blocks = self.levels.first()?;
        let all: f64 = blocks.trials.iter().sum();
        (all > 0.0).then(|| blocks.squares / all)
    }

    /// All trials, the share of hits, and the variance of one trial; `None` if all are alike.
    fn totals(&self, hits: &Hits) -> Option<(f64, f64, f64)> {
        let all: f64 = self.levels.first()?.trials.iter().sum();
        let sum: f64 = hits.iter().map(|(_, n)| f64::from(*n)).sum();
        let share = sum / all;
        let variance = share * (1.0 - share);
        (all > 0.0 && variance > 0.0).then_some((all, share, variance))
    }
}

/// The usual value of [`Blocks::time`] for this many independent answers with this share of hits.
/// It exceeds 1, because it is an upper estimate.
#[must_use]
pub(crate) fn of_independent(answers: f64, share: f64) -> f64 {
    let mut blocks = answers;
    while blocks >= MOST_BLOCKS {
        blocks /= 2.0;
    }
    let correlation = (ERRORS_SHORT / blocks.max(1.0).sqrt()).min(MOST_CORRELATED);
    let beyond =
        if blocks < FEWEST_BLOCKS as f64 { 1.0 } else { (1.0 + correlation) / (1.0 - correlation) };
    let rarer = answers * share.min(1.0 - share) / beyond;
    beyond * (1.0 + FEW / rarer.max(0.25).sqrt())
}

/// Joins the hits of neighbours; there are `blocks` blocks afterwards.
fn join_pairs(hits: &mut Vec<(u32, u32)>, blocks: usize) {
    let mut kept = 0;
    for place in 0..hits.len() {
        let (block, count) = (hits[place].0 / 2, hits[place].1);
        if block as usize >= blocks {
            break;
        }
        if kept > 0 && hits[kept - 1].0 == block {
            hits[kept - 1].1 += count;
        } else {
            hits[kept] = (block, count);
            kept += 1;
        }
    }
    hits.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Random;

    /// Blocks of one answer each.
    fn blocks(answers: impl Iterator<Item = bool>) -> (Vec<u32>, Vec<(u32, u32)>) {
        let mut hits = Vec::new();
        let mut trials = Vec::new();
        for (place, hit) in answers.enumerate() {
            trials.push(1);
            if hit {
                hits.push((place as u32, 1));
            }
        }
        (trials, hits)
    }

    #[test]
    fn the_time_is_about_that_of_known_processes_and_seldom_less() {
        let mut random = Random::new(5);
        let mut state = false;
        let mut left = 0;
        let n = 8_192;
        let independent: Vec<_> = (0..n).map(|_| random.uniform() < 0.3).collect();
        let sticky: Vec<_> = (0..n)
            .map(|_| {
                if random.uniform() >= 0.9 {
                    state = random.uniform() < 0.5;
                }
                state
            })
            .collect();
        let batches: Vec<_> = (0..n)
            .map(|_| {
                if left == 0 {
                    (left, state) = (32, random.uniform() < 0.5);
                }
                left -= 1;
                state
            })
            .collect();
        for (answers, least, most) in
            [(independent, 1.0, 1.5), (sticky, 18.0, 32.0), (batches, 31.0, 500.0)]
        {
            let (trials, hits) = blocks(answers.into_iter());
            let time = Blocks::new(trials).time(&hits).unwrap();
            assert!((least..most).contains(&time), "{time} is not from {least} to {most}");
        }
    }

    #[test]
    fn answers_in_turn_are_worth_as_many_as_they_are() {
        let (trials, hits) = blocks((0..1_000).map(|n| n % 2 == 0));
        let blocks = Blocks::new(trials);
        assert!(blocks.time(&hits).unwrap() < 1.1);
        assert_eq!(blocks.time(&[]), None, "all alike show nothing");
        assert_eq!(Blocks::new(Vec::new()).time(&[]), None);
    }

    #[test]
    fn sums_over_hits_are_those_over_blocks() {
        let mut random = Random::new(9);
        let trials: Vec<u32> = (0..200).map(|_| random.below(5) as u32).collect();
        let hits: Vec<(u32, u32)> = trials
            .iter()
            .enumerate()
            .map(|(place, n)| (place as u32, random.below(u64::from(n + 1)) as u32))
            .filter(|(_, hits)| *hits > 0)
            .collect();
        let blocks = Blocks::new(trials.clone());
        let (_, share, _) = blocks.totals(&hits).unwrap();
        let d: Vec<f64> = (0..200)
            .map(|place| {
                let hit = hits.iter().find(|(block, _)| *block == place as u32);
                hit.map_or(0.0, |(_, n)| f64::from(*n)) - share * f64::from(trials[place])
            })
            .collect();
        let squares: f64 = d.iter().map(|d| d * d).sum();
        let neighbours: f64 = d.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let (got, beside) = blocks.levels[0].deviations(&hits, share);
        assert!((got - squares).abs() < 1e-6 && (beside - neighbours).abs() < 1e-6);
    }

    #[test]
    fn connections_with_shares_of_their_own_are_worth_less() {
        // A hundred connections of a hundred answers, two thirds or one third of a group.
        let trials = vec![100; 100];
        let hits: Vec<_> = (0..100).map(|n| (n, if n % 2 == 0 { 67 } else { 33 })).collect();
        let blocks = Blocks::new(trials);
        let effect = blocks.design_effect(&hits).unwrap();
        assert!((11.0..18.0).contains(&effect), "{effect}");
        let even: Vec<_> = (0..100).map(|n| (n, 50)).collect();
        assert_eq!(blocks.design_effect(&even), Some(1.0));
        // Ten long connections of one kind, and ten that have just begun of the other.
        let trials: Vec<u32> = (0..20).map(|n| if n < 10 { 100 } else { 5 }).collect();
        let hits: Vec<_> = (10..20).map(|n| (n, 5)).collect();
        assert_eq!(Blocks::new(trials).design_effect(&hits), None);
    }
}
