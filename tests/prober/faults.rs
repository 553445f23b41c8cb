//! Servers that misbehave: the run ends on time, every request is accounted for, and
//! memory stays bounded. What a single broken answer is called stands in `probing`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::probing::all_fail;
use crate::harness::{self, Background, command, wait_until};
use crate::servers::{self, Server, line, read_head, response};

/// Counted while a test's server runs.
type Count = Arc<AtomicU64>;

/// A run of `-n` requests that ends within 10 s; its row, all of `-n` in its accounts.
fn row(server: &Server, requests: u64, args: &[&str]) -> Value {
    harness::bin("prober");
    let start = Instant::now();
    let (target, number) = (server.target(), requests.to_string());
    let (_, row) = super::probing::row(&[&["-t", &target, "-n", &number], args].concat());
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    assert_eq!(row["requests"], requests, "nothing is hidden: {row}");
    row
}

/// Answers every whole request on a connection with `answer`, one after the other, and
/// counts them; `close` closes the connection after the first.
fn serving(answer: String, close: bool) -> (Server, Count) {
    let asked = Count::default();
    let count = Arc::clone(&asked);
    let server = Server::start(move |mut stream, _| {
        while !read_head(&stream).is_empty() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(answer.as_bytes());
            if close {
                return servers::linger(&stream);
            }
        }
    });
    (server, asked)
}

const KEEP: [&str; 4] = ["-c", "1", "--reuse", "always"];

#[test]
fn faults_a_server_that_says_it_closes_after_every_response_costs_no_request() {
    let echo = line("p", "kops");
    let announced = response("200 OK", "connection: close\r\n", &echo);
    // A server of HTTP/1.0 closes without saying so.
    let old = response("200 OK", "", &echo).replace("HTTP/1.1", "HTTP/1.0");
    for answer in [announced, old] {
        let (server, asked) = serving(answer, true);
        let row = row(&server, 20, &KEEP);
        assert_eq!((&row["answers"], &row["connections"]), (&20.into(), &20.into()), "{row}");
        assert_eq!((asked.load(Ordering::SeqCst), server.accepted()), (20, 20));
    }
}

/// A close that is on its way while the next request is sent is a failure; one that has arrived is not.
#[test]
fn faults_a_server_that_closes_unannounced_costs_at_most_every_second_request() {
    let (server, asked) = serving(response("200 OK", "", &line("p", "kops")), true);
    let row = row(&server, 20, &KEEP);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (answers, failed) = (number(&row["answers"]), number(&row["failed"]));
    assert!((10..=20).contains(&answers), "{row}");
    let seen = number(&row["transport"]["closed_while_idle"]);
    assert!(
        (answers - 1..=answers).contains(&(failed + seen)),
        "each close met one request: {row}"
    );
    for failure in row["failures"].as_array().expect("a list") {
        assert_eq!(failure["kind"], "reset", "{row}");
    }
    // What met a dead connection was not sent again.
    assert_eq!((asked.load(Ordering::SeqCst), server.accepted()), (answers, answers), "{row}");
}

/// Sends these bytes for each request; then says nothing, or closes.
fn sending(bytes: impl Into<Vec<u8>>, close: bool) -> Server {
    let bytes = bytes.into();
    Server::start(move |mut stream, _| {
        read_head(&stream);
        let _ = stream.write_all(&bytes);
        if close { servers::linger(&stream) } else { servers::linger_open(&stream) }
    })
}

const HALF: &str = "HTTP/1.1 200 OK\r\nx-echo-pod: p\r\nx-echo-clus";

#[test]
fn faults_half_a_header_then_silence_ends_in_time() {
    let server = sending(HALF, false);
    let what = all_fail("timeout", &["-t", &server.target(), "-m", "1"]);
    assert_eq!(what, "no response headers within 1s");
}

#[test]
fn faults_half_a_header_then_the_end_is_a_reset() {
    let server = sending(HALF, true);
    let what = all_fail("reset", &["-t", &server.target()]);
    let read = HALF.len();
    assert_eq!(
        what,
        format!("the connection was closed in the response headers, after {read} bytes")
    );
}

#[test]
fn faults_a_reset_at_any_moment_is_told_with_its_moment() {
    let head = "HTTP/1.1 200 OK\r\nx-echo-pod: p\r\nx-echo-cluster: kops\r\n";
    let length = format!("{head}content-length: 9\r\n\r\nbody");
    let chunks = format!("{head}transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n");
    for (sent, what) in [
        ("", "the connection was reset before an answer"),
        (HALF, "the connection was reset in the response headers, after 43 bytes"),
        (&length, "the connection was reset in the body, after 4 bytes"),
        (&chunks, "the connection was reset in the body, after 4 bytes"),
    ] {
        let answer = sent.to_owned();
        let server = Server::start(move |mut stream, _| {
            read_head(&stream);
            let _ = stream.write_all(answer.as_bytes());
            servers::reset(stream);
        });
        assert_eq!(all_fail("reset", &["-t", &server.target()]), what, "{sent:?}");
    }
    // At once: the first to hear of it is who connects, who sends, or who reads.
    let server = Server::start(|stream, _| servers::reset(stream));
    let row = row(&server, 20, &["-c", "2"]);
    assert_eq!(row["failed"], 20, "{row}");
    for group in row["failures"].as_array().expect("a list") {
        assert!(["connect", "reset"].contains(&group["kind"].as_str().expect("a kind")), "{row}");
        assert!(group["what"].as_str().expect("a text").contains("reset"), "{row}");
    }
    // Within the TLS handshake, whose first message was read.
    let server = Server::start(|mut stream, _| {
        let _ = stream.read(&mut [0; 64]);
        servers::reset(stream);
    });
    let target = format!("https://{}/", server.target());
    let what = all_fail("tls", &["-t", &target, "-k"]);
    // Whether its end or its reset arrives first is chance, so that both have one text.
    assert!(what.contains("closed the connection without an answer"), "{what}");
}

#[test]
fn faults_a_body_shorter_than_its_length_is_waited_for_and_no_answer() {
    let whole = response("200 OK", "x-echo-pod: p\r\nx-echo-cluster: kops\r\n", "body");
    let server = sending(whole.replace("content-length: 4", "content-length: 5"), false);
    let what = all_fail("timeout", &["-t", &server.target(), "-m", "1"]);
    assert_eq!(what, "the body did not end within 1s");
}

#[test]
fn faults_what_comes_after_a_body_is_nobodys_answer() {
    let named = |pod: &str| {
        let headers = format!("x-echo-pod: {pod}\r\nx-echo-cluster: kops\r\n");
        response("200 OK", &headers, "body")
    };
    // The server's second answer, sent with the first, would be taken for the next request's.
    let (server, asked) = serving(named("asked") + &named("forged"), false);
    let row = row(&server, 10, &KEEP);
    let backends = row["backends"].as_array().expect("a list");
    assert_eq!((backends.len(), &backends[0]["pod"]), (1, &"asked".into()), "{row}");
    assert_eq!((&row["answers"], &row["connections"]), (&10.into(), &10.into()), "{row}");
    assert_eq!(asked.load(Ordering::SeqCst), 10);
}

#[test]
fn faults_a_chunk_without_end() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    // More is promised than comes.
    let server = sending(format!("{head}ffff\r\nsome"), false);
    let what = all_fail("timeout", &["-t", &server.target(), "-m", "1"]);
    assert_eq!(what, "the body did not end within 1s");
    // A size, and an extension, that go on for ever.
    for endless in ["0", "5;x"] {
        let server = Server::start(move |mut stream, _| {
            read_head(&stream);
            let _ = stream.write_all(format!("{head}{endless}").as_bytes());
            while stream.write_all(&[b'0'; 4096]).is_ok() {}
        });
        let what = all_fail("protocol", &["-t", &server.target()]);
        assert_eq!(
            what, "bad body: a line of a chunked body has more than 4096 bytes",
            "{endless}"
        );
    }
}

#[test]
fn faults_an_answer_of_http_0_9_is_against_the_protocol() {
    let server = sending("<html>hello</html>\n", true);
    let what = all_fail("protocol", &["-t", &server.target()]);
    assert_eq!(what, "not HTTP: the answer begins with \"<html>hello</html>\"");
}

#[test]
fn faults_a_header_that_is_too_large_is_not_read_to_its_end() {
    let sent = Count::default();
    let count = Arc::clone(&sent);
    let server = Server::start(move |mut stream, _| {
        read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-large: ");
        pour(&mut stream, &count);
    });
    let what = all_fail("protocol", &["-t", &server.target()]);
    assert_eq!(what, "the response headers are larger than 65536 bytes");
    assert!(sent.load(Ordering::SeqCst) < 4 * GIB / 16, "it let the sender go");
}

#[test]
fn faults_interim_responses_without_end_are_not_waited_for() {
    let sent = Count::default();
    let count = Arc::clone(&sent);
    let server = Server::start(move |mut stream, _| {
        read_head(&stream);
        let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
        while stream.write_all(interim).is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let what = all_fail("protocol", &["-t", &server.target()]);
    assert_eq!(what, "more than 100 interim (1xx) responses came before the answer");
    assert!(sent.load(Ordering::SeqCst) < 4 << 20, "it let the sender go");
}

/// One GiB.
const GIB: u64 = 1 << 30;

/// Sends 1 GiB, or less if the other side closes; counts the bytes.
fn pour(stream: &mut TcpStream, sent: &Count) {
    let block = [b'x'; 65_536];
    for _ in 0..GIB / block.len() as u64 {
        match stream.write(&block) {
            Ok(n) => sent.fetch_add(n as u64, Ordering::SeqCst),
            Err(_) => return,
        };
    }
}

#[test]
fn faults_a_body_of_one_gib_is_neither_read_nor_kept() {
    let heads = [
        format!("content-length: {GIB}\r\n\r\n"),
        format!("transfer-encoding: chunked\r\n\r\n{GIB:x}\r\n"),
        "\r\n".to_owned(),
    ];
    for head in heads {
        let (sent, cut) = (Count::default(), Count::default());
        let (sent_too, cut_too) = (Arc::clone(&sent), Arc::clone(&cut));
        let head = format!("HTTP/1.1 200 OK\r\n{head}");
        // The last request waits, so that the prober can be looked at.
        let (looked, looking) = mpsc::channel::<()>();
        let looking = Mutex::new(looking);
        let server = Server::start(move |mut stream, number| {
            read_head(&stream);
            if number == 16 {
                let _ = looking.lock().expect("one waits").recv_timeout(harness::DEADLINE);
                return servers::linger(&stream);
            }
            let _ = stream.write_all(head.as_bytes());
            pour(&mut stream, &sent_too);
            cut_too.fetch_add(1, Ordering::SeqCst);
        });
        let mut run = command("prober");
        run.args(["-t", &server.target(), "-n", "17", "-c", "4", "--output=json"]);
        let mut prober = Background::start(run.args(["--quiet", "--max-body", "1000000"]));
        wait_until("the server sees 16 connections closed", || {
            (cut.load(Ordering::SeqCst) == 16).then_some(())
        });
        let peak = prober.peak_kib().expect("it lives");
        drop(looked);
        prober.wait();
        let said = prober.said_all();
        let row = serde_json::from_str::<Value>(&said).expect("a report")["rows"][0].take();
        assert_eq!(
            (&row["answers"], &row["failed"], &row["requests"]),
            (&0.into(), &17.into(), &17.into())
        );
        let groups = row["failures"].as_array().expect("a list").iter();
        let counted: Vec<_> = groups.map(|g| (g["kind"].as_str(), g["count"].as_u64())).collect();
        assert!(counted.contains(&(Some("protocol"), Some(16))), "{row}");
        assert!(counted.contains(&(Some("reset"), Some(1))), "{row}");
        assert!(peak < 40_960, "it took {peak} KiB");
        // What left the server lay in buffers of the kernel, or was the million that is read.
        let most = sent.load(Ordering::SeqCst);
        assert!(most < 16 * GIB / 8, "{most} bytes were taken");
    }
}

#[test]
fn faults_a_slow_drip_ends_in_time() {
    harness::bin("prober");
    for (given, what) in [
        ("HTTP/1.1 200 OK\r\nx-", "no response headers within 1s"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", "the body did not end within 1s"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n",
            "the body did not end within 1s",
        ),
    ] {
        let server = Server::start(move |mut stream, _| {
            read_head(&stream);
            let _ = stream.write_all(given.as_bytes());
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let start = Instant::now();
        assert_eq!(all_fail("timeout", &["-t", &server.target(), "-m", "1"]), what);
        // One turn: all four are under way at once.
        assert!(start.elapsed() < Duration::from_secs(3), "took {:?}", start.elapsed());
    }
}
