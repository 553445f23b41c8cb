//! Parses an Envoy's admin pages (`/server_info`, `/clusters`, `/stats` and `/config_dump`) as far as
//! they are relevant to load balancing. The bytes are not trusted. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// The path of the page that says who the Envoy is.
pub(crate) const SERVER_INFO: &str = "server_info";
/// The path of the page that lists endpoints.
pub(crate) const CLUSTERS: &str = "clusters?format=json";

/// The last parts of the names of the counters and gauges that show a cause, without the dot
/// before them.
const COUNTERS: [&str; 55] = [
    "denied",
    "downstream_rq_idle_timeout",
    "downstream_rq_max_duration_reached",
    "downstream_rq_too_large",
    "downstream_rq_total",
    "fault.aborts_injected",
    "http2.header_list_size_too_large",
    "http2.rx_reset",
    "http_local_rate_limit.enforced",
    "lb_healthy_panic",
    "lb_local_cluster_not_ok",
    "membership_change",
    "membership_healthy",
    "membership_total",
    "no_cluster",
    "no_filter_chain_match",
    "no_route",
    "outlier_detection.ejections_active",
    "outlier_detection.ejections_enforced_total",
    "outlier_detection.ejections_overflow",
    "ratelimit.over_limit",
    "rs_too_large",
    "ssl.connection_error",
    "ssl.fail_verify_cert_hash",
    "ssl.fail_verify_error",
    "ssl.fail_verify_no_cert",
    "ssl.fail_verify_san",
    "ssl.handshake",
    "update_no_rebuild",
    "update_success",
    "upstream_cx_connect_fail",
    "upstream_cx_connect_timeout",
    "upstream_cx_destroy_remote_with_active_rq",
    "upstream_cx_http1_total",
    "upstream_cx_http2_total",
    "upstream_cx_none_healthy",
    "upstream_cx_overflow",
    "upstream_cx_protocol_error",
    "upstream_cx_total",
    "upstream_rq_403",
    "upstream_rq_404",
    "upstream_rq_429",
    "upstream_rq_503",
    "upstream_rq_5xx",
    "upstream_rq_active_overflow",
    "upstream_rq_max_duration_reached",
    "upstream_rq_pending_failure_eject",
    "upstream_rq_pending_overflow",
    "upstream_rq_per_try_timeout",
    "upstream_rq_retry",
    "upstream_rq_retry_overflow",
    "upstream_rq_retry_success",
    "upstream_rq_rx_reset",
    "upstream_rq_timeout",
    "upstream_rq_total",
];

/// Why a page cannot be used. `Display` is one line.
#[derive(Debug, Error)]
pub(crate) enum PageError {
    /// Not JSON, or cut short.
    #[error("not an Envoy admin page: {}", json_words(.0))]
    Json(#[from] serde_json::Error),
    /// Other JSON.
    #[error("not an Envoy admin page: it has no '{0}'")]
    Shape(&'static str),
}

fn json_words(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it is cut short" } else { "it is not the expected JSON" }
}

/// The pages of one Envoy at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub node: Node,
    /// The endpoints of each of its clusters.
    pub clusters: BTreeMap<String, Vec<Host>>,
    /// The counters and gauges that show a cause, by their full names.
    pub counters: BTreeMap<String, u64>,
}

/// The identity that Istio gives an Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `sidecar~10.0.0.7~client.ns~ns.svc.cluster.local`.
    pub id: String,
    /// Istio's name of its cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Istio's name of its network.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// `region/zone`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub locality: String,
}

impl Node {
    /// `NAME.NAMESPACE` of its pod, as istioctl expects it; `None` if Istio did not assign the id.
    #[must_use]
    pub fn pod(&self) -> Option<&str> {
        self.id.split('~').nth(2).filter(|pod| !pod.is_empty())
    }
}

/// An endpoint, in one cluster of an Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// `127.10.2.3:15443`.
    pub address: String,
    /// `region/zone`.
    pub locality: String,
    /// Its weight within its locality.
    pub weight: u64,
    /// 0 is used first.
    pub priority: u64,
    /// `healthy`, or why it gets no requests: `ejected`, `failed health check`, `unhealthy`, …
    pub health: String,
    /// Attempts sent there (rq_total).
    pub requests: u64,
    /// Attempts that ended in a 5xx or a reset (rq_error).
    pub errors: u64,
    /// Connections opened or attempted (cx_total).
    pub connections: u64,
    /// Connections that failed, including in the TLS handshake (cx_connect_fail).
    pub connect_failures: u64,
    /// Attempts that ended in a success (rq_success); `None` if the page does not say.
    pub successes: Option<u64>,
}

/// Untrusted text, bounded and safe to print.
pub(super) fn plain(text: &str) -> String {
    const MOST: usize = 300;
    let Some((end, _)) = text.char_indices().nth(MOST) else {
        return printable::clean(text).into_owned();
    };
    format!("{}…", printable::clean(&text[..end]))
}

/// Reads `/server_info`.
pub(crate) fn node(bytes: &[u8]) -> Result<Node, PageError> {
    let page: Value = serde_json::from_slice(bytes)?;
    let node = page.get("node").ok_or(PageError::Shape("node"))?;
    let word = |value: &Value| plain(value.as_str().unwrap_or_default());
    let metadata = &node["metadata"];
    Ok(Node {
        id: word(&node["id"]),
        cluster: word(&metadata["CLUSTER_ID"]),
        network: word(&metadata["NETWORK"]),
        locality: locality(&node["locality"]),
    })
}

/// `region/zone`; empty if the page states neither.
fn locality(value: &Value) -> String {
    let part = |name: &str| value[name].as_str().unwrap_or_default();
    match (part("region"), part("zone")) {
        ("", "") => String::new(),
        (region, zone) => plain(&format!("{region}/{zone}")),
    }
}

/// Reads `/clusters?format=json`.
pub(crate) fn clusters(bytes: &[u8]) -> Result<BTreeMap<String, Vec<Host>>, PageError> {
    #[derive(Deserialize)]
    struct Page {
        cluster_statuses: Option<Vec<Cluster>>,
    }
    #[derive(Deserialize)]
    struct Cluster {
        name: String,
        #[serde(default)]
        host_statuses: Vec<Value>,
    }
    let page: Page = serde_json::from_slice(bytes)?;
    let clusters = page.cluster_statuses.ok_or(PageError::Shape("cluster_statuses"))?;
    let read =
        |cluster: Cluster| (plain(&cluster.name), cluster.host_statuses.iter().map(host).collect());
    Ok(clusters.into_iter().map(read).collect())
}

/// The largest number that is read of a page: a million requests a second for a hundred days. The sum
/// of as many as a page can hold fits, and a report may have it.
const LARGEST: u64 = 1 << 43;

fn host(value: &Value) -> Host {
    let counted = |name: &str| {
        let mut all = value["stats"].as_array().map_or(&[][..], Vec::as_slice).iter();
        // Protobuf omits zeros, and writes 64-bit numbers as text.
        Some(number(&all.find(|stat| stat["name"] == name)?["value"]).unwrap_or(0))
    };
    let count = |name: &str| counted(name).unwrap_or(0);
    Host {
        address: address(&value["address"]),
        locality: locality(&value["locality"]),
        weight: number(&value["weight"]).unwrap_or(1),
        priority: number(&value["priority"]).unwrap_or(0),
        health: health(&value["health_status"]),
        requests: count("rq_total"),
        errors: count("rq_error"),
        connections: count("cx_total"),
        connect_failures: count("cx_connect_fail"),
        successes: counted("rq_success"),
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|number| *number <= LARGEST)
}

/// `IP:PORT`, the path of a pipe, or the name of an internal listener.
fn address(value: &Value) -> String {
    let socket = &value["socket_address"];
    match (socket["address"].as_str(), number(&socket["port_value"])) {
        (Some(ip), Some(port)) if ip.contains(':') => plain(&format!("[{ip}]:{port}")),
        (Some(ip), Some(port)) => plain(&format!("{ip}:{port}")),
        _ => {
            let internal = &value["envoy_internal_address"];
            let other = [&value["pipe"]["path"], &internal["endpoint_id"]];
            plain(other.into_iter().find_map(Value::as_str).unwrap_or("?"))
        }
    }
}

/// All flags that keep requests away, or `healthy`.
fn health(status: &Value) -> String {
    let flags = [
        ("failed_outlier_check", "ejected"),
        ("failed_active_health_check", "failed health check"),
        ("failed_degraded_outlier_detection", "degraded"),
        ("failed_active_degraded_check", "degraded"),
        ("pending_dynamic_removal", "removed"),
        ("excluded_via_immediate_hc_fail", "excluded"),
    ];
    let mut said: Vec<_> =
        flags.iter().filter(|(flag, _)| status[*flag] == true).map(|(_, word)| *word).collect();
    let by_eds = status["eds_health_status"].as_str().unwrap_or("HEALTHY").to_lowercase();
    if !matches!(by_eds.as_str(), "healthy" | "unknown") {
        said.push(&by_eds);
    }
    if said.is_empty() { "healthy".to_owned() } else { plain(&said.join(", ")) }
}

/// The path of `/stats`, filtered to [`COUNTERS`]. As text and not as JSON, so that the path has only
/// one parameter: a shell would end the command at an `&`.
#[must_use]
pub(crate) fn stats_path() -> String {
    let pattern = format!("\\.({})$", COUNTERS.join("|").replace('.', "\\."));
    format!("stats?filter={}", encoded(&pattern))
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Reads `/stats`, with `NAME: VALUE` on each line; skips values that are not numbers up to
/// [`LARGEST`], and counters that were not requested.
#[must_use]
pub(crate) fn counters(bytes: &[u8]) -> BTreeMap<String, u64> {
    let text = String::from_utf8_lossy(bytes);
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(": ")?;
        let known = COUNTERS
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(|before| before.ends_with('.')));
        let number = value.trim().parse().ok().filter(|number| *number <= LARGEST);
        Some((plain(name), number.filter(|_| known)?))
    };
    text.lines().filter_map(read).collect()
}

/// The part of a counter's name after the name of its cluster or listener: `ssl.handshake`.
#[must_use]
pub(super) fn end_of(name: &str) -> Option<&'static str> {
    let ends = COUNTERS.iter().filter(|end| name.ends_with(**end));
    ends.max_by_key(|end| end.len()).copied()
}

/// The load-balancing settings of clusters, by name.
pub(crate) type Balancing = BTreeMap<String, Settings>;
/// The locality weights of clusters, by the cluster's name and `region/zone`.
pub(crate) type Weights = BTreeMap<String, BTreeMap<String, u64>>;

/// The load-balancing settings of an Envoy cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Envoy's name of the policy, such as `LEAST_REQUEST`.
    pub policy: String,
    /// Whether locality weights apply: Istio's `distribute`.
    #[serde(default)]
    pub locality_weighted: bool,
    /// The largest part of the endpoints that may be ejected, in percent; `None` without outlier
    /// detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ejection_percent: Option<u64>,
    /// If fewer endpoints are healthy, in percent, all are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic_percent: Option<u64>,
    /// The locality weights by `region/zone`, if they apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub localities: BTreeMap<String, u64>,
}

/// Envoy's default of `max_ejection_percent`.
const DEFAULT_MAX_EJECTION: u64 = 10;

/// The paths of the parts of `/config_dump` with the load-balancing settings: of the clusters that a
/// control plane sends, and of those in the bootstrap configuration.
pub(crate) const BALANCING: [&str; 2] = [
    "config_dump?resource=dynamic_active_clusters&mask=cluster.name,cluster.lb_policy,\
     cluster.load_balancing_policy,cluster.outlier_detection,cluster.common_lb_config",
    "config_dump?resource=static_clusters&mask=cluster.name,cluster.lb_policy,\
     cluster.load_balancing_policy,cluster.outlier_detection,cluster.common_lb_config",
];

/// The path of the part of `/config_dump` with the endpoints of a cluster.
#[must_use]
pub(crate) fn weights_path(name: &str) -> String {
    // Envoys limit the size of such a pattern, some to 100 instructions.
    const MOST: usize = 60;
    let skipped = name.chars().count().saturating_sub(MOST);
    let end: String = name.chars().skip(skipped).collect();
    let pattern = format!(".*{}", regex::escape(&end));
    format!(
        "config_dump?include_eds&resource=dynamic_endpoint_configs&name_regex={}",
        encoded(&pattern)
    )
}

/// Reads the load-balancing settings of clusters.
pub(crate) fn balancing(bytes: &[u8]) -> Result<Balancing, PageError> {
    let mut all = Balancing::new();
    for config in configs(bytes)? {
        let cluster = &config["cluster"];
        let Some(name) = cluster["name"].as_str() else { continue };
        let lb = &cluster["common_lb_config"];
        let outlier = cluster.get("outlier_detection");
        let settings = Settings {
            policy: policy(cluster),
            locality_weighted: lb.get("locality_weighted_lb_config").is_some(),
            max_ejection_percent: outlier.map(|outlier| {
                number(&outlier["max_ejection_percent"]).unwrap_or(DEFAULT_MAX_EJECTION)
            }),
            // Protobuf omits zeros: a message without a value means 0.
            panic_percent: lb.get("healthy_panic_threshold").map(|percent| {
                percent["value"].as_f64().map_or(0, |percent| percent.clamp(0.0, 100.0) as u64)
            }),
            localities: BTreeMap::new(),
        };
        all.insert(plain(name), settings);
    }
    Ok(all)
}

/// The policy of a cluster; an extension has precedence over `lb_policy`.
fn policy(cluster: &Value) -> String {
    let first = &cluster["load_balancing_policy"]["policies"][0]["typed_extension_config"];
    let kind = first["typed_config"]["@type"].as_str().unwrap_or_default();
    let extension = kind.split('.').skip_while(|part| *part != "load_balancing_policies").nth(1);
    match extension {
        Some(name) => plain(&name.to_ascii_uppercase()),
        None => plain(cluster["lb_policy"].as_str().unwrap_or("ROUND_ROBIN")),
    }
}

/// Reads the locality weights of clusters.
pub(crate) fn weights(bytes: &[u8]) -> Result<Weights, PageError> {
    let mut all = Weights::new();
    for config in configs(bytes)? {
        let assignment = &config["endpoint_config"];
        let Some(name) = assignment["cluster_name"].as_str() else { continue };
        let groups = assignment["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
        let weights = groups.iter().map(|group| {
            (locality(&group["locality"]), number(&group["load_balancing_weight"]).unwrap_or(0))
        });
        all.insert(plain(name), weights.collect());
    }
    Ok(all)
}

fn configs(bytes: &[u8]) -> Result<Vec<Value>, PageError> {
    let mut page: Value = serde_json::from_slice(bytes)?;
    // Without a match the page is an empty object.
    match page.get_mut("configs").map(Value::take) {
        Some(Value::Array(configs)) => Ok(configs),
        None => Ok(Vec::new()),
        Some(_) => Err(PageError::Shape("configs")),
    }
}

#[cfg(test)]
mod tests;
