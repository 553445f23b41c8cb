//! The README's commands do what it says: each is run, `make` ones apart,
//! which CI runs by itself.

use std::process::Command;

use super::*;
use crate::harness::{Background, Said, bin_dir, finish};

/// The README's fenced blocks: language and text.
fn blocks() -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(harness::workspace().join("README.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_owned(), text.join("\n")));
        }
    }
    blocks
}

/// The command lines that begin with this program.
fn commands(program: &str) -> Vec<String> {
    let lines = blocks()
        .into_iter()
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.split(' ').next() == Some(program)).collect()
}

/// A shell in a folder of its own that finds the built programs.
fn shell(line: &str) -> (Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", bin_dir().display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder.path()).env("PATH", path);
    (shell, folder)
}

fn run_line(line: &str) -> Said {
    let (mut shell, _folder) = shell(line);
    finish(&mut shell)
}

/// The commands of a block, with `\\` joined and without the prompt.
fn joined(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    text.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line).to_owned()).collect()
}

/// Every command about the local mesh, in the order of the page, on a mesh that `localmesh up` brings up
/// at addresses of its own.
#[test]
fn mesh_readme_commands_work_as_they_are_printed() {
    let mut up = Background::start(&mut super::lifecycle::localmesh("up", block::README));
    up.wait_for("the mesh", |line| line.contains("try in another shell").then_some(()));
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", bin_dir().display(), std::env::var("PATH").unwrap_or_default());
    let here = |line: &str| {
        let line = line.replace("127.10.", &format!("127.{}.", block::README));
        let line = line.replace("localmesh do", &format!("localmesh do --block {}", block::README));
        let line =
            line.replace("localmesh state", &format!("localmesh state --block {}", block::README));
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(folder.path()).env("PATH", &path);
        shell
    };
    let mut ran = Vec::new();
    for (language, text) in blocks() {
        if language == "yaml" {
            let text = text.replace("127.10.", &format!("127.{}.", block::README));
            std::fs::write(folder.path().join("mesh.yaml"), text).unwrap();
        }
        for line in joined(&text) {
            let words: Vec<_> = line.split(' ').collect();
            match (words[0], words.get(1).copied().unwrap_or_default()) {
                ("prober", "watch") => {
                    let free = crate::servers::nobody().port();
                    let line = format!("exec {}", line.replace("9464", &free.to_string()));
                    watches(Background::start(&mut here(&line)), free);
                }
                ("prober", _) => {
                    let said = finish(&mut here(&line));
                    if line.contains("--explain") {
                        assert!(
                            said.stdout.contains("root mismatch (network)"),
                            "{line}: {said:?}"
                        );
                    } else if line.contains("--at ") {
                        assert!(said.stdout.contains("failback < 60s: "), "{line}: {said:?}");
                    } else {
                        assert_eq!(said.code, 0, "{line}: {said:?}");
                        assert!(said.stdout.contains("PASS"), "{line}: {said:?}");
                    }
                }
                ("localmesh", "do" | "state") => {
                    let said = finish(&mut here(&line));
                    assert_eq!(said.code, 0, "{line}: {said:?}");
                }
                _ => continue,
            }
            ran.push(line);
        }
    }
    for part in ["prober echo2", "prober matrix", "prober watch", "--explain", "--at", "do reset"] {
        assert!(ran.iter().any(|line| line.contains(part)), "{part}: {ran:?}");
    }
}

/// A watch serves its metrics and ends at SIGTERM.
fn watches(mut watch: Background, port: u16) {
    let url = format!("http://127.0.0.1:{port}/metrics");
    harness::wait_until("each row has answers", || {
        let said = finish(Command::new("curl").args(["-s", &url]));
        let answers =
            ["kops", "gke1"].map(|name| format!("prober_answers_total{{source=\"{name}:"));
        answers.iter().all(|part| said.stdout.contains(part)).then_some(())
    });
    watch.signal(rustix::process::Signal::TERM);
    assert_eq!(watch.wait(), 0, "{}", watch.said_all());
}

#[test]
fn mesh_readme_certs_and_echo_commands_work() {
    let lines = commands("certs");
    assert!(!lines.is_empty());
    for line in lines {
        let said = run_line(&line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
    }
    let lines = commands("target/release/echo");
    assert_eq!(lines.len(), 1, "{lines:?}");
    // Any ports that are free, in place of the usual ones.
    let line = lines[0].replace("target/release/", "").replace("8080", "0").replace("8081", "0");
    let (mut shell, _folder) = shell(&format!("exec env {line} --host 127.0.0.1"));
    let mut echo = Background::start(&mut shell);
    let address = echo.wait_for("the address", |line| {
        let (_, rest) = line.split_once("listening on http://")?;
        Some(rest.split_whitespace().next()?.trim_end_matches(',').to_owned())
    });
    let said = finish(Command::new("curl").args(["-s", &format!("http://{address}/hello")]));
    assert!(said.stdout.ends_with("in [cluster: kops]\n"), "{said:?}");
}

#[test]
fn mesh_readme_names_only_commands_that_exist() {
    let makefile = std::fs::read_to_string(harness::workspace().join("Makefile")).unwrap();
    for line in commands("make") {
        let target = line.split_whitespace().nth(1).unwrap();
        assert!(makefile.contains(&format!("\n{target}:")), "{line}");
    }
    assert_eq!(commands("localmesh"), ["localmesh up"], "run by the tests of localmesh up");
}
