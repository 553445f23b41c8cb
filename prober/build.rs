//! Tells the program its commit and the time of its sources (`src/version.rs`). Where neither is
//! known, the build goes on without. Only release builds ask git: others would be built anew for
//! each commit.

use std::process::Command;

fn main() {
    let variable = |name: &str| {
        println!("cargo::rerun-if-env-changed={name}");
        std::env::var(name).ok().filter(|value| !value.is_empty())
    };
    println!("cargo::rerun-if-changed=build.rs");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let of_git = |arguments: &[&str]| git(arguments).filter(|_| release);
    // The log of HEAD grows with each commit and each checkout.
    if let Some(log) = of_git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let head = || of_git(&["rev-parse", "--short=12", "HEAD"]);
    if let Some(commit) = variable("PROBER_COMMIT").or_else(head) {
        println!("cargo::rustc-env=PROBER_COMMIT={commit}");
    }
    let committed = || of_git(&["log", "-1", "--format=%ct"]);
    if let Some(epoch) = variable("SOURCE_DATE_EPOCH").or_else(committed) {
        println!("cargo::rustc-env=PROBER_EPOCH={epoch}");
    }
}

/// What git says, on one line; nothing without git or a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty() && !line.contains('\n')).then_some(line)
}
