//! HTTP/1.1 connections that a server ends, or disturbs, between two requests.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use super::probing::row;
use crate::servers::{self, Server, line, read_head, response};

/// 5 requests on one kept connection, one every 200 ms, so that it is idle in between.
fn paced(server: &Server, args: &[&str]) -> Value {
    let target = server.target();
    let load = ["-n", "5", "-c", "1", "--rate", "5", "--reuse", "always"];
    row(&[&["-t", &target], &load[..], args].concat()).1
}

fn answer() -> String {
    response("200 OK", "", &line("p", "kops"))
}

/// Asserts 5 answers on 5 connections, of which 4 were found closed.
#[track_caller]
fn replaced(row: &Value, server: &Server) {
    assert_eq!((&row["answers"], &row["failed"]), (&5.into(), &0.into()), "{row}");
    assert_eq!((&row["connections"], server.accepted()), (&5.into(), 5), "{row}");
    assert_eq!(row["transport"]["closed_while_idle"], 4, "{row}");
}

#[test]
fn a_connection_closed_while_idle_is_replaced_before_the_request() {
    // As its keep-alive timeout does: without an announcement.
    let closing = Server::start(|mut stream, _| {
        read_head(&stream);
        let _ = stream.write_all(answer().as_bytes());
        servers::linger(&stream);
    });
    let row = paced(&closing, &[]);
    replaced(&row, &closing);
    assert!(row["backends"][0].get("kept").is_none(), "each answer came on a fresh one: {row}");
    let resetting = Server::start(|mut stream, _| {
        read_head(&stream);
        let _ = stream.write_all(answer().as_bytes());
        servers::reset(stream);
    });
    replaced(&paced(&resetting, &[]), &resetting);
}

#[test]
fn the_replacement_is_a_fresh_connection_in_every_count() {
    let server = Server::start(|mut stream, _| {
        for _ in 0..2 {
            read_head(&stream);
            let _ = stream.write_all(answer().as_bytes());
        }
        servers::linger(&stream);
    });
    let row = paced(&server, &[]);
    assert_eq!((&row["answers"], &row["connections"]), (&5.into(), &3.into()), "{row}");
    assert_eq!(row["transport"]["closed_while_idle"], 2, "{row}");
    let backend = &row["backends"][0];
    for kind in ["fresh", "kept"] {
        assert!(backend[kind]["histogram"].is_string(), "{kind}: {row}");
    }
    assert_eq!(backend["connections"], 3, "{row}");
    assert_eq!(row["addresses"][0]["connections"], 3, "{row}");
}

#[test]
fn an_idle_connection_that_nobody_touches_is_kept() {
    let server = Server::start(|mut stream, _| {
        while !read_head(&stream).is_empty() {
            let _ = stream.write_all(answer().as_bytes());
        }
    });
    let row = paced(&server, &[]);
    assert_eq!((&row["answers"], &row["connections"]), (&5.into(), &1.into()), "{row}");
    assert_eq!((server.accepted(), row.get("transport")), (1, None), "{row}");
}

/// HAProxy, nginx and Apache may say 408 before they close an idle connection.
#[test]
fn what_arrives_while_idle_is_not_the_next_answer() {
    let farewell = response("408 Request Timeout", "connection: close\r\n", "too slow");
    for close in [true, false] {
        let farewell = farewell.clone();
        let server = Server::start(move |mut stream, _| {
            read_head(&stream);
            let _ = stream.write_all(answer().as_bytes());
            // The timeout of the server, so that the farewell comes after the answer was read.
            thread::sleep(Duration::from_millis(60));
            let _ = stream.write_all(farewell.as_bytes());
            if close { servers::linger(&stream) } else { servers::linger_open(&stream) }
        });
        let row = paced(&server, &[]);
        assert_eq!((&row["answers"], &row["failed"]), (&5.into(), &0.into()), "{row}");
        assert_eq!(server.accepted(), 5, "{row}");
        // On a busy machine, it may come with the answer, or its end later.
        let [closed, unasked] = ["closed_while_idle", "unasked"]
            .map(|what| row["transport"][what].as_u64().unwrap_or(0));
        assert_eq!((closed + unasked, close || closed == 0), (4, true), "{row}");
    }
}

/// How a TLS server goes on after an answer.
#[derive(Clone, Copy, Debug)]
enum After {
    /// Ends TLS and TCP.
    Close,
    /// Ends TLS only.
    Notify,
    /// Ends TCP only.
    Cut,
    /// Says that it changes its key, as TLS 1.3 allows at any time.
    ChangeKey,
}

fn tls_server(config: Arc<ServerConfig>, after: After) -> Server {
    Server::start(move |mut stream, _| {
        let Ok(mut session) = ServerConnection::new(Arc::clone(&config)) else { return };
        let mut head = Vec::new();
        while session.complete_io(&mut stream).is_ok() {
            let mut part = [0; 4096];
            match session.reader().read(&mut part) {
                Ok(0) => return,
                Ok(length) => head.extend_from_slice(&part[..length]),
                Err(_) => {}
            }
            if !head.ends_with(b"\r\n\r\n") {
                continue;
            }
            head.clear();
            let _ = session.writer().write_all(answer().as_bytes());
            match after {
                After::Close | After::Notify => session.send_close_notify(),
                After::ChangeKey => session.refresh_traffic_keys().expect("TLS 1.3"),
                After::Cut => {}
            }
            while session.wants_write() && session.write_tls(&mut stream).is_ok() {}
            match after {
                After::Close | After::Cut => return servers::linger(&stream),
                After::Notify => return servers::linger_open(&stream),
                After::ChangeKey => {}
            }
        }
    })
}

fn paced_tls(server: &Server) -> Value {
    let target = format!("https://localhost:{}/", server.port());
    let resolve = format!("localhost:{}:127.0.0.1", server.port());
    let load = ["-n", "5", "-c", "1", "--rate", "5", "--reuse", "always", "-k"];
    row(&[&["-t", &target, "--resolve", &resolve], &load[..]].concat()).1
}

#[test]
fn the_end_of_tls_is_seen_while_idle_too() {
    let config = super::http2::tls_config(&[]);
    for after in [After::Close, After::Notify, After::Cut] {
        let server = tls_server(Arc::clone(&config), after);
        replaced(&paced_tls(&server), &server);
    }
}

#[test]
fn a_message_of_tls_is_not_the_end_and_no_data() {
    let server = tls_server(super::http2::tls_config(&[]), After::ChangeKey);
    let row = paced_tls(&server);
    assert_eq!((&row["answers"], &row["connections"]), (&5.into(), &1.into()), "{row}");
    assert!(row["transport"].get("closed_while_idle").is_none(), "{row}");
}

/// How a server ends a connection.
type End = fn(TcpStream);

/// Answers the first request of each connection, and ends it when the next one has arrived.
fn closing_late(asked: &Arc<AtomicU64>, end: End) -> Server {
    let asked = Arc::clone(asked);
    Server::start(move |mut stream, _| {
        read_head(&stream);
        asked.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(answer().as_bytes());
        if !read_head(&stream).is_empty() {
            asked.fetch_add(1, Ordering::SeqCst);
            end(stream);
        }
    })
}

#[test]
fn a_connection_that_ends_after_the_request_is_a_failure_with_its_likely_cause() {
    let ends: [(End, &str); 2] = [
        (
            |stream| drop(stream.shutdown(Shutdown::Both)),
            "the connection was closed before an answer",
        ),
        (servers::reset, "the connection was reset before an answer"),
    ];
    for (end, how) in ends {
        let asked = Arc::default();
        let server = closing_late(&asked, end);
        let row = paced(&server, &[]);
        assert_eq!((&row["answers"], &row["failed"]), (&3.into(), &2.into()), "{row}");
        assert_eq!(asked.load(Ordering::SeqCst), 5, "nothing is sent twice");
        assert!(row["transport"].get("closed_while_idle").is_none(), "{row}");
        let failures = row["failures"].as_array().expect("a list");
        assert_eq!(failures.len(), 1, "the idle time does not separate them: {row}");
        assert_eq!(failures[0]["kind"], "reset", "{row}");
        let what = failures[0]["what"].as_str().expect("a text");
        let (before, after) = what.split_once(", after ").expect(what);
        assert_eq!(before, how);
        assert!(
            after
                .ends_with(" without a request; the server's keep-alive timeout may be that short"),
            "{what}"
        );
        // Without a pause, that cannot be the cause.
        let target = server.target();
        let busy =
            super::probing::row(&["-t", &target, "-n", "4", "-c", "1", "--reuse", "always"]).1;
        assert_eq!((&busy["answers"], &busy["failed"]), (&2.into(), &2.into()), "{busy}");
        assert_eq!(busy["failures"][0]["what"], how, "{busy}");
    }
}

#[test]
fn a_connection_that_ends_long_after_the_request_has_another_cause() {
    let end: End = |stream| {
        thread::sleep(Duration::from_millis(1200));
        drop(stream);
    };
    let server = closing_late(&Arc::default(), end);
    let target = server.target();
    let load = ["-n", "2", "-c", "1", "--rate", "5", "--reuse", "always"];
    let row = row(&[&["-t", &target], &load[..]].concat()).1;
    assert_eq!((&row["answers"], &row["failed"]), (&1.into(), &1.into()), "{row}");
    assert_eq!(row["failures"][0]["what"], "the connection was closed before an answer", "{row}");
}

#[test]
fn a_connection_that_is_too_old_carries_no_further_request() {
    let server = Server::start(|mut stream, _| {
        while !read_head(&stream).is_empty() {
            let _ = stream.write_all(answer().as_bytes());
        }
    });
    // It was young when its last request ended.
    let row = paced(&server, &["--connection-lifetime", "150ms"]);
    assert_eq!((&row["answers"], &row["connections"]), (&5.into(), &5.into()), "{row}");
}
