//! What Envoys say, and what is none of it: every page, hostile ones too.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A page of `/clusters` as Envoy 1.40 prints it, shortened.
fn clusters_page() -> Value {
    let host = |address: &str, port: u16, more: Value| {
        let mut host = json!({
            "address": { "socket_address": { "address": address, "port_value": port } },
            "stats": [
                { "name": "cx_connect_fail", "value": "3" },
                { "name": "cx_total", "value": "9" },
                { "name": "rq_error" },
                { "name": "rq_success", "value": "460" },
                { "name": "rq_total", "value": "500" },
                { "type": "GAUGE", "name": "cx_active", "value": "1" },
            ],
            "weight": 2,
            "locality": { "region": "us-west1", "zone": "us-west1-b" },
            "health_status": { "eds_health_status": "HEALTHY" },
        });
        for (key, value) in more.as_object().unwrap() {
            host[key] = value.clone();
        }
        host
    };
    json!({ "cluster_statuses": [
        { "name": "outbound|8080||echo2.ns.svc.cluster.local", "host_statuses": [
            host("10.2.0.3", 15443, json!({ "priority": 1 })),
            host("fd00::1", 8080, json!({
                "weight": 1,
                "health_status": { "failed_outlier_check": true, "eds_health_status": "DEGRADED" },
            })),
        ] },
        { "name": "inbound|8080||", "host_statuses": [
            { "address": { "pipe": { "path": "/tmp/a\u{1b}[2J" } } },
        ] },
        { "name": "empty" },
    ] })
}

#[test]
fn endpoints_are_read_with_their_places_and_counts() {
    let page = serde_json::to_vec(&clusters_page()).unwrap();
    let clusters = clusters(&page).unwrap();
    let hosts = &clusters["outbound|8080||echo2.ns.svc.cluster.local"];
    assert_eq!(
        hosts[0],
        Host {
            address: "10.2.0.3:15443".into(),
            locality: "us-west1/us-west1-b".into(),
            weight: 2,
            priority: 1,
            health: "healthy".into(),
            requests: 500,
            errors: 0,
            connections: 9,
            connect_failures: 3,
            successes: Some(460),
        }
    );
    assert_eq!((hosts[1].address.as_str(), hosts[1].weight), ("[fd00::1]:8080", 1));
    assert_eq!(hosts[1].health, "ejected, degraded");
    assert_eq!(
        clusters["inbound|8080||"][0].address, "/tmp/a\\u{1b}[2J",
        "nothing steers a terminal"
    );
    assert!(clusters["empty"].is_empty());
}

#[test]
fn who_an_envoy_is_is_read_as_istio_names_it() {
    let page = json!({ "version": "x", "node": {
        "id": "sidecar~10.0.0.7~client-1.ns~ns.svc.cluster.local",
        "metadata": { "CLUSTER_ID": "kops", "NETWORK": "network1" },
        "locality": { "region": "us-west-2", "zone": "us-west-2a" },
    } });
    let node = node(&serde_json::to_vec(&page).unwrap()).unwrap();
    assert_eq!(node.pod(), Some("client-1.ns"));
    assert_eq!((node.cluster.as_str(), node.network.as_str()), ("kops", "network1"));
    assert_eq!(node.locality, "us-west-2/us-west-2a");
    let other = super::node(br#"{"node": {"id": "my-envoy"}}"#).unwrap();
    assert_eq!((other.pod(), other.locality.as_str()), (None, ""));
}

#[test]
fn counters_are_read_whole_lines_only_and_only_those_asked_for() {
    let page = b"cluster.outbound|80||a.b.ssl.fail_verify_san: 12\n\
        listener.0.0.0.0_8080.no_filter_chain_match: 3\n\
        cluster.x.version_text: \"\"\n\
        cluster.x.upstream_rq_time: No recorded values\n\
        cluster.x.upstream_rq_retry: 18446744073709551616\n\
        cluster.x.something_else: 4\n\
        http.x.rbac.shadow_denied: 4\n\
        xupstream_rq_retry: 4\n\
        \xff\xfe\n: 7\n";
    let counters = counters(page);
    let shown: Vec<_> = counters.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(
        shown,
        [
            ("cluster.outbound|80||a.b.ssl.fail_verify_san", 12),
            ("listener.0.0.0.0_8080.no_filter_chain_match", 3),
        ]
    );
    assert_eq!(end_of("cluster.x.upstream_rq_retry_success"), Some("upstream_rq_retry_success"));
    assert_eq!(end_of("cluster.x.upstream_rq_retry"), Some("upstream_rq_retry"));
}

#[test]
fn paths_hold_nothing_that_a_shell_would_take_for_its_own() {
    assert!(!stats_path().contains(['&', '|', '(', ')', '$', '\\', ' ', '\'']), "{}", stats_path());
    let long = format!("outbound|8080||{}.ns.svc.cluster.local", "a".repeat(300));
    assert!(weights_path(&long).len() < 300, "an Envoy bounds the pattern");
    assert!(
        weights_path(&long).ends_with("%2Esvc%5C%2Ecluster%5C%2Elocal") || {
            weights_path(&long).ends_with("svc%5C%2Ecluster%5C%2Elocal")
        }
    );
}

#[test]
fn how_clusters_balance_is_read_with_envoys_defaults() {
    let cluster = |name: &str, more: Value| {
        let mut cluster = json!({ "name": name });
        for (key, value) in more.as_object().unwrap() {
            cluster[key] = value.clone();
        }
        json!({ "cluster": cluster })
    };
    let page = json!({ "configs": [
        cluster("a", json!({ "lb_policy": "LEAST_REQUEST" })),
        cluster("b", json!({ "outlier_detection": {}, "common_lb_config": {
            "healthy_panic_threshold": {}, "locality_weighted_lb_config": {} } })),
        cluster("c", json!({ "outlier_detection": { "max_ejection_percent": 100 },
            "common_lb_config": { "healthy_panic_threshold": { "value": 50.0 } } })),
        cluster("hash", json!({ "lb_policy": "RANDOM", "load_balancing_policy": { "policies": [
            { "typed_extension_config": { "name": "x", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev"
            } } }] } })),
        { "no": "cluster" },
    ] });
    let all = balancing(&serde_json::to_vec(&page).unwrap()).unwrap();
    let plain = Settings { policy: "LEAST_REQUEST".into(), ..Settings::default() };
    assert_eq!(all["a"], plain);
    assert_eq!(all["hash"].policy, "MAGLEV", "an extension has precedence");
    let b = &all["b"];
    assert_eq!((b.max_ejection_percent, b.panic_percent), (Some(10), Some(0)));
    assert!(b.locality_weighted && b.policy == "ROUND_ROBIN");
    assert_eq!((all["c"].max_ejection_percent, all["c"].panic_percent), (Some(100), Some(50)));
    assert_eq!(all.len(), 4);
    assert!(balancing(b"{}").unwrap().is_empty(), "no match is an empty object");

    let page = json!({ "configs": [{ "endpoint_config": { "cluster_name": "a", "endpoints": [
        { "locality": { "region": "r", "zone": "z" }, "load_balancing_weight": 80 },
        { "locality": { "region": "s" }, "load_balancing_weight": "20" },
    ] } }] });
    let all = weights(&serde_json::to_vec(&page).unwrap()).unwrap();
    assert_eq!(all["a"], BTreeMap::from([("r/z".into(), 80), ("s/".into(), 20)]));
}

#[test]
fn other_bytes_are_refused_in_one_line() {
    for (said, part) in [
        (clusters(b"").unwrap_err(), "not an Envoy admin page"),
        (clusters(b"<html>\n</html>").unwrap_err(), "not an Envoy admin page"),
        (clusters(b"{}").unwrap_err(), "no 'cluster_statuses'"),
        (clusters(br#"{"cluster_statuses": 3}"#).unwrap_err(), "not the expected JSON"),
        (clusters(br#"{"cluster_statuses": [{"name": "a""#).unwrap_err(), "cut short"),
        (node(b"[1]").unwrap_err(), "no 'node'"),
        (balancing(br#"{"configs": 1}"#).unwrap_err(), "no 'configs'"),
    ] {
        let said = said.to_string();
        assert!(said.contains(part), "{part}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn long_text_is_cut_between_characters() {
    assert_eq!(plain("a\nb"), "a\\u{a}b");
    assert_eq!(plain(&"é".repeat(1000)).chars().count(), 301);
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (clusters(&bytes), node(&bytes), balancing(&bytes), weights(&bytes));
        for name in counters(&bytes).keys() {
            prop_assert!(!name.contains(char::is_control));
        }
    }

    #[test]
    fn no_json_makes_a_reader_panic(
        key in "[a-z_]{0,12}", text in "\\PC{0,20}\u{1b}?", number in any::<i64>(),
    ) {
        let inner = json!({ &key: [text, number, { &key: text }], "name": text, "weight": number });
        let page = json!({ "cluster_statuses": [{ "name": text, "host_statuses": [inner, number] }],
            "node": inner, "configs": [inner, { "cluster": inner }] });
        let bytes = serde_json::to_vec(&page).unwrap();
        let all = clusters(&bytes).unwrap();
        prop_assert!(all.keys().all(|name| !name.contains(char::is_control)));
        let _ = (node(&bytes), balancing(&bytes), weights(&bytes));
    }
}
