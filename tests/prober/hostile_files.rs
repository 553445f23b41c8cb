//! Files that somebody made in order to harm who reads them, or that never end.

mod packed;
mod shapes;
mod system;

use std::fs;
use std::path::Path;
use std::process::Command;

use super::reports::huge::measured;
use crate::harness::{Said, bin, finish, run};
use crate::servers::{Server, text_echo};

/// A histogram of 62 bytes whose header asks for 4 GiB.
const FOUR_GIB: &str = "HISTFAAAAB94nJNpmSz8HwgYIIAZSjOCiGuTlzDYf4AIAADaUAiD";

/// The most memory that a refusal takes, in KiB.
const MOST_KIB: u64 = 160_000;

/// A report of a run, with a part replaced.
fn changed(file: &Path, part: &str, by: &str) -> String {
    let server = Server::start(text_echo("echo2-a", "kops"));
    let said = run("prober", ["-t", &server.target(), "-n", "20", "-o", "json", "--quiet"]);
    let begin = said.stdout.find(part).expect(part) + part.len();
    let length = said.stdout[begin..].find([',', '\n']).expect("an end");
    let changed = [&said.stdout[..begin], by, &said.stdout[begin + length..]].concat();
    let path = file.to_str().expect("UTF-8").to_owned();
    fs::write(&path, changed).expect("written");
    path
}

/// Removes the last line of stderr, which is the peak.
fn only_the_message(said: &mut Said) {
    let lines: Vec<_> = said.stderr.lines().collect();
    let (_, lines) = lines.split_last().expect("the peak");
    said.stderr = lines.join("\n");
}

#[test]
fn files_that_never_end_are_refused_with_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    let page = page.to_str().expect("UTF-8");
    let zero = "/dev/zero";
    for (args, what) in [
        (&["matrix", zero][..], "larger than 4 MiB"),
        (&["-t", "a", "--expect-file", zero], "larger than 4 MiB"),
        (&["-t", "a", "-d", "1s", "--event-file", zero], "larger than 4 MiB"),
        (&["-t", "a", "-H", "@/dev/zero"], "too long"),
        (&["-t", "a", "--data", "@/dev/zero"], "too long"),
        (&["-t", "https://a", "--cacert", zero], "larger than 16 MiB"),
        (&["report", zero, "--report", page], "larger than 64 MiB"),
        (&["merge", zero, zero], "larger than 64 MiB"),
        (&["compare", zero, zero], "larger than 64 MiB"),
        (&["explain-run", zero], "larger than 64 MiB"),
        (&["judge", zero], "line"),
    ] {
        let (mut said, peak) = measured(args);
        only_the_message(&mut said);
        said.refused(&[what]);
        assert!(peak < MOST_KIB, "{args:?} took {peak} KiB");
    }
    assert!(!Path::new(page).exists(), "nothing is written");
}

#[test]
fn a_pipe_is_a_file() {
    let server = Server::start(text_echo("echo2-a", "kops"));
    let script = "exec \"$0\" \"$1\" -n 20 --expect-file <(echo 'reaches kops')";
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(bin("prober")).arg(server.target());
    let said = finish(&mut command);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("PASS  reaches kops"), "{said:?}");
}

#[test]
fn reports_that_harm_are_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let huge = format!("\"{FOUR_GIB}\"");
    for (part, by, why) in [
        ("\"started\": ", "\"9999-12-31T23:59:59-23:59\"", "'9999-12-31T23:59:59-23:59'"),
        ("\"started\": ", "\"0000-01-01T00:00:00+00:01\"", "'0000-01-01T00:00:00+00:01'"),
        ("\"histogram\": ", &huge, "a histogram in the report cannot be decoded"),
        ("\"connections\": ", "18446744073709551615", "is larger than 2^48"),
        ("\"seconds\": ", "1e18", "'seconds' is not the length of a run"),
        ("\"seconds\": ", "-1", "'seconds' is not the length of a run"),
    ] {
        let path = changed(&folder.path().join("run.json"), part, by);
        for command in [&["report", "-o", "json"][..], &["merge"], &["compare", &path]] {
            let (mut said, peak) = measured(&[command, &[path.as_str()]].concat());
            only_the_message(&mut said);
            said.refused(&["run.json", why]);
            assert!(peak < MOST_KIB, "{command:?} took {peak} KiB for {part}");
        }
    }
}
