//! Which clusters, pods and services the mesh has, and at which addresses.
//! Pure values: the only module that knows an address. Starts nothing.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

mod names;
mod policy;

pub use names::{Mtls, Service, TRUST_DOMAIN};
pub use policy::{Balancer, Fault, LocalityLb, Outlier, Policy};

/// The port of the echoes, and of the services in front of them.
pub const SERVICE_PORT: u16 = 8080;
/// The port of an echo's health checks and metrics.
pub const ECHO_ADMIN_PORT: u16 = 8081;
/// The port of every Envoy's admin interface.
pub const ENVOY_ADMIN_PORT: u16 = 15000;
/// The port that east-west gateways take mTLS on.
pub const EAST_WEST_PORT: u16 = 15443;
/// The port that people expect an ingress gateway on; binding it may need a privilege.
pub const INGRESS_PORT: u16 = 80;
/// Where ingress gateways listen for users who may not bind [`INGRESS_PORT`].
pub const UNPRIVILEGED_INGRESS_PORT: u16 = 8080;
/// The second byte of all addresses, unless asked otherwise: `127.10.0.0/16`.
pub const DEFAULT_BLOCK: u8 = 10;
/// More pods of one service than this do not fit the plan of addresses.
pub const MAX_REPLICAS: u8 = 5;

/// Two or more clusters joined into one mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The second byte of every address.
    pub block: u8,
    /// The port that the ingress gateways listen on.
    pub ingress_port: u16,
    /// The clusters, in the order in which they are shown.
    pub clusters: Vec<Cluster>,
    /// The services; each has pods in every cluster that [`Shape`] gives it.
    pub services: Vec<Service>,
}

/// One cluster: a network of its own, reached from the others only by its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name, as Istio's `clusterName`.
    pub name: String,
    /// Its network, as Istio's `topology.istio.io/network`.
    pub network: String,
    /// Where its nodes are.
    pub locality: Locality,
    /// The public name that leads to its ingress gateway.
    pub host: String,
    /// All its pods, gateways first.
    pub pods: Vec<Pod>,
    /// The clusters whose remote secret its istiod lacks: it knows none of their pods.
    pub unseen: BTreeSet<String>,
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locality {
    /// Region, as the cloud calls it.
    pub region: String,
    /// Zone in that region.
    pub zone: String,
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Short name, unique in its cluster: `echo2`, and `echo2-2` for a second one.
    pub label: String,
    /// Name as `POD_NAME` has it, unique in the mesh.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// The service account, which its certificate names.
    pub account: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it does.
    pub role: Role,
    /// Where its node is.
    pub locality: Locality,
    /// Whether it is ready: one that is not stands in no list of endpoints.
    pub ready: bool,
    /// What its application is made to do.
    pub fault: Option<Fault>,
}

/// What a pod does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Lets requests from outside in.
    IngressGateway,
    /// Passes mTLS from other networks on, by server name.
    EastWestGateway,
    /// Runs an echo of the service with this index in [`Topology::services`].
    Echo {
        /// The service's index.
        service: usize,
        /// Where the application listens behind its sidecar; without a
        /// sidecar it has the pod's own address.
        behind_sidecar: Option<Ipv4Addr>,
    },
    /// Runs no application: a sidecar through which requests are sent out, its
    /// listener standing for the services' addresses.
    Client,
}

impl Pod {
    /// Whether an Envoy runs in it.
    #[must_use]
    pub fn has_envoy(&self) -> bool {
        !matches!(self.role, Role::Echo { behind_sidecar: None, .. })
    }

    /// Where requests to it go.
    #[must_use]
    pub fn listens(&self, ingress_port: u16) -> SocketAddrV4 {
        let port = match self.role {
            Role::IngressGateway => ingress_port,
            Role::EastWestGateway => EAST_WEST_PORT,
            Role::Echo { .. } | Role::Client => SERVICE_PORT,
        };
        SocketAddrV4::new(self.address, port)
    }

    /// Where its application listens, if it has one.
    #[must_use]
    pub fn app(&self) -> Option<Ipv4Addr> {
        match self.role {
            Role::Echo { behind_sidecar, .. } => Some(behind_sidecar.unwrap_or(self.address)),
            _ => None,
        }
    }

    /// Where its Envoy's admin interface listens.
    #[must_use]
    pub fn envoy_admin(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, ENVOY_ADMIN_PORT)
    }
}

impl Cluster {
    /// The pods that run echoes of the service with this index.
    pub fn echoes(&self, of: usize) -> impl Iterator<Item = &Pod> {
        self.pods
            .iter()
            .filter(move |pod| matches!(pod.role, Role::Echo { service, .. } if service == of))
    }

    /// The pods with a role that `wanted` accepts.
    pub fn with_role<'a>(
        &'a self,
        wanted: impl Fn(&Role) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(move |pod| wanted(&pod.role))
    }

    /// Its ingress gateways.
    pub fn ingress_gateways(&self) -> impl Iterator<Item = &Pod> {
        self.with_role(|role| *role == Role::IngressGateway)
    }

    /// Its east-west gateways.
    pub fn east_west_gateways(&self) -> impl Iterator<Item = &Pod> {
        self.with_role(|role| *role == Role::EastWestGateway)
    }

    /// Its pods that only send.
    pub fn clients(&self) -> impl Iterator<Item = &Pod> {
        self.with_role(|role| *role == Role::Client)
    }
}

/// What to lay out: the input of [`Topology::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The clusters.
    pub clusters: Vec<ClusterShape>,
    /// The services.
    pub services: Vec<Service>,
}

/// One cluster of a [`Shape`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterShape {
    /// Name.
    pub name: String,
    /// Where its nodes are.
    pub locality: Locality,
    /// How many pods each service has here, in the services' order; at most [`MAX_REPLICAS`].
    pub replicas: Vec<u8>,
}

impl Shape {
    /// The mesh of the documents: `kops` and `gke1`, one pod of `echo1` (no
    /// sidecar) and one of `echo2` (sidecar) in each.
    #[must_use]
    pub fn two_clusters() -> Self {
        let cluster = |name: &str, region: &str, zone: &str| ClusterShape {
            name: name.into(),
            locality: Locality { region: region.into(), zone: zone.into() },
            replicas: vec![1, 1],
        };
        Self {
            clusters: vec![
                cluster("kops", "us-west-2", "us-west-2a"),
                cluster("gke1", "us-west1", "us-west1-b"),
            ],
            services: vec![
                Service::new("echo1", "istio-disabled", false),
                Service::new("echo2", "istio-enabled", true),
            ],
        }
    }
}

impl Topology {
    /// Gives everything in `shape` its name and address: cluster number `i` is
    /// on `127.<block>.<i>.0/24`, with `.2` ingress gateway, `.3` east-west
    /// gateway, `.11`–`.20` echoes, `.22` client, and `+100` an application
    /// behind its sidecar.
    #[must_use]
    pub fn new(shape: &Shape, block: u8, ingress_port: u16) -> Self {
        let clusters = (1..).zip(&shape.clusters).map(|(number, cluster)| Cluster {
            name: cluster.name.clone(),
            network: format!("network{number}"),
            locality: cluster.locality.clone(),
            host: format!("istio{number}.xiaowenx.com"),
            pods: pods(cluster, &shape.services, Ipv4Addr::new(127, block, number, 0)),
            unseen: BTreeSet::new(),
        });
        Self { block, ingress_port, clusters: clusters.collect(), services: shape.services.clone() }
    }

    /// The Envoys that gateways and servers have, by names such as `gke1/echo2`, with their admin
    /// interfaces. Those of clients are no others' business.
    pub fn envoys(&self) -> impl Iterator<Item = (String, SocketAddrV4)> {
        self.clusters.iter().flat_map(|cluster| {
            let others = cluster.pods.iter().filter(|pod| pod.has_envoy());
            let others = others.filter(|pod| pod.role != Role::Client);
            others.map(|pod| (format!("{}/{}", cluster.name, pod.label), pod.envoy_admin()))
        })
    }

    /// The cluster of this name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// Gives a service so many pods in a cluster, at most [`MAX_REPLICAS`]; the labels of the
    /// pods that are new, and of those that are gone. New ones are not ready.
    pub(crate) fn scale(&mut self, cluster: usize, service: usize, to: u8) -> Scaled {
        let services = &self.services;
        let home = &mut self.clusters[cluster];
        let subnet = home.pods[0].address.octets();
        let subnet = Ipv4Addr::new(subnet[0], subnet[1], subnet[2], 0);
        let labels = |n: u8| replica_label(&services[service], n);
        let mut scaled = Scaled::default();
        for replica in 1..=MAX_REPLICAS {
            let label = labels(replica);
            let place = home.pods.iter().position(|pod| pod.label == label);
            match place {
                None if replica <= to => {
                    let mut pod =
                        replica_pod(&home.name, &home.locality, services, service, replica, subnet);
                    pod.ready = false;
                    home.pods.push(pod);
                    scaled.new.push(label);
                }
                Some(place) if replica > to => {
                    scaled.gone.push(home.pods.remove(place));
                }
                _ => {}
            }
        }
        scaled
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
    let at = |host: u8| Ipv4Addr::from(u32::from(subnet) + u32::from(host));
    let single = |label: &str, namespace: &str, account: &str, host, role| Pod {
        label: label.into(),
        name: format!("{label}-{}", cluster.name),
        namespace: namespace.into(),
        account: account.into(),
        address: at(host),
        role,
        locality: cluster.locality.clone(),
        ready: true,
        fault: None,
    };
    let mut pods = vec![
        single("ingressgateway", "istio-system", "istio-ingressgateway", 2, Role::IngressGateway),
        single(
            "eastwestgateway",
            "istio-system",
            "istio-eastwestgateway",
            3,
            Role::EastWestGateway,
        ),
    ];
    for index in 0..services.len() {
        let replicas = cluster.replicas.get(index).copied().unwrap_or(0).min(MAX_REPLICAS);
        for replica in 1..=replicas {
            let (name, locality) = (&cluster.name, &cluster.locality);
            pods.push(replica_pod(name, locality, services, index, replica, subnet));
        }
    }
    pods.push(single("client", "istio-enabled", "client", 22, Role::Client));
    pods
}

/// `echo2`, and `echo2-2` for the second one.
fn replica_label(service: &Service, replica: u8) -> String {
    match replica {
        1 => service.name.clone(),
        _ => format!("{}-{replica}", service.name),
    }
}

/// Pod number `replica`, from 1, of the service with this index.
fn replica_pod(
    cluster: &str,
    locality: &Locality,
    services: &[Service],
    index: usize,
    replica: u8,
    subnet: Ipv4Addr,
) -> Pod {
    let at = |host: u8| Ipv4Addr::from(u32::from(subnet) + u32::from(host));
    let service = &services[index];
    // Services take turns: echo1 has .11, .13, …, echo2 has .12, .14, …
    let offset = index + services.len() * (usize::from(replica) - 1);
    let host = 11 + u8::try_from(offset).unwrap_or(u8::MAX - 11);
    let behind_sidecar = service.sidecar.then(|| at(host + 100));
    Pod {
        label: replica_label(service, replica),
        name: format!("{}-{cluster}-{replica}", service.name),
        namespace: service.namespace.clone(),
        account: service.account.clone(),
        address: at(host),
        role: Role::Echo { service: index, behind_sidecar },
        locality: locality.clone(),
        ready: true,
        fault: None,
    }
}

#[cfg(test)]
mod tests;
