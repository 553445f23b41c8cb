//! gRPC, asked by Python's own client (`tools/install-grpcio`), which knows of
//! the services only what reflection tells it.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Echo, tls};
use crate::harness::{Background, finish, workspace};

/// The client with these arguments.
fn client(arguments: &[&str]) -> Command {
    let mut command = Command::new(workspace().join("tools/install-grpcio"));
    command.arg("--run").arg(workspace().join("tests/echo/grpc_client.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").args(arguments);
    command
}

#[track_caller]
fn ask(target: &str, more: &[&str]) -> Value {
    let said = finish(&mut client(&[&["ask", target], more].concat()));
    assert_eq!(said.code, 0, "{said:?}");
    super::json(&said.stdout)
}

#[test]
fn a_client_that_knows_nothing_finds_all_by_reflection() {
    let flags = ["--cluster", "kops", "--pod", "p", "--zone", "z", "--app-version", "v2"];
    let echo = Echo::with(&flags, &[]);
    let said = ask(
        &echo.address.to_string(),
        &["x-probe-id=7-abc", "x-envoy-attempt-count=3", "x-echo-fault=status=503"],
    );
    for service in ["echo.v1.EchoService", "grpc.health.v1.Health"] {
        let listed = said["services"].as_array().expect("a list");
        assert!(listed.contains(&service.into()), "{said}");
        assert_eq!(said["health echo.v1.EchoService"], "SERVING");
    }
    assert_eq!(said["health "], "SERVING", "of the server as a whole");
    assert_eq!(said["no health"]["code"], "NOT_FOUND");
    let reply = &said["reply"];
    for (name, value) in [
        ("pod", json!("p")),
        ("cluster", json!("kops")),
        ("zone", json!("z")),
        ("version", json!("v2")),
        ("message", json!("héllo")),
        ("url", json!(format!("http://{}/echo.v1.EchoService/Echo", echo.address))),
        ("attempt", json!(3)),
        ("probe", json!("7-abc")),
    ] {
        assert_eq!(reply[name], value, "{name} of {reply}");
    }
    assert_eq!(reply["request"], said["metadata"]["x-echo-request"], "as the header says");
    for (name, value) in [
        ("x-echo-pod", "p"),
        ("x-echo-cluster", "kops"),
        ("x-echo-zone", "z"),
        ("x-echo-attempt", "3"),
        ("x-echo-probe", "7-abc"),
        ("x-echo-faults", "off"),
    ] {
        assert_eq!(said["metadata"][name], value, "{name} of {said}");
    }
    // Failures say who failed, too.
    for (failure, code) in [
        ("no service", "UNIMPLEMENTED"),
        ("no method", "UNIMPLEMENTED"),
        ("too large", "OUT_OF_RANGE"),
    ] {
        assert_eq!(said[failure]["code"], code, "{said}");
        assert_eq!(said[failure]["metadata"]["x-echo-pod"], "p", "{failure}");
    }
    assert!(echo.counted("echo_requests_total", &["protocol=\"grpc\""]) >= 7.0);
}

#[test]
fn it_is_the_same_over_tls() {
    let files = tls::Files::new();
    let echo = files.echo(&[]);
    let target = format!("localhost:{}", echo.further("https").port());
    let said = ask(&target, &[&files.text("cert.pem")]);
    assert_eq!(said["reply"]["pod"], "echo1-x", "{said}");
    assert_eq!(said["reply"]["url"], format!("https://{target}/echo.v1.EchoService/Echo"));
}

#[test]
fn calls_fail_as_they_are_asked_to() {
    let echo = Echo::with(&["--pod", "p", "--faults"], &[]);
    let target = echo.address.to_string();
    let faults = [
        "status=503",
        "status=403",
        "status=200",
        "delay=10ms&close",
        "drip=1s",
        "delay=x",
        "abort=before",
    ];
    let said = finish(&mut client(&[&["faults", &target], &faults[..]].concat()));
    assert_eq!(said.code, 0, "{said:?}");
    let said = super::json(&said.stdout);
    let failure = |fault: &str| &said[fault];
    let unavailable = failure("status=503");
    assert_eq!(unavailable["code"], "UNAVAILABLE");
    assert_eq!(unavailable["metadata"]["x-echo-faults"], "status=503");
    assert_eq!(failure("status=403")["code"], "PERMISSION_DENIED");
    assert_eq!(*failure("status=200"), Value::Null);
    assert_eq!(*failure("delay=10ms&close"), Value::Null);
    let drip = failure("drip=1s");
    assert_eq!(drip["code"], "INVALID_ARGUMENT");
    assert!(
        drip["details"].as_str().expect("text").contains("does not support the fault drip"),
        "{drip}"
    );
    assert_eq!(failure("delay=x")["code"], "INVALID_ARGUMENT");
    let cut = failure("abort=before")["code"].as_str().expect("a code");
    assert!(["INTERNAL", "UNAVAILABLE", "CANCELLED"].contains(&cut), "{said}");
}

#[test]
fn a_watch_hears_of_the_drain_and_does_not_hold_it_up() {
    let mut echo = Echo::with(&["--drain-delay", "200ms", "--drain-timeout", "1h"], &[]);
    let target = echo.address.to_string();
    let mut known = Background::start(&mut client(&["watch", &target, "echo.v1.EchoService"]));
    let mut unknown = Background::start(&mut client(&["watch", &target, "no.Such"]));
    known.wait_for("the first news", |line| (line == "news SERVING").then_some(()));
    unknown.wait_for("the first news", |line| (line == "news SERVICE_UNKNOWN").then_some(()));
    echo.process.signal(Signal::TERM);
    known.wait_for("the second news", |line| (line == "news NOT_SERVING").then_some(()));
    known.wait_for("the end", |line| (line == "the end").then_some(()));
    unknown.wait_for("the end", |line| (line == "the end").then_some(()));
    assert_eq!(echo.process.wait(), 0);
}
