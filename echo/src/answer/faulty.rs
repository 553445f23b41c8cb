//! Answers with the faults that were drawn for them.

use axum::body::Bytes;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Version};

use super::content::Content;
use super::response::{Asked, CLOSE, record, response};
use crate::app::App;
use crate::describe::Answer;
use crate::faults::{self, Drawn};
use crate::metrics::Ongoing;
use crate::request_headers::RequestHeaders;

pub(super) const OFF: HeaderValue = HeaderValue::from_static("off");

/// What the connection does with a response. It travels in the response's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It closes without an answer.
    Cut,
    /// It closes after the answer.
    Close,
}

/// Says in a header that the faults which the request asks for are switched off.
pub(super) fn mark_ignored(
    app: &App,
    head: &Parts,
    request_headers: &RequestHeaders<'_>,
    headers: &mut HeaderMap,
) {
    if !app.options.faults && faults::are_asked(head, request_headers) {
        headers.insert(faults::DONE, OFF);
    }
}

/// Does the faults that come before an answer.
pub(super) async fn wait(app: &App, drawn: &Drawn) {
    if let Some(time) = drawn.unready {
        app.readiness.suspend(time);
    }
    if let Some(delay) = drawn.delay {
        tokio::time::sleep(delay).await;
    }
}

/// An answer with the faults that were drawn for it. `held` counts the request as in
/// flight until the body has been sent.
pub(super) fn misbehaving(
    app: &App,
    asked: &Asked,
    mut answer: Answer,
    drawn: &Drawn,
    held: Ongoing,
) -> Response<Content> {
    let length = faults::body::length(&answer.body, drawn);
    let status = answer.status;
    record(app, asked, status, asked.head.version.into(), Some(length));
    if let Ok(said) = HeaderValue::try_from(drawn.said()) {
        answer.headers.insert(faults::DONE, said);
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless {
        answer.headers.remove(CONTENT_TYPE);
        answer.body = Bytes::new();
    } else {
        answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let shapes = drawn.drip.is_some() || drawn.size.is_some() || drawn.abort.is_some();
    let content = if shapes && !bodiless {
        Content::Stream(faults::body::shaped(answer.body, drawn, held))
    } else {
        Content::Whole(answer.body)
    };
    let mut response = response(asked, status, answer.headers, content);
    end(&mut response, drawn, asked.head.version);
    response
}

/// Tells the connection whether it ends with this answer.
pub(super) fn end<B>(response: &mut Response<B>, drawn: &Drawn, version: Version) {
    if drawn.abort == Some(faults::Abort::Before) {
        response.extensions_mut().insert(Ending::Cut);
    } else if drawn.close {
        response.extensions_mut().insert(Ending::Close);
        if version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
    }
}
