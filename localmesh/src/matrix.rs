//! The matrix file: what `prober matrix` shall ask of this mesh, and what must
//! hold. Pure: returns text.

use std::fmt::Write as _;

use crate::topology::{Cluster, INGRESS_PORT, SERVICE_PORT, Service, Topology};

/// The file's text, YAML.
#[must_use]
pub fn matrix(topology: &Topology) -> String {
    let names: Vec<_> = topology.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let mut text = String::from(
        "# Written by localmesh for `prober matrix`: who must answer, asked from everywhere.\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "clusters: [{}]", names.join(", "));
    text.push_str("defaults: {requests: 100, min-share: 10%, show: 4}\nsources:\n");
    for cluster in &topology.clusters {
        for service in &topology.services {
            text.push_str(&source(cluster, service, topology));
        }
    }
    text.push_str("envoys:\n");
    for (name, admin) in topology.envoys() {
        let _ = writeln!(text, "  {name}: http://{admin}");
    }
    text.push_str("targets:\n");
    for cluster in &topology.clusters {
        for service in &topology.services {
            let _ = writeln!(
                text,
                "  - {{from: \"{}\", url: \"{}:{SERVICE_PORT}\", expect: {}}}",
                source_name(cluster, service),
                service.name,
                expectations(cluster, service, topology)
            );
        }
        for service in &topology.services {
            let _ = writeln!(
                text,
                "  - {{url: \"{}/{}\", {}, expect: {}}}",
                cluster.host,
                service.name,
                entrance(cluster, topology),
                expectations(cluster, service, topology)
            );
        }
    }
    text
}

/// A flag of curl and prober that leads a cluster's public name to its ingress
/// gateway: name without dashes, and value. A gateway on another port than 80
/// takes `connect-to`, so that the URL stays as people write it.
#[must_use]
pub fn way_in(cluster: &Cluster, topology: &Topology) -> Option<(&'static str, String)> {
    let gateway = cluster.ingress_gateways().next()?;
    let to = gateway.address;
    let name = format!("{}:{INGRESS_PORT}:{to}", cluster.host);
    Some(match topology.ingress_port {
        INGRESS_PORT => ("resolve", name),
        port => ("connect-to", format!("{name}:{port}")),
    })
}

fn entrance(cluster: &Cluster, topology: &Topology) -> String {
    let way = way_in(cluster, topology)
        .map(|(flag, value)| format!("{}: [\"{value}\"]", flag.replace('-', "_")))
        .unwrap_or_default();
    // The Envoy that chooses for those outside.
    let envoy = cluster.ingress_gateways().next();
    let envoy = envoy.map(|pod| format!(", envoy-admin: \"http://{}\"", pod.envoy_admin()));
    way + &envoy.unwrap_or_default()
}

/// `kops:istio-enabled`: a pod of this cluster in the service's namespace.
fn source_name(cluster: &Cluster, service: &Service) -> String {
    format!("{}:{}", cluster.name, service.namespace)
}

/// A client without sidecar resolves a service to its pods; one with a sidecar
/// reaches the service's address, where here the sidecar listens.
fn source(cluster: &Cluster, service: &Service, topology: &Topology) -> String {
    let index = topology.services.iter().position(|other| other == service);
    let pods = || cluster.echoes(index.unwrap_or_default()).map(|pod| pod.address.to_string());
    let clients = || cluster.clients().map(|pod| pod.address.to_string());
    let to: Vec<_> = if service.sidecar { clients().collect() } else { pods().collect() };
    // What chooses for a client with a sidecar.
    let envoy = cluster.clients().next().filter(|_| service.sidecar);
    let envoy = envoy.map(|pod| format!(", envoy-admin: \"http://{}\"", pod.envoy_admin()));
    format!(
        "  - {{name: \"{}\", cluster: {}, here: true, resolve: [\"{}:{SERVICE_PORT}:{}\"]{}}}\n",
        source_name(cluster, service),
        cluster.name,
        service.name,
        to.join(","),
        envoy.unwrap_or_default()
    )
}

/// Services with sidecars are shared by all clusters; the others stay at home.
fn expectations(cluster: &Cluster, service: &Service, topology: &Topology) -> String {
    let all: Vec<_> = topology.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let answering = if service.sidecar { all.join(",") } else { cluster.name.clone() };
    format!("[\"errors = 0\", \"exactly {answering}\"]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{DEFAULT_BLOCK, Shape, UNPRIVILEGED_INGRESS_PORT};

    fn two_clusters(port: u16) -> Topology {
        Topology::new(&Shape::two_clusters(), DEFAULT_BLOCK, port)
    }

    #[test]
    fn the_eight_sections_come_in_order_with_what_must_hold() {
        let text = matrix(&two_clusters(INGRESS_PORT));
        let (sources, targets) = text.split_once("targets:\n").unwrap();
        assert!(sources.ends_with(
            r#"clusters: [kops, gke1]
defaults: {requests: 100, min-share: 10%, show: 4}
sources:
  - {name: "kops:istio-disabled", cluster: kops, here: true, resolve: ["echo1:8080:127.10.1.11"]}
  - {name: "kops:istio-enabled", cluster: kops, here: true, resolve: ["echo2:8080:127.10.1.22"], envoy-admin: "http://127.10.1.22:15000"}
  - {name: "gke1:istio-disabled", cluster: gke1, here: true, resolve: ["echo1:8080:127.10.2.11"]}
  - {name: "gke1:istio-enabled", cluster: gke1, here: true, resolve: ["echo2:8080:127.10.2.22"], envoy-admin: "http://127.10.2.22:15000"}
envoys:
  kops/ingressgateway: http://127.10.1.2:15000
  kops/eastwestgateway: http://127.10.1.3:15000
  kops/echo2: http://127.10.1.12:15000
  gke1/ingressgateway: http://127.10.2.2:15000
  gke1/eastwestgateway: http://127.10.2.3:15000
  gke1/echo2: http://127.10.2.12:15000
"#
        ));
        assert_eq!(
            targets,
            r#"  - {from: "kops:istio-disabled", url: "echo1:8080", expect: ["errors = 0", "exactly kops"]}
  - {from: "kops:istio-enabled", url: "echo2:8080", expect: ["errors = 0", "exactly kops,gke1"]}
  - {url: "istio1.xiaowenx.com/echo1", resolve: ["istio1.xiaowenx.com:80:127.10.1.2"], envoy-admin: "http://127.10.1.2:15000", expect: ["errors = 0", "exactly kops"]}
  - {url: "istio1.xiaowenx.com/echo2", resolve: ["istio1.xiaowenx.com:80:127.10.1.2"], envoy-admin: "http://127.10.1.2:15000", expect: ["errors = 0", "exactly kops,gke1"]}
  - {from: "gke1:istio-disabled", url: "echo1:8080", expect: ["errors = 0", "exactly gke1"]}
  - {from: "gke1:istio-enabled", url: "echo2:8080", expect: ["errors = 0", "exactly kops,gke1"]}
  - {url: "istio2.xiaowenx.com/echo1", resolve: ["istio2.xiaowenx.com:80:127.10.2.2"], envoy-admin: "http://127.10.2.2:15000", expect: ["errors = 0", "exactly gke1"]}
  - {url: "istio2.xiaowenx.com/echo2", resolve: ["istio2.xiaowenx.com:80:127.10.2.2"], envoy-admin: "http://127.10.2.2:15000", expect: ["errors = 0", "exactly kops,gke1"]}
"#
        );
    }

    #[test]
    fn another_port_keeps_the_url_and_changes_the_connection() {
        let text = matrix(&two_clusters(UNPRIVILEGED_INGRESS_PORT));
        assert!(text.contains(
            r#"{url: "istio1.xiaowenx.com/echo2", connect_to: ["istio1.xiaowenx.com:80:127.10.1.2:8080"], "#
        ));
    }
}
