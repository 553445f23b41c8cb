//! The admin port's router, testable without a port: health, readiness and counters.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::App;
use crate::metrics;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(counters))
        .fallback(async || (StatusCode::NOT_FOUND, ADMIN_HINT))
        .with_state(app)
}

const ADMIN_HINT: &str = "this is the admin port; it serves /healthz, /readyz and /metrics\n";

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
    use crate::app::Options;
    use crate::describe::Describer;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use axum::http::Method;
    use axum::response::Response;
    use echo_reply::Identity;
    use std::time::Duration;
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
        let get = |path| ask(router(Arc::clone(&app)), path);
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
