//! Golden files: what every kind of Envoy is told, in full. After an intended
//! change run the tests with `UPDATE_GOLDEN=1` and read the difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::topology::{DEFAULT_BLOCK, INGRESS_PORT, Mtls, Shape};

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn two_clusters() -> Topology {
    Topology::new(&Shape::two_clusters(), DEFAULT_BLOCK, INGRESS_PORT)
}

/// Every file of every Envoy, by a path such as `kops/client/envoy.json`.
fn all_files(topology: &Topology) -> BTreeMap<String, Value> {
    let mut files = BTreeMap::new();
    for cluster in &topology.clusters {
        for pod in &cluster.pods {
            let folder = format!("{}/{}", cluster.name, pod.label);
            let at = Path::new("/mesh").join(&folder);
            if let Some(config) = bootstrap(topology, cluster, pod, &at) {
                files.insert(format!("{folder}/envoy.json"), config);
            }
            for file in dynamic(topology, cluster, pod, &at) {
                files.insert(format!("{folder}/{}", file.name), file.content);
            }
        }
    }
    files
}

#[test]
fn envoys_are_told_what_the_golden_files_say() {
    let mut files = all_files(&two_clusters());
    for secret in secrets("CHAIN", "KEY", "ROOTS") {
        let path = secret_file(Path::new("any"), secret.name);
        files.insert(path.display().to_string(), secret.content);
    }
    for (name, content) in files {
        // The second cluster's files differ from the first's in addresses only, but for endpoints.
        if name.starts_with("gke1/") && !name.contains("/eds-") {
            continue;
        }
        let path = golden_folder().join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("{content:#}\n")).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        // As values: the order of keys is no part of what Envoy is told.
        let golden: Value = serde_json::from_str(&golden).unwrap_or_default();
        assert_eq!(content, golden, "{name} differs from its golden file");
    }
}

#[test]
fn a_remote_gateway_weighs_as_many_as_the_pods_behind_it() {
    let mut shape = Shape::two_clusters();
    shape.clusters[1].replicas = vec![1, 3];
    let topology = Topology::new(&shape, DEFAULT_BLOCK, INGRESS_PORT);
    let kops = &topology.clusters[0];
    let client = kops.clients().next().unwrap();
    let files = endpoints(&topology, kops, client);
    let groups = &files[1].content["resources"][0]["endpoints"];
    let weight =
        |group: usize, of: usize| &groups[group]["lb_endpoints"][of]["load_balancing_weight"];
    assert_eq!(weight(0, 0), 1);
    assert_eq!(weight(1, 0), 3);
    assert_eq!(groups[1]["lb_endpoints"].as_array().unwrap().len(), 1, "gateway, not pods");
}

#[test]
fn a_service_without_sidecars_is_never_asked_of_another_network() {
    let topology = two_clusters();
    for (name, content) in all_files(&topology) {
        if name.ends_with("eds-echo1.json") {
            let text = content.to_string();
            assert!(!text.contains("15443") && !text.contains("tlsMode"), "{name}: {text}");
        }
        assert!(!name.ends_with("eastwestgateway/eds-echo1.json"), "gateways do not know it");
    }
}

#[test]
fn a_strict_service_has_no_plaintext_chain_and_takes_all_tls() {
    let mut topology = two_clusters();
    let matches = |topology: &Topology| {
        let file = &all_files(topology)["kops/echo2/lds.json"];
        let chains = file["resources"][0]["filter_chains"].as_array().unwrap();
        chains.iter().map(|chain| chain["filter_chain_match"].clone()).collect::<Vec<_>>()
    };
    let [mtls, plaintext] = &matches(&topology)[..] else { panic!("two chains") };
    assert_eq!(mtls["transport_protocol"], "tls");
    assert_eq!(mtls["application_protocols"][0], "istio");
    assert_eq!(*plaintext, json!({ "transport_protocol": "raw_buffer" }));
    topology.services[1].mtls = Mtls::Strict;
    assert_eq!(matches(&topology), [json!({ "transport_protocol": "tls" })]);
}
