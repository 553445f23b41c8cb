//! The JSON reply: identity, and the request as the server saw it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// The schema that this crate writes and reads.
pub const SCHEMA: &str = "echo/1";

/// Everything that `echo` reports, one flat JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Who answered.
    #[serde(flatten)]
    pub identity: Identity,
    /// The request's method.
    pub method: String,
    /// The URL as the client asked for it.
    pub url: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub http_version: String,
    /// The request's headers; a header sent twice has two values.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Address and port of the connection's other end.
    pub peer: Option<String>,
    /// An id of the server's connection.
    pub connection: String,
    /// The number of this request on its connection, from 1.
    pub request: u64,
    /// Which attempt of the nearest Envoy this was, from 1.
    pub attempt: Option<u32>,
    /// The caller's probe id, returned.
    pub probe: Option<String>,
    /// What is known of the TLS session, where `echo` itself ends it.
    pub tls: Option<TlsFacts>,
    /// The parsed `x-forwarded-client-cert`, nearest proxy last.
    pub xfcc: Vec<CertificateElement>,
    /// The request's body, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<SentBody>,
    /// What others answered, whom this echo was asked to call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Called>,
}

/// A request's body, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentBody {
    /// Its beginning; bytes that are not UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// How long it was, in bytes.
    pub length: u64,
}

/// One call of another, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// Who was called; after redirects, the last one.
    pub url: String,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The answer's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The answer, where it is an echo's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Box<Reply>>,
    /// The beginning of any other answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is known of a TLS session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// Protocol version, such as `TLSv1.3`.
    pub version: String,
    /// Cipher suite, as IANA names it.
    pub cipher: String,
    /// The server name that the client asked for.
    pub sni: Option<String>,
    /// The protocol chosen by ALPN.
    pub alpn: Option<String>,
    /// The client's SPIFFE id, where it showed a certificate that has one.
    pub client_spiffe_id: Option<String>,
}

/// One element of `x-forwarded-client-cert`: what one proxy saw of its client.
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
