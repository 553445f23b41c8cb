//! The built `echo`, asked by real curl and over raw sockets: what it answers,
//! and who it says it is. Submodules: one for each thing it
//! speaks or does beside.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Background, DEADLINE, command, finish, run, wait_until};

mod attacks;
mod bad_input;
mod call_budget;
mod calls;
mod drain;
mod faults;
mod files_and_signals;
mod floods;
mod grpc;
mod grpc_code;
mod held;
mod hostile;
mod hostile_text;
mod limits;
mod log_queue;
mod proxy_protocol;
mod restart;
mod streams;
mod tls;

/// A running echo on free ports of loopback.
struct Echo {
    process: Background,
    address: SocketAddr,
    admin: SocketAddr,
    /// The ports that were asked for beside, by their schemes.
    further: Vec<(String, SocketAddr)>,
}

impl Echo {
    /// `echo --cluster kops --pod echo1-x`.
    fn start() -> Self {
        Self::with(&["--cluster", "kops", "--pod", "echo1-x"], &[])
    }

    /// An echo with these flags and variables.
    #[track_caller]
    fn with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::at((0, 0), flags, variables)
    }

    /// The same, its echo port and its admin port given.
    #[track_caller]
    fn at((port, admin): (u16, u16), flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut program = command("echo");
        program.envs(variables.iter().copied());
        Self::of(&mut program, (port, admin), flags)
    }

    /// The same, started by this command.
    #[track_caller]
    fn of(program: &mut Command, (port, admin): (u16, u16), flags: &[&str]) -> Self {
        let (port, admin) = (port.to_string(), admin.to_string());
        program.args(["--host", "127.0.0.1", "--port", &port, "--admin-port", &admin]).args(flags);
        let mut process = Background::start(program);
        let (address, admin, further) = process.wait_for("the line with the ports", |line| {
            let (_, rest) = line.split_once("listening on http://")?;
            let (address, rest) = rest.split_once(" (admin http://")?;
            let (admin, rest) = rest.split_once(')')?;
            let further = rest.split(" and ").filter_map(|url| {
                let (scheme, address) = url.split_once("://")?;
                Some((scheme.to_owned(), address.trim_end_matches('"').parse().ok()?))
            });
            Some((address.parse().ok()?, admin.parse().ok()?, further.collect()))
        });
        Self { process, address, admin, further }
    }

    /// The address of a port that was asked for beside.
    #[track_caller]
    fn further(&self, scheme: &str) -> SocketAddr {
        let found = self.further.iter().find(|(known, _)| known == scheme);
        found.unwrap_or_else(|| panic!("no {scheme} among {:?}", self.further)).1
    }

    /// The sum of a metric over all of its labels that hold these words.
    fn counted(&self, name: &str, words: &[&str]) -> f64 {
        let text = self.admin("/metrics").1;
        let lines = text.lines().filter(|line| {
            line.split(['{', ' ']).next() == Some(name) && words.iter().all(|w| line.contains(w))
        });
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// What curl prints for a path of the echo port.
    fn curl(&self, path: &str, flags: &[&str]) -> String {
        curl(&format!("http://{}{path}", self.address), flags)
    }

    /// The status and the body of a path of the admin port.
    fn admin(&self, path: &str) -> (String, String) {
        let said = curl(&format!("http://{}{path}", self.admin), &["-w", "%{http_code}"]);
        let (body, status) = said.split_at(said.len() - 3);
        (status.to_owned(), body.to_owned())
    }

    fn connect(&self) -> Raw {
        let stream = TcpStream::connect(self.address).expect("echo listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Raw(stream)
    }
}

/// What curl prints.
fn curl(url: &str, flags: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let said =
        finish(curl.args(["-sS", "-q", "--max-time", "20", "--path-as-is"]).args(flags).arg(url));
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout
}

/// A connection by hand.
struct Raw(TcpStream);

impl Raw {
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).expect("echo reads");
        self
    }

    /// All that comes until the other side closes.
    fn rest(&mut self) -> String {
        let mut said = Vec::new();
        // A reset after the answer ends the answer as well.
        let _ = self.0.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// One answer: its head and its body, by its length.
    #[track_caller]
    fn answer(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("an ASCII head");
        let length = header(&head, "content-length").expect("a length").parse().expect("a number");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a whole body");
        (head, String::from_utf8(body).expect("a UTF-8 body"))
    }
}

/// The value of a header in a printed head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_end())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const TAIL: &str = "] on [pod: echo1-x] in [cluster: kops]\n";

#[test]
fn curl_gets_the_documented_line_byte_for_byte() {
    let echo = Echo::start();
    let at = format!("echo1:8080:{}", echo.address.ip());
    let port = format!("echo1:8080:127.0.0.1:{}", echo.address.port());
    let said = curl("http://echo1:8080/hello", &["--resolve", &at, "--connect-to", &port]);
    assert_eq!(said, "[URL: http://echo1:8080/hello] on [pod: echo1-x] in [cluster: kops]\n");
    let said = echo.curl("/a/../b?c=d&e=%20f", &[]);
    assert_eq!(said, format!("[URL: http://{}/a/../b?c=d&e=%20f{TAIL}", echo.address));
}

#[test]
fn the_headers_carry_the_facts_and_head_is_get_without_body() {
    let echo = Echo::with(
        &["--cluster", "kops", "--pod", "p", "--namespace", "ns", "--zone", "z 1"],
        &[("REGION", "r"), ("NODE_NAME", "n"), ("NETWORK", "network1"), ("VERSION", "v2")],
    );
    let ask = ["-H", "x-probe-id: 7-abc", "-H", "x-envoy-attempt-count: 3"];
    let got = echo.curl("/", &[&["-i"], &ask[..]].concat());
    let head = echo.curl("/", &[&["-I"], &ask[..]].concat());
    for (name, value) in [
        ("x-echo-pod", "p"),
        ("x-echo-cluster", "kops"),
        ("x-echo-namespace", "ns"),
        ("x-echo-node", "n"),
        ("x-echo-region", "r"),
        ("x-echo-zone", "z 1"),
        ("x-echo-network", "network1"),
        ("x-echo-version", "v2"),
        ("x-echo-request", "1"),
        ("x-echo-attempt", "3"),
        ("x-echo-probe", "7-abc"),
        ("content-type", "text/plain; charset=utf-8"),
        ("cache-control", "private, no-store"),
        ("x-content-type-options", "nosniff"),
        ("vary", "Accept"),
    ] {
        assert_eq!(header(&got, name), Some(value), "{name} of GET in:\n{got}");
        assert_eq!(header(&head, name), Some(value), "{name} of HEAD in:\n{head}");
    }
    assert_eq!(header(&got, "content-length"), header(&head, "content-length"));
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
}

#[test]
fn json_comes_when_it_is_asked_for() {
    let echo = Echo::start();
    let said = echo.curl(
        "/x?y",
        &["-XPOST", "-dbody", "-HAccept: application/json", "-HX-Two: a", "-HX-Two: b"],
    );
    let reply: echo_reply::Reply = serde_json::from_str(&said).expect("a reply of echo/1");
    assert_eq!(reply.schema, echo_reply::SCHEMA);
    assert_eq!(reply.identity, echo_reply::Identity::new("echo1-x", "kops"));
    assert_eq!((reply.method.as_str(), reply.http_version.as_str()), ("POST", "HTTP/1.1"));
    assert_eq!(reply.url, format!("http://{}/x?y", echo.address));
    assert_eq!(reply.headers["x-two"], ["a", "b"]);
    assert!(reply.peer.is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    assert!(said.ends_with("}\n") && said.lines().count() == 1, "one line: {said}");
    let typed = echo.curl("/", &["-i", "-HAccept: application/json"]);
    assert_eq!(header(&typed, "content-type"), Some("application/json"));
    for accept in ["text/plain", "*/*", "text/plain, application/json;q=0.9", "image/png"] {
        let said = echo.curl("/", &["-H", &format!("Accept: {accept}")]);
        assert!(said.ends_with(TAIL), "{accept}: {said}");
    }
}

#[test]
fn every_method_and_path_is_answered_and_admin_is_elsewhere() {
    let echo = Echo::start();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/healthz", "/readyz", "/metrics", "//", "/%00%0d%0a"] {
            let said = echo.curl(path, &["-X", method, "-w", "%{http_code}"]);
            assert_eq!(said, format!("[URL: http://{}{path}{TAIL}200", echo.address), "{method}");
        }
    }
    let star = echo.curl("/", &["-XOPTIONS", "--request-target", "*"]);
    assert_eq!(star, format!("[URL: http://{}{TAIL}", echo.address));

    assert_eq!(echo.admin("/healthz"), ("200".into(), "ok\n".into()));
    assert_eq!(echo.admin("/readyz"), ("200".into(), "ready\n".into()));
    let (status, metrics) = echo.admin("/metrics");
    assert_eq!(status, "200");
    assert_eq!(echo.counted("echo_requests_total", &["class=\"2xx\""]), 49.0, "{metrics}");
    assert_eq!(echo.counted("echo_requests_total", &["method=\"other\""]), 6.0, "{metrics}");
    assert_eq!(echo.counted("echo_request_duration_seconds_count", &[]), 49.0, "{metrics}");
    assert!(metrics.contains("echo_build_info{version="), "{metrics}");
    let (status, hint) = echo.admin("/hello");
    assert_eq!(status, "404");
    assert!(hint.contains("/healthz, /readyz and /metrics"), "{hint}");
}

#[test]
fn the_scheme_is_the_forwarded_one_if_it_is_one() {
    let echo = Echo::start();
    for (forwarded, scheme) in
        [("https", "https"), ("https,http", "https"), ("http", "http"), ("ftp", "http")]
    {
        let said = echo.curl("/", &["-H", &format!("X-Forwarded-Proto: {forwarded}")]);
        assert_eq!(said, format!("[URL: {scheme}://{}/{TAIL}", echo.address));
    }
}

#[test]
fn http_1_0_needs_no_host_and_http_2_needs_no_upgrade() {
    let echo = Echo::start();
    let said = echo.connect().send("GET /old HTTP/1.0\r\n\r\n").rest();
    assert!(said.starts_with("HTTP/1.0 200 OK\r\n"), "{said}");
    assert!(said.ends_with(&format!("\r\n\r\n[URL: http://{}/old{TAIL}", echo.address)), "{said}");

    // One request: curl 7.88 cannot ask a second one this way (curl issue 10634).
    let said = echo.curl("/new", &["--http2-prior-knowledge", "-HAccept: application/json"]);
    let reply = json(&said);
    assert_eq!((&reply["http_version"], &reply["request"]), (&"HTTP/2.0".into(), &1.into()));
    assert_eq!(reply["url"], format!("http://{}/new", echo.address));
}

#[test]
fn requests_are_numbered_per_connection_and_connections_are_told_apart() {
    let echo = Echo::start();
    let (mut first, mut second) = (echo.connect(), echo.connect());
    let ask = |raw: &mut Raw| {
        let (head, _) = raw.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").answer();
        let of = |name| header(&head, name).expect("stated").to_owned();
        (of("x-echo-connection"), of("x-echo-request"))
    };
    let (id, number) = ask(&mut first);
    let (other, other_number) = ask(&mut second);
    assert_ne!(id, other);
    assert_eq!((number.as_str(), other_number.as_str()), ("1", "1"));
    assert_eq!(ask(&mut first), (id, "2".into()));
    // Two at once on one connection are two, in order.
    first.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    for (path, number) in [("/a", "3"), ("/b", "4")] {
        let (head, body) = first.answer();
        assert_eq!(header(&head, "x-echo-request"), Some(number));
        assert!(body.contains(path), "{body}");
    }
}

#[test]
fn flags_win_over_variables_and_empty_ones_count_as_unset() {
    let variables = [("CLUSTER", "env"), ("POD_NAME", "env-pod"), ("ZONE", ""), ("THREADS", "")];
    let echo = Echo::with(&["--cluster", "flag"], &variables);
    let reply = json(&echo.curl("/", &["-HAccept: application/json"]));
    assert_eq!((&reply["cluster"], &reply["pod"]), (&"flag".into(), &"env-pod".into()));
    assert!(reply.get("zone").is_none(), "{reply}");

    // Neither given: the cluster is not known, the pod is the host.
    let echo = Echo::with(&["--threads", "1"], &[("CLUSTER", ""), ("POD_NAME", "")]);
    let host = finish(Command::new("uname").arg("-n")).stdout;
    let (host, said) = (host.trim(), echo.curl("/", &["-i"]));
    assert!(said.ends_with(&format!(" on [pod: {host}] in [cluster: <unknown>]\n")), "{said}");
    assert_eq!(header(&said, "x-echo-cluster"), Some("<unknown>"));
}

#[test]
fn the_access_log_has_one_line_per_request_and_no_secrets() {
    let mut echo = Echo::with(&["--pod", "p", "--log-format", "json"], &[]);
    let secret = ["-HAuthorization: Bearer s3cret", "-HCookie: s3cret", "-ds3cret", "-usr:s3cret"];
    echo.curl("/hello?q", &[&secret[..], &["-Hx-envoy-attempt-count: 2"]].concat());
    let line = echo
        .process
        .wait_for("the request's line", |line| line.contains("\"answered\"").then(|| json(line)));
    assert_eq!((&line["method"], &line["status"]), (&"POST".into(), &200.into()));
    assert_eq!(line["url"], format!("http://{}/hello?q", echo.address));
    assert_eq!(line["attempt"], 2);
    for field in ["bytes", "duration_us", "peer", "connection", "request"] {
        assert!(line.get(field).is_some(), "{field} is missing: {line}");
    }
    assert!(!echo.process.said().contains("s3cret"), "{}", echo.process.said());

    let sampled = Echo::with(&["--log-sample", "10"], &[]);
    for _ in 0..25 {
        sampled.curl("/", &[]);
    }
    let lines = |echo: &Echo| echo.process.said().matches(" answered ").count();
    wait_until("every tenth request is logged", || (lines(&sampled) == 3).then_some(()));

    let quiet = Echo::start();
    assert!(!quiet.process.said().contains('\u{1b}'), "no colours but on a terminal");
}

#[test]
fn help_and_version_go_to_stdout() {
    let version = run("echo", ["--version"]);
    assert_eq!((version.code, version.stdout.as_str()), (0, "echo 0.1.0\n"));
    // Golden, so that a flag without words is seen by who reads the change.
    let help = run("echo", ["--help"]).stdout;
    insta::assert_snapshot!(help);
}
