//! Files that block or never end, and signals: neither stops `echo`, and neither delays its end.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use super::tls::Files;
use super::{Echo, TAIL};
use crate::harness::{finish, run};

fn pipe(path: &str) {
    assert_eq!(finish(Command::new("mkfifo").arg(path)).code, 0);
}

fn with_tls(files: &Files) -> Echo {
    let (cert, key) = (files.text("cert.pem"), files.text("key.pem"));
    let flags = ["--cluster", "kops", "--pod", "echo1-x", "--threads", "1", "--tls-port", "0"];
    Echo::with(&[&flags[..], &["--tls-cert", &cert, "--tls-key", &key]].concat(), &[])
}

#[test]
fn files_that_are_not_regular_are_refused_at_the_start() {
    let files = Files::new();
    pipe(&files.text("pipe.pem"));
    let (cert, key, pipe) = (files.text("cert.pem"), files.text("key.pem"), files.text("pipe.pem"));
    for [cert, key, flag] in [
        [pipe.as_str(), key.as_str(), "--tls-cert"],
        [cert.as_str(), pipe.as_str(), "--tls-key"],
        [cert.as_str(), "/dev/zero", "--tls-key"],
        ["/dev/zero", key.as_str(), "--tls-cert"],
    ] {
        run("echo", ["--tls-port", "0", "--tls-cert", cert, "--tls-key", key])
            .refused(&[flag, "is not a regular file"]);
    }
}

#[test]
fn a_certificate_that_becomes_a_pipe_stops_nothing() {
    let files = Files::new();
    let mut echo = with_tls(&files);
    pipe(&files.text("new.pem"));
    fs::rename(files.text("new.pem"), files.text("cert.pem")).expect("renamed");
    let warned = |line: &str| line.contains("is not a regular file").then_some(());
    echo.process.wait_for("the warning", warned);
    assert!(echo.curl("/", &[]).ends_with(TAIL));
    let https = format!("https://{}/", echo.further("https"));
    assert!(super::curl(&https, &["-k"]).ends_with(TAIL), "the old certificate stays in use");
    echo.process.signal(Signal::TERM);
    assert_eq!(echo.process.wait(), 0);
}

#[test]
fn sighup_reads_the_tls_files_again_and_other_signals_mean_nothing() {
    let files = Files::new();
    let mut echo = with_tls(&files);
    echo.process.signal(Signal::HUP);
    let told = |line: &str| line.contains("SIGHUP was received; new connections").then_some(());
    echo.process.wait_for("the line about the files", told);

    let mut plain = Echo::start();
    for signal in [
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::POWER,
        Signal::STKFLT,
        Signal::XFSZ,
        Signal::PIPE,
    ] {
        plain.process.signal(signal);
        assert!(plain.curl("/", &[]).ends_with(TAIL), "{signal:?}");
    }
    let pid = plain.process.pid().to_string();
    for number in ["34", "50", "64"] {
        assert_eq!(finish(Command::new("sh").args(["-c", "kill -$0 $1", number, &pid])).code, 0);
        assert!(plain.curl("/", &[]).ends_with(TAIL), "{number}");
    }
    plain.process.signal(Signal::TERM);
    assert_eq!(plain.process.wait(), 0);
}
