//! The two routers, testable without a port: the echo port answers every path
//! and method; the admin port tells of health, readiness and counters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use echo_reply::headers as names;

use crate::access_log::{AccessLog, Answered};
use crate::call::client::Caller;
use crate::call::{self, List};
use crate::cli::Cli;
use crate::describe::{self, Answer, Arrival, Connection, Describer, More};
use crate::faults::{self, Drawn};
use crate::metrics::{self, Metrics, Protocol};
use crate::readiness::Readiness;
use crate::{body, grpc, websocket};

const WANT_BODY: HeaderName = HeaderName::from_static(names::WANT_BODY);
const OFF: HeaderValue = HeaderValue::from_static("off");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What the routes know.
#[derive(Debug)]
pub struct App {
    /// Who answers, and how.
    pub describer: Arc<Describer>,
    /// What has been counted.
    pub metrics: Metrics,
    /// Whether new requests are welcome.
    pub readiness: Readiness,
    grpc: grpc::Services,
    log: AccessLog,
    options: Options,
    caller: Option<Caller>,
}

/// What the flags say of answering.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether requests may ask for faults.
    pub faults: bool,
    /// Whom `/call` may call; nobody, and there is no `/call`.
    pub allow_call: Vec<call::Allowed>,
    /// The largest body that is read, in bytes.
    pub max_body: u64,
    /// How long a WebSocket may rest.
    pub idle_timeout: Duration,
    /// Of how many requests one is logged.
    pub log_sample: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            faults: false,
            allow_call: Vec::new(),
            max_body: body::MAX_BODY,
            idle_timeout: Duration::from_mins(65),
            log_sample: 1,
        }
    }
}

impl From<&Cli> for Options {
    fn from(cli: &Cli) -> Self {
        Self {
            faults: cli.request.faults,
            allow_call: cli.request.allow_call.clone(),
            max_body: cli.limits.max_body,
            idle_timeout: cli.limits.idle_timeout,
            log_sample: cli.log.log_sample,
        }
    }
}

impl App {
    /// An app that is not ready yet.
    #[must_use]
    pub fn new(describer: Describer, options: Options) -> Self {
        let (describer, readiness) = (Arc::new(describer), Readiness::default());
        let list = options.allow_call.clone();
        Self {
            grpc: grpc::Services::new(Arc::clone(&describer), readiness.clone()),
            describer,
            metrics: Metrics::default(),
            readiness,
            log: AccessLog::new(options.log_sample),
            caller: (!list.is_empty()).then(|| Caller::new(List::new(list))),
            options,
        }
    }
}

/// The echo port's router. A request that carries no [`Arrival`] is answered as
/// if it had come on a connection without an id or an address.
pub fn echo(app: Arc<App>) -> Router {
    Router::new().fallback(answer).with_state(app)
}

/// The admin port's router.
pub fn admin(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(counters))
        .fallback(async || (StatusCode::NOT_FOUND, ADMIN_HINT))
        .with_state(app)
}

const ADMIN_HINT: &str = "this is the admin port: it has /healthz, /readyz and /metrics\n";

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

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = Instant::now();
    let in_flight = app.metrics.request();
    let (mut head, request_body) = request.into_parts();
    let arrival = head.extensions.remove::<Arrival>().unwrap_or_else(nowhere);
    let mut asked = Asked { started, head, arrival };
    if grpc::is_call(&asked.head.method, asked.head.version, &asked.head.headers) {
        return call_grpc(&app, asked, request_body).await;
    }
    if websocket::is_asked(&asked.head) {
        return open_websocket(&app, asked).await;
    }
    let drawn = if app.options.faults {
        match faults::asked(&asked.head) {
            Ok(faults) => faults.map(|faults| faults.draw(|| fastrand::u64(..))),
            Err(refusal) => {
                body::drain(request_body, app.options.max_body, None).await;
                return refused(&app, &asked, StatusCode::BAD_REQUEST, &refusal.to_string());
            }
        }
    } else {
        None
    };
    let mut kept = asked.head.headers.contains_key(WANT_BODY).then(body::Kept::default);
    let mut status = status(&app, &asked.head, request_body, kept.as_mut()).await;
    let mut more = More { body: kept.map(Into::into), calls: Vec::new() };
    if let Some(caller) = app.caller.as_ref().filter(|_| asked.head.uri.path() == call::PATH) {
        match caller.list.asked(&asked.head) {
            Ok(calls) => more.calls = caller.call(&calls, &asked.head.headers).await,
            Err(refusal) => {
                return refused(&app, &asked, refusal.status(), &refusal.to_string());
            }
        }
    }
    // What was not read to its end cannot be followed by another request.
    let broken = status != StatusCode::OK;
    if let Some(drawn) = &drawn {
        wait(&app, drawn).await;
        status = drawn.status.filter(|_| status == StatusCode::OK).unwrap_or(status);
    }
    let mut answer = app.describer.answer(&asked.head, &asked.arrival, more);
    if broken && asked.head.version < Version::HTTP_2 {
        answer.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if !app.options.faults && faults::are_asked(&asked.head) {
        answer.headers.insert(faults::DONE, OFF);
    }
    let length = match &drawn {
        Some(drawn) => faults::body::length(&answer.body, drawn),
        None => answer.body.len() as u64,
    };
    let logged = (answer.url.as_str(), answer.attempt, Some(length));
    told(&app, &asked, status, asked.head.version.into(), logged);
    match &drawn {
        Some(drawn) => misbehaving(answer, status, drawn, &mut asked, in_flight),
        None => plain(answer, status),
    }
}

fn plain(answer: Answer, status: StatusCode) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status;
    *response.headers_mut() = answer.headers;
    response
}

/// What every answer is followed by: the counters and the log.
fn told(
    app: &App,
    asked: &Asked,
    status: StatusCode,
    protocol: Protocol,
    (url, attempt, bytes): (&str, Option<u32>, Option<u64>),
) {
    let took = asked.started.elapsed();
    app.metrics.answered(&asked.head.method, status, protocol, took);
    let answered = Answered { url, status: status.as_u16(), bytes, attempt, took };
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
    mut answer: Answer,
    status: StatusCode,
    drawn: &Drawn,
    asked: &mut Asked,
    held: metrics::Ongoing,
) -> Response {
    if let Ok(said) = HeaderValue::try_from(drawn.said()) {
        answer.headers.insert(faults::DONE, said);
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless {
        answer.headers.remove(CONTENT_LENGTH);
        answer.headers.remove(CONTENT_TYPE);
        answer.body = Bytes::new();
    } else {
        let length = faults::body::length(&answer.body, drawn);
        answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let shapes = drawn.drip.is_some() || drawn.size.is_some() || drawn.abort.is_some();
    let body = if shapes && !bodiless && asked.head.method != Method::HEAD {
        faults::body::shaped(std::mem::take(&mut answer.body), drawn, held)
    } else {
        Body::from(std::mem::take(&mut answer.body))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = answer.headers;
    end(&mut response, drawn, asked.head.version);
    response
}

/// Tells the connection how it ends, if it does.
fn end(response: &mut Response, drawn: &Drawn, version: Version) {
    if drawn.abort == Some(faults::Abort::Before) {
        response.extensions_mut().insert(Ending::Cut);
    } else if drawn.close {
        response.extensions_mut().insert(Ending::Close);
        if version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// One line that says why not, with the headers that say who says so.
fn refused(app: &App, asked: &Asked, status: StatusCode, why: &str) -> Response {
    let (url, headers) = app.describer.stated(&asked.head, &asked.arrival);
    let mut response = Response::new(Body::from(format!("{why}\n")));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    let attempt = describe::attempt(&asked.head.headers);
    told(app, asked, status, asked.head.version.into(), (&url, attempt, None));
    response
}

/// Answers a gRPC call, which has a status of its own beside that of HTTP.
async fn call_grpc(app: &App, asked: Asked, body: Body) -> Response {
    let (url, stated) = app.describer.stated(&asked.head, &asked.arrival);
    let drawn = match app.options.faults.then(|| grpc::faults(&asked.head)).transpose() {
        Ok(drawn) => drawn.flatten(),
        Err(refusal) => {
            return told_grpc(app, &asked, &url, grpc::invalid(&refusal.to_string()), stated);
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
            request.extensions_mut().insert(grpc::Call { url: url.clone(), arrival });
            app.grpc.answer(request).await
        }
    };
    if let Some(drawn) = &drawn {
        if let Ok(said) = HeaderValue::try_from(drawn.said()) {
            response.headers_mut().insert(faults::DONE, said);
        }
        end(&mut response, drawn, Version::HTTP_2);
    } else if !app.options.faults && faults::are_asked(&asked.head) {
        response.headers_mut().insert(faults::DONE, OFF);
    }
    told_grpc(app, &asked, &url, response, stated)
}

fn told_grpc(
    app: &App,
    asked: &Asked,
    url: &str,
    mut response: Response,
    stated: axum::http::HeaderMap,
) -> Response {
    response.headers_mut().extend(stated);
    let attempt = describe::attempt(&asked.head.headers);
    told(app, asked, response.status(), Protocol::Grpc, (url, attempt, None));
    response
}

/// Answers a WebSocket's handshake; what follows is no request.
async fn open_websocket(app: &App, mut asked: Asked) -> Response {
    let (url, stated) = app.describer.stated(&asked.head, &asked.arrival);
    let line = String::from_utf8_lossy(&app.describer.text(&url)).trim_end().to_owned();
    let idle = app.options.idle_timeout;
    let mut response = websocket::answer(&mut asked.head, asked.arrival.clone(), line, idle).await;
    response.headers_mut().extend(stated);
    let attempt = describe::attempt(&asked.head.headers);
    told(app, &asked, response.status(), Protocol::WebSocket, (&url, attempt, None));
    response
}

/// 200, unless the request is ambiguous, its body is refused, or a tunnel is
/// asked for: this is no proxy.
async fn status(
    app: &App,
    head: &Parts,
    request_body: Body,
    kept: Option<&mut body::Kept>,
) -> StatusCode {
    if head.method == Method::CONNECT {
        return StatusCode::NOT_IMPLEMENTED;
    }
    if !names_one_host(head) {
        return StatusCode::BAD_REQUEST;
    }
    body::drain(request_body, app.options.max_body, kept).await
}

/// Whether the host is beyond doubt (RFC 9112, 3.2): two `Host` headers may mean
/// one thing to a proxy and another here.
fn names_one_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => false,
        (None, _) => head.version != Version::HTTP_11,
        _ => true,
    }
}

fn nowhere() -> Arrival {
    let connection = Connection::new(HeaderValue::from_static("-"));
    Arrival { connection: Arc::new(connection), number: 1 }
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.readiness.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

async fn counters(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.render(app.readiness.is_ready()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use echo_reply::Identity;
    use tower::ServiceExt as _;

    fn app() -> Arc<App> {
        Arc::new(App::new(Describer::new(Identity::new("pod-1", "kops")), Options::default()))
    }

    fn ask(router: Router, request: Request) -> (StatusCode, Response<()>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let response = router.oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
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
                let (status, head, body) = ask(echo(app()), request(method, path, "body"));
                assert_eq!(status, StatusCode::OK, "{method} {path}");
                assert_eq!(head.headers()["x-echo-pod"], "pod-1");
                assert!(body.ends_with("] on [pod: pod-1] in [cluster: kops]\n"), "{body:?}");
            }
        }
    }

    #[test]
    fn head_differs_from_get_only_in_the_body() {
        let (_, get, body) = ask(echo(app()), request("GET", "/a", ""));
        let (status, head, no_body) = ask(echo(app()), request("HEAD", "/a", ""));
        assert_eq!((status, no_body.as_str()), (StatusCode::OK, ""));
        assert_eq!(head.headers(), get.headers());
        assert_eq!(head.headers()["content-length"], body.len().to_string().as_str());
    }

    #[test]
    fn a_tunnel_is_refused_and_an_oversized_body_too() {
        let (status, head, _) = ask(echo(app()), request("CONNECT", "example.com:443", ""));
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(head.headers()["connection"], "close");

        let largest = vec![0_u8; usize::try_from(body::MAX_BODY).unwrap()];
        assert_eq!(ask(echo(app()), request("PUT", "/", largest.clone())).0, StatusCode::OK);
        let larger = [&largest[..], b"1"].concat();
        let (status, head, line) = ask(echo(app()), request("PUT", "/", larger));
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
            let (status, head, line) = ask(echo(app()), request.body(Body::empty()).unwrap());
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
    fn faults_come_only_where_they_are_allowed() {
        let with = |faults, path: &str| {
            let options = Options { faults, ..Options::default() };
            let describer = Describer::new(Identity::new("pod-1", "kops"));
            ask(echo(Arc::new(App::new(describer, options))), request("GET", path, ""))
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
        let (status, head, _) = ask(echo(Arc::new(App::new(describer, options))), large);
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
                request.headers_mut().insert(WANT_BODY, HeaderValue::from_static("1"));
            }
            let (_, _, json) = ask(echo(app()), request);
            let reply: echo_reply::Reply = serde_json::from_str(&json).unwrap();
            assert_eq!(reply.body.map(|body| body.text).unwrap_or_default(), body);
            assert!(!json.trim_end().contains(char::is_control), "{json:?}");
        }
    }

    #[test]
    fn the_admin_port_tells_of_readiness_and_counts() {
        let app = app();
        let get = |path| ask(admin(Arc::clone(&app)), request("GET", path, ""));
        assert_eq!(get("/healthz").0, StatusCode::OK);
        assert_eq!(get("/readyz").0, StatusCode::SERVICE_UNAVAILABLE, "not before it listens");
        app.readiness.set(true);
        assert_eq!(get("/readyz").0, StatusCode::OK);
        app.readiness.set(false);
        assert_eq!(get("/readyz").0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get("/healthz").0, StatusCode::OK);

        ask(echo(Arc::clone(&app)), request("GET", "/", ""));
        let (_, head, text) = get("/metrics");
        assert_eq!(head.headers()["content-type"], metrics::CONTENT_TYPE);
        assert!(
            text.contains(
                "echo_requests_total{method=\"GET\",class=\"2xx\",protocol=\"http/1\"} 1\n"
            ),
            "{text}"
        );
        assert!(text.contains("echo_requests_in_flight 0\n"), "{text}");

        let (status, _, hint) = get("/");
        assert_eq!((status, hint.as_str()), (StatusCode::NOT_FOUND, ADMIN_HINT));
    }
}
