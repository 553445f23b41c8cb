//! Attacks with many connections. Under each, echo stays below three quarters of the memory that
//! its pod may use, and a good client is served.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::floods::{END_HEADERS, END_STREAM, HEADERS, PREFACE, REQUEST, SETTINGS, frame};
use super::hostile::peak_memory;
use super::limits::allow_many_files;
use super::{Echo, TAIL};
use crate::harness::{DEADLINE, wait_until};

/// The limit of its pod in the manifests, in bytes.
const POD_MEMORY: u64 = 128 << 20;
/// What no attack may make of it, in KiB.
const MOST: u64 = 96 << 10;
const HALF_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nx-half: a";
pub(super) const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// An echo that may not have more memory than its pod, so that it ends where it asks for more.
pub(super) fn echo() -> Echo {
    let echo = without_limit();
    limit(&echo, Resource::Data, POD_MEMORY);
    echo
}

/// One that may reserve more. Memory that is reserved and never written to costs nothing, but the
/// limit of the other one counts it.
pub(super) fn without_limit() -> Echo {
    allow_many_files();
    let flags = ["--cluster", "kops", "--pod", "echo1-x", "--threads", "2"];
    Echo::with(&flags, &[("LOG_SAMPLE", "1000000")])
}

fn limit(echo: &Echo, resource: Resource, most: u64) {
    let pid = Pid::from_raw(i32::try_from(echo.process.pid()).expect("a pid"));
    prlimit(pid, resource, Rlimit { current: Some(most), maximum: Some(most) })
        .expect("a lower limit");
}

/// Opens a connection and sends this. What echo does not take within a second is not sent.
pub(super) fn send(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).expect("echo listens");
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let _ = stream.write_all(bytes);
    stream
}

/// That good clients are served, and what it cost.
#[track_caller]
pub(super) fn survived(echo: &Echo, attack: &str) {
    for flags in [&[][..], &["--http2-prior-knowledge"]] {
        assert!(echo.curl("/", flags).ends_with(TAIL), "{attack}");
    }
    assert_eq!(echo.admin("/healthz").1, "ok\n", "{attack}");
    let peak = peak_memory(echo);
    assert!(peak < MOST, "{peak} KiB for {attack}");
    assert!(!echo.process.said().contains("panicked"), "{}", echo.process.said());
}

#[test]
fn more_half_heads_than_the_default_limit_leave_room_for_a_good_client() {
    let echo = echo();
    let held: Vec<_> = (0..4_000).map(|_| send(echo.address, HALF_HEAD)).collect();
    survived(&echo, "4,000 half heads");
    assert!(echo.counted("echo_connections_open", &[]) <= 1_687.0, "the limit and an eighth");
    assert!(echo.counted("echo_connections_evicted_total", &[]) > 0.0);
    drop(held);
}

#[test]
fn many_half_heads_on_the_admin_port_stop_no_probe() {
    let echo = echo();
    let long = [HALF_HEAD, &[b'a'; 16 << 10]].concat();
    let before = peak_memory(&echo);
    let mut held: Vec<_> = (0..3_000)
        .map(|number| send(echo.admin, if number % 4 == 0 { &long } else { HALF_HEAD }))
        .collect();
    survived(&echo, "3,000 half heads on the admin port");
    let grown = peak_memory(&echo) - before;
    assert!(grown < 24 << 10, "{grown} KiB more");
    let first = &mut held[1];
    first.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    assert!(!first.read(&mut [0]).is_ok_and(|length| length > 0), "it has made room");
}

#[test]
fn idle_websockets_cost_little() {
    let echo = echo();
    let before = peak_memory(&echo);
    let held: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = send(echo.address, UPGRADE);
            let length = stream.read(&mut [0; 4096]).expect("a handshake");
            assert!(length > 0, "refused");
            stream
        })
        .collect();
    let each = (peak_memory(&echo) - before) / held.len() as u64;
    println!("{each} KiB for each WebSocket");
    assert!(each < 40, "{each} KiB for each WebSocket");
    survived(&echo, "500 WebSockets");
}

#[test]
fn a_websocket_that_makes_room_is_told_to_come_again() {
    let flags = ["--cluster", "kops", "--pod", "echo1-x", "--max-connections", "2"];
    let echo = Echo::with(&flags, &[]);
    let mut quiet = send(echo.address, UPGRADE);
    quiet.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    let mut held = Vec::new();
    while !said.ends_with(b"\x03\xf5too many connections") {
        let length = quiet.read(&mut buffer).expect("it is told why");
        assert!(length > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..length]);
        // The WebSocket is open once something has come.
        held.resize_with(2, || send(echo.address, HALF_HEAD));
    }
}

#[test]
fn clients_cannot_use_up_the_descriptors() {
    let mut echo = echo();
    assert_eq!(echo.admin("/healthz").1, "ok\n", "it has opened its spare descriptors");
    // Lowered after the start, so that only the spare descriptors are left for the admin port.
    let open = std::fs::read_dir(format!("/proc/{}/fd", echo.process.pid()));
    let open = open.expect("it lives").count() as u64;
    limit(&echo, Resource::Nofile, open + 20);
    let held: Vec<_> = (0..40).map(|_| TcpStream::connect(echo.address).expect("queued")).collect();
    echo.process.wait_for("no descriptor is left", |line| {
        line.contains("cannot accept connections").then_some(())
    });
    for _ in 0..20 {
        assert_eq!(echo.admin("/healthz").1, "ok\n");
    }
    drop(held);
    survived(&echo, "no descriptors");
}

#[test]
fn a_low_limit_of_descriptors_limits_the_connections() {
    let mut shell = crate::harness::command("echo");
    let program = shell.get_program().to_owned();
    shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 128 && exec \"$@\"", "sh"]).arg(program);
    let echo = Echo::of(&mut shell, (0, 0), &["--cluster", "kops", "--pod", "echo1-x"]);
    assert!(echo.process.said().contains("at most 40 connections"), "{}", echo.process.said());
    let held: Vec<_> = (0..200).map(|_| send(echo.address, HALF_HEAD)).collect();
    survived(&echo, "more connections than descriptors");
    assert!(!echo.process.said().contains("cannot accept"), "{}", echo.process.said());
    drop(held);
}

/// HTTP/2 requests by a client whose windows have this size.
pub(super) fn with_window(window: u32, requests: u32) -> Vec<u8> {
    let settings = frame(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat());
    let requests = (0..requests)
        .flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, REQUEST));
    PREFACE.iter().copied().chain(settings).chain(requests).collect()
}

#[test]
fn clients_that_do_not_read_are_closed_at_the_idle_timeout() {
    let long = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\nx-long: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    for (attack, bytes) in [
        ("answers of HTTP/1 that nobody reads", long.repeat(400).into_bytes()),
        ("answers of HTTP/2 that may not be sent", with_window(0, 50)),
        ("answers of HTTP/2 of which one byte may be sent", with_window(1, 50)),
    ] {
        let echo = Echo::with(
            &["--cluster", "kops", "--pod", "echo1-x", "--idle-timeout", "1s"],
            &[("LOG_SAMPLE", "1000000")],
        );
        let held: Vec<_> = (0..4).map(|_| send(echo.address, &bytes)).collect();
        wait_until("all are closed", || {
            (echo.counted("echo_connections_open", &[]) == 0.0).then_some(())
        });
        assert!(echo.counted("echo_requests_total", &[]) >= 4.0, "{attack}");
        drop(held);
        survived(&echo, attack);
    }
}
