//! The invariants of ARCHITECTURE.md that a program can check: who depends on
//! whom, and that the documents name only what exists.

mod paths;
mod rooms;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::{finish, workspace};

/// Documents whose paths must exist.
const DOCUMENTS: [&str; 10] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "docs/kubernetes.md",
    "docs/judge.md",
    "docs/reports.md",
    "docs/security.md",
    "docs/statistics.md",
    "docs/watch.md",
];

/// Crates that reach the world: sockets, files, processes, runtimes.
const IO: [&str; 11] = [
    "axum",
    "hyper",
    "hyper-util",
    "libc",
    "mio",
    "reqwest",
    "rustix",
    "rustls",
    "socket2",
    "tokio",
    "tracing-subscriber",
];

fn cargo(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let said = finish(command.current_dir(workspace()).args(args).args(["--offline", "--locked"]));
    assert_eq!(said.code, 0, "cargo {args:?}: {}", said.stderr);
    said.stdout
}

/// The packages of the workspace.
fn members() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a package has a name")
}

/// All that a package is built from, itself left out: no development
/// dependencies, but those of its build script.
fn dependencies(package: &str) -> BTreeSet<String> {
    let tree =
        cargo(&["tree", "--package", package, "--edges", "normal,build", "--prefix", "none"]);
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let mut names: BTreeSet<_> = names.map(str::to_owned).collect();
    assert!(names.remove(package), "{tree}");
    names
}

#[test]
fn echo_and_prober_never_depend_on_each_other() {
    assert!(!dependencies("echo").contains("prober"));
    assert!(!dependencies("prober").contains("echo"));
}

#[test]
fn only_the_tests_depend_on_localmesh() {
    for package in &members() {
        let declared = package["dependencies"].as_array().expect("dependencies");
        let uses = declared.iter().any(|dependency| name(dependency) == "localmesh");
        assert!(!uses || name(package) == "integration-tests", "{}", name(package));
    }
}

#[test]
fn the_wire_format_has_no_io() {
    let found = dependencies("echo-reply");
    assert!(found.contains("serde_json"), "{found:?}");
    for io in IO {
        assert!(!found.contains(io), "echo-reply depends on {io}");
    }
    let members = members();
    let package = members.iter().find(|package| name(package) == "echo-reply").expect("is there");
    let declared = package["dependencies"].as_array().expect("dependencies");
    let normal: BTreeSet<_> =
        declared.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect();
    assert_eq!(normal, BTreeSet::from(["printable", "serde", "serde_json"]));
}

#[test]
fn all_crates_agree_on_edition_rust_version_and_licence() {
    for package in &members() {
        let name = name(package);
        assert_eq!(package["edition"], "2024", "{name}");
        assert_eq!(package["license"], "Apache-2.0", "{name}");
        assert_eq!(package["publish"], serde_json::json!([]), "{name}");
        assert_eq!(package["rust_version"], members()[0]["rust_version"], "{name}");
        assert!(package["rust_version"].is_string(), "{name} names no rust-version");
        assert!(package["description"].is_string(), "{name} has no description");
        let manifest = package["manifest_path"].as_str().expect("a path");
        let manifest = fs::read_to_string(manifest).expect("text");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} keeps not our lints");
    }
}

#[test]
fn every_source_file_says_what_lives_in_it() {
    let mut folders: Vec<_> = members()
        .iter()
        .map(|package| workspace().join(name(package)).join("src"))
        .filter(|folder| folder.exists())
        .collect();
    folders.push(workspace().join("tests"));
    let mut silent = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                if !text.starts_with("//! ") {
                    silent.push(path);
                }
            }
        }
    }
    assert!(silent.is_empty(), "these open without a //! line: {silent:#?}");
}

#[test]
fn documents_name_only_files_that_exist() {
    for document in DOCUMENTS {
        let text = fs::read_to_string(workspace().join(document))
            .unwrap_or_else(|error| panic!("{document}: {error}"));
        for path in paths_in(&text) {
            assert!(
                workspace().join(&path).exists(),
                "{document} names {path}, which is not there"
            );
        }
    }
}

/// The backticked words of a Markdown text that are paths, and the targets of
/// its links. Code blocks are left out, and the names of rooms.
fn paths_in(text: &str) -> Vec<String> {
    let text: String = text.split("\n```").step_by(2).collect();
    let prose = without_rooms(&text);
    let quoted = prose.split('`').skip(1).step_by(2).filter(|word| is_path(word));
    let links = prose.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
    quoted.chain(links).map(str::to_owned).collect()
}

/// The text without the first column of tables of rooms, which have a test of their own.
fn without_rooms(text: &str) -> String {
    let mut in_table = false;
    let line = |line: &str| {
        in_table = line.starts_with("| room |") || (in_table && line.starts_with('|'));
        let cut = line.splitn(3, '|').nth(2).filter(|_| in_table);
        cut.unwrap_or(line).to_owned() + "\n"
    };
    text.lines().map(line).collect()
}

/// Whether a word is meant as a path of this workspace: it has a known
/// extension, ends as a folder does, or starts with a folder that exists.
fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    // What a build or a test makes; a name like `prober/1`, which is a schema's.
    let made = ["target/", ".tools/"].iter().any(|folder| word.starts_with(folder));
    let version = word.rsplit('/').next().is_some_and(|last| last.parse::<u32>().is_ok());
    if word.starts_with('/') || !word.chars().all(plain) || made || version {
        return false;
    }
    let extension = word.rsplit_once('.').map(|(_, extension)| extension);
    let known = ["rs", "md", "toml", "yaml", "yml", "lock", "mk"];
    let first = word.split_once('/').map(|(first, _)| first);
    extension.is_some_and(|extension| known.contains(&extension) && word != format!(".{extension}"))
        || word.ends_with('/')
        || first.is_some_and(|first| !first.is_empty() && workspace().join(first).is_dir())
}

#[test]
fn paths_are_told_from_other_words() {
    let text = "See `certs/src/lib.rs`, `tests/`, `gone/src/x.rs` and [all](LICENSE#top), \
                not `prober/1`, `text/plain`, `/healthz`, `a b/c.rs`, `target/release/echo`, \
                [out](https://example.com/a.md), `make demo`.\n```\n`not/this.rs`\n```\n`Cargo.toml`\n\n\
                | room | holds |\n|---|---|\n| `cli/` | `echo/src/lib.rs` |\n\n| `k8s/` |";
    assert_eq!(
        paths_in(text),
        [
            "certs/src/lib.rs",
            "tests/",
            "gone/src/x.rs",
            "Cargo.toml",
            "echo/src/lib.rs",
            "k8s/",
            "LICENSE"
        ]
    );
}
