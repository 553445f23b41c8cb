//! Endpoints: the addresses of a service for one Envoy, with their weights.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use serde_json::{Value, json};

use super::message::{ConfigFile, discovery, socket, typed};
use crate::topology::{
    Cluster, EAST_WEST_PORT, Locality, LocalityLb, Pod, Role, SERVICE_PORT, Service, Topology, Way,
};

/// The file name of the endpoints of a service, or of its subset in one cluster.
pub(super) fn file_name(service: &Service, subset: Option<&str>) -> String {
    match subset {
        None => format!("eds-{}.json", service.name),
        Some(cluster) => format!("eds-{}-{cluster}.json", service.name),
    }
}

/// All endpoints of the Envoy in `pod`, one file per service and subset. The sidecar of a
/// server has none, and a gateway none of services without sidecars.
#[must_use]
pub(crate) fn endpoints(topology: &Topology, home: &Cluster, pod: &Pod) -> Vec<ConfigFile> {
    let topology = &*topology.configured_by(home);
    let gateway = pod.role == Role::EastWestGateway;
    let services = match pod.role {
        Role::Echo { .. } => &[],
        _ => topology.services.as_slice(),
    };
    let known = services.iter().enumerate().filter(|(_, service)| service.sidecar || !gateway);
    let parts = known.flat_map(|(index, service)| {
        topology.parts(service).map(move |subset| (index, service, subset))
    });
    parts
        .map(|(index, service, subset)| {
            let name = if gateway { service.sni(subset) } else { service.outbound(subset) };
            file(service, subset, &name, groups(topology, home, pod, index, subset))
        })
        .collect()
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

/// The endpoints that an Envoy gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Mesh,
    /// Only direct ones: a gateway does not send to another gateway.
    OwnNetwork,
}

/// The endpoints of one locality of one cluster.
struct Group<'a> {
    cluster: &'a str,
    locality: &'a Locality,
    priority: u32,
    weight: usize,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone)]
struct Endpoint {
    address: SocketAddrV4,
    weight: usize,
    mtls: bool,
}

/// Merges groups as istiod does: it knows localities, not clusters. Groups with the same
/// locality and priority become one, with each address once.
fn merged(groups: Vec<Group<'_>>) -> Vec<Value> {
    let mut all: Vec<Group<'_>> = Vec::new();
    for group in groups {
        let same = |other: &&mut Group<'_>| {
            (other.locality, other.priority) == (group.locality, group.priority)
        };
        let Some(other) = all.iter_mut().find(same) else {
            all.push(group);
            continue;
        };
        other.weight += group.weight;
        for endpoint in group.endpoints {
            match other.endpoints.iter_mut().find(|known| known.address == endpoint.address) {
                Some(known) => known.weight += endpoint.weight,
                None => other.endpoints.push(endpoint),
            }
        }
    }
    all.into_iter().map(Group::json).collect()
}

impl Group<'_> {
    fn json(self) -> Value {
        let mut group = json!({
            "locality": { "region": self.locality.region, "zone": self.locality.zone },
            "load_balancing_weight": self.weight,
            "lb_endpoints": self.endpoints.iter().map(Endpoint::json).collect::<Vec<_>>(),
        });
        if self.priority > 0 {
            group["priority"] = self.priority.into();
        }
        group
    }
}

impl Endpoint {
    fn json(&self) -> Value {
        let mut endpoint = json!({
            "endpoint": { "address": socket(self.address.ip(), self.address.port()) },
            "load_balancing_weight": self.weight,
        });
        if self.mtls {
            endpoint["metadata"] = json!({
                "filter_metadata": { "envoy.transport_socket_match": { "tlsMode": "istio" } },
            });
        }
        endpoint
    }
}

/// The groups of a service for the Envoy in a pod, from all clusters or `only` one.
fn groups(
    topology: &Topology,
    home: &Cluster,
    pod: &Pod,
    index: usize,
    only: Option<&str>,
) -> Vec<Value> {
    let service = &topology.services[index];
    let view = match pod.role {
        Role::EastWestGateway => View::OwnNetwork,
        _ => View::Mesh,
    };
    let mut found = everywhere(topology, home, index, service, view);
    found.retain(|group| only.is_none_or(|only| group.cluster == only));
    merged(match &service.policy.locality {
        LocalityLb::Distribute(shares) => distribute(found, shares),
        LocalityLb::Failover if service.policy.outlier.is_some() => {
            prioritised(found, &pod.locality)
        }
        LocalityLb::Failover | LocalityLb::Off => found,
    })
}

/// The pods that are reached directly, those of the own cluster first, then the gateways of
/// other networks, with the weight and locality of the pods behind them. Gateways pass only
/// mTLS through, so a service without sidecars has only direct pods.
fn everywhere<'a>(
    topology: &'a Topology,
    home: &'a Cluster,
    index: usize,
    service: &Service,
    view: View,
) -> Vec<Group<'a>> {
    let times = scale(topology, home);
    let others = topology.seen_by(home).filter(|other| other.name != home.name);
    let mut groups = Vec::new();
    for other in std::iter::once(home).chain(others) {
        let way = topology.way(home, other);
        for (locality, pods) in by_locality(other, index) {
            let behind = pods.len();
            let endpoints: Vec<_> = match &way {
                Way::Direct => pods.iter().map(|pod| direct(pod, service, times)).collect(),
                Way::Gateways(gateways) if service.sidecar && view == View::Mesh => {
                    let share = times / gateways.len().max(1);
                    let to = |gateway: &&Pod| SocketAddrV4::new(gateway.address, EAST_WEST_PORT);
                    gateways
                        .iter()
                        .map(|gateway| Endpoint {
                            address: to(gateway),
                            weight: behind * share,
                            mtls: true,
                        })
                        .collect()
                }
                Way::Gateways(_) => Vec::new(),
            };
            if !endpoints.is_empty() {
                let (cluster, weight) = (other.name.as_str(), behind * times);
                groups.push(Group { cluster, locality, priority: 0, weight, endpoints });
            }
        }
    }
    groups
}

/// The factor of all weights, so that gateways can share the weight of the pods behind them:
/// the least common multiple of the numbers of gateways per network and per cluster
/// (`GetLBWeightScaleFactor` of istiod).
fn scale(topology: &Topology, home: &Cluster) -> usize {
    let mut networks: BTreeMap<&str, usize> = BTreeMap::new();
    let mut times = 1;
    for cluster in topology.seen_by(home) {
        let gateways = cluster.east_west_gateways().filter(|pod| pod.ready).count();
        *networks.entry(&cluster.network).or_default() += gateways;
        times = least_common_multiple(times, gateways.max(1));
    }
    networks.into_values().fold(times, |times, all| least_common_multiple(times, all.max(1)))
}

fn direct(pod: &Pod, service: &Service, weight: usize) -> Endpoint {
    let address = SocketAddrV4::new(pod.address, SERVICE_PORT);
    Endpoint { address, weight, mtls: service.sidecar }
}

/// The ready pods of a service in one cluster, by locality.
fn by_locality(cluster: &Cluster, index: usize) -> BTreeMap<&Locality, Vec<&Pod>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for pod in cluster.echoes(index).filter(|pod| pod.ready) {
        groups.entry(&pod.locality).or_default().push(pod);
    }
    groups
}

/// Failover: nearer localities have higher priority, numbered without gaps, as Envoy requires.
fn prioritised<'a>(mut groups: Vec<Group<'a>>, from: &Locality) -> Vec<Group<'a>> {
    let distance = |to: &Locality| match () {
        () if to == from => 0,
        () if to.region == from.region => 1,
        () => 2,
    };
    let mut distances: Vec<_> = groups.iter().map(|group| distance(group.locality)).collect();
    distances.sort_unstable();
    distances.dedup();
    let priority = |to: &Locality| distances.iter().position(|d| *d == distance(to));
    for group in &mut groups {
        let priority = priority(group.locality).and_then(|p| u32::try_from(p).ok());
        group.priority = priority.unwrap_or(0);
    }
    groups
}

/// Shares by cluster; the localities of a cluster divide its share by their pods.
fn distribute<'a>(groups: Vec<Group<'a>>, shares: &[(String, u32)]) -> Vec<Group<'a>> {
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
            (group.weight > 0).then_some(group)
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
