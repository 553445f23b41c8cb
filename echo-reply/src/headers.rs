//! Names of the headers that carry identity. Lower case, as HTTP/2 wants them.

/// The pod that answered.
pub const POD: &str = "x-echo-pod";
/// The cluster that the pod runs in.
pub const CLUSTER: &str = "x-echo-cluster";
/// The pod's namespace.
pub const NAMESPACE: &str = "x-echo-namespace";
/// The node that the pod runs on.
pub const NODE: &str = "x-echo-node";
/// The node's region.
pub const REGION: &str = "x-echo-region";
/// The node's zone.
pub const ZONE: &str = "x-echo-zone";
/// The network (in Istio's sense) that the pod is on.
pub const NETWORK: &str = "x-echo-network";
/// The version of the workload.
pub const VERSION: &str = "x-echo-version";
/// An id of the server's connection, unique in one run of the server.
pub const CONNECTION: &str = "x-echo-connection";
/// The number of this request on its connection, from 1.
pub const REQUEST: &str = "x-echo-request";
/// Which attempt of the nearest Envoy this was, from 1.
pub const ATTEMPT: &str = "x-echo-attempt";
/// The caller's [`PROBE_ID`], returned.
pub const PROBE: &str = "x-echo-probe";
/// What was done of the [`FAULT`] that was asked for, or `off`.
pub const FAULTS: &str = "x-echo-faults";

/// Request header: faults that the server should commit.
pub const FAULT: &str = "x-echo-fault";
/// Request header: whether the JSON reply should hold the request's body.
pub const WANT_BODY: &str = "x-echo-body";
/// Request header: an id that the caller binds the answer by.
pub const PROBE_ID: &str = "x-probe-id";
/// Request header, set by Envoy when asked to: which attempt this is.
pub const ENVOY_ATTEMPT: &str = "x-envoy-attempt-count";
/// Response header, set by Envoy: how many milliseconds it waited for its upstream host.
pub const ENVOY_UPSTREAM_TIME: &str = "x-envoy-upstream-service-time";
/// Request header, set by Envoy: the certificates that clients showed on the way.
pub const FORWARDED_CLIENT_CERT: &str = "x-forwarded-client-cert";
/// Request headers that tie a request to its trace: W3C's, B3's, and Envoy's own.
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
