//! The access log of an Envoy.

use std::path::Path;

use serde_json::{Value, json};

use super::message::typed;

/// One line per request, in a file in the Envoy's directory.
pub(super) fn access_log(format: &str, files: &Path) -> Value {
    let log = typed(
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        json!({
            "path": files.join("access.log"),
            "log_format": { "text_format_source": { "inline_string": format } },
        }),
    );
    json!({ "name": "envoy.access_loggers.file", "typed_config": log })
}
