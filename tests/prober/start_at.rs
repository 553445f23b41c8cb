//! `--start-at`: a run begins at a common instant.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::{Background, bin, command, finish, run};
use crate::servers::{Server, nobody, text_echo};

/// A second that begins `seconds` to `seconds + 1` from now, and how it is written.
fn ahead(seconds: u64) -> (SystemTime, String) {
    // The first test builds it.
    bin("prober");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let second = now + seconds + 1;
    let mut date = Command::new("date");
    let said = finish(date.args(["-u", "-d", &format!("@{second}"), "+%Y-%m-%dT%H:%M:%SZ"]));
    (UNIX_EPOCH + Duration::from_secs(second), said.stdout.trim().to_owned())
}

#[test]
fn runs_that_are_started_at_different_times_begin_together() {
    let connections: Arc<Mutex<Vec<SystemTime>>> = Arc::default();
    let (seen, answer) = (Arc::clone(&connections), text_echo("p", "kops"));
    let server = Server::start(move |stream, connection| {
        seen.lock().expect("not poisoned").push(SystemTime::now());
        answer(stream, connection);
    });
    let (at, given) = ahead(4);
    let target = server.target();
    let probe = |more: &[&str]| {
        let args = ["--start-at", &given, "-n", "5", "--output", "json", &target];
        let said = finish(command("prober").args(args).args(more));
        assert_eq!(said.code, 0, "{said:?}");
        said
    };
    let (one, two) = thread::scope(|scope| {
        let one = scope.spawn(|| probe(&[]));
        thread::sleep(Duration::from_millis(700));
        let two = probe(&["--quiet", "--wait", "30s"]);
        (one.join().expect("ended"), two)
    });
    // --wait asks at once, before the instant.
    assert_eq!(server.accepted(), 11);
    let connections = connections.lock().expect("not poisoned");
    assert!(connections[0] < at);
    for connection in &connections[1..] {
        let late = connection.duration_since(at).expect("nothing is sent before");
        assert!(late < Duration::from_secs(2), "{late:?}");
    }
    for said in [&one, &two] {
        let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
        let started = report["started"].as_str().expect("a time");
        assert!(started.starts_with(given.trim_end_matches('Z')), "{started} is not {given}");
    }
    let note = format!("prober: the run begins at {given} (--start-at), in ");
    assert!(one.stderr.starts_with(&note), "{one:?}");
    assert_eq!(two.stderr, "");
}

#[test]
fn an_instant_that_is_over_or_far_ahead_is_refused_and_nothing_is_sent() {
    let server = Server::start(text_echo("p", "kops"));
    let refused = |given: &str, parts: &[&str]| {
        run("prober", ["--start-at", given, "--wait", "9s", &server.target()]).refused(parts);
        assert_eq!(server.accepted(), 0);
    };
    refused(
        "2026-01-01T00:00:00Z",
        &["--start-at '2026-01-01T00:00:00Z': that was ", " ago; write"],
    );
    refused(
        "2999-01-01T00:00:00Z",
        &["that is in ", "more than a day; write an earlier time, such as"],
    );
    refused("+10s", &["--start-at '+10s': not a time; write one of RFC 3339, such as"]);
    refused("a\nb", &["--start-at 'a b': not a time"]);
    run("prober", ["watch", "a", "--start-at", "x"])
        .refused(&["--start-at works only in a single"]);
    for command in ["matrix", "judge", "merge"] {
        run("prober", [command, "f", "--start-at", "x"]).refused(&["--start-at"]);
    }
}

#[test]
fn a_wait_that_takes_longer_than_until_the_instant_measures_nothing() {
    // It answers once the instant is over.
    let (at, given) = ahead(3);
    let answer = text_echo("p", "kops");
    let server = Server::start(move |stream, connection| {
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        thread::sleep(left + Duration::from_millis(100));
        answer(stream, connection);
    });
    let args = ["--start-at", &given, "--wait", "30s", "--quiet", &server.target()];
    run("prober", args).refused(&["that was ", "ms ago; write a later time"]);
    assert_eq!(server.accepted(), 1, "only --wait asked");
    // No answer at all: that is said at once.
    let (_, given) = ahead(600);
    let nobody = nobody().to_string();
    let args = ["--start-at", &given, "--wait", "300ms", "--quiet", &nobody];
    run("prober", args).refused(&["no answer that counts within 300ms (--wait)"]);
}

#[test]
fn ctrl_c_ends_the_wait_for_the_instant_at_once() {
    let server = Server::start(text_echo("p", "kops"));
    let (_, given) = ahead(600);
    let args = ["--start-at", &given, &server.target()];
    let mut prober = Background::start(command("prober").args(args));
    prober.wait_for("the line", |line| line.contains("the run begins at").then_some(()));
    let start = Instant::now();
    prober.signal(rustix::process::Signal::INT);
    assert_eq!(prober.wait(), 130);
    assert!(start.elapsed() < Duration::from_secs(3));
    assert_eq!(server.accepted(), 0);
}
