//! The HTTP settings of every connection.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;

/// The interval of HTTP/2 pings, which detect a peer that is gone.
const PING_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Protocol {
    pub(super) http1: http1::Builder,
    /// Serves HTTP/1 or HTTP/2.
    pub(super) either: auto::Builder<TokioExecutor>,
    /// How long a connection may be idle.
    pub(super) idle: Duration,
}

/// HTTP/1 and HTTP/2 with limited request heads. Hyper's own head timeout is off: it would
/// also count the idle time between requests, and needs a timer per request. `max_head` is
/// in bytes, at least 8 KiB.
pub(crate) fn protocol(max_head: usize, idle: Duration) -> Protocol {
    let (mut http1, mut either) = (http1::Builder::new(), auto::Builder::new(TokioExecutor::new()));
    // A client may close its side after the request and still wait for the answer.
    http1.half_close(true).max_buf_size(max_head).header_read_timeout(None).writev(false);
    either.http1().half_close(true).max_buf_size(max_head).header_read_timeout(None).writev(false);
    either
        .http2()
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL);
    Protocol { http1, either, idle }
}
