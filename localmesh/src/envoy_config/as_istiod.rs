//! Compares the configuration of each kind of Envoy, field by field, with what a real istiod
//! wrote for it (`localmesh/istiod/`). Every difference is in the list of `allowed`, with its
//! reason, and every entry of that list still allows a difference.

mod allowed;
mod flat;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::topology::{
    Balancer, DEFAULT_BLOCK, Locality, LocalityLb, Mtls, Outlier, Service, Shape,
};
use allowed::ALLOWED;
use flat::flat;

/// The port of the ingress gateway in istiod's configuration: the target port of its Service.
const GATEWAY_PORT: u16 = 8080;

/// A file of istiod's, and the Envoy of localmesh with the same role and settings.
struct Pair {
    file: &'static str,
    cluster: &'static str,
    pod: &'static str,
    settings: fn(&mut Service),
}

const PAIRS: [Pair; 8] = [
    Pair { file: "client-sidecar", cluster: "kops", pod: "client", settings: |_| {} },
    Pair {
        file: "client-sidecar-outlier-detection",
        cluster: "kops",
        pod: "client",
        settings: |echo2| echo2.policy.outlier = Some(ejecting()),
    },
    Pair {
        file: "client-sidecar-distribute",
        cluster: "kops",
        pod: "client",
        settings: |echo2| {
            let shares = vec![("kops".into(), 80), ("gke1".into(), 20)];
            echo2.policy.outlier = Some(ejecting());
            echo2.policy.balancer = Balancer::RoundRobin;
            echo2.policy.locality = LocalityLb::Distribute(shares);
            echo2.policy.subsets = true;
        },
    },
    Pair { file: "server-sidecar", cluster: "kops", pod: "echo2", settings: |_| {} },
    Pair {
        file: "server-sidecar-strict",
        cluster: "kops",
        pod: "echo2",
        settings: |echo2| echo2.mtls = Mtls::Strict,
    },
    Pair { file: "east-west-gateway", cluster: "kops", pod: "eastwestgateway", settings: |_| {} },
    Pair {
        file: "east-west-gateway-with-subsets",
        cluster: "gke1",
        pod: "eastwestgateway",
        settings: |echo2| echo2.policy.subsets = true,
    },
    Pair { file: "ingress-gateway", cluster: "kops", pod: "ingressgateway", settings: |_| {} },
];

fn ejecting() -> Outlier {
    Outlier {
        consecutive: 3,
        interval: Duration::from_secs(5),
        ejection_time: Duration::from_secs(30),
        max_percent: 100,
        ..Outlier::default()
    }
}

/// The mesh that istiod configured: two pods of each service in each cluster.
fn mesh(settings: fn(&mut Service)) -> Topology {
    let mut shape = Shape::two_clusters();
    for (cluster, region) in shape.clusters.iter_mut().zip(["us-west1", "us-central1"]) {
        cluster.locality = Locality { region: region.into(), zone: format!("{region}-a") };
        cluster.replicas = vec![2, 2];
    }
    let mut topology = Topology::new(&shape, DEFAULT_BLOCK, GATEWAY_PORT);
    settings(&mut topology.services[1]);
    topology
}

/// What istiod wrote: lists of clusters, endpoints, listeners and routes.
fn told_by_istiod(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("istiod/{file}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut told = serde_json::from_str(&text).unwrap();
    let mut tables = Vec::new();
    lift_routes(&mut told, &mut tables);
    if !tables.is_empty() {
        told["routes"] = tables.into();
    }
    told
}

/// Moves route tables that are inside a listener to the others: localmesh has them in a file.
fn lift_routes(value: &mut Value, tables: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            if let Some(mut table) = fields.remove("route_config") {
                let source =
                    json!({ "route_config_name": table["name"], "config_source": { "ads": {} } });
                fields.insert("rds".into(), source);
                table["@type"] =
                    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration".into();
                if !tables.contains(&table) {
                    tables.push(table);
                }
            }
            fields.values_mut().for_each(|field| lift_routes(field, tables));
        }
        Value::Array(list) => list.iter_mut().for_each(|item| lift_routes(item, tables)),
        _ => {}
    }
}

/// The same lists of localmesh. Only those that `istiod` has, and of these only the services
/// that it has: some files have only what a DestinationRule changes.
fn told_by_localmesh(pair: &Pair, istiod: &Value) -> Value {
    let topology = mesh(pair.settings);
    let home = topology.cluster(pair.cluster).unwrap();
    let pod = home.pods.iter().find(|pod| pod.label == pair.pod).unwrap();
    let fixed = bootstrap(&topology, home, pod, Path::new("")).unwrap();
    let fixed = &fixed["static_resources"];
    let mut told = json!({});
    for file in dynamic(&topology, home, pod, Path::new("")) {
        let list = match file.name.as_str() {
            LISTENERS => "listeners",
            CLUSTERS => "clusters",
            ROUTES => "routes",
            _ => "endpoints",
        };
        let more = file.content["resources"].as_array().unwrap().clone();
        match told[list].as_array_mut() {
            Some(all) => all.extend(more),
            None => told[list] = more.into(),
        }
    }
    for (list, message) in
        [("listeners", "listener.v3.Listener"), ("clusters", "cluster.v3.Cluster")]
    {
        for one in fixed[list].as_array().into_iter().flatten() {
            let one = typed(&format!("envoy.config.{message}"), one.clone());
            match told[list].as_array_mut() {
                Some(all) => all.push(one),
                None => told[list] = json!([one]),
            }
        }
    }
    let lists = told.as_object_mut().unwrap();
    lists.retain(|list, _| istiod.get(list).is_some());
    if istiod.get("listeners").is_none() {
        for list in lists.values_mut().filter_map(Value::as_array_mut) {
            list.retain(|one| one.to_string().contains("echo2"));
        }
    }
    told
}

/// One line per field that differs, such as `client-sidecar: clusters/…: istiod 0, localmesh –`.
fn differences(pair: &Pair) -> Vec<String> {
    let istiod = told_by_istiod(pair.file);
    let localmesh = flat(&told_by_localmesh(pair, &istiod));
    let istiod = flat(&istiod);
    let paths: BTreeSet<_> = istiod.keys().chain(localmesh.keys()).collect();
    let shown = |all: &BTreeMap<String, Value>, path: &str| {
        all.get(path).map_or_else(|| "–".to_owned(), Value::to_string)
    };
    let differing = paths.into_iter().filter(|path| istiod.get(*path) != localmesh.get(*path));
    differing
        .map(|path| {
            let (theirs, ours) = (shown(&istiod, path), shown(&localmesh, path));
            format!("{}: {path}: istiod {theirs}, localmesh {ours}", pair.file)
        })
        .collect()
}

#[test]
fn every_difference_from_istiod_is_known() {
    let found: Vec<_> = PAIRS.iter().flat_map(differences).collect();
    let known = |line: &&String| ALLOWED.iter().any(|(part, _)| line.contains(part));
    let unknown: Vec<_> = found.iter().filter(|line| !known(line)).map(String::as_str).collect();
    assert!(unknown.is_empty(), "localmesh does not do as istiod:\n{}", unknown.join("\n"));
    for (part, reason) in ALLOWED {
        let used = found.iter().any(|line| line.contains(part));
        assert!(used, "nothing differs in '{part}' ({reason}); remove it from the list");
    }
}

#[test]
fn a_changed_field_is_a_difference() {
    let before = differences(&PAIRS[0]).len();
    let changed = Pair { settings: |echo2| echo2.policy.retries = 3, ..PAIRS[0] };
    let lines = differences(&changed);
    assert_eq!(lines.len(), before + 1, "{lines:#?}");
    let line = lines.iter().find(|line| line.contains("num_retries")).unwrap();
    assert!(line.ends_with("istiod 2, localmesh 3"), "{line}");
}
