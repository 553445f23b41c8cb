//! Reports that somebody made in order to harm who reads them.

use std::fs;
use std::path::Path;

use super::huge::measured;
use crate::harness::run;
use crate::servers::{Server, text_echo};

/// A histogram of 62 bytes whose header asks for 4 GiB.
const FOUR_GIB: &str = "HISTFAAAAB94nJNpmSz8HwgYIIAZSjOCiGuTlzDYf4AIAADaUAiD";

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

#[test]
fn reports_that_harm_are_refused_in_one_line() {
    const MOST_KIB: u64 = 60_000;
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
            // The last line is the peak.
            said.stderr = said.stderr.lines().next().unwrap_or_default().to_owned() + "\n";
            said.refused(&["run.json", why]);
            assert!(peak < MOST_KIB, "{command:?} took {peak} KiB for {part}");
        }
    }
}
