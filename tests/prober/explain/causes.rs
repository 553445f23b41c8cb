//! Causes that one or two Envoys are enough for: each with a real Envoy, its real counters and its
//! own words.

mod http2;

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use self::http2::{Conduct, Http2Server};
use super::envoy::{Envoy, ISTIO, Listener, cluster, filter, protocol, subset};
use crate::servers::{self, Server, line, linger_open, nobody, read_head, response};

/// An application whose paths are its faults, on kept connections.
fn application() -> Server {
    Server::start(|stream, _| {
        loop {
            let head = read_head(&stream);
            let Some(path) = head.first().and_then(|first| first.split(' ').nth(1)) else { return };
            let whole = line("echo2-a", "kops");
            let said = match path {
                "/large" => response("200 OK", &format!("x-a: {}\r\n", "a".repeat(90_000)), &whole),
                "/ssh" => "SSH-2.0-OpenSSH\r\n".to_owned(),
                "/chunk" => {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned()
                }
                "/500" => response("500 Internal Server Error", "", "oops"),
                "/404" => response("404 Not Found", "", ""),
                "/503" => response("503 Service Unavailable", "", ""),
                "/silent" => return linger_open(&stream),
                "/close" => return,
                "/half" => return half(&stream),
                _ => response("200 OK", "", &whole),
            };
            let _ = (&stream).write_all(said.as_bytes());
        }
    })
}

/// Half of a response, then nothing until the other side closes.
fn half(mut stream: &TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf");
    linger_open(stream);
}

/// One listener `in` to a cluster `app` with these settings.
fn before(application: &Server, settings: Value) -> Envoy {
    let app = cluster("app", &[application.port()], settings);
    Envoy::start(vec![Listener::to("in", json!({ "cluster": "app" })).made()], vec![app])
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

fn half_each() -> Value {
    let side = |name: &str| json!({ "name": subset(name), "weight": 50 });
    json!({ "weighted_clusters": { "clusters": [side("v1"), side("v2")] } })
}

#[test]
fn explain_names_only_the_empty_side_of_a_split() {
    let app = application();
    let clusters = || {
        let empty = cluster(&subset("v2"), &[], json!({}));
        vec![cluster(&subset("v1"), &[app.port()], json!({})), empty]
    };
    let listeners = || vec![Listener::to("in", half_each()).made()];
    // The second keeps only what Istio keeps by default: no counters of these clusters.
    let silent = json!({ "stats_config": { "stats_matcher": {
        "inclusion_list": { "patterns": [{ "prefix": "server" }] } } } });
    for envoy in
        [Envoy::start(listeners(), clusters()), Envoy::with(listeners(), clusters(), silent)]
    {
        let said = envoy.explained_with("in", "/", &["-n", "100"]);
        let causes = said.causes();
        assert_eq!(causes.len(), 1, "the healthy side is not to blame: {said:#?}");
        assert_eq!(
            (causes[0].0.as_str(), causes[0].1.as_str()),
            ("no endpoints", "client-balancer")
        );
        // A coin flip for each: outside of this once in 10^9 runs.
        assert!((20..=80).contains(&causes[0].2), "{causes:?}");
        let told = said.only("no endpoints", "client-balancer", causes[0].2);
        contains(&told, &["v2", "found no endpoint at all"]);
        assert!(!told.contains("|v1|"), "{told}");
    }
}

#[test]
fn explain_attributes_errors_to_the_side_that_gives_them() {
    // Both sides err: one itself, the other through the sidecar of a dead application.
    let app = application();
    let dead = cluster("dead", &[nobody().port()], json!({}));
    let sidecar = Listener::to("in", json!({ "cluster": "dead" })).made();
    let sidecar = Envoy::start(vec![sidecar], vec![dead]);
    let sides = vec![
        cluster(&subset("v1"), &[app.port()], json!({})),
        cluster(&subset("v2"), &[sidecar.port("in")], json!({})),
    ];
    let envoy = Envoy::start(vec![Listener::to("in", half_each()).made()], sides);
    let said = envoy.explained_with("in", "/500", &["-n", "100"]);
    let mut causes: Vec<_> = said.causes().into_iter().map(|(cause, ..)| cause).collect();
    causes.sort();
    assert_eq!(causes, ["application dead", "server errors"], "{said:#?}");
    let all: u64 = said.causes().iter().map(|(.., requests)| requests).sum();
    assert_eq!(all, 100, "each request once: {said:#?}");
}

#[test]
fn explain_tells_invalid_responses_from_a_dead_application() {
    let app = application();
    let cause = "upstream protocol error";
    let envoy = before(&app, json!({}));
    for path in ["/large", "/ssh", "/chunk"] {
        let told = envoy.explained("in", path).only(cause, "server", 20);
        contains(&told, &["upstream_cx_protocol_error 20", "HTTP/1.1", "60 KiB and 100 headers"]);
        contains(&told, &[&format!("curl -sv -o /dev/null http://127.0.0.1:{}/", app.port())]);
    }
    envoy.explained_with("in", "/large", &["-n", "20", "-X", "HEAD"]).only(cause, "server", 20);
    let envoy = before(&app, super::envoy::http2());
    let told = envoy.explained("in", "/").only(cause, "server", 20);
    contains(&told, &["speaks HTTP/2 to it", "HTTP/1.1 only", "20 of 20 requests"]);

    // Requests share connections, and a connection fails all of them.
    envoy.explained_with("in", "/", &["-n", "60", "--concurrency", "20"]).only(cause, "server", 60);

    // What is HTTP/2 and too large, of another Envoy.
    let code = "function envoy_on_response(h) for i = 1, 20 do \
                h:headers():add('x-' .. i, string.rep('a', 8000)) end end";
    let lua = json!({ "default_source_code": { "inline_string": code } });
    let large = Listener::to("in", json!({ "cluster": "app" }))
        .filtered(filter("filters.http.lua.v3.Lua", lua));
    let large = Envoy::start(vec![large.made()], vec![cluster("app", &[app.port()], json!({}))]);
    let app = cluster("app", &[large.port("in")], super::envoy::http2());
    let envoy =
        Envoy::start(vec![Listener::to("in", json!({ "cluster": "app" })).made()], vec![app]);
    let told = envoy.explained("in", "/").only(cause, "server", 20);
    contains(&told, &["http2.header_list_size_too_large 20", "larger than this Envoy accepts"]);
}

#[test]
fn explain_says_that_the_envoy_behind_could_not_read_a_response() {
    let app = application();
    let sidecar = before(&app, json!({}));
    let client = cluster("app", &[sidecar.port("in")], json!({}));
    let envoy =
        Envoy::start(vec![Listener::to("in", json!({ "cluster": "app" })).made()], vec![client]);
    let cause = "upstream protocol error";
    let told = envoy.explained("in", "/large").only(cause, "server", 20);
    contains(&told, &["20 responses say", "protocol error", "an Envoy behind app did"]);
    let name = format!("gke1/echo2={}", sidecar.admin);
    let told = envoy
        .explained_with("in", "/large", &["-n", "20", "--envoy-admin", &name])
        .only(cause, "server", 20);
    contains(&told, &["from gke1/echo2 to app", "upstream_cx_protocol_error 20"]);
    // The connection of the application ended, which is not a dead application.
    let told = envoy.explained("in", "/close").only("connections broken", "server", 20);
    contains(&told, &["connection termination", "an Envoy behind app did"]);
}

#[test]
fn explain_names_an_open_circuit_breaker() {
    let app = application();
    let none = json!({ "circuit_breakers": { "thresholds": [{ "max_pending_requests": 0 }] } });
    let envoy = before(&app, none.clone());
    let told = envoy.explained("in", "/").only("circuit breaker", "client-balancer", 20);
    contains(&told, &["upstream_rq_pending_overflow 20", "/clusters | grep default_priority"]);

    // The limit on requests is counted apart.
    let full = json!({ "circuit_breakers": { "thresholds": [{ "max_requests": 0 }] } });
    let told =
        before(&app, full).explained("in", "/").only("circuit breaker", "client-balancer", 20);
    contains(&told, &["upstream_rq_active_overflow 20", "/clusters | grep default_priority"]);

    // One side of a split: the other one is well.
    let sides = vec![
        cluster(&subset("v1"), &[app.port()], json!({})),
        cluster(&subset("v2"), &[app.port()], none),
    ];
    let istio = json!({ "node": { "id": ISTIO, "cluster": "test" } });
    let envoy = Envoy::with(vec![Listener::to("in", half_each()).made()], sides, istio);
    let said = envoy.explained_with("in", "/", &["-n", "100"]);
    let told = said.only("circuit breaker", "client-balancer", said.causes()[0].2);
    contains(&told, &[&format!("to {}", subset("v2")), "kubectl get destinationrule"]);

    // Behind the client's Envoy.
    let sidecar = before(
        &app,
        json!({ "circuit_breakers": { "thresholds": [
        { "max_pending_requests": 0 }] } }),
    );
    let client = cluster("app", &[sidecar.port("in")], json!({}));
    let envoy =
        Envoy::start(vec![Listener::to("in", json!({ "cluster": "app" })).made()], vec![client]);
    let told = envoy.explained("in", "/").only("circuit breaker", "server", 20);
    contains(&told, &["overflow", "an Envoy behind app did"]);
}

#[test]
fn explain_names_a_consistent_hash() {
    let (first, second) = (application(), application());
    let by_header = json!([{ "header": { "header_name": "x-user" } }]);
    let route = || json!({ "cluster": "app", "hash_policy": by_header });
    let kind = "type.googleapis.com/envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash";
    let extension = json!({ "load_balancing_policy": { "policies": [
        { "typed_extension_config": { "name": "hash", "typed_config": { "@type": kind } } }] } });
    for (policy, settings) in [
        ("MAGLEV", json!({ "lb_policy": "MAGLEV" })),
        ("RING_HASH", json!({ "lb_policy": "RING_HASH" })),
        ("RING_HASH", extension),
    ] {
        let app = cluster("app", &[first.port(), second.port()], settings);
        let envoy = Envoy::start(vec![Listener::to("in", route()).made()], vec![app]);
        let bob = ["-n", "100", "-H", "x-user: bob"];
        let said = envoy.explained_with("in", "/", &bob);
        let told = said.only("consistent hash", "client-balancer", 50);
        contains(&told, &[policy, " 100 (weight 1)", " 0 (weight 1)", "grep -A5 hash_policy"]);
        contains(&said.again(), &["consistent hash (client balancer)"]);
        // Without the header, each request goes to a random endpoint.
        assert_eq!(envoy.explained_with("in", "/", &["-n", "100"]).causes(), []);
    }
}

#[test]
fn explain_names_an_endpoint_that_hangs() {
    let app = application();
    let envoy = before(&app, json!({}));
    let patience = ["-n", "4", "-c", "4", "--max-time", "300ms"];
    let told = envoy.explained_with("in", "/silent", &patience).only("no answer", "server", 4);
    let end = format!("4 of 4 requests to 127.0.0.1:{} got no response", app.port());
    contains(&told, &[&end, "does the application hang?"]);
}

#[test]
fn explain_names_timeouts_and_limits() {
    let app = application();
    let duration = json!({ "common_http_protocol_options": { "max_stream_duration": "0.1s" },
        "explicit_http_config": { "http_protocol_options": {} } });
    let to = |name: &str, more: Value| {
        let mut route = json!({ "cluster": "app" });
        for (key, value) in more.as_object().expect("an object") {
            route[key] = value.clone();
        }
        Listener::to(name, route)
    };
    let once = json!({ "retry_on": "reset", "num_retries": 1, "per_try_timeout": "0.1s" });
    let size = filter("filters.http.buffer.v3.Buffer", json!({ "max_request_bytes": 10 }));
    let listeners = [
        to("route", json!({ "timeout": "0.1s" })),
        to("try", json!({ "timeout": "5s", "retry_policy": once })),
        to("idle", json!({ "timeout": "5s", "idle_timeout": "0.1s" })),
        to("upstream", json!({ "cluster": "short" })),
        to("downstream", json!({ "timeout": "5s" }))
            .set("common_http_protocol_options", json!({ "max_stream_duration": "0.1s" })),
        to("size", json!({})).filtered(size),
    ];
    let envoy = Envoy::start(
        listeners.into_iter().map(Listener::made).collect(),
        vec![
            cluster("app", &[app.port()], json!({})),
            cluster("short", &[app.port()], protocol(duration)),
        ],
    );
    let four = ["-n", "4", "-c", "1"];
    let body = ["-n", "4", "-c", "1", "--data", "more than ten bytes"];
    let limit = "upstream reset by limit";
    for (listener, path, more, cause, counter) in [
        ("route", "/silent", &four[..], "route timeout", "upstream_rq_timeout 4"),
        ("route", "/half", &four, "route timeout", "upstream_rq_timeout 4"),
        ("try", "/silent", &four, "route timeout", "upstream_rq_per_try_timeout 8"),
        ("idle", "/silent", &four, "route timeout", "http.idle.downstream_rq_idle_timeout 4"),
        ("upstream", "/silent", &four, limit, "upstream_rq_max_duration_reached 4"),
        ("downstream", "/silent", &four, limit, "downstream_rq_max_duration_reached 4"),
        ("downstream", "/half", &four, limit, "downstream_rq_max_duration_reached 4"),
        ("size", "/", &body, limit, "http.size.downstream_rq_too_large 4"),
    ] {
        let told = envoy.explained_with(listener, path, more).only(cause, "client-balancer", 4);
        contains(&told, &[counter]);
    }
}

/// A filter of each kind that refuses all requests.
fn refusing() -> Vec<(&'static str, Value)> {
    let all = json!({ "numerator": 100 });
    let enforced = json!({ "default_value": all });
    let any = json!({ "policies": { "all": {
        "permissions": [{ "any": true }], "principals": [{ "any": true }] } }, "action": "DENY" });
    vec![
        (
            "fault",
            filter(
                "filters.http.fault.v3.HTTPFault",
                json!({ "abort": { "http_status": 503, "percentage": all } }),
            ),
        ),
        (
            "limit",
            filter(
                "filters.http.local_ratelimit.v3.LocalRateLimit",
                json!({ "stat_prefix": "limiter", "filter_enabled": enforced, "filter_enforced": enforced,
                    "token_bucket": { "max_tokens": 1, "fill_interval": "3600s" } }),
            ),
        ),
        (
            "rbac",
            filter(
                "filters.http.rbac.v3.RBAC",
                json!({ "rules": any, "rules_stat_prefix": "istio_", "track_per_rule_stats": true }),
            ),
        ),
        (
            "tcp",
            filter("filters.network.rbac.v3.RBAC", json!({ "rules": any, "stat_prefix": "tcp." })),
        ),
    ]
}

fn listeners_with_filters() -> Vec<Value> {
    let to = |name: &str| Listener::to(name, json!({ "cluster": "app" }));
    let mut all: Vec<_> = refusing()
        .into_iter()
        .map(|(name, filter)| match name {
            "tcp" => to(name).behind(filter).made(),
            _ => to(name).filtered(filter).made(),
        })
        .collect();
    let elsewhere = json!([{ "match": { "prefix": "/elsewhere" }, "route": { "cluster": "app" } }]);
    all.push(to("route").routes(elsewhere).made());
    all.push(Listener::to("cluster", json!({ "cluster": "gone" })).made());
    all.push(to("in").made());
    all
}

#[test]
fn explain_names_what_an_envoy_refuses_by_itself() {
    let app = application();
    let envoy =
        Envoy::start(listeners_with_filters(), vec![cluster("app", &[app.port()], json!({}))]);
    for (listener, cause, requests, counter) in [
        ("fault", "fault injection", 20, "http.fault.fault.aborts_injected 20"),
        ("limit", "rate limit", 19, "limiter.http_local_rate_limit.enforced 19"),
        ("rbac", "RBAC", 20, "http.rbac.rbac.istio_.denied 20"),
        ("tcp", "RBAC", 20, "tcp.rbac.denied 20"),
        ("route", "no such route", 20, "http.route.no_route 20"),
        ("cluster", "no such cluster", 20, "http.cluster.no_cluster 20"),
    ] {
        let said = envoy.explained(listener, "/");
        let told = said.only(cause, "client-balancer", requests);
        contains(&told, &[counter, "at the client's Envoy"]);
        contains(&said.again(), &[&format!("{cause} (client balancer)"), counter]);
        assert_eq!(said.unknown(), [] as [&str; 0], "{listener}");
    }
    // A response to HEAD has no words.
    for (listener, cause) in [
        ("fault", "fault injection"),
        ("rbac", "RBAC"),
        ("route", "no such route"),
        ("cluster", "no such cluster"),
    ] {
        let said = envoy.explained_with(listener, "/", &["-n", "20", "-X", "HEAD"]);
        said.only(cause, "client-balancer", 20);
    }
    // The same statuses of the application are not its doing.
    for path in ["/404", "/503"] {
        let causes = envoy.explained("in", path).causes();
        assert!(causes.iter().all(|(cause, ..)| cause == "server errors"), "{causes:?}");
    }
}

#[test]
fn explain_finds_the_sidecar_that_refuses() {
    let app = application();
    let sidecar =
        Envoy::start(listeners_with_filters(), vec![cluster("app", &[app.port()], json!({}))]);
    let all = ["fault", "limit", "rbac", "tcp", "route", "cluster"];
    let listeners = all.map(|name| Listener::to(name, json!({ "cluster": name })).made()).to_vec();
    let clusters = all.map(|name| cluster(name, &[sidecar.port(name)], json!({}))).to_vec();
    let envoy = Envoy::start(listeners, clusters);
    let name = format!("gke1/echo2={}", sidecar.admin);
    for (listener, cause, requests) in [
        ("fault", "fault injection", 20),
        ("limit", "rate limit", 19),
        ("rbac", "RBAC", 20),
        ("tcp", "RBAC", 20),
        ("route", "no such route", 20),
        ("cluster", "no such cluster", 20),
    ] {
        let said = envoy.explained_with(listener, "/", &["-n", "20", "--envoy-admin", &name]);
        let told = said.only(cause, "server", requests);
        contains(&told, &["at gke1/echo2"]);
    }
    // Without its counters: its words say what it is, and the client's Envoy that it is behind it.
    for (listener, cause) in
        [("fault", "fault injection"), ("limit", "rate limit"), ("rbac", "RBAC")]
    {
        let told = envoy.explained(listener, "/").only(cause, "server", 20);
        contains(&told, &["20 responses say", &format!("an Envoy behind {listener} did")]);
    }
    // An empty 404 has no words: it may be the application's.
    let said = envoy.explained("route", "/");
    assert_eq!(said.causes(), [], "{said:#?}");
    contains(&said.unknown()[0], &["20 of 20 requests failed", "404"]);
}

#[test]
fn explain_does_not_guess_without_counters() {
    let app = application();
    let only = |patterns: Value| json!({ "stats_config": { "stats_matcher": { "inclusion_list": { "patterns": patterns } } } });
    let clusters = || {
        let none = json!({ "circuit_breakers": { "thresholds": [{ "max_pending_requests": 0 }] } });
        vec![cluster("app", &[app.port()], json!({})), cluster("open", &[app.port()], none)]
    };
    let mut listeners = listeners_with_filters();
    listeners.push(Listener::to("open", json!({ "cluster": "open" })).made());
    let envoy = Envoy::with(listeners.clone(), clusters(), only(json!([{ "prefix": "server" }])));
    for (listener, path, words) in [
        ("open", "/", "overflow"),
        ("in", "/large", "protocol error"),
        ("in", "/close", "connection termination"),
        ("rbac", "/", "RBAC: access denied"),
    ] {
        let said = envoy.explained(listener, path);
        assert_eq!(said.causes(), [], "{listener}{path}: {said:#?}");
        let unknown = said.unknown().join("\n");
        contains(&unknown, &[words, "20 responses say", "does not keep"]);
        assert_eq!(unknown.matches("proxyStatsMatcher").count(), 1, "{unknown}");
    }
    // Counters of clusters alone do not tell about filters.
    let envoy = Envoy::with(listeners, clusters(), only(json!([{ "prefix": "cluster." }])));
    let said = envoy.explained("rbac", "/");
    assert_eq!(said.causes(), [], "{said:#?}");
    contains(&said.unknown().join("\n"), &["does not keep rbac.denied", "proxyStatsMatcher"]);
    envoy.explained("open", "/").only("circuit breaker", "client-balancer", 20);
}

#[test]
fn explain_takes_nothing_of_other_callers_for_its_own() {
    let app = application();
    let envoy =
        Envoy::start(listeners_with_filters(), vec![cluster("app", &[app.port()], json!({}))]);
    // While prober asks the healthy listener, somebody else is refused and breaks things.
    let noise = |stream: &TcpStream| drop(read_head(stream));
    let ports = ["fault", "rbac", "route", "cluster"].map(|name| envoy.port(name));
    let other = Server::start(move |stream, _| {
        for port in ports {
            let to = (std::net::Ipv4Addr::LOCALHOST, port);
            let mut caller = TcpStream::connect(to).expect("an Envoy");
            let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            caller.write_all(request).expect("sent");
            let _ = std::io::copy(&mut caller, &mut std::io::sink());
        }
        noise(&stream);
        let failing = response("500 Internal Server Error", "", "oops");
        let _ = (&stream).write_all(failing.as_bytes());
        servers::linger(&stream);
    });
    let client = cluster("app", &[other.port()], json!({}));
    let to_other = Listener::to("in", json!({ "cluster": "app" })).made();
    let front = Envoy::start(vec![to_other], vec![client]);
    let name = format!("gke1/echo2={}", envoy.admin);
    let said = front.explained_with("in", "/", &["-n", "20", "--envoy-admin", &name]);
    said.only("server errors", "server", 20);
}

#[test]
fn explain_names_streams_that_the_other_side_reset() {
    for (conduct, cause, counter) in [
        (Conduct::Reset(h2::Reason::CANCEL), "upstream reset", "upstream_rq_rx_reset 20"),
        (
            Conduct::Reset(h2::Reason::REFUSED_STREAM),
            "upstream reset by limit",
            "http2.rx_reset 20",
        ),
    ] {
        let server = Http2Server::start(conduct);
        let app = cluster("app", &[server.port()], super::envoy::http2());
        let to_app = Listener::to("in", json!({ "cluster": "app" })).made();
        let envoy = Envoy::start(vec![to_app], vec![app]);
        let told = envoy.explained("in", "/").only(cause, "server", 20);
        contains(&told, &[counter, "to app"]);
    }
}

#[test]
fn explain_names_the_global_rate_limit_of_a_cluster() {
    let app = application();
    let service = Http2Server::start(Conduct::OverLimit);
    let limit = json!({
        "domain": "test", "timeout": "10s",
        "rate_limit_service": { "transport_api_version": "V3",
            "grpc_service": { "envoy_grpc": { "cluster_name": "limiter" } } },
    });
    let key = json!([{ "actions": [{ "generic_key": { "descriptor_value": "all" } }] }]);
    let limited = Listener::to("in", json!({ "cluster": "app", "rate_limits": key }))
        .filtered(filter("filters.http.ratelimit.v3.RateLimit", limit));
    let clusters = vec![
        cluster("app", &[app.port()], json!({})),
        cluster("limiter", &[service.port()], super::envoy::http2()),
    ];
    let envoy = Envoy::start(vec![limited.made()], clusters);
    let told = envoy.explained("in", "/").only("rate limit", "client-balancer", 20);
    contains(&told, &["to app", "ratelimit.over_limit 20"]);
}

#[test]
fn explain_names_a_limit_of_retries_beside_what_failed() {
    let app = application();
    let none = json!({ "circuit_breakers": { "thresholds": [{ "max_retries": 0 }] } });
    let retry =
        json!({ "cluster": "app", "retry_policy": { "retry_on": "5xx", "num_retries": 2 } });
    let envoy = Envoy::start(
        vec![Listener::to("in", retry).made()],
        vec![cluster("app", &[app.port()], none)],
    );
    let said = envoy.explained("in", "/500");
    let causes: Vec<_> = said.causes().into_iter().map(|(cause, ..)| cause).collect();
    assert_eq!(causes, ["server errors", "circuit breaker"], "{said:#?}");
}
