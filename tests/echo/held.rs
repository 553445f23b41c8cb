//! Attacks that make echo hold something for each of many requests or connections: what is held
//! for all of them together is limited.

use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

use super::Echo;
use super::attacks::{UPGRADE, echo, send, survived, with_window, without_limit};
use super::floods::{CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PREFACE, REQUEST};
use super::floods::{SETTINGS, frame};
use crate::harness::wait_until;

/// The default limit of connections.
const ALL: usize = 1_500;

/// Sends this on many connections. A good client is served, and then nothing is left.
#[track_caller]
fn attack(name: &str, connections: usize, bytes: &[u8]) {
    let echo = echo();
    let each = connections.div_ceil(8);
    let held: Vec<_> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..each).map(|_| send(echo.address, bytes)).collect()))
            .collect();
        let sent = senders.into_iter().map(|sender| sender.join().expect("it ends"));
        sent.flat_map(|streams: Vec<TcpStream>| streams).collect()
    });
    survived(&echo, name);
    drop(held);
    nothing_is_left(&echo, name);
}

fn nothing_is_left(echo: &Echo, name: &str) {
    wait_until(name, || {
        (echo.counted("echo_connections_open", &[]) == 0.0
            && echo.counted("echo_requests_in_flight", &[]) == 0.0)
            .then_some(())
    });
}

fn request(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("{head}\r\nHost: h\r\n").as_bytes(), body].concat()
}

#[test]
fn long_half_heads() {
    let field = format!("x-long: {}\r\n", "a".repeat(1_000));
    attack("60 kB of a head", ALL, &request("GET / HTTP/1.1", field.repeat(60).as_bytes()));
}

#[test]
fn half_bodies() {
    let rest = [b"Content-Length: 1000000\r\n\r\n", &[b'a'; 500_000][..]].concat();
    attack("half bodies", ALL, &request("POST / HTTP/1.1", &rest));
}

#[test]
fn bodies_that_are_to_be_returned() {
    let rest = [b"x-echo-body: 1\r\nContent-Length: 65536\r\n\r\n", &[0; 65_000][..]].concat();
    attack("half bodies that are to be returned", ALL, &request("POST / HTTP/1.1", &rest));
}

#[test]
fn long_answers_that_nobody_reads() {
    let long = format!("Accept: application/json\r\nx-long: {}\r\n\r\n", "a".repeat(40_000));
    let one = request("GET / HTTP/1.1", long.as_bytes());
    attack("long answers of HTTP/1", ALL, &one.repeat(4));
}

#[test]
fn half_messages_of_websockets() {
    let length = (1_u64 << 20).to_be_bytes();
    let message = [UPGRADE, b"\x82\xff", &length, b"\0\0\0\0", &[b'a'; 1_000_000]].concat();
    attack("half messages of WebSockets", 200, &message);
}

#[test]
fn many_answers_that_may_not_be_sent() {
    attack("small answers of HTTP/2", ALL, &with_window(0, 100));
    attack("small answers of HTTP/2, of which a byte may be sent", ALL, &with_window(1, 100));
}

#[test]
fn long_answers_that_may_not_be_sent() {
    let json = b"\x00\x06accept\x10application/json";
    // A value of 4,000 bytes in the table, and then only its number.
    let stored = [REQUEST, b"\x40\x01a\x7f\xa1\x1e", &[b'a'; 4000]].concat();
    let first = frame(HEADERS, END_HEADERS | END_STREAM, 1, &stored);
    let further = (1..100_u32).flat_map(|number| {
        let head = [REQUEST, json, &[0xbe; 14]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &head)
    });
    for window in [0_u8, 1] {
        let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, window]);
        let bytes = [PREFACE, &settings, &first, &further.clone().collect::<Vec<_>>()].concat();
        attack("long answers of HTTP/2", 40, &bytes);
    }
}

#[test]
fn half_heads_of_http_2() {
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, REQUEST);
    let half = frame(HEADERS, END_STREAM, 3, REQUEST);
    let value = [b"\x00\x01a\x7f\x81\x7c", &[b'a'; 16_000][..]].concat();
    let more = frame(CONTINUATION, 0, 3, &value).repeat(3);
    let settings = frame(SETTINGS, 0, 0, &[]);
    attack("half heads of HTTP/2", ALL, &[PREFACE, &settings, &whole, &half, &more].concat());
}

/// Sends nearly all of a message of 1 MiB in each call, as fast as echo takes it.
async fn half_calls(address: std::net::SocketAddr, calls: usize) -> Option<()> {
    let stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, Bytes>(stream)
        .await
        .ok()?;
    let driver = tokio::spawn(connection);
    let mut open = Vec::new();
    for _ in 0..calls {
        let call = http::Request::post("http://h/echo.v1.EchoService/Echo");
        let call = call.header("content-type", "application/grpc").body(()).ok()?;
        sender = sender.ready().await.ok()?;
        let (answer, mut body) = sender.send_request(call, false).ok()?;
        let length = ((1_u32 << 20) - 5).to_be_bytes();
        let message = [&[0][..], &length, &[b'a'; 1_000_000]].concat();
        body.send_data(message.into(), false).ok()?;
        open.push((answer, body));
    }
    let _ = driver.await;
    None
}

#[test]
fn half_messages_of_grpc() {
    // The gRPC library reserves a megabyte for each message, of which most is never written to.
    let echo = without_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let all = (0..10).map(|_| tokio::spawn(half_calls(echo.address, 90))).collect::<Vec<_>>();
        let _ = tokio::time::timeout(Duration::from_secs(4), async {
            for one in all {
                let _ = one.await;
            }
        })
        .await;
        // The connections stay open meanwhile.
        survived(&echo, "half messages of gRPC");
    });
    nothing_is_left(&echo, "half messages of gRPC");
}
