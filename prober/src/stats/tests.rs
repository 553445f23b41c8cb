//! The formulas against tables, and against SciPy.

use super::*;

#[test]
fn an_unseen_share_is_bounded_as_in_the_tables() {
    // Hanley & Lippman-Hand 1983: 3/n at 95 %; exactly 1 - 0.05^(1/100).
    assert!((unseen_share(100, 0.95) - 0.029_513_049_607_038_9).abs() < 1e-12);
    assert!((unseen_share(1000, 0.999) - 0.006_883_951_579_0).abs() < 1e-9);
    assert!((unseen_share(0, 0.999) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn coverage_takes_as_many_answers_as_the_arithmetic_says() {
    // 2^-10 < 0.001 < 2^-9.
    assert_eq!(answers_to_miss(0.5, 0.001), 10);
    // 1e-6: 0.5^20 = 9.5e-7.
    assert_eq!(answers_to_miss(0.5, 1e-6), 20);
    assert_eq!(answers_to_miss(1.0, 0.001), 1);
    assert_eq!(answers_to_miss(0.01, 0.001), 688);
}

/// Values of SciPy, written by `tools/scipy-table.py`: each to 1e-9, relative.
#[test]
fn scipy_says_the_same() {
    let mut checked = std::collections::BTreeMap::new();
    for line in include_str!("scipy.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [function, arguments, value] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let a: Vec<f64> = arguments.split(' ').map(|a| a.parse().unwrap()).collect();
        let expected: f64 = value.parse().unwrap();
        let own = match (function, a.as_slice()) {
            ("ln_beta", &[a, b]) => special::ln_beta(a, b),
            ("beta_reg", &[a, b, x]) => special::beta_reg(a, b, x),
            ("chi_square_above", &[x, freedom]) => special::chi_square_above(x, freedom),
            ("normal_above", &[z]) => special::normal_above(z),
            ("normal_quantile_above", &[tail]) => special::normal_quantile_above(tail),
            ("lower", &[hits, trials, risk]) => exact::lower(hits, trials, risk),
            ("upper", &[hits, trials, risk]) => exact::upper(hits, trials, risk),
            ("at_least", &[hits, trials, p]) => exact::at_least(hits, trials, p),
            ("at_most", &[hits, trials, p]) => exact::at_most(hits, trials, p),
            ("ln_evidence_above", [hits, trials, null, alternatives @ ..]) => {
                let sample = sequence::Sample { hits: *hits, trials: *trials };
                let pairs: Vec<_> = alternatives.chunks(2).map(|pair| (pair[0], pair[1])).collect();
                sequence::ln_evidence_above(sample, *null, &pairs)
            }
            ("sequence_low", &[hits, trials, risk]) => {
                sequence::interval(sequence::Sample { hits, trials }, risk).0
            }
            ("sequence_high", &[hits, trials, risk]) => {
                sequence::interval(sequence::Sample { hits, trials }, risk).1
            }
            ("homogeneity", counts) => {
                let (before, after) = counts.split_at(counts.len() / 2);
                let pairs = before.iter().zip(after);
                let table: Vec<_> = pairs.map(|(before, after)| vec![*before, *after]).collect();
                homogeneity::p_value(&table)
            }
            _ => panic!("{line}"),
        };
        let near = (own - expected).abs() <= 1e-9 * expected.abs().max(1e-250);
        // The median of the normal distribution is 0, to the last bit of 1.
        let zero = expected == 0.0 && own.abs() < 1e-15;
        assert!(near || zero, "{line}: {own}");
        *checked.entry(function).or_insert(0) += 1;
    }
    assert!(checked.len() == 13 && checked.values().all(|n| *n > 2), "{checked:?}");
}

#[test]
fn small_tables_are_permuted() {
    // Fisher's exact test, two-sided, of 3:0 against 0:3 is 2/20.
    let p = homogeneity::p_value(&[vec![3.0, 0.0], vec![0.0, 3.0]]);
    assert!((0.08..0.12).contains(&p), "{p}");
    assert!(homogeneity::p_value(&[vec![3.0, 3.0], vec![3.0, 3.0]]) > 0.9);
    assert!((homogeneity::p_value(&[vec![3.0, 0.0]]) - 1.0).abs() < f64::EPSILON);
}

/// The evidence of a true null reaches `1/risk` in at most that part of all runs, at any time.
#[test]
fn evidence_against_what_is_true_is_rare() {
    let mut random = super::random::Random::new(42);
    let (runs, risk, null) = (1_000, 0.05_f64, 0.55);
    let mut crossed = 0;
    for _ in 0..runs {
        let alternatives = sequence::around(0.6, null, 0.05);
        let mut sample = sequence::Sample { hits: 0.0, trials: 0.0 };
        let ever = (0..1_500).any(|_| {
            sample.trials += 1.0;
            sample.hits += f64::from(u8::from(random.uniform() < null));
            sequence::ln_evidence_above(sample, null, &alternatives) >= -risk.ln()
        });
        crossed += u32::from(ever);
    }
    // 50 at most are expected; 75 have a chance below 0.001.
    assert!((5..75).contains(&crossed), "{crossed} of {runs}");
}

#[test]
fn weights_of_alternatives_sum_to_one_and_lie_above() {
    for (target, null, scale) in [(0.5, 0.45, 0.05), (0.9, 0.87, 0.03), (1.0, 0.99, 0.01)] {
        for all in [sequence::around(target, null, scale), sequence::beyond(null, scale)] {
            let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
            assert!(all.iter().all(|(q, _)| *q > null && *q < 1.0), "{all:?}");
        }
    }
}

#[test]
fn a_confidence_sequence_holds_the_share_and_is_wider_than_a_fixed_interval() {
    let sample = sequence::Sample { hits: 480.0, trials: 1_000.0 };
    let (low, high) = sequence::interval(sample, 0.001);
    let (least, most) =
        (exact::lower(480.0, 1_000.0, 0.0005), exact::upper(480.0, 1_000.0, 0.0005));
    assert!(low < least && most < high && low > 0.40 && high < 0.56, "{low} {high}");
    assert_eq!(sequence::interval(sequence::Sample { hits: 0.0, trials: 0.0 }, 0.1), (0.0, 1.0));
}
