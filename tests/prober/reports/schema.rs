//! `docs/prober-1.schema.json`: every JSON that the program prints is valid by it, and what is
//! not is not. The reports of the golden tests are held to it in `prober`.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Background, Said, command, finish, run, wait_until, workspace};
use crate::servers::{Server, answering, response, text_echo};

/// The schema of a report, or of a line before it in a stream.
fn schema(of: &str) -> jsonschema::Validator {
    let text = fs::read_to_string(workspace().join("docs/prober-1.schema.json")).expect("text");
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    schema["$ref"] = format!("#/$defs/{of}").into();
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .expect("a schema")
}

/// The report that was printed; it is valid.
#[track_caller]
pub(crate) fn valid(said: &Said) -> Value {
    let report = serde_json::from_str(&said.stdout);
    let report: Value = report.unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let errors: Vec<_> = schema("report")
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{report:#}");
    report
}

#[test]
fn every_report_is_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let failing = Server::start(answering(response("503 Service Unavailable", "", "no")));
    let (well, broken) = (echo.target(), failing.target());
    let name = format!("localhost:{}", echo.port());
    let asks: [&[&str]; 6] = [
        &["-t", &well, "-t", &broken, "-n", "20"],
        &["-t", &well, "--expect", "only kops", "--expect", "p99 < 10s"],
        &["-t", &well, "-d", "1s", "--rate", "40", "--timeline", "100ms", "--warmup", "200ms"],
        &["-t", &well, "-n", "20", "--reuse", "5:10", "--show", "0"],
        &["-t", &name, "-n", "4", "--resolve", &format!("{name}:127.0.0.1"), "--select", "each"],
        &[
            "-t",
            &well,
            "-d",
            "1s",
            "--rate",
            "50",
            "--at",
            "200ms",
            "echo hello",
            "--at",
            "400ms",
            "exit 3",
            "--hold",
            "100ms",
        ],
    ];
    for (place, ask) in asks.iter().enumerate() {
        let said = finish(command("prober").args(["--output=json", "--quiet"]).args(*ask));
        let report = valid(&said);
        assert_eq!(report["exit_code"], said.code, "{ask:?}");
        fs::write(folder.path().join(format!("{place}.json")), &said.stdout).expect("written");
    }
    let file = |place: usize| folder.path().join(format!("{place}.json"));
    for place in [2, 5] {
        let said = run("prober", ["report".as_ref(), file(place).as_os_str(), "-ojson".as_ref()]);
        valid(&said);
    }
    let again = finish(command("prober").args(["--output=json", "--quiet"]).args(asks[0]));
    fs::write(file(6), again.stdout).expect("written");
    let sum = finish(command("prober").args(["merge", "-ojson"]).args([file(0), file(6)]));
    assert_eq!(valid(&sum)["rows"][1]["failed"], 40);
    let matrix = folder.path().join("mesh.yaml");
    let text = format!(
        "clusters: [kops]\nsources: [{{name: far, command: [/nonexistent/shell]}}]\n\
         targets: [{{url: '{well}', requests: 4}}, {{from: far, url: '{well}'}}]\n"
    );
    fs::write(&matrix, text).expect("written");
    let said = finish(command("prober").args(["matrix", "-ojson"]).arg(&matrix));
    assert!(valid(&said)["rows"][1]["unreachable"].is_string());
}

#[test]
fn the_schema_refuses_what_is_none() {
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let said = run("prober", ["-ojson", "-n", "9", "-t", &echo.target()]);
    let report = valid(&said);
    let schema = schema("report");
    type Spoil = fn(&mut Value);
    let spoils: [Spoil; 12] = [
        |report| report["schema"] = "prober/2".into(),
        |report| report["more"] = 1.into(),
        |report| report["started"] = "yesterday".into(),
        |report| report["exit_code"] = 4.into(),
        |report| report["rows"][0]["more"] = json!(null),
        |report| report["rows"][0]["requests"] = (-1).into(),
        |report| report["rows"][0]["verdict"] = "perhaps".into(),
        |report| report["rows"][0]["unreachable"] = "both".into(),
        |report| drop(report["rows"][0].as_object_mut().expect("a row").remove("failures")),
        |report| report["rows"][0]["backends"][0]["share"] = 1.5.into(),
        |report| report["rows"][0]["backends"][0]["latency"]["histogram"] = "text".into(),
        |report| report["rows"][0]["phases"]["lunch"] = json!({}),
    ];
    for (place, spoil) in spoils.iter().enumerate() {
        let mut spoiled = report.clone();
        spoil(&mut spoiled);
        assert!(!schema.is_valid(&spoiled), "{place}");
    }
}

/// A run of three seconds, as a stream.
fn stream(echo: &Server) -> std::process::Command {
    let mut prober = command("prober");
    prober.args(["--output=ndjson", "--quiet", "-t", &echo.target(), "-d", "3300ms"]);
    prober.args(["--rate", "50"]);
    prober
}

#[test]
fn a_stream_tells_what_was_done_and_ends_with_the_report() {
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let said = finish(&mut stream(&echo));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    let lines: Vec<Value> =
        said.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (last, snapshots) = lines.split_last().expect("lines");
    assert!(schema("report").is_valid(last) && last["type"] == "report", "{last:#}");
    // A busy machine may make them come later, not more often.
    assert!((1..=3).contains(&snapshots.len()), "one each second: {snapshots:#?}");
    let snapshot = schema("snapshot");
    let mut before = (0.0, 0);
    for line in snapshots {
        assert!(snapshot.is_valid(line), "{line:#}");
        let now = (line["seconds"].as_f64().expect("s"), line["requests"].as_u64().expect("n"));
        assert!(now.0 >= before.0 + 0.9 && now.1 >= before.1, "{snapshots:#?}");
        assert_eq!(line["answers"]["kops"], line["requests"], "{line:#}");
        before = now;
    }
    assert!(before.1 > 0 && before.1 <= last["rows"][0]["requests"].as_u64().expect("n"));
}

#[test]
fn a_stream_that_is_interrupted_still_ends_with_its_report() {
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let mut prober = command("prober");
    prober.args(["--output=ndjson", "--quiet", "-t", &echo.target(), "-d", "60s", "--rate", "50"]);
    let mut running = Background::start(&mut prober);
    running.wait_for("a snapshot", |line| line.contains("\"snapshot\"").then_some(()));
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), 130);
    let said = running.said_all();
    let last: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert!(schema("report").is_valid(&last), "{last:#}");
    assert_eq!((&last["type"], &last["interrupted"]), (&"report".into(), &true.into()));
}

#[test]
fn a_stream_that_nobody_reads_keeps_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let mut prober = stream(&echo);
    prober.args(super::reports(folder.path(), &["run.json"]));
    let mut child = prober
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let status = wait_until("it ends", || child.try_wait().expect("can be asked"));
    assert_eq!(status.code(), Some(0));
    assert_eq!(super::names(folder.path()), ["run.json"]);
}
