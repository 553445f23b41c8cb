//! The two routers, testable without a port: the echo port answers every path
//! and method; the admin port tells of health, readiness and counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::describe::{Arrival, Connection, Describer};
use crate::metrics::{self, Metrics};
use crate::{access_log, body};

/// What the routes know.
#[derive(Debug)]
pub struct App {
    /// Who answers, and how.
    pub describer: Describer,
    /// What has been counted.
    pub metrics: Metrics,
    ready: AtomicBool,
}

impl App {
    /// An app that is not ready yet.
    #[must_use]
    pub fn new(describer: Describer) -> Self {
        Self { describer, metrics: Metrics::default(), ready: AtomicBool::new(false) }
    }

    /// Whether new requests are welcome.
    pub fn ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Says whether new requests are welcome.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
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

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = access_log::start();
    let _in_flight = app.metrics.request();
    let (mut head, request_body) = request.into_parts();
    let arrival = head.extensions.remove::<Arrival>().unwrap_or_else(nowhere);
    let status = status(&head.method, request_body).await;
    let mut answer = app.describer.answer(&head, &arrival);
    if status != StatusCode::OK && head.version < Version::HTTP_2 {
        answer.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    app.metrics.answered(status);
    access_log::finish(&started, &head, &arrival, &answer, status.as_u16());
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status;
    *response.headers_mut() = answer.headers;
    response
}

/// 200, unless the body is refused or a tunnel is asked for: this is no proxy.
async fn status(method: &Method, request_body: Body) -> StatusCode {
    if method == Method::CONNECT {
        return StatusCode::NOT_IMPLEMENTED;
    }
    body::drain(request_body).await
}

fn nowhere() -> Arrival {
    let connection = Connection { id: HeaderValue::from_static("-"), peer: None, local: None };
    Arrival { connection: Arc::new(connection), number: 1 }
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

async fn counters(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], app.metrics.render(app.ready()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use echo_reply::Identity;
    use tower::ServiceExt as _;

    fn app() -> Arc<App> {
        Arc::new(App::new(Describer::new(Identity::new("pod-1", "kops"))))
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
        Request::builder().method(method).uri(path).body(body.into()).unwrap()
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
    fn the_admin_port_tells_of_readiness_and_counts() {
        let app = app();
        let get = |path| ask(admin(Arc::clone(&app)), request("GET", path, ""));
        assert_eq!(get("/healthz").0, StatusCode::OK);
        assert_eq!(get("/readyz").0, StatusCode::SERVICE_UNAVAILABLE, "not before it listens");
        app.set_ready(true);
        assert_eq!(get("/readyz").0, StatusCode::OK);
        app.set_ready(false);
        assert_eq!(get("/readyz").0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get("/healthz").0, StatusCode::OK);

        ask(echo(Arc::clone(&app)), request("GET", "/", ""));
        let (_, head, text) = get("/metrics");
        assert_eq!(head.headers()["content-type"], metrics::CONTENT_TYPE);
        assert!(text.contains("echo_requests_total{class=\"2xx\"} 1\n"), "{text}");
        assert!(text.contains("echo_requests_in_flight 0\n"), "{text}");

        let (status, _, hint) = get("/");
        assert_eq!((status, hint.as_str()), (StatusCode::NOT_FOUND, ADMIN_HINT));
    }
}
