//! Faults on request, as real curl sees them.

use std::time::{Duration, Instant};

use super::{Echo, TAIL, header, json};
use crate::harness::{Said, finish, wait_until};

fn faulty() -> Echo {
    Echo::with(&["--cluster", "kops", "--pod", "echo1-x", "--faults"], &[])
}

/// curl, which may fail.
fn ask(echo: &Echo, path: &str, flags: &[&str]) -> Said {
    let mut curl = std::process::Command::new("curl");
    let url = format!("http://{}{path}", echo.address);
    finish(curl.args(["-sS", "-q", "--max-time", "20", "-i"]).args(flags).arg(url))
}

/// curl's exit codes: the server sent nothing, less than it promised, or broke a stream.
const NOTHING: i32 = 52;
const PARTIAL: i32 = 18;
const STREAM: i32 = 92;

#[test]
fn without_the_flag_faults_are_ignored_and_it_says_so() {
    let echo = Echo::start();
    for (path, flags) in
        [("/?status=503&abort=before", &[][..]), ("/", &["-Hx-echo-fault: delay=1h"])]
    {
        let said = ask(&echo, path, flags);
        assert!(said.stdout.starts_with("HTTP/1.1 200 "), "{said:?}");
        assert_eq!(header(&said.stdout, "x-echo-faults"), Some("off"), "{said:?}");
        assert!(said.stdout.ends_with(TAIL), "{said:?}");
    }
    let said = ask(&echo, "/?other=1", &[]).stdout;
    assert_eq!(header(&said, "x-echo-faults"), None, "{said}");
}

#[test]
fn statuses_come_as_they_are_weighted() {
    let echo = faulty();
    let said = ask(&echo, "/?status=503", &[]).stdout;
    assert!(said.starts_with("HTTP/1.1 503 ") && said.ends_with(TAIL), "{said}");
    assert_eq!(header(&said, "x-echo-faults"), Some("status=503"));
    let said = ask(&echo, "/", &["-Hx-echo-fault: status=204"]).stdout;
    assert!(said.starts_with("HTTP/1.1 204 ") && said.ends_with("\r\n\r\n"), "{said}");
    assert_eq!(header(&said, "content-length"), None, "{said}");

    // 200 draws with chance 1/2: fewer than 50 or more than 150 come once in 10^12.
    let url = format!("http://{}/?status=500:10,200:10&i=[1-200]", echo.address);
    let codes = super::curl(&url, &["-o", "/dev/null", "-w", "%{http_code}\n"]);
    let failed = codes.lines().filter(|code| code.starts_with("500")).count();
    assert!((50..=150).contains(&failed), "{failed} of 200: {codes}");
    assert_eq!(codes.lines().count(), 200, "a status costs no connection");
    let text = echo.admin("/metrics").1;
    assert_eq!(echo.counted("echo_requests_total", &["5xx"]) as usize, failed + 1, "{text}");
}

#[test]
fn delays_and_drips_take_their_time() {
    let echo = faulty();
    for (path, least) in
        [("/?delay=300ms", 300), ("/?delay=200ms-250ms", 200), ("/?drip=300ms", 250)]
    {
        let start = Instant::now();
        let said = ask(&echo, path, &[]).stdout;
        let took = start.elapsed();
        assert!(said.ends_with(TAIL), "{said}");
        assert!(took >= Duration::from_millis(least), "{path} took {took:?}");
    }
}

#[test]
fn answers_break_off_before_or_in_their_body() {
    let echo = faulty();
    assert_eq!(ask(&echo, "/?abort=before", &[]).code, NOTHING);
    let said = ask(&echo, "/?abort=body", &[]);
    assert_eq!(said.code, PARTIAL, "{said:?}");
    assert!(
        said.stdout.contains("\r\n\r\n[URL: http://") && !said.stdout.contains("kops]"),
        "{said:?}"
    );
    for path in ["/?abort=before", "/?abort=body"] {
        let said = ask(&echo, path, &["--http2-prior-knowledge"]);
        assert!([STREAM, PARTIAL, 56].contains(&said.code), "{path}: {said:?}");
    }
    assert!(echo.curl("/", &[]).ends_with(TAIL), "it lives");
    wait_until("nothing stays in flight", || {
        (echo.counted("echo_requests_in_flight", &[]) == 0.0).then_some(())
    });
}

#[test]
fn bodies_have_any_size_and_are_never_held() {
    let echo = faulty();
    let size = |path: &str, flags: &[&str]| {
        let flags = [&["-o", "/dev/null", "-w", "%{size_download} %header{content-length}"], flags];
        echo.curl(path, &flags.concat())
    };
    for bytes in ["0", "5", "100000", "200000000"] {
        let said = size(&format!("/?size={bytes}"), &[]);
        assert_eq!(said.split(' ').next(), Some(bytes), "{said}");
    }
    let grown = super::hostile::peak_memory(&echo);
    assert!(grown < 64 << 10, "200 MB were sent with {grown} KiB");
    let said = ask(&echo, "/?size=200", &[]).stdout;
    assert!(said.ends_with("xxx") && said.contains("] on [pod: echo1-x]"), "{said}");
}

#[test]
fn a_connection_can_be_closed_after_its_answer() {
    let echo = faulty();
    for flags in [&["--http1.1"][..], &["--http2-prior-knowledge"]] {
        let url = format!("http://{}/?close", echo.address);
        let plain = format!("http://{}/", echo.address);
        let said = super::curl(
            &plain,
            &[flags, &["-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", &url]]
                .concat(),
        );
        assert_eq!(said, "1 1 ", "{flags:?}");
    }
    let said = echo.connect().send("GET /?close HTTP/1.1\r\nHost: h\r\n\r\n").rest();
    assert_eq!(header(&said, "connection"), Some("close"));
}

#[test]
fn it_is_unready_for_a_time_and_serves_on() {
    let echo = faulty();
    echo.curl("/?unready=600ms", &[]);
    assert_eq!(echo.admin("/readyz").0, "503");
    assert!(echo.curl("/", &[]).ends_with(TAIL));
    wait_until("it is ready again", || (echo.admin("/readyz").0 == "200").then_some(()));
}

#[test]
fn what_cannot_be_had_is_told_in_one_line() {
    let echo = faulty();
    for (path, flags, parts) in [
        ("/?delay=abc", &[][..], &["delay", "\"abc\"", "100ms-2s"][..]),
        ("/?status=99", &[], &["status", "200 to 599"]),
        ("/", &["-Hx-echo-fault: slow=1"], &["\"slow\"", "delay, status, abort"]),
        ("/?abort=%1b%5b31m", &[], &["before or body"]),
    ] {
        let said = ask(&echo, path, flags).stdout;
        assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
        let (head, body) = said.split_once("\r\n\r\n").expect("a whole answer");
        assert_eq!(header(head, "x-echo-pod"), Some("echo1-x"));
        assert_eq!(body.lines().count(), 1, "{body}");
        assert!(!body.trim_end().contains(char::is_control), "{body:?}");
        for part in parts {
            assert!(body.contains(part), "{part} is missing in {body}");
        }
    }
}

#[test]
fn a_body_is_returned_on_request() {
    let echo = Echo::start();
    let accept = "-HAccept: application/json";
    let reply = json(&echo.curl("/", &[accept, "-Hx-echo-body: 1", "-dhello"]));
    assert_eq!((&reply["body"]["text"], &reply["body"]["length"]), (&"hello".into(), &5.into()));
    assert!(json(&echo.curl("/", &[accept, "-dhello"])).get("body").is_none());
    let large = "a".repeat(100_000);
    let reply = json(&echo.curl("/", &[accept, "-Hx-echo-body: 1", "-d", &large]));
    assert_eq!(reply["body"]["length"], 100_000);
    assert_eq!(reply["body"]["text"].as_str().expect("text").len(), 64 << 10);
}
