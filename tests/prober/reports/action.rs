//! `action.yml`, the action for workflows of GitHub, and `--summary`: inputs are flags, and what
//! is in them is never read by a shell.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Said, bin, command, finish, run, workspace};
use crate::servers::{Server, text_echo};

fn action() -> Value {
    let text = fs::read_to_string(workspace().join("action.yml")).expect("text");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn inputs() -> Vec<String> {
    action()["inputs"].as_object().expect("inputs").keys().cloned().collect()
}

/// What the step "Ask" runs, with these inputs; all others are empty.
fn ask(given: &[(&str, &str)], folder: &Path) -> Said {
    let action = action();
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["id"] == "ask").expect("is there");
    let mut shell = Command::new("bash");
    shell.args(["-c", step["run"].as_str().expect("a script")]).env_clear();
    shell.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    shell.env("GITHUB_ACTION_PATH", workspace()).env("GITHUB_OUTPUT", folder.join("output"));
    shell.env("GITHUB_STEP_SUMMARY", folder.join("summary.md")).current_dir(folder);
    for (name, value) in step["env"].as_object().expect("variables") {
        let value = value.as_str().expect("text");
        let input = value.strip_prefix("${{ inputs.").and_then(|rest| rest.strip_suffix(" }}"));
        let value = match input {
            None => bin("prober").to_string_lossy().into_owned(),
            Some(input) => {
                let given = given.iter().find(|(name, _)| *name == input);
                given.map_or_else(String::new, |(_, value)| (*value).to_owned())
            }
        };
        shell.env(name, value);
    }
    let mut said = finish(&mut shell);
    said.stdout = unwrapped(&said.stdout);
    said
}

/// What stands between the commands that stop the commands of the runner, and allow them again.
fn unwrapped(stdout: &str) -> String {
    let (first, rest) = stdout.split_once('\n').expect("a line");
    let token = first.strip_prefix("::stop-commands::").expect("commands are stopped first");
    assert_eq!(token.len(), 32, "{stdout}");
    rest.strip_suffix(&format!("\n::{token}::\n")).expect("and work again at the end").to_owned()
}

#[test]
fn every_input_is_a_flag_and_reaches_the_script() {
    let help = run("prober", ["--help"]).stdout;
    let matrix = run("prober", ["matrix", "--help"]).stdout;
    let action = action();
    for input in inputs() {
        let known = match input.as_str() {
            "matrix" => help.contains("\n  matrix "),
            "arguments" => true,
            flag => {
                let words = |text: &str| {
                    let of = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
                    text.split(of).any(|word| word == format!("--{flag}"))
                };
                words(&help) || words(&matrix)
            }
        };
        assert!(known, "{input} is no flag");
        let steps = action["runs"]["steps"].to_string();
        assert!(steps.contains(&format!("${{{{ inputs.{input} }}}}")), "{input} goes nowhere");
        assert!(action["inputs"][&input]["description"].is_string(), "{input}");
    }
    let defaults = action["inputs"].as_object().expect("inputs").iter();
    assert!(defaults.clone().count() > 5);
    // An expression inside a script would be read by a shell.
    for step in action["runs"]["steps"].as_array().expect("steps") {
        assert!(!step["run"].as_str().expect("a script").contains("${{"), "{step}");
        assert_eq!(step["shell"], "bash");
    }
}

#[test]
fn the_action_asks_reports_and_passes_the_exit_code_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let target = format!("name.test:{}", echo.port());
    let resolve = format!("\n  \nname.test:{}:127.0.0.1\r\n", echo.port());
    let given = [
        ("target", target.as_str()),
        ("resolve", &resolve),
        ("requests", "30"),
        ("expect", "errors = 0\nonly gke1\n"),
        ("report", "run.json\nrun with space.xml"),
        ("summary", "true"),
        ("arguments", "--quiet\n-H\nx-a: $(touch broken) `touch broken` \"; touch broken\n"),
    ];
    let said = ask(&given, folder.path());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("  FAIL  only gke1"), "{said:?}");
    let files: BTreeSet<_> = super::names(folder.path()).into_iter().collect();
    assert_eq!(
        files,
        ["output", "run with space.xml", "run.json", "summary.md"].map(str::to_owned).into()
    );
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("text");
    assert_eq!(read("output"), "exit-code=1\n");
    assert!(
        read("summary.md").starts_with("### ❌ FAIL: `curl name.test:"),
        "{}",
        read("summary.md")
    );
    let met = [("target", target.as_str()), ("resolve", &resolve), ("requests", "5")];
    assert_eq!(ask(&met, folder.path()).code, 0);
    assert_eq!(read("output"), "exit-code=1\nexit-code=0\n");
    let nobody = crate::servers::nobody();
    let (refused, refused_at) = (
        format!("name.test:{}", nobody.port()),
        format!("name.test:{}:{}", nobody.port(), nobody.ip()),
    );
    let failing = [
        ("target", refused.as_str()),
        ("resolve", refused_at.as_str()),
        ("expect", "only gke1"),
        ("requests", "5"),
    ];
    let said = ask(&failing, folder.path());
    assert!(said.stdout.contains("  FAIL  errors = 0"), "{said:?}");
    let wrong = ask(&[("target", "a"), ("summary", "yes")], folder.path());
    wrong.refused(&["the input 'summary' is 'yes'", "true or false"]);
    ask(&[], folder.path()).refused(&["no target; name one"]);
    let matrix = folder.path().join("mesh.yaml");
    fs::write(&matrix, format!("targets: [{{url: '{}', requests: 4}}]", echo.target()))
        .expect("written");
    let said = ask(&[("matrix", "mesh.yaml"), ("arguments", "--quiet")], folder.path());
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
}

#[test]
fn a_summary_is_appended_and_its_absence_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let ask = |summary: Option<&str>| {
        let mut prober = command("prober");
        prober.args(["-n", "9", "--quiet", "--summary", "-t", &echo.target()]);
        prober.envs(summary.map(|name| ("GITHUB_STEP_SUMMARY", folder.path().join(name))));
        finish(&mut prober)
    };
    ask(None).refused(&["--summary: GITHUB_STEP_SUMMARY is not set", "--report FILE.md"]);
    ask(Some("none/summary.md")).refused(&["none/summary.md cannot be written: No such file"]);
    assert_eq!(echo.accepted(), 0, "nothing was sent");
    fs::write(folder.path().join("summary.md"), "# Before").expect("written");
    for _ in 0..2 {
        assert_eq!(ask(Some("summary.md")).code, 0);
    }
    let text = fs::read_to_string(folder.path().join("summary.md")).expect("text");
    assert!(text.starts_with("# Before\n\n### ✅ PASS: `curl 127.0.0.1:"), "{text}");
    assert_eq!(text.matches("\n### ✅ PASS").count(), 2, "{text}");
    std::os::unix::fs::symlink("/dev/full", folder.path().join("full.md")).expect("linked");
    let said = ask(Some("full.md"));
    assert_eq!((said.code, said.stderr.lines().count()), (2, 1), "{said:?}");
    assert!(said.stderr.contains("full.md cannot be written: No space left"), "{said:?}");
}
