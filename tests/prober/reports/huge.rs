//! A report of ten thousand pods: written by a run, and shown again in every form.

use std::process::Command;

use crate::harness::{Said, bin, finish};
use crate::servers::always_another_pod;

const PODS: u64 = 10_000;

/// Runs a prober and says how much memory it took at most, in KiB, as the kernel counted it.
pub(crate) fn measured(args: &[&str]) -> (Said, u64) {
    measured_program("prober", args)
}

/// The same for another program.
pub(crate) fn measured_program(name: &str, args: &[&str]) -> (Said, u64) {
    let script = "import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)";
    let said = finish(Command::new("python3").args(["-c", script]).arg(bin(name)).args(args));
    let peak = said.stderr.lines().last().and_then(|line| line.parse().ok());
    let peak = peak.unwrap_or_else(|| panic!("no peak in {said:?}"));
    (said, peak)
}

#[test]
fn ten_thousand_pods_fit_into_100_mb_in_every_form() {
    const MOST_KIB: u64 = 100_000;
    let server = always_another_pod();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (target, requests, json) = (server.target(), PODS.to_string(), at("run.json"));
    let (said, peak) = measured(&[
        "-t",
        &target,
        "-n",
        &requests,
        "--reuse",
        "always",
        "-c",
        "1",
        "--threads",
        "1",
        "--quiet",
        "--report",
        &json,
    ]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("10000 requests"), "{}", said.stdout);
    assert!(peak < MOST_KIB, "the run took {peak} KiB");
    for ending in ["json", "html", "md", "xml", "csv", "prom"] {
        let file = at(&format!("again.{ending}"));
        let (said, peak) = measured(&["report", &json, "--report", &file]);
        assert_eq!(said.code, 0, "{ending}: {}", said.stderr);
        assert!(peak < MOST_KIB, "{ending} took {peak} KiB");
        assert!(std::fs::metadata(&file).expect("written").len() > 1000, "{ending}");
    }
    let [first, again] = ["run.json", "again.json"].map(|name| std::fs::read(at(name)));
    assert!(first.expect("written") == again.expect("written"), "byte for byte");
}
