//! What the echo port answers: every path and method gets the line. A plain request is
//! answered at once. A request that waits for something (a body, a fault, another echo) or
//! becomes something else (gRPC, a WebSocket) is answered by a boxed future, so that an
//! idle connection does not reserve memory for it.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode, Version};
use futures_util::future::BoxFuture;

use crate::accounts::Share;
use crate::app::App;
use crate::describe::{self, Arrival, More};
use crate::faults;
use crate::metrics::Protocol;
use crate::request_headers::RequestHeaders;
use crate::{body, call, websocket};

mod content;
mod faulty;
mod grpc;
mod response;
pub(crate) use content::Content;
pub(crate) use faulty::Ending;
use faulty::{mark_ignored, misbehaving, wait};
use response::{Asked, CLOSE, record, refused, sent};

/// An answer, or the future that makes it.
pub(crate) enum Answering {
    Now(Response<Content>),
    Later(BoxFuture<'static, Response<Content>>),
}

/// Answers any request.
pub(crate) fn answer<B>(app: &Arc<App>, request: Request<B>, arrival: Arrival) -> Answering
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let started = Instant::now();
    let (head, request_body) = request.into_parts();
    let asked = Asked { started, head, arrival };
    if request_body.is_end_stream()
        && let Some(answer) = at_once(app, &asked)
    {
        return Answering::Now(answer);
    }
    let app = Arc::clone(app);
    let request_body = Body::new(request_body);
    Answering::Later(Box::pin(async move { later(&app, asked, request_body).await }))
}

/// The answer to a plain request without a body; `None` for any other request.
fn at_once(app: &App, asked: &Asked) -> Option<Response<Content>> {
    let head = &asked.head;
    let request_headers = RequestHeaders::of(&head.headers);
    let special = (app.options.faults && faults::are_asked(head, &request_headers))
        || head.method == Method::CONNECT
        || !request_headers.names_one_host(head.version)
        || crate::grpc::is_call(&head.method, head.version, &head.headers)
        || websocket::is_asked(head, &request_headers)
        || request_headers.want_body
        || request_headers.exceeds(app.options.max_head, head)
        || (app.caller.is_some() && head.uri.path() == call::PATH);
    if special {
        return None;
    }
    let mut answer = app.describer.answer(head, &request_headers, &asked.arrival, More::default());
    mark_ignored(app, head, &request_headers, &mut answer.headers);
    Some(sent(app, asked, answer))
}

async fn later(app: &App, asked: Asked, request_body: Body) -> Response<Content> {
    let in_flight = app.metrics.request();
    let request_headers = RequestHeaders::of(&asked.head.headers);
    if request_headers.exceeds(app.options.max_head, &asked.head) {
        return too_large_a_head(app, &asked);
    }
    if crate::grpc::is_call(&asked.head.method, asked.head.version, &asked.head.headers) {
        return grpc::call_grpc(app, asked, request_body).await.map(Content::Stream);
    }
    if websocket::is_asked(&asked.head, &request_headers) {
        return open_websocket(app, asked).await.map(Content::Stream);
    }
    let drawn = if app.options.faults {
        match faults::asked(&asked.head) {
            Ok(faults) => faults.map(|faults| faults.draw(|| fastrand::u64(..))),
            Err(refusal) => {
                body::drain(request_body, app.options.max_body, None).await;
                return refused(app, &asked, StatusCode::BAD_REQUEST, &refusal.to_string());
            }
        }
    } else {
        None
    };
    let mut kept = request_headers.want_body.then(body::Kept::default);
    let Some(_held) = room_to_keep(&asked, kept.as_ref().map(|_| &request_body)) else {
        return no_room(app, &asked);
    };
    let mut status = status(app, &asked.head, &request_headers, request_body, kept.as_mut()).await;
    let mut more = More { body: kept.map(Into::into), calls: Vec::new() };
    // If the body was not read to its end, the next request cannot be found after it.
    let broken = status != StatusCode::OK;
    if let Some(drawn) = &drawn {
        wait(app, drawn).await;
        status = drawn.status.filter(|_| status == StatusCode::OK).unwrap_or(status);
    }
    // Held until the calls are bytes, which limits how many of them are in memory.
    let mut slot = None;
    let calls = !broken && asked.head.uri.path() == call::PATH;
    if let Some(caller) = app.caller.as_ref().filter(|_| calls) {
        match caller.call(&asked.head).await {
            Ok(calls) => (more.calls, slot) = (calls.made, Some(calls.slot)),
            Err(refusal) => {
                return refused(app, &asked, refusal.status(), &refusal.to_string());
            }
        }
    }
    let mut answer = app.describer.answer(&asked.head, &request_headers, &asked.arrival, more);
    drop(slot);
    answer.status = status;
    if broken && asked.head.version < Version::HTTP_2 {
        answer.headers.insert(CONNECTION, CLOSE);
    }
    mark_ignored(app, &asked.head, &request_headers, &mut answer.headers);
    match &drawn {
        Some(drawn) => misbehaving(app, &asked, answer, drawn, in_flight),
        None => sent(app, &asked, answer),
    }
}

fn too_large_a_head(app: &App, asked: &Asked) -> Response<Content> {
    let why = format!("the head is larger than {} bytes", app.options.max_head);
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let mut response = refused(app, asked, status, &why);
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

/// The share of a body that is returned, if one is; `None` if too much is held already.
fn room_to_keep(asked: &Asked, kept: Option<&Body>) -> Option<Option<Share>> {
    let (Some(account), Some(kept)) = (&asked.arrival.connection.account, kept) else {
        return Some(None);
    };
    Share::take(account, body::most_kept(kept)).map(Some)
}

fn no_room(app: &App, asked: &Asked) -> Response<Content> {
    let why = "too many bodies are held to return another one; ask again later";
    let mut response = refused(app, asked, StatusCode::SERVICE_UNAVAILABLE, why);
    if asked.head.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, CLOSE);
    }
    response
}

/// Answers a WebSocket handshake. The messages that follow are not requests.
async fn open_websocket(app: &App, mut asked: Asked) -> Response<Body> {
    let url = describe::url(&asked.head, &asked.arrival.connection);
    let stated = app.describer.stated(&asked.head, &asked.arrival);
    let line = app.describer.text(&url).trim_end().to_owned();
    let idle = app.options.idle_timeout;
    let mut response = websocket::answer(&mut asked.head, asked.arrival.clone(), line, idle).await;
    response.headers_mut().extend(stated);
    record(app, &asked, response.status(), Protocol::WebSocket, None);
    response
}

/// 200, unless the host is ambiguous, the body is refused, or the request is a CONNECT:
/// echo is not a proxy.
async fn status(
    app: &App,
    head: &Parts,
    request_headers: &RequestHeaders<'_>,
    request_body: Body,
    kept: Option<&mut body::Kept>,
) -> StatusCode {
    if head.method == Method::CONNECT {
        return StatusCode::NOT_IMPLEMENTED;
    }
    if !request_headers.names_one_host(head.version) {
        return StatusCode::BAD_REQUEST;
    }
    body::drain(request_body, app.options.max_body, kept).await
}

#[cfg(test)]
mod tests;
