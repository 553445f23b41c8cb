//! What holds without being asked for, and what people type: `errors = 0` beside other
//! expectations, targets without a flag, and flags of other tools.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use serde_json::Value;

use super::probing::row;
use crate::harness::{Said, run};
use crate::servers::{Server, line, response, text_echo};

/// Answers every second connection as `kops`, and refuses the others with 503.
fn half_fails() -> Server {
    Server::start(|mut stream: TcpStream, connection| {
        let answer = match connection % 2 {
            0 => response("200 OK", "", &line("p", "kops")),
            _ => response("503 Service Unavailable", "", "no healthy upstream"),
        };
        crate::servers::read_head(&stream);
        let _ = stream.write_all(answer.as_bytes());
        crate::servers::linger(&stream);
    })
}

/// The expectations of a row with their verdicts.
fn judged(row: &Value) -> Vec<(String, String)> {
    let text = |judged: &Value, key: &str| judged[key].as_str().expect("a text").to_owned();
    let all = row["expectations"].as_array().expect("a list").iter();
    all.map(|judged| (text(judged, "expectation"), text(judged, "verdict"))).collect()
}

fn first_row(said: &Said) -> Value {
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    report["rows"][0].clone()
}

const FAILS: (&str, &str) = ("errors = 0", "fail");
const PASSES: (&str, &str) = ("only kops", "pass");

fn verdicts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(what, verdict)| ((*what).to_owned(), (*verdict).to_owned())).collect()
}

#[test]
fn an_expectation_about_who_answers_does_not_excuse_failures() {
    let server = half_fails();
    let target = server.target();
    let (code, row) = row(&["-t", &target, "-n", "200", "--min-share", "20%", "-e", "only kops"]);
    assert_eq!((code, judged(&row)), (1, verdicts(&[FAILS, PASSES])), "{row}");
    let excused = ["-e", "only kops", "-e", "error-rate <= 70%"];
    let args = [&["-t", target.as_str(), "-n", "200", "--min-share", "20%"][..], &excused].concat();
    let (code, row) = self::row(&args);
    let wanted = verdicts(&[PASSES, ("error-rate <= 70%", "pass")]);
    assert_eq!((code, judged(&row)), (0, wanted), "{row}");
    let said = run("prober", ["-n", "100", "-t", &target, "-e", "only kops"]);
    let lines: Vec<_> = said.stdout.lines().filter(|l| l.contains("errors = 0: ")).collect();
    assert!(matches!(lines[..], [line] if line.trim_start().starts_with("FAIL")), "{said:?}");
}

#[test]
fn a_matrix_judges_errors_beside_the_expectations_of_a_target_and_of_the_defaults() {
    let server = half_fails();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.yaml");
    let url = server.target();
    for (defaults, target, wanted) in [
        ("", ", expect: [only kops]", &[FAILS, PASSES][..]),
        (", expect: [only kops]", "", &[FAILS, PASSES]),
        (", expect: [errors = 0]", ", expect: [only kops]", &[FAILS, PASSES]),
        ("", ", expect: [only kops, errors = 0]", &[PASSES, FAILS]),
    ] {
        let text = format!(
            "defaults: {{requests: 200, min-share: 20%{defaults}}}\ntargets: [{{url: '{url}'{target}}}]\n"
        );
        fs::write(&file, text).expect("written");
        let said = run("prober", ["matrix", &file.to_string_lossy(), "-o", "json", "--quiet"]);
        assert_eq!((said.code, judged(&first_row(&said))), (1, verdicts(wanted)), "{said:?}");
    }
}

#[test]
fn answers_from_a_file_and_merged_reports_are_judged_likewise() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let collected =
        "cluster,failed\nkops,\n,503 no healthy upstream\n".to_owned() + &"kops,\n".repeat(999);
    fs::write(path("answers.csv"), collected).expect("written");
    let judge = ["judge", &path("answers.csv"), "-o", "json", "--min-share", "20%"];
    let said = run("prober", [&judge[..], &["-e", "only kops"]].concat());
    assert_eq!((said.code, judged(&first_row(&said))), (1, verdicts(&[FAILS, PASSES])), "{said:?}");
    fs::write(path("report.json"), said.stdout).expect("written");
    let merge = ["merge", &path("report.json"), "-o", "json", "--quiet", "--min-share", "20%"];
    let said = run("prober", [&merge[..], &["-e", "only kops"]].concat());
    assert_eq!((said.code, judged(&first_row(&said))), (1, verdicts(&[FAILS, PASSES])), "{said:?}");
    let said = run("prober", [&merge[..], &["-e", "error-rate <= 20%"]].concat());
    let wanted = verdicts(&[("error-rate <= 20%", "pass")]);
    assert_eq!((said.code, judged(&first_row(&said))), (0, wanted), "{said:?}");
}

#[test]
fn help_and_explain_say_that_errors_are_judged() {
    let help = run("prober", ["--help"]).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("errors = 0 must hold, too,"), "{help}");
    let explained = run("prober", ["explain", "exactly kops,gke1"]).stdout;
    assert!(explained.contains("A run judges errors = 0, too, unless"), "{explained}");
    let echo = Server::start(text_echo("a", "kops"));
    let said = run("prober", ["-n", "5", "-t", &echo.target(), "-e", "throughput >= 1/s"]);
    assert!(said.stdout.contains("PASS  errors = 0: all 5 requests answered"), "{said:?}");
}

#[test]
fn a_url_needs_no_flag() {
    let (one, two) = (Server::start(text_echo("a", "kops")), Server::start(text_echo("b", "gke1")));
    let said =
        run("prober", ["-n", "5", &one.target(), "--output=json", "--target", &two.target()]);
    assert_eq!(said.code, 0, "{said:?}");
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let targets: Vec<_> = (0..2).map(|row| report["rows"][row]["target"].clone()).collect();
    assert_eq!(targets, [one.target(), two.target()]);
    // A name without dots, as Services have, and a command's name as a host.
    for (flag, name) in [(None, "echo2"), (Some("--target"), "matrix")] {
        let (url, port) = (format!("{name}:{}", one.port()), one.port());
        let resolve = format!("--resolve={name}:{port}:127.0.0.1");
        let words = flag.into_iter().chain([url.as_str(), "-n3", &resolve]);
        assert_eq!(run("prober", words).code, 0, "{name}");
    }
    let shells = run("prober", ["completions", "zsh"]).stdout;
    assert!(shells.contains("URL to probe"), "{shells}");
    assert!(run("prober", ["man"]).stdout.contains("URL"));
}

#[test]
fn what_was_meant_is_said_in_one_line() {
    for (words, part) in [
        (&["matirx", "f.yaml"][..], "'matirx' is not a command; did you mean 'prober matrix'?"),
        (&["mesh.yaml"], "write prober matrix mesh.yaml"),
        (&["a", "--timeout", "5s"], "prober has no --timeout; write -m or --max-time"),
        (&["a", "-timeout=5s"], "long flags have two dashes"),
        (&["a", "-L"], "redirects are not followed"),
        (&["a", "--retry", "3"], "nothing is retried"),
        (&["a", "--output", "run.json"], "for a file write --report run.json"),
        (&["-t", "4", "a"], "for threads --threads 4"),
        (&["a", "-d", "x=1"], "for a body write --data"),
        (&["a", "-m", "POST"], "for a method write -X POST"),
        (&["a", "-n", "many"], "'many' for '--requests <N>': not a count; write a whole number"),
        (&["matrix", "f", "--expect", "only a"], "as the key 'expect' of a target"),
        (&["watch", "no.yaml"], "cannot read the matrix file no.yaml"),
        (&["watch", "m.yaml", "-c", "5"], "m.yaml cannot be used with --concurrency"),
        (&["watch", "m.yaml", "-n", "9", "--http2"], "m.yaml cannot be used with --http2"),
        (&["watch", "m.yaml", "a"], "m.yaml cannot be used with a URL"),
        (&["watch", "m.yaml", "-t", "a"], "m.yaml cannot be used with --target"),
        (&["watch", "a", "m.yaml"], "'m.yaml' looks like a file"),
        (&["watch", "mtarix", "-c", "5", "b"], "did you mean 'prober matrix'?"),
        (&["wait", "60s"], "write prober URL --wait 60s"),
        (&["plan", "--shares", "x,1"], "not a share; write percent"),
    ] {
        let said = run("prober", words.iter());
        said.refused(&[part]);
    }
}
