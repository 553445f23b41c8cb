//! A configuration as a list of paths and values in which spelling makes no difference: names
//! instead of positions, roles instead of addresses, one form of what can be written in two.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// Every value by its path, such as `clusters/outbound|8080||echo2…/connect_timeout`.
pub(super) fn flat(config: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    walk("", config, &mut all);
    all
}

fn walk(path: &str, value: &Value, all: &mut BTreeMap<String, Value>) {
    let (path, value) = (path.trim_start_matches('/'), same(path, value));
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in &fields {
                let name = name.replace("match_typed_subject_alt_names", "match_subject_alt_names");
                walk(&format!("{path}/{name}"), field, all);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (number, item) in list.iter().enumerate() {
                walk(&format!("{path}/{}", key(number, item)), item, all);
            }
        }
        leaf if is_default(path, &leaf) => {}
        leaf => {
            all.insert(path.to_owned(), leaf);
        }
    }
}

/// Whether Envoy assumes this value. Its dumps leave out some of those that istiod sets.
fn is_default(path: &str, value: &Value) -> bool {
    let field = path.rsplit('/').next().unwrap_or_default();
    match field {
        "endpoints" => *value == json!([]),
        "lb_policy" => value == "ROUND_ROBIN",
        "case_sensitive" => *value == true,
        _ => false,
    }
}

/// What distinguishes an item of a list.
fn key(number: usize, item: &Value) -> String {
    let matched = &item["filter_chain_match"];
    let names = [
        // Before the name: both chains of a server have the name of its port.
        &matched["server_names"][0],
        &matched["transport_protocol"],
        &item["name"],
        &item["cluster_name"],
        &item["locality"]["zone"],
    ];
    let name = names.iter().find_map(|name| name.as_str());
    // The listener of the port 8080 has the address of its pod in localmesh.
    let listener = item["traffic_direction"].as_str();
    listener.or(name).map_or_else(|| number.to_string(), str::to_owned)
}

/// The one form of a value that can be written in several.
fn same(path: &str, value: &Value) -> Value {
    let field = path.rsplit('/').next().unwrap_or_default();
    match (field, value) {
        (_, Value::Object(fields))
            if ["ads", "path_config_source", "api_config_source"]
                .iter()
                .any(|source| fields.contains_key(*source)) =>
        {
            "a source".into()
        }
        ("healthy_panic_threshold", threshold) => threshold["value"].as_u64().unwrap_or(0).into(),
        ("socket_address", address) => role(address).into(),
        ("stat_prefix", Value::String(prefix)) => prefix.trim_end_matches(';').into(),
        ("match_subject_alt_names" | "match_typed_subject_alt_names", Value::Array(peers)) => {
            let plain = |peer: &Value| peer.get("matcher").unwrap_or(peer).clone();
            peers.iter().map(plain).collect()
        }
        // The order of these makes no difference.
        ("domains" | "server_names" | "application_protocols", Value::Array(list)) => {
            let mut list: Vec<_> = list.iter().map(without_address).collect();
            list.sort_by_key(Value::to_string);
            list.into()
        }
        _ => value.clone(),
    }
}

fn without_address(domain: &Value) -> Value {
    match domain.as_str().map(str::parse::<Ipv4Addr>) {
        Some(Ok(_)) => json!("its address"),
        _ => domain.clone(),
    }
}

/// Who has an address: pods answer on port 8080, gateways on 15443.
fn role(address: &Value) -> String {
    let port = &address["port_value"];
    match address["address"].as_str() {
        Some("127.0.0.6") => "127.0.0.6".to_owned(),
        _ => format!("an address, port {port}"),
    }
}
