//! What one request to `/call` may cost: calls in all, however they are nested, and time,
//! memory and connections of the echo that makes them.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::hostile::peak_memory;
use super::{Echo, curl, json};
use crate::harness::wait_until;
use crate::servers::{Server, linger, read_head, response};

const JSON: &str = "-HAccept: application/json";

/// An echo that may call every port of loopback.
fn caller() -> Echo {
    Echo::with(&["--cluster", "kops", "--allow-call", "127.0.0.1"], &[])
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Three echoes that call each other in a ring.
struct Ring([Echo; 3]);

impl Ring {
    fn start() -> Self {
        Self([(); 3].map(|()| caller()))
    }

    /// The path of a request that goes round: each echo calls the next one `n` times.
    fn path(&self, n: u32, depth: usize) -> String {
        (0..depth).rev().fold("/end".to_owned(), |path, place| {
            let next = self.0[(place + 1) % 3].address;
            format!("/call?n={n}&to={}", encoded(&format!("http://{next}{path}")))
        })
    }

    /// The requests that all have answered.
    fn answered(&self) -> u64 {
        let of = |echo: &Echo| echo.counted("echo_requests_total", &[]);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let all = self.0.iter().map(of).sum::<f64>() as u64;
        all
    }

    /// The calls that a request causes in all, and the answer to it.
    fn calls(&self, path: &str, flags: &[&str]) -> (u64, String) {
        let before = self.answered();
        let said = self.0[0].curl(path, flags);
        (self.answered() - before - 1, said)
    }
}

#[test]
fn a_ring_of_echoes_makes_64_calls_in_all() {
    let ring = Ring::start();
    for n in [1, 2, 3, 4, 8, 31, 32] {
        for depth in 1..=4 {
            let (calls, said) = ring.calls(&ring.path(n, depth), &[JSON]);
            assert!(calls <= 64, "n={n} {depth} deep: {calls} calls");
            let asked: u64 = (1..=u32::try_from(depth).expect("small"))
                .map(|level| u64::from(n).pow(level))
                .sum();
            assert!(calls >= asked.min(n.into()), "n={n} {depth} deep: only {calls} calls");
            if asked <= 64 {
                assert_eq!(calls, asked, "n={n} {depth} deep");
            }
            let refused = said.contains("a request may cause 64 calls in all");
            assert_eq!(refused, asked > 64, "n={n} {depth} deep: {said}");
            if refused {
                assert!(said.contains("\"status\":429"), "{said}");
            }
        }
    }
}

#[test]
fn no_client_raises_its_budget_but_it_may_lower_it() {
    let ring = Ring::start();
    let path = ring.path(8, 4);
    for (flags, most) in [
        (&["-Hx-echo-calls-left: 1000000"][..], 64),
        (&["-Hx-echo-calls-left: 99999999999999999999"], 64),
        (&["-Hx-echo-calls-left: 9"], 9),
        (&["-Hx-echo-calls-left: 64", "-Hx-echo-calls-left: 8"], 8),
        (&["--http2-prior-knowledge", "-Hx-echo-calls-left: 1000000", "-Hx-echo-depth: 0"], 64),
        (&["--http2-prior-knowledge", "-XPOST", "-dx"], 64),
    ] {
        let (calls, _) = ring.calls(&path, flags);
        assert!((8..=most).contains(&calls), "{flags:?}: {calls} calls");
    }
    for (left, status, line) in [
        ("7", "429", "n=8 needs more than the 7 that are left here; write a smaller n"),
        ("0", "429", "n=8 needs more than the 0 that are left here"),
        ("-1", "400", "x-echo-calls-left is not a number from 0 to 64; remove the header"),
        ("many", "400", "x-echo-calls-left is not a number"),
    ] {
        let header = format!("-Hx-echo-calls-left: {left}");
        let (calls, said) = ring.calls(&path, &["-w", " %{http_code}", &header]);
        assert_eq!(calls, 0, "{left}");
        assert!(said.contains(line) && said.ends_with(&format!("\n {status}")), "{left}: {said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}

#[test]
fn redirects_are_calls_too() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&seen);
    let sender = Server::start(move |mut stream, _| {
        let left = read_head(&stream)
            .into_iter()
            .find_map(|line| line.strip_prefix("x-echo-calls-left: ").map(str::to_owned));
        heads.lock().expect("no panic holds it").push(left.expect("the budget"));
        let _ = stream.write_all(response("302 Found", "location: /\r\n", "").as_bytes());
        linger(&stream);
    });
    let echo = caller();
    let path = format!("/call?to={}", encoded(&format!("http://{}/", sender.target())));
    let reply = json(&echo.curl(&path, &[JSON, "-Hx-echo-calls-left: 3"]));
    let error = reply["calls"][0]["error"].as_str().expect("a failure");
    assert_eq!(error, "redirected, but no call is left; write a smaller n");
    assert_eq!(*seen.lock().expect("no panic holds it"), ["2", "1", "0"]);
}

#[test]
fn at_most_16_requests_make_calls_at_once_and_further_ones_are_told() {
    let free = Arc::new(AtomicBool::new(false));
    let may_answer = Arc::clone(&free);
    let slow = Server::start(move |mut stream, _| {
        read_head(&stream);
        wait_until("the test lets it answer", || may_answer.load(Ordering::SeqCst).then_some(()));
        let _ = stream.write_all(response("200 OK", "", "slow").as_bytes());
        linger(&stream);
    });
    let echo = caller();
    let url = format!(
        "http://{}/call?to={}",
        echo.address,
        encoded(&format!("http://{}/", slow.target()))
    );
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..20).map(|_| scope.spawn(|| curl(&url, &["-w", " %{http_code}"]))).collect();
        wait_until("those that must wait are refused", || {
            let refused = echo.counted("echo_requests_total", &["5xx"]);
            (refused >= 4.0).then_some(())
        });
        assert_eq!(slow.accepted(), 16, "the calls that were made");
        assert_eq!(echo.admin("/healthz").0, "200");
        free.store(true, Ordering::SeqCst);
        let said: Vec<_> = clients.into_iter().map(|client| client.join().expect("curl")).collect();
        let line = "echo makes calls for 16 other requests; try again later\n 503";
        assert_eq!(said.iter().filter(|said| *said == line).count(), 4, "{said:?}");
        assert_eq!(said.iter().filter(|said| said.ends_with(" 200")).count(), 16, "{said:?}");
    });
}

#[test]
fn answers_of_called_servers_are_bounded() {
    let small = "{},".repeat(80_000);
    let many = format!(
        "{{\"schema\":\"echo/1\",\"pod\":\"p\",\"cluster\":\"c\",\"method\":\"GET\",\"url\":\"u\",\
         \"http_version\":\"HTTP/1.1\",\"headers\":{{}},\"connection\":\"1\",\"request\":1,\
         \"xfcc\":[{}{{}}]}}",
        small
    );
    let hostile = Server::start(move |mut stream: TcpStream, _| {
        let head = read_head(&stream);
        let _ = if head[0].contains("/many") {
            stream.write_all(response("200 OK", "", &many).as_bytes())
        } else if head[0].contains("/head") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            (0..100_000).try_for_each(|n| write!(stream, "x-{n}: {}\r\n", "y".repeat(1000)))
        } else {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            (0..100_000).try_for_each(|_| stream.write_all(&[b'x'; 4096]))
        };
        linger(&stream);
    });
    let echo = caller();
    let first = |path: &str| {
        let to = encoded(&format!("http://{}{path}", hostile.target()));
        json(&echo.curl(&format!("/call?n=4&to={to}"), &[JSON]))["calls"][3].clone()
    };
    let endless = first("/endless");
    let error = endless["error"].as_str().expect("a failure");
    assert!(error.contains("longer than 262144 bytes"), "{error}");
    let head = first("/head");
    assert!(head["error"].as_str().expect("a failure").starts_with("no answer: "), "{head}");
    let many = first("/many");
    assert_eq!(many["reply"], serde_json::Value::Null, "it is no echo's");
    assert_eq!(many["text"].as_str().expect("its beginning").len(), 4096);
    let peak = peak_memory(&echo);
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn names_that_mean_an_address_of_this_host_are_not_called() {
    let here = Server::start(|_, _| ());
    let names = ["127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0", "localhost."];
    let echo = Echo::with(&["--allow-call", &names.join(",")], &[]);
    for name in names {
        let to = encoded(&format!("http://{name}:{}/", here.port()));
        let reply = json(&echo.curl(&format!("/call?to={to}"), &[JSON]));
        let error = reply["calls"][0]["error"].as_str().expect("a failure");
        assert!(
            error.contains("which is a local address") || error.contains("cannot resolve"),
            "{name}: {error}"
        );
    }
    for form in [
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::7f00:1]",
        "[fe80::1%25lo]",
        "[::]",
    ] {
        let to = encoded(&format!("http://{form}:{}/", here.port()));
        let said = echo.curl(&format!("/call?to={to}"), &["-w", "%{http_code}"]);
        assert!(said.ends_with("\n403") || said.ends_with("\n400"), "{form}: {said}");
    }
    assert_eq!(here.accepted(), 0, "nobody came");
}
