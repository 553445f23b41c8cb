//! The power of a sample, against a normal approximation.

use super::*;

#[test]
fn a_plan_has_its_power() {
    let question = |tolerance, power| Question {
        shares: vec![0.5, 0.5],
        tolerance,
        risk: 0.001,
        power,
        miss: 1e-6,
    };
    // Normal approximation: ((3.090 + 2.576) / 0.1)² = 3210.
    let n = question(0.05, 0.99).requests().unwrap();
    assert!((3_150..3_300).contains(&n), "{n}");
    assert!(question(0.05, 0.99).power_of(n - 100) < 0.99);
    assert!(question(0.05, 0.9).requests().unwrap() < n);
    assert_eq!(question(1e-6, 0.99).requests(), None);
}
