//! `--proxy-protocol`: headers of curl, of prober, of Envoy and by hand; what is not one ends the
//! connection with a line in the log.

use std::net::{IpAddr, SocketAddr};

use serde_json::json;

use super::tls::Files;
use super::{Echo, curl, json as parsed};
use crate::harness::{run, wait_until};
use crate::prober::explain::envoy::{Envoy, Listener, cluster};

const FLAGS: &[&str] = &["--proxy-protocol", "--cluster", "kops", "--pod", "p"];
const JSON: &[&str] = &["-H", "Accept: application/json"];
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const GET: &[u8] =
    b"GET / HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\nConnection: close\r\n\r\n";

/// The client that echo names in its answer to these bytes and a request.
fn client(echo: &Echo, header: &[u8]) -> SocketAddr {
    let said = echo.connect().send([header, GET].concat()).rest();
    let (_, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{header:?}: {said:?}"));
    parsed(body)["peer"].as_str().and_then(|peer| peer.parse().ok()).expect("a peer")
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, rest].concat()
}

#[test]
fn the_client_is_the_one_that_the_header_names() {
    let mut echo = Echo::with(FLAGS, &[]);
    let v4 = b"\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50";
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1], &[0, 7, 0, 80]].concat();
    // The checksum of RFC 3720 over the header, its own four bytes being 0.
    let summed = [&v4[..], b"\x03\x00\x04\x55\x8c\xe3\xa1"].concat();
    for (header, address) in [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n".to_vec(), "192.0.2.1:5000"),
        (b"PROXY TCP6 2001:db8::1 ::1 5000 80\r\n".to_vec(), "[2001:db8::1]:5000"),
        (v2(1, 0x11, v4), "192.0.2.1:5000"),
        (v2(1, 0x21, &v6), "[2001:db8::1]:7"),
        (v2(1, 0x11, &[&v4[..], b"\x04\x00\x02ab"].concat()), "192.0.2.1:5000"),
        (v2(1, 0x11, &summed), "192.0.2.1:5000"),
    ] {
        assert_eq!(client(&echo, &header), address.parse().expect("an address"), "{header:x?}");
    }
    echo.process.wait_for("the address in the log", |line| {
        (line.contains("answered") && line.contains("192.0.2.1:5000")).then_some(())
    });
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        v2(0, 0x00, b""),
        v2(0, 0x11, v4),
        v2(1, 0x00, b""),
        v2(1, 0x31, &[0; 216]),
    ] {
        assert_eq!(client(&echo, &header).ip(), IpAddr::from([127, 0, 0, 1]), "{header:x?}");
    }
}

#[test]
fn a_header_in_pieces_is_read_and_nothing_after_it() {
    let echo = Echo::with(FLAGS, &[]);
    for header in [b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n".to_vec(), v2(1, 0x11, &[192; 12])]
    {
        let mut raw = echo.connect();
        raw.0.set_nodelay(true).expect("a TCP socket");
        for byte in [&header[..], GET].concat() {
            raw.send([byte]);
        }
        let said = raw.rest();
        assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("\"192."), "{said}");
    }
}

#[test]
fn curl_and_prober_are_clients_with_and_without_tls() {
    let files = Files::new();
    let (cert, key) = (files.text("cert.pem"), files.text("key.pem"));
    let tls = ["--tls-port", "0", "--tls-cert", &cert, "--tls-key", &key, "--tcp-port", "0"];
    let echo = Echo::with(&[FLAGS, &tls[..]].concat(), &[]);
    let urls = [format!("http://{}/", echo.address), format!("https://{}/", echo.further("https"))];
    for url in &urls {
        let said =
            curl(url, &[JSON, &["-k", "--haproxy-protocol", "--interface", "127.0.0.4"]].concat());
        let peer = parsed(&said)["peer"].as_str().expect("a peer").to_owned();
        assert!(peer.starts_with("127.0.0.4:"), "{said}");
        for version in ["--haproxy-protocol", "--haproxy-protocol=v1", "--haproxy-protocol=v2"] {
            for reuse in ["never", "always"] {
                let words = ["-k", "-n", "4", version, "--reuse", reuse, url.as_str()];
                let said = run("prober", words);
                assert_eq!(said.code, 0, "{words:?}: {said:?}");
            }
        }
        let said = run("prober", ["-k", "-n", "2", "--quiet", "-o", "json", url.as_str()]);
        assert_eq!(said.code, 1, "without the header: {said:?}");
    }
    let h2 = ["-n", "4", "--http2-prior-knowledge", "--haproxy-protocol=v2", &urls[0]];
    assert_eq!(run("prober", h2).code, 0);
    // The plain TCP port and the admin port have no header.
    assert_eq!(echo.admin("/healthz").0, "200");
}

#[test]
fn what_is_not_a_header_ends_the_connection_with_a_line_in_the_log() {
    let mut echo = Echo::with(FLAGS, &[]);
    let v4 = [192; 12];
    for (bytes, why) in [
        (GET.to_vec(), "does not start with a PROXY header"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00".to_vec(), "does not start with"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5000\r\n".to_vec(), "two addresses and two ports"),
        (b"PROXY TCP4 ::1 ::1 5000 80\r\n".to_vec(), "an address is not one of its family"),
        ([&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(), "it has no line end"),
        (v2(1, 0x77, &v4), "its address family is unknown"),
        (v2(3, 0x11, &v4), "neither LOCAL nor PROXY"),
        (v2(1, 0x11, &v4[..8]), "too short for its addresses"),
        (v2(1, 0x11, &[&v4[..], b"\x03\x00\x04abcd"].concat()), "its checksum is wrong"),
        (v2(1, 0x00, &[0; 5000]), "it is too long"),
    ] {
        let said = echo.connect().send(&bytes).rest();
        assert_eq!(said, "", "{why}");
        echo.process.wait_for(why, |line| line.contains(why).then_some(()));
    }
    let warned = echo.process.said().matches("connection closed: ").count();
    assert_eq!(warned, 10, "{}", echo.process.said());
    // A check whether the port is open says nothing.
    drop(echo.connect());
    wait_until("the connection is over", || {
        (echo.counted("echo_connections_open", &[]) == 0.0).then_some(())
    });
    assert_eq!(echo.process.said().matches("connection closed: ").count(), 10);
}

#[test]
fn a_header_that_does_not_end_is_not_waited_for() {
    let mut echo = Echo::with(FLAGS, &[]);
    let (mut slow, mut silent) = (echo.connect(), echo.connect());
    assert_eq!(slow.send("PROXY TCP4 192.0.2.1 ").rest(), "");
    assert_eq!(silent.rest(), "");
    echo.process
        .wait_for("the reason", |line| line.contains("no whole PROXY header").then_some(()));
    // A connection without a header does not delay the end.
    let _waiting = echo.connect();
    let start = std::time::Instant::now();
    echo.process.signal(rustix::process::Signal::TERM);
    assert_eq!(echo.process.wait(), 0);
    assert!(start.elapsed() < std::time::Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn an_envoy_in_front_names_its_client() {
    let echo = Echo::with(FLAGS, &[]);
    for version in ["V1", "V2"] {
        let kind = "type.googleapis.com/envoy.extensions.transport_sockets";
        let raw = json!({
            "name": "raw",
            "typed_config": { "@type": format!("{kind}.raw_buffer.v3.RawBuffer") },
        });
        let typed = json!({
            "@type": format!("{kind}.proxy_protocol.v3.ProxyProtocolUpstreamTransport"),
            "config": { "version": version },
            "transport_socket": raw,
        });
        let socket = json!({ "transport_socket": { "name": "proxy", "typed_config": typed } });
        let clusters = vec![cluster("echo", &[echo.address.port()], socket)];
        let listener = Listener::to("in", json!({ "cluster": "echo" })).made();
        let envoy = Envoy::start(vec![listener], clusters);
        let url = format!("http://127.0.0.1:{}/", envoy.port("in"));
        let said = curl(&url, &[JSON, &["--interface", "127.0.0.6"]].concat());
        let peer = parsed(&said)["peer"].as_str().expect("a peer").to_owned();
        assert!(peer.starts_with("127.0.0.6:"), "{version}: {said}");
    }
}
