//! A real Envoy with a configuration of the test's own, and what prober says about it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{self, Background, Said, command, finish};

/// The name under which the configurations accept requests, as Istio's clusters have it.
pub(crate) const SERVICE: &str = "echo2.ns.svc.cluster.local";

/// Envoy's name of Istio's cluster for a subset of the service.
pub(crate) fn subset(name: &str) -> String {
    format!("outbound|8080|{name}|{SERVICE}")
}

pub(crate) struct Envoy {
    /// `http://127.0.0.1:PORT`.
    pub(crate) admin: String,
    /// Of each listener.
    ports: BTreeMap<String, u16>,
    _process: Background,
    _folder: tempfile::TempDir,
}

/// Where an Envoy came from: of Istio's client, or not of Istio.
pub(crate) const ISTIO: &str = "sidecar~10.0.0.7~client-1.ns~ns.svc.cluster.local";

impl Envoy {
    pub(crate) fn start(listeners: Vec<Value>, clusters: Vec<Value>) -> Self {
        Self::with(listeners, clusters, json!({}))
    }

    /// With more of the bootstrap configuration.
    pub(crate) fn with(listeners: Vec<Value>, clusters: Vec<Value>, more: Value) -> Self {
        let installed = harness::workspace().join(localmesh::envoy::INSTALLED);
        let found = localmesh::envoy::Envoy::find(installed.is_file().then_some(&*installed));
        let envoy = found.expect("`make envoy` was run").path;
        let folder = tempfile::tempdir().expect("a folder");
        let (file, admin) = (folder.path().join("envoy.json"), folder.path().join("admin"));
        let mut config = json!({
            "node": { "id": "envoy", "cluster": "test" },
            "admin": { "address": address(0) },
            "static_resources": { "listeners": listeners, "clusters": clusters },
        });
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        fs::write(&file, config.to_string()).expect("written");
        let mut process = Background::start(
            Command::new(envoy)
                .args(["--disable-hot-restart", "--concurrency", "1", "-l", "error", "-c"])
                .arg(&file)
                .arg("--admin-address-path")
                .arg(&admin),
        );
        let ready = harness::wait_until("Envoy is ready", || {
            assert!(!process.has_ended(), "Envoy refuses it:\n{}\n{config:#}", process.said());
            let admin = format!("http://{}", fs::read_to_string(&admin).ok()?.trim());
            (get(&admin, "ready")? == "LIVE\n").then_some(admin)
        });
        let page = get(&ready, "listeners?format=json").expect("a page");
        let page: Value = serde_json::from_str(&page).expect("JSON");
        let port = |listener: &Value| {
            let port = listener["local_address"]["socket_address"]["port_value"].as_u64()?;
            Some((listener["name"].as_str()?.to_owned(), u16::try_from(port).ok()?))
        };
        let listeners = page["listener_statuses"].as_array().expect("listeners");
        let ports = listeners.iter().map(|one| port(one).expect("a port")).collect();
        Self { admin: ready, ports, _process: process, _folder: folder }
    }

    pub(crate) fn port(&self, listener: &str) -> u16 {
        self.ports[listener]
    }

    /// 20 requests to a listener, explained by this Envoy.
    pub(crate) fn explained(&self, listener: &str, path: &str) -> Explained {
        self.explained_with(listener, path, &["-n", "20", "-c", "1"])
    }

    /// The same with other flags.
    pub(crate) fn explained_with(&self, listener: &str, path: &str, more: &[&str]) -> Explained {
        let to = format!("::127.0.0.1:{}", self.port(listener));
        let url = format!("http://echo2:8080{path}");
        let mut prober = command("prober");
        prober.args(["-t", &url, "--connect-to", &to]);
        prober.args(["--explain", "--envoy-admin", &self.admin, "-o", "json"]).args(more);
        Explained::of(&finish(&mut prober))
    }
}

fn get(admin: &str, path: &str) -> Option<String> {
    let said = finish(
        Command::new("curl")
            .args(["--silent", "--noproxy", "*", "--max-time", "5"])
            .arg(format!("{admin}/{path}")),
    );
    (said.code == 0).then_some(said.stdout)
}

/// The explanation of a report.
#[derive(Debug)]
pub(crate) struct Explained {
    report: Value,
}

impl Explained {
    fn of(said: &Said) -> Self {
        Self { report: super::super::reports::schema::valid(said) }
    }

    fn lines(&self, list: &str) -> Vec<Value> {
        self.report["rows"][0]["explanation"][list].as_array().expect("a list").clone()
    }

    /// Cause, layer, and how many requests, the worst first.
    pub(crate) fn causes(&self) -> Vec<(String, String, u64)> {
        let word = |value: &Value| value.as_str().expect("a word").to_owned();
        let told = |finding: Value| {
            let requests = finding["requests"].as_u64().expect("a number");
            (word(&finding["cause"]), word(&finding["layer"]), requests)
        };
        self.lines("findings").into_iter().map(told).collect()
    }

    /// Asserts one finding, and returns its evidence and next step.
    #[track_caller]
    pub(crate) fn only(&self, cause: &str, layer: &str, requests: u64) -> String {
        assert_eq!(self.causes(), [(cause.to_owned(), layer.to_owned(), requests)], "{self:#?}");
        let finding = &self.lines("findings")[0];
        format!("{} -> {}", finding["evidence"], finding["next"])
    }

    /// The causes again, of the report alone.
    pub(crate) fn again(&self) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("run.json");
        fs::write(&file, self.report.to_string()).expect("written");
        harness::run("prober", [Path::new("explain-run"), &file]).stdout
    }

    pub(crate) fn unknown(&self) -> Vec<String> {
        let lines = self.lines("unknown").into_iter();
        lines.map(|line| line.as_str().expect("a line").to_owned()).collect()
    }
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// A cluster with endpoints at these ports; `more` is merged into it.
pub(crate) fn cluster(name: &str, ports: &[u16], more: Value) -> Value {
    let ends: Vec<_> =
        ports.iter().map(|port| json!({ "endpoint": { "address": address(*port) } })).collect();
    let mut cluster = json!({
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": ends }] },
    });
    for (key, value) in more.as_object().expect("an object") {
        cluster[key] = value.clone();
    }
    cluster
}

fn typed(name: &str, mut config: Value) -> Value {
    config["@type"] = format!("type.googleapis.com/envoy.extensions.{name}").into();
    config
}

/// A filter: its type, such as `filters.http.rbac.v3.RBAC`, and its configuration.
pub(crate) fn filter(kind: &str, config: Value) -> Value {
    json!({ "name": kind, "typed_config": typed(kind, config) })
}

/// How a cluster speaks HTTP to its endpoints.
pub(crate) fn protocol(options: Value) -> Value {
    let kind = "upstreams.http.v3.HttpProtocolOptions";
    let name = format!("envoy.extensions.{kind}");
    json!({ "typed_extension_protocol_options": { name: typed(kind, options) } })
}

pub(crate) fn http2() -> Value {
    protocol(json!({ "explicit_http_config": { "http2_protocol_options": {} } }))
}

/// A connection manager and what it does with requests.
pub(crate) struct Listener {
    name: String,
    manager: Value,
    network_filters: Vec<Value>,
}

impl Listener {
    /// All requests go to this route: `cluster`, or more of Envoy's `RouteAction`.
    pub(crate) fn to(name: &str, route: Value) -> Self {
        let routes = json!([{ "match": { "prefix": "/" }, "route": route }]);
        let manager = json!({
            "stat_prefix": name,
            "route_config": {
                "validate_clusters": false,
                "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }],
            },
            "http_filters": [filter("filters.http.router.v3.Router", json!({}))],
        });
        Self { name: name.to_owned(), manager, network_filters: Vec::new() }
    }

    /// With a filter before the router.
    pub(crate) fn filtered(mut self, filter: Value) -> Self {
        let filters = self.manager["http_filters"].as_array_mut().expect("filters");
        filters.insert(0, filter);
        self
    }

    /// With a filter before the connection manager.
    pub(crate) fn behind(mut self, filter: Value) -> Self {
        self.network_filters.push(filter);
        self
    }

    /// With a field of the connection manager.
    pub(crate) fn set(mut self, field: &str, value: Value) -> Self {
        self.manager[field] = value;
        self
    }

    /// With only these routes.
    pub(crate) fn routes(mut self, routes: Value) -> Self {
        self.manager["route_config"]["virtual_hosts"][0]["routes"] = routes;
        self
    }

    pub(crate) fn made(self) -> Value {
        let kind = "filters.network.http_connection_manager.v3.HttpConnectionManager";
        let mut filters = self.network_filters;
        filters.push(filter(kind, self.manager));
        json!({
            "name": self.name, "address": address(0), "filter_chains": [{ "filters": filters }],
        })
    }
}
