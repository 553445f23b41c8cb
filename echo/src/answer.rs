//! What the echo port answers: every path and method gets the line. A plain
//! request is answered at once. One that must wait for something (a body, a
//! fault, another echo) or becomes something else (gRPC, a WebSocket) is
//! answered later, in a box of its own: a connection that rests needs no room
//! for what few requests ask for.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use futures_util::future::BoxFuture;

use crate::access_log::Answered;
use crate::describe::{self, Answer, Arrival, More, TEXT};
use crate::faults::{self, Drawn};
use crate::metrics::{self, Protocol};
use crate::noted::Noted;
use crate::routes::App;
use crate::{body, call, grpc, websocket};

mod content;
pub(crate) use content::Content;

const OFF: HeaderValue = HeaderValue::from_static("off");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// An answer, or what will become one.
pub(crate) enum Answering {
    /// It stands.
    Now(Response<Content>),
    /// It has to wait for something.
    Later(BoxFuture<'static, Response<Content>>),
}

/// To be put into a response's extensions: what the connection makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The connection is cut instead of answering.
    Cut,
    /// The connection ends after the answer.
    Close,
}

/// A request under way.
struct Asked {
    started: Instant,
    head: Parts,
    arrival: Arrival,
}

/// Answers a request, whatever it asks.
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

/// The answer to a plain request without a body; none to what must be looked at closely.
fn at_once(app: &App, asked: &Asked) -> Option<Response<Content>> {
    let head = &asked.head;
    let noted = Noted::of(&head.headers);
    let special = (app.options.faults && faults::are_asked(head, &noted))
        || head.method == Method::CONNECT
        || !noted.names_one_host(head.version)
        || grpc::is_call(&head.method, head.version, &head.headers)
        || websocket::is_asked(head, &noted)
        || noted.want_body
        || noted.exceeds(app.options.max_head, head)
        || (app.caller.is_some() && head.uri.path() == call::PATH);
    if special {
        return None;
    }
    let mut answer = app.describer.answer(head, &noted, &asked.arrival, More::default());
    mark_ignored(app, head, &noted, &mut answer.headers);
    Some(sent(app, asked, answer, StatusCode::OK))
}

async fn later(app: &App, asked: Asked, request_body: Body) -> Response<Content> {
    let in_flight = app.metrics.request();
    let noted = Noted::of(&asked.head.headers);
    if noted.exceeds(app.options.max_head, &asked.head) {
        let why = format!("the head is larger than {} bytes", app.options.max_head);
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let mut response = refused(app, &asked, status, &why);
        response.headers_mut().insert(CONNECTION, CLOSE);
        return response;
    }
    if grpc::is_call(&asked.head.method, asked.head.version, &asked.head.headers) {
        return call_grpc(app, asked, request_body).await.map(Content::Stream);
    }
    if websocket::is_asked(&asked.head, &noted) {
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
    let mut kept = noted.want_body.then(body::Kept::default);
    let mut status = status(app, &asked.head, &noted, request_body, kept.as_mut()).await;
    let mut more = More { body: kept.map(Into::into), calls: Vec::new() };
    if let Some(caller) = app.caller.as_ref().filter(|_| asked.head.uri.path() == call::PATH) {
        match caller.list.asked(&asked.head) {
            Ok(calls) => more.calls = caller.call(&calls, &asked.head.headers).await,
            Err(refusal) => {
                return refused(app, &asked, refusal.status(), &refusal.to_string());
            }
        }
    }
    // What was not read to its end cannot be followed by another request.
    let broken = status != StatusCode::OK;
    if let Some(drawn) = &drawn {
        wait(app, drawn).await;
        status = drawn.status.filter(|_| status == StatusCode::OK).unwrap_or(status);
    }
    let mut answer = app.describer.answer(&asked.head, &noted, &asked.arrival, more);
    if broken && asked.head.version < Version::HTTP_2 {
        answer.headers.insert(CONNECTION, CLOSE);
    }
    mark_ignored(app, &asked.head, &noted, &mut answer.headers);
    match &drawn {
        Some(drawn) => misbehaving(app, &asked, answer, status, drawn, in_flight),
        None => sent(app, &asked, answer, status),
    }
}

/// Says of faults that are asked for in vain that they are.
fn mark_ignored(app: &App, head: &Parts, noted: &Noted<'_>, headers: &mut HeaderMap) {
    if !app.options.faults && faults::are_asked(head, noted) {
        headers.insert(faults::DONE, OFF);
    }
}

/// An answer without a fault.
fn sent(app: &App, asked: &Asked, answer: Answer, status: StatusCode) -> Response<Content> {
    let bytes = Some(answer.body.len() as u64);
    told(app, asked, status, asked.head.version.into(), bytes);
    response(asked, status, answer.headers, Content::Whole(answer.body))
}

/// A response; where only the head is asked for, it says how long the body would be.
fn response(
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

/// What every answer is followed by: the counters and the log.
fn told(app: &App, asked: &Asked, status: StatusCode, protocol: Protocol, bytes: Option<u64>) {
    let took = asked.started.elapsed();
    app.metrics.answered(&asked.head.method, status, protocol, took);
    let answered = Answered { status: status.as_u16(), bytes, took };
    app.log.answered(&asked.head, &asked.arrival, &answered);
}

/// The faults that come before an answer.
async fn wait(app: &App, drawn: &Drawn) {
    if let Some(time) = drawn.unready {
        app.readiness.suspend(time);
    }
    if let Some(delay) = drawn.delay {
        tokio::time::sleep(delay).await;
    }
}

/// An answer with the faults that were drawn for it.
fn misbehaving(
    app: &App,
    asked: &Asked,
    mut answer: Answer,
    status: StatusCode,
    drawn: &Drawn,
    held: metrics::Ongoing,
) -> Response<Content> {
    let length = faults::body::length(&answer.body, drawn);
    told(app, asked, status, asked.head.version.into(), Some(length));
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

/// Tells the connection how it ends, if it does.
fn end<B>(response: &mut Response<B>, drawn: &Drawn, version: Version) {
    if drawn.abort == Some(faults::Abort::Before) {
        response.extensions_mut().insert(Ending::Cut);
    } else if drawn.close {
        response.extensions_mut().insert(Ending::Close);
        if version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
    }
}

/// One line that says why not, with the headers that say who says so.
fn refused(app: &App, asked: &Asked, status: StatusCode, why: &str) -> Response<Content> {
    let mut headers = app.describer.stated(&asked.head, &asked.arrival);
    headers.insert(CONTENT_TYPE, TEXT);
    told(app, asked, status, asked.head.version.into(), None);
    response(asked, status, headers, Content::Whole(format!("{why}\n").into()))
}

/// Answers a gRPC call, which has a status of its own beside that of HTTP.
async fn call_grpc(app: &App, asked: Asked, body: Body) -> Response<Body> {
    let stated = app.describer.stated(&asked.head, &asked.arrival);
    let drawn = match app.options.faults.then(|| grpc::faults(&asked.head)).transpose() {
        Ok(drawn) => drawn.flatten(),
        Err(refusal) => {
            return told_grpc(app, &asked, grpc::invalid(&refusal.to_string()), stated);
        }
    };
    if let Some(drawn) = &drawn {
        wait(app, drawn).await;
    }
    let mut response = match drawn.as_ref().and_then(|drawn| drawn.status) {
        Some(status) if status != StatusCode::OK => grpc::failed(status),
        _ => {
            let mut request = Request::from_parts(asked.head.clone(), body);
            let arrival = asked.arrival.clone();
            let url = describe::url(&asked.head, &asked.arrival.connection);
            request.extensions_mut().insert(grpc::Call { url, arrival });
            app.grpc.answer(request).await
        }
    };
    if let Some(drawn) = &drawn {
        if let Ok(said) = HeaderValue::try_from(drawn.said()) {
            response.headers_mut().insert(faults::DONE, said);
        }
        end(&mut response, drawn, Version::HTTP_2);
    }
    mark_ignored(app, &asked.head, &Noted::of(&asked.head.headers), response.headers_mut());
    told_grpc(app, &asked, response, stated)
}

fn told_grpc(
    app: &App,
    asked: &Asked,
    mut response: Response<Body>,
    stated: HeaderMap,
) -> Response<Body> {
    response.headers_mut().extend(stated);
    told(app, asked, response.status(), Protocol::Grpc, None);
    response
}

/// Answers a WebSocket's handshake; what follows is no request.
async fn open_websocket(app: &App, mut asked: Asked) -> Response<Body> {
    let url = describe::url(&asked.head, &asked.arrival.connection);
    let stated = app.describer.stated(&asked.head, &asked.arrival);
    let line = app.describer.text(&url).trim_end().to_owned();
    let idle = app.options.idle_timeout;
    let mut response = websocket::answer(&mut asked.head, asked.arrival.clone(), line, idle).await;
    response.headers_mut().extend(stated);
    told(app, &asked, response.status(), Protocol::WebSocket, None);
    response
}

/// 200, unless the request is ambiguous, its body is refused, or a tunnel is
/// asked for: this is no proxy.
async fn status(
    app: &App,
    head: &Parts,
    noted: &Noted<'_>,
    request_body: Body,
    kept: Option<&mut body::Kept>,
) -> StatusCode {
    if head.method == Method::CONNECT {
        return StatusCode::NOT_IMPLEMENTED;
    }
    if !noted.names_one_host(head.version) {
        return StatusCode::BAD_REQUEST;
    }
    body::drain(request_body, app.options.max_body, kept).await
}

#[cfg(test)]
mod tests;
