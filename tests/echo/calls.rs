//! `/call`: an echo that calls others, and nobody else.

use std::sync::{Arc, Mutex};

use super::{Echo, TAIL, curl, header, json};
use crate::servers::{Server, linger, nobody, read_head, response};

fn caller(allowed: &str) -> Echo {
    Echo::with(&["--cluster", "kops", "--pod", "caller", "--allow-call", allowed], &[])
}

fn call(echo: &Echo, query: &[&str], flags: &[&str]) -> String {
    let url = format!("http://{}/call", echo.address);
    let mut all = vec!["-G"];
    query.iter().for_each(|pair| all.extend(["--data-urlencode", *pair]));
    all.extend(flags);
    curl(&url, &all)
}

const JSON: &str = "-HAccept: application/json";

#[test]
fn answers_are_nested_and_traces_go_on() {
    let last = Echo::start();
    let middle = caller(&last.address.to_string());
    let first = caller(&format!("{},{}", middle.address, last.address));
    let inner = format!("http://{}/end?x=1", last.address);
    let inner_encoded =
        inner.replace(':', "%3A").replace('/', "%2F").replace('?', "%3F").replace('=', "%3D");
    let to = format!("to=http://{}/call?n=2&to={inner_encoded}", middle.address);
    let trace = [
        "-Htraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "-Htracestate: a=b",
        "-Hbaggage: k=v",
        "-Hb3: 1-2-1",
        "-HX-B3-TraceId: 7",
        "-Hx-request-id: r",
        "-Hauthorization: s3cret",
        "-Hcookie: s3cret",
    ];
    let said = call(&first, &[&to], &[&[JSON], &trace[..]].concat());
    let reply = json(&said);
    assert_eq!(reply["pod"], "caller");
    let middle_reply = &reply["calls"][0]["reply"];
    assert_eq!(reply["calls"][0]["status"], 200, "{reply}");
    assert_eq!(middle_reply["pod"], "caller");
    assert_eq!(middle_reply["calls"].as_array().expect("two").len(), 2);
    let end = &middle_reply["calls"][1]["reply"];
    assert_eq!((&end["pod"], &end["url"]), (&"echo1-x".into(), &inner.clone().into()));
    for (name, value) in [
        ("tracestate", "a=b"),
        ("baggage", "k=v"),
        ("b3", "1-2-1"),
        ("x-b3-traceid", "7"),
        ("x-request-id", "r"),
    ] {
        assert_eq!(end["headers"][name][0], value, "{name} at the end of the chain");
    }
    assert!(end["headers"]["traceparent"][0].as_str().expect("text").starts_with("00-0af7"));
    assert!(
        end["headers"].get("authorization").is_none() && end["headers"].get("cookie").is_none()
    );

    let text = call(&first, &[&to], &[]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].ends_with("on [pod: caller] in [cluster: kops]"), "{text}");
    assert!(
        lines[1].starts_with("  [URL: http://") && lines[1].contains("[pod: caller]"),
        "{text}"
    );
    let end = format!("    [URL: {inner}{}", TAIL.trim_end());
    assert_eq!(lines[2..], [end.as_str(), end.as_str()]);
}

#[test]
fn without_a_list_it_is_a_path_like_any_other() {
    let echo = Echo::start();
    let said = echo.curl("/call?to=http://127.0.0.1:1/", &[]);
    assert!(said.ends_with(TAIL) && said.lines().count() == 1, "{said}");
}

#[test]
fn nobody_outside_the_list_is_called_not_even_by_redirect() {
    let forbidden = Server::start(|_, _| ());
    let away = format!("location: http://{}/secret\r\n", forbidden.target());
    let sender = Server::start(move |mut stream, _| {
        use std::io::Write as _;
        read_head(&stream);
        let _ = stream.write_all(response("302 Found", &away, "").as_bytes());
        linger(&stream);
    });
    let echo = caller(&sender.target());
    let reply = json(&call(&echo, &[&format!("to=http://{}/", sender.target())], &[JSON]));
    let error = reply["calls"][0]["error"].as_str().expect("a failure");
    assert!(error.contains("redirected, but") && error.contains("may not be called"), "{error}");

    for (to, status) in [
        (format!("http://{}/", forbidden.target()), "403"),
        (format!("http://{}@{}/", sender.target(), forbidden.target()), "400"),
        (format!("http://localhost:{}/", sender.port()), "403"),
        (format!("http://127.1:{}/", sender.port()), "403"),
        (format!("https://{}/", sender.target()), "400"),
        ("file:///etc/passwd".into(), "400"),
        ("nonsense".into(), "400"),
        (String::new(), "400"),
    ] {
        let said = call(&echo, &[&format!("to={to}")], &["-i"]);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {said}");
        assert_eq!(header(&said, "x-echo-pod"), Some("caller"), "{to}: {said}");
        assert!(!said.contains("root:"), "{said}");
    }
    assert_eq!(forbidden.accepted(), 0, "nobody came");
    assert_eq!(sender.accepted(), 1);
}

#[test]
fn redirects_within_the_list_are_followed_to_a_bound() {
    let end = Echo::start();
    let onward = format!("location: http://{}/there\r\n", end.address);
    let turns = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&turns);
    let sender = Server::start(move |mut stream, _| {
        use std::io::Write as _;
        let head = read_head(&stream);
        let looping = head[0].contains("/loop");
        seen.lock().expect("no panic holds it").push(head[0].clone());
        let location = if looping { "location: /loop\r\n" } else { &onward };
        let _ = stream.write_all(response("307 Temporary Redirect", location, "").as_bytes());
        linger(&stream);
    });
    let echo = caller(&format!("{},{}", sender.target(), end.address));
    let reply = json(&call(&echo, &[&format!("to=http://{}/", sender.target())], &[JSON]));
    assert_eq!(reply["calls"][0]["reply"]["pod"], "echo1-x", "{reply}");
    assert_eq!(reply["calls"][0]["url"], format!("http://{}/there", end.address));
    let reply = json(&call(&echo, &[&format!("to=http://{}/loop", sender.target())], &[JSON]));
    assert!(reply["calls"][0]["error"].as_str().expect("a failure").contains("more than 5 times"));
    assert_eq!(turns.lock().expect("no panic holds it").len(), 1 + 6);
}

#[test]
fn failures_and_strangers_are_told_apart() {
    let dead = nobody();
    let stranger = Server::start(crate::servers::answering(response(
        "418 I'm a teapot",
        "",
        "short\u{1b}[31m and stout",
    )));
    let echo = caller(&format!("{dead},{},localhost,no-such-name.invalid", stranger.target()));
    let first = |to: &str| json(&call(&echo, &[&format!("to={to}")], &[JSON]))["calls"][0].clone();
    let said = first(&format!("http://{dead}/"));
    assert!(said["error"].as_str().expect("a failure").starts_with("cannot connect"), "{said}");
    let said = first(&format!("http://{}/", stranger.target()));
    assert_eq!(
        (&said["status"], &said["text"]),
        (&418.into(), &"short\\u{1b}[31m and stout".into())
    );
    let said = first("http://no-such-name.invalid/");
    assert!(said["error"].as_str().expect("a failure").contains("cannot resolve"), "{said}");
    // A name that stands on the list, for any port.
    let said = first(&format!("http://localhost:{}/", stranger.port()));
    assert_eq!(said["status"], 418, "{said}");
    let loops = call(&echo, &[&format!("to=http://{dead}/")], &["-i", "-Hx-echo-depth: 4"]);
    assert!(loops.starts_with("HTTP/1.1 508 "), "{loops}");
    let many = call(&echo, &[&format!("to=http://{dead}/"), "n=33"], &["-i"]);
    assert!(many.starts_with("HTTP/1.1 400 ") && many.contains("from 1 to 32"), "{many}");
}
