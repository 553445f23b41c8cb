//! Request → reply: pure. What comes from a request is never trusted: it is
//! bounded and cleaned of control characters before it stands in a reply.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use echo_reply::{Identity, Reply, SCHEMA, TextLine, headers as names, printable};

use crate::negotiate::{self, Form};
use crate::xfcc;

mod asked_url;

/// The longest probe id that is returned, in bytes.
const MAX_PROBE: usize = 128;

const ATTEMPT: HeaderName = HeaderName::from_static(names::ATTEMPT);
const CONNECTION: HeaderName = HeaderName::from_static(names::CONNECTION);
const PROBE: HeaderName = HeaderName::from_static(names::PROBE);
const REQUEST: HeaderName = HeaderName::from_static(names::REQUEST);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is known of a connection of this server.
#[derive(Debug)]
pub struct Connection {
    /// Its id, unique in one run of the server.
    pub id: HeaderValue,
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// This end.
    pub local: Option<SocketAddr>,
}

/// What is known of a request beside its head; the server attaches it to the
/// request's extensions.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The connection that it came on.
    pub connection: Arc<Connection>,
    /// Its number on that connection, from 1.
    pub number: u64,
}

/// The reply to one request.
#[derive(Debug)]
pub struct Answer {
    /// The URL as the client asked for it, fit to be printed.
    pub url: String,
    /// Which attempt of the nearest Envoy this was.
    pub attempt: Option<u32>,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The response's body.
    pub body: Bytes,
}

/// Knows who answers, and holds every part of a reply that is always the same.
#[derive(Debug)]
pub struct Describer {
    identity: Identity,
    headers: HeaderMap,
    /// The text line before and after the URL.
    around_url: (String, String),
}

impl Describer {
    /// A describer for `identity`. A value that no header can carry is left out
    /// of the headers; `identity::from_flags` lets none pass.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let headers = constant_headers(&identity);
        let mark = '\u{1}';
        let url = mark.to_string();
        let line = TextLine { url: &url, pod: &identity.pod, cluster: &identity.cluster };
        let line = format!("{line}\n");
        let (before, after) = line.split_once(mark).unwrap_or_default();
        let around_url = (before.to_owned(), after.to_owned());
        Self { identity, headers, around_url }
    }

    /// The reply to a request.
    #[must_use]
    pub fn answer(&self, head: &Parts, arrival: &Arrival) -> Answer {
        let url = asked_url::of(head, arrival.connection.local);
        let attempt = attempt(&head.headers);
        let probe = probe(&head.headers);
        let mut headers = self.headers.clone();
        headers.insert(CONNECTION, arrival.connection.id.clone());
        headers.insert(REQUEST, HeaderValue::from(arrival.number));
        if let Some(attempt) = attempt {
            headers.insert(ATTEMPT, HeaderValue::from(attempt));
        }
        if let Some(probe) = probe {
            headers.insert(PROBE, probe.clone());
        }
        let body = match negotiate::form(&head.headers) {
            Form::Text => self.text(&url),
            Form::Json => {
                headers.insert(CONTENT_TYPE, JSON);
                json(&self.reply(head, arrival, &url))
            }
        };
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Answer { url, attempt, headers, body: body.into() }
    }

    fn text(&self, url: &str) -> Vec<u8> {
        let (before, after) = &self.around_url;
        [before.as_bytes(), url.as_bytes(), after.as_bytes()].concat()
    }

    fn reply(&self, head: &Parts, arrival: &Arrival, url: &str) -> Reply {
        let connection = &arrival.connection;
        Reply {
            schema: SCHEMA.to_owned(),
            identity: self.identity.clone(),
            method: printable(head.method.as_str()).into_owned(),
            url: url.to_owned(),
            http_version: format!("{:?}", head.version),
            headers: readable(&head.headers),
            peer: connection.peer.map(|peer| peer.to_string()),
            connection: text_of(&connection.id),
            request: arrival.number,
            attempt: attempt(&head.headers),
            probe: probe(&head.headers).map(text_of),
            tls: None,
            xfcc: xfcc::from_headers(&head.headers),
        }
    }
}

/// All headers that every reply has. Those that differ from reply to reply have
/// their place already, so that replacing them never makes the map grow.
fn constant_headers(identity: &Identity) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    headers.insert(CONTENT_TYPE, TEXT);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    for (name, value) in identity.headers() {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.insert(CONNECTION, HeaderValue::from_static(""));
    headers.insert(REQUEST, HeaderValue::from_static(""));
    headers
}

/// Which attempt of the nearest Envoy this is, if the header is a plain number from 1.
fn attempt(headers: &HeaderMap) -> Option<u32> {
    let value = headers.get(names::ENVOY_ATTEMPT)?.to_str().ok()?;
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|attempt| plain && *attempt > 0)
}

/// The caller's probe id, if it is short and visible.
fn probe(headers: &HeaderMap) -> Option<&HeaderValue> {
    let fits = |value: &&HeaderValue| {
        (1..=MAX_PROBE).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(names::PROBE_ID).filter(fits)
}

fn readable(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut readable = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers {
        let name = printable(name.as_str()).into_owned();
        readable.entry(name).or_default().push(text_of(value));
    }
    readable
}

fn text_of(value: &HeaderValue) -> String {
    printable(&String::from_utf8_lossy(value.as_bytes())).into_owned()
}

/// One line, as the text reply is. A reply is only strings and numbers, which
/// never fail to become JSON; if one did, its body would be empty.
fn json(reply: &Reply) -> Vec<u8> {
    let mut json = serde_json::to_vec(reply).unwrap_or_default();
    json.push(b'\n');
    json
}

#[cfg(test)]
mod tests;
