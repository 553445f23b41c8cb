//! Whether two samples have the same shares. Pure.

use super::random::Random;
use super::special::chi_square_above;

/// If a cell expects fewer counts than this, chi-square is not a good approximation (Cochran
/// 1954), and permutations are used.
const FEW: f64 = 5.0;
const PERMUTATIONS: u32 = 10_000;

/// The chance that two samples of the same shares differ as much as these do, by the
/// G statistic: from chi-square (Wilks 1938), or, where cells are small, from seeded
/// permutations, counting the sample itself (Phipson & Smyth 2010).
#[must_use]
pub(crate) fn p_value(table: &[(f64, f64)]) -> f64 {
    let table: Vec<_> = table.iter().copied().filter(|(a, b)| a + b > 0.0).collect();
    let (first, second) = table.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    if table.len() < 2 || first <= 0.0 || second <= 0.0 {
        return 1.0;
    }
    let all = first + second;
    let least = table.iter().map(|(a, b)| (a + b) * first.min(second) / all);
    let g = g_statistic(&table, first, second);
    if least.fold(f64::INFINITY, f64::min) >= FEW {
        return chi_square_above(g, (table.len() - 1) as f64);
    }
    permuted(&table, g)
}

fn g_statistic(table: &[(f64, f64)], first: f64, second: f64) -> f64 {
    let all = first + second;
    let part = |seen: f64, expected: f64| {
        if seen > 0.0 { seen * (seen / expected).ln() } else { 0.0 }
    };
    let cells = table
        .iter()
        .map(|(a, b)| part(*a, (a + b) * first / all) + part(*b, (a + b) * second / all));
    2.0 * cells.sum::<f64>()
}

fn permuted(table: &[(f64, f64)], g: f64) -> f64 {
    let totals: Vec<u64> = table.iter().map(|(a, b)| (a + b).round() as u64).collect();
    let first = table.iter().map(|(a, _)| a.round() as u64).sum::<u64>();
    let all: u64 = totals.iter().sum();
    let mut random = Random::new(1);
    let mut as_much = 1u32;
    for _ in 0..PERMUTATIONS {
        // Draws the first sample from all, without putting back.
        let (mut left, mut wanted) = (all, first);
        let mut drawn = Vec::with_capacity(totals.len());
        for total in &totals {
            let mut here = 0;
            for _ in 0..*total {
                if random.uniform() * (left as f64) < wanted as f64 {
                    here += 1;
                    wanted -= 1;
                }
                left -= 1;
            }
            drawn.push((here as f64, (total - here) as f64));
        }
        let permuted = g_statistic(&drawn, first as f64, (all - first) as f64);
        as_much += u32::from(permuted >= g - 1e-9);
    }
    f64::from(as_much) / f64::from(PERMUTATIONS + 1)
}
