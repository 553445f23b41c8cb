//! Listeners, one per role. Their statistics have the names of a real mesh, where listeners
//! bind to `0.0.0.0`.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use super::access_log::access_log;
use super::cluster::PASSTHROUGH;
use super::http;
use super::message::{socket, typed};
use super::tls::{self, ISTIO_ALPNS};
use crate::topology::{EAST_WEST_PORT, Pod, SERVICE_PORT, Service, Topology};

/// Takes requests from outside and routes them by host and path.
pub(super) fn ingress(topology: &Topology, pod: &Pod, files: &Path) -> Value {
    let filters = json!([http::ingress_manager(topology.ingress_port, files)]);
    let chains = json!([{ "filters": filters, "transport_socket_connect_timeout": HANDSHAKE }]);
    listener(pod, topology.ingress_port, "outbound", &chains)
}

/// Takes the requests of a client pod, which iptables would redirect to it in a real mesh.
/// There, what is not HTTP is passed on to its address, which is not known here: the
/// connection is closed.
pub(super) fn outbound(pod: &Pod, files: &Path) -> Value {
    let chains = json!([{
        "filter_chain_match": {
            "transport_protocol": "raw_buffer",
            "application_protocols": ["http/1.1", "h2c"],
        },
        "filters": [http::outbound_manager(files)],
        "transport_socket_connect_timeout": HANDSHAKE,
    }]);
    let inspector =
        typed("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", json!({}));
    let mut listener = patient(listener(pod, SERVICE_PORT, "outbound", &chains));
    listener["listener_filters"] = json!([
        { "name": "envoy.filters.listener.http_inspector", "typed_config": inspector },
    ]);
    listener["default_filter_chain"] = json!({
        "name": "PassthroughFilterChain",
        "filter_chain_match": {},
        "filters": [tcp_proxy(PASSTHROUGH, files)],
    });
    listener
}

/// Takes the requests to a pod and passes them to the application.
pub(super) fn inbound(service: &Service, pod: &Pod, app: Ipv4Addr, files: &Path) -> Value {
    let filters = json!([http::inbound_manager(app, files)]);
    let chains = tls::server_chains(service, &filters, files);
    patient(inspecting(listener(pod, SERVICE_PORT, "inbound", &chains)))
}

/// Passes mTLS through by server name, without terminating it: `AUTO_PASSTHROUGH`. Connections
/// with another server name are closed.
pub(super) fn east_west(topology: &Topology, pod: &Pod, files: &Path) -> Value {
    let services = topology.services.iter();
    let names =
        services.flat_map(|service| topology.parts(service).map(move |subset| service.sni(subset)));
    let chains: Vec<_> = names
        .map(|name| {
            json!({
                "filter_chain_match": {
                    "server_names": [name],
                    "application_protocols": ISTIO_ALPNS,
                },
                "filters": [tcp_proxy(&name, files)],
                "transport_socket_connect_timeout": HANDSHAKE,
            })
        })
        .collect();
    inspecting(listener(pod, EAST_WEST_PORT, "outbound", &json!(chains)))
}

/// Passes bytes on to an Envoy cluster.
fn tcp_proxy(cluster: &str, files: &Path) -> Value {
    let proxy = typed(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        json!({
            "stat_prefix": cluster,
            "cluster": cluster,
            "access_log": [access_log(TCP_FORMAT, files)],
        }),
    );
    json!({ "name": "envoy.filters.network.tcp_proxy", "typed_config": proxy })
}

/// The time that a client has for the TLS handshake.
const HANDSHAKE: &str = "15s";

const TCP_FORMAT: &str = "[%START_TIME%] %RESPONSE_FLAGS% sni=%REQUESTED_SERVER_NAME% \
    from=%DOWNSTREAM_REMOTE_ADDRESS% to=%UPSTREAM_HOST% sent=%BYTES_SENT% \
    received=%BYTES_RECEIVED% ms=%DURATION% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n";

fn listener(pod: &Pod, port: u16, direction: &str, chains: &Value) -> Value {
    json!({
        "name": format!("{}_{port}", pod.address),
        "stat_prefix": format!("0.0.0.0_{port}"),
        "address": socket(&pod.address, port),
        "traffic_direction": direction.to_uppercase(),
        // A second process on this port must fail instead of sharing it.
        "enable_reuse_port": false,
        "max_connections_to_accept_per_socket_event": 1,
        "filter_chains": chains,
    })
}

/// Adds the inspector that filter chains are matched by. Without it, no TLS chain matches,
/// and Envoy reports no error.
fn inspecting(mut listener: Value) -> Value {
    let inspector = typed(
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        json!({ "initial_read_buffer_size": 512 }),
    );
    listener["listener_filters"] = json!([
        { "name": "envoy.filters.listener.tls_inspector", "typed_config": inspector },
    ]);
    listener
}

/// Waits for the first bytes of a connection as long as the client does.
fn patient(mut listener: Value) -> Value {
    listener["listener_filters_timeout"] = "0s".into();
    listener["continue_on_listener_filters_timeout"] = true.into();
    listener
}
