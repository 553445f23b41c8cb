//! Texts from outside in every form: no answer, report or command can steer a terminal, forge a
//! line, hide, or give a command to a CI system.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Said, bin, command, finish, run, workspace};
use crate::servers::{Server, line, read_head, response, text_echo};

const FORMS: [&str; 6] = ["r.json", "r.xml", "r.md", "r.html", "r.prom", "r.csv"];

/// One of each kind of character that deceives, a forged line, and commands.
const EVIL: &str = "e\u{1b}]0;pwn\u{7}\u{1b}[2J\u{9b}\u{7f}\u{85}\u{202e}\u{2066}\u{61c}\u{200b}\u{feff}\
    \u{2060}\u{e0041}\u{ad}\u{2028}\r\n  PASS  errors = 0: forged\r\n::error::x\n##[error]y ##vso[z \
    section_start:1:a\r\u{1b}[0K";

/// The output of an event is the only text of several lines.
const OUTPUT: &str = "a string of the JSON";

/// Characters that no output has, but the line feeds of prober's own lines.
fn forbidden(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(u32::from(c), 0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
            | 0xfeff | 0xe0000..=0xe007f)
}

#[track_caller]
fn harmless(text: &str, what: &str) {
    let found: Vec<_> = text.chars().filter(|c| forbidden(*c)).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {text}");
    for line in text.lines() {
        let line = line.trim();
        assert!(!line.starts_with("::"), "{what}: {line}");
        assert!(!line.contains("##[") && !line.contains("##vso["), "{what}: {line}");
        assert!(!line.starts_with("PASS  errors = 0: forged") || what == OUTPUT, "{what}: {line}");
    }
}

/// Asserts that stdout, stderr and all forms of a run with these words are harmless; the JSON.
#[track_caller]
fn all_forms(words: &[&str], folder: &Path) -> Value {
    let mut prober = command("prober");
    prober.args(words).current_dir(folder);
    prober.args(FORMS.map(|name| format!("--report={name}")));
    let said = finish(&mut prober);
    assert!([0, 1, 3].contains(&said.code), "{said:?}");
    harmless(&said.stdout, "stdout");
    harmless(&said.stderr, "stderr");
    for name in FORMS {
        // CSV has its own line ends (RFC 4180).
        let text = fs::read_to_string(folder.join(name)).expect(name).replace("\r\n", "\n");
        harmless(&text, name);
    }
    let json = fs::read_to_string(folder.join("r.json")).expect("text");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    // As `jq -r` prints it.
    strings(&json, &mut |text| {
        harmless(text, OUTPUT);
    });
    json
}

fn strings(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(all) => all.iter().for_each(|value| strings(value, see)),
        Value::Object(all) => all.iter().for_each(|(name, value)| {
            see(name);
            strings(value, see);
        }),
        _ => {}
    }
}

/// A report of a run, in which these fields of the row, and texts further below, are hostile.
fn hostile_report(folder: &Path) -> String {
    let echo = Server::start(text_echo("pod-a", "kops"));
    let words = ["-n", "20", "--quiet", "--output=json", "--show=2", "--expect=errors = 0"];
    let said = run("prober", words.iter().copied().chain([&*echo.target()]));
    let mut report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    report["clusters"] = vec![EVIL].into();
    report["run_id"] = EVIL.into();
    let row = &mut report["rows"][0];
    for name in ["source", "target", "url", "host"] {
        row[name] = EVIL.into();
    }
    row["gone"] = vec![EVIL].into();
    row["shown"]["0"] = EVIL.into();
    row["expectations"][0]["reason"] = EVIL.into();
    row["expectations"][0]["expectation"] =
        format!("only \"{}\"", EVIL.replace(['\n', '\r'], " ")).into();
    row["events"] = serde_json::json!([{
        "at_us": 5, "began_us": 6, "command": EVIL, "took_us": 7, "end": { "not-started": EVIL },
        "output": EVIL,
    }]);
    row["passed_over"] = serde_json::json!([{ "address": "127.0.0.1:1", "count": 1, "why": EVIL }]);
    let unreachable = serde_json::json!({
        "source": EVIL, "target": EVIL, "url": EVIL, "protocol": "HTTP/1.1", "verdict": "fail",
        "unreachable": EVIL,
    });
    report["rows"].as_array_mut().expect("rows").push(unreachable);
    let path = folder.join("evil.json");
    fs::write(&path, report.to_string()).expect("written");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_hostile_report_is_harmless_in_every_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = hostile_report(folder.path());
    let json = all_forms(&["report", &path], folder.path());
    let target = json["rows"][0]["target"].as_str().expect("text");
    assert!(target.contains("e\\u{1b}]0;pwn\\u{7}") && target.contains("\\u{202e}"), "{target}");
    // Cleaned twice is cleaned once.
    fs::copy(folder.path().join("r.json"), folder.path().join("again.json")).expect("copied");
    assert_eq!(all_forms(&["report", "again.json"], folder.path()), json);
    let said = run("prober", ["compare", &path, &path]);
    harmless(&said.stdout, "compare");
    harmless(&said.stderr, "compare");
}

/// Answers with a hostile body: each connection with the next one.
fn hostile_server() -> Server {
    Server::start(|mut stream, number| {
        if read_head(&stream).is_empty() {
            return;
        }
        let of = |pod: &str| response("200 OK", "", &line(pod, "kops"));
        let all = [
            response("200 OK", "", EVIL),
            response("503 Bad", "server: a\u{202e}b ##[error]\r\n", EVIL),
            response("302 Found", "location: ::error::\u{202e}##[error]x\r\n", ""),
            of("pod\u{202e}a"),
            of("::error::a"),
            response("200 OK", "x-echo-pod: ::error::b\r\nx-echo-cluster: ##[error]c\r\n", ""),
            of("pod-\u{200b}"),
            of("pod-ü漢字🚀"),
            EVIL.to_owned(),
            format!("HTTP/1.1 200 OK\r\n{EVIL}\r\n\r\n"),
        ];
        let _ = stream.write_all(all[usize::try_from(number).expect("few") % all.len()].as_bytes());
    })
}

#[test]
fn a_hostile_server_is_harmless_in_every_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = hostile_server();
    let target = server.target();
    let words =
        ["-n", "40", "--show=40", "-c", "1", "--expect=only \"\u{202e}::error::x\"", &target];
    let json = all_forms(&words, folder.path());
    let backends = json["rows"][0]["backends"].as_array().expect("backends");
    let pods: Vec<_> = backends.iter().map(|backend| backend["pod"].as_str()).collect();
    assert_eq!(
        pods,
        [
            Some("\\u{3a}:error::a"),
            Some("pod-\\u{200b}"),
            Some("pod-ü漢字🚀"),
            Some("pod\\u{202e}a")
        ],
        "names that hide stay different names"
    );
    assert_eq!(json["rows"][0]["answers"], 16);
    let said =
        run("prober", ["-n", "20", "--show=20", "-c", "1", "--identify", "body:(?s)(.+)", &target]);
    harmless(&said.stdout, "--identify");
    harmless(&said.stderr, "--identify");
}

#[test]
fn hostile_sources_and_files_are_harmless() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = hostile_report(folder.path());
    fs::write(folder.path().join("say"), EVIL).expect("written");
    for script in [format!("cat '{path}'"), "cat say".to_owned(), "cat say >&2; exit 1".to_owned()]
    {
        let text = format!(
            "sources:\n- name: there\n  command: [sh, -c, {}, sh]\ntargets: [{{from: there, url: 'http://a', requests: 20}}]\n",
            Value::from(script.as_str())
        );
        fs::write(folder.path().join("mesh.yaml"), text).expect("written");
        all_forms(&["matrix", "mesh.yaml"], folder.path());
    }
    for words in [
        ["judge", "no\u{202e}such\u{1b}[2J"],
        ["report", "::error::no\u{202e}such"],
        ["matrix", "no\u{200b}such##[error]"],
        ["--expect", "only \u{1b}[2J \u{202e}"],
        ["--resolve", "a\u{202e}:##[error]"],
    ] {
        let said = run("prober", words);
        assert_eq!(said.code, 2, "{said:?}");
        harmless(&said.stderr, words[1]);
    }
    fs::write(folder.path().join("log"), format!("{EVIL}\n{{\"pod\":\"p\u{202e}\"}}\n"))
        .expect("written");
    let said = finish(command("prober").args(["judge", "log"]).current_dir(folder.path()));
    harmless(&said.stdout, "judge");
    harmless(&said.stderr, "judge");
    // A lone surrogate is not text.
    fs::write(folder.path().join("lone.json"), "{\"schema\": \"\\ud800\u{1b}\"}").expect("written");
    finish(command("prober").args(["report", "lone.json"]).current_dir(folder.path()))
        .refused(&["lone.json"]);
}

/// What the runner of GitHub would obey: commands outside of stopped parts.
fn obeyed(said: &str) -> Vec<String> {
    let (mut token, mut found) = (None::<String>, Vec::new());
    for line in said.lines().map(str::trim) {
        match &token {
            Some(end) if line == format!("::{end}::") => token = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(new) => token = Some(new.to_owned()),
                None if line.starts_with("::") || line.contains("##[") => {
                    found.push(line.to_owned())
                }
                None => {}
            },
        }
    }
    assert_eq!(token, None, "commands work again: {said}");
    found
}

/// Runs the script of the action with a program in place of the prober.
fn action(program: &Path, inputs: &[(&str, &str)], folder: &Path) -> Said {
    let mut script = Command::new(workspace().join("tools/action"));
    script.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    script.env("PROBER", program).env("GITHUB_OUTPUT", folder.join("output"));
    script.env("GITHUB_STEP_SUMMARY", folder.join("summary.md")).envs(inputs.iter().copied());
    finish(script.current_dir(folder))
}

#[test]
fn the_action_stops_commands_while_it_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("prober");
    let script = "#!/bin/sh\nprintf '::error::a\\n ::add-mask::b\\n##[error]c\\n::stop-commands::x\\n::x::\\n::error::d'\nexit 3\n";
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("set");
    let said = action(&program, &[("INPUT_TARGET", "a")], folder.path());
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(obeyed(&said.stdout), [""; 0], "{said:?}");
    let token = |said: &Said| said.stdout.lines().next().expect("a line").to_owned();
    let again = action(&program, &[("INPUT_TARGET", "a")], folder.path());
    assert_ne!(token(&said), token(&again), "nobody can guess it");
    let wrong = action(&program, &[("INPUT_SUMMARY", "x\n::error::y")], folder.path());
    assert_eq!((wrong.code, obeyed(&wrong.stdout)), (2, Vec::new()), "{wrong:?}");
    let output = fs::read_to_string(folder.path().join("output")).expect("text");
    assert_eq!(output, "exit-code=3\nexit-code=3\n");
}

#[test]
fn the_action_adds_no_output_and_a_harmless_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = hostile_server();
    let target = server.target();
    let inputs = [
        ("INPUT_TARGET", &*target),
        ("INPUT_REQUESTS", "20"),
        ("INPUT_SUMMARY", "true"),
        ("INPUT_ARGUMENTS", "--show=20"),
    ];
    let said = action(&bin("prober"), &inputs, folder.path());
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(obeyed(&said.stdout), [""; 0]);
    harmless(&said.stderr, "stderr");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("text");
    assert_eq!(read("output"), "exit-code=1\n");
    harmless(&read("summary.md"), "the summary");
}
