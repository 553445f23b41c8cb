//! Who answered: read from the `x-echo-*` headers, else from the JSON reply,
//! else from the text line in either of its forms. Pure.

use std::borrow::Cow;

use echo_reply::{Identity, Reply, TextLine, headers as names};
use http::HeaderMap;

/// What an answer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who answered.
    pub identity: Identity,
    /// Which attempt of the nearest Envoy it was.
    pub attempt: Option<u32>,
    /// The probe id that it returned, if it returns them.
    pub probe: Option<String>,
}

/// Reads who answered. `None` if neither headers nor body are an echo's; a name
/// with control characters in it is nobody's.
#[must_use]
pub fn identify(headers: &HeaderMap, body: &[u8]) -> Option<Claim> {
    let claim = from_headers(headers).or_else(|| from_json(body)).or_else(|| from_text(body))?;
    claim.identity.is_printable().then_some(claim)
}

fn from_headers(headers: &HeaderMap) -> Option<Claim> {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Some(Claim {
        identity: Identity::from_headers(get)?,
        attempt: get(names::ATTEMPT).and_then(|attempt| attempt.parse().ok()),
        probe: get(names::PROBE).map(str::to_owned),
    })
}

fn from_json(body: &[u8]) -> Option<Claim> {
    let reply: Reply = serde_json::from_slice(body).ok()?;
    let named = !reply.identity.pod.is_empty() && !reply.identity.cluster.is_empty();
    named.then_some(Claim { identity: reply.identity, attempt: reply.attempt, probe: reply.probe })
}

fn from_text(body: &[u8]) -> Option<Claim> {
    let line = TextLine::parse(std::str::from_utf8(body).ok()?)?;
    let identity = Identity::new(line.pod, line.cluster);
    Some(Claim { identity, attempt: None, probe: None })
}

/// A body as it may be printed: one line, without control characters, bounded.
#[must_use]
pub fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_end_matches(['\r', '\n']);
    match echo_reply::printable(text) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &[u8] = b"[URL: http://echo2:8080/] on [pod: echo2-x] in [cluster: gke1]\n";

    fn header_map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (http::HeaderName::from_static(n), http::HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn headers_come_before_the_body() {
        let headers = header_map(&[
            ("x-echo-pod", "echo2-y"),
            ("x-echo-cluster", "kops"),
            ("x-echo-attempt", "2"),
            ("x-echo-probe", "r-7"),
        ]);
        let claim = identify(&headers, LINE).unwrap();
        assert_eq!(claim.identity, Identity::new("echo2-y", "kops"));
        assert_eq!(claim.attempt, Some(2));
        assert_eq!(claim.probe.as_deref(), Some("r-7"));
    }

    #[test]
    fn the_text_line_is_enough() {
        let claim = identify(&HeaderMap::new(), LINE).unwrap();
        assert_eq!(claim.identity, Identity::new("echo2-x", "gke1"));
        let flask = b"http://echo2:8080/hello on [pod: echo2-z] in [cluster: kops]";
        let claim = identify(&HeaderMap::new(), flask).unwrap();
        assert_eq!(claim.identity, Identity::new("echo2-z", "kops"));
    }

    #[test]
    fn the_json_reply_is_read() {
        let body = br#"{"schema":"echo/1","pod":"p","cluster":"c","zone":"z","method":"GET",
            "url":"http://a/","http_version":"HTTP/1.1","headers":{},"peer":null,
            "connection":"1","request":1,"attempt":3,"probe":null,"tls":null,"xfcc":[]}"#;
        let claim = identify(&HeaderMap::new(), body).unwrap();
        assert_eq!(claim.identity.zone.as_deref(), Some("z"));
        assert_eq!(claim.attempt, Some(3));
    }

    #[test]
    fn a_name_that_would_forge_lines_of_the_report_is_nobodys() {
        for pod in [r"p\n  PASS  errors = 0", r"\u001b[2Jp", r"p\tq"] {
            let body = format!(
                r#"{{"schema":"echo/1","pod":"{pod}","cluster":"c","method":"GET",
                "url":"http://a/","http_version":"HTTP/1.1","headers":{{}},"peer":null,
                "connection":"1","request":1,"attempt":null,"probe":null,"tls":null,"xfcc":[]}}"#
            );
            assert!(serde_json::from_str::<Reply>(&body).is_ok());
            assert_eq!(identify(&HeaderMap::new(), body.as_bytes()), None, "{pod}");
        }
    }

    #[test]
    fn strangers_are_nobody() {
        assert_eq!(identify(&HeaderMap::new(), b"Welcome to nginx!"), None);
        assert_eq!(identify(&HeaderMap::new(), b"{\"pod\":\"p\"}"), None);
        assert_eq!(identify(&HeaderMap::new(), b""), None);
        assert_eq!(identify(&HeaderMap::new(), b"\xff\xfe"), None);
        let only_pod = header_map(&[("x-echo-pod", "p")]);
        assert_eq!(identify(&only_pod, b""), None);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<Vec<u8>>()) {
            let _ = identify(&HeaderMap::new(), &body);
            prop_assert!(!shown(&body).contains(char::is_control));
        }
    }
}
