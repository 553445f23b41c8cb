//! Texts that are harmless alone, but not on one line: names in neighbouring cells, words that are
//! wrapped to the start of a line. No line of any form is a command for a CI system.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Said, command, finish};
use crate::servers::{Server, line, read_head, response, text_echo};

const FORMS: [&str; 7] = ["r.json", "r.xml", "r.md", "r.html", "r.prom", "r.csv", "r2.json"];

/// The start of a command, and its rest, as names of what stands side by side.
const FIRST: &str = "::error";
const REST: &str = "file=a::x";
/// A text with commands behind each word, so that each width moves one to the start of a line.
const WORDS: &str = "a ::error::b cc ::warning::d eee ::add-mask::f gggg ::debug::h iiiii ::group::j \
    kkkkkk ::notice::l mmmmmmm ::stop-commands::n oooooooo ::set-env::p";

#[track_caller]
fn inert(text: &str, what: &str) {
    for line in text.lines() {
        let start = line.trim_start().strip_prefix("::");
        assert!(!start.is_some_and(|rest| rest.contains("::")), "{what}: {line}");
        assert!(!line.contains("##[") && !line.contains("##vso["), "{what}: {line}");
        let hidden = |c: char| {
            (c.is_control() && c != '\t')
                || matches!(u32::from(c), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff)
        };
        assert!(!line.contains(hidden), "{what}: {line:?}");
    }
}

/// What colours add, removed: a log may not keep them.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').expect("a colour").1)
}

/// What prober says to these words, in all widths, with colours and without; checks all of it.
#[track_caller]
fn said(words: &[&str], folder: &Path) -> Said {
    for columns in (60..100).step_by(4) {
        let mut prober = command("prober");
        prober.args(words).current_dir(folder).env("COLUMNS", columns.to_string());
        let said = finish(&mut prober);
        inert(&said.stdout, &format!("{words:?} in {columns} columns"));
        inert(&said.stderr, &format!("{words:?} in {columns} columns, stderr"));
    }
    finish(command("prober").args(words).current_dir(folder))
}

/// All files and forms that these words make.
#[track_caller]
fn all_forms(words: &[&str], folder: &Path) -> Said {
    let files = FORMS.map(|name| format!("--report={name}"));
    let words = [words, &files.each_ref().map(|file| &**file)].concat();
    for more in
        ["--output=text", "--output=csv", "--output=ndjson", "--output=json", "--color=always"]
    {
        let said = finish(command("prober").args(&words).arg(more).current_dir(folder));
        assert!([0, 1, 3].contains(&said.code), "{said:?}");
        inert(&without_colours(&said.stdout), more);
        inert(&said.stderr, "stderr");
    }
    for name in FORMS {
        inert(&fs::read_to_string(folder.join(name)).expect(name), name);
    }
    said(&words, folder)
}

fn identities() -> Vec<(&'static str, &'static str)> {
    vec![
        (REST, FIRST),
        ("x::y", "::1"),
        ("::ffff:10.0.0.1", "::2"),
        ("[error]z", "##"),
        ("a ::error::b", "c ::error::d"),
    ]
}

/// Each connection is answered by the next one.
fn hostile_server() -> Server {
    Server::start(|mut stream, number| {
        if read_head(&stream).is_empty() {
            return;
        }
        let all = identities();
        let (pod, cluster) = all[usize::try_from(number).expect("few") % all.len()];
        let _ = stream.write_all(response("200 OK", "", &line(pod, cluster)).as_bytes());
    })
}

/// A report whose neighbouring texts form commands.
fn hostile_report(folder: &Path) {
    let echo = Server::start(text_echo("pod-a", "kops"));
    let words = ["-n", "20", "--quiet", "--output=json", "--show=2", "--expect=errors = 0"];
    let said = finish(command("prober").args(words).arg(echo.target()));
    let mut report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    report["clusters"] = json!([FIRST, "::1"]);
    report["matrix"] = true.into();
    let row = &mut report["rows"][0];
    (row["source"], row["target"]) = (FIRST.into(), REST.into());
    row["gone"] = json!([WORDS]);
    row["shown"]["0"] = WORDS.into();
    row["expectations"][0]["reason"] = format!("{FIRST} answered 5 {REST} {WORDS}").into();
    row["backends"][0]["cluster"] = "\\u{3a}:error".into();
    row["backends"][0]["pod"] = REST.into();
    row["events"] = json!([{
        "at_us": 5, "began_us": 6, "command": WORDS, "took_us": 7, "end": { "not-started": WORDS },
        "output": WORDS,
    }]);
    row["passed_over"] = json!([{ "address": "127.0.0.1:1", "count": 1, "why": WORDS }]);
    let unreachable = json!({
        "source": "::1", "target": REST, "url": WORDS, "protocol": "HTTP/1.1", "verdict": "fail",
        "unreachable": WORDS,
    });
    report["rows"].as_array_mut().expect("rows").push(unreachable);
    fs::write(folder.join("evil.json"), report.to_string()).expect("written");
}

#[test]
fn no_line_of_a_run_is_a_command() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), hostile_server());
    let words = ["-n", "20", "-c", "1", "--show=5", "--expect=only \"::error::x\"", "--verbose"];
    let said = all_forms(&[&words[..], &[&server.target()]].concat(), folder.path());
    assert!(said.stdout.contains("\\u{3a}:error"), "{said:?}");
}

#[test]
fn a_name_is_spelled_alike_in_tables_and_reasons() {
    let (folder, server) = (tempfile::tempdir().expect("a folder"), hostile_server());
    let words = ["-n", "20", "-c", "1", "--expect", "only ::error, \"::1\", ::2", "--output=json"];
    let said =
        finish(command("prober").args(words).arg(server.target()).current_dir(folder.path()));
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let row = &report["rows"][0];
    let all = row["expectations"].as_array().expect("expectations").iter();
    let only = all.clone().find(|one| one["expectation"].to_string().contains("only"));
    let only = only.expect("is judged");
    let backends = row["backends"].as_array().expect("backends");
    let mut clusters: Vec<_> =
        backends.iter().map(|backend| backend["cluster"].as_str().expect("text")).collect();
    clusters.sort_unstable();
    assert_eq!(clusters, ["##", "::1", "::2", "\\u{3a}:error", "c \\u{3a}:error::d"]);
    let expectation = only["expectation"].as_str().expect("text");
    assert_eq!(expectation, r#"only "\\u{3a}:error",::1,::2"#, "a backslash needs one");
    let reason = only["reason"].as_str().expect("text");
    assert!(reason.contains("c \\u{3a}:error::d") && !reason.contains(" ::error"), "{reason}");
    // Reading and writing changes no spelling, also where an address begins a reason.
    let mut report = report;
    report["rows"][0]["expectations"][0]["reason"] = "::1 answered 4, ::2 answered 4".into();
    fs::write(folder.path().join("a.json"), report.to_string()).expect("written");
    let again = finish(
        command("prober").args(["report", "a.json", "--output=json"]).current_dir(folder.path()),
    );
    let again: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(again["rows"], report["rows"]);
}

#[test]
fn no_line_of_a_hostile_report_is_a_command() {
    let folder = tempfile::tempdir().expect("a folder");
    hostile_report(folder.path());
    all_forms(&["report", "evil.json"], folder.path());
    let compared = said(&["compare", "evil.json", "evil.json"], folder.path());
    assert!(compared.stdout.contains(REST), "{compared:?}");
    said(&["merge", "evil.json", "evil.json"], folder.path());
}

#[test]
fn no_line_of_judge_explain_plan_and_dry_runs_is_a_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let answers: Vec<_> = identities().iter().map(|(pod, cluster)| line(pod, cluster)).collect();
    write(
        "::log",
        &format!("from ::error: curl {REST}\n{}\ncurl {WORDS}\n{}", answers[1], answers[1]),
    );
    write("log", &answers[1]);
    write("named", &answers.join("\n"));
    all_forms(&["judge", "./::log", "log", "--expect=only \"::error\""], folder.path());
    let refused = said(&["judge", "named"], folder.path());
    refused.refused(&["named:1: cluster '\\u{3a}:error': write a name that is not a command"]);
    let names = "only \"::error\", \"file=a::x\"; \"::error\" = 50% ± 1";
    said(&["explain", names], folder.path());
    said(&["explain", "only ::error::x, a"], folder.path());
    said(&["plan", "--shares", "::error::x"], folder.path());
    said(&["plan", "--tolerance", "::error::\u{1b}[2J##[x]"], folder.path());
    write(
        "mesh.yaml",
        "clusters: ['::error', 'file=a::x']\nsources:\n- {name: '::error', command: [echo, \"a\\n::error::\\u202e\\e[2J##[x]\"]}\n\
         targets: [{from: '::error', url: 'http://a', requests: 20, expect: ['only \"::error\", a']}]\n",
    );
    said(&["matrix", "mesh.yaml", "--dry-run"], folder.path());
    said(&["matrix", "mesh.yaml"], folder.path());
}
