//! Expectations in words, and what is refused.

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser as _;

fn asked(words: &[&str]) -> Result<String, SizeError> {
    let words = ["prober"].iter().chain(words);
    match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Explain(args)) => explain(&args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_explained_is_refused_in_one_line() {
    for (words, part) in [
        (&["explain", "exacty a"][..], "expectation 'exacty a', column 1"),
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
