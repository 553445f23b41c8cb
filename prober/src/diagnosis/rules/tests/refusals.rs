//! Refusals: each by the counters of the Envoy that refused, and by nothing else.

use super::*;

/// A reset of the client's Envoy or of one behind it, in Envoy's words.
const RESET: [(&str, &str); 3] = [
    ("overflow", "503: \"upstream connect error. reset reason: overflow\""),
    ("protocol", "502: \"upstream connect error. reset reason: protocol error\""),
    ("remote", "503: \"upstream connect error. reset reason: remote reset\""),
];

const WHICH: &str = "which endpoint gave which error is not known";

fn failing(what: &'static str, count: u64) -> Asked {
    answers(100, 0, 0).failed(FailureKind::Status, what, count)
}

/// A client with two subsets that get half each of 130 requests: their errors and counters.
fn two(first: (u64, &[(&str, u64)]), second: (u64, &[(&str, u64)])) -> Readings {
    let one = |name: &str, address: &str, (errors, counters): (u64, &[(&str, u64)])| Upstream {
        name: format!("outbound|8080|{name}|echo2.ns.svc.cluster.local"),
        ..upstream(vec![Endpoint { errors: grew(errors), ..endpoint(address, 65) }], counters)
    };
    let both = vec![one("v1", HOME, first), one("v2", GATEWAY, second)];
    Readings { envoys: vec![reading("client", Role::Client, both)] }
}

fn with_filters(name: &str, role: Role, counters: &[(&str, u64)]) -> Reading {
    let mut reading = reading(name, role, Vec::new());
    reading.filters = counters.iter().map(|(name, n)| ((*name).to_owned(), grew(*n))).collect();
    reading
}

#[test]
fn of_two_clusters_only_the_one_that_counted_is_named() {
    let cases: [(&str, &str, Cause); 9] = [
        ("upstream_rq_pending_overflow", RESET[0].1, Cause::CircuitBreaker),
        ("upstream_rq_active_overflow", RESET[0].1, Cause::CircuitBreaker),
        ("upstream_cx_protocol_error", RESET[1].1, Cause::UpstreamProtocolError),
        ("http2.header_list_size_too_large", RESET[2].1, Cause::UpstreamProtocolError),
        ("upstream_rq_rx_reset", RESET[2].1, Cause::UpstreamReset),
        (
            "http2.rx_reset",
            "503: \"reset reason: remote refused stream reset\"",
            Cause::ResetByLimit,
        ),
        (
            "upstream_rq_max_duration_reached",
            "504: \"upstream max stream duration reached\"",
            Cause::ResetByLimit,
        ),
        ("upstream_rq_timeout", "504: \"upstream request timeout\"", Cause::RouteTimeout),
        ("upstream_cx_none_healthy", "503: \"no healthy upstream\"", Cause::NoHealthyEndpoint),
    ];
    for (counter, what, cause) in cases {
        let counters = [(counter, 40), ("upstream_rq_rx_reset", 40)];
        let counters = if counter.contains("too_large") { &counters[..] } else { &counters[..1] };
        for sides in [two((0, &[]), (0, counters)), two((0, counters), (0, &[]))] {
            let guilty = sides.envoys[0].upstreams.iter().find(|u| u.growth(counter) > 0);
            let guilty = guilty.unwrap().name.clone();
            let found = failing(what, 30).because(&sides);
            assert_eq!(causes(&found), [cause], "{counter}: {found:?}");
            let finding = &found.findings[0];
            assert_eq!(finding.requests, 30, "not those of others: {finding:?}");
            assert!(finding.evidence.contains(&guilty), "{finding:?}");
            assert!(found.unknown.is_empty(), "{found:?}");
        }
    }
}

#[test]
fn what_nobody_was_refused_is_not_a_cause() {
    // Others met all of these; the requests of this run failed with an error of the application.
    let all = [
        ("upstream_cx_none_healthy", 9),
        ("upstream_cx_destroy_remote_with_active_rq", 9),
        ("upstream_rq_pending_overflow", 9),
        ("upstream_cx_protocol_error", 9),
        ("upstream_rq_rx_reset", 9),
        ("upstream_rq_max_duration_reached", 9),
        ("ratelimit.over_limit", 9),
    ];
    let mut readings = two((100, &all), (0, &[]));
    readings.envoys[0].filters = with_filters(
        "x",
        Role::Client,
        &[("http.x.no_route", 9), ("http.x.rbac.denied", 9), ("http.x.fault.aborts_injected", 9)],
    )
    .filters;
    for (name, role) in [("gke1/x", Role::Server), ("gke1/y", Role::Gateway)] {
        let mut other = reading(name, role, Vec::new());
        other.listeners.insert("listener.x.no_filter_chain_match".to_owned(), grew(9));
        readings.envoys.push(other);
    }
    let found = failing("500: \"oops\"", 30).because(&readings);
    assert_eq!(causes(&found), [Cause::ServerErrors], "{found:?}");
    let found = answers(100, 100, 0).because(&two((0, &all), (0, &[])));
    assert_eq!(causes(&found), [], "nothing failed");
}

#[test]
fn a_split_with_an_empty_side_blames_that_side_with_and_without_counters() {
    let empty = |counters: bool| {
        let mut readings = two((0, &[]), (0, &[]));
        let [full, none] = &mut readings.envoys[0].upstreams[..] else { panic!("two") };
        full.endpoints[0].requests = grew(50);
        *none = Upstream {
            endpoints: Vec::new(),
            ..upstream(
                Vec::new(),
                &[
                    ("upstream_cx_none_healthy", 50),
                    ("lb_healthy_panic", 50),
                    ("upstream_rq_503", 50),
                ],
            )
        };
        none.name = "outbound|8080|v2|echo2.ns.svc.cluster.local".to_owned();
        if !counters {
            full.counters.clear();
            none.counters.clear();
        }
        readings
    };
    for counters in [true, false] {
        let asked = answers(50, 0, 0).failed(FailureKind::Status, "503: no healthy upstream", 50);
        let found = asked.because(&empty(counters));
        assert_eq!(causes(&found), [Cause::NoEndpoints], "{counters}: {found:?}");
        assert!(found.findings[0].evidence.contains("|v2|"), "{found:?}");
        assert_eq!(found.findings[0].requests, 50);
    }
    // Two clusters may be meant, so neither is blamed.
    let mut both = empty(false);
    both.envoys[0].upstreams[0].endpoints.clear();
    let found = failing("503: no healthy upstream", 50).because(&both);
    assert_eq!(causes(&found), [], "{found:?}");
    assert!(found.unknown[0].contains("may be any of outbound|8080|v1|"), "{found:?}");
}

#[test]
fn what_clusters_erred_with_is_told_apart_by_their_own_status_counters() {
    let asked = || failing("500: \"oops\"", 30).failed(FailureKind::Status, LOCAL_503, 20);
    let found = asked().because(&two((30, &[]), (20, &[("upstream_rq_503", 20)])));
    let told: Vec<_> = found.findings.iter().map(|f| (f.cause, f.requests)).collect();
    assert_eq!(told, [(Cause::ServerErrors, 30), (Cause::AppDead, 20)], "{found:?}");
    assert!(found.findings[1].evidence.contains(GATEWAY), "{found:?}");
    assert!(!found.findings[1].evidence.contains(HOME), "{found:?}");

    let mut unknown = two((30, &[]), (20, &[]));
    unknown.envoys[0].upstreams.iter_mut().for_each(|upstream| upstream.counters.clear());
    let found = failing(LOCAL_503, 50).because(&unknown);
    assert_eq!(causes(&found), [Cause::AppDead, Cause::AppDead], "all of them say so");
    let found = asked().because(&unknown);
    let told: Vec<_> = found.findings.iter().map(|f| (f.cause, f.requests)).collect();
    assert_eq!(told, [(Cause::ServerErrors, 30), (Cause::AppDead, 20)], "{found:?}");
    for finding in &found.findings {
        assert!(finding.evidence.contains(WHICH), "{finding:?}");
    }
}

#[test]
fn a_dead_server_is_behind_the_cluster_that_has_its_address() {
    let mut readings = two((30, &[]), (20, &[("upstream_rq_503", 20)]));
    let mut dead = dead_server(60);
    dead.node.as_mut().unwrap().id = "sidecar~10.0.0.1~echo2.ns~ns.svc.cluster.local".to_owned();
    readings.envoys.push(dead);
    let found = failing("503: \"x\"", 50).because(&readings);
    let told: Vec<_> =
        found.findings.iter().map(|f| (f.cause, f.evidence.contains(HOME))).collect();
    assert_eq!(told, [(Cause::AppDead, true), (Cause::ServerErrors, false)], "{found:?}");
}

#[test]
fn refusals_of_filters_belong_to_the_envoy_that_counts_them() {
    let cases = [
        ("http.x.fault.aborts_injected", "503: \"fault filter abort\"", Cause::FaultInjection),
        ("l.http_local_rate_limit.enforced", "429: \"local_rate_limited\"", Cause::RateLimit),
        ("l.http_local_rate_limit.enforced", "429: \"slow down\"", Cause::RateLimit),
        ("http.x.rbac.istio_.denied", "403: \"RBAC: access denied\"", Cause::Rbac),
        ("http.x.no_route", "404 Not Found from envoy: no body", Cause::NoRoute),
        ("http.x.no_cluster", "503 Service Unavailable: no body", Cause::NoCluster),
        ("http.x.downstream_rq_idle_timeout", "504: \"stream timeout\"", Cause::RouteTimeout),
        (
            "http.x.downstream_rq_max_duration_reached",
            "504: \"downstream duration timeout\"",
            Cause::ResetByLimit,
        ),
        ("http.x.downstream_rq_too_large", "413: \"Payload Too Large\"", Cause::ResetByLimit),
    ];
    let roles = [
        (Role::Client, Layer::ClientBalancer),
        (Role::Gateway, Layer::Gateway),
        (Role::Server, Layer::Server),
    ];
    for (counter, what, cause) in cases {
        for (role, layer) in roles {
            let mut readings = client(vec![endpoint(HOME, 100)], &[]);
            let accepted = ("http.x.downstream_rq_total", 130);
            match role {
                Role::Client => {
                    let own = with_filters("client", role, &[(counter, 30), accepted]);
                    readings.envoys[0].filters = own.filters;
                }
                _ => readings.envoys.push(with_filters("gke1/x", role, &[(counter, 30), accepted])),
            }
            readings.envoys[0].others_with_gateways = 1;
            let passed = Judged {
                expectation: expectation::parse("only kops").unwrap(),
                verdict: Verdict::Pass,
                reason: String::new(),
            };
            let asked = Asked { verdicts: vec![passed], ..failing(what, 30) };
            let found = asked.because(&readings);
            let told: Vec<_> =
                found.findings.iter().map(|f| (f.cause, f.layer, f.requests)).collect();
            assert_eq!(told, [(cause, layer, 30)], "{counter}: {found:?}");
            assert!(found.findings[0].evidence.contains(counter), "{found:?}");
        }
    }
}

#[test]
fn empty_responses_of_endpoints_are_not_refusals() {
    // 25 of the 30 are the application's, by the counters of the cluster.
    let mut readings = client(vec![endpoint(HOME, 100)], &[("upstream_rq_404", 25)]);
    readings.envoys[0].filters =
        with_filters("client", Role::Client, &[("http.x.no_route", 30)]).filters;
    let found = failing("404 Not Found: no body", 30).because(&readings);
    assert_eq!((causes(&found)[0], found.findings[0].requests), (Cause::OnlyLocalEndpoints, 130));
    let own = found.findings.iter().find(|f| f.cause == Cause::NoRoute);
    assert_eq!(own.map(|f| f.requests), Some(5), "{found:?}");
    // Without counters of the cluster, all may be.
    readings.envoys[0].upstreams[0].counters.clear();
    let found = failing("404 Not Found: no body", 30).because(&readings);
    assert!(!causes(&found).contains(&Cause::NoRoute), "{found:?}");
}

#[test]
fn a_global_rate_limit_is_counted_by_its_cluster() {
    let over = [("ratelimit.over_limit", 30), ("upstream_rq_429", 30)];
    let found = failing("429 Too Many Requests: no body", 30).because(&two((0, &[]), (0, &over)));
    assert_eq!(causes(&found), [Cause::RateLimit], "{found:?}");
    assert!(found.findings[0].evidence.contains("ratelimit.over_limit 30"), "{found:?}");
    assert!(found.findings[0].evidence.contains("|v2|"), "{found:?}");
}

#[test]
fn retried_refusals_moved_requests() {
    let readings = client(
        vec![endpoint(HOME, 200), erring(GATEWAY, 90)],
        &[("upstream_cx_protocol_error", 90), ("upstream_rq_retry", 80)],
    );
    let found = answers(200, 0, 80).because(&readings);
    let finding = found.findings.iter().find(|f| f.cause == Cause::UpstreamProtocolError);
    let finding = finding.unwrap();
    assert_eq!((finding.effect, finding.requests), (Effect::Moved, 80), "{found:?}");
    assert!(finding.evidence.contains("were retried"), "{finding:?}");
    let readings = client(vec![endpoint(HOME, 200)], &[("upstream_rq_pending_overflow", 90)]);
    let found = answers(200, 0, 80).because(&readings);
    assert!(!causes(&found).contains(&Cause::CircuitBreaker), "it is not retried: {found:?}");
}

#[test]
fn words_without_counters_tell_what_but_not_where() {
    // The client's Envoy counts, and counted nothing: an Envoy behind did.
    for (_, what) in RESET {
        let found = failing(what, 30).because(&two((0, &[]), (30, &[("upstream_rq_503", 30)])));
        assert_eq!(found.findings.len(), 1, "{found:?}");
        let finding = &found.findings[0];
        assert_eq!((finding.layer, finding.requests), (Layer::Server, 30), "{finding:?}");
        assert!(finding.evidence.contains("|v2|") && !finding.evidence.contains("|v1|"));
    }
    // It counts nothing at all.
    let mut silent = two((0, &[]), (30, &[]));
    silent.envoys[0].upstreams.iter_mut().for_each(|upstream| upstream.counters.clear());
    let found = failing(RESET[0].1, 30).because(&silent);
    assert_eq!(causes(&found), [], "{found:?}");
    assert!(found.unknown[0].contains("circuit breaker"), "{found:?}");
    assert!(found.unknown[0].contains("does not keep upstream_rq_pending_overflow"), "{found:?}");
    // It counts only for a cluster that did not err.
    silent.envoys[0].upstreams[0].counters.insert("upstream_cx_total".to_owned(), grew(1));
    let found = failing(RESET[0].1, 30).because(&silent);
    assert_eq!(causes(&found), [], "{found:?}");
    assert!(found.unknown[0].contains("proxyStatsMatcher"), "{found:?}");
    // It was not read.
    let found = failing("403: \"RBAC: access denied\"", 30).because(&Readings::default());
    assert_eq!(causes(&found), []);
    assert!(found.unknown.iter().any(|line| line.contains("RBAC")), "{found:?}");
}

#[test]
fn retries_that_were_not_made_are_named_beside_what_failed() {
    let overflow = ("upstream_rq_retry_overflow", 40);
    let found = failing("500: \"oops\"", 30).because(&two((30, &[overflow]), (0, &[overflow])));
    assert_eq!(causes(&found), [Cause::ServerErrors, Cause::CircuitBreaker], "{found:?}");
    let finding = &found.findings[1];
    assert!(finding.evidence.contains("|v1|"), "v2 did not fail: {finding:?}");
    assert_eq!(finding.requests, 30);
}

#[test]
fn a_gateway_with_too_many_connections_closed_them() {
    let mut passed = upstream(vec![endpoint("10.2.0.9:8080", 0)], &[("upstream_cx_overflow", 30)]);
    passed.name = "outbound_.8080_._.echo2.ns.svc.cluster.local".to_owned();
    let ended = ("upstream_cx_destroy_remote_with_active_rq", 30);
    let mut readings = client(vec![endpoint(HOME, 70), erring(GATEWAY, 30)], &[ended]);
    readings.envoys.push(reading("gke1/eastwestgateway", Role::Gateway, vec![passed]));
    let what = "503: \"reset reason: connection termination\"";
    let asked = answers(70, 0, 0).failed(FailureKind::Status, what, 30);
    let found = asked.because(&readings);
    let failed: Vec<_> = found.findings.iter().filter(|f| f.effect == Effect::Failed).collect();
    assert_eq!((failed.len(), failed[0].cause), (1, Cause::CircuitBreaker), "{found:?}");
    assert_eq!(failed[0].layer, Layer::Gateway);
}

#[test]
fn with_http2_one_connection_fails_many_requests() {
    for (counter, what, cause) in [
        ("upstream_cx_protocol_error", RESET[1].1, Cause::UpstreamProtocolError),
        (
            "upstream_cx_destroy_remote_with_active_rq",
            "503: \"reset reason: connection termination\"",
            Cause::ConnectionsBroken,
        ),
    ] {
        let counters = [(counter, 2), ("upstream_cx_http2_total", 2)];
        let found = failing(what, 30).because(&two((0, &[]), (30, &counters)));
        assert_eq!(causes(&found), [cause], "none is behind: {found:?}");
        assert!(found.unknown.is_empty(), "{found:?}");
        // With HTTP/1.1, two connections are two requests, and the rest is behind.
        let found = failing(what, 30).because(&two((0, &[]), (30, &counters[..1])));
        assert_eq!(causes(&found), [cause, cause], "{found:?}");
    }
}

/// As an Envoy that keeps the counters of its filters.
fn with_accepted(mut readings: Readings) -> Readings {
    let accepted = [("http.x.downstream_rq_total", 100)];
    readings.envoys[0].filters = with_filters("x", Role::Client, &accepted).filters;
    readings
}

#[test]
fn of_two_faults_neither_is_blamed_on_both_endpoints() {
    let abort = "503: \"fault filter abort\"";
    let five = |mut endpoint: Endpoint, errors| {
        endpoint.errors = grew(errors);
        endpoint
    };
    let two = || vec![five(endpoint(HOME, 85), 47), five(endpoint(GATEWAY, 35), 35)];
    let asked = |dead| {
        let asked = answers(38, 0, 0).failed(FailureKind::Status, abort, 47);
        asked.failed(FailureKind::Status, LOCAL_503, dead)
    };
    let found = asked(35).because(&with_accepted(client(two(), &[])));
    assert_eq!(causes(&found), [Cause::FaultInjection, Cause::AppDead], "{found:?}");
    for finding in &found.findings {
        assert!(finding.evidence.contains(WHICH), "{finding:?}");
        assert!(!finding.evidence.contains("(gateway, us-west1/b) were answered"), "{finding:?}");
    }
    assert!(found.findings[1].evidence.starts_with("35 requests were answered"), "{found:?}");

    // An endpoint that was never reached gave no error.
    let ends = vec![five(endpoint(HOME, 85), 47), unreachable(GATEWAY, 105)];
    let readings = with_accepted(client(ends, &[("ssl.fail_verify_error", 105)]));
    let found = asked(35).because(&readings);
    let fault = found.findings.iter().find(|f| f.cause == Cause::FaultInjection).unwrap();
    assert!(fault.evidence.contains("; errors: 47 of 85 requests to 10.0.0.1"), "{fault:?}");
    assert!(!fault.evidence.contains(GATEWAY) && !fault.evidence.contains(WHICH), "{fault:?}");

    // Retries that succeeded hide what an endpoint said.
    let hidden = answers(85, 0, 47).failed(FailureKind::Status, LOCAL_503, 35);
    let found = hidden.because(&client(two(), &[("upstream_rq_retry", 47)]));
    assert!(found.findings[0].evidence.contains(WHICH), "{found:?}");
    // Both endpoints with the same fault are both named.
    let same = answers(38, 0, 0).failed(FailureKind::Status, LOCAL_503, 82);
    let found = same.because(&client(two(), &[]));
    assert!(!found.findings[0].evidence.contains(WHICH), "{found:?}");
    assert!(found.findings[0].evidence.contains("35 of 35 requests to 10.2.0.3"), "{found:?}");
}

#[test]
fn what_a_breaker_rejected_reached_no_endpoint() {
    let errors = Endpoint { errors: grew(35), ..endpoint(GATEWAY, 35) };
    let overflow = [("upstream_rq_active_overflow", 20)];
    let readings = client(vec![endpoint(HOME, 85), errors], &overflow);
    let asked = failing(RESET[0].1, 20).failed(FailureKind::Status, LOCAL_503, 35);
    let found = asked.because(&readings);
    assert_eq!(causes(&found), [Cause::AppDead, Cause::CircuitBreaker], "{found:?}");
    assert!(found.findings[0].evidence.contains(GATEWAY), "{found:?}");
    assert!(!found.findings[1].evidence.contains(GATEWAY), "{found:?}");

    // Envoy counts a rejection as an error of the endpoint that it chose.
    let errors = |address, errors| Endpoint { errors: grew(errors), ..endpoint(address, 3) };
    let ends = vec![errors(HOME, 48), errors(GATEWAY, 49)];
    let readings = client(ends, &[("upstream_rq_active_overflow", 95)]);
    let asked = answers(3, 0, 0).failed(FailureKind::Status, RESET[0].1, 95);
    let found = asked.failed(FailureKind::Status, LOCAL_503, 2).because(&readings);
    assert_eq!(causes(&found), [Cause::CircuitBreaker, Cause::AppDead], "{found:?}");
    assert!(found.findings[1].evidence.starts_with("2 requests were answered"), "{found:?}");
    assert!(!found.findings[1].evidence.contains(HOME), "its application is alive: {found:?}");
}

#[test]
fn two_clusters_are_not_both_blamed_for_the_errors_of_one() {
    let both = [("upstream_rq_503", 30)];
    let asked = failing("503: \"fault filter abort\"", 30);
    let asked = asked.failed(FailureKind::Status, LOCAL_503, 30);
    let found = asked.because(&with_accepted(two((30, &both), (30, &both))));
    let mut told: Vec<_> = found.findings.iter().map(|f| (f.cause, f.requests)).collect();
    told.sort();
    assert_eq!(told, [(Cause::AppDead, 30), (Cause::FaultInjection, 30)], "{found:?}");
    assert!(found.findings.iter().all(|f| f.evidence.contains(WHICH)), "{found:?}");
}
