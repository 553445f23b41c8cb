//! What every answer may need, and the admin port's router, testable without a
//! port: it tells of health, readiness and counters.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::access_log::AccessLog;
use crate::call::client::Caller;
use crate::call::{self, List};
use crate::cli::Cli;
use crate::describe::Describer;
use crate::metrics::{self, Metrics};
use crate::readiness::Readiness;
use crate::{body, grpc};

/// What answers are made with.
#[derive(Debug)]
pub struct App {
    /// Who answers, and how.
    pub describer: Arc<Describer>,
    /// What has been counted.
    pub metrics: Metrics,
    /// Whether new requests are welcome.
    pub readiness: Readiness,
    pub(crate) grpc: grpc::Services,
    pub(crate) log: AccessLog,
    pub(crate) options: Options,
    pub(crate) caller: Option<Caller>,
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
    /// The largest head of a request, in bytes.
    pub max_head: usize,
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
            max_head: 64 << 10,
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
            max_head: cli.limits.max_head,
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
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::http::Method;
    use axum::response::Response;
    use echo_reply::Identity;
    use tower::ServiceExt as _;

    fn app() -> Arc<App> {
        Arc::new(App::new(Describer::new(Identity::new("pod-1", "kops")), Options::default()))
    }

    fn ask(router: Router, path: &str) -> (StatusCode, Response<()>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            (parts.status, Response::from_parts(parts, ()), body)
        })
    }

    #[test]
    fn the_admin_port_tells_of_readiness_and_counts() {
        let app = app();
        let get = |path| ask(admin(Arc::clone(&app)), path);
        assert_eq!(get("/healthz").0, StatusCode::OK);
        assert_eq!(get("/readyz").0, StatusCode::SERVICE_UNAVAILABLE, "not before it listens");
        app.readiness.set(true);
        assert_eq!(get("/readyz").0, StatusCode::OK);
        app.readiness.set(false);
        assert_eq!(get("/readyz").0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get("/healthz").0, StatusCode::OK);

        let soon = Duration::from_micros(50);
        app.metrics.answered(&Method::GET, StatusCode::OK, metrics::Protocol::Http1, soon);
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
