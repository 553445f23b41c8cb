//! The names of headers. Lower case, as HTTP/2 requires.

/// The pod that answered.
pub const POD: &str = "x-echo-pod";
/// The cluster that the pod runs in.
pub const CLUSTER: &str = "x-echo-cluster";
pub const NAMESPACE: &str = "x-echo-namespace";
/// The node that the pod runs on.
pub const NODE: &str = "x-echo-node";
/// The node's region.
pub const REGION: &str = "x-echo-region";
/// The node's zone.
pub const ZONE: &str = "x-echo-zone";
/// The Istio network that the pod is on.
pub const NETWORK: &str = "x-echo-network";
/// The version of the workload.
pub const VERSION: &str = "x-echo-version";
/// The id of the connection, unique within one run of the server.
pub const CONNECTION: &str = "x-echo-connection";
/// The number of this request on its connection, from 1.
pub const REQUEST: &str = "x-echo-request";
/// The attempt number of the nearest Envoy, from 1.
pub const ATTEMPT: &str = "x-echo-attempt";
/// The [`PROBE_ID`] of the request.
pub const PROBE: &str = "x-echo-probe";
/// The injected faults, or `off` if the server ignores [`FAULT`].
pub const FAULTS: &str = "x-echo-faults";

/// Request header: the faults to inject.
pub const FAULT: &str = "x-echo-fault";
/// Request header: the JSON reply contains the request's body.
pub const WANT_BODY: &str = "x-echo-body";
/// Request header: an id that the reply repeats.
pub const PROBE_ID: &str = "x-probe-id";
/// Request header, set by Envoy if configured: the attempt number.
pub const ENVOY_ATTEMPT: &str = "x-envoy-attempt-count";
/// Response header, set by Envoy: how many milliseconds it waited for its upstream host.
pub const ENVOY_UPSTREAM_TIME: &str = "x-envoy-upstream-service-time";
/// Request header, set by Envoy: the client certificates on the way.
pub const FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";
/// Request headers of tracing: W3C, B3 and Envoy.
pub const TRACE: [&str; 10] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-request-id",
];
