//! Faults: the scenarios of the project on the local mesh, `localmesh do` and `state` on a mesh
//! that runs, and prober's events.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{self, Background, finish};
use crate::servers::{Server, text_echo};

/// Addresses of their own, none of which `mesh` uses.
mod block {
    pub(super) const SCENARIOS: u8 = 70;
    pub(super) const DO: u8 = 71;
    pub(super) const NOBODY: u8 = 72;
    pub(super) const OTHER: u8 = 73;
    pub(super) const BROKEN: u8 = 74;
}

fn localmesh(words: &[&str], block: u8) -> Command {
    let mut command = harness::command("localmesh");
    command.args(words).args(["--block", &block.to_string()]);
    if let Some(installed) = envoy().filter(|_| words[0] != "do" && words[0] != "state") {
        command.arg("--envoy").arg(installed);
    }
    command
}

fn envoy() -> Option<PathBuf> {
    let installed = harness::workspace().join(localmesh::envoy::INSTALLED);
    installed.is_file().then_some(installed)
}

/// A scenario of the project.
fn scenario(name: &str) -> PathBuf {
    harness::workspace().join("localmesh/scenarios").join(format!("{name}.yaml"))
}

/// Those that tell most in the least time; `make scenarios` runs all.
const CHOSEN: [&str; 20] = [
    "app-dead-parallel",
    "app-dead-remote",
    "bypass-by-address",
    "circuit-breaker-open",
    "cluster-down",
    "destination-rule-one-side",
    "distribute",
    "ejection-default",
    "ejection-full",
    "local-app-dead",
    "remote-secret-removed",
    "remote-share-far",
    "root-mismatch-client",
    "root-mismatch-server",
    "san-mismatch",
    "san-mismatch-one-side",
    "split-one-side-down",
    "strict-plaintext",
    "two-pods-pinned",
    "zone-weight",
];

/// The same without a cause.
const WITHOUT_CAUSE: [&str; 2] = ["bypass-refused", "mirror-fails-unseen"];

/// Each of these names the cause that prober must find by what it reads, among what must be seen.
#[test]
fn scenarios_show_what_their_files_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = localmesh(&["run"], block::SCENARIOS);
    run.arg("--keep").arg(folder.path()).arg("--stories");
    let said = finish(run.args(CHOSEN.map(scenario)).args(WITHOUT_CAUSE.map(scenario)));
    assert_eq!(said.code, 0, "{said:?}");
    let lines: Vec<_> = said.stdout.lines().collect();
    for name in CHOSEN.iter().chain(&WITHOUT_CAUSE) {
        let line = lines.iter().find(|line| line.starts_with(&format!("{name} "))).expect(name);
        assert!(line.ends_with("  PASS"), "{line}");
    }
    for name in CHOSEN {
        let text = std::fs::read_to_string(scenario(name)).expect("a scenario");
        assert!(text.contains("\ncause: "), "{name} names no cause");
    }
    assert_eq!(lines.last(), Some(&"22 of 22 scenarios met their expectations"));
    let report = std::fs::read(folder.path().join("cluster-down/report.json")).expect("kept");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    let row = &report["rows"][0];
    assert_eq!(row["events"][0]["end"]["exit"], 0, "{row}");
    assert!(row["failover"]["detect_us"].is_u64(), "{}", row["failover"]);
}

#[test]
fn scenarios_that_miss_their_expectations_say_what_was_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(scenario("remote-secret-removed")).expect("a scenario");
    let file = folder.path().join("wrong.yaml");
    let shorter = text.replace("-d 10", "-d 3").replace("at: 3s", "at: 1s");
    let shorter = shorter.replace("at: 6s", "at: 2s").replace("retried = 0", "retried > 0");
    std::fs::write(&file, shorter).expect("written");
    let said = finish(localmesh(&["run"], block::OTHER).arg(&file));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("    expected retried > 0; seen: 0"), "{said:?}");
    assert!(said.stdout.contains("0 of 1 scenarios"), "{said:?}");

    std::fs::write(&file, text.replace("kops gke1 off", "kops eks1 off")).expect("written");
    let refused = finish(localmesh(&["run"], block::BROKEN).arg(&file));
    refused.refused(&["wrong.yaml", "unknown cluster 'eks1'"]);
    let refused = finish(localmesh(&["run"], block::BROKEN).arg(folder.path().join("none.yaml")));
    refused.refused(&["none.yaml", "No such file"]);
}

/// What the client of kops holds for echo2: address and weight.
fn held(block: u8) -> Vec<(String, u64)> {
    let said = finish(&mut localmesh(&["state", "-o", "json"], block));
    let state: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let envoys = state["envoys"].as_array().expect("envoys");
    let client = envoys.iter().find(|e| e["name"] == "kops/client sidecar").expect("a client");
    let endpoints = client["endpoints"].as_array().expect("endpoints").iter();
    endpoints
        .filter(|e| e["cluster"] == "outbound|8080||echo2.istio-enabled.svc.cluster.local")
        .filter_map(|e| {
            assert_eq!(e["told"], e["held"], "what was told is held: {e}");
            Some((e["address"].as_str()?.to_owned(), e["held"]["weight"].as_u64()?))
        })
        .collect()
}

#[test]
fn scenarios_do_changes_a_mesh_that_runs_and_state_shows_it() {
    let mut up = Background::start(&mut localmesh(&["up"], block::DO));
    up.wait_for("the summary's end", |line| line.starts_with("files and logs: ").then_some(()));
    let act = |words: &[&str]| {
        let mut command = harness::command("localmesh");
        finish(command.args(["do", "--block", &block::DO.to_string()]).args(words))
    };
    let done = |line: &str| {
        let said = act(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""), "{line}");
    };
    let (local, gateway) = ("127.71.1.12:8080".to_owned(), "127.71.2.3:15443".to_owned());
    assert_eq!(held(block::DO), [(local.clone(), 1), (gateway.clone(), 1)]);
    done("scale gke1/echo2 3");
    assert_eq!(held(block::DO), [(local.clone(), 1), (gateway.clone(), 3)]);
    done("unready gke1/echo2-2");
    assert_eq!(held(block::DO), [(local.clone(), 1), (gateway.clone(), 2)]);
    done("remote-secret kops gke1 off");
    assert_eq!(held(block::DO), [(local.clone(), 1)]);
    done("remote-secret kops gke1 on");
    done("drain gke1/echo2");
    done("scale gke1/echo2 1");
    assert_eq!(held(block::DO), [(local.clone(), 1)], "the last pod was drained");
    done("start gke1/echo2");
    done("ready gke1/echo2");
    for line in [
        "split echo2 kops=90,gke1=10",
        "split echo2 off",
        "outlier echo2 on --max-percent 100",
        "balancer echo2 round-robin",
        "mtls echo2 strict",
        "restart kops/echo2",
        "throttle gke1/eastwestgateway 50",
        "throttle gke1/eastwestgateway 0",
        "delay kops/echo2 5ms --percent 50",
        "abort kops/echo2 503",
        "abort kops/echo2 200",
        "swap-root kops",
    ] {
        done(line);
    }
    let priority = {
        let said = finish(&mut localmesh(&["state"], block::DO));
        assert!(said.stdout.contains("used w1 p1"), "locality failover: {said:?}");
        said.stdout
    };
    assert!(!priority.contains("differs from the configuration"), "{priority}");
    done("freeze gke1/eastwestgateway");
    let said = finish(&mut localmesh(&["state"], block::DO));
    assert!(said.stdout.contains("gke1/eastwestgateway: frozen"), "{said:?}");
    done("thaw gke1");
    let undone = act(&["undo"]);
    assert_eq!((undone.code, undone.stdout.as_str()), (0, "undone: thaw gke1\n"), "{undone:?}");
    let said = finish(&mut localmesh(&["state"], block::DO));
    assert!(said.stdout.contains("gke1/eastwestgateway: frozen"), "{said:?}");
    for setting in ["echo2: balancer round-robin\n", "echo2: outlier on --max-percent 100\n"] {
        assert!(said.stdout.contains(setting), "{said:?}");
    }
    let reset = act(&["reset"]);
    let as_it_was = "the mesh is as it was when it started\n";
    assert_eq!((reset.code, reset.stdout.as_str()), (0, as_it_was), "{reset:?}");
    assert_eq!(held(block::DO), [(local.clone(), 1), (gateway.clone(), 1)]);
    act(&["undo"]).refused(&["nothing to undo"]);
    let block = block::DO.to_string();
    let words = ["do", "kill", "gke1/echo1", "--block", &block];
    let mut killed = crate::harness::command("localmesh");
    let killed = finish(killed.args(words));
    assert_eq!((killed.code, killed.stdout.as_str()), (0, ""), "{killed:?}");
    let again = act(&["kill", "gke1/echo1"]);
    let unchanged = "nothing changed: the mesh was already in this state\n";
    assert_eq!((again.code, again.stdout.as_str()), (0, unchanged), "{again:?}");
    let undone = act(&["undo"]);
    assert_eq!(undone.stdout, "undone: kill gke1/echo1\n", "{undone:?}");
    done("breaker echo2 on --max-connections 1");
    let said = finish(&mut localmesh(&["state"], block::DO));
    let limited = "svc.cluster.local (limits: connections 1)\n";
    assert!(said.stdout.contains(limited), "{said:?}");

    act(&["kill", "gke1/echo3"])
        .refused(&["unknown cluster, pod or process \"gke1/echo3\"", "gke1/echo2"]);
    act(&["scale", "gke1/echo9", "2"]).refused(&["unknown workload \"gke1/echo9\""]);
    act(&["split", "echo2", "kops=90,eks1=10"]).refused(&["unknown cluster \"eks1\""]);
    act(&["delay", "gke1/echo1", "5ms"])
        .refused(&["gke1/echo1 has no application behind a sidecar"]);
    act(&["cut", "kops", "gke1"]).refused(&["need an isolated mesh", "--isolate"]);
    act(&["kil", "gke1"]).refused(&["did you mean 'kill'?", "do help"]);
    act(&["balancer", "echo2", "ringhash"]).refused(&["--header", "do balancer --help"]);
    done("kill gke1");
    up.signal(rustix::process::Signal::TERM);
    assert_eq!(up.wait(), 0);
}

#[test]
fn scenarios_no_mesh_no_change() {
    for words in [&["do", "kill", "gke1"][..], &["state"]] {
        let mut command = harness::command("localmesh");
        command.args([words[0], "--block", &block::NOBODY.to_string()]).args(&words[1..]);
        finish(&mut command).refused(&["no mesh runs on 127.72.0.0/16", "localmesh up"]);
    }
}

#[test]
fn scenarios_help_about_actions_needs_no_mesh() {
    let act = |words: &[&str]| {
        let mut command = harness::command("localmesh");
        finish(command.args(["do", "--block", &block::NOBODY.to_string()]).args(words))
    };
    let asked = act(&["mirror", "--help"]);
    assert_eq!((asked.code, asked.stderr.as_str()), (0, ""), "{asked:?}");
    for part in ["Copy requests", "<SERVICE> <TO>", "--percent", "localmesh do mirror echo2 "] {
        assert!(asked.stdout.contains(part), "{asked:?}");
    }
    for words in [&["help", "mirror"][..], &["mirror", "-h"], &["mirror", "echo2", "--help"]] {
        assert_eq!(act(words).stdout, asked.stdout, "{words:?}");
    }
    let all = act(&["help"]);
    assert!(all.code == 0 && all.stdout.contains("\nundo\n"), "{all:?}");
    act(&["help", "miror"]).refused(&["unknown action 'miror'; did you mean 'mirror'?"]);
    act(&["miror", "--help"]).refused(&["did you mean 'mirror'?", "localmesh do help"]);
}

/// An echo that ends every connection without a byte while `file` is there.
fn breakable(file: PathBuf) -> Server {
    let serve = text_echo("pod-1", "kops");
    Server::start(move |stream, number| {
        if !file.exists() {
            serve(stream, number);
        }
    })
}

#[test]
fn scenarios_events_are_run_and_the_fault_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broken");
    let server = breakable(file.clone());
    let (touch, rm) = (format!("touch {}", file.display()), format!("rm {}", file.display()));
    let (code, row) = crate::prober::probing::row(&[
        "-t",
        &server.target(),
        "--rate",
        "200",
        "-d",
        "6",
        "--hold",
        "500ms",
        "--at",
        "1s",
        &touch,
        "--at",
        "1500ms",
        "echo no luck >&2; exit 3",
        "--at",
        "2s",
        &rm,
        "-e",
        "lost <= 800",
        "-e",
        "lost <= 2",
        "-e",
        "failback < 2s",
        "-e",
        "failover < 500ms",
    ]);
    assert_eq!(code, 1, "{row}");
    let events = row["events"].as_array().expect("events");
    let ends: Vec<_> = events.iter().map(|event| &event["end"]["exit"]).collect();
    assert_eq!(ends, [0, 3, 0], "{row}");
    assert_eq!(events[1]["output"], "no luck");
    let began = events[0]["began_us"].as_u64().expect("it began");
    assert!((1_000_000..1_900_000).contains(&began), "{began}");
    let times = &row["failover"];
    // 200 a second fail for one second, give or take what the commands took to run.
    let lost = times["lost"].as_u64().expect("lost");
    assert!((50..=600).contains(&lost), "{times}");
    assert_eq!(times["lost"], row["failed"]);
    assert!(times["detect_us"].is_u64() && times["failback_us"].is_u64(), "{times}");
    assert!(times["failover_us"].is_null(), "nobody else answers: {times}");
    let judged = row["expectations"].as_array().expect("verdicts");
    let verdicts: Vec<_> = judged.iter().map(|judged| &judged["verdict"]).collect();
    assert_eq!(verdicts, ["pass", "fail", "pass", "fail"], "{judged:?}");
}

#[test]
fn scenarios_signals_mark_a_fault_that_somebody_else_brings_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broken");
    let server = breakable(file.clone());
    let words = ["--rate", "200", "-d", "6", "--hold", "500ms", "--marks", "-o", "json", "--quiet"];
    let mut run = Background::start(
        Command::new(harness::bin("prober"))
            .args(["-t", &server.target(), "-e", "lost <= 1200", "-e", "failback < 5s"])
            .args(words),
    );
    let further = |requests: u64| {
        let until = server.accepted() + requests;
        harness::wait_until("requests come", || (server.accepted() >= until).then_some(()));
    };
    further(300);
    std::fs::write(&file, "").expect("a file");
    run.signal(rustix::process::Signal::USR1);
    further(100);
    std::fs::remove_file(&file).expect("it was there");
    run.signal(rustix::process::Signal::USR1);
    let code = run.wait();
    let report: Value = serde_json::from_str(&run.said_all()).expect("JSON");
    let row = &report["rows"][0];
    assert_eq!(code, 0, "{row}");
    let events = row["events"].as_array().expect("events");
    let shown: Vec<_> = events.iter().map(|event| (&event["command"], &event["end"])).collect();
    assert_eq!(shown.len(), 2, "{events:?}");
    assert!(shown.iter().all(|(command, end)| *command == "SIGUSR1" && *end == "marked"));
    let times = &row["failover"];
    let lost = times["lost"].as_u64().expect("lost");
    assert!(lost > 0, "{times}");
    // The server was broken before prober heard of it.
    let before = times["failed_before"].as_u64().expect("failed before");
    assert_eq!(Some(lost + before), row["failed"].as_u64(), "{times}");
    assert_eq!(times["fault_us"], events[0]["began_us"]);
    assert_eq!(times["recovery_us"], events[1]["began_us"]);
    assert!(times["failback_us"].is_u64(), "{times}");
}

#[test]
fn scenarios_an_event_that_hangs_is_ended_and_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = breakable(folder.path().join("never"));
    let begin = Instant::now();
    let said = harness::run(
        "prober",
        [
            "-t",
            &server.target(),
            "--rate",
            "50",
            "-d",
            "2",
            "--event-timeout",
            "300ms",
            "--at",
            "500ms",
            "sleep 600",
            "--at",
            "1s",
            "no-such-command",
        ],
    );
    assert!(begin.elapsed() < Duration::from_secs(60), "the command did not hold the run up");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("sleep 600: killed after its time limit"), "{said:?}");
    assert!(said.stdout.contains("no-such-command: failed with exit code 127"), "{said:?}");
    assert!(said.stdout.contains("0 lost, "), "{said:?}");

    let refused = |words: &[&str]| harness::run("prober", [&["-t", "a"], words].concat());
    refused(&["-d", "5", "--at", "6s", "date"]).refused(&["the run ends after 5s"]);
    refused(&["--at", "6s", "date"]).refused(&["of known length", "-d"]);
    refused(&["--marks"]).refused(&["of known length", "-d"]);
    refused(&["-e", "failover < 5s"]).refused(&["needs a fault", "--at"]);
}
