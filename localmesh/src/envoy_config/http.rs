//! HTTP: connection managers and routes, with the defaults of Istio.

use std::path::Path;

use serde_json::{Value, json};

use super::listener::access_log;
use super::typed;
use crate::topology::{Cluster, Pod, SERVICE_PORT, Service, Topology};

/// Istio's default: what surely did not reach an application is tried again,
/// twice, elsewhere. A 503 is not.
fn retries() -> Value {
    let elsewhere =
        typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", json!({}));
    json!({
        "retry_on":
            "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "num_retries": 2,
        "retry_host_predicate": [
            { "name": "envoy.retry_host_predicates.previous_hosts", "typed_config": elsewhere },
        ],
        "host_selection_retry_max_attempts": "5",
    })
}

/// What an ingress gateway routes: `/echo2…` of its public name to the service
/// `echo2`, with and without a port in the name.
pub(super) fn ingress_routes(topology: &Topology, home: &Cluster) -> Value {
    let routes: Vec<_> = topology
        .services
        .iter()
        .map(|service| route(&format!("/{}", service.name), &service.outbound(), retries()))
        .collect();
    routing(
        &format!("http.{}", topology.ingress_port),
        &[virtual_host(&home.host, std::slice::from_ref(&home.host), &routes)],
    )
}

/// What a client's sidecar routes: every service, by each of its names.
pub(super) fn outbound_routes(topology: &Topology, pod: &Pod) -> Value {
    let of_address = topology.services.iter().find(|s| s.namespace == pod.namespace);
    let hosts: Vec<_> = topology
        .services
        .iter()
        .map(|service| {
            let Service { name, namespace, .. } = service;
            let mut domains = vec![
                service.host(),
                format!("{name}.{namespace}.svc"),
                format!("{name}.{namespace}"),
                // Resolvable by this name only in the same namespace in
                // Kubernetes; here the names of all services differ.
                name.clone(),
            ];
            if of_address == Some(service) {
                domains.push(pod.address.to_string());
            }
            let routes = [route("/", &service.outbound(), retries())];
            virtual_host(&format!("{}:{SERVICE_PORT}", service.host()), &domains, &routes)
        })
        .collect();
    routing(&SERVICE_PORT.to_string(), &hosts)
}

fn inbound_routes() -> Value {
    let cluster = format!("inbound|{SERVICE_PORT}||");
    // Istio since 1.24: retried here is only what was not sent at all, such as on
    // a kept connection that the application closed. With the application dead it
    // makes the 503 slow (some 40 ms), and LEAST_REQUEST avoids what is slow: of
    // parallel requests fewer than half fail, of sequential ones half.
    let retries = json!({ "retry_on": "reset-before-request", "num_retries": 2 });
    let routes = [route("/", &cluster, retries)];
    let mut host = virtual_host(&format!("inbound|http|{SERVICE_PORT}"), &["*".into()], &routes);
    // The attempts that the application reads are those of the client's sidecar.
    host["include_request_attempt_count"] = false.into();
    routing(&cluster, &[host])
}

/// The manager of an ingress gateway: the first hop, so it believes no header
/// about where a request came from.
pub(super) fn ingress_manager(port: u16, routes: &Value, files: &Path) -> Value {
    let mut fields = manager(&format!("outbound_0.0.0.0_{port}"), routes, files);
    fields["use_remote_address"] = true.into();
    fields["forward_client_cert_details"] = "SANITIZE_SET".into();
    fields["set_current_client_cert_details"] = client_certificate_details();
    filter(fields)
}

/// The manager of a client's sidecar.
pub(super) fn outbound_manager(routes: &Value, files: &Path) -> Value {
    filter(manager(&format!("outbound_0.0.0.0_{SERVICE_PORT}"), routes, files))
}

/// The manager of a server's sidecar: adds who called to the headers.
pub(super) fn inbound_manager(files: &Path) -> Value {
    let mut fields = manager(&format!("inbound_0.0.0.0_{SERVICE_PORT}"), &inbound_routes(), files);
    fields["forward_client_cert_details"] = "APPEND_FORWARD".into();
    fields["set_current_client_cert_details"] = client_certificate_details();
    filter(fields)
}

const FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% \
    %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
    host=%REQ(:AUTHORITY)% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% to=%UPSTREAM_HOST% \
    ms=%DURATION% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n";

fn manager(stat_prefix: &str, routes: &Value, files: &Path) -> Value {
    let router = typed("envoy.extensions.filters.http.router.v3.Router", json!({}));
    json!({
        "stat_prefix": stat_prefix,
        "route_config": routes,
        "use_remote_address": false,
        "server_name": "istio-envoy",
        "normalize_path": true,
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

fn route(prefix: &str, cluster: &str, retries: Value) -> Value {
    json!({
        "match": { "prefix": prefix },
        "route": {
            "cluster": cluster,
            "timeout": "0s",
            "max_stream_duration": { "max_stream_duration": "0s", "grpc_timeout_header_max": "0s" },
            "retry_policy": retries,
        },
    })
}
