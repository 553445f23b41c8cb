//! The file for `prober matrix`: the requests to this mesh, and the expectations. Pure:
//! returns text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::topology::{Cluster, INGRESS_PORT, Pod, SERVICE_PORT, Topology};

/// The requests per row. With 100, in one row of a thousand the answers are by chance so
/// dependent that a share below 10 % cannot be ruled out. With 250, that is seven standard
/// deviations away.
const REQUESTS: usize = 250;

/// The source outside all clusters, if the networks are isolated.
pub(super) const INTERNET: &str = "internet";

/// The key of a source that probes from this machine.
const HERE: &str = "here: true";

/// A place from which an isolated mesh is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The command in front of prober.
    pub command: Vec<String>,
    /// The path of prober.
    pub prober: String,
}

impl Place {
    /// The keys of a source.
    fn keys(&self) -> String {
        let quote = |word: &String| serde_json::Value::from(word.as_str()).to_string();
        let command: Vec<_> = self.command.iter().map(quote).collect();
        format!("command: [{}], prober: {}", command.join(", "), quote(&self.prober))
    }
}

/// The YAML text. `places` belong to an isolated mesh, by cluster and [`INTERNET`].
#[must_use]
pub(super) fn matrix(topology: &Topology, places: Option<&BTreeMap<String, Place>>) -> String {
    let names: Vec<_> = topology.clusters.iter().map(|cluster| scalar(&cluster.name)).collect();
    let mut text = String::from(
        "# Written by localmesh for `prober matrix`: which clusters must answer, from every place.\n",
    );
    // Writing to a String cannot fail.
    let _ = writeln!(text, "clusters: [{}]", names.join(", "));
    let requests = requests(topology);
    // One request at a time takes one connection through a gateway, and that leads to one of the
    // clusters behind it.
    let all_at_once = if shares_network(topology) { ", min-time: 0" } else { "" };
    let _ =
        writeln!(text, "defaults: {{requests: {requests}, min-share: 10%, show: 4{all_at_once}}}");
    text.push_str("sources:\n");
    let place = |name: &str| places.map(|places| &places[name]);
    if let Some(internet) = place(INTERNET) {
        let _ = writeln!(text, "  - {{name: {INTERNET}, {}}}", internet.keys());
    }
    for cluster in &topology.clusters {
        let mut namespaces: Vec<&str> = Vec::new();
        for service in &topology.services {
            if !namespaces.contains(&service.namespace.as_str()) {
                namespaces.push(&service.namespace);
            }
        }
        for namespace in namespaces {
            text.push_str(&source(cluster, namespace, topology, place(&cluster.name)));
        }
    }
    // The admin interfaces of isolated networks cannot be reached from here.
    if places.is_none() {
        text.push_str("envoys:\n");
        for (name, admin) in topology.envoys() {
            let _ = writeln!(text, "  {name}: http://{admin}");
        }
    }
    text.push_str("targets:\n");
    for cluster in &topology.clusters {
        for row in rows(cluster, topology, places.is_some()) {
            let _ = writeln!(text, "  - {row}");
        }
    }
    text
}

/// The rows of one cluster: requests from inside, then from outside.
fn rows(cluster: &Cluster, topology: &Topology, isolated: bool) -> Vec<String> {
    let services = || topology.services.iter().enumerate();
    let inside = services().filter_map(|(index, service)| {
        resolved(cluster, index, topology)?;
        let answering = match service.sidecar {
            true => topology.answering(cluster, index),
            // Kubernetes resolves a service to pods of the same cluster only.
            false => vec![cluster],
        };
        Some(format!(
            "{{from: \"{}\", url: \"{}:{SERVICE_PORT}\", expect: {}}}",
            source_name(cluster, &service.namespace),
            service.name,
            expectations(&answering)?
        ))
    });
    let way = entrance(cluster, topology, isolated);
    let from = if isolated { format!("from: {INTERNET}, ") } else { String::new() };
    let outside = services().filter_map(|(index, service)| {
        Some(format!(
            "{{{from}url: \"{}/{}\", {}, expect: {}}}",
            cluster.host,
            service.name,
            way.as_ref()?,
            expectations(&topology.answering(cluster, index))?
        ))
    });
    inside.chain(outside).collect()
}

/// The number of requests per row: with it, the probability that all requests miss a cluster
/// that has one of the service's pods is below 1e-6.
fn requests(topology: &Topology) -> usize {
    let pods = |index| topology.clusters.iter().map(|c| c.echoes(index).count()).sum::<usize>();
    let most = (0..topology.services.len()).map(pods).max().unwrap_or(0).max(2);
    let needed = 1e-6_f64.ln() / (-1.0 / most as f64).ln_1p();
    // Small and not negative.
    REQUESTS * (needed / REQUESTS as f64).ceil() as usize
}

/// Whether several clusters are in one network, behind its gateways.
fn shares_network(topology: &Topology) -> bool {
    let mut networks: Vec<_> = topology.clusters.iter().map(|c| c.network.as_str()).collect();
    networks.sort_unstable();
    networks.windows(2).any(|pair| pair[0] == pair[1])
}

/// Flags of curl and prober that connect a cluster's public name to its ingress gateways:
/// names without dashes, and values. For a port other than 80, `connect-to` keeps the port
/// out of the URL.
#[must_use]
pub(super) fn way_in(cluster: &Cluster, topology: &Topology) -> Vec<(&'static str, String)> {
    let gateways: Vec<_> =
        cluster.ingress_gateways().map(|gateway| gateway.address.to_string()).collect();
    let (host, to, port) = (&cluster.host, gateways.join(","), topology.ingress_port);
    match (gateways.len(), port) {
        (0, _) => Vec::new(),
        (1, INGRESS_PORT) => vec![("resolve", format!("{host}:{INGRESS_PORT}:{to}"))],
        (1, _) => vec![("connect-to", format!("{host}:{INGRESS_PORT}:{to}:{port}"))],
        (_, INGRESS_PORT) => vec![
            ("resolve", format!("{host}:{INGRESS_PORT}:{to}")),
            ("select", "round-robin".to_owned()),
        ],
        _ => vec![
            ("connect-to", format!("{host}:{INGRESS_PORT}:{host}:{port}")),
            ("resolve", format!("{host}:{port}:{to}")),
            ("select", "round-robin".to_owned()),
        ],
    }
}

/// The flags of [`way_in`] as keys of a target; `None` without ingress gateways.
fn entrance(cluster: &Cluster, topology: &Topology, isolated: bool) -> Option<String> {
    let keys = way_in(cluster, topology).into_iter().map(|(flag, value)| match flag {
        "select" => format!("{flag}: {value}"),
        _ => format!("{flag}: [\"{value}\"]"),
    });
    // The Envoy that chooses endpoints for clients outside.
    let envoy = cluster.ingress_gateways().next().filter(|_| !isolated);
    let envoy = envoy.map(|pod| format!("envoy-admin: \"http://{}\"", pod.envoy_admin()));
    let keys: Vec<_> = keys.chain(envoy).collect();
    (!keys.is_empty()).then(|| keys.join(", "))
}

/// `kops:istio-enabled`: a pod of this cluster in this namespace.
fn source_name(cluster: &Cluster, namespace: &str) -> String {
    format!("{}:{namespace}", cluster.name)
}

/// A source; empty if it has no service to probe.
fn source(
    cluster: &Cluster,
    namespace: &str,
    topology: &Topology,
    place: Option<&Place>,
) -> String {
    let services = topology.services.iter().enumerate();
    let there = services.filter(|(_, service)| service.namespace == namespace);
    // The Envoy that chooses endpoints for a client with a sidecar.
    let sidecars = there.clone().all(|(_, service)| service.sidecar);
    let envoy = cluster.clients().next().filter(|_| sidecars && place.is_none());
    let envoy = envoy.map(|pod| format!(", envoy-admin: \"http://{}\"", pod.envoy_admin()));
    let resolved: Vec<_> = there
        .filter_map(|(index, _)| Some(format!("\"{}\"", resolved(cluster, index, topology)?)))
        .collect();
    if resolved.is_empty() {
        return String::new();
    }
    format!(
        "  - {{name: \"{}\", cluster: {}, {}, resolve: [{}]{}}}\n",
        source_name(cluster, namespace),
        scalar(&cluster.name),
        place.map_or_else(|| HERE.to_owned(), Place::keys),
        resolved.join(", "),
        envoy.unwrap_or_default()
    )
}

/// The addresses of a service: its pods for a client without a sidecar; for a client with
/// one, the address on which the sidecar listens in place of the service.
fn resolved(cluster: &Cluster, index: usize, topology: &Topology) -> Option<String> {
    let service = topology.services.get(index)?;
    let address = |pod: &Pod| pod.address.to_string();
    let to: Vec<_> = match service.sidecar {
        true => cluster.clients().map(address).collect(),
        false => cluster.echoes(index).map(address).collect(),
    };
    (!to.is_empty()).then(|| format!("{}:{SERVICE_PORT}:{}", service.name, to.join(",")))
}

/// Exactly these clusters answer; `None` if there are none.
fn expectations(answering: &[&Cluster]) -> Option<String> {
    let names: Vec<_> = answering.iter().map(|cluster| cluster.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("[\"errors = 0\", \"exactly {}\"]", names.join(",")))
}

/// A name for YAML, quoted if YAML could read it as anything but text.
fn scalar(name: &str) -> String {
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&name);
    match word || name.starts_with(|c: char| !c.is_ascii_alphabetic()) {
        true => format!("\"{name}\""),
        false => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::topology::{DEFAULT_BLOCK, Shape, UNPRIVILEGED_INGRESS_PORT, file};

    fn two_clusters(port: u16) -> Topology {
        Topology::new(&Shape::two_clusters(), DEFAULT_BLOCK, port)
    }

    #[test]
    fn the_eight_sections_come_in_order_with_what_must_hold() {
        let text = matrix(&two_clusters(INGRESS_PORT), None);
        let (sources, targets) = text.split_once("targets:\n").unwrap();
        assert!(sources.ends_with(
            r#"clusters: [kops, gke1]
defaults: {requests: 250, min-share: 10%, show: 4}
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

    fn of_file(name: &str, port: u16) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        matrix(&Topology::new(&file::parse(name, &text).unwrap(), DEFAULT_BLOCK, port), None)
    }

    #[test]
    fn an_isolated_mesh_is_asked_behind_commands() {
        let place = |path: &str| Place {
            command: vec!["nsenter".into(), format!("--net={path}")],
            prober: "/b in/prober".into(),
        };
        let places = [("kops", "/k"), ("gke1", "/g"), (INTERNET, "/i")];
        let places = places.map(|(name, path)| (name.to_owned(), place(path))).into();
        let topology = Topology::isolated(&Shape::two_clusters(), DEFAULT_BLOCK, INGRESS_PORT);
        let text = matrix(&topology, Some(&places));
        for line in [
            r#"  - {name: internet, command: ["nsenter", "--net=/i"], prober: "/b in/prober"}"#,
            r#"  - {name: "gke1:istio-enabled", cluster: gke1, command: ["nsenter", "--net=/g"], prober: "/b in/prober", resolve: ["echo2:8080:10.10.2.22"]}"#,
            r#"  - {from: internet, url: "istio1.xiaowenx.com/echo1", resolve: ["istio1.xiaowenx.com:80:10.10.1.2"], expect: ["errors = 0", "exactly kops"]}"#,
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is missing: {text}");
        }
        assert!(!text.contains("envoy"), "from here nothing of it can be read: {text}");
    }

    #[test]
    fn clusters_that_cannot_answer_are_not_expected() {
        let text = of_file("three-clusters.yaml", INGRESS_PORT);
        assert!(!text.contains("aks1:istio-disabled"), "no pod to resolve echo1 to: {text}");
        assert!(!text.contains("istio3.xiaowenx.com/echo1"), "nor one to route to: {text}");
        assert!(text.contains(r#"istio3.xiaowenx.com:80:127.10.3.2"], envoy-admin: "http://127.10.3.2:15000", expect: ["errors = 0", "exactly kops,gke1,aks1"]"#));
    }

    #[test]
    fn clusters_of_one_network_share_services_without_sidecars() {
        let text = of_file("shared-network.yaml", INGRESS_PORT);
        let row = |start: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(start));
            line.and_then(|line| line.split_once("expect: ")).expect(start).1.to_owned()
        };
        let both = r#"["errors = 0", "exactly kops,eks1"]}"#;
        assert_eq!(row(r#"- {url: "istio1.xiaowenx.com/echo1""#), both);
        assert_eq!(row(r#"- {from: "kops:istio-disabled""#), both.replace(",eks1", ""));
        assert_eq!(
            row(r#"- {url: "istio3.xiaowenx.com/echo1""#),
            both.replace("kops,eks1", "gke1")
        );
    }

    #[test]
    fn several_ingress_gateways_are_asked_by_turns() {
        let to = "istio1.xiaowenx.com";
        let text = of_file("two-gateways.yaml", INGRESS_PORT);
        let way = format!(r#"resolve: ["{to}:80:127.10.1.2,127.10.1.4"], select: round-robin"#);
        assert!(text.contains(&way), "{text}");
        let text = of_file("two-gateways.yaml", UNPRIVILEGED_INGRESS_PORT);
        let way = format!(
            r#"connect-to: ["{to}:80:{to}:8080"], resolve: ["{to}:8080:127.10.1.2,127.10.1.4"]"#
        );
        assert!(text.contains(&way), "{text}");
    }

    #[test]
    fn names_that_yaml_would_take_for_something_else_are_quoted() {
        assert_eq!(["on", "1", "gke1", "once"].map(scalar), ["\"on\"", "\"1\"", "gke1", "once"]);
    }

    #[test]
    fn many_pods_take_more_requests() {
        let mut shape = Shape::two_clusters();
        assert_eq!(requests(&Topology::new(&shape, DEFAULT_BLOCK, INGRESS_PORT)), 250);
        // Five clusters of five pods, the most that a cluster has: 25, of which each must show.
        for subnet in 3..=5 {
            let mut more = shape.clusters[0].clone();
            (more.name, more.subnet) = (format!("more{subnet}"), subnet);
            shape.clusters.push(more);
        }
        shape.clusters.iter_mut().for_each(|cluster| cluster.replicas = vec![1, 5]);
        assert_eq!(requests(&Topology::new(&shape, DEFAULT_BLOCK, INGRESS_PORT)), 500);
    }

    #[test]
    fn another_port_keeps_the_url_and_changes_the_connection() {
        let text = matrix(&two_clusters(UNPRIVILEGED_INGRESS_PORT), None);
        assert!(text.contains(
            r#"{url: "istio1.xiaowenx.com/echo2", connect-to: ["istio1.xiaowenx.com:80:127.10.1.2:8080"], "#
        ));
    }
}
