//! The kinds of refusals: by which words and counters each is known, what it means, and what to
//! look at next. The counters are those of Envoy 1.40.

use crate::diagnosis::evidence::{Reading, Upstream};
use crate::diagnosis::finding::Cause;
use crate::diagnosis::rules::case::Case;
use crate::diagnosis::rules::said::Said;

/// Connections that the other side closed while requests were in flight.
pub(super) const ENDED: &str = "upstream_cx_destroy_remote_with_active_rq";
pub(super) const OVER_LIMIT: &str = "ratelimit.over_limit";
const CONNECTIONS: &str = "upstream_cx_overflow";
const HEADERS_TOO_LARGE: &str = "http2.header_list_size_too_large";
/// What a request looks like whose time was over: its response is cut, or to a HEAD request.
const LATE: &[Said] = &[Said::Cut, Said::Empty(504)];
const RESET: &str = "upstream_rq_rx_reset";

/// Where a kind is counted.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    /// At each cluster of an Envoy: how many requests, and the counters to show.
    Cluster(fn(&Upstream) -> u64, &'static [&'static str]),
    /// At connection managers and filters, by the last part of the counter's name.
    Filter(&'static str),
}

#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) cause: Cause,
    /// The words that are certain to say so.
    pub(super) said: Option<Said>,
    /// What else may be of this kind, if it is counted.
    pub(super) alike: &'static [Said],
    pub(super) counted: Counted,
    /// The counter of responses with its status code, if that is not a 5xx.
    pub(super) reply: Option<&'static str>,
    /// Whether the server is what to look at, although the client's Envoy counted it.
    pub(super) of_server: bool,
    /// Whether Envoys may retry it.
    pub(super) retried: bool,
    /// Whether another rule explains what was counted.
    pub(super) elsewhere: bool,
    /// Whether nothing else has the same words.
    pub(super) left: bool,
}

const fn kind(cause: Cause, said: Option<Said>, counted: Counted) -> Kind {
    let (of_server, retried, elsewhere) = (false, false, false);
    Kind {
        cause,
        said,
        alike: &[],
        counted,
        reply: None,
        of_server,
        retried,
        elsewhere,
        left: true,
    }
}

impl Kind {
    const fn or(self, alike: &'static [Said]) -> Self {
        Self { alike, ..self }
    }

    const fn of_server(self) -> Self {
        Self { of_server: true, retried: true, ..self }
    }
}

/// How many requests the connections that a counter counts may have had in flight: with HTTP/2 all
/// that failed, otherwise one each.
fn requests_of(upstream: &Upstream, counter: &str) -> u64 {
    match upstream.growth(counter) {
        connections @ 1.. if upstream.has("upstream_cx_http2_total") => {
            connections.max(upstream.errors())
        }
        connections => connections,
    }
}

/// Words that two kinds share are tried in this order.
pub(super) const KINDS: [Kind; 19] = [
    kind(
        Cause::CircuitBreaker,
        Some(Said::Overflow),
        Counted::Cluster(
            Upstream::overflows,
            &[
                "upstream_rq_pending_overflow",
                "upstream_rq_active_overflow",
                CONNECTIONS,
                "upstream_rq_retry_overflow",
            ],
        ),
    )
    .or(&[Said::Empty(503), Said::Other(Some(503))]),
    kind(Cause::CircuitBreaker, None, Counted::Cluster(Upstream::tcp_overflows, &[CONNECTIONS]))
        .or(&[Said::Termination, Said::Cut]),
    kind(
        Cause::UpstreamProtocolError,
        Some(Said::ProtocolError),
        Counted::Cluster(
            |u| requests_of(u, "upstream_cx_protocol_error"),
            &["upstream_cx_protocol_error", "upstream_cx_http2_total"],
        ),
    )
    .or(&[Said::Cut, Said::Empty(502)])
    .of_server(),
    Kind {
        left: false,
        ..kind(
            Cause::UpstreamProtocolError,
            Some(Said::RemoteReset),
            Counted::Cluster(|u| u.growth(HEADERS_TOO_LARGE), &[HEADERS_TOO_LARGE]),
        )
        .of_server()
    },
    kind(
        Cause::UpstreamReset,
        Some(Said::RemoteReset),
        Counted::Cluster(|u| u.growth(RESET).saturating_sub(u.growth(HEADERS_TOO_LARGE)), &[RESET]),
    )
    .or(&[Said::Cut])
    .of_server(),
    kind(
        Cause::ResetByLimit,
        Some(Said::RefusedStream),
        Counted::Cluster(
            |u| u.growth("http2.rx_reset").saturating_sub(u.growth(RESET)),
            &["http2.rx_reset"],
        ),
    )
    .of_server(),
    kind(
        Cause::ResetByLimit,
        Some(Said::UpstreamDuration),
        Counted::Cluster(
            |u| u.growth("upstream_rq_max_duration_reached"),
            &["upstream_rq_max_duration_reached"],
        ),
    )
    .or(LATE),
    kind(
        Cause::ResetByLimit,
        Some(Said::DownstreamDuration),
        Counted::Filter("downstream_rq_max_duration_reached"),
    )
    .or(LATE),
    Kind {
        reply: Some("upstream_rq_413"),
        ..kind(
            Cause::ResetByLimit,
            Some(Said::TooLarge),
            Counted::Filter("downstream_rq_too_large"),
        )
    },
    Kind {
        retried: true,
        ..kind(
            Cause::RouteTimeout,
            Some(Said::RequestTimeout),
            Counted::Cluster(
                |u| u.growth("upstream_rq_timeout") + u.growth("upstream_rq_per_try_timeout"),
                &["upstream_rq_timeout", "upstream_rq_per_try_timeout"],
            ),
        )
    }
    .or(LATE),
    kind(
        Cause::RouteTimeout,
        Some(Said::IdleTimeout),
        Counted::Filter("downstream_rq_idle_timeout"),
    )
    .or(LATE),
    kind(Cause::FaultInjection, Some(Said::FaultAbort), Counted::Filter("fault.aborts_injected"))
        .or(&[Said::Empty(503), Said::Empty(500)]),
    Kind {
        reply: Some("upstream_rq_429"),
        ..kind(
            Cause::RateLimit,
            Some(Said::RateLimited),
            Counted::Filter("http_local_rate_limit.enforced"),
        )
    }
    .or(&[Said::Empty(429), Said::Other(Some(429))]),
    kind(Cause::RateLimit, None, Counted::Cluster(|u| u.growth(OVER_LIMIT), &[OVER_LIMIT]))
        .or(&[Said::Empty(429), Said::Other(Some(429))]),
    Kind {
        reply: Some("upstream_rq_403"),
        ..kind(Cause::Rbac, Some(Said::Denied), Counted::Filter("rbac.denied"))
    }
    .or(&[Said::Empty(403)]),
    kind(Cause::Rbac, None, Counted::Filter("tcp.rbac.denied")).or(&[Said::Termination, Said::Cut]),
    kind(Cause::NoRoute, None, Counted::Filter("no_route")).or(&[Said::Empty(404)]),
    kind(Cause::NoCluster, None, Counted::Filter("no_cluster")).or(&[
        Said::Empty(503),
        Said::Empty(404),
        Said::Empty(500),
    ]),
    // What the client's Envoy counts of these is explained with its endpoints and connections.
    Kind {
        elsewhere: true,
        ..kind(
            Cause::ConnectionsBroken,
            Some(Said::Termination),
            Counted::Cluster(|u| requests_of(u, ENDED), &[ENDED]),
        )
    },
];

impl Kind {
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.counted, Counted::Cluster(..))
    }

    /// Whether an endpoint got the request.
    pub(super) fn is_sent(&self) -> bool {
        !matches!(self.cause, Cause::CircuitBreaker | Cause::RateLimit)
    }

    /// The counter that an Envoy would count this with.
    pub(super) fn counter(&self) -> &'static str {
        match self.counted {
            Counted::Cluster(_, counters) => counters[0],
            Counted::Filter(end) => end,
        }
    }

    /// What happened, after "3 requests to CLUSTER: ".
    pub(super) fn what(&self, upstream: Option<&Upstream>) -> &'static str {
        match self.cause {
            Cause::CircuitBreaker => "rejected, because a limit of its circuit breaker was reached",
            Cause::UpstreamProtocolError => not_http(self, upstream),
            Cause::UpstreamReset => {
                "the other side reset the stream, which is neither a closed connection nor an error \
                 response"
            }
            Cause::RouteTimeout if self.is_cluster() => {
                "no whole response within the timeout of the route or of one try"
            }
            Cause::RouteTimeout => "no data within the idle timeout of the stream",
            Cause::ResetByLimit => match self.said {
                Some(Said::RefusedStream) => {
                    "the other side refused the stream: its limit of concurrent streams was reached, \
                     or it was shutting down"
                }
                Some(Said::TooLarge) => "the request body exceeds the buffer limit",
                _ => "ended by the maximum stream duration",
            },
            Cause::FaultInjection => "aborted by a fault that a route injects",
            Cause::RateLimit if self.is_cluster() => "rejected by the global rate limit",
            Cause::RateLimit => "rejected by a local rate limit",
            Cause::Rbac if self.said.is_none() => "connections denied by an authorization policy",
            Cause::Rbac => "denied by an authorization policy",
            Cause::NoRoute => "no route matches their host and path",
            Cause::NoCluster => "their route leads to a cluster that this Envoy does not have",
            _ => "the other side closed the connection before the response",
        }
    }

    /// One command or sentence; `reading` is the Envoy that counted.
    pub(super) fn next(
        &self,
        case: &Case<'_>,
        reading: &Reading,
        upstream: Option<&Upstream>,
    ) -> String {
        let pod = reading.node.as_ref().and_then(|node| node.pod());
        let Some(pod) = pod else { return self.next_in_envoy(reading, upstream) };
        match (self.cause, upstream) {
            (Cause::NoRoute, _) => format!("istioctl proxy-config route {pod}"),
            (Cause::NoCluster, _) => format!("istioctl proxy-config cluster {pod}"),
            (Cause::UpstreamProtocolError, Some(upstream)) => case.look_at("cluster", upstream),
            _ => self.next_behind().to_owned(),
        }
    }

    /// For an Envoy that Istio did not configure.
    fn next_in_envoy(&self, reading: &Reading, upstream: Option<&Upstream>) -> String {
        let from = &reading.from;
        let direct = upstream.and_then(|upstream| {
            upstream
                .endpoints
                .iter()
                .filter(|e| !e.is_gateway())
                .max_by_key(|e| e.errors.difference)
        });
        match (self.cause, direct) {
            (Cause::CircuitBreaker, _) => {
                format!("curl -s {from}/clusters | grep default_priority")
            }
            (Cause::UpstreamProtocolError | Cause::UpstreamReset, Some(endpoint)) => {
                format!("curl -sv -o /dev/null http://{}/", endpoint.address)
            }
            (Cause::RouteTimeout, Some(endpoint)) => {
                format!("time curl -s -o /dev/null http://{}/", endpoint.address)
            }
            (Cause::NoCluster, _) => format!("curl -s {from}/clusters"),
            _ => format!("curl -s {from}/config_dump"),
        }
    }

    /// For an Envoy that Istio configured.
    pub(super) fn next_behind(&self) -> &'static str {
        match self.cause {
            Cause::CircuitBreaker => {
                "kubectl get destinationrule -A -o yaml | grep -A12 connectionPool"
            }
            Cause::RouteTimeout => "kubectl get virtualservice -A -o yaml | grep -i timeout:",
            Cause::ResetByLimit => {
                "kubectl get envoyfilter,destinationrule -A -o yaml | grep -iE \
                                    'duration|streams|buffer|maxRequestsPerConnection'"
            }
            Cause::FaultInjection => "kubectl get virtualservice -A -o yaml | grep -A8 fault:",
            Cause::RateLimit => "kubectl get envoyfilter -A -o yaml | grep -i -A12 ratelimit",
            Cause::Rbac => "kubectl get authorizationpolicy -A -o yaml",
            Cause::UpstreamProtocolError => {
                "kubectl get services -A -o yaml | grep -E 'appProtocol|name: (http2|grpc|h2)': does \
                 the application speak the protocol of its port?"
            }
            Cause::NoRoute | Cause::NoCluster => "kubectl get virtualservice,service -A",
            _ => {
                "kubectl logs of the pods that answer: why did the application end the connection?"
            }
        }
    }
}

/// Why a response is invalid, as far as counters can tell.
fn not_http(kind: &Kind, upstream: Option<&Upstream>) -> &'static str {
    if kind.counter() == HEADERS_TOO_LARGE {
        return "the response headers are larger than this Envoy accepts, by default 60 KiB";
    }
    let opened = |version: &str| upstream.is_some_and(|upstream| upstream.has(version));
    match (opened("upstream_cx_http1_total"), opened("upstream_cx_http2_total")) {
        (false, true) => {
            "this Envoy speaks HTTP/2 to it, and the response is not valid HTTP/2: the application \
             may speak HTTP/1.1 only"
        }
        (true, false) => {
            "the response is not valid HTTP/1.1, or its headers are larger than this Envoy accepts, \
             by default 60 KiB and 100 headers"
        }
        _ => {
            "the response is not valid HTTP of the version that this Envoy speaks to it, or its \
             headers are larger than this Envoy accepts, by default 60 KiB and 100 headers"
        }
    }
}
