//! Reports in files and later, as a person or CI asks for them: `--report`, `--output`,
//! `prober report`, and what can go wrong with files.

mod action;
mod consumers;
pub(crate) mod huge;
pub(crate) mod schema;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Said, bin, command, finish, run};
use crate::servers::{Server, text_echo};

/// The files of a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// `--report FOLDER/name`, for each of the names.
fn reports(folder: &Path, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("--report={}", folder.join(name).display())).collect()
}

/// A prober that asks this echo a few times.
fn ask(echo: &Server, args: &[String]) -> Said {
    let target = echo.target();
    finish(command("prober").args(["-n", "20", "--quiet", "-t", &target]).args(args))
}

#[test]
fn a_report_is_rendered_later_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let files = ["run.csv", "run.json", "run.md", "run.xml"];
    let said = ask(&echo, &reports(folder.path(), &files));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(names(folder.path()), files);
    let run_json = folder.path().join("run.json").to_string_lossy().into_owned();
    let later = tempfile::tempdir().expect("a folder");
    let mut args = vec!["report".to_owned(), run_json.clone(), "--quiet".to_owned()];
    args.extend(reports(later.path(), &files));
    let again = run("prober", args);
    assert_eq!((again.code, &again.stdout), (0, &said.stdout), "the text is the same");
    for file in files {
        let [first, second] =
            [folder.path(), later.path()].map(|at| fs::read(at.join(file)).expect("written"));
        assert!(first == second && !first.is_empty(), "{file}");
    }
    let json = run("prober", ["report", &run_json, "--output=json"]).stdout;
    assert_eq!(json, fs::read_to_string(&run_json).expect("text"));
    let csv = run("prober", ["report", &run_json, "--output=csv"]).stdout;
    assert_eq!(csv, fs::read_to_string(folder.path().join("run.csv")).expect("text"));
    let line = run("prober", ["report", &run_json, "--output=ndjson"]).stdout;
    assert_eq!(line.lines().count(), 1, "{line}");
    let mut line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let of_stream = line.as_object_mut().expect("an object").remove("type");
    assert_eq!(of_stream, Some("report".into()));
    assert_eq!(line, serde_json::from_str::<serde_json::Value>(&json).expect("JSON"));
}

#[test]
fn a_matrix_and_a_sum_go_to_files_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let file = folder.path().join("mesh.yaml");
    fs::write(&file, format!("targets: [{{url: '{}', requests: 7}}]\n", echo.target()))
        .expect("written");
    let file = file.to_string_lossy().into_owned();
    let json = folder.path().join("one.json").to_string_lossy().into_owned();
    for round in ["one", "two"] {
        let mut args = vec!["matrix".to_owned(), file.clone(), "--quiet".to_owned()];
        args.extend(reports(folder.path(), &[&format!("{round}.json")]));
        let said = run("prober", args);
        assert_eq!(said.code, 0, "{said:?}");
    }
    let mut args = vec!["merge".to_owned(), json.clone(), json.replace("one", "two")];
    args.extend(["--expect", "errors = 0"].map(str::to_owned));
    args.extend(reports(folder.path(), &["sum.csv"]));
    let said = run("prober", args);
    assert_eq!(said.code, 0, "{said:?}");
    let csv = fs::read_to_string(folder.path().join("sum.csv")).expect("written");
    assert!(csv.contains(",14,0,kops,echo2-a,"), "{csv}");
    assert_eq!(run("prober", ["merge", &json, "--show=1"]).code, 2, "there is nothing to show");
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    fs::create_dir(folder.path().join("dir.json")).expect("made");
    for (name, parts) in [
        ("dir.json", ["dir.json: this is a directory", "write the path of a file"]),
        ("run.pdf", ["run.pdf: unknown ending", "write one of .csv"]),
        ("run", ["run: unknown ending", ".json"]),
        ("none/run.json", ["none/run.json: cannot be written", "No such file or directory"]),
    ] {
        ask(&echo, &reports(folder.path(), &["ok.json", name])).refused(&parts);
    }
    ask(&echo, &reports(folder.path(), &["a.csv", "a.csv"])).refused(&["a.csv: given twice"]);
    assert_eq!(names(folder.path()), ["dir.json"], "nothing is left of it");
    assert_eq!(echo.accepted(), 0, "nothing was sent");
}

/// A shell line with `$PROBER`, `$TARGET` and `$DIR`.
fn shell(line: &str, echo: &Server, folder: &Path) -> Said {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env("PROBER", bin("prober")).env("TARGET", echo.target());
    finish(shell.env("DIR", folder).env_remove("GITHUB_STEP_SUMMARY"))
}

#[test]
fn a_full_disk_costs_only_the_report_that_meets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    std::os::unix::fs::symlink("/dev/full", folder.path().join("full.json")).expect("linked");
    let line = "exec $PROBER -n 20 -t $TARGET --report $DIR/full.json --report $DIR/run.csv";
    let said = shell(line, &echo, folder.path());
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    assert!(said.stderr.contains("full.json: cannot be written: No space left"), "{said:?}");
    assert!(said.stdout.contains("20 requests on"), "{said:?}");
    assert_eq!(names(folder.path()), ["full.json", "run.csv"]);
    // No file may grow: the JSON and its beginning are not there, and an old one stays.
    fs::remove_file(folder.path().join("run.csv")).expect("was there");
    fs::write(folder.path().join("old.csv"), "old").expect("written");
    let line = "ulimit -f 0; trap '' XFSZ; exec $PROBER -n 20 -t $TARGET --quiet \
                --report $DIR/run.json --report $DIR/old.csv";
    let said = shell(line, &echo, folder.path());
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    for file in ["run.json", "old.csv"] {
        assert!(said.stderr.contains(&format!("{file}: cannot be written: File too large")));
    }
    assert_eq!(names(folder.path()), ["full.json", "old.csv"]);
    assert_eq!(fs::read_to_string(folder.path().join("old.csv")).expect("text"), "old");
    // Stdout on a full disk: the files are written.
    let line = "exec $PROBER -n 20 -t $TARGET --report $DIR/run.json >/dev/full";
    let said = shell(line, &echo, folder.path());
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("cannot write the report to stdout: No space"), "{said:?}");
    assert_eq!(names(folder.path()), ["full.json", "old.csv", "run.json"]);
}

#[test]
fn a_reader_that_has_gone_costs_nothing_but_what_it_should_have_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let mut prober = command("prober");
    prober.args(["-n", "20", "--quiet", "-t", &echo.target(), "--output=json"]);
    prober.args(reports(folder.path(), &["run.json"]));
    let mut child = prober
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr, b"", "{output:?}");
    let json = fs::read_to_string(folder.path().join("run.json")).expect("written");
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn what_is_no_report_is_refused_by_the_name_of_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let said = ask(&echo, &reports(folder.path(), &["run.json"]));
    assert_eq!(said.code, 0, "{said:?}");
    let whole = fs::read_to_string(folder.path().join("run.json")).expect("text");
    for (name, text, part) in [
        ("later.json", whole.replace("prober/1", "prober/2"), "the report has schema 'prober/2'"),
        ("cut.json", whole[..whole.len() / 2].to_owned(), "not a prober report"),
        ("empty.json", String::new(), "not a prober report"),
        ("text.json", "hello".to_owned(), "not a prober report"),
        ("sum.json", whole.replace("\"requests\": 20", "\"requests\": 21"), "inconsistent"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        let out = folder.path().join("out.csv");
        for command in ["report", "merge"] {
            let said = finish(
                crate::harness::command("prober").arg(command).arg(&path).arg("--report").arg(&out),
            );
            said.refused(&[name, part]);
            assert!(!out.exists(), "{command} {name}");
        }
    }
    run("prober", ["report", "/nonexistent.json"]).refused(&["cannot read", "/nonexistent.json"]);
    run("prober", ["report"]).refused(&["<FILE>"]);
}
