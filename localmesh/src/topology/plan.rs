//! The plan of names and addresses: from what a mesh shall consist of to its pods. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::clusters::{Cluster, Locality, Pod, Role, Topology};
use super::names::Service;

/// More pods of one service than this do not fit the plan of addresses.
pub const MAX_REPLICAS: u8 = 5;
/// More gateways of one kind in a cluster do not fit.
pub const MAX_GATEWAYS: u8 = 4;
/// More clusters do not fit: each has a subnet, and a few are left for links between networks.
pub const MAX_CLUSTERS: u8 = 250;
/// More services do not fit, each with as many pods as it may be scaled to.
pub const MAX_SERVICES: usize = ((LAST_ECHO - FIRST_ECHO) / MAX_REPLICAS) as usize;

/// The second byte of all addresses, unless asked otherwise: `127.10.0.0/16`.
pub const DEFAULT_BLOCK: u8 = 10;

/// The first byte of all addresses; of those of an isolated mesh, which real links carry.
const LOOPBACK: u8 = 127;
const ISOLATED: u8 = 10;
/// Last bytes of the addresses of a cluster. Gateways of both kinds take turns.
pub(super) const NETWORK_ADDRESS: u8 = 1;
const FIRST_INGRESS: u8 = 2;
const FIRST_EAST_WEST: u8 = 3;
const FIRST_ECHO: u8 = 11;
const CLIENT: u8 = 22;
const LAST_ECHO: u8 = 99;
/// How much greater the last byte of an application behind a sidecar is.
const BEHIND_SIDECAR: u8 = 100;

/// What to lay out: the input of [`Topology::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The clusters.
    pub clusters: Vec<ClusterShape>,
    /// The services, at most [`MAX_SERVICES`].
    pub services: Vec<Service>,
}

/// One cluster of a [`Shape`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterShape {
    /// Name.
    pub name: String,
    /// Network; clusters of one network reach each other's pods directly.
    pub network: String,
    /// Where its nodes are, if not said otherwise of a pod.
    pub locality: Locality,
    /// The public name of its ingress gateways.
    pub host: String,
    /// The third byte of its addresses, from 1 to [`MAX_CLUSTERS`].
    pub subnet: u8,
    /// How many ingress gateways it has, at most [`MAX_GATEWAYS`].
    pub ingress_gateways: u8,
    /// How many east-west gateways it has, at most [`MAX_GATEWAYS`].
    pub east_west_gateways: u8,
    /// How many pods each service has here, in the services' order; at most [`MAX_REPLICAS`].
    pub replicas: Vec<u8>,
    /// Where the pods of each service are, in the same order; those not named here are where
    /// the cluster is.
    pub places: Vec<Vec<Locality>>,
}

impl ClusterShape {
    /// Cluster number `number`, from 1, of a mesh in which each has a network and a public name
    /// of its own, and one gateway of each kind.
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

/// The network of cluster number `number`, unless said otherwise.
pub(super) fn network(number: u8) -> String {
    format!("network{number}")
}

/// The public name of cluster number `number`, unless said otherwise.
pub(super) fn host(number: u8) -> String {
    format!("istio{number}.xiaowenx.com")
}

impl Shape {
    /// The mesh of the documents: `kops` and `gke1`, one pod of `echo1` (no
    /// sidecar) and one of `echo2` (sidecar) in each.
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
    /// Gives everything in `shape` its name and address: a cluster is on
    /// `127.<block>.<subnet>.0/24`, with `.2`, `.4`, … ingress gateways, `.3`, `.5`, …
    /// east-west gateways, `.11`–`.99` echoes, among them `.22` the client, and `+100` an
    /// application behind its sidecar.
    #[must_use]
    pub fn new(shape: &Shape, block: u8, ingress_port: u16) -> Self {
        Self::on(LOOPBACK, shape, block, ingress_port)
    }

    /// The same on `10.<block>.0.0/16`, for networks that are namespaces of their own.
    #[must_use]
    pub fn isolated(shape: &Shape, block: u8, ingress_port: u16) -> Self {
        Self::on(ISOLATED, shape, block, ingress_port)
    }

    /// Gives a service so many pods in a cluster, at most [`MAX_REPLICAS`]; the labels of the
    /// pods that are new, and of those that are gone. New ones are not ready.
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

/// What changed by [`Topology::scale`].
#[derive(Debug, Default)]
pub(crate) struct Scaled {
    /// Labels of new pods.
    pub(crate) new: Vec<String>,
    /// Pods that are no more.
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
    // Where those of its namespace stand who use the mesh.
    let namespace = services.iter().find(|service| service.sidecar);
    let namespace = namespace.map_or("istio-enabled", |service| service.namespace.as_str());
    pods.push(single(CLIENT_LABEL, namespace, "client", CLIENT, Role::Client));
    pods
}

/// Labels of pods that no service has.
const INGRESS: &str = "ingressgateway";
const EAST_WEST: &str = "eastwestgateway";
const CLIENT_LABEL: &str = "client";

/// All labels that pods can have which belong to no service.
pub(super) fn own_labels() -> impl Iterator<Item = String> {
    let gateways = [INGRESS, EAST_WEST].into_iter();
    let gateways = gateways.flat_map(|kind| (1..=MAX_GATEWAYS).map(move |n| label(kind, n)));
    gateways.chain([CLIENT_LABEL.to_owned()])
}

/// `echo2`, and `echo2-2` for the second one.
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

/// The two ends of the link of network number `number`, from 0: what stands between the
/// networks, and the network. They lie beyond the subnets of all clusters.
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

/// Pod number `number`, from 1, of the service with this index.
fn replica(home: &Home<'_>, index: usize, number: u8, locality: Locality) -> Pod {
    let Home { cluster, services, subnet } = *home;
    let service = &services[index];
    // Services take turns: echo1 has .11, .13, …, echo2 has .12, .14, …
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
