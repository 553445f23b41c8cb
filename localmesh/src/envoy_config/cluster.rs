//! Envoy clusters: where requests are sent, and how.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use super::{endpoints, file_source, socket, tls, typed};
use crate::topology::{SERVICE_PORT, Service};

/// The cluster of a service as clients and ingress gateways see it.
pub(super) fn outbound(service: &Service, files: &Path) -> Value {
    let mut cluster = discovered(&service.outbound(), service, files);
    cluster["transport_socket_matches"] = tls::client_matches(service, files);
    cluster["typed_extension_protocol_options"] = http1();
    cluster
}

/// The cluster of a service as an east-west gateway sees it: own pods only,
/// and bytes passed on as they come, TLS and all.
pub(super) fn pass_through(service: &Service, files: &Path) -> Value {
    discovered(&service.sni(), service, files)
}

/// The application behind a sidecar.
pub(super) fn inbound(app: Ipv4Addr) -> Value {
    let name = format!("inbound|{SERVICE_PORT}||");
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "circuit_breakers": no_limits(),
        "typed_extension_protocol_options": http1(),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": socket(&app, SERVICE_PORT),
            } }] }],
        },
    })
}

/// A cluster whose endpoints stand in a file, with Istio's defaults.
fn discovered(name: &str, service: &Service, files: &Path) -> Value {
    json!({
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": name,
            "eds_config": file_source(&files.join(endpoints::file_name(service))),
        },
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": no_limits(),
    })
}

/// Istio lifts Envoy's default limits (1024 connections, 3 retries at a time).
fn no_limits() -> Value {
    json!({ "thresholds": [{
        "max_connections": u32::MAX,
        "max_pending_requests": u32::MAX,
        "max_requests": u32::MAX,
        "max_retries": u32::MAX,
        "track_remaining": true,
    }] })
}

fn http1() -> Value {
    let options = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        json!({ "explicit_http_config": { "http_protocol_options": {} } }),
    );
    json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options })
}
