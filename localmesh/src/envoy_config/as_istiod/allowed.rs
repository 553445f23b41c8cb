//! What may differ from istiod.

/// A part of a line about a difference, and why it may differ.
type Allowed = (&'static str, &'static str);

pub(super) const ALLOWED: &[Allowed] = &[
    // No iptables: every listener has an address and the port of its service.
    ("listeners/OUTBOUND/name: ", NO_IPTABLES),
    ("listeners/INBOUND/name: ", NO_IPTABLES),
    ("listeners/OUTBOUND/bind_to_port: ", NO_IPTABLES),
    ("listeners/INBOUND/address/socket_address: istiod \"an address, port 15006\"", NO_IPTABLES),
    ("filter_chain_match/destination_port: istiod 8080, localmesh –", NO_IPTABLES),
    ("listener_filters/envoy.filters.listener.original_dst/", NO_IPTABLES),
    ("envoy.filters.listener.tls_inspector/filter_disabled/", NO_IPTABLES),
    ("/http_filters/envoy.filters.http.set_filter_state/", "what iptables would know"),
    ("/enable_reuse_port: ", "a second process on the port must fail instead of sharing it"),
    (
        "server-sidecar: listeners/INBOUND/listener_filters/envoy.filters.listener.http_inspector/",
        "istiod switches it off for port 8080, the only one here",
    ),
    (
        "client-sidecar: listeners/OUTBOUND/max_connections_to_accept_per_socket_event: istiod –",
        "in Istio, another listener accepts the connections, with the same limit",
    ),
    (
        "virtual_hosts/echo1.istio-disabled.svc.cluster.local:8080/domains: ",
        "the client stands for pods of all namespaces, so the short names of all services work; \
         its own address stands for that of the services in its namespace",
    ),
    // Statistics and logs.
    ("/alt_stat_name: ", "statistics: Istio's names end with ';', which its Envoy cuts off"),
    ("listeners/OUTBOUND/stat_prefix: istiod –", "statistics: the address that Istio's have"),
    ("listeners/INBOUND/stat_prefix: istiod –", "statistics: the address that Istio's have"),
    ("/http_filters/envoy.filters.http.grpc_stats/", "statistics only"),
    ("/access_log/", "istiod's were left out of the files; localmesh has a format of its own"),
    // Without effect.
    ("/http_filters/envoy.filters.http.cors/", "acts only with a CORS policy"),
    ("/http_filters/envoy.filters.http.fault/", "acts only with a fault in a VirtualService"),
    ("/typed_config/http_protocol_options: istiod {}, localmesh –", "Envoy's default"),
    ("clusters/outbound_.8080_._.echo1.istio-disabled.svc.cluster.local/type: ", NO_PODS),
    (
        "clusters/outbound_.8080_._.echo1.istio-disabled.svc.cluster.local/eds_cluster_config/",
        NO_PODS,
    ),
    ("endpoints/outbound_.8080_._.echo1.istio-disabled.svc.cluster.local/", NO_PODS),
    (
        "/validation_context_sds_secret_config/sds_config: ",
        "Envoy restarts when roots change; that takes no watched file",
    ),
    // Stock Envoy.
    (
        "/common_tls_context/alpn_protocols: istiod [\"istio\"]",
        "in Istio, the filter istio.alpn chooses the ALPN for each request; stock Envoy lacks it",
    ),
];

const NO_IPTABLES: &str = "no iptables: a listener has the address of its pod";
const NO_PODS: &str = "istiod sends an empty list to gateways; here, that takes no watched file";
