//! Reads request bodies away, within bounds of size and time, and keeps none of
//! them. A body beyond the bounds is answered and the connection then closed.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;

/// The longest body that is read to its end, in bytes.
pub const MAX_BODY: u64 = 8 << 20;
/// How long a body may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long, and how much of, a refused body is still read, so that its sender
/// gets to see the answer instead of a reset connection.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 << 20;

/// Reads the body away. The status says how it went: 200 if it came to its end,
/// otherwise why it did not, and then the connection must be closed. A body that
/// is announced as too long is not even asked for with `100 Continue`.
pub async fn drain(mut body: Body) -> StatusCode {
    if body.is_end_stream() {
        return StatusCode::OK;
    }
    if body.size_hint().lower() > MAX_BODY {
        linger(body);
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    match tokio::time::timeout(BODY_TIMEOUT, read(&mut body, MAX_BODY)).await {
        Ok(Read::ToTheEnd) => StatusCode::OK,
        Ok(Read::ToTheBound) => {
            linger(body);
            StatusCode::PAYLOAD_TOO_LARGE
        }
        Ok(Read::Broken) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::REQUEST_TIMEOUT,
    }
}

enum Read {
    ToTheEnd,
    ToTheBound,
    Broken,
}

async fn read(body: &mut Body, bound: u64) -> Read {
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Read::Broken };
        seen += frame.data_ref().map_or(0, |data| data.len() as u64);
        if seen > bound {
            return Read::ToTheBound;
        }
    }
    Read::ToTheEnd
}

fn linger(mut body: Body) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(LINGER, read(&mut body, LINGER_BYTES)).await;
    });
}
