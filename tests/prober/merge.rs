//! `prober merge` and `prober wait`, as a person or a pod runs them.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Background, Said, command, run};
use crate::servers::{Server, text_echo};

/// Asks an echo, and keeps the report in a file.
fn report(folder: &Path, name: &str, target: &str, requests: &str) -> String {
    let words = ["--output=json", "--quiet", "--run-id=r", "-n", requests, "--target", target];
    let said = run("prober", words);
    assert_eq!(said.code, 0, "{said:?}");
    let path = folder.join(name);
    fs::write(&path, said.stdout).expect("can be written");
    path.to_string_lossy().into_owned()
}

fn merge(files: &[&str]) -> Said {
    run("prober", ["merge"].iter().chain(files))
}

#[test]
fn the_reports_of_several_runs_become_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let one = report(dir.path(), "one.json", &echo.target(), "30");
    let two = report(dir.path(), "two.json", &echo.target(), "12");
    let said = merge(&[&one, &two]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("42 requests on 42 connections, 0 failed"), "{said:?}");
    let said = merge(&[&one, &two, "--output=json"]);
    let merged: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(merged["rows"][0]["backends"][0]["answers"], 42);
    assert_eq!(merged["rows"][0]["expectations"][0]["verdict"], "pass");
    // What is merged can be merged again.
    let both = dir.path().join("both.json");
    fs::write(&both, said.stdout).expect("can be written");
    let three = report(dir.path(), "three.json", &echo.target(), "8");
    let said = merge(&[&both.to_string_lossy(), &three]);
    assert!(said.stdout.contains("50 requests on 50 connections"), "{said:?}");
}

/// Reports that were not planned as one sample have no verdict, unless somebody asks for one.
#[test]
fn the_reports_of_different_runs_are_not_one_sample() {
    let dir = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let one = report(dir.path(), "one.json", &echo.target(), "30");
    let two = report(dir.path(), "two.json", &echo.target(), "12");
    let other =
        fs::read_to_string(&two).expect("text").replace("\"run_id\": \"r\"", "\"run_id\": \"s\"");
    fs::write(&two, other).expect("can be written");
    let said = merge(&[&one, &two]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.contains("errors = 0: not judged: 2 reports that were not"), "{said:?}");
    let said = merge(&[&one, &two, "--expect", "errors = 0"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(merge(&[&one, &two, "--expect", "only gke1"]).code, 1);
    let said = merge(&[&one, &two, "--expect", "onyl gke1"]);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
    assert!(said.stderr.contains("'onyl gke1'") && said.stderr.contains("only NAME"), "{said:?}");
}

#[test]
fn what_cannot_be_merged_is_refused_by_the_name_of_its_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let one = report(dir.path(), "one.json", &echo.target(), "3");
    let other = report(dir.path(), "other.json", &format!("{}/other", echo.target()), "3");
    merge(&[&one, &other]).refused(&["other.json: found '", "as in ", "one.json"]);
    merge(&[&one, &one]).refused(&["one.json: the same report as"]);
    merge(&[&one, "/nonexistent.json"]).refused(&["cannot read the report /nonexistent.json"]);
    let text = dir.path().join("text.json");
    fs::write(&text, "hello").expect("can be written");
    let text = text.to_string_lossy();
    merge(&[&one, &text]).refused(&["text.json: not a prober report"]);
    let next = fs::read_to_string(&one).expect("text").replace("prober/1", "prober/2");
    fs::write(&*text, next).expect("can be written");
    merge(&[&one, &text]).refused(&["text.json: the report has schema 'prober/2'"]);
    merge(&[]).refused(&["<FILE>"]);
}

#[test]
fn an_idle_prober_ends_with_its_pod() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut idle = Background::start(command("prober").arg("wait"));
        // Its handler is there once it sleeps in the wait; before that the signal would kill it.
        crate::harness::wait_until("it catches signals", || {
            let status = fs::read_to_string(format!("/proc/{}/status", idle.pid())).ok()?;
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            (caught & (1 << (Signal::TERM.as_raw() - 1)) != 0).then_some(())
        });
        idle.signal(signal);
        assert_eq!(idle.wait(), 0);
        assert_eq!(idle.said_all(), "");
    }
    run("prober", ["wait", "long"]).refused(&["long"]);
}

/// Two halves of a load, one after the other, are not that load.
#[test]
fn loads_that_did_not_run_at_once_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let files = ["one.json", "two.json"].map(|name| {
        let report = dir.path().join(name);
        let written = format!("--report={}", report.display());
        let target = echo.target();
        let words = ["--quiet", "--run-id=r", "--rate=50", "-d1s", &written, "--target", &target];
        let said = run("prober", words);
        assert_eq!(said.code, 0, "{said:?}");
        report.to_string_lossy().into_owned()
    });
    let words = "two.json: ran at the same time as ";
    merge(&[&files[0], &files[1]]).refused(&[words, "must overlap by 90 %", "enough CPU"]);
}
