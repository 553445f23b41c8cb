//! Request → reply: pure. Nothing from a request is trusted: it is limited in length and
//! cleaned of control characters before it goes into a reply.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use echo_reply::{
    Called, Identity, Reply, SCHEMA, SentBody, TextLine, headers as names, printable,
};

use crate::negotiate::{self, Form};
use crate::request_headers::RequestHeaders;
use crate::xfcc;

mod arrival;
mod asked_url;
pub(crate) use arrival::{Arrival, Connection};
use asked_url::AskedUrl;

const ATTEMPT: HeaderName = HeaderName::from_static(names::ATTEMPT);
const CONNECTION: HeaderName = HeaderName::from_static(names::CONNECTION);
const PROBE: HeaderName = HeaderName::from_static(names::PROBE);
const REQUEST: HeaderName = HeaderName::from_static(names::REQUEST);
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a reply holds beside the facts of the request head.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// The request's body, if the client wants it back.
    pub body: Option<SentBody>,
    /// The answers of the echoes that were called.
    pub calls: Vec<Called>,
}

/// The URL as the client asked for it, free of control characters.
#[must_use]
pub(crate) fn url(head: &Parts, connection: &Connection) -> String {
    AskedUrl::of(head, &RequestHeaders::of(&head.headers), connection).between("", "")
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// 200; the caller replaces it where the request is refused or asks for a fault.
    pub status: StatusCode,
    /// Without `content-length`.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Makes replies. Holds every part of a reply that never changes.
#[derive(Debug)]
pub(crate) struct Describer {
    identity: Identity,
    headers: HeaderMap,
    identity_headers: HeaderMap,
    /// The text line before and after the URL.
    around_url: (String, String),
}

impl Describer {
    /// A describer for `identity`. The headers leave out a value that a header cannot carry;
    /// `cli::identity` refuses such values.
    #[must_use]
    pub(crate) fn new(identity: Identity) -> Self {
        let headers = constant_headers(&identity);
        let mark = '\u{1}';
        let url = mark.to_string();
        let line = TextLine { url: &url, pod: &identity.pod, cluster: &identity.cluster };
        let line = format!("{line}\n");
        let (before, after) = line.split_once(mark).unwrap_or_default();
        let around_url = (before.to_owned(), after.to_owned());
        let identity_headers = headers_of(&identity).collect();
        Self { identity, headers, identity_headers, around_url }
    }

    #[must_use]
    pub(crate) fn answer(
        &self,
        head: &Parts,
        request_headers: &RequestHeaders<'_>,
        arrival: &Arrival,
        more: More,
    ) -> Answer {
        let mut headers = self.headers.clone();
        state(&mut headers, request_headers, arrival);
        let form = if request_headers.accept { negotiate::form(&head.headers) } else { Form::Text };
        let body = match form {
            Form::Text => {
                let url = AskedUrl::of(head, request_headers, &arrival.connection);
                let mut text = url.between(&self.around_url.0, &self.around_url.1);
                more.calls.iter().for_each(|call| lines_of(call, 1, &mut text));
                text
            }
            Form::Json => {
                headers.insert(CONTENT_TYPE, JSON);
                json(&self.reply(head, request_headers, arrival, more))
            }
        };
        Answer { status: StatusCode::OK, headers, body: body.into() }
    }

    #[must_use]
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The identity headers, for a reply that is made elsewhere.
    #[must_use]
    pub(crate) fn stated(&self, head: &Parts, arrival: &Arrival) -> HeaderMap {
        let mut headers = self.identity_headers.clone();
        state(&mut headers, &RequestHeaders::of(&head.headers), arrival);
        headers
    }

    /// The text line for a URL without control characters.
    #[must_use]
    pub(crate) fn text(&self, url: &str) -> String {
        let (before, after) = &self.around_url;
        [before, url, after].concat()
    }

    fn reply(
        &self,
        head: &Parts,
        request_headers: &RequestHeaders<'_>,
        arrival: &Arrival,
        more: More,
    ) -> Reply {
        let connection = &arrival.connection;
        Reply {
            schema: SCHEMA.to_owned(),
            identity: self.identity.clone(),
            method: printable(head.method.as_str()).into_owned(),
            url: AskedUrl::of(head, request_headers, connection).between("", ""),
            http_version: format!("{:?}", head.version),
            headers: readable(&head.headers),
            peer: connection.peer.map(|peer| peer.to_string()),
            connection: text_of(&connection.id),
            request: arrival.number,
            attempt: request_headers.attempt(),
            probe: request_headers.probe().map(text_of),
            tls: connection.tls.clone(),
            xfcc: xfcc::from_headers(&head.headers),
            body: more.body,
            calls: more.calls,
        }
    }
}

/// The headers of every reply. Those that differ from reply to reply are in the map already,
/// so that setting them never makes it grow.
fn constant_headers(identity: &Identity) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    headers.insert(CONTENT_TYPE, TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.extend(headers_of(identity));
    headers.insert(CONNECTION, HeaderValue::from_static(""));
    headers.insert(REQUEST, HeaderValue::from_static(""));
    headers
}

/// The identity headers, without values that a header cannot carry. The values are leaked,
/// which makes them static: cloning one then needs no shared reference count.
fn headers_of(identity: &Identity) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    identity.headers().filter_map(|(name, value)| {
        HeaderValue::from_str(value).ok()?;
        let value = HeaderValue::from_static(value.to_owned().leak());
        Some((HeaderName::from_static(name), value))
    })
}

/// Sets the headers that differ from reply to reply.
fn state(headers: &mut HeaderMap, asked: &RequestHeaders<'_>, arrival: &Arrival) {
    headers.insert(CONNECTION, arrival.connection.id.clone());
    headers.insert(REQUEST, HeaderValue::from(arrival.number));
    if let Some(attempt) = asked.attempt() {
        headers.insert(ATTEMPT, HeaderValue::from(attempt));
    }
    if let Some(probe) = asked.probe() {
        headers.insert(PROBE, probe.clone());
    }
}

fn readable(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut readable = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers {
        let name = printable(name.as_str()).into_owned();
        readable.entry(name).or_default().push(text_of(value));
    }
    readable
}

pub(crate) fn text_of(value: &HeaderValue) -> String {
    printable(&String::from_utf8_lossy(value.as_bytes())).into_owned()
}

/// Adds the line of a call, and below it the lines of the calls that it made in turn.
fn lines_of(call: &Called, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let Called { url, status, reply, text: said, error, .. } = call;
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    let line = match (reply, said, error) {
        (Some(reply), ..) => {
            let Identity { pod, cluster, .. } = &reply.identity;
            TextLine { url: &reply.url, pod, cluster }.to_string()
        }
        (None, Some(said), _) => format!("{url} answered {status}: {said}"),
        (None, None, error) => format!("{url} failed: {}", error.as_deref().unwrap_or("?")),
    };
    text.extend([&*indent, &printable(&line), "\n"]);
    let further = reply.iter().flat_map(|reply| &reply.calls);
    further.for_each(|call| lines_of(call, depth + 1, text));
}

/// One line of JSON. Serializing strings and numbers cannot fail; if it did, the body would
/// be empty.
fn json(reply: &Reply) -> String {
    let mut json = serde_json::to_string(reply).unwrap_or_default();
    json.push('\n');
    json
}

#[cfg(test)]
mod tests;
