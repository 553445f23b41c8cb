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

#[test]
fn mesh_readme_prober_commands_work() {
    let shared = Shared::get();
    let topology = shared.mesh.topology();
    let gateway = cluster_of(&shared.mesh, "kops").ingress_gateways().next().unwrap().address;
    let lines = commands("prober");
    let asking: Vec<_> = lines.iter().filter(|line| line.contains("--target")).collect();
    assert!(asking.len() >= 2, "{lines:?}");
    for line in asking {
        // The documentation's address is somebody's: never load it.
        let line = line.replace("34.82.246.2", &gateway.to_string());
        let line = format!("{line} --connect-to ::{gateway}:{}", topology.ingress_port);
        let said = run_line(&line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        assert!(said.stdout.starts_with("PASS  curl "), "{line}: {said:?}");
        let clusters = ["kops", "gke1"].map(|name| format!("\n  {name}     echo2-{name}-1 "));
        assert!(clusters.iter().all(|line| said.stdout.contains(line)), "{line}: {said:?}");
    }
}

#[test]
fn mesh_readme_the_matrix_file_is_one() {
    let yaml: Vec<_> = blocks().into_iter().filter(|(language, _)| language == "yaml").collect();
    assert_eq!(yaml.len(), 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mesh.yaml");
    std::fs::write(&file, &yaml[0].1).unwrap();
    let said = run_line(&format!("prober matrix --dry-run '{}'", file.display()));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("kubectl exec '--context=kops'"), "{said:?}");
}

#[test]
fn mesh_readme_certs_and_echo_commands_work() {
    let lines = commands("certs");
    assert!(!lines.is_empty());
    for line in lines {
        let said = run_line(&line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
    }
    let lines = commands("echo");
    assert_eq!(lines.len(), 1, "{lines:?}");
    // Any ports that are free, in place of the usual ones.
    let line = lines[0].replace("8080", "0").replace("8081", "0");
    let (mut shell, _folder) = shell(&format!("exec {line} --host 127.0.0.1"));
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
