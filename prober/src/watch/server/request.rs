//! The requests that the server of `prober watch` answers: read, and refused if they are wrong. Pure.

use std::net::Ipv6Addr;

use super::hosts::{Hosts, printed};

/// The largest head of a request, in bytes.
pub(super) const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    Page,
    Metrics,
    Health,
    Readiness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) document: Document,
    /// Whether the body is left out, as for HEAD.
    pub(super) head_only: bool,
}

/// Why a request is refused: the status, and one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: &'static str,
    pub(super) line: String,
}

fn refused<T>(status: &'static str, line: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, line: line.into() })
}

/// Reads a head; `None` if it is not complete yet.
pub(super) fn read(head: &[u8], hosts: &Hosts) -> Option<Result<Asked, Refusal>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => Some(check(&request, hosts)),
        Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            let line = format!(
                "the head is larger than {MAX_HEAD} bytes, or has more than {MAX_HEADERS} headers"
            );
            Some(refused("431 Request Header Fields Too Large", line))
        }
        Err(_) => Some(refused("400 Bad Request", "this is not an HTTP/1.1 request")),
    }
}

fn check(request: &httparse::Request<'_, '_>, hosts: &Hosts) -> Result<Asked, Refusal> {
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return refused("405 Method Not Allowed", "only GET and HEAD are answered here"),
    };
    let path = host_and_path(request, hosts)?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let document = match path {
        "/" => Document::Page,
        "/metrics" => Document::Metrics,
        "/healthz" => Document::Health,
        "/readyz" => Document::Readiness,
        _ => return refused("404 Not Found", "here are /, /metrics, /healthz and /readyz"),
    };
    Ok(Asked { document, head_only })
}

/// Checks who is asked, and returns the path.
fn host_and_path<'a>(
    request: &httparse::Request<'_, 'a>,
    hosts: &Hosts,
) -> Result<&'a str, Refusal> {
    let target = request.path.unwrap_or_default();
    let is_host = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("host");
    let mut found = request.headers.iter().filter(is_host).map(|header| header.value);
    let host = found.next();
    if found.next().is_some() || (host.is_none() && request.version == Some(1)) {
        return refused("400 Bad Request", "the request needs exactly one Host header");
    }
    let host = host.map(|host| String::from_utf8_lossy(host).trim().to_owned());
    // The absolute form, which proxies send, replaces the header (RFC 9112, 3.2.2).
    let (host, path) = match target.strip_prefix("http://") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (host, path) = rest.split_at(end);
            (Some(host.to_owned()), if path.is_empty() { "/" } else { path })
        }
        None => (host, target),
    };
    // Browsers always send the header.
    let Some(host) = host else { return Ok(path) };
    let name = match name(&host) {
        Ok(name) => name,
        Err(why) => {
            let line = format!("the Host header {} {why}", printed(&host));
            return refused("400 Bad Request", line);
        }
    };
    if hosts.allow(name) {
        return Ok(path);
    }
    let name = printed(name);
    refused(
        "403 Forbidden",
        format!(
            "this server is not {name}; ask by IP address, as localhost or as NAME.NAMESPACE.svc, or \
             start prober watch with --allow-host {name}"
        ),
    )
}

/// The host of a `Host` header, without its port, or why the header is not valid.
fn name(header: &str) -> Result<&str, &'static str> {
    const WRONG: &str =
        "is not a host with a port; write NAME:PORT, or an IPv6 address in brackets";
    let (host, rest) = if header.starts_with('[') {
        let (host, rest) = header.split_at(header.find(']').ok_or(WRONG)? + 1);
        let address = &host[1..host.len() - 1];
        // A zone has a meaning at the client only, which removes it (RFC 6874, 4).
        if address.split_once('%').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok()) {
            return Err(
                "has an IPv6 zone, which only the client needs; send the address without it",
            );
        }
        address.parse::<Ipv6Addr>().map_err(|_| WRONG)?;
        (host, rest)
    } else {
        header.split_at(header.find(':').unwrap_or(header.len()))
    };
    if host.is_empty() {
        return Err(WRONG);
    }
    match rest.strip_prefix(':') {
        // RFC 9110, 4.2.3: an empty port is the default one.
        Some("") => Ok(host),
        None if rest.is_empty() => Ok(host),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse::<u16>() {
            Ok(1..) => Ok(host),
            _ => Err("has a port that is not a number from 1 to 65535"),
        },
        _ => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hosts() -> Hosts {
        Hosts::new(vec!["watch.example.com".to_owned()])
    }

    fn status(head: &str) -> &'static str {
        match read(head.as_bytes(), &hosts()) {
            None => "more",
            Some(Ok(_)) => "200",
            Some(Err(refusal)) => {
                assert!(!refusal.line.contains('\n'), "{refusal:?}");
                &refusal.status[..3]
            }
        }
    }

    #[test]
    fn a_refusal_says_what_to_ask_for_or_to_set() {
        let line = |host: &str| {
            let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
            read(head.as_bytes(), &hosts()).unwrap().unwrap_err().line
        };
        let said = line("watch.prod:9464");
        for part in ["IP address", "localhost", "NAME.NAMESPACE.svc", "--allow-host 'watch.prod'"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(line("[fe80::1%25eth0]").contains("without it"));
        assert!(line("a:65536").contains("from 1 to 65535"));
        assert!(line("[::1").contains("in brackets"));
    }

    #[test]
    fn requests_are_read_and_anything_else_is_refused() {
        for (head, wanted) in [
            ("", "more"),
            ("GET / HTTP/1.1\r\n", "more"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
            ("HEAD /metrics?x=1 HTTP/1.1\r\nhost: 127.0.0.1:9464\r\n\r\nmore", "200"),
            ("GET /healthz HTTP/1.0\r\n\r\n", "200"),
            ("GET /readyz HTTP/1.1\r\nhost: [::1]:9464\r\n\r\n", "200"),
            ("GET http://localhost:1/ HTTP/1.1\r\nhost: evil.example.com\r\n\r\n", "200"),
            ("GET http://evil.example.com/ HTTP/1.1\r\nhost: localhost\r\n\r\n", "403"),
            ("GET http://evil.example.com HTTP/1.1\r\nhost: localhost\r\n\r\n", "403"),
            ("GET / HTTP/1.1\r\nhost: evil.example.com\r\n\r\n", "403"),
            ("GET /healthz HTTP/1.1\r\nhost: evil.example.com:9464\r\n\r\n", "403"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost:\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: [::1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: [a]\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a:b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a:\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\nhost: a:65535\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\nhost: [::1]:65535\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: [::1]:99999999999999999999\r\n\r\n", "400"),
            ("GET http://localhost:70000/ HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a:0\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: a:+1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: [fe80::1%25eth0]:9464\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: [fe80::1%eth0]\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost: watch.prod\r\n\r\n", "403"),
            ("GET / HTTP/1.1\r\nhost: watch.prod.svc:9464\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\nhost: [::1]x\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nhost: a\r\n\r\n", "405"),
            ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "405"),
            ("GET /x HTTP/1.1\r\nhost: a\r\n\r\n", "404"),
            ("GET //metrics HTTP/1.1\r\nhost: a\r\n\r\n", "404"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
            ("\u{16}\u{3}\u{1}", "400"),
        ] {
            assert_eq!(status(head), wanted, "{head:?}");
        }
        let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(MAX_HEAD));
        assert_eq!(status(&long), "431");
        let many = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(65));
        assert_eq!(status(&many), "431");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes, &hosts());
        }

        #[test]
        fn no_host_panics_or_breaks_the_line(host in "\\PC{0,30}", target in "\\PC{0,20}") {
            let head = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
            if let Some(Err(refusal)) = read(head.as_bytes(), &hosts()) {
                prop_assert!(refusal.line.chars().all(|c| !c.is_control()), "{:?}", refusal);
            }
        }
    }
}
