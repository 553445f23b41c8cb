//! Lays out a mesh: from its shape to pods with names and addresses. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::clusters::{Cluster, Locality, OutboundTraffic, Pod, Role, Topology};
use super::names::Service;

/// The maximum number of pods of one service in a cluster.
pub const MAX_REPLICAS: u8 = 5;
/// The maximum number of gateways of one kind in a cluster.
pub const MAX_GATEWAYS: u8 = 4;
/// The maximum number of clusters: each has a subnet, and a few subnets are for the links
/// between networks.
pub const MAX_CLUSTERS: u8 = 250;
/// The maximum number of services, each with [`MAX_REPLICAS`] pods.
pub const MAX_SERVICES: usize = ((LAST_ECHO - FIRST_ECHO) / MAX_REPLICAS) as usize;

/// The default second byte of all addresses: `127.10.0.0/16`.
pub const DEFAULT_BLOCK: u8 = 10;

/// The first byte of all addresses. Those of an isolated mesh are routed over real links.
const LOOPBACK: u8 = 127;
const ISOLATED: u8 = 10;
/// The last bytes of the addresses of a cluster. The two kinds of gateways alternate.
pub(super) const NETWORK_ADDRESS: u8 = 1;
const FIRST_INGRESS: u8 = 2;
const FIRST_EAST_WEST: u8 = 3;
const FIRST_ECHO: u8 = 11;
const CLIENT: u8 = 22;
const LAST_ECHO: u8 = 99;
/// Added to the last byte for an application behind a sidecar.
const BEHIND_SIDECAR: u8 = 100;

/// The input of [`Topology::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub clusters: Vec<ClusterShape>,
    /// At most [`MAX_SERVICES`].
    pub services: Vec<Service>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterShape {
    pub name: String,
    /// Clusters of one network reach each other's pods directly.
    pub network: String,
    /// The default locality of its pods.
    pub locality: Locality,
    /// The public name of its ingress gateways.
    pub host: String,
    /// The third byte of its addresses, from 1 to [`MAX_CLUSTERS`].
    pub subnet: u8,
    /// At most [`MAX_GATEWAYS`].
    pub ingress_gateways: u8,
    /// At most [`MAX_GATEWAYS`].
    pub east_west_gateways: u8,
    /// The number of pods per service, in the order of services; at most [`MAX_REPLICAS`].
    pub replicas: Vec<u8>,
    /// The localities of the pods per service, in the same order; pods without an entry are in
    /// the locality of the cluster.
    pub places: Vec<Vec<Locality>>,
}

impl ClusterShape {
    /// Cluster `number`, from 1, with its own network and public name and one gateway of each
    /// kind.
    #[must_use]
    pub fn new(number: u8, name: &str, locality: Locality, replicas: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            network: network(number),
            locality,
            host: host(number),
            subnet: number,
            ingress_gateways: 1,
            east_west_gateways: 1,
            replicas,
            places: Vec::new(),
        }
    }
}

/// The default network of cluster `number`.
pub(super) fn network(number: u8) -> String {
    format!("network{number}")
}

/// The default public name of cluster `number`.
pub(super) fn host(number: u8) -> String {
    format!("istio{number}.xiaowenx.com")
}

impl Shape {
    /// The mesh of the documentation: `kops` and `gke1`, each with one pod of `echo1` (without
    /// sidecar) and one of `echo2` (with sidecar).
    #[must_use]
    pub fn two_clusters() -> Self {
        let at = |region: &str, zone: &str| Locality { region: region.into(), zone: zone.into() };
        Self {
            clusters: vec![
                ClusterShape::new(1, "kops", at("us-west-2", "us-west-2a"), vec![1, 1]),
                ClusterShape::new(2, "gke1", at("us-west1", "us-west1-b"), vec![1, 1]),
            ],
            services: vec![
                Service::new("echo1", "istio-disabled", false),
                Service::new("echo2", "istio-enabled", true),
            ],
        }
    }
}

impl Topology {
    /// Gives every pod its name and address. A cluster uses `127.<block>.<subnet>.0/24`: `.2`,
    /// `.4`, … are ingress gateways, `.3`, `.5`, … east-west gateways, `.11`–`.99` echoes,
    /// except `.22`, which is the client. An application behind a sidecar has `+100`.
    #[must_use]
    pub fn new(shape: &Shape, block: u8, ingress_port: u16) -> Self {
        Self::on(LOOPBACK, shape, block, ingress_port)
    }

    /// The same on `10.<block>.0.0/16`, for an isolated mesh.
    #[must_use]
    pub fn isolated(shape: &Shape, block: u8, ingress_port: u16) -> Self {
        Self::on(ISOLATED, shape, block, ingress_port)
    }

    /// Scales a service in a cluster to `to` pods, at most [`MAX_REPLICAS`]. Returns what has
    /// changed. New pods are not ready.
    pub(crate) fn scale(&mut self, cluster: usize, service: usize, to: u8) -> Scaled {
        let services = &self.services;
        let home = &mut self.clusters[cluster];
        let mut scaled = Scaled::default();
        for number in 1..=MAX_REPLICAS {
            let label = label(&services[service].name, number);
            let place = home.pods.iter().position(|pod| pod.label == label);
            match place {
                None if number <= to => {
                    let subnet = subnet_of(home.pods[0].address);
                    let locality = home.locality.clone();
                    let pods = Home { cluster: &home.name, services, subnet };
                    let mut pod = replica(&pods, service, number, locality);
                    pod.ready = false;
                    home.pods.push(pod);
                    scaled.new.push(label);
                }
                Some(place) if number > to => {
                    scaled.gone.push(home.pods.remove(place));
                }
                _ => {}
            }
        }
        scaled
    }

    fn on(first: u8, shape: &Shape, block: u8, ingress_port: u16) -> Self {
        let clusters = shape.clusters.iter().map(|cluster| Cluster {
            name: cluster.name.clone(),
            network: cluster.network.clone(),
            locality: cluster.locality.clone(),
            host: cluster.host.clone(),
            pods: pods(cluster, &shape.services, Ipv4Addr::new(first, block, cluster.subnet, 0)),
            unseen: BTreeSet::new(),
            outbound_traffic: OutboundTraffic::default(),
            without_rule: BTreeSet::new(),
        });
        Self {
            block,
            ingress_port,
            clusters: clusters.collect(),
            services: shape.services.clone(),
            cuts: BTreeSet::new(),
        }
    }
}

/// What [`Topology::scale`] has changed.
#[derive(Debug, Default)]
pub(crate) struct Scaled {
    /// Labels of new pods.
    pub(crate) new: Vec<String>,
    /// Removed pods.
    pub(crate) gone: Vec<Pod>,
}

fn pods(cluster: &ClusterShape, services: &[Service], subnet: Ipv4Addr) -> Vec<Pod> {
    let single = |label: &str, namespace: &str, account: &str, host, role| Pod {
        label: label.into(),
        name: format!("{label}-{}", cluster.name),
        namespace: namespace.into(),
        account: account.into(),
        address: at(subnet, host),
        role,
        locality: cluster.locality.clone(),
        ready: true,
        fault: None,
    };
    let gateways = |kind: &str, count: u8, first: u8, role: Role| -> Vec<Pod> {
        let account = format!("istio-{kind}");
        (1..=count.min(MAX_GATEWAYS))
            .map(|number| {
                let host = first + 2 * (number - 1);
                single(&label(kind, number), "istio-system", &account, host, role.clone())
            })
            .collect()
    };
    let mut pods = gateways(INGRESS, cluster.ingress_gateways, FIRST_INGRESS, Role::IngressGateway);
    let east_west = cluster.east_west_gateways;
    pods.extend(gateways(EAST_WEST, east_west, FIRST_EAST_WEST, Role::EastWestGateway));
    let home = Home { cluster: &cluster.name, services, subnet };
    for index in 0..services.len() {
        let replicas = cluster.replicas.get(index).copied().unwrap_or(0).min(MAX_REPLICAS);
        let places = cluster.places.get(index).map_or(&[][..], Vec::as_slice);
        for number in 1..=replicas {
            let own = places.get(usize::from(number) - 1).unwrap_or(&cluster.locality);
            pods.push(replica(&home, index, number, own.clone()));
        }
    }
    // The client is in the namespace of the services with sidecars.
    let namespace = services.iter().find(|service| service.sidecar);
    let namespace = namespace.map_or("istio-enabled", |service| service.namespace.as_str());
    pods.push(single(CLIENT_LABEL, namespace, "client", CLIENT, Role::Client));
    pods
}

/// Labels of pods that belong to no service.
const INGRESS: &str = "ingressgateway";
const EAST_WEST: &str = "eastwestgateway";
const CLIENT_LABEL: &str = "client";

/// All possible labels of pods that belong to no service.
pub(super) fn own_labels() -> impl Iterator<Item = String> {
    let gateways = [INGRESS, EAST_WEST].into_iter();
    let gateways = gateways.flat_map(|kind| (1..=MAX_GATEWAYS).map(move |n| label(kind, n)));
    gateways.chain([CLIENT_LABEL.to_owned()])
}

/// `echo2`, then `echo2-2`.
pub(super) fn label(name: &str, number: u8) -> String {
    match number {
        1 => name.to_owned(),
        _ => format!("{name}-{number}"),
    }
}

/// The subnet of a pod's address.
pub(super) fn subnet_of(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 0)
}

/// The two ends of the link of network `number`, from 0: the end between the networks, and
/// the end in the network. They are outside of the subnets of all clusters.
pub(super) fn link(subnet: Ipv4Addr, number: usize) -> (Ipv4Addr, Ipv4Addr) {
    const LINKS: usize = 128;
    let [a, b, ..] = subnet.octets();
    let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    let third = byte(usize::from(MAX_CLUSTERS) + 1 + number / LINKS);
    let even = byte(2 * (number % LINKS));
    (Ipv4Addr::new(a, b, third, even), Ipv4Addr::new(a, b, third, even + 1))
}

pub(super) fn at(subnet: Ipv4Addr, host: u8) -> Ipv4Addr {
    let [a, b, c, _] = subnet.octets();
    Ipv4Addr::new(a, b, c, host)
}

/// What all pods of a cluster have in common.
struct Home<'a> {
    cluster: &'a str,
    services: &'a [Service],
    subnet: Ipv4Addr,
}

/// Pod `number`, from 1, of the service with this index.
fn replica(home: &Home<'_>, index: usize, number: u8, locality: Locality) -> Pod {
    let Home { cluster, services, subnet } = *home;
    let service = &services[index];
    // Services alternate: echo1 has .11, .13, …, echo2 has .12, .14, …
    let offset = index + services.len() * (usize::from(number) - 1);
    let host = FIRST_ECHO.saturating_add(u8::try_from(offset).unwrap_or(u8::MAX));
    let host = host.saturating_add(u8::from(host >= CLIENT)).min(LAST_ECHO);
    let behind_sidecar = service.sidecar.then(|| at(subnet, host + BEHIND_SIDECAR));
    Pod {
        label: label(&service.name, number),
        name: format!("{}-{cluster}-{number}", service.name),
        namespace: service.namespace.clone(),
        account: service.account.clone(),
        address: at(subnet, host),
        role: Role::Echo { service: index, behind_sidecar },
        locality,
        ready: true,
        fault: None,
    }
}
