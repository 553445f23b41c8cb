//! What is said of odd HTTP/1.1 responses, which of them are answers all the same, and what the real curl
//! makes of them.

use std::io::Write as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::probing::{all_fail, row};
use crate::harness::finish;
use crate::servers::{self, Server, answering, line};

/// Stands for the echo's line in a response.
const ECHO: &str = "{echo}";

/// A response whose `{echo}` is the echo's line, and whose `{n}` is its length, in hexadecimal `{x}`.
fn filled(response: &str) -> String {
    let echo = line("p", "kops");
    let (n, x) = (echo.len().to_string(), format!("{:x}", echo.len()));
    response.replace("{n}", &n).replace("{x}", &x).replace(ECHO, &echo)
}

fn serving(response: &str) -> Server {
    Server::start(answering(filled(response)))
}

/// Whether curl 7.88 gives the body that was sent; `None` for another version.
fn curl_accepts(server: &Server) -> Option<bool> {
    let version = finish(Command::new("curl").arg("--version")).stdout;
    if !version.starts_with("curl 7.88.") {
        return None;
    }
    let said =
        finish(Command::new("curl").args(["-q", "-sS", "--max-time", "10", &server.target()]));
    Some(said.code == 0 && said.stdout == line("p", "kops"))
}

/// Responses, what is said of them, and whether curl accepts them.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, bool)] = &[
    ("SSH-2.0-OpenSSH_9.2\r\n",
     "not HTTP: the answer begins with \"SSH-2.0-OpenSSH_9.2\"", false),
    ("HTTP/3.0 200 OK\r\n\r\n{echo}",
     "the answer has the version \"HTTP/3.0\"; only HTTP/1.0 and HTTP/1.1 are possible here", false),
    ("HTTP/1.1 000 Odd\r\ncontent-length: {n}\r\n\r\n{echo}",
     "the status code 000 does not exist; status codes begin at 100", false),
    ("HTTP/1.1 1000 Odd\r\ncontent-length: {n}\r\n\r\n{echo}",
     "bad status line \"HTTP/1.1 1000 Odd\": the status code does not have three digits", false),
    ("HTTP/1.1 200 OK\r\nBad header\r\ncontent-length: {n}\r\n\r\n{echo}",
     "bad header \"Bad header\": the colon is missing", false),
    ("HTTP/1.1 200 OK\r\nX-A : 1\r\ncontent-length: {n}\r\n\r\n{echo}",
     "bad header \"X-A : 1\": a space is before the colon, which RFC 9112 (5.1) forbids", true),
    ("HTTP/1.1 200 OK\r\nX@A: 1\r\ncontent-length: {n}\r\n\r\n{echo}",
     "bad header \"X@A: 1\": the name has a character that is not allowed", true),
    ("HTTP/1.1 200 OK\r\nX-A: 1\r2\r\ncontent-length: {n}\r\n\r\n{echo}",
     "bad header \"X-A: 1\\r2\": a CR without LF is in it", true),
    ("HTTP/1.1 200 OK\r\nX-A: 1\0\r\ncontent-length: {n}\r\n\r\n{echo}",
     "bad header \"X-A: 1\\x00\": a control character is in it", false),
    ("HTTP/1.1 200 OK\r\n X-A: 1\r\ncontent-length: {n}\r\n\r\n{echo}",
     "bad header \" X-A: 1\": it begins with a space, but there is no header that it could continue", false),
    ("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n{echo}",
     "bad header Content-Length: \"-5\" is not a number of bytes", false),
    ("HTTP/1.1 200 OK\r\ncontent-length: +{n}\r\n\r\n{echo}",
     "bad header Content-Length: \"+{n}\" is not a number of bytes", true),
    ("HTTP/1.1 200 OK\r\ncontent-length: {n}, 13\r\n\r\n{echo}",
     "the response has two lengths: Content-Length is {n} and 13", true),
    ("HTTP/1.1 200 OK\r\ncontent-length: 13\r\ncontent-length: {n}\r\n\r\n{echo}",
     "the response has two lengths: Content-Length is 13 and {n}", true),
    ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n{x}\r\n{echo}\r\n0\r\n\r\n",
     "the response has Content-Length and Transfer-Encoding, which contradict each other", true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n{x}\r\n{echo}\r\n0\r\n\r\n",
     "Transfer-Encoding has chunked twice, which RFC 9112 (6.1) forbids", true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{x}\r\n{echo}\r\n0\r\n\r\n",
     "Transfer-Encoding has chunked twice, which RFC 9112 (6.1) forbids", true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n{x}\r\n{echo}\r\n0\r\n\r\n",
     "Transfer-Encoding is \"gzip, chunked\"; prober accepts only chunked, and asks for nothing else", false),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: {n}\r\n\r\n{echo}",
     "Transfer-Encoding is \"identity\"; prober accepts only chunked, and asks for nothing else", true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{x}\n{echo}\r\n0\r\n\r\n",
     "bad body: the line \"{x}\" of a chunked body ends with LF, not CRLF", true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{x}\r\n{echo}0\r\n\r\n",
     "bad body: \"0\" follows the content of a chunk, instead of a line end", false),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{echo}",
     "bad body: the chunk size \"fffffffffffffffff\" is too large", false),
];

#[test]
fn responses_that_break_the_rules_are_quoted() {
    for (response, what, by_curl) in REFUSED {
        let server = serving(response);
        let said = all_fail("protocol", &["-t", &server.target()]);
        assert_eq!(said, filled(what), "{response:?}");
        if let Some(accepted) = curl_accepts(&server) {
            assert_eq!(accepted, *by_curl, "curl: {response:?}");
        }
    }
}

/// Responses that are answers to both programs.
#[rustfmt::skip]
const ODD: &[&str] = &[
    // No reason; several spaces; LF alone; the same length twice; HTTP/1.0 with chunks.
    "HTTP/1.1 200\r\ncontent-length: {n}\r\n\r\n{echo}",
    "HTTP/1.1  200 OK\r\ncontent-length: {n}\r\n\r\n{echo}",
    "HTTP/1.1 200 OK\ncontent-length: {n}\n\n{echo}",
    "HTTP/1.1 200 OK\r\ncontent-length: {n}, {n}\r\n\r\n{echo}",
    "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\ncontent-length: {n}\r\n\r\n{echo}",
    "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{x}\r\n{echo}\r\n0\r\n\r\n",
    // Lines that continue on the next one.
    "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\t3\r\ncontent-length: {n}\r\n\r\n{echo}",
    "HTTP/1.1 103 Early Hints\r\nLink: a,\r\n b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n{echo}",
    // Chunks with an extension, spaces, and a trailer.
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{x};a=\"b\"\r\n{echo}\r\n0  \r\nX-T: 1\r\n\r\n",
];

#[test]
fn odd_responses_that_http_allows_are_answers() {
    for response in ODD {
        let server = serving(response);
        let (code, row) = row(&["-t", &server.target(), "-n", "4"]);
        assert_eq!((code, &row["answers"]), (0, &4.into()), "{response:?}: {row}");
        assert!(curl_accepts(&server).is_none_or(|accepted| accepted), "curl: {response:?}");
    }
}

#[test]
fn the_chunks_of_http_1_0_end_the_connection() {
    let headers = "connection: keep-alive\r\ntransfer-encoding: chunked";
    let server =
        serving(&format!("HTTP/1.0 200 OK\r\n{headers}\r\n\r\n{{x}}\r\n{ECHO}\r\n0\r\n\r\n"));
    let (code, row) = row(&["-t", &server.target(), "-n", "4", "-c", "1", "--reuse", "always"]);
    assert_eq!((code, &row["connections"]), (0, &4.into()), "{row}");
    assert!(row.get("transport").is_none(), "it is not kept in the first place: {row}");
}

#[test]
fn interim_responses_are_counted() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n\
                   HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let server =
        serving(&format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: {{n}}\r\n\r\n{ECHO}"));
    let (code, row) = row(&["-t", &server.target(), "-n", "4"]);
    assert_eq!((code, &row["answers"]), (0, &4.into()), "{row}");
    assert_eq!(row["transport"]["interim"], 12, "{row}");
}

#[test]
fn a_change_of_the_protocol_is_an_answer() {
    let upgrade =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
    // What follows is of another protocol, whatever the length says.
    let named =
        format!("{upgrade}x-echo-pod: p\r\nx-echo-cluster: kops\r\ncontent-length: 9\r\n\r\n\u{1}");
    let server = serving(&named);
    let (code, row) = row(&["-t", &server.target(), "-n", "4", "-c", "1", "--reuse", "always"]);
    assert_eq!((code, &row["answers"], &row["connections"]), (0, &4.into(), &4.into()), "{row}");
    assert_eq!(row["backends"][0]["pod"], "p", "{row}");
    assert!(row.get("transport").is_none(), "it is not an interim response: {row}");
    let server = serving(&format!("{upgrade}\r\n"));
    let what = all_fail("unidentified", &["-t", &server.target()]);
    assert_eq!(what, "101, but not an echo: no body");
}

#[test]
fn a_status_that_only_later_versions_may_define_is_the_servers_error() {
    for code in [600, 999] {
        let server = serving(&format!("HTTP/1.1 {code} Odd\r\ncontent-length: 2\r\n\r\nhi"));
        let what = all_fail("status", &["-t", &server.target()]);
        assert_eq!(what, format!("{code}: \"hi\""));
    }
}

/// What arrives in pieces is judged when its line is complete.
#[test]
fn half_a_line_is_not_judged() {
    let pieces = |first: &'static str, second: &'static str| {
        Server::start(move |mut stream, _| {
            let _ = stream.set_nodelay(true);
            servers::read_head(&stream);
            let _ = stream.write_all(first.as_bytes());
            thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(second.as_bytes());
            servers::linger(&stream);
        })
    };
    for (first, second, part) in [
        ("HTTP/1.1 200 OK\r\nX-A ", ": 1\r\n\r\n", "a space is before the colon"),
        (
            "HTTP/1.1 200 OK\r\nBad He",
            "ader: 1\r\n\r\n",
            "\"Bad Header: 1\": the name has a character",
        ),
        ("S", "SH-2.0-OpenSSH_9.2\r\n", "begins with \"SSH-2.0-OpenSSH_9.2\""),
        ("\u{15}", "\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}", "it expects TLS on this port"),
    ] {
        let server = pieces(first, second);
        let what = all_fail("protocol", &["-t", &server.target()]);
        assert!(what.contains(part), "{first:?} {second:?}: {what}");
    }
}

#[test]
fn bytes_that_no_request_asked_for_are_named() {
    let server = Server::start(|mut stream, _| {
        while !servers::read_head(&stream).is_empty() {
            let answer = format!(
                "{}GARBAGE",
                filled("HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n{echo}")
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let flags = ["-n", "6", "--reuse", "always", "-c", "1"];
    let (_, row) = row(&[&["-t", &server.target()], &flags[..]].concat());
    assert_eq!((&row["answers"], &row["connections"]), (&6.into(), &6.into()), "{row}");
    assert_eq!(row["transport"], serde_json::json!({"unasked": 6}), "{row}");
}
