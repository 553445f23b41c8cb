//! One line per request, or per nth request, at level info. Only the fields listed here are
//! logged: never a body or a header that carries authorization.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::request::Parts;
use echo_reply::printable;
use tracing::{Level, enabled, field, info};

use crate::describe::{self, Arrival};
use crate::request_headers::RequestHeaders;

/// Decides which requests are logged.
#[derive(Debug)]
pub(crate) struct AccessLog {
    every: u64,
    seen: AtomicU64,
}

/// What is logged about an answer.
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// The length of the body, if known.
    pub(crate) bytes: Option<u64>,
    pub(crate) took: Duration,
}

impl AccessLog {
    /// Logs the first of every `every` requests.
    pub(crate) fn new(every: u64) -> Self {
        Self { every: every.max(1), seen: AtomicU64::new(0) }
    }

    /// Call this when the answer is decided.
    pub(crate) fn answered(&self, head: &Parts, arrival: &Arrival, answer: &Answered) {
        let wanted =
            || self.every == 1 || self.seen.fetch_add(1, Relaxed).is_multiple_of(self.every);
        if !enabled!(Level::INFO) || !wanted() {
            return;
        }
        info!(
            method = %printable(head.method.as_str()),
            url = describe::url(head, &arrival.connection),
            status = answer.status,
            bytes = answer.bytes,
            duration_us = answer.took.as_micros() as u64,
            peer = arrival.connection.peer.map(field::display),
            connection = arrival.connection.id.to_str().unwrap_or_default(),
            request = arrival.number,
            attempt = RequestHeaders::of(&head.headers).attempt(),
            "answered"
        );
    }
}
