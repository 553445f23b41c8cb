//! The failures that users meet, each with its advice.

use echo_reply::Identity;

use super::*;
use crate::report::samples;
use crate::tally::outcome::Failure;

/// The advice on failures without answers.
fn advice(kind: FailureKind, code: Option<u16>, what: &str, url: &str, host: &str) -> String {
    let mut row = samples::plain().rows.remove(0);
    row.url = url.to_owned();
    row.host = (!host.is_empty()).then(|| host.to_owned());
    let failure = Failure::new(kind, what);
    let failure = code.into_iter().fold(failure, |one, code| one.with(Code::Http(code)));
    let group = FailureGroup::new(failure, 7);
    let tally = Tally { failures: vec![group.clone()], ..Tally::default() };
    of(&group, &row, &tally).unwrap_or_default()
}

#[test]
fn each_failure_that_users_meet_has_its_cause_its_remedy_and_a_command() {
    use FailureKind::{Protocol, Reset, Status, Tls};
    let envoy = "from istio-envoy: no body";
    let redirect = |to: &str| format!("302 Found to {to} (redirects are not followed)");
    type Case<'a> = (FailureKind, u16, String, &'a str, &'a str, [&'a str; 2]);
    let cases: [Case<'_>; 28] = [
        (
            Status,
            301,
            redirect("https://a/x"),
            "http://a/x",
            "",
            ["to https", "'prober https://a/x'"],
        ),
        (
            Status,
            302,
            redirect("https://sso.b/auth?state=1"),
            "http://a/",
            "",
            ["a sign-in page at sso.b", "-H 'Auth"],
        ),
        (Status, 302, redirect("/login"), "http://a/x", "", ["a sign-in page at a", "-H 'Cookie"]),
        (
            Status,
            302,
            redirect("/other"),
            "http://a/x",
            "",
            ["where it leads", "'prober http://a/other'"],
        ),
        (
            Status,
            302,
            redirect("/a?b=1&c=$(x)"),
            "http://a/x",
            "",
            ["where it leads", "run: prober 'http://a/a?b=1&c=$(x)'"],
        ),
        (Status, 401, "401".into(), "http://a/", "", ["asks for credentials", "-H 'Authorization"]),
        (
            Status,
            403,
            "403 from istio-envoy: \"RBAC: access denied\"".into(),
            "http://a/",
            "",
            ["AuthorizationPolicy", "kubectl get authorizationpolicy"],
        ),
        (
            Status,
            403,
            "403: \"no\"".into(),
            "http://a/",
            "",
            ["refuses these", "'curl -i http://a/'"],
        ),
        (
            Status,
            404,
            format!("404 Not Found {envoy}"),
            "http://a/",
            "",
            ["An Envoy has no route", "istioctl analyze"],
        ),
        (
            Status,
            404,
            "404 from nginx: \"nope\"".into(),
            "http://a/",
            "",
            ["Check the path", "curl -i"],
        ),
        (
            Status,
            421,
            "421".into(),
            "https://10.0.0.1/",
            "b.example",
            ["no server name (SNI)", "prober https://b.example --resolve 'b.example:443:"],
        ),
        (Status, 426, "426".into(), "http://a/", "", ["another protocol", "'curl -i http://a/'"]),
        (
            Status,
            429,
            "429: \"local_rate_limited\"".into(),
            "http://a/",
            "",
            ["An Envoy's local rate limit", "--rate 1 "],
        ),
        (
            Status,
            503,
            "503: \"reset reason: overflow\"".into(),
            "http://a/",
            "",
            ["circuit breaker", "destinationrule"],
        ),
        (
            Status,
            503,
            format!("503 {envoy} \"no healthy upstream\""),
            "http://a/",
            "",
            ["no healthy endpoint", "istioctl"],
        ),
        (Status, 502, "502 from nginx".into(), "http://a/", "", ["no valid response", "curl -i"]),
        (
            Status,
            504,
            "504: \"upstream request timeout\"".into(),
            "http://a/",
            "",
            ["longer than the route allows", "virtualservice"],
        ),
        (
            Status,
            400,
            "400: \"The plain HTTP request was sent to HTTPS port\"".into(),
            "http://a:8443/",
            "",
            ["expects TLS", "'prober https://a:8443/'"],
        ),
        (
            Tls,
            0,
            "the server closed the connection in the middle of the TLS handshake".into(),
            "https://10.0.0.1/",
            "",
            ["no server name (SNI)", "--resolve 'NAME:443:"],
        ),
        (
            Tls,
            0,
            "the server closed the connection in the middle of the TLS handshake".into(),
            "https://a/",
            "b",
            ["the server name (SNI) a, but the Host header is b", "prober https://b"],
        ),
        (
            Tls,
            0,
            "the server does not speak TLS on this port".into(),
            "https://a:80/",
            "",
            ["does not speak TLS", "'prober http://a:80/'"],
        ),
        (
            Protocol,
            0,
            "the server answers with a TLS alert".into(),
            "http://a/",
            "",
            ["expects TLS", "'prober https://a/'"],
        ),
        (
            Protocol,
            0,
            "the server speaks HTTP/2 only on this port".into(),
            "http://a/",
            "",
            ["only HTTP/2", "--http2-prior-knowledge"],
        ),
        (
            Reset,
            0,
            "the connection was closed before an answer, after 5.2s without a request; the server's \
             keep-alive timeout may be that short"
                .into(),
            "http://a/x/../y",
            "",
            ["idle for that long", "prober --path-as-is http://a/x/../y --reuse never"],
        ),
        (
            Reset,
            0,
            "the connection was closed before an answer".into(),
            "http://a/",
            "",
            ["PROXY protocol", "curl -v"],
        ),
        (
            Tls,
            0,
            "the server does not support the HTTP version asked for (no_application_protocol)"
                .into(),
            "https://a/",
            "",
            ["does not offer this HTTP version", "prober https://a/ --http2"],
        ),
        (
            Protocol,
            0,
            "the response is not HTTP/2".into(),
            "http://a/",
            "",
            ["does not speak HTTP/2", "prober http://a/ --http1.1"],
        ),
        (
            FailureKind::Unidentified,
            200,
            "200, but the body is encoded with zstd, which prober does not decode".into(),
            "http://a/",
            "",
            ["compressed", "-H 'Accept-Encoding: identity'"],
        ),
    ];
    for (kind, code, what, url, host, said) in cases {
        let line = advice(kind, (code > 0).then_some(code), &what, url, host);
        assert!(said.iter().all(|part| line.contains(part)), "{what}: {line}");
        assert!(line.chars().next().is_some_and(char::is_uppercase), "{line}");
    }
    let expired = "the server's certificate expired on 2021-01-02 (today is 2026-01-02); renew it";
    let line = advice(Tls, None, expired, "https://a:8443/", "");
    assert!(
        line.contains("expired") && line.contains("openssl s_client -connect a:8443"),
        "{line}"
    );
}

#[test]
fn errors_name_the_pod_that_failed_most() {
    let row = samples::plain().rows.remove(0);
    let group =
        FailureGroup::new(Failure::new(FailureKind::Status, "500").with(Code::Http(500)), 12);
    let failed_by = [(Identity::new("a-1", "c1"), 3), (Identity::new("a-2", "c2"), 9)].into();
    let tally = Tally { failures: vec![group.clone()], failed_by, ..Tally::default() };
    let line = of(&group, &row, &tally).unwrap();
    assert!(
        line.contains("a-2 in c2 failed 9 of its 9 requests, and 1 other pod failed some"),
        "{line}"
    );
    assert!(line.contains("'kubectl logs a-2'"), "{line}");
    let unnamed = Tally { failures: vec![group.clone()], ..Tally::default() };
    let line = of(&group, &row, &unnamed).unwrap();
    assert!(line.contains("errors that name no pod") && line.contains("curl -i"), "{line}");
}
