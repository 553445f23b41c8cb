//! The configuration of each Envoy: topology → bootstrap, listeners, routes, clusters,
//! endpoints and secrets as JSON. Pure; golden files in `tests/golden` hold the result, and
//! `as_istiod` compares it with that of a real istiod. Differs on purpose: files replaced by
//! rename instead of an xDS server; an address per listener instead of iptables; the ALPN of
//! mTLS on the cluster, because stock Envoy lacks the filter `istio.alpn`; no telemetry.

mod access_log;
mod cluster;
mod endpoints;
mod http;
mod listener;
mod message;
mod tls;

use std::path::Path;

use serde_json::{Value, json};

use crate::topology::{Cluster, Pod, Role, Topology};

use http::ROUTES;
use message::{file_source, socket, typed};

pub(crate) use endpoints::endpoints;
pub(crate) use message::ConfigFile;
pub(crate) use tls::{certificate, certificate_file, roots_file};

const LISTENERS: &str = "lds.json";
const CLUSTERS: &str = "cds.json";

/// All files that the Envoy in `pod` watches, except secrets, in the order in which istiod
/// sends them: endpoints before the clusters that need them, routes last. Empty for a pod
/// without an Envoy.
#[must_use]
pub(crate) fn dynamic(
    topology: &Topology,
    home: &Cluster,
    pod: &Pod,
    files: &Path,
) -> Vec<ConfigFile> {
    let Some(told) = resources(topology, home, pod, files) else { return Vec::new() };
    let resources = |message: &str, list: Vec<Value>| {
        let list: Vec<_> = list.into_iter().map(|fields| typed(message, fields)).collect();
        json!({ "resources": list })
    };
    let mut all = endpoints(topology, home, pod);
    all.push(ConfigFile {
        name: CLUSTERS.into(),
        content: resources("envoy.config.cluster.v3.Cluster", told.clusters),
        statistics: "cluster_manager.cds".into(),
    });
    if !listener_stays(pod) {
        all.push(ConfigFile {
            name: LISTENERS.into(),
            content: resources("envoy.config.listener.v3.Listener", vec![told.listener]),
            statistics: "listener_manager.lds".into(),
        });
    }
    all.extend(told.routes.map(|routes| ConfigFile {
        name: ROUTES.into(),
        content: resources("envoy.config.route.v3.RouteConfiguration", vec![routes.table]),
        statistics: routes.statistics,
    }));
    all
}

/// The bootstrap of the Envoy in `pod`, which reads its files from the directory `files` and
/// writes its access log there. `None` for a pod without an Envoy.
#[must_use]
pub(crate) fn bootstrap(
    topology: &Topology,
    home: &Cluster,
    pod: &Pod,
    files: &Path,
) -> Option<Value> {
    let told = resources(topology, home, pod, files)?;
    let mut fixed = json!({});
    let mut watched = json!({ "cds_config": file_source(&files.join(CLUSTERS)) });
    if listener_stays(pod) {
        fixed["listeners"] = json!([told.listener]);
    } else {
        watched["lds_config"] = file_source(&files.join(LISTENERS));
    }
    // An east-west gateway does not terminate TLS.
    if pod.role != Role::EastWestGateway {
        fixed["secrets"] = json!([tls::roots(files)]);
    }
    let kind = match pod.role {
        Role::IngressGateway | Role::EastWestGateway => "router",
        Role::Echo { .. } | Role::Client => "sidecar",
    };
    let Pod { name, namespace, account, address, .. } = pod;
    Some(json!({
        "node": {
            "id": format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
            "cluster": format!("{account}.{namespace}"),
            "locality": { "region": pod.locality.region, "zone": pod.locality.zone },
            "metadata": {
                "CLUSTER_ID": home.name,
                "NETWORK": home.network,
                "NAME": name,
                "NAMESPACE": namespace,
                "SERVICE_ACCOUNT": account,
            },
        },
        "admin": { "address": socket(pod.envoy_admin().ip(), pod.envoy_admin().port()) },
        "overload_manager": { "resource_monitors": [unlimited_connections()] },
        "static_resources": fixed,
        "dynamic_resources": watched,
    }))
}

/// Whether no action changes the listener: only those of servers and east-west gateways change.
/// It is then not in a watched file: each needs an inotify instance, of which a user has 128.
fn listener_stays(pod: &Pod) -> bool {
    matches!(pod.role, Role::IngressGateway | Role::Client)
}

struct Resources {
    listener: Value,
    clusters: Vec<Value>,
    routes: Option<http::Routes>,
}

/// The listener, clusters and routes of `pod`, by its role.
fn resources(topology: &Topology, home: &Cluster, pod: &Pod, files: &Path) -> Option<Resources> {
    let topology = &*topology.configured_by(home);
    let outbound = || -> Vec<_> {
        let services = topology.services.iter();
        services.flat_map(|service| cluster::outbound(topology, service, files)).collect()
    };
    Some(match &pod.role {
        Role::IngressGateway => Resources {
            listener: listener::ingress(topology, pod, files),
            clusters: outbound(),
            routes: Some(http::ingress_routes(topology, home)),
        },
        Role::Client => Resources {
            listener: listener::outbound(pod, files),
            clusters: outbound().into_iter().chain(cluster::without_service()).collect(),
            routes: Some(http::outbound_routes(topology, home, pod)),
        },
        Role::EastWestGateway => {
            let services = topology.services.iter();
            let clusters =
                services.flat_map(|service| cluster::pass_through(topology, service, files));
            Resources {
                listener: listener::east_west(topology, pod, files),
                clusters: clusters.collect(),
                routes: None,
            }
        }
        Role::Echo { service, behind_sidecar } => {
            let service = topology.services.get(*service)?;
            Resources {
                listener: listener::inbound(service, pod, (*behind_sidecar)?, files),
                clusters: vec![cluster::inbound(&service.policy.limits)],
                routes: Some(http::inbound_routes(pod)),
            }
        }
    })
}

/// Istio sets no limit; without this setting, Envoy warns at every start.
fn unlimited_connections() -> Value {
    let config = typed(
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        json!({ "max_active_downstream_connections": i32::MAX }),
    );
    json!({
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": config,
    })
}

#[cfg(test)]
mod as_istiod;
#[cfg(test)]
mod tests;
