//! One line per request, at level info. Never bodies, never the headers that
//! carry authorisation: only what is listed here.

use std::time::Instant;

use axum::http::request::Parts;
use echo_reply::printable;
use tracing::{Level, enabled, field, info};

use crate::describe::{Answer, Arrival};

/// When a request began, or nothing if nobody will ask.
pub(crate) struct Started(Option<Instant>);

/// To be called when a request arrives.
pub(crate) fn start() -> Started {
    Started(enabled!(Level::INFO).then(Instant::now))
}

/// To be called when its answer stands.
pub(crate) fn finish(
    started: &Started,
    head: &Parts,
    arrival: &Arrival,
    answer: &Answer,
    status: u16,
) {
    let Some(started) = started.0 else { return };
    info!(
        method = %printable(head.method.as_str()),
        url = answer.url,
        status,
        bytes = answer.body.len(),
        duration_us = started.elapsed().as_micros() as u64,
        peer = arrival.connection.peer.map(field::display),
        connection = arrival.connection.id.to_str().unwrap_or_default(),
        request = arrival.number,
        attempt = answer.attempt,
        "answered"
    );
}
