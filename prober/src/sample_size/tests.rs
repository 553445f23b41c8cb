//! Plans of samples, and expectations in words.

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser as _;

fn asked(words: &[&str]) -> Result<String, SizeError> {
    let words = ["prober"].iter().chain(words);
    match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Plan(args)) => plan(&args),
        Some(Command::Explain(args)) => explain(&args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn coverage_is_as_in_the_tables() {
    for (backends, requests) in [("2", 21), ("3", 37), ("6", 86), ("12", 188)] {
        let said = asked(&["plan", "--backends", backends, "--tolerance", "20%"]).unwrap();
        let line = said.lines().find(|line| line.contains("never seen")).expect("a line");
        let number = line.trim().split(' ').next().unwrap();
        assert_eq!(number.parse(), Ok(requests), "{said}");
    }
}

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
    assert!(matches!(question(1e-6, 0.99).requests(), Err(SizeError::TooMany)));
}

#[test]
fn the_reverse_is_the_inverse() {
    let said = asked(&["plan", "--backends", "2", "-n", "3250"]).unwrap();
    assert!(said.contains("within 5 points of 2 backends of 50 % each"), "{said}");
    assert!(said.contains("less than 0.21 % of all"), "{said}");
    let said = asked(&["plan", "--shares", "90,10", "-n", "1"]).unwrap();
    assert!(said.contains("nothing of shares of 90 %, 10 %"), "{said}");
}

#[test]
fn what_cannot_be_planned_is_refused_in_one_line() {
    for (words, part) in [
        (&["plan"][..], "--backends N for even shares, or --shares 90,10"),
        (&["plan", "--backends", "1"], "--backends 1: write a number from 2"),
        (&["plan", "--shares", "90,20"], "--shares: they sum to 110"),
        (&["plan", "--shares", "100"], "--shares: one share alone"),
        (&["plan", "--shares", "100,0"], "--shares: not all are above 0"),
        (&["plan", "--backends", "2", "--tolerance=-5%"], "--tolerance '-5%'"),
        (&["plan", "--backends", "2", "--tolerance", "100%"], "--tolerance '100%'"),
        (&["plan", "--backends", "2", "--tolerance", "0.0001%"], "more than 1000000000 requests"),
        (&["plan", "--backends", "2", "--confidence", "1"], "--confidence '1'"),
        (&["plan", "--backends", "2", "--power", "2"], "--power '2'"),
        (&["plan", "--backends", "2", "--miss", "0"], "--miss 0"),
        (&["plan", "--backends", "2", "-n", "0"], "-n 0"),
        (&["explain", "exacty a"], "expectation 'exacty a', column 1"),
        (&["explain", "only a", "--confidence", "0"], "--confidence '0'"),
        (&["explain", "only a", "--backends", "0"], "--backends 0"),
    ] {
        let error = asked(words).expect_err(&format!("{words:?}")).to_string();
        assert!(error.contains(part), "{words:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn every_form_is_explained() {
    let said = asked(&[
        "explain",
        "errors = 0",
        "error-rate <= 0.1%",
        "retried = 0",
        "p99{cluster=gke1} < 120ms",
        "throughput >= 500/s",
        "only kops",
        "reaches kops,gke1",
        "exactly kops,gke1",
        "balanced ± 10%",
        "balanced a,b by pod ± 0.01%",
        "shares kops=90%,gke1=10% ± 8%",
        "share{pod=x} >= 20%",
        "failover < 5s",
    ]);
    insta::assert_snapshot!(said.unwrap());
}
