//! Requests that no friend would send, over raw sockets: nothing of them is
//! reflected unclean, and the next request is answered as ever.

use super::{Echo, header, json};
use crate::harness::wait_until;

#[test]
fn control_characters_and_smuggled_headers_never_come_back() {
    let echo = Echo::start();
    let host = |value: &str| format!("GET / HTTP/1.0\r\nHost: {value}\r\n\r\n");
    let with = |line: &str| format!("GET / HTTP/1.0\r\nHost: h\r\n{line}\r\n\r\n");
    for request in [
        host("a\tb"),
        host("a\u{85}b\u{9b}31m"),
        host("x] on [pod: evil] in [cluster: mars]"),
        host("a\rx-evil: 1"),
        host("a\u{1b}[31m"),
        host("a\0b"),
        with("x-probe-id: a\tb"),
        with("x-probe-id: a\rx-evil: 1"),
        with(&format!("x-probe-id: {}", "a".repeat(129))),
        with("x-envoy-attempt-count: 99999999999999999999"),
        with("x-forwarded-proto: https\u{85}://evil/"),
        with("x-forwarded-client-cert: By=\"a\\\"\u{85};;,=,\""),
        "GET /\u{1}\u{1b} HTTP/1.0\r\n\r\n".into(),
        "GET /\u{85} HTTP/1.0\r\n\r\n".into(),
        "G\u{7}T / HTTP/1.0\r\n\r\n".into(),
        "\0\0\0\0\r\n\r\n".into(),
    ] {
        for accept in ["", "Accept: application/json\r\n"] {
            let request = request.replacen("HTTP/1.0\r\n", &format!("HTTP/1.0\r\n{accept}"), 1);
            let said = echo.connect().send(&request).rest();
            let clean = said.replace("\r\n", "").replace('\n', "");
            assert!(!clean.contains(char::is_control), "{request:?} got {said:?}");
            let (head, body) = said.split_once("\r\n\r\n").expect("a whole answer");
            assert_eq!(header(head, "x-evil"), None, "{request:?} got {said:?}");
            assert!(header(head, "x-echo-probe").is_none_or(|probe| probe.len() <= 128));
            if head.starts_with("HTTP/1.0 200") && accept.is_empty() {
                let line = echo_reply::TextLine::parse(body).expect("still the one line");
                assert_eq!((line.pod, line.cluster), ("echo1-x", "kops"), "{request:?}");
            }
        }
    }
    assert!(echo.curl("/", &[]).ends_with(super::TAIL), "it lives");
}

#[test]
fn a_forwarded_certificate_is_parsed() {
    let echo = Echo::start();
    let xfcc = "By=spiffe://a;Hash=00;Subject=\"CN=x,O=\\\"y;z\\\"\";URI=spiffe://b,By=spiffe://c";
    let flags = ["-HAccept: application/json", "-H", &format!("x-forwarded-client-cert: {xfcc}")];
    let reply = json(&echo.curl("/", &flags));
    assert_eq!(reply["xfcc"][0]["subject"], "CN=x,O=\"y;z\"");
    assert_eq!(reply["xfcc"][0]["uri"][0], "spiffe://b");
    assert_eq!(reply["xfcc"][1]["by"][0], "spiffe://c");
}

/// The most memory that echo ever used, in KiB.
pub(super) fn peak_memory(echo: &Echo) -> u64 {
    echo.process.peak_kib().expect("it lives")
}

#[test]
fn oversized_heads_and_bodies_are_refused_with_an_answer() {
    let echo = Echo::start();
    let big = "a".repeat(70_000);
    for request in [
        format!("GET / HTTP/1.1\r\nHost: h\r\nx-big: {big}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "x-many: 1\r\n".repeat(200)),
    ] {
        let said = echo.connect().send(request).rest();
        assert!(said.starts_with("HTTP/1.1 431 "), "{said}");
    }

    let before = peak_memory(&echo);
    // A body that is read away does not cost the connection; one that is too
    // large gets an answer that its sender can read, and does.
    let url = format!("http://{}/again", echo.address);
    let flags = ["-HExpect:", "--data-binary", "@-", "-w", "%{http_code} %{num_connects}\n"];
    let upload = |length: usize, more: &[&str]| {
        let mut shell = std::process::Command::new("sh");
        let script = format!("head -c {length} /dev/zero | curl -sSq --max-time 20 \"$@\"");
        shell.args(["-c", &script, "sh"]).args(flags).args(more);
        crate::harness::finish(&mut shell)
    };
    let said = upload(8 << 20, &[&url, &url]);
    assert!(said.stdout.contains("200 1\n") && said.stdout.contains("200 0\n"), "{said:?}");
    let said = upload(20 << 20, &[&url]);
    assert!(said.stdout.ends_with("413 1\n"), "{said:?}");
    let chunked = upload(20 << 20, &["-HTransfer-Encoding: chunked", &url]);
    assert!(chunked.stdout.ends_with("413 1\n"), "{chunked:?}");
    // Even a sender that reads only after it has sent all of it gets the answer.
    for head in ["Content-Length: 20971520", "Transfer-Encoding: chunked"] {
        let mut raw = echo.connect();
        raw.send(format!("PUT / HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n"));
        if head.ends_with("chunked") {
            raw.send("1400000\r\n");
        }
        raw.send(vec![b'0'; 20 << 20]);
        let (head, body) = raw.answer();
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert!(body.ends_with(super::TAIL), "{body}");
    }
    // Asked first, the server refuses before anything is sent.
    let asking = upload(20 << 20, &["-HExpect: 100-continue", "-v", &url]);
    assert!(asking.stdout.ends_with("413 1\n"), "{asking:?}");
    assert!(!asking.stderr.contains("100 Continue"), "{}", asking.stderr);
    let grown = peak_memory(&echo) - before;
    assert!(grown < 4096, "no body may be kept, but memory grew by {grown} KiB");
}

#[test]
fn a_tunnel_a_broken_chunk_and_half_a_request_do_no_harm() {
    let echo = Echo::start();
    let said = echo.connect().send("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").rest();
    assert!(said.starts_with("HTTP/1.1 501 "), "{said}");
    assert!(said.ends_with(&format!("[URL: http://a:443{}", super::TAIL)), "{said}");

    let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let said = echo.connect().send(chunked).rest();
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");

    for rude in [
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage",
    ] {
        echo.connect().send(rude);
    }
    wait_until("all of them are forgotten", || {
        echo.admin("/metrics").1.contains("\necho_connections_open 0\n").then_some(())
    });
    // A sender that has said all and closed its side is still answered: always,
    // not only when the server is faster than the news of it.
    for _ in 0..50 {
        let mut half = echo.connect();
        half.send("GET /half HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        half.0.shutdown(std::net::Shutdown::Write).expect("its own side");
        assert!(half.rest().contains("/half] on [pod: echo1-x]"));
    }
}

/// A small generator with a fixed seed (xorshift64*), so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

#[test]
fn mutated_requests_neither_stop_it_nor_come_back_unclean() {
    let echo = Echo::with(&["--cluster", "kops", "--pod", "echo1-x", "--faults"], &[]);
    let seeds: [&[u8]; 4] = [
        b"GET /a?status=201 HTTP/1.1\r\nHost: h\r\nx-probe-id: 7\r\nAccept: application/json\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"PUT / HTTP/1.0\r\nContent-Length: 3\r\nx-echo-fault: size=9\r\n\r\nabc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01h",
    ];
    let mut dice = Dice(20_250_101);
    for turn in 0..600 {
        let mut request = seeds[turn % seeds.len()].to_vec();
        for _ in 0..=dice.below(4) {
            let at = dice.below(request.len().max(1));
            if request.is_empty() {
                break;
            }
            match dice.below(4) {
                0 => request[at] = dice.below(256) as u8,
                1 => request.insert(at, b"\r\n\0\x1b :;=,\x85"[dice.below(10)]),
                2 => drop(request.remove(at)),
                _ => request.truncate(at),
            }
        }
        let mut raw = echo.connect();
        raw.send(&request);
        // Whatever is missing will not come.
        let _ = raw.0.shutdown(std::net::Shutdown::Write);
        let said = raw.rest();
        if said.starts_with("HTTP/1.") {
            let clean = said.replace("\r\n", "").replace('\n', "");
            assert!(!clean.contains(char::is_control), "turn {turn}: {request:?} got {said:?}");
        }
    }
    assert!(echo.curl("/", &[]).ends_with(super::TAIL), "it lives");
    wait_until("nothing is left of them", || {
        (echo.counted("echo_connections_open", &[]) == 0.0).then_some(())
    });
    assert!(!echo.process.said().contains("panicked"), "{}", echo.process.said());
}
