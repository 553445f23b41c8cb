//! Whether samples have the same shares. Pure.

use super::random::Random;
use super::special::chi_square_above;

/// If a cell expects fewer counts than this, chi-square is not a good approximation (Cochran
/// 1954), and permutations are used.
const FEW: f64 = 5.0;
const PERMUTATIONS: u32 = 10_000;
/// More trials are not permuted: with them, chi-square finds a difference rather too often.
const MOST_PERMUTED: f64 = 4_000.0;

/// The chance that samples of the same shares differ as much as these do, by the G statistic:
/// from chi-square (Wilks 1938), or, where cells are small, from seeded permutations, counting the
/// samples themselves (Phipson & Smyth 2010). Each row of the table is a group, with its count in
/// each sample.
#[must_use]
pub(crate) fn p_value(table: &[Vec<f64>]) -> f64 {
    let sum = |row: &[f64]| row.iter().sum::<f64>();
    let samples = table.iter().map(Vec::len).max().unwrap_or(0);
    let at = |row: &[f64], place: usize| row.get(place).copied().unwrap_or(0.0);
    let column = |place: usize| table.iter().map(|row| at(row, place)).sum::<f64>();
    let seen: Vec<usize> = (0..samples).filter(|place| column(*place) > 0.0).collect();
    let rows = table.iter().filter(|row| sum(row) > 0.0);
    let table: Vec<Vec<f64>> =
        rows.map(|row| seen.iter().map(|place| at(row, *place)).collect()).collect();
    if table.len() < 2 || seen.len() < 2 {
        return 1.0;
    }
    let sizes: Vec<f64> = seen.iter().map(|place| column(*place)).collect();
    let all: f64 = sizes.iter().sum();
    let smallest = sizes.iter().copied().fold(f64::INFINITY, f64::min);
    let least = table.iter().map(|row| sum(row) * smallest / all);
    let g = g_statistic(&table, &sizes);
    if least.fold(f64::INFINITY, f64::min) >= FEW || all > MOST_PERMUTED {
        return chi_square_above(g, ((table.len() - 1) * (sizes.len() - 1)) as f64);
    }
    permuted(&table, &sizes, g)
}

fn g_statistic(table: &[Vec<f64>], sizes: &[f64]) -> f64 {
    let all: f64 = sizes.iter().sum();
    let mut g = 0.0;
    for row in table {
        let total: f64 = row.iter().sum();
        for (seen, size) in row.iter().zip(sizes).filter(|(seen, _)| **seen > 0.0) {
            g += seen * (seen * all / (total * size)).ln();
        }
    }
    2.0 * g
}

/// Deals all trials of all groups out to samples of the same sizes.
fn permuted(table: &[Vec<f64>], sizes: &[f64], g: f64) -> f64 {
    let sizes: Vec<usize> = sizes.iter().map(|size| size.round() as usize).collect();
    let groups = table.iter().enumerate().flat_map(|(group, row)| {
        let total = row.iter().sum::<f64>().round() as usize;
        std::iter::repeat_n(group, total)
    });
    let mut trials: Vec<usize> = groups.collect();
    let rounded: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
    let mut random = Random::new(1);
    let mut as_much = 1u32;
    for _ in 0..PERMUTATIONS {
        for place in (1..trials.len()).rev() {
            trials.swap(place, random.below(place as u64 + 1) as usize);
        }
        let mut dealt = vec![vec![0.0; sizes.len()]; table.len()];
        let mut next = trials.iter();
        for (sample, size) in sizes.iter().enumerate() {
            next.by_ref().take(*size).for_each(|group| dealt[*group][sample] += 1.0);
        }
        as_much += u32::from(g_statistic(&dealt, &rounded) >= g - 1e-9);
    }
    f64::from(as_much) / f64::from(PERMUTATIONS + 1)
}
