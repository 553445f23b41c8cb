//! WebSockets, by a client not of ours (tungstenite), and plain TCP.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use rustix::process::Signal;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::{Echo, TAIL, header};
use crate::harness::{DEADLINE, wait_until};

fn open(address: SocketAddr, path: &str) -> (WebSocket<TcpStream>, Vec<(String, String)>) {
    let stream = TcpStream::connect(address).expect("echo listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let (socket, answer) = client(format!("ws://{address}{path}"), stream).expect("a handshake");
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()));
    (socket, headers.collect())
}

#[test]
fn a_websocket_is_told_who_answers_and_gets_its_messages_back() {
    let mut echo = Echo::start();
    let (mut socket, headers) = open(echo.address, "/chat");
    assert!(headers.contains(&("x-echo-pod".into(), "echo1-x".into())), "{headers:?}");
    let line = socket.read().expect("a message");
    assert_eq!(
        line,
        Message::text(format!("[URL: http://{}/chat{}", echo.address, TAIL.trim_end()))
    );
    for message in [
        Message::text("héllo"),
        Message::text(""),
        Message::binary(vec![0, 1, 255]),
        Message::binary(vec![7; 1 << 20]),
    ] {
        socket.send(message.clone()).expect("sent");
        assert_eq!(socket.read().expect("a message"), message);
    }
    socket.send(Message::Ping("p".into())).expect("sent");
    assert_eq!(socket.read().expect("a message"), Message::Pong("p".into()));
    assert_eq!(
        echo.counted("echo_requests_total", &["protocol=\"websocket\"", "class=\"1xx\""]),
        1.0
    );
    assert_eq!(echo.counted("echo_connections_open", &[]), 1.0, "an upgraded one is open still");

    let (mut polite, _) = open(echo.address, "/");
    polite.read().expect("the line");
    polite.close(None).expect("sent");
    while polite.read().is_ok() {}

    echo.process.signal(Signal::TERM);
    let Message::Close(Some(close)) = socket.read().expect("a message") else {
        panic!("not closed")
    };
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Away, "echo is stopping"));
    while socket.read().is_ok() {}
    assert_eq!(echo.process.wait(), 0);
}

#[test]
fn a_message_too_large_ends_the_websocket_alone() {
    let echo = Echo::start();
    let (mut socket, _) = open(echo.address, "/");
    socket.read().expect("the line");
    // Refused while it is sent, or when its answer is waited for.
    let sent = socket.send(Message::binary(vec![7; (1 << 20) + 1]));
    assert!(sent.is_err() || socket.read().is_err());
    assert!(echo.curl("/", &[]).ends_with(TAIL));
    wait_until("it is forgotten", || {
        (echo.counted("echo_connections_open", &[]) == 0.0).then_some(())
    });
}

#[test]
fn a_handshake_that_is_none_is_refused_by_somebody_known() {
    let echo = Echo::start();
    let said = echo
        .connect()
        .send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .rest_of_one();
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert_eq!(header(&said, "x-echo-pod"), Some("echo1-x"));
}

impl super::Raw {
    fn rest_of_one(&mut self) -> String {
        self.0.shutdown(Shutdown::Write).expect("its own side");
        self.rest()
    }
}

#[test]
fn plain_tcp_says_who_answers_and_sends_all_back() {
    let mut echo = Echo::with(&["--cluster", "kops", "--pod", "echo1-x", "--tcp-port", "0"], &[]);
    let address = echo.further("tcp");
    let connect = || {
        let stream = TcpStream::connect(address).expect("echo listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    };
    let line = format!("[URL: tcp://{address}{TAIL}");
    let mut stream = connect();
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(|n| [n as u8, (n >> 8) as u8]).collect();
    let mut writer = stream.try_clone().expect("a clone");
    let bytes = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&bytes).expect("echo reads");
        writer.shutdown(Shutdown::Write).expect("its own side");
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("to the end");
    writing.join().expect("written");
    assert!(got == [line.as_bytes(), &sent].concat(), "{} bytes", got.len());

    let mut resting = connect();
    let mut head = vec![0; line.len()];
    resting.read_exact(&mut head).expect("the line");
    assert_eq!(String::from_utf8_lossy(&head), line);
    echo.process.signal(Signal::TERM);
    assert_eq!(resting.read(&mut head).expect("closed in order"), 0);
    drop(resting);
    assert_eq!(echo.process.wait(), 0);
}
