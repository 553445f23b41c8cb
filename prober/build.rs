//! Passes the commit and the date of the sources to `src/cli/version.rs`. Both are optional. Only
//! release builds ask git: other builds would have to be repeated after each commit.

use std::process::Command;

fn main() {
    let variable = |name: &str| {
        println!("cargo::rerun-if-env-changed={name}");
        std::env::var(name).ok().filter(|value| !value.is_empty())
    };
    println!("cargo::rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let from_git = |arguments: &[&str]| git(arguments).filter(|_| release);
    // The log of HEAD changes with each commit and each checkout.
    if let Some(log) = from_git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let head = || from_git(&["rev-parse", "--short=12", "HEAD"]);
    if let Some(commit) = variable("PROBER_COMMIT").or_else(head) {
        println!("cargo::rustc-env=PROBER_COMMIT={commit}");
    }
    let committed = || from_git(&["log", "-1", "--format=%ct"]);
    if let Some(epoch) = variable("SOURCE_DATE_EPOCH").or_else(committed) {
        println!("cargo::rustc-env=PROBER_EPOCH={epoch}");
    }
}

/// The single line that git prints; `None` without git or a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty() && !line.contains('\n')).then_some(line)
}
