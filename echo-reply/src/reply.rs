//! The JSON reply: the identity, and the request as the server saw it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// The schema that this crate writes and reads.
pub const SCHEMA: &str = "echo/1";

/// Everything that `echo` reports, as one flat JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Always [`SCHEMA`].
    pub schema: String,
    #[serde(flatten)]
    pub identity: Identity,
    pub method: String,
    /// The URL as the client asked for it.
    pub url: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub http_version: String,
    /// A header that occurs twice has two values.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The address and port of the client.
    pub peer: Option<String>,
    /// The id of the connection.
    pub connection: String,
    /// The number of this request on its connection, from 1.
    pub request: u64,
    /// The attempt number of the nearest Envoy, from 1.
    pub attempt: Option<u32>,
    /// The probe id of the request.
    pub probe: Option<String>,
    /// The TLS session, if `echo` itself terminates TLS.
    pub tls: Option<TlsFacts>,
    /// The parsed `x-forwarded-client-cert`, nearest proxy last.
    pub xfcc: Vec<CertificateElement>,
    /// The request's body, if the client asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<SentBody>,
    /// The calls to other echoes that the request asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Called>,
}

/// The beginning of a request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentBody {
    /// Bytes that are not UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// The length of the whole body, in bytes.
    pub length: u64,
}

/// A call to another echo, and its result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// The URL that was called; after redirects, the last one.
    pub url: String,
    /// In microseconds.
    pub duration_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The answer of an echo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Box<Reply>>,
    /// The beginning of any other answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// The IANA name of the cipher suite.
    pub cipher: String,
    /// The server name that the client sent.
    pub sni: Option<String>,
    /// The protocol chosen by ALPN.
    pub alpn: Option<String>,
    /// The SPIFFE id in the client's certificate, if any.
    pub client_spiffe_id: Option<String>,
}

/// One element of `x-forwarded-client-cert`: a proxy's view of its client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateElement {
    /// URI names of the proxy's own certificate (`By`).
    pub by: Vec<String>,
    /// SHA-256 of the client's certificate, in hex.
    pub hash: Option<String>,
    /// URI names of the client's certificate.
    pub uri: Vec<String>,
    /// Subject of the client's certificate.
    pub subject: Option<String>,
    /// DNS names of the client's certificate.
    pub dns: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_flat_and_reads_back() {
        let reply = Reply {
            schema: SCHEMA.into(),
            identity: Identity::new("echo1-a", "kops"),
            method: "GET".into(),
            url: "http://echo1:8080/".into(),
            http_version: "HTTP/1.1".into(),
            headers: BTreeMap::from([("host".into(), vec!["echo1:8080".into()])]),
            peer: Some("127.0.0.1:5".into()),
            connection: "c1".into(),
            request: 1,
            attempt: Some(2),
            probe: None,
            tls: None,
            xfcc: Vec::new(),
            body: None,
            calls: Vec::new(),
        };
        let json = serde_json::to_value(&reply).unwrap();
        assert_eq!(json["pod"], "echo1-a");
        assert_eq!(json["cluster"], "kops");
        assert!(json.get("zone").is_none(), "what is not known is left out");
        assert_eq!(serde_json::from_value::<Reply>(json).unwrap(), reply);
    }
}
