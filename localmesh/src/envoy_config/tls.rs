//! mTLS: what clients and servers of the mesh require, and the files of their secrets.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::message::{discovery, file_source, typed};
use crate::topology::{Mtls, SERVICE_PORT, Service, TRUST_DOMAIN};

/// The ALPN names that distinguish Istio's mTLS from other TLS.
pub(super) const ISTIO_ALPNS: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// The ALPN names of a client for HTTP/1.1. The last one is for servers that do not know
/// Istio's names.
const HTTP1_ALPNS: [&str; 3] = ["istio-http/1.1", "istio", "http/1.1"];

/// What servers allow in TLS 1.2. In TLS 1.3, Envoy chooses.
const CIPHERS: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];

/// The secret with a workload's certificate and key.
pub(super) const WORKLOAD_CERTIFICATE: &str = "default";
/// The secret with the roots that verify peers.
pub(super) const PEER_ROOTS: &str = "ROOTCA";

/// The file with the secret of a workload's certificate and key, in an Envoy's directory. Envoy
/// watches it: certificates are renewed while it runs.
#[must_use]
pub(crate) fn certificate_file(files: &Path) -> PathBuf {
    files.join(format!("sds-{WORKLOAD_CERTIFICATE}.json"))
}

/// The content of that file. It contains the certificates, so that one rename replaces
/// certificate and key together.
#[must_use]
pub(crate) fn certificate(chain_pem: &str, key_pem: &str) -> Value {
    discovery(&typed(
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        json!({
            "name": WORKLOAD_CERTIFICATE,
            "tls_certificate": {
                "certificate_chain": { "inline_string": chain_pem },
                "private_key": { "inline_string": key_pem },
            },
        }),
    ))
}

/// The file with the roots that verify peers, in PEM. Envoy reads it at its start only: when
/// roots change, it restarts anyway.
#[must_use]
pub(crate) fn roots_file(files: &Path) -> PathBuf {
    files.join("roots.pem")
}

/// The secret of that file, for the bootstrap.
pub(super) fn roots(files: &Path) -> Value {
    let file = json!({ "filename": roots_file(files) });
    json!({ "name": PEER_ROOTS, "validation_context": { "trusted_ca": file } })
}

/// The transport sockets of a client: mTLS to endpoints marked `tlsMode: istio`, plaintext to
/// the others.
pub(super) fn client_matches(service: &Service, subset: Option<&str>, files: &Path) -> Value {
    let exactly = service.accepted().into_iter();
    let exactly: Vec<_> =
        exactly.map(|id| json!({ "san_type": "URI", "matcher": { "exact": id } })).collect();
    let (name, common) = (service.sni(subset), common(&HTTP1_ALPNS, &exactly, files));
    let context = typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        json!({ "sni": name, "common_tls_context": common }),
    );
    json!([
        {
            "name": "tlsMode-istio",
            "match": { "tlsMode": "istio" },
            "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": context },
        },
        {
            "name": "tlsMode-disabled",
            "match": {},
            "transport_socket": {
                "name": "envoy.transport_sockets.raw_buffer",
                "typed_config": typed(
                    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", json!({}),
                ),
            },
        },
    ])
}

/// The filter chains of a server: mTLS for clients of this trust domain with a certificate,
/// and plaintext unless the service is strict. Only beside a plaintext chain must Istio's
/// mTLS be distinguished from other TLS.
pub(super) fn server_chains(service: &Service, filters: &Value, files: &Path) -> Value {
    let domain = format!("spiffe://{TRUST_DOMAIN}/");
    let mesh = json!({ "san_type": "URI", "matcher": { "prefix": domain } });
    let mut common = common(&["h2", "http/1.1"], &[mesh], files);
    common["tls_params"]["cipher_suites"] = json!(CIPHERS);
    let context = typed(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        json!({ "require_client_certificate": true, "common_tls_context": common }),
    );
    let matched = match service.mtls {
        Mtls::Permissive => json!({
            "transport_protocol": "tls",
            "application_protocols": ISTIO_ALPNS,
        }),
        Mtls::Strict => json!({ "transport_protocol": "tls" }),
    };
    // Both, as in Istio.
    let name = format!("0.0.0.0_{SERVICE_PORT}");
    let mtls = json!({
        "name": name,
        "filter_chain_match": matched,
        "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": context },
        "filters": filters,
    });
    let plaintext = json!({
        "name": name,
        "filter_chain_match": { "transport_protocol": "raw_buffer" },
        "filters": filters,
    });
    match service.mtls {
        Mtls::Permissive => json!([mtls, plaintext]),
        Mtls::Strict => json!([mtls]),
    }
}

/// The TLS settings of both sides: versions, ALPN, own certificate, check of the peer.
fn common(alpns: &[&str], peers: &[Value], files: &Path) -> Value {
    let own = file_source(&certificate_file(files));
    json!({
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
        },
        "alpn_protocols": alpns,
        "tls_certificate_sds_secret_configs": [
            { "name": WORKLOAD_CERTIFICATE, "sds_config": own },
        ],
        "combined_validation_context": {
            "default_validation_context": { "match_typed_subject_alt_names": peers },
            "validation_context_sds_secret_config": { "name": PEER_ROOTS },
        },
    })
}
