//! The JSON that all parts of an Envoy's configuration are made of.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// A file that an Envoy watches, to lie in its folder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigFile {
    /// Its name in that folder.
    pub name: String,
    /// Its content.
    pub content: Value,
    /// What Envoy's statistics of its updates begin with.
    pub statistics: String,
}

/// A socket address.
pub(super) fn socket(address: &Ipv4Addr, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}

/// A message of an extension: its type's name after `type.googleapis.com/`, and its fields.
pub(super) fn typed(message: &str, mut fields: Value) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("@type".into(), format!("type.googleapis.com/{message}").into());
    }
    fields
}

/// A source of endpoints or secrets: a file that is read again whenever
/// another is renamed onto it.
pub(super) fn file_source(path: &Path) -> Value {
    json!({
        "path_config_source": { "path": path },
        "initial_fetch_timeout": "0s",
        "resource_api_version": "V3",
    })
}

/// A discovery response of one resource: what such a file holds.
pub(super) fn discovery(resource: &Value) -> Value {
    json!({ "resources": [resource] })
}

/// A duration as protobuf's JSON has it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
