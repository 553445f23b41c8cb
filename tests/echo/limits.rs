//! What many connections and hostile shapes may cost: memory stays bounded, and
//! a good client is answered meanwhile.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::hostile::peak_memory;
use super::{Echo, Raw, TAIL, header};
use crate::harness::wait_until;

/// What no attack may make of it, in KiB.
pub(super) const MOST: u64 = 64 << 10;

/// As many open files as this process may have.
pub(super) fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn quiet() -> Echo {
    Echo::with(&["--cluster", "kops", "--pod", "echo1-x", "--threads", "2"], &[])
}

#[test]
fn ten_thousand_idle_connections_cost_little() {
    allow_many_files();
    let echo = Echo::with(&["--threads", "2", "--max-connections", "20000"], &[]);
    let idle: Vec<_> =
        (0..10_000).map(|_| TcpStream::connect(echo.address).expect("it accepts")).collect();
    wait_until("all are open", || {
        (echo.counted("echo_connections_open", &[]) == 10_000.0).then_some(())
    });
    assert!(echo.curl("/", &[]).contains("] on [pod: "));
    let peak = peak_memory(&echo);
    println!("{peak} KiB for {} idle connections", idle.len());
    assert!(peak < MOST, "{peak} KiB for {} idle connections", idle.len());
    drop(idle);
    wait_until("all are forgotten", || {
        (echo.counted("echo_connections_open", &[]) == 0.0).then_some(())
    });
}

#[test]
fn slow_heads_and_endless_heads_cost_little() {
    allow_many_files();
    let echo = quiet();
    let slow: Vec<_> = (0..2_000)
        .map(|_| {
            let mut stream = TcpStream::connect(echo.address).expect("it accepts");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nx-slow: a").expect("it reads");
            stream
        })
        .collect();
    let flood =
        b"x-flood: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100);
    for _ in 0..50 {
        let mut stream = TcpStream::connect(echo.address).expect("it accepts");
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n");
        while stream.write_all(&flood).is_ok() {}
    }
    assert!(echo.curl("/", &[]).ends_with(TAIL));
    let peak = peak_memory(&echo);
    println!("{peak} KiB for {} slow heads", slow.len());
    assert!(peak < MOST, "{peak} KiB for {} slow heads", slow.len());
    wait_until("the slow ones are closed", || {
        (echo.counted("echo_connections_open", &[]) == 0.0).then_some(())
    });
    drop(slow);
}

#[test]
fn at_the_limit_the_quietest_connection_makes_room_and_is_counted() {
    let echo = Echo::with(&["--pod", "p", "--max-connections", "3"], &[]);
    let ask = |raw: &mut Raw| raw.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer();
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut raw = echo.connect();
        ask(&mut raw);
        kept.push(raw);
    }
    ask(&mut kept[0]);
    // The oldest one stays active.
    for number in 1..=2 {
        let mut another = echo.connect();
        ask(&mut another);
        ask(&mut kept[0]);
        assert_eq!(echo.counted("echo_connections_evicted_total", &[]), f64::from(number));
        kept.push(another);
    }
    for quiet in &mut kept[1..=2] {
        assert_eq!(quiet.rest(), "", "closed without an answer");
    }
    assert_eq!(echo.counted("echo_connections_refused_total", &[]), 0.0);
    assert_eq!(echo.counted("echo_connections_open", &[]), 3.0);
}

#[test]
fn heads_and_bodies_have_the_sizes_of_the_flags() {
    let echo = Echo::with(&["--pod", "p", "--max-head", "8KiB", "--max-body", "10"], &[]);
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    let ask = |flags: &[&str]| echo.curl("/", &[&code[..], flags].concat());
    assert_eq!(ask(&["-d0123456789"]), "200");
    assert_eq!(ask(&["-d0123456789a"]), "413");
    assert_eq!(ask(&["-HTransfer-Encoding: chunked", "-d0123456789a"]), "413");
    assert_eq!(ask(&["-H", &format!("x-big: {}", "a".repeat(7_000))]), "200");
    assert_eq!(ask(&["-H", &format!("x-big: {}", "a".repeat(9_000))]), "431");
}

#[test]
fn a_connection_that_rests_too_long_is_closed_soon_after() {
    let echo = Echo::with(&["--pod", "p", "--idle-timeout", "1s"], &[]);
    let mut asked = echo.connect();
    asked.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer();
    for mut resting in [asked, echo.connect()] {
        let before = Instant::now();
        assert_eq!(resting.rest(), "");
        // The second has rested while the first was waited for.
        assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    }
}

#[test]
fn shapes_of_request_smuggling_end_the_connection() {
    let echo = Echo::start();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
    let post =
        |headers: &str, body: &str| format!("POST /outer HTTP/1.1\r\n{headers}\r\n\r\n{body}");
    for request in [
        post("Host: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
        post("Host: h\r\nContent-Length: 3\r\nContent-Length: 4", "abc"),
        post("Host: h\r\nContent-Length: 3, 4", "abc"),
        post("Host: h\r\nContent-Length: +3", "abc"),
        post("Host: h\r\nContent-Length: 0x3", "abc"),
        post("Host: h\r\nContent-Length : 3", "abc"),
        post("Host: h\r\nTransfer-Encoding: xchunked", "0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding: chunked, identity", "0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding : chunked", "0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding: chunked", "3\r\nabcd\r\n0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding: chunked", "-1\r\n\r\n0\r\n\r\n"),
        post("Host: h\r\nTransfer-Encoding: chunked", "ffffffffffffffffff\r\n"),
        post("Host: a\r\nHost: b", ""),
        post("X-No-Host: 1", ""),
        post("Host: h\r\n X-Folded: 1\r\nContent-Length: 3", "abc"),
    ] {
        let said = echo.connect().send(format!("{request}{hidden}")).rest();
        let answers = said.matches("HTTP/1.1 ").count();
        assert!(answers <= 1 && !said.contains("/hidden"), "{request:?} got {said:?}");
        let (head, _) = said.split_once("\r\n\r\n").unwrap_or((&said, ""));
        assert!(
            !head.starts_with("HTTP/1.1 200") || header(head, "connection") == Some("close"),
            "{request:?} got {said:?}"
        );
    }
    assert!(echo.curl("/", &[]).ends_with(TAIL), "it lives");
}
