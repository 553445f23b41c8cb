//! The networks of an isolated mesh: their addresses, what others can reach, and the links
//! between them. Pure.

use std::net::Ipv4Addr;

use super::clusters::Topology;
use super::plan::{self, NETWORK_ADDRESS};

/// A network: the clusters that share it, and its link to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) name: String,
    /// The /24 subnets of its clusters.
    pub(crate) subnets: Vec<Ipv4Addr>,
    /// Other networks reach only these addresses.
    pub(crate) gateways: Vec<Ipv4Addr>,
    /// The source address of its requests to other networks.
    pub(crate) egress: Ipv4Addr,
    /// The end of its link between the networks.
    pub(crate) far: Ipv4Addr,
    /// The end of its link in the network.
    pub(crate) near: Ipv4Addr,
}

impl Network {
    pub(crate) fn holds(&self, address: Ipv4Addr) -> bool {
        self.subnets.contains(&plan::subnet_of(address))
    }
}

impl Topology {
    /// In the order of their first clusters.
    pub(crate) fn networks(&self) -> Vec<Network> {
        let mut networks: Vec<Network> = Vec::new();
        for cluster in &self.clusters {
            let Some(pod) = cluster.pods.first() else { continue };
            let subnet = plan::subnet_of(pod.address);
            let gateways = cluster.ingress_gateways().chain(cluster.east_west_gateways());
            let gateways: Vec<_> = gateways.map(|pod| pod.address).collect();
            match networks.iter_mut().find(|network| network.name == cluster.network) {
                Some(network) => {
                    network.subnets.push(subnet);
                    network.gateways.extend(gateways);
                }
                None => {
                    let (far, near) = plan::link(subnet, networks.len());
                    networks.push(Network {
                        name: cluster.network.clone(),
                        subnets: vec![subnet],
                        gateways,
                        egress: plan::at(subnet, NETWORK_ADDRESS),
                        far,
                        near,
                    });
                }
            }
        }
        networks
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Shape;
    use super::super::ports::INGRESS_PORT;
    use super::*;

    #[test]
    fn a_network_has_the_subnets_of_its_clusters_and_exposes_gateways_only() {
        let mut shape = Shape::two_clusters();
        let mut third = shape.clusters[0].clone();
        (third.name, third.subnet) = ("eks1".into(), 3);
        shape.clusters.push(third);
        let topology = Topology::isolated(&shape, 7, INGRESS_PORT);
        let networks = topology.networks();
        let shown: Vec<_> = networks
            .iter()
            .map(|n| format!("{} {:?} {:?} {}", n.name, n.subnets, n.gateways, n.egress))
            .collect();
        assert_eq!(
            shown,
            [
                "network1 [10.7.1.0, 10.7.3.0] [10.7.1.2, 10.7.1.3, 10.7.3.2, 10.7.3.3] 10.7.1.1",
                "network2 [10.7.2.0] [10.7.2.2, 10.7.2.3] 10.7.2.1",
            ]
        );
        assert_eq!(
            (networks[1].far, networks[1].near),
            ("10.7.251.2".parse().unwrap(), "10.7.251.3".parse().unwrap())
        );
        for pod in topology.clusters.iter().flat_map(|cluster| &cluster.pods) {
            assert_eq!(networks.iter().filter(|n| n.holds(pod.address)).count(), 1);
            assert!(networks.iter().all(|n| pod.address != n.egress && pod.address != n.near));
        }
    }

    #[test]
    fn as_many_networks_as_clusters_have_links_of_their_own() {
        let ends: std::collections::HashSet<_> = (0..usize::from(plan::MAX_CLUSTERS))
            .flat_map(|n| <[_; 2]>::from(plan::link(Ipv4Addr::new(10, 7, 1, 0), n)))
            .collect();
        assert_eq!(ends.len(), 2 * usize::from(plan::MAX_CLUSTERS));
        assert!(ends.iter().all(|end| end.octets()[2] > plan::MAX_CLUSTERS));
    }
}
