//! `--wait`: nothing is counted until the target answers for the first time.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::probing::row;
use crate::harness::{Background, bin_dir, command, finish, run};
use crate::servers::{self, Server, line, nobody, response};

/// Not yet ready for three connections, each in another way; then an echo.
fn comes_up() -> Server {
    Server::start(|mut stream: TcpStream, connection| {
        servers::read_head(&stream);
        let answer = match connection {
            0 => response("503 Service Unavailable", "", "no healthy upstream"),
            1 => response("200 OK", "", "a page of somebody else"),
            2 => return servers::reset(stream),
            _ => response("200 OK", "", &line("p", "kops")),
        };
        let _ = stream.write_all(answer.as_bytes());
        servers::linger(&stream);
    })
}

#[test]
fn a_run_begins_with_the_first_answer() {
    for more in
        [&["-n", "20"][..], &["-n", "20", "--rate", "100"], &["-n", "20", "--warmup", "1ms"]]
    {
        let server = comes_up();
        let (code, row) = row(&[&["--wait", "20s", &server.target()], more].concat());
        assert_eq!((code, &row["requests"], &row["failed"]), (0, &20.into(), &0.into()), "{row}");
        assert_eq!(row["connections"], 20, "{row}");
        let warmed_up = row["warmed_up"].as_u64().unwrap_or(0);
        assert_eq!(
            server.accepted(),
            24 + warmed_up,
            "one request at a time, until one is answered"
        );
    }
}

#[test]
fn instants_count_from_the_end_of_the_wait() {
    let server = comes_up();
    let args = ["--wait", "20s", "-d", "500ms", "--rate", "40", "--at", "100ms", "true"];
    let (code, row) = row(&[&args[..], &["-t", &server.target()]].concat());
    assert_eq!((code, &row["requests"], &row["failed"]), (0, &20.into(), &0.into()), "{row}");
    let began = row["events"][0]["began_us"].as_u64().unwrap_or_else(|| panic!("{row}"));
    assert!(began >= 100_000, "{row}");
}

#[test]
fn when_the_time_is_over_the_last_failure_is_said_and_nothing_is_judged() {
    let nobody = nobody().to_string();
    let said = run("prober", [&nobody, "--wait", "600ms", "--quiet", "-e", "only kops"]);
    said.refused(&[
        "the target gave no answer that counts within 600ms (--wait)",
        "connect: ",
        &nobody,
    ]);
    let said = run("prober", [&nobody, "--wait", "600ms"]);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
    let first = format!("prober: waiting for {nobody} to answer: connect: ");
    assert!(said.stderr.starts_with(&first), "{said:?}");
    // A server that accepts and never answers: the first request does not end in time.
    let silent = Server::start(|stream, _| servers::linger_open(&stream));
    run("prober", ["--wait", "300ms", "--quiet", &silent.target()]).refused(&["did not end"]);
    run("prober", ["--wait", "soon", "a"]).refused(&["--wait 'soon': not a duration"]);
    run("prober", ["watch", "-t", "a", "--wait", "5s"]).refused(&["--wait works only in a single"]);
}

#[test]
fn each_address_of_a_name_waits() {
    let server = comes_up();
    let port = server.port();
    let resolve = format!("name.test:{port}:127.0.0.1");
    let target = format!("name.test:{port}");
    let args = ["--select", "each", "--wait", "20s", "-n", "5", "--resolve", &resolve, &target];
    let (code, row) = row(&args);
    assert_eq!((code, &row["requests"], server.accepted()), (0, &5.into(), 9), "{row}");
}

#[test]
fn ctrl_c_ends_the_wait_at_once() {
    let mut prober =
        Background::start(command("prober").args(["--wait", "10m", &nobody().to_string()]));
    prober.wait_for("the line", |line| line.contains("waiting for").then_some(()));
    let start = Instant::now();
    prober.signal(rustix::process::Signal::INT);
    assert_eq!(prober.wait(), 130);
    assert!(start.elapsed() < Duration::from_secs(3));
}

/// Rows wait where they start, also behind a command; one that waits in vain leaves the others.
#[test]
fn the_rows_of_a_matrix_wait() {
    let (here, there, nobody) = (comes_up(), comes_up(), nobody());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.yaml");
    let text = format!(
        "sources: [{{name: far, command: [env]}}]
defaults: {{requests: 10, wait: 20s}}
targets:
  - {{url: '{}'}}
  - {{from: far, url: '{}'}}
  - {{url: '{nobody}', wait: 300ms}}
  - {{from: far, url: '{nobody}', wait: 0.3}}\n",
        here.target(),
        there.target(),
    );
    fs::write(&file, text).expect("written");
    let path = format!("{}:{}", bin_dir().display(), std::env::var("PATH").unwrap_or_default());
    let mut prober = command("prober");
    prober.env("PATH", path).arg("matrix").arg(&file).args(["--output=json", "--quiet"]);
    let said = finish(&mut prober);
    assert_eq!(said.code, 2, "{said:?}");
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(report["exit_code"], 2);
    for (row, server) in [(0, &here), (1, &there)] {
        let row = &report["rows"][row];
        assert_eq!((&row["requests"], &row["failed"]), (&10.into(), &0.into()), "{row}");
        assert_eq!((server.accepted(), &row["verdict"]), (14, &"pass".into()));
    }
    for row in [2, 3] {
        let row = &report["rows"][row];
        let reason = row["unreachable"].as_str().expect("a reason");
        assert!(
            reason.contains("the target gave no answer that counts within 300ms (--wait)"),
            "{row}"
        );
        assert_eq!(row["could_not_run"], true, "{row}");
    }
    assert_eq!(said.stderr.lines().count(), 2, "{said:?}");
    assert!(
        said.stderr.lines().all(|line| line.contains("no answer that counts within")),
        "{said:?}"
    );
}
