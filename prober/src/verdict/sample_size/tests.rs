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
    // By the normal distribution ((3.090 + 2.576) / 0.1)² = 3210, and a sixth more because the
    // dependence of answers is not known to be none.
    let n = question(0.05, 0.99).requests().unwrap();
    assert!((3_210..4_100).contains(&n), "{n}");
    assert!(question(0.05, 0.99).power_of(n - 100) < 0.99);
    assert!(question(0.05, 0.9).requests().unwrap() < n);
    assert_eq!(question(1e-6, 0.99).requests(), None);
}

/// As often as planned, samples of the planned size are judged so.
#[test]
fn a_plan_is_kept() {
    use crate::expectation::parse;
    use crate::stats::random::Random;
    use crate::tally::Recorder;
    use crate::tally::outcome::{Answer, Outcome};
    use crate::verdict::{Rules, Verdict, verdict};
    use echo_reply::Identity;

    let shares = vec![0.5, 0.5];
    let question = Question { shares, tolerance: 0.1, risk: 0.001, power: 0.9, miss: 1e-6 };
    let n = question.requests().unwrap();
    let expectation = parse("balanced a,b ± 10%").unwrap();
    let who = ["a", "b"].map(|name| Identity::new(name, name));
    let mut random = Random::new(4);
    let passed = (0..400).filter(|_| {
        let mut recorder = Recorder::default();
        for sequence in 0..n {
            let answer = Answer::of(&who[random.pick(&[0.5, 0.5])]);
            recorder.record(Outcome::fresh(sequence, Ok(answer)), 0);
        }
        verdict(&recorder.into_tally(), &expectation, &Rules::default()) == Verdict::Pass
    });
    // Four standard errors of 1.5 %.
    let passed = passed.count();
    assert!((336..=384).contains(&passed), "{passed} of 400 passed with {n}");
}
