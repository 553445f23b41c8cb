//! Texts from outside that localmesh prints: the path and the version of an Envoy, the story of a
//! scenario.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::block;
use crate::harness::{command, finish};

const EVIL: &str = "::error::a ##[error]b\u{1b}[2J\u{202e}c\u{200b}";
const SHOWN: &str = "\\u{3a}:error::a ##\\u{5b}error]b\\u{1b}[2J\\u{202e}c\\u{200b}";

#[test]
fn the_path_of_an_envoy_and_a_story_are_shown_as_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let envoy = folder.path().join(format!("x\n {EVIL}"));
    // It has a version, and cannot run.
    fs::write(
        &envoy,
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'version: a/9.9##[x]\u{202e}/b'\n",
    )
    .expect("written");
    fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755)).expect("set");
    let scenario = format!(
        "story: {}\nfrom: kops sidecar\nload: -n 10\nexpect: [lost = 0]\n",
        serde_json::Value::from(EVIL)
    );
    fs::write(folder.path().join("a.yaml"), scenario).expect("written");
    let mut localmesh = command("localmesh");
    localmesh
        .args(["run", "a.yaml", "--stories", "--block", &block::HOSTILE_TEXT.to_string()])
        .arg("--envoy")
        .arg(&envoy);
    let said = finish(localmesh.current_dir(folder.path()).env("TMPDIR", folder.path()));
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stdout.contains(&format!("\n{SHOWN}\n")), "{said:?}");
    let warning = "is Envoy 9.9##\\u{5b}x]\\u{202e}; localmesh is tested with";
    assert!(said.stderr.contains(&format!("x\\u{{a}} {SHOWN} {warning}")), "{said:?}");
    for line in said.stdout.lines().chain(said.stderr.lines()) {
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{line:?}");
        assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{line}");
    }
}
