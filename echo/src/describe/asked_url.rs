//! The URL as the client asked for it, before any proxy: scheme as forwarded,
//! host as sent, path and query as sent.

use std::borrow::Cow;
use std::net::SocketAddr;

use axum::http::request::Parts;
use echo_reply::printable;

use super::arrival::Connection;
use crate::request_headers::RequestHeaders;

/// The parts of a URL, which may still contain control characters.
pub(super) struct AskedUrl<'a> {
    scheme: &'static str,
    host: Cow<'a, str>,
    /// Path and query.
    path: &'a str,
}

impl<'a> AskedUrl<'a> {
    /// If the request names no host (HTTP/1.0), the local address replaces it.
    pub(super) fn of(
        head: &'a Parts,
        request_headers: &RequestHeaders<'a>,
        connection: &Connection,
    ) -> Self {
        // `OPTIONS *` is about the server as a whole and has no path (RFC 9110, 7.1).
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        Self {
            scheme: scheme(request_headers, connection.tls.is_some()),
            host: host(head, request_headers, connection.local),
            path: if path == "*" { "" } else { path },
        }
    }

    /// The cleaned URL between two texts. Nearly every URL is clean already and needs only
    /// one allocation.
    pub(super) fn between(&self, before: &str, after: &str) -> String {
        let Self { scheme, host, path } = self;
        let text = [before, scheme, "://", host, path, after].concat();
        match printable(&text[before.len()..text.len() - after.len()]) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => [before, &clean, after].concat(),
        }
    }
}

/// The scheme that the first proxy forwarded, if it is http or https; otherwise depends on
/// whether `echo` itself terminated TLS.
fn scheme(request_headers: &RequestHeaders<'_>, tls: bool) -> &'static str {
    let forwarded = request_headers.forwarded_proto.and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|value| value.split(',').next()).map(str::trim);
    match first {
        Some(first) if first.eq_ignore_ascii_case("https") => "https",
        Some(first) if first.eq_ignore_ascii_case("http") => "http",
        _ if tls => "https",
        _ => "http",
    }
}

/// From `:authority` or an absolute URL, then from `Host`. A password is never repeated.
fn host<'a>(
    head: &'a Parts,
    request_headers: &RequestHeaders<'a>,
    local: Option<SocketAddr>,
) -> Cow<'a, str> {
    if let Some(authority) = head.uri.authority() {
        let authority = authority.as_str();
        return authority.rsplit_once('@').map_or(authority, |(_, host)| host).into();
    }
    match request_headers.host {
        Some(host) if !host.is_empty() => String::from_utf8_lossy(host.as_bytes()),
        _ => local.map_or("localhost".into(), |local| local.to_string().into()),
    }
}
