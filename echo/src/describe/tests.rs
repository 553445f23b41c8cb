//! Tests of `describe`.

use std::sync::Arc;

use axum::http::{Request, Version};
use proptest::prelude::*;

use super::*;
use crate::request_headers::MAX_PROBE;

fn arrival() -> Arrival {
    let connection = Connection {
        peer: Some(([10, 0, 0, 9], 50_000).into()),
        local: Some(([10, 0, 0, 1], 8080).into()),
        ..Connection::new(HeaderValue::from_static("c-1"))
    };
    Arrival { connection: Arc::new(connection), number: 3 }
}

fn head(url: &str, headers: &[(&'static str, &[u8])]) -> Parts {
    let mut request = Request::get(url).body(()).unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    request.into_parts().0
}

fn answer(url: &str, headers: &[(&'static str, &[u8])]) -> Answer {
    let mut identity = Identity::new("echo1-x", "kops");
    identity.zone = Some("z1".into());
    reply_to(identity, &head(url, headers))
}

fn reply_to(identity: Identity, head: &Parts) -> Answer {
    let request_headers = RequestHeaders::of(&head.headers);
    Describer::new(identity).answer(head, &request_headers, &arrival(), More::default())
}

fn url_of(asked: &str, headers: &[(&'static str, &[u8])]) -> String {
    url(&head(asked, headers), &arrival().connection)
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn the_line_and_the_headers_say_who_answered() {
    let answer = answer("/hello", &[("host", b"echo1:8080")]);
    assert_eq!(
        text(&answer),
        "[URL: http://echo1:8080/hello] on [pod: echo1-x] in [cluster: kops]\n"
    );
    let headers: Vec<_> =
        answer.headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
    assert_eq!(
        headers,
        [
            "content-type: text/plain; charset=utf-8",
            "cache-control: private, no-store",
            "x-content-type-options: nosniff",
            "vary: Accept",
            "x-echo-pod: echo1-x",
            "x-echo-cluster: kops",
            "x-echo-zone: z1",
            "x-echo-connection: c-1",
            "x-echo-request: 3",
        ]
    );
}

#[test]
fn the_url_is_what_the_client_asked_for() {
    type Headers<'a> = &'a [(&'static str, &'a [u8])];
    let cases: &[(&str, Headers<'_>, &str)] = &[
        ("/a?b=c&d=%20", &[("host", b"h")], "http://h/a?b=c&d=%20"),
        ("/", &[("host", b"h"), ("x-forwarded-proto", b"https")], "https://h/"),
        ("/", &[("host", b"h"), ("x-forwarded-proto", b"HTTPS, http")], "https://h/"),
        ("/", &[("host", b"h"), ("x-forwarded-proto", b"http,https")], "http://h/"),
        ("/", &[("host", b"h"), ("x-forwarded-proto", b"javascript")], "http://h/"),
        ("/", &[("host", b"h"), ("x-forwarded-proto", b"\xff")], "http://h/"),
        ("http://u:secret@abs:81/p", &[("host", b"h")], "http://abs:81/p"),
        ("*", &[("host", b"h")], "http://h"),
        ("/p", &[], "http://10.0.0.1:8080/p"),
        ("/p", &[("host", b"")], "http://10.0.0.1:8080/p"),
        ("/p", &[("host", b"a\tb\xc2\x85\xff")], "http://a\\u{9}b\\u{85}\u{fffd}/p"),
        ("/p", &[("host", b"first"), ("host", b"second")], "http://first/p"),
    ];
    for (url, headers, expected) in cases {
        assert_eq!(url_of(url, headers), *expected, "{url:?} {headers:?}");
    }
}

#[test]
fn the_url_is_bounded() {
    let url = format!("/{}", "a".repeat(60_000));
    assert!(url_of(&url, &[]).len() < 5_000);
}

#[test]
fn only_a_plain_number_is_an_attempt() {
    let attempt_of = |value| answer("/", &[(names::ENVOY_ATTEMPT, value)]).headers.remove(ATTEMPT);
    assert_eq!(attempt_of(b"2").unwrap(), "2");
    for bad in ["0", "+2", "-1", "", "2x", "4294967296", "2,3"] {
        assert_eq!(attempt_of(bad.as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn only_a_short_visible_probe_id_comes_back() {
    let probe_of = |value| answer("/", &[(names::PROBE_ID, value)]).headers.remove(PROBE);
    assert_eq!(probe_of(b"run-7/42").unwrap(), "run-7/42");
    assert_eq!(probe_of(&[b'x'; MAX_PROBE]).unwrap().len(), MAX_PROBE);
    for bad in [&[b'x'; MAX_PROBE + 1][..], b"", b"a b", b"a\tb", b"\xff"] {
        assert_eq!(probe_of(bad), None, "{bad:?}");
    }
}

#[test]
fn json_is_the_whole_reply() {
    let mut head = head(
        "/x",
        &[
            ("host", b"h"),
            ("accept", b"application/json"),
            ("a", b"1"),
            ("a", b"2\xff"),
            (names::PROBE_ID, b"p"),
            (names::ENVOY_ATTEMPT, b"2"),
            (names::FORWARDED_CLIENT_CERT, b"By=spiffe://a;URI=spiffe://b"),
        ],
    );
    head.version = Version::HTTP_2;
    let answer = reply_to(Identity::new("p", "c"), &head);
    assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
    let reply: Reply = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(reply.identity, Identity::new("p", "c"));
    assert_eq!((reply.method.as_str(), reply.url.as_str()), ("GET", "http://h/x"));
    assert_eq!(reply.http_version, "HTTP/2.0");
    assert_eq!(reply.headers["a"], ["1", "2\u{fffd}"]);
    assert_eq!(reply.peer.as_deref(), Some("10.0.0.9:50000"));
    assert_eq!((reply.connection.as_str(), reply.request), ("c-1", 3));
    assert_eq!((reply.attempt, reply.probe.as_deref()), (Some(2), Some("p")));
    assert_eq!(reply.xfcc[0].uri, ["spiffe://b"]);
    assert_eq!(reply.tls, None);
}

proptest! {
    #[test]
    fn no_request_falsifies_the_reply_or_panics(
        path in "/[!-~&&[^#]]{0,40}",
        host in prop::collection::vec(any::<u8>(), 0..60),
        accept in "[ -~]{0,30}",
    ) {
        let (Ok(host), Ok(request)) =
            (HeaderValue::from_bytes(&host), Request::get(path).header("accept", accept).body(()))
        else {
            return Ok(());
        };
        let mut head = request.into_parts().0;
        head.headers.insert("host", host);
        let answer = reply_to(Identity::new("true", "kops"), &head);
        prop_assert!(!url(&head, &arrival().connection).contains(char::is_control));
        if answer.headers[CONTENT_TYPE] == TEXT {
            let line = TextLine::parse(text(&answer)).expect("a line that prober reads");
            prop_assert_eq!((line.pod, line.cluster), ("true", "kops"));
        }
    }
}
