//! Which clusters, pods and services the mesh has, and at which addresses.
//! Pure values: the only module that knows an address. Starts nothing.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::names::Service;
use super::policy::Fault;
use super::ports::{EAST_WEST_PORT, ENVOY_ADMIN_PORT, SERVICE_PORT};

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
    /// Networks of an isolated mesh that are cut off from each other, in order of name.
    pub cuts: BTreeSet<(String, String)>,
}

/// One cluster. Other networks reach it only by gateways; clusters of one network reach each
/// other's pods directly.
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

impl Topology {
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

    /// How pods of `home` reach those of `other`: as istiod says, directly in one network, and
    /// where the other network has no gateway at all; by the gateways of the other cluster
    /// otherwise, or if it has none by those of its network that `home` knows.
    pub(crate) fn way<'a>(&'a self, home: &Cluster, other: &'a Cluster) -> Way<'a> {
        if other.network == home.network {
            return Way::Direct;
        }
        let own: Vec<_> = other.east_west_gateways().collect();
        let gateways = match own.is_empty() {
            false => own,
            true => {
                let seen = self.seen_by(home).filter(|cluster| cluster.network == other.network);
                seen.flat_map(Cluster::east_west_gateways).collect()
            }
        };
        match gateways.is_empty() {
            true => Way::Direct,
            false => Way::Gateways(gateways.into_iter().filter(|pod| pod.ready).collect()),
        }
    }

    /// The clusters whose pods the istiod of `home` knows, `home` among them.
    pub(crate) fn seen_by<'a>(&'a self, home: &Cluster) -> impl Iterator<Item = &'a Cluster> {
        let unseen = home.unseen.clone();
        self.clusters.iter().filter(move |cluster| !unseen.contains(&cluster.name))
    }

    /// The clusters that answer what an Envoy of `home` sends to the service with this index:
    /// those with pods of it that can be reached. Gateways pass nothing but mTLS on.
    #[must_use]
    pub fn answering(&self, home: &Cluster, service: usize) -> Vec<&Cluster> {
        let sidecar = self.services.get(service).is_some_and(|service| service.sidecar);
        self.seen_by(home)
            .filter(|other| other.echoes(service).next().is_some())
            .filter(|other| match self.way(home, other) {
                Way::Direct => true,
                Way::Gateways(gateways) => sidecar && !gateways.is_empty(),
            })
            .collect()
    }
}

/// How the pods of one cluster reach those of another.
#[derive(Debug)]
pub(crate) enum Way<'a> {
    /// At their own addresses.
    Direct,
    /// At these gateways, all of which are ready.
    Gateways(Vec<&'a Pod>),
}
