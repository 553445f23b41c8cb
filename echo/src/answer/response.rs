//! What every kind of answer is made of: the request under way, the response, and the
//! counters and log lines that follow.

use std::time::Instant;

use axum::body::{Bytes, HttpBody as _};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::content::Content;
use crate::access_log::Answered;
use crate::app::App;
use crate::describe::{Answer, Arrival, TEXT};
use crate::metrics::Protocol;

pub(super) const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A request under way.
pub(super) struct Asked {
    pub(super) started: Instant,
    pub(super) head: Parts,
    pub(super) arrival: Arrival,
}

/// An answer without a fault.
pub(super) fn sent(app: &App, asked: &Asked, answer: Answer) -> Response<Content> {
    let Answer { status, headers, body } = answer;
    record(app, asked, status, asked.head.version.into(), Some(body.len() as u64));
    response(asked, status, headers, Content::Whole(body))
}

/// One line that says why the request is refused, with the identity headers.
pub(super) fn refused(
    app: &App,
    asked: &Asked,
    status: StatusCode,
    why: &str,
) -> Response<Content> {
    let mut headers = app.describer.stated(&asked.head, &asked.arrival);
    headers.insert(CONTENT_TYPE, TEXT);
    record(app, asked, status, asked.head.version.into(), None);
    response(asked, status, headers, Content::Whole(format!("{why}\n").into()))
}

/// A response. The one to HEAD has no body, but states the length that the body would have.
pub(super) fn response(
    asked: &Asked,
    status: StatusCode,
    mut headers: HeaderMap,
    mut content: Content,
) -> Response<Content> {
    if asked.head.method == Method::HEAD {
        let length = content.size_hint().exact().filter(|length| *length > 0);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        content = Content::Whole(Bytes::new());
    }
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Counts and logs an answer.
pub(super) fn record(
    app: &App,
    asked: &Asked,
    status: StatusCode,
    protocol: Protocol,
    bytes: Option<u64>,
) {
    let took = asked.started.elapsed();
    app.metrics.answered(&asked.head.method, status, protocol, took);
    let answered = Answered { status: status.as_u16(), bytes, took };
    app.log.answered(&asked.head, &asked.arrival, &answered);
}
