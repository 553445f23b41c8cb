//! Reports whose packed parts are far larger than the report, from files and from sources.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::super::reports::huge::measured;
use super::{FOUR_GIB, changed, only_the_message};
use crate::harness::{finish, run};
use crate::servers::{Server, text_echo};

/// The limit of the packed parts, the report itself, and what is needed to read it.
const MOST_KIB: u64 = 900_000;

/// A histogram with a count in each of its 23,552 classes: a hundred bytes.
fn full() -> String {
    let script = "import base64, struct, sys, zlib
counts = b'\\x02' * 23_552
head = struct.pack('>IIIIQQd', 0x1c849313, len(counts), 0, 3, 1, 3_600_000_000, 1.0)
packed = zlib.compress(head + counts, 9)
print(base64.b64encode(struct.pack('>II', 0x1c849314, len(packed)) + packed).decode())";
    let said = finish(Command::new("python3").args(["-c", script]));
    said.stdout.trim().to_owned()
}

/// Writes the report of a matrix with a row of this run very often.
fn write(path: &str, mut report: Value, count: usize, change: impl Fn(&mut Value)) {
    let mut row = report["rows"][0].take();
    change(&mut row);
    report["matrix"] = true.into();
    report["rows"] = "ROWS".into();
    let rows = vec![row.to_string(); count].join(",");
    let text = report.to_string().replace("\"ROWS\"", &format!("[{rows}]"));
    fs::write(path, text).expect("written");
}

fn run_json(target: &str) -> Value {
    let said = run("prober", ["-t", target, "-n", "20", "-o", "json", "--quiet"]);
    serde_json::from_str(&said.stdout).expect("JSON")
}

#[test]
fn ten_thousand_full_histograms_are_refused_with_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = full();
    let server = Server::start(text_echo("a", "kops"));
    let path = folder.path().join("bad.json").to_str().expect("UTF-8").to_owned();
    write(&path, run_json(&server.target()), 2_000, |row| {
        let mut latency = row["phases"]["first_byte"].clone();
        latency["histogram"] = full.as_str().into();
        for phase in ["dns", "connect", "tls", "first_byte", "upstream"] {
            row["phases"][phase] = latency.clone();
        }
    });
    let (mut said, peak) = measured(&["report", &path]);
    only_the_message(&mut said);
    said.refused(&["bad.json", "take more than 512 MiB"]);
    assert!(peak < MOST_KIB, "{peak} KiB");
}

#[test]
fn bins_that_say_nothing_take_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.json").to_str().expect("UTF-8").to_owned();
    let mut bins = vec![0; 2_400];
    bins[0] = 20;
    let timeline = serde_json::json!({
        "width_ms": 1, "bins": 2_400, "backends": [], "failures": { "connect": bins },
    });
    write(&path, run_json("127.0.0.1:1"), 6_000, |row| row["timeline"] = timeline.clone());
    let (said, peak) = measured(&["report", &path, "-o", "csv"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(peak < 400_000, "{peak} KiB");
}

#[test]
fn a_source_that_says_too_much_is_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(text_echo("a", "kops"));
    let huge =
        changed(&folder.path().join("r.json"), "\"histogram\": ", &format!("\"{FOUR_GIB}\""));
    let matrix = folder.path().join("mesh.yaml");
    for (command, why) in [
        ("[sh, -c, 'cat /dev/zero']".to_owned(), "not a prober report"),
        ("[sh, -c, yes]".to_owned(), "not a prober report"),
        (format!("[sh, -c, 'cat {huge}']"), "a histogram in the report cannot be decoded"),
        ("[sh, -c, 'cat /dev/zero >&2']".to_owned(), "could not probe"),
    ] {
        let text = format!(
            "clusters: [kops]\ndefaults: {{requests: 5}}\n\
             sources: [{{name: away, command: {command}}}]\n\
             targets: [{{from: away, url: 'http://{}/'}}]",
            server.target(),
        );
        fs::write(&matrix, text).expect("written");
        let (said, peak) = measured(&["matrix", matrix.to_str().expect("UTF-8"), "--quiet"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stdout.contains(why) && said.stdout.len() < 5_000, "{why}: {said:?}");
        assert!(peak < 300_000, "{command} took {peak} KiB");
    }
}
