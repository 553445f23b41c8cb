//! One line per request, at level info, or of every nth request only. Never
//! bodies, never the headers that carry authorisation: only what is listed here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::request::Parts;
use echo_reply::printable;
use tracing::{Level, enabled, field, info};

use crate::describe::{self, Arrival};
use crate::request_headers::RequestHeaders;

/// Which requests are logged.
#[derive(Debug)]
pub(crate) struct AccessLog {
    every: u64,
    seen: AtomicU64,
}

/// What is logged of an answer.
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Bytes of its body, where they are known.
    pub(crate) bytes: Option<u64>,
    pub(crate) took: Duration,
}

impl AccessLog {
    /// A log of the first of every so many requests.
    pub(crate) fn new(every: u64) -> Self {
        Self { every: every.max(1), seen: AtomicU64::new(0) }
    }

    /// To be called when an answer stands.
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
