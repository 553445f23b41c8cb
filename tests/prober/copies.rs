//! Answers that were not made for the request: copies from caches and mirrors. And the attempts of
//! Envoys, wherever they are stated.

use std::io::Write as _;
use std::sync::Mutex;

use serde_json::Value;

use super::probing::{all_fail, row};
use crate::harness::run;
use crate::servers::{self, Server, answering, line, response};

const WHOAMI: &str = "Hostname: whoami-7\nIP: 127.0.0.1\nGET / HTTP/1.1\r\nHost: who\r\n";

/// Answers, and copies, of all requests.
fn answers_and_copies(row: &Value) -> (u64, u64) {
    let failures = row["failures"].as_array().expect("a list").iter();
    let copies = failures.filter(|failure| failure["copy"] == true);
    let count = |failure: &Value| failure["count"].as_u64().expect("a count");
    (row["answers"].as_u64().expect("a count"), copies.map(count).sum())
}

fn probe_id(head: &[String]) -> &str {
    head.iter().find_map(|line| line.strip_prefix("x-probe-id: ")).expect("an id")
}

#[test]
fn a_kept_body_is_a_copy_for_every_request_but_its_own() {
    // A cache that says nothing: the first answer is given to all later requests.
    let kept = Mutex::new(None);
    let server = Server::start(move |mut stream, _| {
        let head = servers::read_head(&stream);
        let make = || format!("{WHOAMI}X-Probe-Id: {}\r\n\r\n", probe_id(&head));
        let body = kept.lock().expect("no panic").get_or_insert_with(make).clone();
        let _ = stream.write_all(response("200 OK", "", &body).as_bytes());
        servers::linger(&stream);
    });
    let args = ["-t", &server.target(), "-n", "10", "--identify=whoami", "-e", "only <unknown>"];
    let (_, found) = row(&args);
    assert_eq!(answers_and_copies(&found), (1, 9), "{found}");
    let what = found["failures"][0]["what"].as_str().expect("a text");
    assert_eq!(what, "a copy: it answers another request (its body has another x-probe-id)");
}

/// An application may count the age of its own data.
#[test]
fn a_body_with_the_id_of_the_request_is_no_copy_whatever_the_headers_say() {
    let server = Server::start(|mut stream, _| {
        let head = servers::read_head(&stream);
        let body = format!("{WHOAMI}X-Probe-Id: {}\r\n\r\n", probe_id(&head));
        let _ = stream.write_all(response("200 OK", "age: 12\r\n", &body).as_bytes());
        servers::linger(&stream);
    });
    let (_, found) = row(&["-t", &server.target(), "-n", "10", "--identify=whoami"]);
    assert_eq!(answers_and_copies(&found), (10, 0), "{found}");
}

/// An error that a cache kept says nothing about the backend that it names.
#[test]
fn a_kept_error_blames_no_pod() {
    let headers = "x-echo-pod: p1\r\nx-echo-cluster: c1\r\nx-cache: HIT\r\nage: 20\r\n";
    let server = Server::start(answering(response("500 Internal Server Error", headers, "gone")));
    let (code, found) = row(&["-t", &server.target(), "-n", "10"]);
    assert_eq!((code, answers_and_copies(&found)), (1, (0, 10)), "{found}");
    assert_eq!(found.get("failed_by"), None, "{found}");
}

/// A request that failed at its third attempt was retried, and failed all the same.
#[test]
fn the_retries_of_failures_count() {
    let server = Server::start(move |mut stream, n| {
        servers::read_head(&stream);
        let answer = match n % 4 {
            0 => response("503 Service Unavailable", "x-envoy-attempt-count: 3\r\n", "busy"),
            _ => response("200 OK", "x-envoy-attempt-count: 1\r\n", &line("p-7", "kops")),
        };
        let _ = stream.write_all(answer.as_bytes());
        servers::linger(&stream);
    });
    let flags = ["-t", &server.target(), "-n", "40", "-c", "1", "-e", "retried = 0"];
    let said = run("prober", flags);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("retried = 0: the mesh retried 10 of 40 requests"), "{said:?}");
    assert!(said.stdout.contains("10 failed, 10 retried by the mesh"), "{said:?}");
    let nobody = servers::nobody().to_string();
    let said = run("prober", ["-t", &nobody, "-n", "5"]);
    assert!(said.stdout.contains("5 failed, retries not reported"), "{said:?}");
}

#[test]
fn a_cache_that_says_so_is_believed() {
    let (text, echo) = (line("p-7", "kops"), "x-echo-pod: p-7\r\nx-echo-cluster: kops\r\n");
    for (headers, sign) in [
        ("Age: 7\r\n", "Age: 7"),
        ("X-Cache: Hit from cloudfront\r\n", "X-Cache: Hit from cloudfront"),
        ("x-cache: MISS\r\nx-cache: HIT\r\n", "x-cache: HIT"),
        ("Age: 0\r\nCF-Cache-Status: REVALIDATED\r\n", "CF-Cache-Status: REVALIDATED"),
        (
            "Cache-Status: Edge; fwd=miss, Shield; hit\r\n",
            "Cache-Status: Edge; fwd=miss, Shield; hit",
        ),
    ] {
        for headers in [headers.to_owned(), format!("{echo}{headers}")] {
            let server = Server::start(answering(response("200 OK", &headers, &text)));
            let what = all_fail("unidentified", &["-t", &server.target()]);
            assert_eq!(what, format!("a copy: {sign} (a cache on the path answered)"));
        }
    }
    for headers in ["Age: 0\r\nX-Cache: MISS from hit.example\r\n", "CF-Cache-Status: DYNAMIC\r\n"]
    {
        let server = Server::start(answering(response("200 OK", headers, &text)));
        let (code, found) = row(&["-t", &server.target(), "-n", "4"]);
        assert_eq!((code, answers_and_copies(&found)), (0, (4, 0)), "{found}");
    }
}

#[test]
fn a_copy_is_named_with_its_remedy() {
    let answer = response("200 OK", "X-Cache: HIT\r\n", &line("p-7", "kops"));
    let server = Server::start(answering(answer));
    let said = run("prober", ["-t", &server.target(), "-n", "4", "-e", "only kops"]);
    assert_eq!(said.code, 1, "a copy proves nothing: {said:?}");
    assert!(said.stderr.contains("A cache or a mirror on the path"), "{said:?}");
}

#[test]
fn the_id_of_the_request_tells_an_answer_from_a_copy() {
    for (header, ours) in [("x-echo-probe", true), ("X-Probe-Id", true), ("X-Probe-Id", false)] {
        let server = Server::start(move |mut stream, _| {
            let head = servers::read_head(&stream);
            let id = if ours { probe_id(&head) } else { "1-2-000000000003" };
            let headers = format!("{header}: {id}\r\nAge: 9\r\n");
            let _ = stream.write_all(response("200 OK", &headers, &line("p", "kops")).as_bytes());
            servers::linger(&stream);
        });
        let (_, found) = row(&["-t", &server.target(), "-n", "4"]);
        let right = if ours { (4, 0) } else { (0, 4) };
        assert_eq!(answers_and_copies(&found), right, "{header}: {found}");
    }
}

#[test]
fn a_number_that_repeats_on_a_connection_is_that_of_a_copy() {
    for (counts, right) in [(true, (12, 0)), (false, (3, 9))] {
        let server = Server::start(move |mut stream, connection| {
            let mut request = 1;
            while !servers::read_head(&stream).is_empty() {
                let headers = format!(
                    "x-echo-pod: p\r\nx-echo-cluster: kops\r\nx-echo-connection: c-{connection}\r\n\
                     x-echo-request: {request}\r\n"
                );
                let _ = stream.write_all(response("200 OK", &headers, "").as_bytes());
                request += u64::from(counts);
            }
        });
        let target = server.target();
        let (_, found) = row(&["-t", &target, "-n", "12", "-c", "1", "--reuse", "4"]);
        assert_eq!(found["connections"], 3, "{found}");
        assert_eq!(answers_and_copies(&found), right, "{found}");
        if !counts {
            let what = found["failures"][0]["what"].as_str().expect("a text");
            assert_eq!(what, "a copy: its x-echo-request was on this connection before");
        }
    }
}

#[test]
fn attempts_are_read_wherever_they_are_stated_and_the_larger_one_counts() {
    let api = r#"{"hostname":"w","headers":{"X-Envoy-Attempt-Count":["2"]}}"#.to_owned();
    let basic =
        r#"{"pod":"w","namespace":"n","headers":{"X-Envoy-Attempt-Count":["2"]}}"#.to_owned();
    let istio = "Hostname=w\nRequestHeader=X-Envoy-Attempt-Count:2\n".to_owned();
    let whoami = |attempt: u64| format!("{WHOAMI}X-Envoy-Attempt-Count: {attempt}\r\n\r\n");
    let of_echo = |attempt: u64| {
        format!("x-echo-pod: p\r\nx-echo-cluster: c\r\nx-echo-attempt: {attempt}\r\n")
    };
    let of_envoy = |attempt: u64| format!("X-Envoy-Attempt-Count: {attempt}\r\n");
    for (headers, body, identify, retried) in [
        (of_envoy(3), line("p", "c"), None, true),
        (of_envoy(1), line("p", "c"), None, false),
        (of_echo(1) + &of_envoy(2), String::new(), None, true),
        (of_echo(2) + &of_envoy(1), String::new(), None, true),
        (of_echo(1) + &of_envoy(1), String::new(), None, false),
        (String::new(), whoami(2), Some("whoami"), true),
        (String::new(), whoami(1), Some("whoami"), false),
        (of_envoy(2), whoami(1), Some("whoami"), true),
        (of_envoy(1), whoami(2), Some("whoami"), true),
        (String::new(), api, Some("whoami"), true),
        (String::new(), basic, Some("echo-basic"), true),
        (String::new(), istio, Some("istio-echo"), true),
    ] {
        let server = Server::start(answering(response("200 OK", &headers, &body)));
        let target = server.target();
        let mut args = vec!["-t", &target, "-n", "4", "-e", "retried = 0"];
        args.extend(identify.into_iter().flat_map(|preset| ["--identify", preset]));
        let (code, found) = row(&args);
        let count = if retried { 4 } else { 0 };
        assert_eq!(
            (code, &found["retried"]),
            (i32::from(retried), &count.into()),
            "{headers}{body}"
        );
    }
}
