//! Texts of clients and of called servers in what echo answers and logs: shown as their codes, so that
//! no line steers a terminal, hides, or is a command for a CI system, and prober reads the line back.

use echo_reply::TextLine;

use super::{Echo, curl, json};
use crate::harness::wait_until;
use crate::servers::{Server, answering, response};

const EVIL: &str = "h ::error::a ##[error]b ##vso[c\u{1b}[2J\u{9b}\u{202e}d\u{200b}\u{feff}e";
const SHOWN: &str = "h \\u{3a}:error::a ##\\u{5b}error]b ##vso\\u{5b}c\\u{1b}[2J\\u{9b}\\u{202e}d\
    \\u{200b}\\u{feff}e";

#[track_caller]
fn harmless(text: &str) {
    for line in text.lines() {
        let hidden = |c: char| {
            c.is_control() || matches!(u32::from(c), 0x200b..=0x200f | 0x2028..=0x202e | 0xfeff)
        };
        assert!(!line.contains(hidden), "{line:?}");
        assert!(!line.trim_start().starts_with("::"), "{line:?}");
        assert!(!line.contains("##[") && !line.contains("##vso["), "{line:?}");
    }
}

#[test]
fn texts_of_a_client_are_shown_as_codes_in_answers_and_logs() {
    let echo = Echo::start();
    // No header may hold ESC.
    let (host, shown) = (EVIL.replace('\u{1b}', "\t"), SHOWN.replace("\\u{1b}", "\\u{9}"));
    let ask = |accept: &str| {
        let head = format!(
            "GET /p HTTP/1.1\r\nhost: {host}\r\nx-a: {host}\r\n{accept}connection: close\r\n\r\n"
        );
        let said = echo.connect().send(head).rest();
        said.split_once("\r\n\r\n").expect("a head").1.to_owned()
    };
    let text = ask("");
    harmless(&text);
    let line = TextLine::parse(&text).expect("still the one line");
    assert_eq!((line.pod, line.cluster), ("echo1-x", "kops"));
    assert_eq!(line.url, format!("http://{shown}/p"));
    let reply = json(&ask("accept: application/json\r\n"));
    assert_eq!((&reply["headers"]["x-a"][0], &reply["url"]), (&shown.into(), &line.url.into()));
    let logged = wait_until("both are logged", || {
        let said = echo.process.said();
        (said.matches("/p").count() >= 2).then_some(said)
    });
    harmless(&logged);
}

#[test]
fn addresses_in_headers_stay_as_they_are() {
    let echo = Echo::start();
    let forwarded = "::1, ::ffff:10.0.0.1";
    let reply = json(&echo.curl(
        "/",
        &["-HAccept: application/json", "-H", &format!("x-forwarded-for: {forwarded}")],
    ));
    assert_eq!(reply["headers"]["x-forwarded-for"][0], forwarded);
}

#[test]
fn texts_of_a_called_server_are_shown_as_codes() {
    let stranger = Server::start(answering(response("200 OK", "", EVIL)));
    let flags = ["--cluster", "kops", "--pod", "caller", "--allow-call", &stranger.target()];
    let echo = Echo::with(&flags, &[]);
    let url = format!("http://{}/call", echo.address);
    let to = format!("to=http://{}/", stranger.target());
    let text = curl(&url, &["-G", "--data-urlencode", &to]);
    harmless(&text);
    assert!(text.contains(&format!("answered 200: {SHOWN}")), "{text}");
    for wrong in ["to=::error::x##[y]\u{1b}\u{202e}", "x-::error::##[y]=\u{202e}"] {
        harmless(&curl(&url, &["-G", "--data-urlencode", wrong]));
    }
}
