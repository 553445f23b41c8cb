//! Endpoints: which addresses an Envoy holds for a service, with their weights.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use serde_json::{Value, json};

use super::{ConfigFile, discovery, socket, typed};
use crate::topology::{
    Cluster, EAST_WEST_PORT, Locality, LocalityLb, Pod, Role, SERVICE_PORT, Service, Topology,
};

/// The name of the file of a service's endpoints, or of those of its subset in one cluster.
pub(super) fn file_name(service: &Service, subset: Option<&str>) -> String {
    match subset {
        None => format!("eds-{}.json", service.name),
        Some(cluster) => format!("eds-{}-{cluster}.json", service.name),
    }
}

/// All endpoints that the Envoy in `pod` holds, a file for each service and
/// subset. A server's sidecar holds none.
#[must_use]
pub fn endpoints(topology: &Topology, home: &Cluster, pod: &Pod) -> Vec<ConfigFile> {
    let services = || topology.services.iter().enumerate();
    match pod.role {
        Role::IngressGateway | Role::Client => services()
            .flat_map(|(index, service)| {
                let groups = |only: Option<&str>| groups(topology, home, pod, index, only);
                let all = file(service, None, &service.outbound(), groups(None));
                let clusters = topology.clusters.iter().filter(|_| service.policy.subsets);
                let subsets = clusters.map(move |cluster| {
                    let only = Some(cluster.name.as_str());
                    file(service, only, &service.subset(&cluster.name), groups(only))
                });
                std::iter::once(all).chain(subsets).collect::<Vec<_>>()
            })
            .collect(),
        Role::EastWestGateway => services()
            .filter(|(_, service)| service.sidecar)
            .map(|(index, service)| {
                let own = local(home, index, service, 1);
                let groups = own.into_iter().map(|group| group.json(None)).collect();
                file(service, None, &service.sni(), groups)
            })
            .collect(),
        Role::Echo { .. } => Vec::new(),
    }
}

fn file(service: &Service, subset: Option<&str>, name: &str, groups: Vec<Value>) -> ConfigFile {
    ConfigFile {
        name: file_name(service, subset),
        content: discovery(&typed(
            "envoy.config.endpoint.v3.ClusterLoadAssignment",
            json!({ "cluster_name": name, "endpoints": groups }),
        )),
        statistics: format!("cluster.{name}"),
    }
}

/// The endpoints of one locality of one cluster.
struct Group<'a> {
    cluster: &'a str,
    locality: &'a Locality,
    weight: usize,
    endpoints: Vec<Value>,
}

impl Group<'_> {
    fn json(self, priority: Option<u32>) -> Value {
        let mut group = json!({
            "locality": { "region": self.locality.region, "zone": self.locality.zone },
            "load_balancing_weight": self.weight,
            "lb_endpoints": self.endpoints,
        });
        if let Some(priority) = priority.filter(|priority| *priority > 0) {
            group["priority"] = priority.into();
        }
        group
    }
}

/// The groups of a service as the Envoy of a client sees it, of all clusters or of `only` one.
fn groups(
    topology: &Topology,
    home: &Cluster,
    client: &Pod,
    index: usize,
    only: Option<&str>,
) -> Vec<Value> {
    let service = &topology.services[index];
    let mut found = everywhere(topology, home, index, service);
    found.retain(|group| only.is_none_or(|only| group.cluster == only));
    match &service.policy.locality {
        LocalityLb::Distribute(shares) => distribute(found, shares),
        LocalityLb::Failover if service.policy.outlier.is_some() => {
            prioritised(found, &client.locality)
        }
        LocalityLb::Failover | LocalityLb::Off => {
            found.into_iter().map(|group| group.json(None)).collect()
        }
    }
}

/// Own pods, and for each other network its gateways with the weight of the
/// pods behind them, by the pods' localities. A service without sidecars has
/// only own pods: the gateways pass nothing but mTLS on.
fn everywhere<'a>(
    topology: &'a Topology,
    home: &'a Cluster,
    index: usize,
    service: &Service,
) -> Vec<Group<'a>> {
    let seen = |other: &&Cluster| {
        other.network != home.network && service.sidecar && !home.unseen.contains(&other.name)
    };
    let others: Vec<_> = topology.clusters.iter().filter(seen).collect();
    // The weight of a network's pods is divided among its gateways: all weights are taken
    // times a number that the number of gateways of each network divides.
    let gateways = |other: &Cluster| other.east_west_gateways().filter(|pod| pod.ready).count();
    let times = others.iter().map(|other| gateways(other).max(1)).fold(1, least_common_multiple);
    let remote = others.iter().flat_map(|other| {
        let per_gateway = times / gateways(other).max(1);
        by_locality(other, index).into_iter().filter_map(move |(locality, pods)| {
            let to = |gateway: &Pod| SocketAddrV4::new(gateway.address, EAST_WEST_PORT);
            let ready = other.east_west_gateways().filter(|pod| pod.ready);
            let behind = pods.len();
            let endpoints: Vec<_> =
                ready.map(|pod| endpoint(to(pod), behind * per_gateway, true)).collect();
            let weight = behind * times;
            (!endpoints.is_empty()).then_some(Group {
                cluster: &other.name,
                locality,
                weight,
                endpoints,
            })
        })
    });
    local(home, index, service, times).into_iter().chain(remote).collect()
}

/// The service's pods in `home`, of weight `times` each, by locality.
fn local<'a>(home: &'a Cluster, index: usize, service: &Service, times: usize) -> Vec<Group<'a>> {
    let groups = by_locality(home, index).into_iter();
    groups
        .map(|(locality, pods)| Group {
            cluster: &home.name,
            locality,
            weight: pods.len() * times,
            endpoints: pods
                .iter()
                .map(|pod| {
                    let address = SocketAddrV4::new(pod.address, SERVICE_PORT);
                    endpoint(address, times, service.sidecar)
                })
                .collect(),
        })
        .collect()
}

/// The ready pods of a service in one cluster, by where they are.
fn by_locality(cluster: &Cluster, index: usize) -> BTreeMap<&Locality, Vec<&Pod>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for pod in cluster.echoes(index).filter(|pod| pod.ready) {
        groups.entry(&pod.locality).or_default().push(pod);
    }
    groups
}

/// Failover: the nearer a locality, the higher its priority; numbers without gaps, as Envoy
/// wants them.
fn prioritised(groups: Vec<Group<'_>>, from: &Locality) -> Vec<Value> {
    let distance = |to: &Locality| match () {
        () if to == from => 0,
        () if to.region == from.region => 1,
        () => 2,
    };
    let mut distances: Vec<_> = groups.iter().map(|group| distance(group.locality)).collect();
    distances.sort_unstable();
    distances.dedup();
    let priority = |to: &Locality| distances.iter().position(|d| *d == distance(to));
    groups
        .into_iter()
        .map(|group| {
            let priority = priority(group.locality).and_then(|p| u32::try_from(p).ok());
            group.json(priority)
        })
        .collect()
}

/// Shares by cluster: the localities of one divide its share by their pods.
fn distribute(groups: Vec<Group<'_>>, shares: &[(String, u32)]) -> Vec<Value> {
    let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
    for group in &groups {
        *pods.entry(group.cluster).or_default() += group.weight;
    }
    groups
        .into_iter()
        .filter_map(|mut group| {
            let (_, share) = shares.iter().find(|(name, _)| name == group.cluster)?;
            let all = pods[group.cluster].max(1);
            group.weight = (usize::try_from(*share).ok()? * group.weight).div_ceil(all);
            (group.weight > 0).then(|| group.json(None))
        })
        .collect()
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut greater, mut rest) = (a, b);
    while rest > 0 {
        (greater, rest) = (rest, greater % rest);
    }
    a / greater * b
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
