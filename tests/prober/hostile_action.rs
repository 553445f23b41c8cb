//! `tools/action` when a job is cancelled: prober gets the signal, and commands stay off until it has
//! printed all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{Background, workspace};

/// Starts the action with this shell script in place of the prober, as the step does.
fn start(script: &str, folder: &Path) -> Background {
    let program = folder.join("prober");
    fs::write(&program, script).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let text = fs::read_to_string(workspace().join("action.yml")).expect("text");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("run: exec "));
    // As the runner does: the step is a file, and signals go to its shell.
    fs::write(folder.join("step.sh"), format!("exec {}\n", line.expect("the step")))
        .expect("written");
    let mut step = Command::new("bash");
    step.arg("-e").arg(folder.join("step.sh")).env_clear();
    step.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    step.env("GITHUB_ACTION_PATH", workspace()).env("PROBER", program);
    step.env("GITHUB_OUTPUT", folder.join("output")).env("INPUT_TARGET", "a");
    Background::start(step.current_dir(folder))
}

#[test]
fn a_cancelled_action_keeps_commands_off_until_prober_has_ended() {
    for (signal, name) in [(Signal::INT, "INT"), (Signal::TERM, "TERM"), (Signal::HUP, "TERM")] {
        let folder = tempfile::tempdir().expect("a folder");
        // Python asks for SIGINT, as prober does; a shell in the background cannot.
        let mut step = start(
            "#!/usr/bin/env python3\n\
             import os, signal, sys, time\n\
             def ended(number, _):\n\
             \x20   print('::error::got ' + signal.Signals(number).name, flush=True)\n\
             \x20   time.sleep(0.3)\n\
             \x20   print('::error::the report', flush=True)\n\
             \x20   sys.exit(130)\n\
             for one in (signal.SIGINT, signal.SIGTERM):\n\
             \x20   signal.signal(one, ended)\n\
             print('ready', flush=True)\n\
             while True: signal.pause()\n",
            folder.path(),
        );
        step.wait_for("the prober", |line| (line == "ready").then_some(()));
        step.signal(signal);
        assert_eq!(step.wait(), 130, "prober's own code");
        let said = step.said_all();
        let lines: Vec<_> = said.lines().collect();
        let token = lines[0].strip_prefix("::stop-commands::").expect("commands are stopped first");
        let expected = [
            "ready",
            &format!("::error::got SIG{name}"),
            "::error::the report",
            "",
            &format!("::{token}::"),
        ];
        assert_eq!(lines[1..], expected, "{said}");
        let output = fs::read_to_string(folder.path().join("output")).expect("text");
        assert_eq!(output, "exit-code=130\n");
    }
}

#[test]
fn a_signal_that_prober_survives_ends_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut step = start(
        "#!/bin/sh\ntrap 'echo again' TERM\necho ready\nwhile ! [ -e go ]; do sleep 0.02; done\nexit 3\n",
        folder.path(),
    );
    step.wait_for("the prober", |line| (line == "ready").then_some(()));
    for times in 1..3 {
        step.signal(Signal::TERM);
        crate::harness::wait_until("prober gets it", || {
            (step.said().matches("again").count() >= times).then_some(())
        });
    }
    assert!(!step.has_ended() && step.said().matches("::\n").count() == 0, "{}", step.said());
    fs::write(folder.path().join("go"), "").expect("written");
    assert_eq!(step.wait(), 3, "prober's own code, not that of the signal");
}
