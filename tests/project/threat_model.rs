//! `docs/security.md` names the test of each limit that it states.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::source::{CRATES, sources};
use crate::harness::workspace;

/// The names behind `fn` in the source files below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            collect(&fs::read_to_string(&path).expect("text"), found);
        }
    }
}

fn collect(text: &str, found: &mut BTreeSet<String>) {
    let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
    found.extend(names.map(str::to_owned));
}

#[test]
fn every_limit_has_a_test_that_exists() {
    let mut known = BTreeSet::new();
    functions(&workspace().join("tests"), &mut known);
    for source in CRATES.into_iter().flat_map(sources) {
        collect(&source.text, &mut known);
    }
    let text = fs::read_to_string(workspace().join("docs/security.md")).expect("docs/security.md");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() > 10, "the tables were found: {rows:#?}");
    for row in rows.into_iter().filter(|row| !row.starts_with("| attack |")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [_, _, tests] = cells[..] else { panic!("attack, limit, tests: {row}") };
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "a limit without a test: {row}");
        for test in tests {
            assert!(known.contains(test), "docs/security.md names {test}, which is not there");
        }
    }
}
