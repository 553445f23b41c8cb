//! Numbers and times that no run has, in every input that holds some: one line that says what is wrong, or
//! a report; never a panic.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Said, command, finish};
use crate::servers::{Server, text_echo};

/// Texts that some parser takes for a number.
const NUMBERS: [&str; 17] = [
    "NaN",
    "nan",
    "inf",
    "-inf",
    "infinity",
    "1e999",
    "-1e999",
    "1e308",
    "5e-324",
    "-1",
    "-0",
    "18446744073709551615",
    "18446744073709551616",
    "9007199254740993",
    "1e30",
    "99999999999999999999999999999999999999999",
    "0x10",
];

#[track_caller]
fn said(words: &[&str], folder: &Path) -> Said {
    let said = finish(command("prober").args(words).current_dir(folder));
    assert!(!said.stderr.contains("panicked"), "{words:?}: {said:?}");
    assert!([0, 1, 2, 3].contains(&said.code), "{words:?}: {said:?}");
    if said.code == 2 {
        assert_eq!(said.stdout, "", "{words:?}");
        // One line, and for an expectation two that point at the place.
        assert!(matches!(said.stderr.lines().count(), 1 | 3), "{words:?}: {said:?}");
    }
    said
}

#[test]
fn numbers_of_judged_answers_are_refused_or_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let expect =
        ["--expect=p99 < 1s", "--expect=retried = 0", "--expect=only kops", "--timeline=1s"];
    let judge = |text: &str, words: &[&str]| {
        fs::write(&path, text).expect("written");
        said(&[&["judge", "log"], words].concat(), folder.path())
    };
    for key in ["latency_us", "at_us", "attempt"] {
        for number in NUMBERS {
            for text in [
                format!("{{\"pod\":\"p\",\"{key}\":{number}}}"),
                format!("{{\"pod\":\"p\",\"{key}\":\"{number}\"}}"),
                format!("pod,{key}\np,{number}\n"),
            ] {
                let said = judge(&text, &["--expect=errors = 0"]);
                // As a float, 2^53 + 1 is 2^53.
                let accepted = match key {
                    "attempt" => false,
                    "at_us" => ["-0", "5e-324", "9007199254740993"].contains(&number),
                    _ => ["-0", "5e-324"].contains(&number),
                };
                assert_eq!(said.code == 2, !accepted, "{text}: {said:?}");
            }
        }
    }
    // The largest that are right, and answers that are as far from each other as can be.
    let ends = [(0, 3_600_000_000_u64), (9_007_199_254_740_992, 3_600_000_000), (1, 0)];
    let line = |(at, took): (u64, u64)| {
        json!({ "pod": "p", "cluster": "kops", "at_us": at, "latency_us": took, "attempt": u32::MAX }).to_string()
    };
    let text = ends.map(line).join("\n");
    for form in ["--output=text", "--output=json", "--output=csv"] {
        let files = [
            "--report=r.html",
            "--report=r.xml",
            "--report=r.md",
            "--report=r.prom",
            "--report=r.json",
        ];
        let judged = judge(&text, &[&expect[..3], &files, &[form]].concat());
        assert_ne!(judged.code, 2, "{judged:?}");
    }
    let again = said(&["report", "r.json"], folder.path());
    assert_ne!(again.code, 2, "prober reads its own report: {again:?}");
}

#[test]
fn numbers_of_events_and_flags_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [
        "--hold",
        "--rate",
        "--warmup",
        "--timeline",
        "--min-share",
        "--confidence",
        "--dependence",
        "--duration",
        "--max-time",
        "--connection-lifetime",
        "--event-timeout",
        "--min-time",
    ];
    for number in NUMBERS {
        for unit in ["", "s", "d", "%"] {
            let value = format!("{number}{unit}");
            let url = "http://127.0.0.1:1";
            let at = said(&[url, "-d", "1s", "--at", &value, "true", "--quiet"], folder.path());
            assert_eq!(at.code, 2, "--at {value}: {at:?}");
            fs::write(folder.path().join("events"), format!("{value} true\n")).expect("written");
            let events = said(&[url, "-d", "1s", "--event-file=events", "--quiet"], folder.path());
            assert_eq!(events.code, 2, "{value}: {events:?}");
            assert!(events.stderr.contains("events, line 1: "), "{events:?}");
        }
        for flag in flags {
            // Nobody listens: what is accepted ends with the first request.
            said(
                &[
                    "http://127.0.0.1:1",
                    "-n",
                    "1",
                    "--quiet",
                    &format!("{flag}={number}"),
                    "--show=0",
                ],
                folder.path(),
            );
        }
    }
}

#[test]
fn numbers_of_expectations_plans_and_comparisons_are_refused_or_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    for number in NUMBERS {
        for text in [
            format!("errors <= {number}"),
            format!("error-rate < {number}%"),
            format!("p99 < {number}s"),
            format!("shares a={number}%, b=50% ± {number}"),
            format!("failover < {number}ms"),
            format!("lost <= {number}"),
        ] {
            said(&["explain", &text], folder.path());
        }
        for flag in ["--tolerance", "--miss", "--power", "--confidence"] {
            said(&["plan", "--backends=2", &format!("{flag}={number}")], folder.path());
        }
        said(&["plan", "--shares", &format!("{number},50")], folder.path());
        let tolerate = format!("--tolerate=shares={number}");
        assert_eq!(said(&["compare", "none", "none", &tolerate], folder.path()).code, 2);
    }
}

#[test]
fn times_of_reports_are_refused_or_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("pod-a", "kops"));
    let run =
        finish(command("prober").args(["-n", "20", "--quiet", "--output=json"]).arg(echo.target()));
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let read = |report: &Value| {
        fs::write(folder.path().join("a.json"), report.to_string()).expect("written");
        let files = [
            "--report=r.html",
            "--report=r.xml",
            "--report=r.md",
            "--report=r.prom",
            "--report=r.csv",
        ];
        said(&[&["report", "a.json"], &files[..]].concat(), folder.path())
    };
    assert_eq!(read(&report).code, 0, "the report itself is right");
    for (started, right) in [
        ("9999-12-31T23:59:59-23:59", false),
        ("9999-12-31T23:59:59Z", true),
        ("0000-01-01T00:00:00+23:59", false),
        ("0001-01-01T00:00:00Z", true),
        ("+10000-01-01T00:00:00Z", false),
        ("-0001-01-01T00:00:00Z", false),
        ("2026-02-30T00:00:00Z", false),
        ("2016-12-31T23:59:60Z", true),
        ("NaN", false),
    ] {
        let mut report = report.clone();
        report["started"] = started.into();
        assert_eq!(read(&report).code != 2, right, "{started}");
    }
    for number in ["1e999", "1e308", "-1", "18446744073709551615", "5e-324", "\"NaN\"", "null"] {
        for key in ["seconds", "requests", "answers", "failed"] {
            let old = format!("\"{key}\":{}", report["rows"][0][key]);
            let text = report.to_string();
            if text.contains(&old) {
                fs::write(
                    folder.path().join("a.json"),
                    text.replace(&old, &format!("\"{key}\":{number}")),
                )
                .expect("written");
                said(&["report", "a.json"], folder.path());
            }
        }
    }
}
