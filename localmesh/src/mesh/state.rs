//! `localmesh state`: the endpoints that each Envoy uses, beside its configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::{cluster_settings, settings};
use super::running::Mesh;
use crate::envoy_config::endpoints;
use crate::error::Error;
use crate::process::child::Condition;
use crate::topology::{Cluster, Pod, Role};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// In order of name.
    pub processes: Vec<ProcessState>,
    /// The clusters with settings of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<SettingsState>,
    /// The services with settings of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<SettingsState>,
    /// The Envoys that choose endpoints: client sidecars and gateways.
    pub envoys: Vec<EnvoyState>,
    /// Networks of an isolated mesh that are cut off from each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessState {
    /// Such as `gke1/echo2 app`.
    pub name: String,
    /// `runs`, `throttled`, `frozen` or `ended`.
    pub state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsState {
    pub name: String,
    /// What differs from Istio's defaults, such as `balancer ringhash --header x-user`: an action
    /// without the name of the service or cluster.
    pub settings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvoyState {
    pub name: String,
    /// Why it does not answer; its endpoints are then unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
    /// The limits that it uses, of Envoy clusters that have some, in order of name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitsState>,
    /// The endpoints that it uses or was configured with, by Envoy cluster and address.
    pub endpoints: Vec<EndpointState>,
}

/// The circuit breakers of an Envoy cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsState {
    pub cluster: String,
    /// By name, such as `max_connections`. What is not limited is left out.
    pub limits: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    pub cluster: String,
    /// `127.10.2.3:15443`.
    pub address: String,
    /// `region/zone`.
    pub locality: String,
    /// As configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Place>,
    /// As the Envoy uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Place>,
    /// `healthy`, or why it is not, such as `ejected`.
    pub health: String,
    /// Requests sent there; connections for a gateway that passes TLS through.
    pub sent: u64,
    pub failed: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub weight: u64,
    /// 0 comes first.
    pub priority: u64,
}

type Endpoints = BTreeMap<(String, String, String), EndpointState>;

impl Mesh {
    #[must_use]
    pub fn state(&self) -> State {
        let processes = self.processes.iter().map(|process| ProcessState {
            name: process.program.name.clone(),
            state: match process.condition() {
                Condition::Ended => "ended",
                Condition::Frozen => "frozen",
                Condition::Throttled(_) => "throttled",
                Condition::Runs => "runs",
            }
            .into(),
        });
        let clusters = self.topology.clusters.iter().map(|cluster| SettingsState {
            name: cluster.name.clone(),
            settings: cluster_settings(cluster),
        });
        let services = self.topology.services.iter().map(|service| SettingsState {
            name: service.name.clone(),
            settings: settings(service),
        });
        let set = |state: &SettingsState| !state.settings.is_empty();
        let envoys = self.topology.clusters.iter().flat_map(|cluster| {
            let choosing = cluster.pods.iter().filter(|pod| {
                matches!(pod.role, Role::Client | Role::IngressGateway | Role::EastWestGateway)
            });
            choosing.map(|pod| self.envoy_state(cluster, pod))
        });
        State {
            processes: processes.collect(),
            clusters: clusters.filter(set).collect(),
            services: services.filter(set).collect(),
            envoys: envoys.collect(),
            cuts: self.topology.cuts.iter().cloned().collect(),
        }
    }

    fn envoy_state(&self, cluster: &Cluster, pod: &Pod) -> EnvoyState {
        let admin = pod.envoy_admin();
        let process = self.processes.iter().find(|p| p.program.admin == admin);
        let mut found = Endpoints::new();
        for file in endpoints(&self.topology, cluster, pod) {
            told(&file.content, &mut found);
        }
        let answer = match process.is_some_and(|process| process.is_responsive()) {
            true => self.http.get(admin, "/clusters?format=json", None),
            false => Err(Error::NotDone("it is not running".into())),
        };
        let held = answer.map_err(|error| error.to_string()).and_then(|answer| {
            serde_json::from_str::<Value>(&answer.body)
                .map_err(|error| usage::json::problem(&error))
        });
        if let Ok(page) = &held {
            held_by(page, &mut found);
        }
        let name = process.map(|process| process.program.name.clone());
        EnvoyState {
            name: name.unwrap_or_else(|| format!("{}/{}", cluster.name, pod.label)),
            limits: held.as_ref().map(limits).unwrap_or_default(),
            silent: held.err(),
            endpoints: found.into_values().collect(),
        }
    }
}

fn entry<'a>(
    all: &'a mut Endpoints,
    cluster: &str,
    address: &Value,
    locality: &Value,
) -> &'a mut EndpointState {
    let socket = &address["socket_address"];
    let address = format!("{}:{}", socket["address"].as_str().unwrap_or("?"), socket["port_value"]);
    let part = |name: &str| locality[name].as_str().unwrap_or_default();
    let locality = format!("{}/{}", part("region"), part("zone"));
    let key = (cluster.to_owned(), address.clone(), locality.clone());
    all.entry(key).or_insert_with(|| EndpointState {
        cluster: cluster.to_owned(),
        address,
        locality,
        told: None,
        held: None,
        health: "unknown".into(),
        sent: 0,
        failed: 0,
    })
}

/// Adds the endpoints of a configuration file.
fn told(content: &Value, all: &mut Endpoints) {
    let assignment = &content["resources"][0];
    let cluster = assignment["cluster_name"].as_str().unwrap_or_default();
    for group in array(&assignment["endpoints"]) {
        for endpoint in array(&group["lb_endpoints"]) {
            let found = entry(all, cluster, &endpoint["endpoint"]["address"], &group["locality"]);
            found.told = Some(Place {
                weight: endpoint["load_balancing_weight"].as_u64().unwrap_or(1),
                priority: group["priority"].as_u64().unwrap_or(0),
            });
        }
    }
}

/// The services in an Envoy's `/clusters`, without the application behind the sidecar and the
/// Envoy itself.
fn outbound(page: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = array(&page["cluster_statuses"]).iter();
    let named = all.map(|cluster| (cluster["name"].as_str().unwrap_or_default(), cluster));
    named.filter(|(name, _)| name.starts_with("outbound"))
}

/// The limits in an Envoy's `/clusters`.
fn limits(page: &Value) -> Vec<LimitsState> {
    let set = |(name, cluster): (&str, &Value)| {
        // The other threshold is for requests of high priority, which Istio does not use.
        let default = array(&cluster["circuit_breakers"]["thresholds"]).first()?;
        let set = default.as_object()?.iter().filter_map(|(name, value)| {
            let value = value.as_u64().filter(|value| *value < u64::from(u32::MAX))?;
            Some((name.clone(), value))
        });
        let limits: BTreeMap<_, _> = set.collect();
        (!limits.is_empty()).then(|| LimitsState { cluster: name.to_owned(), limits })
    };
    let mut all: Vec<_> = outbound(page).filter_map(set).collect();
    all.sort_by(|one, other| one.cluster.cmp(&other.cluster));
    all
}

/// Adds the endpoints of an Envoy's `/clusters`.
fn held_by(page: &Value, all: &mut Endpoints) {
    for (name, cluster) in outbound(page) {
        for host in array(&cluster["host_statuses"]) {
            let found = entry(all, name, &host["address"], &host["locality"]);
            found.held = Some(Place {
                weight: host["weight"].as_u64().unwrap_or(1),
                priority: host["priority"].as_u64().unwrap_or(0),
            });
            found.health = health(&host["health_status"]);
            let count = |name: &str| {
                let all = array(&host["stats"]).iter();
                let one = all.filter(|stat| stat["name"] == name).find_map(|stat| {
                    let value = &stat["value"];
                    value.as_u64().or_else(|| value.as_str()?.parse().ok())
                });
                one.unwrap_or(0)
            };
            (found.sent, found.failed) = match count("rq_total") {
                0 => (count("cx_total"), count("cx_connect_fail")),
                requests => (requests, count("rq_error")),
            };
        }
    }
}

fn health(status: &Value) -> String {
    for (flag, word) in [
        ("failed_outlier_check", "ejected"),
        ("failed_active_health_check", "failed health check"),
        ("pending_dynamic_removal", "removed"),
    ] {
        if status[flag] == true {
            return word.into();
        }
    }
    match status["eds_health_status"].as_str() {
        None | Some("HEALTHY" | "UNKNOWN") => "healthy".into(),
        Some(other) => other.to_lowercase(),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The state as text: ended, frozen and throttled processes first, then settings, then a
/// table per Envoy.
#[must_use]
pub fn text(state: &State) -> String {
    let mut text = String::new();
    for process in state.processes.iter().filter(|process| process.state != "runs") {
        let _ = writeln!(text, "{}: {}", process.name, process.state);
    }
    for (one, other) in &state.cuts {
        let _ = writeln!(text, "{one} and {other}: cut");
    }
    for of in state.clusters.iter().chain(&state.services) {
        for setting in &of.settings {
            let _ = writeln!(text, "{}: {setting}", of.name);
        }
    }
    for envoy in &state.envoys {
        let _ = writeln!(text, "{}", envoy.name);
        if let Some(why) = &envoy.silent {
            let _ = writeln!(text, "  does not answer: {why}");
        }
        let mut last = "";
        for endpoint in &envoy.endpoints {
            if endpoint.cluster != last {
                let limits = envoy.limits.iter().find(|of| of.cluster == endpoint.cluster);
                let limits = limits.map(|of| limits_text(&of.limits)).unwrap_or_default();
                let _ = writeln!(text, "  {}{limits}", endpoint.cluster);
                last = &endpoint.cluster;
            }
            let EndpointState { address, locality, health, sent, failed, .. } = endpoint;
            let same = if endpoint.told == endpoint.held {
                ""
            } else {
                "  ← differs from the configuration"
            };
            let _ = writeln!(
                text,
                "    {address:<20} {locality:<24} configured {:<12} used {:<12} {health:<8} \
                 sent {sent}, failed {failed}{same}",
                place(endpoint.told),
                place(endpoint.held),
            );
        }
    }
    text
}

/// ` (limits: connections 1, pending requests 2)`.
fn limits_text(limits: &BTreeMap<String, u64>) -> String {
    let all = limits.iter().map(|(name, most)| {
        format!("{} {most}", name.trim_start_matches("max_").replace('_', " "))
    });
    format!(" (limits: {})", all.collect::<Vec<_>>().join(", "))
}

/// `w1 p0`, or a dash.
fn place(place: Option<Place>) -> String {
    place.map_or_else(|| "–".into(), |place| format!("w{} p{}", place.weight, place.priority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn address(last: u8, port: u16) -> Value {
        let address = format!("127.10.{last}.3");
        json!({ "socket_address": { "address": address, "port_value": port } })
    }

    #[test]
    fn what_is_held_stands_beside_what_was_told() {
        let mut all = Endpoints::new();
        let locality = json!({ "region": "r", "zone": "z" });
        let one = |weight: u64, last: u8| {
            json!({ "endpoint": { "address": address(last, 8080) },
            "load_balancing_weight": weight })
        };
        told(
            &json!({ "resources": [{ "cluster_name": "outbound|8080||e", "endpoints": [
                { "locality": locality, "priority": 1, "lb_endpoints": [one(3, 1), one(1, 2)] },
            ] }] }),
            &mut all,
        );
        held_by(
            &json!({ "cluster_statuses": [
                { "name": "inbound|8080||", "host_statuses": [{ "address": address(9, 1) }] },
                { "name": "outbound|8080||e", "host_statuses": [
                    { "address": address(1, 8080), "locality": locality, "weight": 2,
                      "priority": 1,
                      "health_status": { "failed_outlier_check": true,
                                         "eds_health_status": "HEALTHY" },
                      "stats": [{ "name": "rq_total", "value": "7" },
                                { "name": "rq_error", "value": 2 }] },
                ] },
            ] }),
            &mut all,
        );
        let all: Vec<_> = all.into_values().collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].told, Some(Place { weight: 3, priority: 1 }));
        assert_eq!(all[0].held, Some(Place { weight: 2, priority: 1 }));
        assert_eq!((all[0].health.as_str(), all[0].sent, all[0].failed), ("ejected", 7, 2));
        assert_eq!((all[1].held, all[1].health.as_str()), (None, "unknown"));

        let limits = vec![LimitsState {
            cluster: "outbound|8080||e".into(),
            limits: BTreeMap::from([("max_pending_requests".into(), 2)]),
        }];
        let name = "kops/client sidecar".into();
        let envoy = EnvoyState { name, silent: None, limits, endpoints: all };
        let process =
            |name: &str, state: &str| ProcessState { name: name.into(), state: state.into() };
        let processes = vec![process("gke1/echo2 app", "ended"), process("kops/x", "runs")];
        let settings = vec!["balancer random".to_owned(), "retries 0".to_owned()];
        let services = vec![SettingsState { name: "e".into(), settings }];
        let settings = vec!["remote-secret gke1 off".to_owned()];
        let clusters = vec![SettingsState { name: "kops".into(), settings }];
        let shown = text(&State {
            processes,
            clusters,
            services,
            envoys: vec![envoy],
            cuts: vec![("a".into(), "b".into())],
        });
        let mut lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "gke1/echo2 app: ended");
        assert_eq!(lines.remove(1), "a and b: cut");
        assert_eq!(lines.remove(1), "kops: remote-secret gke1 off");
        assert_eq!(lines.drain(1..3).collect::<Vec<_>>(), ["e: balancer random", "e: retries 0"]);
        assert_eq!(
            lines[1..3],
            ["kops/client sidecar", "  outbound|8080||e (limits: pending requests 2)"]
        );
        assert!(
            lines[3].contains("configured w3 p1") && lines[3].contains("used w2 p1"),
            "{shown}"
        );
        assert!(
            lines[3].contains("ejected") && lines[3].ends_with("← differs from the configuration"),
            "{shown}"
        );
        assert!(lines[4].contains("used –"), "{shown}");
    }

    #[test]
    fn only_limits_that_are_set_are_shown() {
        let most = u32::MAX;
        let of = |name: &str, connections: u32| {
            json!({ "name": name, "circuit_breakers": { "thresholds": [
                { "max_connections": connections, "max_requests": most, "priority": "DEFAULT" },
                { "max_connections": 1024, "priority": "HIGH" },
            ] } })
        };
        let page = json!({ "cluster_statuses": [
            of("outbound|8080||a", 3), of("outbound|8080||b", most), of("inbound|8080||", 3),
        ] });
        let expected = BTreeMap::from([("max_connections".to_owned(), 3)]);
        let found = limits(&page);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].cluster.as_str(), &found[0].limits), ("outbound|8080||a", &expected));
    }
}
