//! What the echo port answers: every path and method gets the line. A plain
//! request is answered at once. One that must wait for something (a body, a
//! fault, another echo) or becomes something else (gRPC, a WebSocket) is
//! answered later, in a box of its own: a connection that rests needs no room
//! for what few requests ask for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use futures_util::future::BoxFuture;
use hyper::body::{Frame, SizeHint};

use crate::access_log::Answered;
use crate::describe::{self, Answer, Arrival, More};
use crate::faults::{self, Drawn};
use crate::metrics::{self, Protocol};
use crate::noted::Noted;
use crate::routes::App;
use crate::{body, call, grpc, websocket};

const OFF: HeaderValue = HeaderValue::from_static("off");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer, or what will become one.
pub(crate) enum Answering {
    /// It stands.
    Now(Response<Content>),
    /// It has to wait for something.
    Later(BoxFuture<'static, Response<Content>>),
}

/// An answer's body: mostly a line, which needs no box.
pub(crate) enum Content {
    /// All of it.
    Whole(Bytes),
    /// What comes bit by bit.
    Stream(Body),
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
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
    let faults = faults::are_asked(head, &noted);
    let special = (faults && app.options.faults)
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
    if faults {
        answer.headers.insert(faults::DONE, OFF);
    }
    Some(sent(app, asked, answer, StatusCode::OK))
}

async fn later(app: &App, asked: Asked, request_body: Body) -> Response<Content> {
    let in_flight = app.metrics.request();
    if Noted::of(&asked.head.headers).exceeds(app.options.max_head, &asked.head) {
        let why = format!("the head is larger than {} bytes", app.options.max_head);
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let mut response = refused(app, &asked, status, &why);
        response.headers_mut().insert(CONNECTION, CLOSE);
        return response;
    }
    if grpc::is_call(&asked.head.method, asked.head.version, &asked.head.headers) {
        return call_grpc(app, asked, request_body).await.map(Content::Stream);
    }
    if websocket::is_asked(&asked.head, &Noted::of(&asked.head.headers)) {
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
    let noted = Noted::of(&asked.head.headers);
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
    if !app.options.faults && faults::are_asked(&asked.head, &noted) {
        answer.headers.insert(faults::DONE, OFF);
    }
    match &drawn {
        Some(drawn) => misbehaving(app, &asked, answer, status, drawn, in_flight),
        None => sent(app, &asked, answer, status),
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
    } else if !app.options.faults && faults::are_asked(&asked.head, &Noted::of(&asked.head.headers))
    {
        response.headers_mut().insert(faults::DONE, OFF);
    }
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
mod tests {
    use super::*;
    use crate::describe::{Connection, Describer};
    use crate::routes::Options;
    use axum::body::to_bytes;
    use axum::extract::Request;
    use axum::http::header::HOST;
    use echo_reply::{Identity, headers as names};

    fn app() -> Arc<App> {
        Arc::new(App::new(Describer::new(Identity::new("pod-1", "kops")), Options::default()))
    }

    fn ask(app: Arc<App>, request: Request) -> (StatusCode, Response<()>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let connection = Arc::new(Connection::new(HeaderValue::from_static("-")));
            let response = match answer(&app, request, Arrival { connection, number: 1 }) {
                Answering::Now(response) => response,
                Answering::Later(response) => response.await,
            };
            let (parts, body) = response.into_parts();
            let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            (parts.status, Response::from_parts(parts, ()), body)
        })
    }

    fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
        Request::builder().method(method).uri(path).header(HOST, "h").body(body.into()).unwrap()
    }

    #[test]
    fn every_path_and_method_is_answered() {
        for method in ["GET", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            for path in ["/", "/healthz", "/metrics", "//a/../b", "/%00?x=%0d%0a", "*"] {
                let (status, head, body) = ask(app(), request(method, path, "body"));
                assert_eq!(status, StatusCode::OK, "{method} {path}");
                assert_eq!(head.headers()["x-echo-pod"], "pod-1");
                assert!(body.ends_with("] on [pod: pod-1] in [cluster: kops]\n"), "{body:?}");
            }
        }
    }

    #[test]
    fn head_differs_from_get_only_in_the_body() {
        let (_, get, body) = ask(app(), request("GET", "/a", ""));
        let (status, head, no_body) = ask(app(), request("HEAD", "/a", ""));
        assert_eq!((status, no_body.as_str()), (StatusCode::OK, ""));
        let mut headers = head.headers().clone();
        // With a body, the length is written by whoever writes the body.
        let length = headers.remove(CONTENT_LENGTH).unwrap();
        assert_eq!(length, body.len().to_string().as_str());
        assert_eq!(headers, *get.headers());
    }

    #[test]
    fn a_tunnel_is_refused_and_an_oversized_body_too() {
        let (status, head, _) = ask(app(), request("CONNECT", "example.com:443", ""));
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(head.headers()["connection"], "close");

        let largest = vec![0_u8; usize::try_from(body::MAX_BODY).unwrap()];
        assert_eq!(ask(app(), request("PUT", "/", largest.clone())).0, StatusCode::OK);
        let larger = [&largest[..], b"1"].concat();
        let (status, head, line) = ask(app(), request("PUT", "/", larger));
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(head.headers()["connection"], "close");
        assert!(line.contains("[pod: pod-1]"), "even then it says who answered");
    }

    #[test]
    fn a_host_in_doubt_is_refused() {
        let ask = |version, hosts: &[&str]| {
            let mut request = Request::builder().uri("/").version(version);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let (status, head, line) = ask(app(), request.body(Body::empty()).unwrap());
            assert!(line.contains("[pod: pod-1]"), "even then it says who answered");
            (status.as_u16(), head.headers().contains_key(CONNECTION))
        };
        assert_eq!(ask(Version::HTTP_11, &["a"]), (200, false));
        assert_eq!(ask(Version::HTTP_11, &[""]), (200, false));
        assert_eq!(ask(Version::HTTP_11, &["a", "a"]), (400, true));
        assert_eq!(ask(Version::HTTP_11, &[]), (400, true));
        assert_eq!(ask(Version::HTTP_10, &[]), (200, false));
        assert_eq!(ask(Version::HTTP_2, &[]), (200, false));
    }

    #[test]
    fn a_head_may_be_as_large_as_the_limit_and_no_larger() {
        let head = "GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n";
        for (max_head, expected) in [(head.len(), 200), (head.len() - 1, 431)] {
            let options = Options { max_head, ..Options::default() };
            let describer = Describer::new(Identity::new("pod-1", "kops"));
            let app = Arc::new(App::new(describer, options));
            let (status, head, _) = ask(app, request("GET", "/a?b", ""));
            assert_eq!(status.as_u16(), expected);
            assert_eq!(head.headers()["x-echo-pod"], "pod-1");
            assert_eq!(head.headers().contains_key(CONNECTION), expected != 200);
        }
    }

    #[test]
    fn faults_come_only_where_they_are_allowed() {
        let with = |faults, path: &str| {
            let options = Options { faults, ..Options::default() };
            let describer = Describer::new(Identity::new("pod-1", "kops"));
            ask(Arc::new(App::new(describer, options)), request("GET", path, ""))
        };
        let (status, head, _) = with(false, "/?status=503");
        assert_eq!((status.as_u16(), &head.headers()["x-echo-faults"]), (200, &OFF));
        assert!(!with(false, "/?x=503").1.headers().contains_key("x-echo-faults"));

        let (status, head, body) = with(true, "/?status=503&size=3");
        assert_eq!((status.as_u16(), body.as_str()), (503, "[UR"));
        assert_eq!(head.headers()["x-echo-faults"], "status=503,size=3");
        assert_eq!(head.headers()["content-length"], "3");
        assert!(!with(true, "/").1.headers().contains_key("x-echo-faults"));

        let (status, head, body) = with(true, "/?status=204&size=3");
        assert_eq!((status.as_u16(), body.as_str()), (204, ""));
        assert!(head.headers().get("content-length").is_none_or(|length| length == "0"));

        let options = Options { faults: true, max_body: 3, ..Options::default() };
        let describer = Describer::new(Identity::new("pod-1", "kops"));
        let large = request("PUT", "/?status=200", "four");
        let (status, head, _) = ask(Arc::new(App::new(describer, options)), large);
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "no fault hides a refusal");
        assert_eq!(head.headers()["connection"], "close");

        let (status, head, body) = with(true, "/?status=99");
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains("status cannot be \"99\"") && body.lines().count() == 1, "{body}");
        assert_eq!(head.headers()["x-echo-pod"], "pod-1");

        let (_, head, _) = with(true, "/?abort=before");
        assert_eq!(head.extensions().get(), Some(&Ending::Cut));
        let (_, head, _) = with(true, "/?close");
        assert_eq!(head.extensions().get(), Some(&Ending::Close));
        assert_eq!(head.headers()["connection"], "close");
    }

    #[test]
    fn a_body_is_returned_only_if_it_is_wanted() {
        for (wanted, body) in [(true, "a\u{1}b"), (false, "")] {
            let mut request = request("POST", "/", "a\u{1}b");
            request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
            if wanted {
                request.headers_mut().insert(names::WANT_BODY, HeaderValue::from_static("1"));
            }
            let (_, _, json) = ask(app(), request);
            let reply: echo_reply::Reply = serde_json::from_str(&json).unwrap();
            assert_eq!(reply.body.map(|body| body.text).unwrap_or_default(), body);
            assert!(!json.trim_end().contains(char::is_control), "{json:?}");
        }
    }
}
