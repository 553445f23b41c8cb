//! Each cause by the numbers that show it, and what is said where nothing shows.

mod refusals;

use std::time::Duration;

use echo_reply::Identity;

use super::*;
use crate::diagnosis::admin_pages::{Node, Settings};
use crate::diagnosis::evidence::{Change, Endpoint, Place, Role, Upstream};
use crate::diagnosis::finding::{Cause, Layer};
use crate::expectation;
use crate::tally::latency::Latency;
use crate::tally::outcome::{Code, Failure, FailureKind};
use crate::tally::{BackendTally, FailureGroup};
use crate::verdict::Judged;

const SERVICE: &str = "outbound|8080||echo2.ns.svc.cluster.local";
const HOME: &str = "10.0.0.1:8080";
const GATEWAY: &str = "10.2.0.3:15443";

fn grew(by: u64) -> Change {
    Change::between(0, by)
}

fn endpoint(address: &str, requests: u64) -> Endpoint {
    let region = if address.ends_with(":15443") { "us-west1/b" } else { "us-west-2/a" };
    let place = Place { weight: 1, priority: 0, health: "healthy".to_owned() };
    Endpoint {
        address: address.to_owned(),
        locality: region.to_owned(),
        before: Some(place.clone()),
        after: Some(place),
        requests: grew(requests),
        connections: grew(requests),
        ..Endpoint::default()
    }
}

/// An endpoint to which no connection came about, so many times.
fn unreachable(address: &str, times: u64) -> Endpoint {
    let (connections, errors) = (grew(times), grew(times));
    Endpoint { connections, errors, connect_failures: grew(times), ..endpoint(address, 0) }
}

fn erring(address: &str, requests: u64) -> Endpoint {
    Endpoint { errors: grew(requests), ..endpoint(address, requests) }
}

fn upstream(endpoints: Vec<Endpoint>, counters: &[(&str, u64)]) -> Upstream {
    // A counter that always is kept where any is.
    let kept = [("upstream_cx_total", 1)];
    let counters = kept.iter().chain(counters).map(|(name, n)| ((*name).to_owned(), grew(*n)));
    let failed: u64 = endpoints.iter().map(|e| e.connect_failures.difference).sum();
    let mut counters: std::collections::BTreeMap<_, _> = counters.collect();
    counters.insert("upstream_rq_pending_failure_eject".to_owned(), grew(failed));
    Upstream { name: SERVICE.to_owned(), settings: None, endpoints, counters }
}

fn reading(name: &str, role: Role, upstreams: Vec<Upstream>) -> Reading {
    Reading {
        name: name.to_owned(),
        role,
        from: "http://127.0.0.1:15000".to_owned(),
        unread: None,
        node: Some(Node {
            id: "sidecar~10.0.0.7~client-1.ns~ns.svc.cluster.local".to_owned(),
            cluster: "kops".to_owned(),
            network: "network1".to_owned(),
            locality: "us-west-2/a".to_owned(),
        }),
        upstreams,
        others_with_gateways: 0,
        listeners: std::collections::BTreeMap::new(),
        filters: std::collections::BTreeMap::new(),
    }
}

fn client(endpoints: Vec<Endpoint>, counters: &[(&str, u64)]) -> Readings {
    Readings { envoys: vec![reading("client", Role::Client, vec![upstream(endpoints, counters)])] }
}

/// A server's sidecar whose connections to its application failed so many times.
fn dead_server(failures: u64) -> Reading {
    let mut inbound = upstream(vec![unreachable("127.0.0.1:8080", failures)], &[]);
    inbound.name = "inbound|8080||".to_owned();
    reading("gke1/echo2", Role::Server, vec![inbound])
}

/// The east-west gateway of gke1 with a pod in each of these zones.
fn gateway(zones: &[&str]) -> Reading {
    let pod = |(n, zone): (usize, &&str)| Endpoint {
        locality: format!("us-west1/{zone}"),
        ..endpoint(&format!("10.2.0.{n}:8080"), 0)
    };
    let mut passed = upstream(zones.iter().enumerate().map(pod).collect(), &[]);
    passed.name = "outbound_.8080_._.echo2.ns.svc.cluster.local".to_owned();
    reading("gke1/eastwestgateway", Role::Gateway, vec![passed])
}

#[derive(Default)]
struct Asked {
    backends: Vec<(&'static str, &'static str, u64, u64)>,
    failures: Vec<(FailureKind, &'static str, u64)>,
    verdicts: Vec<Judged>,
}

/// Answers of kops and of gke1, some of them of a later attempt.
fn answers(kops: u64, gke1: u64, retried: u64) -> Asked {
    let all = [("kops", "a", kops, retried), ("gke1", "b", gke1, 0)];
    let backends = all.into_iter().filter(|(_, _, answers, _)| *answers > 0).collect();
    Asked { backends, ..Asked::default() }
}

impl Asked {
    fn failed(mut self, kind: FailureKind, what: &'static str, count: u64) -> Self {
        self.failures.push((kind, what, count));
        self
    }

    fn counted(self) -> (Tally, Vec<Judged>) {
        let mut tally = Tally::default();
        for (cluster, pod, answers, retried) in self.backends {
            let region = if cluster == "kops" { "us-west-2" } else { "us-west1" };
            let who = Identity { region: Some(region.to_owned()), ..Identity::new(pod, cluster) };
            let mut fresh = Latency::default();
            for _ in 0..answers {
                fresh.record(Duration::from_millis(if pod == "slow" { 300 } else { 2 }));
            }
            let backend = BackendTally { answers, retried, fresh, ..BackendTally::default() };
            tally.backends.insert(who, backend);
        }
        for (kind, what, count) in self.failures {
            let mut failure = Failure::new(kind, what);
            let code = what.split([' ', ':']).next().and_then(|code| code.parse().ok());
            failure.code = code.filter(|_| kind == FailureKind::Status).map(Code::Http);
            tally.failures.push(FailureGroup::new(failure, count));
        }
        (tally, self.verdicts)
    }

    fn because(self, readings: &Readings) -> Explanation {
        let (tally, verdicts) = self.counted();
        explain(readings, Some(&tally), &verdicts)
    }
}

/// The causes found, what accounts for most first.
fn causes(found: &Explanation) -> Vec<Cause> {
    found.findings.iter().map(|finding| finding.cause).collect()
}

const LOCAL_503: &str = "503: upstream connect error; reset reason: remote connection failure";

#[test]
fn even_shares_need_no_cause() {
    let readings = client(vec![endpoint(HOME, 205), endpoint(GATEWAY, 195)], &[]);
    let found = answers(205, 195, 0).because(&readings);
    assert_eq!(causes(&found), []);
    assert!(found.unknown.is_empty(), "{found:?}");
    let well = found.well.unwrap();
    assert!(well.contains("nothing is skewed") && well.contains(GATEWAY), "{well}");
}

#[test]
fn connections_that_fail_are_told_apart_by_their_counters() {
    let cases = [
        (&[("ssl.fail_verify_error", 100)][..], Cause::RootMismatch, Layer::Network),
        (&[("ssl.fail_verify_san", 100)], Cause::SanMismatch, Layer::Network),
        (&[("upstream_cx_connect_timeout", 100)], Cause::ConnectTimeout, Layer::Gateway),
        (&[], Cause::ConnectionRefused, Layer::Gateway),
    ];
    for (counters, cause, layer) in cases {
        let readings = client(vec![endpoint(HOME, 200), unreachable(GATEWAY, 100)], counters);
        let found = answers(200, 0, 100).because(&readings);
        assert_eq!(causes(&found), [cause]);
        let finding = &found.findings[0];
        assert_eq!((finding.layer, finding.requests), (layer, 100), "{cause:?}");
        assert!(
            finding.evidence.contains(&format!("100 of 100 connections to {GATEWAY}")),
            "{finding:?}"
        );
        assert_ne!(finding.effect, Effect::Failed, "they were retried at home");
    }
    let readings = client(vec![unreachable(HOME, 300)], &[("ssl.fail_verify_san", 300)]);
    let found = answers(0, 0, 0).failed(FailureKind::Status, LOCAL_503, 100).because(&readings);
    assert_eq!((causes(&found)[0], found.findings[0].effect), (Cause::SanMismatch, Effect::Failed));
    let mixed = client(
        vec![endpoint(HOME, 200), unreachable(GATEWAY, 100)],
        &[("ssl.fail_verify_san", 90)],
    );
    let found = answers(200, 0, 100).because(&mixed);
    assert_eq!(causes(&found), [Cause::SanMismatch, Cause::ConnectionRefused]);
    assert_eq!(found.findings[0].requests, 90);
}

#[test]
fn without_counters_it_is_said_that_how_is_not_known() {
    let mut readings = client(vec![endpoint(HOME, 200), unreachable(GATEWAY, 100)], &[]);
    readings.envoys[0].upstreams[0].counters.clear();
    let found = answers(200, 0, 100).because(&readings);
    assert_eq!(causes(&found), [Cause::ConnectionsFail]);
    assert!(found.findings[0].next.contains("grep eastwestgateway"), "{found:?}");
    assert!(found.unknown.iter().any(|line| line.contains("proxyStatsMatcher")), "{found:?}");
}

#[test]
fn a_dead_application_is_told_from_one_that_errs() {
    let failed = |what| answers(100, 0, 0).failed(FailureKind::Status, what, 100);
    let mut readings = client(vec![endpoint(HOME, 100), erring(GATEWAY, 100)], &[]);
    let found = failed(LOCAL_503).because(&readings);
    assert_eq!(causes(&found), [Cause::AppDead], "by what its sidecar says");
    let found = failed("500: oops").because(&readings);
    assert_eq!(causes(&found), [Cause::ServerErrors]);
    readings.envoys.push(dead_server(300));
    let found = failed("503").because(&readings);
    assert_eq!(causes(&found), [Cause::AppDead]);
    let said = &found.findings[0].evidence;
    assert!(said.contains("gke1/echo2 failed to open 300 connections to it"), "{said}");
    assert_eq!(found.findings[0].layer, Layer::Server);
}

#[test]
fn an_ejection_that_is_capped_comes_before_what_it_should_have_ended() {
    let overflow = ("outlier_detection.ejections_overflow", 60);
    let mut readings = client(vec![endpoint(HOME, 100), erring(GATEWAY, 100)], &[overflow]);
    readings.envoys[0].upstreams[0].settings =
        Some(Settings { max_ejection_percent: Some(10), ..Settings::default() });
    let found = answers(100, 0, 0).failed(FailureKind::Status, LOCAL_503, 100).because(&readings);
    assert_eq!(causes(&found), [Cause::EjectionCapped, Cause::AppDead]);
    assert!(found.findings[0].evidence.contains("at most 10 % of 2 endpoints"), "{found:?}");
}

#[test]
fn an_ejected_endpoint_accounts_for_what_it_did_not_get() {
    let mut out = erring(GATEWAY, 3);
    out.after.as_mut().unwrap().health = "ejected".to_owned();
    let enforced = ("outlier_detection.ejections_enforced_total", 1);
    let readings = client(vec![endpoint(HOME, 397), out], &[enforced]);
    let found = answers(397, 0, 0).failed(FailureKind::Status, LOCAL_503, 3).because(&readings);
    assert_eq!(causes(&found), [Cause::Ejected, Cause::AppDead]);
    assert_eq!(found.findings[0].requests, 197);
    assert!(found.findings[0].evidence.contains("(1 ejection, 3 errors there)"), "{found:?}");
    assert!(found.findings[0].evidence.contains("still ejected"), "{found:?}");
    let mut before = endpoint(GATEWAY, 0);
    before.after.as_mut().unwrap().health = "ejected".to_owned();
    let found = answers(400, 0, 0).because(&client(vec![endpoint(HOME, 400), before], &[]));
    assert!(found.findings[0].evidence.contains("(0 errors there)"), "{found:?}");
}

/// In a healthy mesh, more than one request at a time prefers the pods at home.
#[test]
fn a_gateway_gets_fewer_requests_by_the_policy_of_least_requests() {
    let mesh = |policy: &str, home: u64, remote: u64| {
        let mut readings = client(vec![endpoint(HOME, home), endpoint(GATEWAY, remote)], &[]);
        let policy = policy.to_owned();
        readings.envoys[0].upstreams[0].settings = Some(Settings { policy, ..Settings::default() });
        answers(home, remote, 0).because(&readings)
    };
    let found = mesh("LEAST_REQUEST", 690, 310);
    assert_eq!(causes(&found), [Cause::LeastRequest]);
    assert_eq!(found.findings[0].requests, 190);
    let said = &found.findings[0].evidence;
    assert!(said.contains("home 690, us-west1 through its gateway 310"), "{said}");
    assert_eq!(causes(&mesh("LEAST_REQUEST", 510, 490)), []);
    for (policy, home, remote) in [("ROUND_ROBIN", 690, 310), ("LEAST_REQUEST", 310, 690)] {
        let found = mesh(policy, home, remote);
        assert_eq!((causes(&found), found.unknown.len()), (vec![], 1), "{policy}: {found:?}");
    }
}

/// Connections that never came up are not always among all.
#[test]
fn no_more_connections_failed_than_there_were() {
    let end = Endpoint { connections: grew(819), ..unreachable(GATEWAY, 881) };
    let found = answers(400, 0, 0).because(&client(vec![endpoint(HOME, 400), end], &[]));
    let said = &found.findings[0].evidence;
    assert!(said.starts_with(&format!("881 connections to {GATEWAY}")), "{said}");
}

#[test]
fn nobody_healthy_panic_and_marked_endpoints() {
    let none = ("upstream_cx_none_healthy", 300);
    let readings = client(vec![endpoint(HOME, 50), endpoint(GATEWAY, 50)], &[none]);
    let found = answers(50, 50, 0).failed(FailureKind::Status, "503: no healthy upstream", 300);
    let found = found.because(&readings);
    assert_eq!((causes(&found), found.findings[0].requests), (vec![Cause::NoHealthyEndpoint], 300));

    let readings = client(Vec::new(), &[none]);
    let found = answers(0, 0, 0).failed(FailureKind::Status, "503: no healthy upstream", 300);
    assert_eq!(causes(&found.because(&readings)), [Cause::NoEndpoints]);

    let readings =
        client(vec![endpoint(HOME, 50), endpoint(GATEWAY, 50)], &[("lb_healthy_panic", 40)]);
    assert_eq!(causes(&answers(50, 50, 0).because(&readings)), [Cause::PanicMode]);

    let mut sick = endpoint(GATEWAY, 0);
    sick.after.as_mut().unwrap().health = "unhealthy".to_owned();
    let readings = client(vec![endpoint(HOME, 100), sick], &[]);
    let found = answers(100, 0, 0).because(&readings);
    assert_eq!(causes(&found), [Cause::Unhealthy], "and no skew without a cause: {found:?}");
}

#[test]
fn what_the_client_was_told_bends_shares() {
    let mut first = client(vec![endpoint(HOME, 320), endpoint(GATEWAY, 80)], &[]);
    first.envoys[0].upstreams[0].settings = Some(Settings {
        locality_weighted: true,
        localities: [("us-west-2/a".to_owned(), 80), ("us-west1/b".to_owned(), 20)].into(),
        ..Settings::default()
    });
    let found = answers(320, 80, 0).because(&first);
    assert_eq!((causes(&found), found.findings[0].requests), (vec![Cause::Distribute], 120));

    let mut later = endpoint(GATEWAY, 0);
    later.after.as_mut().unwrap().priority = 1;
    let found = answers(400, 0, 0).because(&client(vec![endpoint(HOME, 400), later], &[]));
    assert_eq!(causes(&found), [Cause::LocalityFailover]);

    let mut heavy = endpoint(GATEWAY, 300);
    heavy.after.as_mut().unwrap().weight = 3;
    let found =
        answers(100, 300, 0).because(&client(vec![endpoint(HOME, 100), heavy.clone()], &[]));
    assert_eq!(causes(&found), [Cause::Weights]);

    heavy.requests = grew(10);
    let found = answers(390, 10, 0).because(&client(vec![endpoint(HOME, 390), heavy], &[]));
    assert_eq!(causes(&found), [], "weights of 1:3 do not make 39:1");
    assert!(found.unknown[0].contains("why the shares are uneven"), "{found:?}");
}

#[test]
fn mirrored_requests_are_not_a_split() {
    let subset = |name: &str, sent: u64| Upstream {
        name: format!("outbound|8080|{name}|echo2.ns.svc.cluster.local"),
        ..upstream(vec![endpoint(HOME, sent)], &[])
    };
    let upstreams = vec![subset("kops", 200), subset("gke1", 200)];
    let readings = Readings { envoys: vec![reading("client", Role::Client, upstreams)] };
    let found = answers(200, 0, 0).because(&readings);
    assert_eq!(causes(&found), []);
    assert!(found.unknown[0].contains("they got 400 requests, more than the 200"), "{found:?}");
}

#[test]
fn a_host_that_no_service_has_is_not_a_change_of_endpoints() {
    let added = Endpoint { before: None, ..endpoint(HOME, 200) };
    let passthrough = |added: &Endpoint| Upstream {
        name: "PassthroughCluster".to_owned(),
        ..upstream(vec![added.clone()], &[("membership_change", 1)])
    };
    let upstreams = vec![passthrough(&added), upstream(vec![endpoint(HOME, 0)], &[])];
    let readings = Readings { envoys: vec![reading("client", Role::Client, upstreams)] };
    let found = answers(200, 0, 0).because(&readings);
    assert_eq!(causes(&found), [Cause::UnknownHost]);
    let evidence = &found.findings[0].evidence;
    assert!(evidence.contains("200 requests went through PassthroughCluster to "), "{evidence}");
    // Nothing passed through: another host of the Envoy.
    let idle = passthrough(&Endpoint { requests: Change::default(), ..added });
    let upstreams = vec![upstream(vec![endpoint(HOME, 200)], &[]), idle];
    let readings = Readings { envoys: vec![reading("client", Role::Client, upstreams)] };
    assert!(!causes(&answers(200, 0, 0).because(&readings)).contains(&Cause::UnknownHost));
}

#[test]
fn a_split_is_seen_by_its_subsets() {
    let subset = |name: &str, endpoint: Endpoint, counters: &[(&str, u64)]| Upstream {
        name: format!("outbound|8080|{name}|echo2.ns.svc.cluster.local"),
        ..upstream(vec![endpoint], counters)
    };
    let upstreams = vec![
        subset("kops", endpoint(HOME, 360), &[]),
        subset("gke1", unreachable(GATEWAY, 120), &[("upstream_rq_503", 40)]),
        upstream(vec![endpoint(HOME, 0)], &[]),
    ];
    let readings = Readings { envoys: vec![reading("client", Role::Client, upstreams)] };
    let found = answers(360, 0, 0).failed(FailureKind::Status, LOCAL_503, 40).because(&readings);
    assert_eq!(causes(&found), [Cause::ConnectionRefused, Cause::WeightedSplit]);
    assert!(found.findings[1].evidence.contains("subset gke1 40 (10.0%)"), "{found:?}");
}

#[test]
fn only_local_endpoints_have_one_of_two_reasons_unless_that_is_expected() {
    let mut readings = client(vec![endpoint(HOME, 100)], &[]);
    assert_eq!(causes(&answers(100, 0, 0).because(&readings)), [Cause::OnlyLocalEndpoints]);
    readings.envoys[0].others_with_gateways = 2;
    assert_eq!(causes(&answers(100, 0, 0).because(&readings)), [Cause::NoRemoteMtlsEndpoints]);
    let passed = |expectation: &str| Judged {
        expectation: expectation::parse(expectation).unwrap(),
        verdict: Verdict::Pass,
        reason: String::new(),
    };
    let asked = Asked { verdicts: vec![passed("only kops")], ..answers(100, 0, 0) };
    let found = asked.because(&readings);
    assert!(found.findings.is_empty() && found.well.is_some(), "{found:?}");
    let asked = Asked { verdicts: vec![passed("errors = 0")], ..answers(100, 0, 0) };
    assert!(!asked.because(&readings).findings.is_empty(), "nobody said who should answer");
    let pod = Endpoint { locality: "us-west1/b".to_owned(), ..unreachable("10.2.0.9:8080", 50) };
    let readings = client(vec![endpoint(HOME, 100), pod], &[("upstream_cx_connect_timeout", 50)]);
    let found = answers(100, 0, 50).because(&readings);
    assert!(causes(&found).contains(&Cause::PodAddresses), "{found:?}");
}

#[test]
fn endpoints_that_come_and_go_are_noticed() {
    let readings =
        client(vec![endpoint(HOME, 640), endpoint(GATEWAY, 200)], &[("membership_change", 2)]);
    let found = answers(640, 360, 0).because(&readings);
    assert_eq!(causes(&found), [Cause::EndpointsChanged]);
    assert!(found.findings[0].evidence.contains("count of 160 requests"), "{found:?}");
    let gone = Endpoint { after: None, ..endpoint(GATEWAY, 0) };
    let found = answers(400, 0, 0).because(&client(vec![endpoint(HOME, 400), gone], &[]));
    assert_eq!(causes(&found), [Cause::EndpointsChanged]);
    assert!(
        found.findings[0].evidence.starts_with("endpoints changed during the run: "),
        "{found:?}"
    );
    assert!(found.findings[0].evidence.contains("(gateway, us-west1/b) was removed"), "{found:?}");
}

#[test]
fn a_gateway_weighs_one_zone_and_pins() {
    let one = |weight: u64| {
        let place = Place { weight, priority: 0, health: "healthy".to_owned() };
        let (before, after) = (Some(place.clone()), Some(place));
        Endpoint { before, after, connections: grew(1), ..endpoint(GATEWAY, 200) }
    };
    let mut readings = client(vec![endpoint(HOME, 200), one(1)], &[]);
    readings.envoys.push(gateway(&["a", "b", "c"]));
    let found = answers(200, 200, 0).because(&readings);
    assert_eq!(causes(&found), [Cause::ZoneWeight, Cause::Pinned]);
    assert_eq!(found.findings[0].requests, 100, "300 instead of 200");
    assert!(found.findings[1].evidence.contains("1 of 3 pods"), "{found:?}");

    let readings = client(vec![endpoint(HOME, 100), one(2)], &[]);
    let found = answers(100, 200, 0).because(&readings);
    assert_eq!(
        causes(&found),
        [Cause::Weights, Cause::Pinned],
        "by the weight, without the gateway"
    );

    let mut spread = one(2);
    spread.connections = grew(20);
    let found = answers(100, 200, 0).because(&client(vec![endpoint(HOME, 100), spread], &[]));
    assert_eq!(causes(&found), [Cause::Weights], "20 connections met whom they could");
}

#[test]
fn a_refused_client_certificate_is_told_from_a_broken_connection() {
    let ended = ("upstream_cx_destroy_remote_with_active_rq", 100);
    let readings = |counters: &[(&str, u64)]| {
        client(vec![endpoint(HOME, 100), erring(GATEWAY, 100)], counters)
    };
    let failed = || {
        let what = "503: upstream connect error; reset reason: connection termination";
        answers(100, 0, 0).failed(FailureKind::Status, what, 100)
    };
    let mut refused = readings(&[ended, ("ssl.connection_error", 100)]);
    assert_eq!(causes(&failed().because(&refused)), [Cause::ClientRootMismatch]);
    let mut server = reading("gke1/echo2", Role::Server, Vec::new());
    server.listeners.insert("listener.x.ssl.fail_verify_error".to_owned(), grew(100));
    refused.envoys.push(server);
    let found = failed().because(&refused);
    assert!(found.findings[0].evidence.contains("gke1/echo2 refused 100"), "{found:?}");
    assert_eq!(causes(&failed().because(&readings(&[ended]))), [Cause::ConnectionsBroken]);
}

#[test]
fn listeners_without_a_chain_tell_of_plaintext_or_of_an_unknown_name() {
    let missing = |role: Role| {
        let mut other = reading("gke1/x", role, Vec::new());
        other.listeners.insert("listener.x.no_filter_chain_match".to_owned(), grew(50));
        Readings { envoys: vec![other] }
    };
    let failed = || answers(0, 0, 0).failed(FailureKind::Reset, "reset", 50);
    let found = failed().because(&missing(Role::Server));
    assert_eq!((causes(&found), found.findings[0].requests), (vec![Cause::PlaintextRefused], 50));
    assert!(found.unknown[0].contains("the client's Envoy was not read"), "{found:?}");
    assert_eq!(causes(&failed().because(&missing(Role::Gateway))), [Cause::UnknownServerName]);
}

#[test]
fn who_is_slow_is_named_unless_retries_are_why() {
    let readings = client(vec![endpoint(HOME, 100), endpoint(GATEWAY, 100)], &[]);
    let slow = |retried| Asked {
        backends: vec![("kops", "a", 100, 0), ("gke1", "slow", 100, retried)],
        ..Asked::default()
    };
    let found = slow(0).because(&readings);
    assert_eq!(causes(&found), [Cause::Slow]);
    assert!(found.findings[0].evidence.contains("of gke1 arrive within 300ms"), "{found:?}");
    assert_eq!(causes(&slow(50).because(&readings)), []);
}

#[test]
fn what_is_not_known_is_said_and_never_guessed() {
    let failed = || answers(100, 0, 0).failed(FailureKind::Protocol, "gibberish", 7);
    let found = failed().because(&client(vec![endpoint(HOME, 50), endpoint(GATEWAY, 50)], &[]));
    assert_eq!(causes(&found), []);
    assert!(
        found.unknown[0].contains("7 of 107 requests failed, such as protocol: gibberish"),
        "{found:?}"
    );
    assert_eq!(found.well, None);

    let mut unread = reading("client", Role::Client, Vec::new());
    unread.unread = Some("http://a:1: Connection refused".to_owned());
    let found = answers(100, 0, 0).because(&Readings { envoys: vec![unread] });
    assert_eq!(found.unknown, ["client was not read: http://a:1: Connection refused"]);
    assert!(found.findings.is_empty() && found.well.is_none());

    let passed_by = Readings { envoys: vec![reading("client", Role::Client, Vec::new())] };
    let found = answers(100, 0, 0).because(&passed_by);
    assert!(found.unknown[0].contains("bypassed it"), "{found:?}");

    let found = explain(&passed_by, None, &[]);
    assert!(found.unknown[0].contains("no requests were sent"), "{found:?}");
}

#[test]
fn a_missing_remote_endpoint_is_not_blamed_on_the_remote_secret_alone() {
    let mut readings = client(vec![endpoint(HOME, 100)], &[]);
    let found = answers(100, 0, 0).because(&readings);
    let finding = &found.findings[0];
    assert!(finding.evidence.contains("has no ready pods, or the remote secret"), "{finding:?}");
    let pods = finding.next.find("kubectl get pods,endpointslices");
    assert!(pods < finding.next.find("istioctl remote-clusters") && pods.is_some(), "{finding:?}");
    // Other services reach the other cluster: only this one can be meant.
    readings.envoys[0].others_with_gateways = 1;
    let found = answers(100, 0, 0).because(&readings);
    let finding = &found.findings[0];
    assert!(finding.evidence.contains("the remote secret works"), "{finding:?}");
    assert!(finding.evidence.contains("1 other service has endpoints"), "{finding:?}");
    assert!(finding.next.contains("kubectl get pods,endpointslices"), "{finding:?}");
    assert!(!finding.next.contains("remote-clusters"), "{finding:?}");
}

#[test]
fn a_consistent_hash_keeps_requests_at_one_endpoint() {
    for policy in ["RING_HASH", "MAGLEV"] {
        for second in ["10.0.0.2:8080", GATEWAY] {
            let ends = vec![endpoint(HOME, 100), endpoint(second, 0)];
            let mut readings = client(ends, &[]);
            readings.envoys[0].upstreams[0].settings =
                Some(Settings { policy: policy.to_owned(), ..Settings::default() });
            readings.envoys[0].others_with_gateways = 1;
            let found = answers(100, 0, 0).because(&readings);
            let hash = found.findings.iter().find(|f| f.cause == Cause::ConsistentHash);
            let hash = hash.expect("the hash");
            assert_eq!((hash.layer, hash.requests), (Layer::ClientBalancer, 50));
            for part in [policy, &format!("{HOME} (us-west-2/a) 100"), "0 (weight 1)"] {
                assert!(hash.evidence.contains(part), "{part}: {hash:?}");
            }
            assert!(hash.next.contains("grep -A5 consistentHash"), "{hash:?}");
            assert!(found.well.is_none() && found.unknown.is_empty(), "{found:?}");
            // A hash of something that differs is as even as any other policy.
            let ends = &mut readings.envoys[0].upstreams[0].endpoints;
            (ends[0].requests, ends[1].requests) = (grew(52), grew(48));
            let found = answers(52, 48, 0).because(&readings);
            assert!(!causes(&found).contains(&Cause::ConsistentHash), "{found:?}");
        }
    }
}

#[test]
fn uneven_endpoints_are_never_said_to_be_even() {
    let idle = endpoint("10.0.0.2:8080", 0);
    let readings = client(vec![endpoint(HOME, 100), idle, endpoint(GATEWAY, 100)], &[]);
    let found = answers(100, 100, 0).because(&readings);
    assert_eq!((causes(&found), found.well.clone()), (vec![], None), "{found:?}");
    assert!(found.unknown[0].starts_with("why the shares are uneven"), "{found:?}");
    // None of three requests may be chance, which is said.
    let few = client(vec![endpoint(HOME, 3), endpoint(GATEWAY, 0)], &[]);
    let found = answers(3, 0, 0).because(&few);
    assert_eq!((causes(&found), found.well.clone()), (vec![], None), "{found:?}");
    assert!(found.unknown[0].contains("may be chance with 3 requests"), "{found:?}");
    // Whoever expects it is told that it is so.
    let passed = Judged {
        expectation: expectation::parse("only kops").unwrap(),
        verdict: Verdict::Pass,
        reason: String::new(),
    };
    let asked = Asked { verdicts: vec![passed], ..answers(3, 0, 0) };
    let well = asked.because(&few).well.unwrap();
    assert!(well.starts_with("the shares are as expected"), "{well}");
}

#[test]
fn an_endpoint_that_hangs_is_named_with_what_it_did_not_answer() {
    let silent = Endpoint { unanswered: 34, ..endpoint(GATEWAY, 34) };
    let readings = client(vec![endpoint(HOME, 166), silent], &[]);
    let late = |count| answers(166, 0, 0).failed(FailureKind::Timeout, "no response", count);
    let found = late(34).because(&readings);
    assert_eq!(causes(&found), [Cause::NoAnswer], "{found:?}");
    assert!(found.unknown.is_empty(), "and no riddle about shares: {found:?}");
    let finding = &found.findings[0];
    assert_eq!((finding.layer, finding.requests), (Layer::Server, 34));
    let said = format!("34 of 34 requests to {GATEWAY} (gateway, us-west1/b) got no response");
    assert!(finding.evidence.starts_with(&said), "{finding:?}");
    // Others gave up, not this client.
    assert!(!causes(&answers(166, 34, 0).because(&readings)).contains(&Cause::NoAnswer));
    // A report of an earlier version does not say.
    let found = late(34).because(&client(vec![endpoint(HOME, 166), endpoint(GATEWAY, 34)], &[]));
    assert!(!causes(&found).contains(&Cause::NoAnswer), "{found:?}");
}

#[test]
fn a_connection_refused_behind_a_gateway_is_not_blamed_on_the_gateway() {
    let mut readings = client(vec![endpoint(HOME, 200), unreachable(GATEWAY, 100)], &[]);
    let found = answers(200, 0, 100).because(&readings);
    let finding = &found.findings[0];
    assert!(finding.evidence.contains("at the gateway or the pods behind it"), "{finding:?}");
    assert!(finding.next.contains("the pods of the service and istio-system"), "{finding:?}");

    let mut passed = upstream(vec![unreachable("10.2.0.9:8080", 100)], &[]);
    passed.name = "outbound_.8080_._.echo2.ns.svc.cluster.local".to_owned();
    readings.envoys.push(reading("gke1/eastwestgateway", Role::Gateway, vec![passed]));
    let found = answers(200, 0, 100).because(&readings);
    let finding = &found.findings[0];
    assert_eq!((finding.cause, finding.layer), (Cause::ConnectionRefused, Layer::Server));
    let said = "gke1/eastwestgateway failed to open 100 connections to 10.2.0.9:8080";
    assert!(finding.evidence.contains(said), "{finding:?}");
    assert!(!finding.next.contains("eastwestgateway"), "{finding:?}");
}

#[test]
fn a_gateway_that_refuses_a_subset_may_not_know_it() {
    let mut readings = client(vec![endpoint(HOME, 200), unreachable(GATEWAY, 100)], &[]);
    readings.envoys[0].upstreams[0].name =
        "outbound|8080|canary|echo2.ns.svc.cluster.local".to_owned();
    let found = answers(200, 0, 100).because(&readings);
    let refused = found.findings.iter().find(|f| f.cause == Cause::ConnectionRefused);
    let refused = refused.expect("it is a cause");
    assert_eq!(refused.layer, Layer::Gateway);
    assert!(refused.evidence.contains("which may not know subset canary"), "{refused:?}");
    assert!(refused.next.contains("DestinationRule with subset canary in that cluster too?"));
}
