//! What commands of prober started ends with prober, however it ends: sources of a matrix, commands that
//! read an Envoy, and events.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{Background, bin, command, wait_until};
use crate::servers::{Server, text_echo};

/// Starts processes in the background, in the foreground, and as a daemon starts: in a session of its
/// own and without a parent. Writes their ids.
const SCRIPT: &str = "sleep 300 & echo $! >>IDS; (sleep 300 & echo $! >>IDS); \
                      (setsid sh -c 'echo $$ >>IDS; exec sleep 300' &); \
                      sh -c 'sleep 300 & echo $! >>IDS; wait' & echo $! >>IDS; sleep 300";

fn ids(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn runs(id: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // A zombie has ended.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A prober whose command is `script`, in one of three places.
fn prober(place: &str, script: &str, folder: &Path, server: &Server) -> Command {
    let target = server.target();
    let mut prober = command("prober");
    match place {
        "source" => {
            let file = folder.join("mesh.yaml");
            let quoted = script.replace('\'', "''");
            let text = format!(
                "clusters: [kops]\nsources: [{{name: away, command: [sh, -c, '{quoted}']}}]\n\
                 targets: [{{from: away, url: 'http://{target}/', expect: ['reaches kops']}}]"
            );
            fs::write(&file, text).expect("written");
            prober.arg("matrix").arg(file);
        }
        "event" => {
            prober.args(["-t", &target, "-d", "200", "--rate", "20", "--at", "0.01s", script]);
        }
        other => panic!("{other}"),
    }
    prober
}

#[test]
fn nothing_that_a_command_started_outlives_prober() {
    let server = Server::start(text_echo("a", "kops"));
    for place in ["source", "event"] {
        for signals in
            [&[Signal::KILL][..], &[Signal::INT], &[Signal::TERM, Signal::TERM], &[Signal::HUP]]
        {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("ids");
            let script = SCRIPT.replace("IDS", file.to_str().expect("UTF-8"));
            let mut prober = Background::start(&mut prober(place, &script, folder.path(), &server));
            wait_until("all have started", || (ids(&file).len() == 5).then_some(()));
            for signal in signals {
                if !prober.has_ended() {
                    prober.signal(*signal);
                }
            }
            prober.wait();
            wait_until("all have ended", || (!ids(&file).iter().any(|id| runs(id))).then_some(()));
        }
    }
}

#[test]
fn sighup_ends_a_run_with_a_report_unless_it_is_ignored() {
    let server = Server::start(text_echo("a", "kops"));
    let target = server.target();
    let args = ["-t", &target, "-d", "200", "--rate", "20"];
    let mut prober = Background::start(command("prober").args(args));
    wait_until("it asks", || (server.accepted() > 2).then_some(()));
    prober.signal(Signal::HUP);
    assert_eq!(prober.wait(), 130);
    let said = prober.said_all();
    assert!(said.contains("requests answered"), "{said}");
    let mut shell = Command::new("nohup");
    let mut prober = Background::start(shell.arg(bin("prober")).args(args));
    let before = server.accepted();
    wait_until("it asks", || (server.accepted() > before + 2).then_some(()));
    prober.signal(Signal::HUP);
    let before = server.accepted();
    wait_until("it asks on", || (server.accepted() > before + 5).then_some(()));
    prober.signal(Signal::TERM);
    assert_eq!(prober.wait(), 130);
}
