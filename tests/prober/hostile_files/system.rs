//! The system's own files, far larger than usual: the hosts file and resolv.conf.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::super::name_faults::own_network;
use crate::harness::{bin, finish};

/// Runs a prober whose hosts file or resolv.conf is another file. Its peak is the last line of stderr.
fn with(file: &str, text: &str, args: &[&str]) -> (crate::harness::Said, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    fs::write(&path, text).expect("written");
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec python3 -c '
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)' \"$@\"";
    let own = own_network();
    let mut shell = Command::new(own[0]);
    shell.arg("-m").args(&own[1..]).args(["sh", "-c", script, "sh"]).arg(path).arg(file);
    let said = finish(shell.arg(bin("prober")).args(args));
    let peak = said.stderr.lines().last().and_then(|line| line.parse().ok());
    let peak = peak.unwrap_or_else(|| panic!("no peak in {said:?}"));
    (said, peak)
}

#[test]
fn a_hosts_file_of_a_million_names_takes_little_more_memory_than_its_text() {
    let mut text = String::new();
    for n in 0..1_000_000 {
        writeln!(text, "0.0.0.0 ad{n}.test").expect("memory");
    }
    text.push_str("127.0.0.1 echo.mesh.test\n");
    for _ in 0..200_000 {
        text.push_str("127.0.0.1 echo.mesh.test\n");
    }
    let args = ["-t", "http://echo.mesh.test:1/", "-n", "2", "--quiet"];
    let (said, peak) = with("/etc/hosts", &text, &args);
    assert!(said.stdout.contains("127.0.0.1:1: "), "it was found: {said:?}");
    assert!(peak < 200_000, "{peak} KiB");
}

#[test]
fn a_resolv_conf_that_is_too_large_is_refused_with_the_limit() {
    let args = ["-t", "http://echo.mesh.test:1/", "-n", "1", "--quiet"];
    let (said, peak) = with("/etc/resolv.conf", &"search a\n".repeat(200_000), &args);
    assert!(said.stdout.contains("/etc/resolv.conf: it is larger than 1 MiB"), "{said:?}");
    assert!(peak < 100_000, "{peak} KiB");
    let search = format!("nameserver 127.0.0.1\nsearch{}\n", " a".repeat(500_000));
    let (said, peak) = with("/etc/resolv.conf", &search, &args);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(peak < 150_000, "{peak} KiB");
}
