//! What each Envoy is told: topology → bootstrap, endpoints and secrets, as
//! JSON. Follows what istiod would generate. Pure: writes no file, reads no
//! certificate; golden files in `tests/golden` hold the result.
//!
//! Deliberately unlike istiod: no xDS server but files replaced by rename;
//! addresses of its own per listener where Istio redirects by iptables; the
//! ALPN of mTLS set on the cluster where Istio has a filter (`istio.alpn`) that
//! stock Envoy lacks; no filters for telemetry and access rules.

mod cluster;
mod endpoints;
mod http;
mod listener;
mod tls;

use std::path::Path;

use serde_json::{Value, json};

use crate::topology::{Cluster, Pod, Role, Topology};

pub use endpoints::{EndpointsFile, endpoints};
pub use tls::{PEER_ROOTS, Secret, WORKLOAD_CERTIFICATE, secret_file, secrets};

/// The bootstrap of the Envoy in `pod`, which finds its endpoints and secrets
/// in the folder `files` and writes its access log there. `None` for a pod
/// without an Envoy.
#[must_use]
pub fn bootstrap(topology: &Topology, home: &Cluster, pod: &Pod, files: &Path) -> Option<Value> {
    let (listeners, clusters) = resources(topology, home, pod, files)?;
    let kind = match pod.role {
        Role::IngressGateway | Role::EastWestGateway => "router",
        Role::Echo { .. } | Role::Client => "sidecar",
    };
    let Pod { name, namespace, account, address, .. } = pod;
    Some(json!({
        "node": {
            "id": format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{account}.{namespace}"),
            "locality": { "region": home.locality.region, "zone": home.locality.zone },
            "metadata": {
                "CLUSTER_ID": home.name,
                "NETWORK": home.network,
                "NAME": name,
                "NAMESPACE": namespace,
                "SERVICE_ACCOUNT": account,
            },
        },
        "admin": { "address": socket(pod.envoy_admin().ip(), pod.envoy_admin().port()) },
        "overload_manager": { "resource_monitors": [unlimited_connections()] },
        "static_resources": { "listeners": listeners, "clusters": clusters },
    }))
}

/// The listeners and clusters of `pod`, by its role.
fn resources(
    topology: &Topology,
    home: &Cluster,
    pod: &Pod,
    files: &Path,
) -> Option<(Vec<Value>, Vec<Value>)> {
    let outbound = || topology.services.iter().map(|service| cluster::outbound(service, files));
    match &pod.role {
        Role::IngressGateway => {
            let listener = listener::ingress(topology, home, pod, files);
            Some((vec![listener], outbound().collect()))
        }
        Role::Client => {
            Some((vec![listener::outbound(topology, pod, files)], outbound().collect()))
        }
        Role::EastWestGateway => {
            let passed = || topology.services.iter().filter(|service| service.sidecar);
            let clusters = passed().map(|service| cluster::pass_through(service, files));
            Some((vec![listener::east_west(passed(), pod, files)], clusters.collect()))
        }
        Role::Echo { service, behind_sidecar } => {
            let app = (*behind_sidecar)?;
            let service = topology.services.get(*service)?;
            Some((vec![listener::inbound(service, pod, files)], vec![cluster::inbound(app)]))
        }
    }
}

/// Istio's own limit, which is none; without one Envoy warns at every start.
fn unlimited_connections() -> Value {
    let config = typed(
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        json!({ "max_active_downstream_connections": i32::MAX }),
    );
    json!({
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": config,
    })
}

/// A socket address.
fn socket(address: &std::net::Ipv4Addr, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}

/// A message of an extension: its type's name after `type.googleapis.com/`, and its fields.
fn typed(message: &str, mut fields: Value) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("@type".into(), format!("type.googleapis.com/{message}").into());
    }
    fields
}

/// A source of endpoints or secrets: a file that is read again whenever
/// another is renamed onto it.
fn file_source(path: &Path) -> Value {
    json!({
        "path_config_source": { "path": path },
        "initial_fetch_timeout": "0s",
        "resource_api_version": "V3",
    })
}

/// A discovery response of one resource: what such a file holds.
fn discovery(resource: &Value) -> Value {
    json!({ "resources": [resource] })
}

#[cfg(test)]
mod tests;
