//! What is counted, and its Prometheus text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one server.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [AtomicU64; CLASSES.len()],
    in_flight: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
}

/// Something that is counted as going on until this is dropped.
#[derive(Debug)]
pub struct Ongoing<'a>(&'a AtomicU64);

impl Drop for Ongoing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Counts a request as in flight.
    pub fn request(&self) -> Ongoing<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        Ongoing(&self.in_flight)
    }

    /// Counts an answer.
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(counter) = self.requests.get(class) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Counts a connection, and that it is open.
    pub fn connection(&self) -> Ongoing<'_> {
        self.connections.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Ongoing(&self.open)
    }

    /// Prometheus' text format.
    #[must_use]
    pub fn render(&self, ready: bool) -> String {
        let mut text = String::from(
            "# HELP echo_requests_total Requests answered on the echo port, by class of status.\n\
             # TYPE echo_requests_total counter\n",
        );
        for (class, count) in CLASSES.iter().zip(&self.requests) {
            let count = count.load(Relaxed);
            let _ = writeln!(text, "echo_requests_total{{class=\"{class}\"}} {count}");
        }
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            let labels = if name == "echo_build_info" {
                concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}")
            } else {
                ""
            };
            let _ = writeln!(text, "{name}{labels} {value}");
        };
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        one("echo_requests_in_flight", "gauge", "Requests being answered.", load(&self.in_flight));
        one("echo_connections_total", "counter", "Connections accepted.", load(&self.connections));
        one("echo_connections_open", "gauge", "Connections open.", load(&self.open));
        one("echo_ready", "gauge", "1 when ready, 0 when draining.", u64::from(ready));
        one("echo_build_info", "gauge", "Always 1; the label says which build.", 1);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_what_is_rendered() {
        let metrics = Metrics::default();
        metrics.answered(StatusCode::OK);
        metrics.answered(StatusCode::OK);
        metrics.answered(StatusCode::PAYLOAD_TOO_LARGE);
        drop(metrics.connection());
        let _open = metrics.connection();
        let _request = metrics.request();
        let text = metrics.render(true);
        for line in [
            "echo_requests_total{class=\"2xx\"} 2",
            "echo_requests_total{class=\"4xx\"} 1",
            "echo_requests_total{class=\"5xx\"} 0",
            "echo_requests_in_flight 1",
            "echo_connections_total 2",
            "echo_connections_open 1",
            "echo_ready 1",
            concat!("echo_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is missing in:\n{text}");
        }
        assert!(metrics.render(false).contains("\necho_ready 0\n"));
    }
}
