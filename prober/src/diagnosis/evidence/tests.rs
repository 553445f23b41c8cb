//! What is kept of two snapshots, of whom, and how much at most.

use super::*;

const SERVICE: &str = "outbound|8080||echo2.ns.svc.cluster.local";

fn host(address: &str, requests: u64) -> Host {
    let (address, locality) = (address.to_owned(), "r/z".to_owned());
    let health = "healthy".to_owned();
    Host { address, locality, weight: 1, requests, health, ..Host::default() }
}

fn snapshot(id: &str, clusters: &[(&str, Vec<Host>)], counters: &[(&str, u64)]) -> Snapshot {
    Snapshot {
        node: Node { id: id.to_owned(), ..Node::default() },
        clusters: clusters
            .iter()
            .map(|(name, hosts)| ((*name).to_owned(), hosts.clone()))
            .collect(),
        counters: counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
    }
}

fn sighting(name: Option<&str>, before: Snapshot, after: Snapshot) -> Sighting {
    let (name, from) = (name.map(str::to_owned), "http://a:1".to_owned());
    Sighting { name, from, before: Ok(before), after: Ok(after) }
}

fn one(sighting: Sighting) -> Reading {
    digest(vec![sighting], "echo2", 8080).envoys.remove(0)
}

#[test]
fn of_a_client_the_cluster_of_the_target_is_kept_with_what_came_to_it() {
    let other = ("outbound|80||other.ns.svc.cluster.local", vec![host("10.2.0.3:15443", 90)]);
    let near = ("outbound|8080||echo2x.ns.svc.cluster.local", vec![host("10.0.0.9:8080", 80)]);
    let counter = format!("cluster.{SERVICE}.ssl.handshake");
    let at = |sent: u64| {
        let own = (SERVICE, vec![host("10.0.0.1:8080", sent), host("10.2.0.3:15443", 2 * sent)]);
        snapshot("sidecar~x", &[own, other.clone(), near.clone()], &[(&counter, sent)])
    };
    let reading = one(sighting(None, at(10), at(30)));
    assert_eq!((reading.name.as_str(), reading.role), ("client", Role::Client));
    assert_eq!(reading.upstreams.len(), 1, "echo2x is another service");
    let upstream = &reading.upstreams[0];
    assert_eq!(upstream.requests(), 60);
    assert_eq!(upstream.endpoints[0].address, "10.2.0.3:15443", "most requests first");
    assert_eq!(upstream.endpoints[0].requests, Change { before: 20, after: 60, difference: 40 });
    assert_eq!(upstream.growth("ssl.handshake"), 20);
    assert_eq!(reading.others_with_gateways, 1);
}

#[test]
fn where_the_target_is_no_service_what_moved_is_kept() {
    let at = |sent: u64| {
        let quiet = ("outbound|80||quiet.ns.svc.cluster.local", vec![host("10.0.0.5:80", 7)]);
        snapshot("router~x", &[(SERVICE, vec![host("10.0.0.1:8080", sent)]), quiet], &[])
    };
    let readings = digest(vec![sighting(None, at(1), at(5))], "istio1.example.com", 80);
    let names: Vec<_> = readings.envoys[0].upstreams.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(names, [SERVICE]);
}

#[test]
fn of_gateways_and_servers_only_their_own_side_is_kept() {
    let client = |sent| snapshot("sidecar~c", &[(SERVICE, vec![host("10.0.0.1:8080", sent)])], &[]);
    let passed = "outbound_.8080_._.echo2.ns.svc.cluster.local";
    let foreign = "outbound_.8080_._.other.ns.svc.cluster.local";
    let gateway = |sent: u64| {
        let all = [
            (passed, vec![host("10.0.0.1:8080", sent)]),
            (foreign, vec![host("10.0.0.2:1", sent)]),
        ];
        snapshot("router~g", &all, &[])
    };
    let server = |n: u64| {
        let all = [("inbound|8080||", vec![host("127.0.0.1:8080", n)]), (SERVICE, Vec::new())];
        let counters = [
            ("listener.0.0.0.0_8080.no_filter_chain_match", n),
            ("listener.0.0.0.0_8080.worker_0.ssl.handshake", n),
            ("listener.0.0.0.0_8080.ssl.handshake", 4),
        ];
        snapshot("sidecar~s", &all, &counters)
    };
    let all = vec![
        sighting(None, client(0), client(9)),
        sighting(Some("gke1/eastwestgateway"), gateway(0), gateway(9)),
        sighting(Some("gke1/echo2"), server(2), server(9)),
    ];
    let envoys = digest(all, "echo2", 8080).envoys;
    let kept = |n: usize| envoys[n].upstreams.iter().map(|u| u.name.as_str()).collect::<Vec<_>>();
    assert_eq!((envoys[1].role, kept(1)), (Role::Gateway, vec![passed]));
    assert_eq!((envoys[2].role, kept(2)), (Role::Server, vec!["inbound|8080||"]));
    let counted: Vec<_> =
        envoys[2].listeners.iter().map(|(name, c)| (name.as_str(), c.difference)).collect();
    assert_eq!(counted, [("listener.0.0.0.0_8080.no_filter_chain_match", 7)]);
}

#[test]
fn what_was_reset_counts_from_there() {
    assert_eq!(Change::between(10, 4), Change { before: 10, after: 4, difference: 4 });
    assert!(Change::between(10, 4).was_reset() && !Change::between(4, 4).was_reset());
    let before = snapshot("x", &[(SERVICE, vec![host("10.0.0.1:8080", 3)])], &[]);
    let after = snapshot("x", &[(SERVICE, vec![host("10.0.0.2:8080", 5)])], &[]);
    let reading = one(sighting(None, before, after));
    let shown = |e: &Endpoint| (e.before.is_some(), e.after.is_some(), e.requests.difference);
    let endpoints = &reading.upstreams[0].endpoints;
    assert_eq!(shown(&endpoints[0]), (false, true, 5));
    assert_eq!(shown(&endpoints[1]), (true, false, 0), "nothing is known of what came to it");
}

#[test]
fn what_was_not_read_says_why_and_holds_nothing() {
    let whole = || snapshot("sidecar~a", &[(SERVICE, vec![host("10.0.0.1:8080", 1)])], &[]);
    let refused = |when: &str| {
        let mut sighting = sighting(None, whole(), whole());
        let why = Err("http://a:1: Connection refused\u{1b}[2J".to_owned());
        match when {
            "before" => sighting.before = why,
            _ => sighting.after = why,
        }
        one(sighting)
    };
    assert_eq!(refused("before").unread.unwrap(), "http://a:1: Connection refused\\u{1b}[2J");
    let after = refused("after");
    assert_eq!(after.unread.unwrap(), "after the run: http://a:1: Connection refused\\u{1b}[2J");
    assert!(after.upstreams.is_empty() && after.node.is_none());
    let other = one(sighting(None, whole(), snapshot("sidecar~b", &[], &[])));
    assert!(other.unread.unwrap().contains("another Envoy answered after the run: sidecar~b"));
}

#[test]
fn what_is_kept_is_bounded() {
    let names: Vec<_> =
        (0..50).map(|n| format!("outbound|8080|s{n}|echo2.ns.svc.cluster.local")).collect();
    let hosts = || (0..100).map(|n| host(&format!("10.0.0.{n}:8080"), n)).collect::<Vec<_>>();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), hosts())).collect();
    let listeners: Vec<_> =
        (0..100).map(|n| format!("listener.l{n}.no_filter_chain_match")).collect();
    let counters: Vec<_> = listeners.iter().map(|name| (name.as_str(), 1)).collect();
    let reading = one(sighting(None, snapshot("x", &[], &[]), snapshot("x", &all, &counters)));
    assert_eq!(reading.upstreams.len(), MAX_UPSTREAMS);
    assert!(reading.upstreams.iter().all(|upstream| upstream.endpoints.len() == MAX_ENDPOINTS));
    assert_eq!(reading.listeners.len(), MAX_LISTENER_COUNTERS);
}

#[test]
fn services_are_told_by_their_names() {
    for (cluster, host, port, is) in [
        (SERVICE, "echo2", 8080, true),
        (SERVICE, "echo2.ns", 8080, true),
        (SERVICE, "echo2.ns.svc.cluster.local.", 8080, true),
        (SERVICE, "echo2", 80, false),
        (SERVICE, "echo", 8080, false),
        ("outbound|8080|v1|echo2.ns.svc.cluster.local", "echo2", 8080, true),
        ("inbound|8080||", "echo2", 8080, false),
        ("BlackHoleCluster", "BlackHoleCluster", 80, false),
    ] {
        assert_eq!(is_service(cluster, host, port), is, "{cluster} {host}:{port}");
    }
    assert_eq!(host_of("outbound_.8080_.v1_.a.b.svc"), Some("a.b.svc"));
    let counter = format!("cluster.{SERVICE};.upstream_cx_total");
    assert_eq!(of_cluster(&counter), Some((SERVICE, "upstream_cx_total")));
}

#[test]
fn of_filters_what_is_on_the_way_of_the_requests_is_kept() {
    let counters = |n: u64| {
        [
            ("http.outbound_0.0.0.0_80;.no_route", n),
            ("http.outbound_0.0.0.0_80;.downstream_rq_total", 2 * n),
            ("http.outbound_0.0.0.0_80;.no_cluster", 4),
            ("http.inbound_0.0.0.0_8080;.rbac.denied", n),
            ("http.inbound_0.0.0.0_8080;.rbac.istio_.policy.p.denied", n),
            ("http.inbound_0.0.0.0_8080;.ext_authz.denied", n),
            ("tcp.rbac.denied", n),
            ("limiter.http_local_rate_limit.enforced", n),
            ("http.admin.downstream_rq_total", n),
            ("vhost.a.route.b.no_route", n),
        ]
    };
    let at = |id: &str, n: u64| snapshot(id, &[], &counters(n));
    let kept = |name: Option<&str>, id: &str| {
        let reading = one(sighting(name, at(id, 4), at(id, 9)));
        let told = reading.filters.iter().map(|(name, c)| format!("{name} {}", c.difference));
        (told.collect::<Vec<_>>(), reading.keeps_filters())
    };
    let limit = "limiter.http_local_rate_limit.enforced 5".to_owned();
    let out = [
        "http.outbound_0.0.0.0_80;.downstream_rq_total 10",
        "http.outbound_0.0.0.0_80;.no_route 5",
    ];
    let mut all: Vec<_> = out.map(str::to_owned).to_vec();
    all.push(limit.clone());
    assert_eq!(kept(None, "sidecar~c"), (all, true));
    let inbound = "http.inbound_0.0.0.0_8080;.rbac.denied 5".to_owned();
    let all = vec![inbound, limit, "tcp.rbac.denied 5".to_owned()];
    assert_eq!(kept(Some("gke1/echo2"), "sidecar~s"), (all, false));
    assert_eq!(kept(Some("gke1/gateway"), "router~g").0.len(), 5);

    let many: Vec<_> = (0..50).map(|n| format!("http.a{n}.downstream_rq_total")).collect();
    let mut counters: Vec<_> = many.iter().map(|name| (name.as_str(), 1)).collect();
    counters.push(("http.z.no_route", 3));
    let reading = one(sighting(None, snapshot("x", &[], &[]), snapshot("x", &[], &counters)));
    assert_eq!(reading.filters.len(), MAX_FILTER_COUNTERS);
    assert_eq!(reading.filtered("no_route"), 3, "refusals come first");
}

#[test]
fn where_the_service_itself_got_nothing_its_route_may_lead_to_other_services() {
    let other = "outbound|80||other.ns.svc.cluster.local";
    let at = |own: u64, n: u64| {
        let all = [
            (SERVICE, vec![host("10.0.0.1:8080", own)]),
            (other, vec![host("10.0.0.2:80", n)]),
            ("xds-grpc", vec![host("10.0.0.3:15012", n)]),
            ("inbound|8080||", vec![host("127.0.0.1:8080", n)]),
        ];
        snapshot("sidecar~c", &all, &[])
    };
    let kept = |own: u64| {
        let reading = one(sighting(None, at(0, 0), at(own, 9)));
        reading.upstreams.into_iter().map(|upstream| upstream.name).collect::<Vec<_>>()
    };
    assert_eq!(kept(0), [SERVICE, other]);
    assert_eq!(kept(1), [SERVICE]);
}

#[test]
fn what_got_neither_a_success_nor_an_error_is_unanswered() {
    let at = |requests, successes, errors, connect_failures| {
        let counts =
            Host { successes, errors, connect_failures, ..host("10.0.0.1:8080", requests) };
        snapshot("sidecar~x", &[(SERVICE, vec![counts])], &[])
    };
    let unanswered =
        |before, after| one(sighting(None, before, after)).upstreams[0].endpoints[0].unanswered;
    // Earlier, one connection failed several requests that were never sent.
    assert_eq!(unanswered(at(10, Some(10), 9, 2), at(40, Some(20), 16, 4)), 15);
    assert_eq!(unanswered(at(10, Some(10), 0, 0), at(40, Some(40), 0, 0)), 0);
    assert_eq!(unanswered(at(10, None, 0, 0), at(40, None, 0, 0)), 0, "it is not known");
}
