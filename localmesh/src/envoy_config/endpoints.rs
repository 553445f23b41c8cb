//! Endpoints: which addresses an Envoy holds for a service, with their weights.

use std::net::SocketAddrV4;

use serde_json::{Value, json};

use super::{discovery, socket, typed};
use crate::topology::{
    Cluster, EAST_WEST_PORT, Locality, Pod, Role, SERVICE_PORT, Service, Topology,
};

/// A file of endpoints, to lie in an Envoy's folder.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointsFile {
    /// Its name in that folder.
    pub name: String,
    /// Its content.
    pub content: Value,
}

/// The name of the file of a service's endpoints.
pub(super) fn file_name(service: &Service) -> String {
    format!("eds-{}.json", service.name)
}

/// All endpoints that the Envoy in `pod` holds, a file for each service. A
/// server's sidecar holds none.
#[must_use]
pub fn endpoints(topology: &Topology, home: &Cluster, pod: &Pod) -> Vec<EndpointsFile> {
    let services = || topology.services.iter().enumerate();
    let file = |service: &Service, name: String, groups: Vec<Value>| EndpointsFile {
        name: file_name(service),
        content: discovery(&typed(
            "envoy.config.endpoint.v3.ClusterLoadAssignment",
            json!({ "cluster_name": name, "endpoints": groups }),
        )),
    };
    match pod.role {
        Role::IngressGateway | Role::Client => services()
            .map(|(index, service)| {
                file(service, service.outbound(), everywhere(topology, home, index, service))
            })
            .collect(),
        Role::EastWestGateway => services()
            .filter(|(_, service)| service.sidecar)
            .map(|(index, service)| {
                file(service, service.sni(), local(home, index, service).into_iter().collect())
            })
            .collect(),
        Role::Echo { .. } => Vec::new(),
    }
}

/// Own pods, and for each other network its gateway with the weight of the
/// pods behind it. A service without sidecars has only own pods: the gateways
/// pass nothing but mTLS on.
fn everywhere(topology: &Topology, home: &Cluster, index: usize, service: &Service) -> Vec<Value> {
    let others = topology.clusters.iter().filter(|other| other.network != home.network);
    let remote = others.filter(|_| service.sidecar).filter_map(|other| {
        let behind = other.echoes(index).count();
        let gateways = other.east_west_gateways();
        let to = |gateway: &Pod| SocketAddrV4::new(gateway.address, EAST_WEST_PORT);
        group(
            &other.locality,
            gateways.map(|pod| endpoint(to(pod), behind, true)).collect(),
            behind,
        )
    });
    local(home, index, service).into_iter().chain(remote).collect()
}

/// The service's pods in `home`, of weight 1 each.
fn local(home: &Cluster, index: usize, service: &Service) -> Option<Value> {
    let pods: Vec<_> = home
        .echoes(index)
        .map(|pod| endpoint(SocketAddrV4::new(pod.address, SERVICE_PORT), 1, service.sidecar))
        .collect();
    let weight = pods.len();
    group(&home.locality, pods, weight)
}

/// The endpoints of one locality; `None` where there are none.
fn group(locality: &Locality, endpoints: Vec<Value>, weight: usize) -> Option<Value> {
    (weight > 0 && !endpoints.is_empty()).then(|| {
        json!({
            "locality": { "region": locality.region, "zone": locality.zone },
            "load_balancing_weight": weight,
            "lb_endpoints": endpoints,
        })
    })
}

fn endpoint(address: SocketAddrV4, weight: usize, mtls: bool) -> Value {
    let mut endpoint = json!({
        "endpoint": { "address": socket(address.ip(), address.port()) },
        "load_balancing_weight": weight,
    });
    if mtls {
        endpoint["metadata"] = json!({
            "filter_metadata": { "envoy.transport_socket_match": { "tlsMode": "istio" } },
        });
    }
    endpoint
}
