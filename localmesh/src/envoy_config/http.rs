//! HTTP connection managers and routes, with Istio's defaults.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use super::access_log::access_log;
use super::cluster::PASSTHROUGH;
use super::message::{file_source, seconds, typed};
use crate::topology::{
    Balancer, Cluster, Destination, Fault, HashKey, INGRESS_PORT, Mirror, OutboundTraffic, Pod,
    Policy, SERVICE_PORT, Service, Topology,
};

pub(super) const ROUTES: &str = "rds.json";

/// Istio's default: requests that certainly did not reach an application are retried, if
/// `elsewhere` on another endpoint. A 503 is not retried.
fn retries(times: u32, elsewhere: bool) -> Value {
    let mut policy = json!({
        "retry_on":
            "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "num_retries": times,
        "host_selection_retry_max_attempts": "5",
    });
    if elsewhere {
        let tried = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
        policy["retry_host_predicate"] = json!([{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": typed(tried, json!({})),
        }]);
    }
    policy
}

/// Routes are in a file of their own, so that changing them closes no connection.
pub(super) struct Routes {
    pub(super) table: Value,
    /// The prefix of Envoy's statistics about its updates.
    pub(super) statistics: String,
}

impl Routes {
    fn new(manager: &str, table: Value) -> Self {
        let name = table["name"].as_str().unwrap_or_default();
        Self { statistics: format!("http.{manager}.rds.{name}"), table }
    }
}

/// The routes of an ingress gateway: `/echo2…` of its public name, with or without a port, to
/// the service `echo2`.
pub(super) fn ingress_routes(topology: &Topology, home: &Cluster) -> Routes {
    let routes: Vec<_> = topology
        .services
        .iter()
        .map(|service| {
            let prefix = format!("/{}", service.name);
            let mut route = route(&prefix, service, topology, Rule::VirtualService);
            route["name"] = service.name.as_str().into();
            route
        })
        .collect();
    let port = topology.ingress_port;
    let name = format!("{}:{INGRESS_PORT}", home.host);
    let host = virtual_host(&name, std::slice::from_ref(&home.host), &routes);
    let table = routing(&ingress_table(port), &[host]);
    Routes::new(&format!("outbound_0.0.0.0_{port}"), table)
}

fn ingress_table(port: u16) -> String {
    format!("http.{port}")
}

/// The routes of a client sidecar: every service, by each of its names, and all other hosts.
pub(super) fn outbound_routes(topology: &Topology, home: &Cluster, pod: &Pod) -> Routes {
    let of_address = topology.services.iter().find(|s| s.namespace == pod.namespace);
    let hosts: Vec<_> = topology
        .services
        .iter()
        .map(|service| {
            let Service { name, namespace, .. } = service;
            let mut domains = vec![
                service.host(),
                // istiod adds the trailing dot of an absolute name to the full name only.
                format!("{}.", service.host()),
                format!("{name}.{namespace}.svc"),
                format!("{name}.{namespace}"),
                // In Kubernetes, this name works only in the same namespace; here the names
                // of all services differ.
                name.clone(),
            ];
            if of_address == Some(service) {
                domains.push(pod.address.to_string());
            }
            let rule = match service.policy.has_virtual_service() {
                true => Rule::VirtualService,
                false => Rule::Service,
            };
            let routes = [route("/", service, topology, rule)];
            virtual_host(&format!("{}:{SERVICE_PORT}", service.host()), &domains, &routes)
        })
        .chain([other_hosts(home.outbound_traffic)])
        .collect();
    let table = routing(&SERVICE_PORT.to_string(), &hosts);
    Routes::new(&format!("outbound_0.0.0.0_{SERVICE_PORT}"), table)
}

fn other_hosts(policy: OutboundTraffic) -> Value {
    let (name, mut route) = match policy {
        OutboundTraffic::AllowAny => {
            let action = json!({ "cluster": PASSTHROUGH, "max_grpc_timeout": "0s" });
            ("allow_any", route_with("/", action))
        }
        OutboundTraffic::RegistryOnly => {
            let refused = json!({ "status": 502 });
            ("block_all", json!({ "match": { "prefix": "/" }, "direct_response": refused }))
        }
    };
    route["name"] = name.into();
    virtual_host(name, &["*".into()], &[route])
}

fn inbound_table() -> String {
    format!("inbound|{SERVICE_PORT}||")
}

/// The routes of a server sidecar: everything to the application. A fault here simulates a
/// slow or failing application.
pub(super) fn inbound_routes(pod: &Pod) -> Routes {
    // Since Istio 1.24, only requests that were not sent at all are retried here, for
    // example on a reused connection that the application closed. If the application is
    // dead, this delays the 503 by about 40 ms, and LEAST_REQUEST avoids slow endpoints:
    // half of sequential requests fail, and fewer than half of parallel ones.
    let retries = json!({ "retry_on": "reset-before-request", "num_retries": 2 });
    let mut route = route_with("/", json!({ "cluster": inbound_table() }));
    route["route"]["retry_policy"] = retries;
    route["route"]["max_stream_duration"] =
        json!({ "max_stream_duration": "0s", "grpc_timeout_header_max": "0s" });
    if let Some(fault) = &pod.fault {
        route["typed_per_filter_config"] = json!({ FAULT: faulty(fault) });
    }
    // The application sees the attempt count of the client sidecar.
    let host = json!({
        "name": format!("inbound|http|{SERVICE_PORT}"),
        "domains": ["*"],
        "routes": [route],
    });
    let table = json!({
        "name": inbound_table(),
        "virtual_hosts": [host],
        "validate_clusters": false,
    });
    Routes::new(&format!("inbound_0.0.0.0_{SERVICE_PORT}"), table)
}

/// The fault filter. It does nothing unless a route configures it.
const FAULT: &str = "envoy.filters.http.fault";

fn faulty(fault: &Fault) -> Value {
    let percentage = json!({ "numerator": fault.percent, "denominator": "HUNDRED" });
    let mut fields = json!({});
    if let Some(delay) = fault.delay {
        fields["delay"] = json!({ "fixed_delay": seconds(delay), "percentage": percentage });
    }
    if let Some(status) = fault.abort {
        fields["abort"] = json!({ "http_status": status, "percentage": percentage });
    }
    typed("envoy.extensions.filters.http.fault.v3.HTTPFault", fields)
}

/// The connection manager of an ingress gateway. As the first hop, it trusts no header about
/// the origin of a request.
pub(super) fn ingress_manager(port: u16, files: &Path) -> Value {
    let mut fields = manager(&format!("outbound_0.0.0.0_{port}"), &ingress_table(port), files);
    fields["server_name"] = SERVER.into();
    fields["use_remote_address"] = true.into();
    fields["forward_client_cert_details"] = "SANITIZE_SET".into();
    fields["set_current_client_cert_details"] = client_certificate_details();
    fields["set_current_client_cert_details"]["cert"] = true.into();
    filter(fields)
}

/// The connection manager of a client sidecar. In Istio, it alone has Envoy's default as its
/// name: `server: envoy`. A request to another host goes to the address in its URL.
pub(super) fn outbound_manager(files: &Path) -> Value {
    let table = SERVICE_PORT.to_string();
    let mut fields = manager(&format!("outbound_0.0.0.0_{SERVICE_PORT}"), &table, files);
    add_first(&mut fields, original_destination("%REQ(:AUTHORITY)%"));
    filter(fields)
}

/// The filter that says where an `ORIGINAL_DST` cluster sends a request, as IP:PORT. In
/// Kubernetes, iptables knows the address.
fn original_destination(format: &str) -> Value {
    let config = typed(
        "envoy.extensions.filters.http.set_filter_state.v3.Config",
        json!({ "on_request_headers": [{
            "object_key": "envoy.network.transport_socket.original_dst_address",
            "format_string": { "text_format_source": { "inline_string": format } },
        }] }),
    );
    json!({ "name": "envoy.filters.http.set_filter_state", "typed_config": config })
}

/// Puts a filter before the others of a connection manager.
fn add_first(manager: &mut Value, filter: Value) {
    if let Some(filters) = manager["http_filters"].as_array_mut() {
        filters.insert(0, filter);
    }
}

/// The connection manager of a server sidecar. It adds the identity of the client to the
/// headers.
pub(super) fn inbound_manager(app: Ipv4Addr, files: &Path) -> Value {
    let mut fields = manager(&format!("inbound_0.0.0.0_{SERVICE_PORT}"), &inbound_table(), files);
    let fault = typed("envoy.extensions.filters.http.fault.v3.HTTPFault", json!({}));
    let fault = json!({ "name": FAULT, "typed_config": fault });
    add_first(&mut fields, fault);
    add_first(&mut fields, original_destination(&format!("{app}:{SERVICE_PORT}")));
    fields["server_name"] = SERVER.into();
    fields["forward_client_cert_details"] = "APPEND_FORWARD".into();
    fields["set_current_client_cert_details"] = client_certificate_details();
    filter(fields)
}

/// The header `server` of gateways and server sidecars, which replaces that of the application.
const SERVER: &str = "istio-envoy";

const FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% \
    %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
    host=%REQ(:AUTHORITY)% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% to=%UPSTREAM_HOST% \
    ms=%DURATION% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n";

fn manager(stat_prefix: &str, table: &str, files: &Path) -> Value {
    let router = typed("envoy.extensions.filters.http.router.v3.Router", json!({}));
    json!({
        "stat_prefix": stat_prefix,
        "rds": {
            "route_config_name": table,
            "config_source": file_source(&files.join(ROUTES)),
        },
        "use_remote_address": false,
        "normalize_path": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        // The application says whether it wants the body, not the Envoys on the way.
        "proxy_100_continue": true,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": router }],
        "access_log": [access_log(FORMAT, files)],
    })
}

fn filter(fields: Value) -> Value {
    let config = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        fields,
    );
    json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": config })
}

fn client_certificate_details() -> Value {
    json!({ "subject": true, "dns": true, "uri": true })
}

fn routing(name: &str, hosts: &[Value]) -> Value {
    json!({
        "name": name,
        "virtual_hosts": hosts,
        "validate_clusters": false,
        "max_direct_response_body_size_bytes": 1 << 20,
        "ignore_port_in_host_matching": true,
    })
}

fn virtual_host(name: &str, domains: &[String], routes: &[Value]) -> Value {
    json!({
        "name": name,
        "domains": domains,
        "routes": routes,
        "include_request_attempt_count": true,
    })
}

/// What istiod makes a route of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Service,
    VirtualService,
}

/// A route to a service, with the weights and the mirror of a VirtualService, if there are any.
fn route(prefix: &str, service: &Service, topology: &Topology, rule: Rule) -> Value {
    let Policy { split, retries: times, mirror, balancer, .. } = &service.policy;
    let weighted: Vec<_> = split
        .iter()
        .map(|(cluster, weight)| json!({ "name": service.outbound(Some(cluster)), "weight": weight }))
        .collect();
    let mut to = match weighted.is_empty() {
        true => json!({ "cluster": service.outbound(None) }),
        false => json!({ "weighted_clusters": { "clusters": weighted } }),
    };
    if let Some(mirror) = mirror {
        to["request_mirror_policies"] = mirrored(mirror, topology).into_iter().collect();
    }
    let mut elsewhere = true;
    if let Balancer::RingHash(ring) = balancer {
        to["hash_policy"] = json!([hash_policy(&ring.key)]);
        // For a VirtualService with one destination, istiod keeps retries on the endpoint of
        // the key.
        elsewhere = rule == Rule::Service || split.len() > 1;
    }
    to["retry_policy"] = retries(*times, elsewhere);
    to["max_grpc_timeout"] = "0s".into();
    route_with(prefix, to)
}

/// Where copies of requests go. `None` if the service does not exist.
fn mirrored(mirror: &Mirror, topology: &Topology) -> Option<Value> {
    let Destination { service, subset } = &mirror.to;
    let service = topology.services.iter().find(|other| other.name == *service)?;
    let cluster = service.outbound(subset.as_deref());
    Some(json!({
        "cluster": cluster,
        "runtime_fraction": {
            "default_value": { "numerator": mirror.percent * 10_000, "denominator": "MILLION" },
        },
        "trace_sampled": false,
    }))
}

fn hash_policy(key: &HashKey) -> Value {
    match key {
        HashKey::Header(name) => json!({ "header": { "header_name": name } }),
        HashKey::Cookie { name, ttl, path } => {
            let mut cookie = json!({ "name": name });
            if let Some(ttl) = ttl {
                cookie["ttl"] = seconds(*ttl).into();
            }
            if let Some(path) = path {
                cookie["path"] = path.as_str().into();
            }
            json!({ "cookie": cookie })
        }
        HashKey::Query(name) => json!({ "query_parameter": { "name": name } }),
        HashKey::SourceIp => json!({ "connection_properties": { "source_ip": true } }),
    }
}

/// A route without a timeout.
fn route_with(prefix: &str, mut action: Value) -> Value {
    action["timeout"] = "0s".into();
    json!({ "name": "default", "match": { "prefix": prefix }, "route": action })
}
