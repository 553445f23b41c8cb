//! `prober judge` on answers that something else collected: from files, from pipes, in the output
//! of shell loops.

mod streams;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use crate::harness::{Said, bin_dir, command, finish, run, wait_until, workspace};

/// A prober that judges its stdin.
fn start(args: &[&str]) -> (Child, ChildStdin) {
    let mut command = command("prober");
    command.arg("judge").args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stdin = child.stdin.take().expect("piped");
    (child, stdin)
}

/// What it said, once it has ended.
fn end(child: Child) -> Said {
    let output = child.wait_with_output().expect("it ends");
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Judges a text on stdin, of which it may read less than all.
fn judge(text: &str, args: &[&str]) -> Said {
    let (child, mut stdin) = start(args);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A prober that has decided reads no more.
            let _ = stdin.write_all(text.as_bytes());
        });
        end(child)
    })
}

/// The JSON report on a text on stdin.
fn report(text: &str, args: &[&str]) -> Value {
    let said = judge(text, &[args, &["--output=json", "--quiet"]].concat());
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(report["exit_code"], said.code);
    report
}

/// Writes a file and returns its path.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("can be written");
    path.to_string_lossy().into_owned()
}

/// What a shell loop with headings prints.
const TRANSCRIPT: &str = "\
from kops:istio-disabled: curl echo1:8080
[URL: http://echo1:8080/] on [pod: echo1-kops-1] in [cluster: kops]
[URL: http://echo1:8080/] on [pod: echo1-kops-1] in [cluster: kops]

from kops:istio-enabled: curl echo2:8080
[URL: http://echo2:8080/] on [pod: echo2-kops-1] in [cluster: kops]
[URL: http://echo2:8080/] on [pod: echo2-gke1-1] in [cluster: gke1]
http://echo2:8080/ on [pod: echo2-gke1-1] in [cluster: gke1]

curl istio1.xiaowenx.com/echo1
[URL: http://istio1.xiaowenx.com/echo1] on [pod: echo1-kops-1] in [cluster: kops]
";

#[test]
fn the_headings_of_a_transcript_are_rows() {
    let report = report(TRANSCRIPT, &["-e", "errors = 0"]);
    let rows = report["rows"].as_array().expect("a list");
    let row = |row: &Value| {
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        (text("source"), text("target"), row["answers"].as_u64())
    };
    let expected = [
        (Some("kops:istio-disabled".into()), Some("echo1:8080".into()), Some(2)),
        (Some("kops:istio-enabled".into()), Some("echo2:8080".into()), Some(3)),
        (None, Some("istio1.xiaowenx.com/echo1".into()), Some(1)),
    ];
    assert_eq!(rows.iter().map(row).collect::<Vec<_>>(), expected);
    let said = judge(TRANSCRIPT, &["-e", "reaches kops,gke1"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.contains("from kops:istio-enabled: curl echo2:8080\n"), "{said:?}");
    assert!(said.stdout.contains("  PASS  reaches kops,gke1: "), "{said:?}");
    assert!(said.stdout.contains("2 of 3 rows inconclusive"), "{said:?}");
}

/// The commands of `docs/judge.md` do what they say.
#[test]
fn the_documents_commands_work() {
    let text = fs::read_to_string(workspace().join("docs/judge.md")).expect("a document");
    let blocks: Vec<_> = text.split("```sh\n").skip(1).collect();
    let commands: Vec<_> = blocks.iter().filter_map(|block| block.split("\n```").next()).collect();
    // Both clusters answer; two requests are too few; gke1 answers, too.
    for (line, code) in commands.iter().zip([0, 3, 1]) {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", bin_dir().display());
        let said = finish(Command::new("sh").args(["-c", line]).env("PATH", path));
        assert_eq!(said.code, code, "{line}: {said:?}");
    }
    assert_eq!(commands.len(), 3);
}

#[test]
fn the_exit_code_is_the_worst_verdict() {
    let even = "{\"cluster\":\"kops\"}\n{\"cluster\":\"gke1\"}\n".repeat(1_000);
    for (expectation, code) in [
        ("errors = 0", 0),
        ("balanced kops,gke1 ± 10%", 0),
        ("only kops", 1),
        ("balanced kops,gke1 ± 1%", 3),
    ] {
        for mode in [&[][..], &["--until-decided"]] {
            let said = judge(&even, &[&["-e", expectation], mode].concat());
            assert_eq!(said.code, code, "{expectation}: {said:?}");
        }
    }
    judge("hello\n", &[]).refused(&["prober: stdin:1: 'hello' is not an answer; write the line"]);
    assert_eq!(judge(&even, &["-e", "exacty kops"]).code, 2);
}

#[test]
fn files_are_rows_unless_they_have_headings() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = file(folder.path(), "a.ndjson", "{\"cluster\":\"kops\"}\n{\"failed\":\"timeout\"}");
    let csv = file(folder.path(), "b.csv", "\u{feff}pod,cluster\r\np,kops\r\nq,gke1\r\n");
    let text = file(folder.path(), "c.txt", TRANSCRIPT);
    let said = run("prober", ["judge", &json, &csv, &text, "--output=json", "--quiet"]);
    assert_eq!(said.code, 1, "{said:?}");
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let rows = report["rows"].as_array().expect("a list");
    let sources: Vec<_> = rows.iter().map(|row| row["source"].as_str()).collect();
    let expected =
        [Some(&*json), Some(&*csv), Some("kops:istio-disabled"), Some("kops:istio-enabled"), None];
    assert_eq!(sources, expected);
    let requests: Vec<_> = rows.iter().map(|row| row["requests"].as_u64()).collect();
    assert_eq!(requests, [2, 2, 2, 3, 1].map(Some));
    assert_eq!(rows[0]["failures"][0]["kind"], "timeout");
    // The same heading in another file is the same row.
    let again = file(folder.path(), "d.txt", TRANSCRIPT);
    let said = run("prober", ["judge", &text, &again, "--output=csv", "--quiet"]);
    assert_eq!(said.stdout.lines().filter(|line| line.contains("echo2-gke1-1")).count(), 1);
}

#[test]
fn a_pipe_that_never_ends_is_read_until_the_decision() {
    const MOST: usize = 1_000_000;
    let (child, mut stdin) = start(&["--until-decided", "-e", "only kops"]);
    let line = b"[URL: http://echo2:8080/] on [pod: a] in [cluster: kops]\n";
    let written =
        std::thread::spawn(move || (0..MOST).take_while(|_| stdin.write_all(line).is_ok()).count());
    let said = end(child);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("stopped when every verdict was decided"), "{said:?}");
    assert!(written.join().expect("it only writes") < MOST);
}

/// A loop that has printed enough is not waited for.
#[test]
fn a_pipe_that_stays_open_is_not_read_after_the_decision() {
    let (mut child, mut stdin) = start(&["--until-decided", "-e", "only kops"]);
    stdin.write_all("{\"cluster\":\"kops\"}\n".repeat(800).as_bytes()).expect("it reads");
    let status = wait_until("it ends", || child.try_wait().expect("can be asked"));
    assert_eq!(status.code(), Some(0));
    drop(stdin);
}

/// Without `--until-decided`, the sample is the whole file.
#[test]
fn a_whole_file_is_a_sample_of_fixed_size() {
    let text = "{\"cluster\":\"kops\"}\n".repeat(5_000);
    let whole = &report(&text, &["-e", "only kops"])["rows"][0];
    assert_eq!((&whole["requests"], &whole["stopped"]), (&5_000.into(), &Value::Null));
    let args = ["-e", "only kops", "--until-decided"];
    let some = &report(&text, &args)["rows"][0];
    assert_eq!(some["stopped"], "decided");
    assert!((780..800).contains(&some["requests"].as_u64().expect("a number")), "{some}");
    let args = ["-e", "balanced kops,gke1 ± 5%", "--until-decided", "--max-requests", "10"];
    let few = &report(&text, &args)["rows"][0];
    assert_eq!((&few["requests"], &few["stopped"]), (&10.into(), &"max-requests".into()));
}

#[test]
fn reports_have_the_judged_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let [json, junit] = ["r.json", "r.xml"].map(path);
    let args =
        [&format!("--report={json}"), &format!("--report={junit}"), "--quiet", "-e", "only kops"];
    let said = judge(TRANSCRIPT, &args);
    assert_eq!(said.code, 1, "{said:?}");
    let junit = fs::read_to_string(&junit).expect("written");
    assert!(junit.contains("from kops:istio-enabled: curl echo2:8080"), "{junit}");
    assert_eq!(junit.matches("<failure").count(), 1, "{junit}");
    let again = run("prober", ["report", &json, "--quiet"]);
    assert_eq!((again.code, again.stdout), (said.code, said.stdout));
    let merged = run("prober", ["merge", &json, "--quiet", "--output=json"]);
    let merged: Value = serde_json::from_str(&merged.stdout).expect("JSON");
    assert_eq!(merged["rows"][1]["answers"], 3);
}

/// Latencies, addresses, connections and names may all be missing, also on some lines only.
#[test]
fn reports_of_answers_that_say_little_are_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    for text in [
        "{\"connection\":1}\n{\"connection\":1}\n{\"failed\":\"x\",\"connection\":1}\n",
        "cluster,address,latency_us\nkops,10.0.0.1,5\nkops,,5\n",
        "cluster,address,connection\nkops,10.0.0.1,1\nkops,,1\n,10.0.0.1,\n",
    ] {
        let json = folder.path().join("r.json").to_string_lossy().into_owned();
        let said = judge(text, &["--report", &json, "--quiet"]);
        let again = run("prober", ["report", &json, "--quiet"]);
        assert_eq!((again.code, &again.stderr), (said.code, &said.stderr), "{text}");
        assert_eq!(again.stdout, said.stdout);
        let compared = run("prober", ["compare", &json, &json]);
        assert_ne!(compared.code, 2, "{compared:?}");
    }
}

#[test]
fn what_cannot_be_judged_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = file(folder.path(), "good", "{\"cluster\":\"kops\"}\n");
    let bad = file(folder.path(), "bad", "cluster,pod\nkops,a\nkops\n");
    let empty = file(folder.path(), "empty", "curl echo2\n\n");
    let refused = |args: &[&str], parts: &[&str]| {
        run("prober", [&["judge"], args].concat()).refused(parts);
    };
    refused(&[&good, &bad], &["bad:3: the line has 1 value, but the table has 2 columns"]);
    refused(&[&empty], &["empty has no answers; write one on each line"]);
    refused(&[&good, &good], &["good is given twice"]);
    refused(&["-", "-"], &["stdin is given twice"]);
    refused(&[], &["stdin has no answers"]);
    refused(&["/nonexistent"], &["cannot read /nonexistent: there is no such file"]);
    refused(&[&folder.path().to_string_lossy()], &["it is a folder; name a file in it"]);
    refused(&[&good, "--max-requests", "9"], &["--max-requests", "--until-decided"]);
    refused(&[&good, "--min-time", "9s"], &["--min-time", "--until-decided"]);
    refused(&[&good, "-e", "failover < 3s"], &["failover < 3s", "fault"]);
    refused(&[&good, "-n", "9"], &["-n"]);
    refused(&[&good, "--report", "x.pdf"], &["x.pdf"]);
}
