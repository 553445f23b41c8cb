//! HTTP/2 and gRPC: against the built echo, and against servers of this process
//! that misbehave in the ways that only HTTP/2 has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::probing::row;
use crate::harness::{Background, command, run};
use crate::servers::{self, Server};

/// What a server does with its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    /// Answers as an echo; every connection is another pod.
    Answer,
    /// The same, but says farewell (GOAWAY) with every third answer.
    Farewell,
    /// Resets every second stream.
    ResetStreams,
    /// Drops the connection at the third request.
    Drop,
    /// Takes requests and says nothing.
    Silent,
    /// A body that is larger than a prober reads.
    Large,
    /// The header, and then no body.
    HalfBody,
    /// As a gRPC server that has this status, behind an Envoy that tried twice.
    Grpc(&'static str),
    /// A body that is encoded so, and nothing of an echo.
    Encoded(&'static str, &'static [u8]),
}

/// An HTTP/2 server on a loopback address; it ends when dropped.
struct Http2Server {
    address: SocketAddr,
    accepted: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Http2Server {
    /// Without TLS, or with it and these protocols offered.
    fn start(conduct: Conduct, alpn: Option<&[&[u8]]>) -> Self {
        let tls = alpn.map(acceptor);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("it is bound");
        let accepted = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let count = Arc::clone(&accepted);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let serving = async {
                    loop {
                        let Ok((stream, _)) = listener.accept().await else { continue };
                        let number = count.fetch_add(1, Ordering::SeqCst);
                        let tls = tls.clone();
                        tokio::spawn(async move {
                            match tls {
                                None => serve(stream, number, conduct).await,
                                Some(tls) => match tls.accept(stream).await {
                                    Ok(stream) => serve(stream, number, conduct).await,
                                    Err(_) => None,
                                },
                            }
                        });
                    }
                };
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, accepted, stop: Some(stop), thread: Some(thread) }
    }

    fn target(&self) -> String {
        self.address.to_string()
    }

    fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Http2Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn acceptor(alpn: &[&[u8]]) -> TlsAcceptor {
    TlsAcceptor::from(tls_config(alpn))
}

/// A server's configuration with a certificate of its own, and these protocols offered.
pub(super) fn tls_config(alpn: &[&[u8]]) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let chain = vec![CertificateDer::from(made.cert)];
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they fit");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Serves one connection; `None` when it is over.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    number: u64,
    conduct: Conduct,
) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    let mut held = Vec::new();
    let mut requests = 0;
    while let Some(Ok((request, respond))) = connection.accept().await {
        requests += 1;
        if conduct == Conduct::Drop && requests == 3 {
            return None;
        }
        answer(&mut connection, request, respond, (number, requests), conduct, &mut held)?;
    }
    None
}

fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S, Bytes>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    (number, requests): (u64, u64),
    conduct: Conduct,
    held: &mut Vec<(SendResponse<Bytes>, Option<h2::SendStream<Bytes>>)>,
) -> Option<()> {
    let head = Response::builder()
        .header("x-echo-pod", format!("p{number}"))
        .header("x-echo-cluster", "kops")
        .header("x-echo-probe", request.headers().get("x-probe-id").cloned()?);
    match conduct {
        Conduct::Silent => held.push((respond, None)),
        Conduct::ResetStreams if requests % 2 == 0 => respond.send_reset(Reason::REFUSED_STREAM),
        Conduct::Grpc(status) => {
            let head = head.header("x-envoy-attempt-count", "2");
            let mut stream = respond.send_response(head.body(()).ok()?, false).ok()?;
            let message: &[u8] = if status == "0" { &[0, 0, 0, 0, 2, 8, 1] } else { &[] };
            stream.send_data(Bytes::from_static(message), false).ok()?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().ok()?);
            trailers.insert("grpc-message", "no%20room".parse().ok()?);
            stream.send_trailers(trailers).ok()?;
        }
        Conduct::Encoded(encoding, body) => {
            let head = Response::builder().header("content-encoding", encoding);
            let head = head.header("x-envoy-attempt-count", "2").body(()).ok()?;
            let mut stream = respond.send_response(head, false).ok()?;
            stream.send_data(Bytes::from_static(body), true).ok()?;
        }
        Conduct::HalfBody => {
            let stream = respond.send_response(head.body(()).ok()?, false).ok()?;
            held.push((respond, Some(stream)));
        }
        _ => {
            let mut stream = respond.send_response(head.body(()).ok()?, false).ok()?;
            let size = if conduct == Conduct::Large { 1 << 20 } else { 4 };
            stream.send_data(vec![b'x'; size].into(), true).ok()?;
            if conduct == Conduct::Farewell && requests % 3 == 0 {
                connection.graceful_shutdown();
            }
        }
    }
    Some(())
}

pub(super) fn failures(row: &Value) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let group = |group: &Value| {
        (text(&group["kind"]), group["count"].as_u64().expect("a count"), text(&group["what"]))
    };
    row["failures"].as_array().expect("a list").iter().map(group).collect()
}

pub(super) fn echo() -> (Background, String) {
    let flags = ["--host=127.0.0.1", "--port=0", "--admin-port=0", "--cluster=kops", "--pod=p1"];
    let mut echo = Background::start(command("echo").args(flags));
    let address = echo.wait_for("where it listens", |line| {
        let rest = line.split_once("listening on http://")?.1;
        Some(rest.split_whitespace().next()?.to_owned())
    });
    (echo, address)
}

#[test]
fn http2_is_measured_as_http1_is() {
    let (_echo, target) = echo();
    let common = ["-t", &target, "-n", "40", "-c", "2", "--threads", "1", "--show", "1"];
    for (reuse, streams, connections) in [
        ("never", "1", 40..=40),
        ("always", "1", 2..=2),
        ("always", "10", 2..=2),
        ("10", "4", 4..=6),
    ] {
        let flags = ["--http2-prior-knowledge", "--reuse", reuse, "--streams", streams];
        let (code, row) = row(&[&common[..], &flags].concat());
        assert_eq!((code, &row["answers"]), (0, &40.into()), "{row}");
        assert_eq!(row["protocol"], "HTTP/2");
        let opened = row["connections"].as_u64().expect("a number");
        assert!(connections.contains(&opened), "{reuse} {streams}: {opened}");
        assert_eq!(row["backends"][0]["connections"], opened, "{row}");
        assert!(
            row["shown"]["0"].as_str().expect("a text").contains("on [pod: p1] in [cluster: kops]")
        );
    }
}

#[test]
fn http2_headers_are_those_of_curl() {
    let (_echo, target) = echo();
    let host = ["-H", "Host: echo2.example:81", "-H", "Connection: close", "-H", "te: gzip"];
    let flags = ["-t", &target, "-n", "1", "--http2-prior-knowledge", "-X", "PUT"];
    let json = ["-H", "accept: application/json", "--show", "1"];
    let (_, row) = row(&[&flags[..], &host, &json].concat());
    let shown: Value =
        serde_json::from_str(row["shown"]["0"].as_str().expect("shown")).expect("JSON");
    assert_eq!((&shown["http_version"], &shown["method"]), (&"HTTP/2.0".into(), &"PUT".into()));
    assert_eq!(shown["url"], "http://echo2.example:81/");
    assert!(shown["headers"].get("connection").is_none(), "{shown}");
}

/// A body that were shorter or longer than its `content-length` would be a reset stream.
#[test]
fn http2_bodies_go_out_whole() {
    let (_echo, target) = echo();
    let body = "x".repeat(65_000);
    let flags = ["--http2-prior-knowledge", "--reuse", "always", "--streams", "4", "-n", "20"];
    let json = ["-H", "accept: application/json", "--show", "1"];
    let sent = [&["-t", &target, "--data", &body][..], &json].concat();
    let (code, row) = row(&[&sent[..], &flags].concat());
    assert_eq!((code, &row["answers"]), (0, &20.into()), "{row}");
    let shown = row["shown"]["0"].as_str().expect("shown");
    let shown: Value = serde_json::from_str(shown).expect("JSON");
    assert_eq!(shown["method"], "POST");
    assert_eq!(shown["headers"]["content-length"][0], "65000", "{shown}");
}

#[test]
fn http2_by_alpn_or_not_at_all() {
    let server = Http2Server::start(Conduct::Answer, Some(&[b"h2"]));
    let target = format!("https://localhost:{}", server.address.port());
    let flags = ["-t", &target, "-4", "-k", "-n", "4"];
    let (code, answered) = row(&[&flags[..], &["--http2"]].concat());
    assert_eq!((code, &answered["answers"]), (0, &4.into()), "{answered}");
    // This server has no HTTP/1.1: it refuses the offer in the handshake.
    let (_, refused) = row(&[&flags[..], &["--http1.1"]].concat());
    assert_eq!(failures(&refused)[0].0, "tls", "{refused}");
    // This one takes no part in the choice, as one that knows only HTTP/1.1.
    let old = Http2Server::start(Conduct::Answer, Some(&[]));
    let target = format!("https://localhost:{}", old.address.port());
    let (_, fallen) = row(&["-t", &target, "-4", "-k", "-n", "4", "--http2"]);
    let (kind, count, what) = failures(&fallen).remove(0);
    assert_eq!((kind.as_str(), count), ("protocol", 4), "{what}");
    assert!(what.contains("does not offer HTTP/2"), "{what}");
}

#[test]
fn http2_asked_of_http1_is_a_failure_of_protocol() {
    let answer = servers::response("400 Bad Request", "connection: close\r\n", "");
    let server = Server::start(servers::answering(answer));
    let (code, row) = row(&["-t", &server.target(), "-n", "4", "--http2-prior-knowledge"]);
    let (kind, count, what) = failures(&row).remove(0);
    assert_eq!((code, kind.as_str(), count), (1, "protocol", 4), "{row}");
    assert!(what.contains("not HTTP/2"), "{what}");
}

#[test]
fn http2_connections_pin_and_the_report_shows_it() {
    let server = Http2Server::start(Conduct::Answer, None);
    let flags = ["-n", "60", "-c", "3", "--threads", "1", "--http2-prior-knowledge"];
    let kept = ["--reuse", "always", "--streams", "5"];
    let (_, row) = row(&[&["-t", &server.target()], &flags[..], &kept].concat());
    // Each connection of this server is another pod: 60 answers, but only 3 choices.
    assert_eq!((&row["answers"], &row["connections"]), (&60.into(), &3.into()), "{row}");
    let backends = row["backends"].as_array().expect("a list");
    assert_eq!(backends.len(), 3, "{row}");
    assert!(backends.iter().all(|backend| backend["connections"] == 1), "{row}");
    assert_eq!(server.accepted(), 3);
}

#[test]
fn http2_a_farewell_costs_nothing_and_a_lost_connection_is_a_reset() {
    let server = Http2Server::start(Conduct::Farewell, None);
    let one = ["-n", "12", "-c", "1", "--http2-prior-knowledge", "--reuse", "always"];
    let (code, farewell) = row(&[&["-t", &server.target()], &one[..]].concat());
    assert_eq!((code, &farewell["answers"]), (0, &12.into()), "{farewell}");
    assert!(farewell["connections"].as_u64() >= Some(4), "{farewell}");

    let server = Http2Server::start(Conduct::Drop, None);
    let (_, dropped) = row(&[&["-t", &server.target()], &one[..]].concat());
    let (kind, count, what) = failures(&dropped).remove(0);
    assert_eq!((kind.as_str(), count), ("reset", 4), "every third: {what}");
    assert_eq!(dropped["connections"], 4, "and each ends a connection: {dropped}");

    let server = Http2Server::start(Conduct::ResetStreams, None);
    let (_, refused) = row(&[&["-t", &server.target()], &one[..]].concat());
    let (kind, count, what) = failures(&refused).remove(0);
    assert_eq!((kind.as_str(), count), ("reset", 6), "every second: {what}");
    assert!(what.contains("REFUSED_STREAM"), "{what}");
    assert_eq!(refused["connections"], 1, "the connection is well: {refused}");
}

#[test]
fn http2_silence_ends_in_time() {
    for (conduct, part) in
        [(Conduct::Silent, "no response headers"), (Conduct::HalfBody, "the body did not end")]
    {
        let server = Http2Server::start(conduct, None);
        let start = Instant::now();
        let flags = ["-n", "8", "-c", "1", "--http2-prior-knowledge", "--max-time", "0.2"];
        let kept = ["--reuse", "always", "--streams", "4"];
        let (_, row) = row(&[&["-t", &server.target()], &flags[..], &kept].concat());
        let (kind, count, what) = failures(&row).remove(0);
        assert_eq!((kind.as_str(), count), ("timeout", 8), "{what}");
        assert!(what.contains(part), "{what}");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
}

#[test]
fn http2_bodies_are_bounded() {
    let server = Http2Server::start(Conduct::Large, None);
    let (_, row) = row(&["-t", &server.target(), "-n", "4", "--http2-prior-knowledge"]);
    let (kind, count, what) = failures(&row).remove(0);
    assert_eq!((kind.as_str(), count), ("protocol", 4), "{what}");
    assert!(what.contains("longer than 65536 bytes (--max-body)"), "{what}");
}

#[test]
fn grpc_of_the_echo_says_who_answered() {
    let (_echo, target) = echo();
    for (service, path) in
        [("--grpc", "/echo.v1.EchoService/Echo"), ("--grpc=health", "/grpc.health.v1.Health/Check")]
    {
        let kept = ["-n", "20", "-c", "1", "--reuse", "always", "--streams", "4", "--show", "1"];
        let (code, row) = row(&[&["-t", &target, service], &kept[..]].concat());
        assert_eq!((code, &row["answers"]), (0, &20.into()), "{row}");
        assert_eq!((&row["connections"], &row["backends"][0]["pod"]), (&1.into(), &"p1".into()));
        assert_eq!(row["url"], format!("http://{target}{path}"));
        let shown = row["shown"]["0"].as_str().expect("a text");
        let line = format!("[URL: http://{target}{path}] on [pod: p1] in [cluster: kops]");
        assert_eq!(shown, line);
    }
}

#[test]
fn grpc_a_status_is_read_from_the_trailers() {
    for (status, service, kind, part) in [
        ("0", "--grpc", None, ""),
        ("0", "--grpc=health", None, ""),
        ("14", "--grpc", Some("status"), "grpc-status 14 UNAVAILABLE: no room"),
        ("5", "--grpc=health", Some("status"), "grpc-status 5 NOT_FOUND: no room"),
    ] {
        let server = Http2Server::start(Conduct::Grpc(status), None);
        let (code, row) = row(&["-t", &server.target(), "-n", "4", service]);
        let Some(kind) = kind else {
            assert_eq!((code, &row["answers"]), (0, &4.into()), "{status} {service}: {row}");
            assert_eq!(row["retried"], 4, "the Envoy says so: {row}");
            continue;
        };
        let (found, count, what) = failures(&row).remove(0);
        assert_eq!((found.as_str(), count), (kind, 4), "{what}");
        assert!(what.contains(part), "{what}");
    }
    // What speaks HTTP/2 but no gRPC is nobody's answer.
    let server = Http2Server::start(Conduct::Answer, None);
    let (_, row) = row(&["-t", &server.target(), "-n", "4", "--grpc"]);
    assert_eq!(failures(&row)[0].0, "unidentified", "{row}");
}

#[test]
fn http2_bodies_are_decoded_and_attempts_of_the_response_count() {
    let body = b"\x8b\x0d\x80Hostname: w-0\nIP: 127.0.0.1\n\x03";
    let server = Http2Server::start(Conduct::Encoded("br", body), None);
    let target = server.target();
    let flags = ["-t", &target, "-n", "4", "--http2-prior-knowledge", "--identify=whoami"];
    let (code, found) = row(&flags);
    assert_eq!((code, &found["backends"][0]["pod"]), (0, &"w-0".into()), "{found}");
    assert_eq!(found["retried"], 4, "{found}");
    let server = Http2Server::start(Conduct::Encoded("zstd", body), None);
    let target = server.target();
    let (code, found) = row(&["-t", &target, "-n", "4", "--http2-prior-knowledge"]);
    let (kind, count, what) = failures(&found).remove(0);
    assert_eq!((code, kind.as_str(), count), (1, "unidentified", 4), "{what}");
    assert!(what.starts_with("200, but the body is encoded with zstd, which"), "{what}");
}

#[test]
fn http2_flags_that_contradict_each_other_are_refused() {
    for (args, part) in [
        (&["--http2"][..], "--http2-prior-knowledge"),
        (&["--http1.1", "--http2-prior-knowledge"], "--http2-prior-knowledge"),
        (&["--streams", "2"], "--streams needs HTTP/2"),
        (&["--grpc", "--http1.1"], "--http1.1"),
        (&["--grpc=helth"], "health"),
        (&["--grpc", "--streams", "2"], "--reuse always"),
    ] {
        let said = run("prober", ["-t", "127.0.0.1:1"].iter().chain(args));
        said.refused(&[part]);
    }
}
