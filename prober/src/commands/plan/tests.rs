//! Plans of samples, in words, and what is refused.

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser as _;

fn asked(words: &[&str]) -> Result<String, SizeError> {
    let words = ["prober"].iter().chain(words);
    match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Plan(args)) => plan(&args),
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
fn the_reverse_is_the_inverse() {
    let said = asked(&["plan", "--backends", "2", "-n", "3250"]).unwrap();
    assert!(said.contains("within 5.5 points of 2 backends of 50 % each"), "{said}");
    assert!(said.contains("a share below 0.21 %"), "{said}");
    let said = asked(&["plan", "--shares", "90,10", "-n", "1"]).unwrap();
    assert!(said.contains("nothing about shares of 90 %, 10 %"), "{said}");
}

#[test]
fn what_cannot_be_planned_is_refused_in_one_line() {
    for (words, part) in [
        (&["plan"][..], "--backends N for even shares, or --shares such as 90,10"),
        (&["plan", "--backends", "1"], "--backends 1: write a number from 2"),
        (&["plan", "--shares", "90,20"], "--shares: they sum to 110"),
        (&["plan", "--shares", "100"], "--shares: only one share"),
        (&["plan", "--shares", "100,0"], "--shares: a share is not above 0"),
        (&["plan", "--backends", "2", "--tolerance=-5%"], "--tolerance '-5%'"),
        (&["plan", "--backends", "2", "--tolerance", "100%"], "--tolerance '100%'"),
        (&["plan", "--backends", "2", "--tolerance", "0.0001%"], "more than 1000000000 requests"),
        (&["plan", "--backends", "2", "--confidence", "1"], "--confidence '1'"),
        (&["plan", "--backends", "2", "--power", "2"], "--power '2'"),
        (&["plan", "--backends", "2", "--miss", "0"], "--miss 0"),
        (&["plan", "--backends", "2", "-n", "0"], "-n 0"),
    ] {
        let error = asked(words).expect_err(&format!("{words:?}")).to_string();
        assert!(error.contains(part), "{words:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
