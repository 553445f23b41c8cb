//! The clusters, pods and services of the mesh, and their addresses. Pure. No other room
//! chooses an address.

mod clusters;
pub mod file;
mod names;
mod networks;
mod plan;
mod policy;
mod ports;

pub(crate) use clusters::Way;
pub use clusters::{Cluster, Locality, OutboundTraffic, Pod, Role, Topology};
pub use names::{Mtls, Service, TRUST_DOMAIN};
pub(crate) use networks::Network;
pub use plan::{
    ClusterShape, DEFAULT_BLOCK, MAX_CLUSTERS, MAX_GATEWAYS, MAX_REPLICAS, MAX_SERVICES, Shape,
};
pub use policy::{
    Balancer, Destination, Fault, HashKey, Limits, LocalityLb, Mirror, Outlier, Policy, RingHash,
};
pub use ports::{
    EAST_WEST_PORT, ECHO_ADMIN_PORT, ENVOY_ADMIN_PORT, INGRESS_PORT, SERVICE_PORT,
    UNPRIVILEGED_INGRESS_PORT,
};

#[cfg(test)]
mod tests;
