//! Golden files: the full configuration of every kind of Envoy. After an intended change, run
//! the tests with `UPDATE_GOLDEN=1` and review the difference.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::topology::{
    Balancer, DEFAULT_BLOCK, Destination, HashKey, INGRESS_PORT, Limits, Mirror, Mtls,
    OutboundTraffic, Policy, RingHash, Shape,
};

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
    let secret = certificate_file(Path::new("any"));
    files.insert(secret.display().to_string(), certificate("CHAIN", "KEY"));
    for (name, content) in files {
        // Except for endpoints, the second cluster's files differ only in addresses.
        if name.starts_with("gke1/") && !name.contains("/eds-") {
            continue;
        }
        let path = golden_folder().join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("{content:#}\n")).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        // Compared as values: the order of keys does not matter.
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

/// A topology of the project.
fn shipped(name: &str) -> Shape {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    crate::topology::file::read(&folder.join(name)).unwrap()
}

/// The endpoints of a service for the client of a cluster: zones and addresses with their
/// weights.
fn told(shape: &Shape, cluster: usize, service: usize) -> Vec<String> {
    let topology = Topology::new(shape, DEFAULT_BLOCK, INGRESS_PORT);
    let home = &topology.clusters[cluster];
    told_to(&topology, home, home.clients().next().unwrap(), service)
}

fn told_to(topology: &Topology, home: &Cluster, pod: &Pod, service: usize) -> Vec<String> {
    let files = endpoints(topology, home, pod);
    let name = format!("eds-{}.json", topology.services[service].name);
    let file = files.iter().find(|file| file.name == name).unwrap();
    let groups = file.content["resources"][0]["endpoints"].as_array().unwrap();
    let one = |group: &Value| {
        let endpoints = group["lb_endpoints"].as_array().unwrap().iter().map(|endpoint| {
            let at = &endpoint["endpoint"]["address"]["socket_address"];
            let address = at["address"].as_str().unwrap().trim_start_matches("127.10.").to_owned();
            let mtls = if endpoint["metadata"].is_null() { "" } else { " mTLS" };
            let weight = &endpoint["load_balancing_weight"];
            format!(" {address}:{}={weight}{mtls}", at["port_value"])
        });
        let zone = group["locality"]["zone"].as_str().unwrap();
        let weight = &group["load_balancing_weight"];
        format!("{zone} {weight}:{}", endpoints.collect::<String>())
    };
    groups.iter().map(one).collect()
}

#[test]
fn the_weight_of_pods_is_divided_among_their_gateways() {
    let mut shape = shipped("two-gateways.yaml");
    // All weights are doubled: two is the least common multiple of one and two gateways.
    assert_eq!(
        told(&shape, 0, 1),
        ["us-west-2a 2: 1.12:8080=2 mTLS", "us-west1-b 6: 2.3:15443=3 mTLS 2.5:15443=3 mTLS"]
    );
    // They are doubled on the other side too, although it has only one gateway.
    assert_eq!(told(&shape, 1, 1)[1], "us-west-2a 2: 1.3:15443=2 mTLS");
    shape.clusters[0].east_west_gateways = 3;
    assert_eq!(
        told(&shape, 0, 1)[1],
        "us-west1-b 18: 2.3:15443=9 mTLS 2.5:15443=9 mTLS",
        "six times: a cluster's own gateways count as well"
    );
}

#[test]
fn pods_of_one_network_are_reached_directly() {
    let shape = shipped("shared-network.yaml");
    // The shared network has two gateways, so weights are doubled.
    assert_eq!(
        told(&shape, 0, 1),
        [
            "us-west-2a 2: 1.12:8080=2 mTLS",
            "us-west-2b 2: 2.12:8080=2 mTLS",
            "us-east1-b 2: 3.3:15443=2 mTLS"
        ]
    );
    assert_eq!(told(&shape, 0, 0), ["us-west-2a 2: 1.11:8080=2", "us-west-2b 2: 2.11:8080=2"]);
    // From outside, each cluster has its gateway, which reaches the pods of both.
    assert_eq!(
        told(&shape, 2, 1)[1..],
        ["us-west-2a 2: 1.3:15443=2 mTLS", "us-west-2b 2: 2.3:15443=2 mTLS"]
    );
    let topology = Topology::new(&shape, DEFAULT_BLOCK, INGRESS_PORT);
    let kops = &topology.clusters[0];
    let gateway = kops.east_west_gateways().next().unwrap();
    assert_eq!(
        told_to(&topology, kops, gateway, 1),
        ["us-west-2a 2: 1.12:8080=2 mTLS", "us-west-2b 2: 2.12:8080=2 mTLS"]
    );
}

#[test]
fn a_cluster_without_a_gateway_is_reached_by_its_networks_or_else_directly() {
    let mut shape = shipped("shared-network.yaml");
    shape.clusters[1].east_west_gateways = 0;
    let gateway = "1.3:15443";
    assert_eq!(
        told(&shape, 2, 1)[1..],
        [format!("us-west-2a 1: {gateway}=1 mTLS"), format!("us-west-2b 1: {gateway}=1 mTLS")]
    );
    // In one zone, the address occurs once, with the weight of both.
    shape.clusters[1].locality = shape.clusters[0].locality.clone();
    assert_eq!(told(&shape, 2, 1)[1..], [format!("us-west-2a 2: {gateway}=2 mTLS")]);
    // istiod assumes that a network without gateways can be reached directly.
    shape.clusters[0].east_west_gateways = 0;
    assert_eq!(told(&shape, 2, 1)[1..], ["us-west-2a 2: 1.12:8080=1 mTLS 2.12:8080=1 mTLS"]);
    assert_eq!(told(&shape, 2, 0).len(), 2, "without sidecars too");
}

#[test]
fn a_gateway_that_is_not_ready_is_told_to_nobody() {
    let mut topology = Topology::new(&shipped("two-gateways.yaml"), DEFAULT_BLOCK, INGRESS_PORT);
    let second = |pod: &&mut Pod| pod.label == "eastwestgateway-2";
    topology.clusters[1].pods.iter_mut().find(second).unwrap().ready = false;
    let kops = &topology.clusters[0];
    let told = told_to(&topology, kops, kops.clients().next().unwrap(), 1);
    assert_eq!(told[1], "us-west1-b 3: 2.3:15443=3 mTLS");
    topology.clusters[1]
        .pods
        .iter_mut()
        .for_each(|pod| pod.ready &= pod.role != Role::EastWestGateway);
    let kops = &topology.clusters[0];
    let told = told_to(&topology, kops, kops.clients().next().unwrap(), 1);
    assert_eq!(told.len(), 1, "not taken for a network without gateways: {told:?}");
}

#[test]
fn the_golden_files_hold_for_the_shipped_file_of_the_default() {
    let topology = Topology::new(&shipped("two-clusters.yaml"), DEFAULT_BLOCK, INGRESS_PORT);
    assert_eq!(all_files(&topology), all_files(&two_clusters()));
}

#[test]
fn a_service_has_the_names_that_istiod_gives_it() {
    let files = all_files(&two_clusters());
    let domains = |place: &str, host: usize| {
        let table = &files[&format!("kops/{place}/rds.json")]["resources"][0];
        // A server sidecar takes all hosts anyway.
        let any_port = table["ignore_port_in_host_matching"] == true;
        assert_eq!(any_port, place != "echo2", "each name works with any port");
        table["virtual_hosts"][host]["domains"].clone()
    };
    assert_eq!(
        domains("client", 1),
        json!([
            "echo2.istio-enabled.svc.cluster.local",
            "echo2.istio-enabled.svc.cluster.local.",
            "echo2.istio-enabled.svc",
            "echo2.istio-enabled",
            "echo2",
            "127.10.1.22",
        ])
    );
    // The host of a Gateway gets no second form; the sidecar of a server accepts all hosts.
    assert_eq!(domains("ingressgateway", 0), json!(["istio1.xiaowenx.com"]));
    assert_eq!(domains("echo2", 0), json!(["*"]));
}

#[test]
fn other_hosts_are_passed_on_unless_a_cluster_has_only_its_registry() {
    let mut topology = two_clusters();
    topology.clusters[0].outbound_traffic = OutboundTraffic::RegistryOnly;
    let files = all_files(&topology);
    let last = |cluster: &str| {
        let hosts = &files[&format!("{cluster}/client/rds.json")]["resources"][0]["virtual_hosts"];
        let host = hosts.as_array().unwrap().last().unwrap();
        assert_eq!(host["domains"], json!(["*"]));
        host["routes"][0].clone()
    };
    let refused = json!({ "name": "block_all", "match": { "prefix": "/" },
        "direct_response": { "status": 502 } });
    assert_eq!(last("kops"), refused, "as istiod writes it");
    assert_eq!(last("gke1")["route"]["cluster"], "PassthroughCluster");
}

/// The files after a change of echo2's policy.
fn with_policy(change: impl FnOnce(&mut Policy)) -> BTreeMap<String, Value> {
    let mut topology = two_clusters();
    change(&mut topology.services[1].policy);
    all_files(&topology)
}

/// The action of the route to echo2 at a place such as `kops/client`.
fn route_of(files: &BTreeMap<String, Value>, place: &str) -> Value {
    let hosts = &files[&format!("{place}/rds.json")]["resources"][0]["virtual_hosts"];
    let hosts = hosts.as_array().unwrap().iter();
    let mut routes = hosts.flat_map(|host| host["routes"].as_array().unwrap());
    routes.find(|route| route.to_string().contains("|echo2.")).unwrap()["route"].clone()
}

#[test]
fn a_key_is_hashed_by_routes_and_used_by_clusters() {
    let ring = |key| Balancer::RingHash(RingHash { key, min_ring_size: 2048 });
    let files = with_policy(|policy| policy.balancer = ring(HashKey::Header("x-user".into())));
    for place in ["kops/client", "gke1/ingressgateway"] {
        let cluster = &files[&format!("{place}/cds.json")]["resources"][1];
        assert_eq!(cluster["lb_policy"], "RING_HASH");
        assert_eq!(cluster["ring_hash_lb_config"], json!({ "minimum_ring_size": 2048 }));
        let hashed = &route_of(&files, place)["hash_policy"];
        assert_eq!(*hashed, json!([{ "header": { "header_name": "x-user" } }]), "{place}");
    }
    let cookie = |ttl, path: Option<&str>| HashKey::Cookie {
        name: "session".into(),
        ttl,
        path: path.map(str::to_owned),
    };
    for (key, hashed) in [
        (cookie(None, None), json!({ "cookie": { "name": "session" } })),
        (
            cookie(Some(std::time::Duration::ZERO), Some("/")),
            json!({ "cookie": { "name": "session", "ttl": "0s", "path": "/" } }),
        ),
        (HashKey::Query("user".into()), json!({ "query_parameter": { "name": "user" } })),
        (HashKey::SourceIp, json!({ "connection_properties": { "source_ip": true } })),
    ] {
        let files = with_policy(|policy| policy.balancer = ring(key));
        assert_eq!(route_of(&files, "kops/client")["hash_policy"], json!([hashed]));
    }
}

#[test]
fn retries_stay_on_the_endpoint_of_a_key_only_by_a_virtual_service_of_one_destination() {
    let ring = RingHash { key: HashKey::SourceIp, min_ring_size: 1024 };
    let elsewhere = |place: &str, change: &dyn Fn(&mut Policy)| {
        let files = with_policy(|policy| {
            policy.balancer = Balancer::RingHash(ring.clone());
            change(policy);
        });
        route_of(&files, place)["retry_policy"]["retry_host_predicate"].is_array()
    };
    let split = |policy: &mut Policy| policy.split = vec![("kops".into(), 50), ("gke1".into(), 50)];
    assert!(elsewhere("kops/client", &|_| {}), "a plain service");
    assert!(!elsewhere("kops/client", &|policy| policy.retries = 3));
    assert!(elsewhere("kops/client", &split));
    assert!(!elsewhere("kops/ingressgateway", &|_| {}), "a gateway always has a VirtualService");
    assert!(elsewhere("kops/ingressgateway", &|policy| policy.balancer = Balancer::Random));
}

#[test]
fn limits_hold_for_clients_and_servers_of_the_service() {
    let limits = Limits { connections: Some(1), pending_requests: Some(2), ..Limits::default() };
    let files = with_policy(|policy| {
        policy.limits = limits;
        policy.subsets = true;
    });
    let limited = json!([{ "max_connections": 1, "max_pending_requests": 2,
        "max_requests": u32::MAX, "max_retries": u32::MAX }]);
    for place in ["kops/client", "gke1/ingressgateway", "gke1/echo2"] {
        let clusters = files[&format!("{place}/cds.json")]["resources"].as_array().unwrap();
        for cluster in clusters {
            let name = cluster["name"].as_str().unwrap();
            let thresholds = &cluster["circuit_breakers"]["thresholds"];
            let of_echo2 = name.contains("echo2") || name.starts_with("inbound");
            assert_eq!(*thresholds == limited, of_echo2, "{place} {name}");
        }
    }
}

/// The names of the items of a list of resources.
fn names_of(files: &BTreeMap<String, Value>, file: &str) -> Vec<String> {
    let all = files[file]["resources"].as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn gateways_have_chains_for_subsets_and_for_services_without_sidecars() {
    let files = with_policy(|policy| policy.subsets = true);
    let echo2 = "echo2.istio-enabled.svc.cluster.local";
    let expected = [
        "outbound_.8080_._.echo1.istio-disabled.svc.cluster.local".to_owned(),
        format!("outbound_.8080_._.{echo2}"),
        format!("outbound_.8080_.kops_.{echo2}"),
        format!("outbound_.8080_.gke1_.{echo2}"),
    ];
    assert_eq!(names_of(&files, "gke1/eastwestgateway/cds.json"), expected);
    let listener = &files["gke1/eastwestgateway/lds.json"]["resources"][0];
    let chains = listener["filter_chains"].as_array().unwrap().iter();
    let chains = chains.map(|chain| &chain["filter_chain_match"]["server_names"][0]);
    assert_eq!(chains.collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    let pods = |subset: &str| {
        let file = &files[&format!("gke1/eastwestgateway/eds-echo2-{subset}.json")];
        file["resources"][0]["endpoints"].as_array().unwrap().len()
    };
    assert_eq!((pods("gke1"), pods("kops")), (1, 0), "own pods only");
}

#[test]
fn a_cluster_without_the_destination_rule_has_no_subsets_but_the_routes_to_them() {
    let mut topology = two_clusters();
    let policy = &mut topology.services[1].policy;
    policy.subsets = true;
    policy.balancer = Balancer::Random;
    policy.limits = Limits { connections: Some(1), ..Limits::default() };
    policy.split = vec![("kops".into(), 30), ("gke1".into(), 70)];
    let both = all_files(&topology);
    topology.clusters[1].without_rule.insert("echo2".into());
    let one = all_files(&topology);
    for (name, content) in &both {
        let changed = one.get(name) != Some(content);
        let expected = name.starts_with("gke1/") && {
            name.contains("eds-echo2-")
                || name.ends_with("/cds.json")
                || name.ends_with("eastwestgateway/lds.json")
        };
        assert_eq!(changed, expected, "{name}");
    }
    assert_eq!(names_of(&one, "gke1/eastwestgateway/cds.json").len(), 2);
    let echo2 = &one["gke1/client/cds.json"]["resources"][1];
    assert_eq!(echo2["lb_policy"], "LEAST_REQUEST");
    assert_eq!(echo2["circuit_breakers"]["thresholds"][0]["max_connections"], u32::MAX);
}

#[test]
fn a_mirror_is_the_cluster_of_a_service_or_subset() {
    let mirrored = |subset: Option<&str>, percent| {
        let to = Destination { service: "echo1".into(), subset: subset.map(str::to_owned) };
        let files = with_policy(|policy| policy.mirror = Some(Mirror { to, percent }));
        assert_eq!(
            route_of(&files, "kops/client")["request_mirror_policies"],
            route_of(&files, "gke1/ingressgateway")["request_mirror_policies"],
        );
        route_of(&files, "kops/client")["request_mirror_policies"].clone()
    };
    let policy = |subset: &str, numerator: u32| {
        json!([{
            "cluster": format!("outbound|8080|{subset}|echo1.istio-disabled.svc.cluster.local"),
            "runtime_fraction": {
                "default_value": { "numerator": numerator, "denominator": "MILLION" },
            },
            "trace_sampled": false,
        }])
    };
    assert_eq!(mirrored(None, 100), policy("", 1_000_000));
    assert_eq!(mirrored(Some("gke1"), 5), policy("gke1", 50_000));
}
