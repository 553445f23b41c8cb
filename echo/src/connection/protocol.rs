//! The HTTP settings of every connection.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;

/// How many requests an HTTP/2 connection may have in flight. The library allocates room for all
/// of them before the first one is counted.
const STREAMS: u32 = 32;
/// How much of a request body, and of all bodies of a connection, may be on the way, in bytes.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 128 << 10;
/// The same number for the admin port, and its largest request head, in bytes.
const ADMIN_STREAMS: u32 = 4;
const ADMIN_HEAD: usize = 8 << 10;
/// How much of an answer HTTP/2 buffers per request, in bytes.
const SEND_BUFFER: usize = 16 << 10;
/// The interval of HTTP/2 pings, which detect a peer that is gone.
const PING_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Protocol {
    pub(super) http1: http1::Builder,
    /// Serves HTTP/1 or HTTP/2.
    pub(super) either: auto::Builder<TokioExecutor>,
    /// The largest request head, in bytes.
    pub(super) max_head: usize,
    /// How long a connection may be idle.
    pub(super) idle: Duration,
}

/// HTTP/1 and HTTP/2 with limited request heads. Hyper's own head timeout is off: it would
/// also count the idle time between requests, and needs a timer per request. `max_head` is
/// in bytes, at least 8 KiB.
pub(crate) fn protocol(max_head: usize, idle: Duration) -> Protocol {
    with_streams(STREAMS, max_head, idle)
}

/// The same for the admin port, whose answers are longer and whose clients are few.
pub(crate) fn admin_protocol(idle: Duration) -> Protocol {
    with_streams(ADMIN_STREAMS, ADMIN_HEAD, idle)
}

fn with_streams(streams: u32, max_head: usize, idle: Duration) -> Protocol {
    let (mut http1, mut either) = (http1::Builder::new(), auto::Builder::new(TokioExecutor::new()));
    // A client may close its side after the request and still wait for the answer.
    http1.half_close(true).max_buf_size(max_head).header_read_timeout(None).writev(false);
    either.http1().half_close(true).max_buf_size(max_head).header_read_timeout(None).writev(false);
    either
        .http2()
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .max_concurrent_streams(streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL);
    Protocol { http1, either, max_head, idle }
}
