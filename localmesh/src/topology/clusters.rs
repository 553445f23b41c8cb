//! The clusters and pods of a mesh, and what can be reached from where. Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::names::Service;
use super::policy::Fault;
use super::ports::{EAST_WEST_PORT, ENVOY_ADMIN_PORT, SERVICE_PORT};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The second byte of every address.
    pub block: u8,
    /// The port that the ingress gateways listen on.
    pub ingress_port: u16,
    /// In the order of output.
    pub clusters: Vec<Cluster>,
    /// The services; each has pods in every cluster that [`Shape`] gives it.
    pub services: Vec<Service>,
    /// The pairs of networks of an isolated mesh that are cut off from each other, in order of
    /// name.
    pub cuts: BTreeSet<(String, String)>,
}

/// One cluster. Other networks reach it only through gateways; clusters of one network reach
/// each other's pods directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Istio's `clusterName`.
    pub name: String,
    /// Istio's `topology.istio.io/network`.
    pub network: String,
    pub locality: Locality,
    /// The public name of its ingress gateways.
    pub host: String,
    /// Gateways first.
    pub pods: Vec<Pod>,
    /// The clusters whose remote secret its istiod lacks, so that it knows none of their pods.
    pub unseen: BTreeSet<String>,
    pub outbound_traffic: OutboundTraffic,
    /// The services whose DestinationRule does not exist in this cluster.
    pub without_rule: BTreeSet<String>,
}

/// What sidecars do with requests to hosts that are not services of the mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutboundTraffic {
    /// Pass them on to their address: Istio's default
    #[default]
    AllowAny,
    /// Refuse them with 502
    RegistryOnly,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locality {
    pub region: String,
    pub zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Unique in its cluster: `echo2`, then `echo2-2`.
    pub label: String,
    /// The value of `POD_NAME`, unique in the mesh.
    pub name: String,
    pub namespace: String,
    /// The service account in its certificate.
    pub account: String,
    pub address: Ipv4Addr,
    pub role: Role,
    pub locality: Locality,
    /// A pod that is not ready is not an endpoint.
    pub ready: bool,
    /// The fault of its application.
    pub fault: Option<Fault>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes requests from outside the mesh.
    IngressGateway,
    /// Passes mTLS from other networks through, by server name.
    EastWestGateway,
    /// Runs an echo of the service with this index in [`Topology::services`].
    Echo {
        service: usize,
        /// The address of the application behind its sidecar; `None` without a sidecar.
        behind_sidecar: Option<Ipv4Addr>,
    },
    /// A sidecar without an application, through which clients send requests. Its listener
    /// replaces the services' addresses.
    Client,
}

impl Pod {
    #[must_use]
    pub fn has_envoy(&self) -> bool {
        !matches!(self.role, Role::Echo { behind_sidecar: None, .. })
    }

    /// The address that takes requests.
    #[must_use]
    pub fn listens(&self, ingress_port: u16) -> SocketAddrV4 {
        let port = match self.role {
            Role::IngressGateway => ingress_port,
            Role::EastWestGateway => EAST_WEST_PORT,
            Role::Echo { .. } | Role::Client => SERVICE_PORT,
        };
        SocketAddrV4::new(self.address, port)
    }

    /// The address of its application, if it has one.
    #[must_use]
    pub fn app(&self) -> Option<Ipv4Addr> {
        match self.role {
            Role::Echo { behind_sidecar, .. } => Some(behind_sidecar.unwrap_or(self.address)),
            _ => None,
        }
    }

    /// The address of Envoy's admin interface.
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

    pub fn ingress_gateways(&self) -> impl Iterator<Item = &Pod> {
        self.with_role(|role| *role == Role::IngressGateway)
    }

    pub fn east_west_gateways(&self) -> impl Iterator<Item = &Pod> {
        self.with_role(|role| *role == Role::EastWestGateway)
    }

    pub fn clients(&self) -> impl Iterator<Item = &Pod> {
        self.with_role(|role| *role == Role::Client)
    }
}

impl Topology {
    /// The Envoys of gateways and servers, with names such as `gke1/echo2` and their admin
    /// addresses. Client sidecars are left out.
    pub fn envoys(&self) -> impl Iterator<Item = (String, SocketAddrV4)> {
        self.clusters.iter().flat_map(|cluster| {
            let others = cluster.pods.iter().filter(|pod| pod.has_envoy());
            let others = others.filter(|pod| pod.role != Role::Client);
            others.map(|pod| (format!("{}/{}", cluster.name, pod.label), pod.envoy_admin()))
        })
    }

    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The mesh as the istiod of `home` configures it: it reads the DestinationRules of its own
    /// cluster.
    pub(crate) fn configured_by(&self, home: &Cluster) -> Cow<'_, Self> {
        if home.without_rule.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut topology = self.clone();
        let services = topology.services.iter_mut();
        for service in services.filter(|service| home.without_rule.contains(&service.name)) {
            service.policy = service.policy.of_virtual_service();
        }
        Cow::Owned(topology)
    }

    /// The whole service, then its subsets, if it has any: one for each cluster of the mesh.
    pub(crate) fn parts<'a>(&'a self, of: &Service) -> impl Iterator<Item = Option<&'a str>> {
        let subsets = if of.policy.subsets { self.clusters.as_slice() } else { &[] };
        std::iter::once(None).chain(subsets.iter().map(|cluster| Some(cluster.name.as_str())))
    }

    /// How pods of `home` reach those of `other`, as istiod decides: directly in the same
    /// network, or if the other network has no gateway; otherwise through the gateways of the
    /// other cluster or, if it has none, those of its network that `home` knows.
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

    /// The clusters whose pods the istiod of `home` knows, including `home`.
    pub(crate) fn seen_by<'a>(&'a self, home: &Cluster) -> impl Iterator<Item = &'a Cluster> {
        let unseen = home.unseen.clone();
        self.clusters.iter().filter(move |cluster| !unseen.contains(&cluster.name))
    }

    /// The clusters that answer requests from an Envoy of `home` to the service with this index:
    /// those with reachable pods of it. Gateways pass only mTLS through.
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
    Direct,
    /// Ready gateways only.
    Gateways(Vec<&'a Pod>),
}
