//! Reads request bodies and discards them, within limits of size and time. On request, the
//! beginning is kept. A body beyond the limits is answered, then the connection closes.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use echo_reply::SentBody;
use http_body_util::BodyExt as _;

/// The default limit of a body, in bytes.
pub(crate) const MAX_BODY: u64 = 8 << 20;
/// How much of a body is kept, in bytes.
pub(crate) const MAX_RETURNED: usize = 64 << 10;
/// How long a body may take to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long, and how much of, a refused body is still read, so that the client sees the
/// answer instead of a connection reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 64 << 20;

/// Reads and discards a body of at most `most` bytes; its beginning goes into `kept`. The
/// status is 200 if the body ended, otherwise it says why not, and the connection must then
/// be closed. A body that is announced as too long is refused before `100 Continue`.
pub(crate) async fn drain(mut body: Body, most: u64, kept: Option<&mut Kept>) -> StatusCode {
    if body.is_end_stream() {
        return StatusCode::OK;
    }
    if body.size_hint().lower() > most {
        linger(body);
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    match tokio::time::timeout(BODY_TIMEOUT, read(&mut body, most, kept)).await {
        Ok(Read::ToTheEnd) => StatusCode::OK,
        Ok(Read::ToTheBound) => {
            linger(body);
            StatusCode::PAYLOAD_TOO_LARGE
        }
        Ok(Read::Broken) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::REQUEST_TIMEOUT,
    }
}

/// How much is held at most, in bytes, to return the beginning of this body: as text, in which
/// three bytes replace one that is invalid.
pub(crate) fn most_kept(body: &Body) -> usize {
    let length = body.size_hint().upper().and_then(|length| usize::try_from(length).ok());
    length.unwrap_or(MAX_RETURNED).min(MAX_RETURNED) * 3
}

/// The beginning of a body, and its whole length.
#[derive(Debug, Default)]
pub struct Kept {
    beginning: Vec<u8>,
    length: u64,
}

impl Kept {
    fn add(&mut self, data: &[u8]) {
        let room = MAX_RETURNED - self.beginning.len();
        self.beginning.extend_from_slice(&data[..data.len().min(room)]);
        self.length += data.len() as u64;
    }
}

impl From<Kept> for SentBody {
    fn from(kept: Kept) -> Self {
        Self { text: String::from_utf8_lossy(&kept.beginning).into_owned(), length: kept.length }
    }
}

enum Read {
    ToTheEnd,
    ToTheBound,
    Broken,
}

async fn read(body: &mut Body, bound: u64, mut kept: Option<&mut Kept>) -> Read {
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Read::Broken };
        let Some(data) = frame.data_ref() else { continue };
        seen += data.len() as u64;
        if seen > bound {
            return Read::ToTheBound;
        }
        if let Some(kept) = kept.as_mut() {
            kept.add(data);
        }
    }
    Read::ToTheEnd
}

fn linger(mut body: Body) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(LINGER, read(&mut body, LINGER_BYTES, None)).await;
    });
}
