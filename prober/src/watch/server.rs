//! The HTTP server of `prober watch`: metrics, health, readiness and the live page.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};

use super::{Live, page};
use crate::clock;
use crate::report::prometheus;

/// The most connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// The message includes the system's error, so it is not a `source`.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {}; choose another with --listen", usage::why_not_listening(.refusal))]
pub struct ListenError {
    address: SocketAddr,
    refusal: io::Error,
}

/// Listens on an address. Must be called inside a Tokio runtime.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart must not wait for old connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|refusal| ListenError { address, refusal })
}

/// Never returns.
pub(crate) async fn serve(listener: TcpListener, live: Live) {
    let routes = Router::new()
        .route("/", get(the_page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(live);
    // axum retries failed accepts, so it returns no error.
    let _ = axum::serve(listener, routes).await;
}

async fn the_page(State(live): State<Live>) -> impl IntoResponse {
    let state = live.now();
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, page::render(&state, clock::wall()))
}

async fn metrics(State(live): State<Live>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], live.now().metrics())
}

/// Ready once a round of every target has ended, even if it failed.
async fn ready(State(live): State<Live>) -> impl IntoResponse {
    if live.now().is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the first rounds have not ended yet\n")
    }
}
