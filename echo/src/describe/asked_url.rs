//! The URL as the client asked for it, before any proxy: scheme as forwarded,
//! host as sent, path and query as sent.

use std::borrow::Cow;

use axum::http::request::Parts;
use echo_reply::printable;

use super::Connection;
use crate::noted::Noted;

/// The URL, fit to be printed. Where the request names no host (HTTP/1.0),
/// the address it was sent to stands in.
pub(super) fn of(head: &Parts, noted: &Noted<'_>, connection: &Connection) -> String {
    let host = host(head, noted, connection.local);
    // `OPTIONS *` asks for the server as a whole, which has no path (RFC 9110, 7.1).
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let path = if path == "*" { "" } else { path };
    let url = [scheme(noted, connection.tls.is_some()), "://", &*host, path].concat();
    match printable(&url) {
        Cow::Borrowed(_) => url,
        Cow::Owned(clean) => clean,
    }
}

/// The first proxy's word counts, and only if it is one of the two schemes; then
/// whether `echo` itself ended TLS.
fn scheme(noted: &Noted<'_>, tls: bool) -> &'static str {
    let forwarded = noted.forwarded_proto.and_then(|value| value.to_str().ok());
    let first = forwarded.and_then(|value| value.split(',').next()).map(str::trim);
    match first {
        Some(first) if first.eq_ignore_ascii_case("https") => "https",
        Some(first) if first.eq_ignore_ascii_case("http") => "http",
        _ if tls => "https",
        _ => "http",
    }
}

/// `:authority` or an absolute URL first, then `Host`; a password is never repeated.
fn host<'a>(
    head: &'a Parts,
    noted: &Noted<'a>,
    local: Option<std::net::SocketAddr>,
) -> Cow<'a, str> {
    if let Some(authority) = head.uri.authority() {
        let authority = authority.as_str();
        return authority.rsplit_once('@').map_or(authority, |(_, host)| host).into();
    }
    match noted.host {
        Some(host) if !host.is_empty() => String::from_utf8_lossy(host.as_bytes()),
        _ => local.map_or("localhost".into(), |local| local.to_string().into()),
    }
}
