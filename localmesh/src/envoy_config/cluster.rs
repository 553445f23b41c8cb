//! Envoy clusters: where requests are sent, and how.

use std::path::Path;

use serde_json::{Value, json};

use super::message::{file_source, seconds, typed};
use super::{endpoints, tls};
use crate::topology::{Balancer, Limits, LocalityLb, Policy, SERVICE_PORT, Service, Topology};

/// The Envoy clusters of a service for clients and ingress gateways: one for the whole
/// service and, with subsets, one per cluster of the mesh.
pub(super) fn outbound(topology: &Topology, service: &Service, files: &Path) -> Vec<Value> {
    let one = |subset: Option<&str>| {
        let name = service.outbound(subset);
        let mut cluster = discovered(&name, &files.join(endpoints::file_name(service, subset)));
        cluster["transport_socket_matches"] = tls::client_matches(service, subset, files);
        treated(cluster, &service.policy)
    };
    topology.parts(service).map(one).collect()
}

/// A cluster with a DestinationRule's traffic policy.
fn treated(mut cluster: Value, policy: &Policy) -> Value {
    cluster["lb_policy"] = policy.balancer.envoy().into();
    if let Balancer::RingHash(ring) = &policy.balancer {
        cluster["ring_hash_lb_config"] = json!({ "minimum_ring_size": ring.min_ring_size });
    }
    cluster["circuit_breakers"] = circuit_breakers(&policy.limits);
    if let Some(outlier) = &policy.outlier {
        // Istio switches off the detector that Envoy has on by default.
        cluster["outlier_detection"] = json!({
            "consecutive_5xx": outlier.consecutive,
            "enforcing_consecutive_5xx": 100,
            "enforcing_success_rate": 0,
            "interval": seconds(outlier.interval),
            "base_ejection_time": seconds(outlier.ejection_time),
            "max_ejection_percent": outlier.max_percent,
        });
        cluster["common_lb_config"]["healthy_panic_threshold"] = percent(outlier.panic_percent);
    }
    if matches!(policy.locality, LocalityLb::Distribute(_)) {
        // Without this, Envoy ignores the weights of localities.
        cluster["common_lb_config"]["locality_weighted_lb_config"] = json!({});
    }
    cluster
}

/// The same for an east-west gateway, which does not terminate TLS. Its endpoints are pods of
/// its own network with sidecars; a service without sidecars has none.
pub(super) fn pass_through(topology: &Topology, service: &Service, files: &Path) -> Vec<Value> {
    let one = |subset: Option<&str>| {
        let name = service.sni(subset);
        let mut cluster = discovered(&name, &files.join(endpoints::file_name(service, subset)));
        if let Some(fields) = cluster.as_object_mut().filter(|_| !service.sidecar) {
            fields.insert("type".into(), "STATIC".into());
            fields.remove("eds_cluster_config");
        }
        treated(cluster, &service.policy)
    };
    topology.parts(service).map(one).collect()
}

/// The address from which applications see requests of their sidecar: iptables would redirect
/// those from any other one to the sidecar.
const SIDECAR: &str = "127.0.0.6";

/// The application behind a sidecar; [`super::http::inbound_manager`] says where it is. Of a
/// DestinationRule, istiod applies only the limits here.
pub(super) fn inbound(limits: &Limits) -> Value {
    json!({
        "name": format!("inbound|{SERVICE_PORT}||"),
        "type": "ORIGINAL_DST",
        "connect_timeout": "10s",
        "lb_policy": "CLUSTER_PROVIDED",
        // Never: there is one address only.
        "cleanup_interval": "9223372035s",
        "circuit_breakers": circuit_breakers(limits),
        "upstream_bind_config": { "source_address": { "address": SIDECAR, "port_value": 0 } },
        "common_lb_config": {},
    })
}

/// Where client sidecars send requests to hosts that are not services.
pub(super) const PASSTHROUGH: &str = "PassthroughCluster";

/// The Envoy clusters of client sidecars for what is not sent to a service:
/// [`super::http::outbound_manager`] says to which address it is passed on.
pub(super) fn without_service() -> [Value; 2] {
    let options = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        json!({
            "common_http_protocol_options": { "idle_timeout": "300s" },
            "use_downstream_protocol_config": {
                "http_protocol_options": {},
                "http2_protocol_options": {},
            },
        }),
    );
    [
        json!({
            "name": PASSTHROUGH,
            "type": "ORIGINAL_DST",
            "connect_timeout": "10s",
            "lb_policy": "CLUSTER_PROVIDED",
            "circuit_breakers": circuit_breakers(&Limits::default()),
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options,
            },
        }),
        json!({ "name": "BlackHoleCluster", "type": "STATIC", "connect_timeout": "10s" }),
    ]
}

/// A cluster with its endpoints in a file, with Istio's defaults.
fn discovered(name: &str, file: &Path) -> Value {
    json!({
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": name,
            "eds_config": file_source(file),
        },
        "connect_timeout": "10s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": circuit_breakers(&Limits::default()),
        // Otherwise Envoy would use pods that are not ready once most are not.
        "common_lb_config": { "healthy_panic_threshold": percent(0) },
    })
}

/// Istio removes Envoy's default limits (1024 connections, 3 concurrent retries).
fn circuit_breakers(limits: &Limits) -> Value {
    let most = |limit: Option<u32>| limit.unwrap_or(u32::MAX);
    json!({ "thresholds": [{
        "max_connections": most(limits.connections),
        "max_pending_requests": most(limits.pending_requests),
        "max_requests": most(limits.requests),
        "max_retries": most(limits.retries),
    }] })
}

fn percent(value: u32) -> Value {
    json!({ "value": value })
}
