//! The JSON messages that all parts of Envoy's configuration use.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// A file that an Envoy watches, in its directory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfigFile {
    pub name: String,
    pub content: Value,
    /// The prefix of Envoy's statistics about its updates.
    pub statistics: String,
}

pub(super) fn socket(address: &Ipv4Addr, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}

/// The message of an extension; `message` is the type name after `type.googleapis.com/`.
pub(super) fn typed(message: &str, mut fields: Value) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("@type".into(), format!("type.googleapis.com/{message}").into());
    }
    fields
}

/// A config source: a file that Envoy reloads when another file is renamed to it.
pub(super) fn file_source(path: &Path) -> Value {
    json!({
        "path_config_source": { "path": path },
        "initial_fetch_timeout": "0s",
        "resource_api_version": "V3",
    })
}

/// A discovery response with one resource: the content of such a file.
pub(super) fn discovery(resource: &Value) -> Value {
    json!({ "resources": [resource] })
}

/// A duration in protobuf's JSON form.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}
