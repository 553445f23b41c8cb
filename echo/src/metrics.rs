//! The counters, and their Prometheus text. The number of labels is limited: unknown methods
//! count as `other`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::{Method, StatusCode, Version};

use crate::log_queue::LOG;

/// The content type of [`Metrics::render`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "other"];
const PROTOCOLS: [&str; 4] = ["http/1", "http/2", "grpc", "websocket"];
/// Upper bounds of the latency buckets, in microseconds.
const BOUNDS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

type Counter = AtomicU64;
/// By method, class and protocol.
type Requests = [[[Counter; PROTOCOLS.len()]; CLASSES.len()]; METHODS.len()];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    Http2,
    Grpc,
    /// The handshake is the request.
    WebSocket,
}

impl From<Version> for Protocol {
    fn from(version: Version) -> Self {
        if version < Version::HTTP_2 { Self::Http1 } else { Self::Http2 }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Requests,
    /// Requests per bucket; the last bucket has no upper bound.
    buckets: [Counter; BOUNDS.len() + 1],
    /// The sum of all latencies, in microseconds.
    latency: Counter,
    in_flight: Arc<Counter>,
    connections: Counter,
    refused: Counter,
    evicted: Counter,
    open: Arc<Counter>,
}

/// Counts something as in progress until it is dropped.
#[derive(Debug)]
pub(crate) struct Ongoing(Arc<Counter>);

impl Ongoing {
    fn new(gauge: &Arc<Counter>) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(Arc::clone(gauge))
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Counts a request as in flight.
    pub(crate) fn request(&self) -> Ongoing {
        Ongoing::new(&self.in_flight)
    }

    /// Counts an answer; `took` is the time from the request head to the response head.
    pub(crate) fn answered(
        &self,
        method: &Method,
        status: StatusCode,
        protocol: Protocol,
        took: Duration,
    ) {
        let method = METHODS.iter().position(|name| *name == method.as_str());
        let method = method.unwrap_or(METHODS.len() - 1);
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(counters) = self.requests[method].get(class) {
            counters[protocol as usize].fetch_add(1, Relaxed);
        }
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < took);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.latency.fetch_add(took, Relaxed);
    }

    /// Counts a connection, and keeps it counted as open.
    pub(crate) fn connection(&self) -> Ongoing {
        self.connections.fetch_add(1, Relaxed);
        Ongoing::new(&self.open)
    }

    /// Counts a connection that was closed because there are too many.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a connection that was closed so that a new one has room.
    pub(crate) fn evicted(&self) {
        self.evicted.fetch_add(1, Relaxed);
    }

    /// Prometheus' text format.
    #[must_use]
    pub(crate) fn render(&self, ready: bool) -> String {
        let mut text = self.requests();
        text += &self.latencies();
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            let labels = if name == "echo_build_info" {
                concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}")
            } else {
                ""
            };
            let _ = writeln!(text, "{name}{labels} {value}");
        };
        let load = |counter: &Counter| counter.load(Relaxed);
        one("echo_requests_in_flight", "gauge", "Requests being answered.", load(&self.in_flight));
        one("echo_connections_total", "counter", "Connections accepted.", load(&self.connections));
        one(
            "echo_connections_refused_total",
            "counter",
            "Connections closed because the limit was reached.",
            load(&self.refused),
        );
        one(
            "echo_connections_evicted_total",
            "counter",
            "Quiet connections closed at the limit, so that new ones have room.",
            load(&self.evicted),
        );
        one("echo_connections_open", "gauge", "Connections open.", load(&self.open));
        one("echo_ready", "gauge", "1 when ready, 0 when draining.", u64::from(ready));
        one("echo_build_info", "gauge", "Always 1; the label holds the version.", 1);
        one(
            "echo_log_lines_dropped_total",
            "counter",
            "Log lines that nobody read in time, or that could not be written.",
            LOG.dropped(),
        );
        text
    }

    /// Leaves out counters of 0, except that of plain requests, which rates start from.
    fn requests(&self) -> String {
        let mut text = String::from(
            "# HELP echo_requests_total Requests answered, by method, status class and protocol.\n\
             # TYPE echo_requests_total counter\n",
        );
        for (method, classes) in METHODS.iter().zip(&self.requests) {
            for (class, protocols) in CLASSES.iter().zip(classes) {
                for (protocol, count) in PROTOCOLS.iter().zip(protocols) {
                    let count = count.load(Relaxed);
                    let usual = (*method, *class, *protocol) == ("GET", "2xx", "http/1");
                    if count > 0 || usual {
                        let _ = writeln!(
                            text,
                            "echo_requests_total{{method=\"{method}\",class=\"{class}\",\
                             protocol=\"{protocol}\"}} {count}"
                        );
                    }
                }
            }
        }
        text
    }

    fn latencies(&self) -> String {
        let name = "echo_request_duration_seconds";
        let mut text = format!(
            "# HELP {name} Time from the request head to the response head.\n# TYPE {name} histogram\n"
        );
        let mut count = 0;
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            count += bucket.load(Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", seconds(bound));
        }
        count += self.buckets[BOUNDS.len()].load(Relaxed);
        let sum = seconds(self.latency.load(Relaxed));
        let _ = write!(
            text,
            "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}\n"
        );
        text
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing in:\n{text}");
    }

    #[test]
    fn what_happened_is_what_is_rendered() {
        let metrics = Metrics::default();
        let soon = Duration::from_micros(50);
        metrics.answered(&Method::GET, StatusCode::OK, Protocol::Http1, soon);
        metrics.answered(&Method::GET, StatusCode::OK, Protocol::Http1, soon);
        metrics.answered(&Method::PUT, StatusCode::PAYLOAD_TOO_LARGE, Protocol::Http2, soon);
        let brew = Method::from_bytes(b"BREW").unwrap();
        metrics.answered(&brew, StatusCode::OK, Protocol::Grpc, soon);
        drop(metrics.connection());
        metrics.refused();
        metrics.evicted();
        let _open = metrics.connection();
        let _request = metrics.request();
        let text = metrics.render(true);
        for line in [
            "echo_requests_total{method=\"GET\",class=\"2xx\",protocol=\"http/1\"} 2",
            "echo_requests_total{method=\"PUT\",class=\"4xx\",protocol=\"http/2\"} 1",
            "echo_requests_total{method=\"other\",class=\"2xx\",protocol=\"grpc\"} 1",
            "echo_requests_in_flight 1",
            "echo_connections_total 2",
            "echo_connections_refused_total 1",
            "echo_connections_evicted_total 1",
            "echo_connections_open 1",
            "echo_ready 1",
            concat!("echo_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "echo_log_lines_dropped_total 0",
        ] {
            has(&text, line);
        }
        assert!(metrics.render(false).contains("\necho_ready 0\n"));
        assert_eq!(text.matches("echo_requests_total{").count(), 3, "only what has come");
    }

    #[test]
    fn latencies_are_cumulative_and_in_seconds() {
        let metrics = Metrics::default();
        for micros in [50, 51, 1_000, 20_000_000] {
            let took = Duration::from_micros(micros);
            metrics.answered(&Method::GET, StatusCode::OK, Protocol::Http1, took);
        }
        let text = metrics.render(true);
        for line in [
            "echo_request_duration_seconds_bucket{le=\"0.00005\"} 1",
            "echo_request_duration_seconds_bucket{le=\"0.0001\"} 2",
            "echo_request_duration_seconds_bucket{le=\"0.001\"} 3",
            "echo_request_duration_seconds_bucket{le=\"10\"} 3",
            "echo_request_duration_seconds_bucket{le=\"+Inf\"} 4",
            "echo_request_duration_seconds_sum 20.001101",
            "echo_request_duration_seconds_count 4",
        ] {
            has(&text, line);
        }
    }
}
