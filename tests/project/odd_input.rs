//! Odd and empty input: each is refused in one line that no library wrote.

use std::path::Path;

use crate::harness::{Said, command, finish};

/// Words of libraries that mean nothing to a person.
const FOREIGN: &[&str] = &[
    "invalid digit",
    "invalid float",
    "entity not found",
    "os error",
    "expected value",
    "expected sequence",
    "expected mapping",
    "expected string scalar",
    "expected struct",
    "invalid type",
    "missing field",
    "unknown field",
    "invalid u64",
    "EOF while",
    "at line ",
    "did not contain valid UTF-8",
    "relative URL",
    "not in 0..",
    "not in 1..",
    "possible values",
    "not a boolean",
    "Error {",
    "Some(",
    "Err(",
];

/// The files that the arguments name.
fn prepare(folder: &Path) {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, content) in [
        ("empty", &b""[..]),
        ("bytes", b"\xff\xfe"),
        ("text", b"hello\n"),
        ("object", b"{}"),
        ("list", b"[]"),
        ("null", b"null"),
        ("cut", b"{\"schema\": \"prober/1\""),
        ("rows", b"{\"schema\": \"prober/1\", \"rows\": 5}"),
        ("number.yaml", b"targets: 5\n"),
        ("numbers.yaml", b"targets:\n- 5\n"),
        ("many.yaml", b"targets:\n- url: a\n  requests: many\n"),
        ("list-of.yaml", b"targets:\n- url: a\n  timeline: [1]\n"),
        ("word.yaml", b"targets:\n- url: a\n  expect: errors = 0\n"),
        ("flag.yaml", b"targets:\n- url: a\n  insecure: maybe\n"),
        ("two.yaml", b"targets:\n- url: a\n---\nx: 1\n"),
        ("twice.yaml", b"targets: []\ntargets: []\n"),
        ("quote.yaml", b"targets:\n- url: 'a\n"),
        ("tab.yaml", b"targets:\n\t- url: a\n"),
        ("bad.pem", pem.as_bytes()),
    ] {
        std::fs::write(folder.join(name), content).expect("written");
    }
    std::fs::create_dir(folder.join("folder")).expect("made");
}

/// Arguments and the exact line; both are separated by `=>`.
const CASES: &str = include_str!("odd_input/cases.txt");

fn refused(said: &Said, given: &str) -> String {
    assert_eq!(said.code, 2, "{given}: {said:?}");
    assert_eq!(said.stdout, "", "{given}: {said:?}");
    let line = said.stderr.lines().next().unwrap_or_default();
    for foreign in FOREIGN {
        assert!(!said.stderr.contains(foreign), "{given}: {foreign:?} is a library's: {line}");
    }
    line.to_owned()
}

#[test]
fn odd_input_is_refused_in_our_own_words() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let mut wrong = Vec::new();
    for case in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (given, line) = case.split_once(" => ").expect("a case has '=>'");
        let words: Vec<_> = given.split(' ').map(|word| word.trim_matches('\'')).collect();
        let (set, words) = match words[0].split_once('=') {
            Some((name, value)) if !name.starts_with('-') => (Some((name, value)), &words[1..]),
            _ => (None, &words[..]),
        };
        let mut program = command(words[0]);
        program.args(&words[1..]).current_dir(folder.path()).envs(set);
        let found = refused(&finish(&mut program), given);
        if found != line {
            wrong.push(format!("{given} => {found}"));
        }
    }
    assert!(wrong.is_empty(), "these lines differ:\n{}", wrong.join("\n"));
}
