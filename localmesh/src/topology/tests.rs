//! The plan of addresses and names.

use std::collections::HashSet;

use std::net::Ipv4Addr;

use super::*;

fn all_addresses(topology: &Topology) -> Vec<Ipv4Addr> {
    let pods = topology.clusters.iter().flat_map(|cluster| &cluster.pods);
    pods.flat_map(|pod| [Some(pod.address), pod.app().filter(|app| *app != pod.address)])
        .flatten()
        .collect()
}

#[test]
fn the_default_mesh_has_the_documented_addresses() {
    let topology = Topology::new(&Shape::two_clusters(), DEFAULT_BLOCK, INGRESS_PORT);
    let shown: Vec<_> = topology
        .clusters
        .iter()
        .flat_map(|cluster| cluster.pods.iter().map(move |pod| (cluster, pod)))
        .map(|(cluster, pod)| {
            format!("{}/{} {}", cluster.name, pod.label, pod.listens(topology.ingress_port))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "kops/ingressgateway 127.10.1.2:80",
            "kops/eastwestgateway 127.10.1.3:15443",
            "kops/echo1 127.10.1.11:8080",
            "kops/echo2 127.10.1.12:8080",
            "kops/client 127.10.1.22:8080",
            "gke1/ingressgateway 127.10.2.2:80",
            "gke1/eastwestgateway 127.10.2.3:15443",
            "gke1/echo1 127.10.2.11:8080",
            "gke1/echo2 127.10.2.12:8080",
            "gke1/client 127.10.2.22:8080",
        ]
    );
    let echo2 = topology.clusters[0].echoes(1).next().unwrap();
    assert_eq!(echo2.app(), Some(Ipv4Addr::new(127, 10, 1, 112)));
    assert_eq!(echo2.name, "echo2-kops-1");
}

#[test]
fn three_clusters_of_many_pods_share_no_address_and_no_name() {
    let mut shape = Shape::two_clusters();
    let mut third = shape.clusters[0].clone();
    third.name = "eks1".into();
    third.subnet = 3;
    shape.clusters.push(third);
    for cluster in &mut shape.clusters {
        cluster.replicas = vec![MAX_REPLICAS, MAX_REPLICAS];
    }
    let topology = Topology::new(&shape, 42, INGRESS_PORT);
    let addresses = all_addresses(&topology);
    assert_eq!(addresses.len(), 3 * (3 + 5 + 2 * 5));
    assert_eq!(addresses.iter().collect::<HashSet<_>>().len(), addresses.len());
    assert!(addresses.iter().all(|a| a.octets()[..2] == [127, 42]));
    let names: HashSet<_> =
        topology.clusters.iter().flat_map(|c| &c.pods).map(|p| p.name.as_str()).collect();
    assert_eq!(names.len(), 3 * 13);
}

#[test]
fn a_services_names_are_istios() {
    let echo2 = &Shape::two_clusters().services[1];
    assert_eq!(echo2.outbound(None), "outbound|8080||echo2.istio-enabled.svc.cluster.local");
    assert_eq!(echo2.sni(None), "outbound_.8080_._.echo2.istio-enabled.svc.cluster.local");
    let subset = "outbound_.8080_.gke1_.echo2.istio-enabled.svc.cluster.local";
    assert_eq!(echo2.sni(Some("gke1")), subset);
    assert_eq!(echo2.spiffe(), "spiffe://cluster.local/ns/istio-enabled/sa/echo2");
}
