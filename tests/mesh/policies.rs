//! Routes and traffic policies on a real Envoy: which hosts a sidecar answers, and what
//! `balancer ringhash`, `breaker` and `mirror` do to requests.

use super::*;

#[test]
fn mesh_policy_a_sidecar_answers_the_hosts_that_it_answers_in_istio() {
    let shared = Shared::get();
    let full = "echo2.istio-enabled.svc.cluster.local";
    let absolute = format!("{full}.");
    let names = ["echo2", "echo2.istio-enabled", "echo2.istio-enabled.svc", full, &absolute];
    for cluster in ["kops", "gke1"] {
        let way = from_sidecar(&shared.mesh, cluster);
        let status = |host: String| try_ask(way.to, &host, "/").expect("a response").status;
        for name in names {
            for host in [name.to_owned(), format!("{name}:8080"), name.to_uppercase()] {
                assert_eq!(status(host.clone()), 200, "{host} from {cluster}");
            }
        }
        // istiod gives the dot to the full name only. Other hosts are passed on, and these names
        // are not addresses.
        for host in ["echo2.", "echo2.istio-enabled.", "echo2.istio-enabled.svc.", "echo2.."] {
            assert_eq!(status(host.to_owned()), 503, "{host} from {cluster}");
        }
        assert_eq!(status(format!("{absolute}.")), 503, "two dots");
    }
}

#[test]
fn mesh_policy_other_hosts_are_passed_on_past_all_balancing_or_refused() {
    let mut mesh = two_clusters(block::OTHER_HOSTS);
    let service = from_sidecar(&mesh, "kops");
    let pod = echo(&mesh, "kops", 1).listens(0).to_string();
    let by_address = Way { host: pod, ..service.clone() };
    let passed = "cluster.PassthroughCluster.upstream_rq_total";
    assert_eq!(clusters(&by_address.ask_times(ENOUGH)), exactly(["kops"]));
    let count = mesh.counter("kops/client sidecar", passed).expect("a statistic");
    assert_eq!(count, ENOUGH as u64);
    let other = cluster_of(&mesh, "gke1").clients().next().expect("a client").listens(0);
    let from_other = Way { to: other, ..by_address.clone() };

    act(&mut mesh, "outbound-traffic kops registry-only");
    assert_eq!(by_address.ask().status, 502);
    assert_eq!(from_other.ask().status, 200, "a setting of one cluster");
    assert_eq!(clusters(&service.ask_times(ENOUGH)), exactly(["gke1", "kops"]));
    assert_eq!(mesh.state().clusters[0].settings, ["outbound-traffic registry-only"]);
    act(&mut mesh, "outbound-traffic kops allow-any");
    assert_eq!(by_address.ask().status, 200);
}

#[test]
fn mesh_policy_subsets_need_the_destination_rule_in_both_clusters() {
    let mut mesh = two_clusters(block::ONE_RULE);
    let subset = |way: Way| way.ask_times(5).iter().map(|got| got.status).collect::<Vec<_>>();
    let of = |mesh: &Mesh| (subset(from_sidecar(mesh, "kops")), subset(from_sidecar(mesh, "gke1")));
    // kops asks for a server name that the gateway of gke1 does not know. Open connections would
    // last for a while.
    act(&mut mesh, "destination-rule gke1 echo2 off");
    act(&mut mesh, "split echo2 gke1=100");
    assert_eq!(of(&mesh), (vec![503; 5], vec![503; 5]));
    let at_gateway = "listener.0.0.0.0_15443.no_filter_chain_match";
    assert!(mesh.counter("gke1/eastwestgateway", at_gateway).expect("a statistic") >= 5);
    assert_eq!(mesh.state().clusters[0].settings, ["destination-rule echo2 off"]);
    // Without the split, nobody asks for a subset.
    act(&mut mesh, "split echo2 off");
    let both = from_sidecar(&mesh, "kops").ask_times(ENOUGH);
    assert_eq!(clusters(&both), exactly(["gke1", "kops"]));

    act(&mut mesh, "split echo2 gke1=100");
    act(&mut mesh, "destination-rule gke1 echo2 on");
    assert_eq!(of(&mesh), (vec![200; 5], vec![200; 5]));
}

#[test]
fn mesh_policy_a_client_sidecar_is_envoy_and_other_envoys_are_istio_envoy() {
    let shared = Shared::get();
    let server = |way: Way| {
        let url = format!("http://{}{}", way.to, way.path);
        let said = harness::finish(
            std::process::Command::new("curl")
                .args(["-sI", "-X", "GET", "-H"])
                .args([&format!("Host: {}", way.host), &url]),
        );
        let line = said.stdout.lines().find_map(|line| line.strip_prefix("server: "));
        line.map(|name| name.trim().to_owned())
    };
    let name = |way| server(way).expect("a server");
    assert_eq!(name(from_sidecar(&shared.mesh, "kops")), "envoy");
    assert_eq!(name(from_outside(&shared.mesh, "kops", "echo2")), "istio-envoy");
    assert_eq!(name(straight(&shared.mesh, "kops", 1)), "istio-envoy");
}

/// Performs an action as `localmesh do` does.
#[track_caller]
pub(super) fn act(mesh: &mut Mesh, line: &str) {
    let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    mesh.act(&words).expect(line);
}

/// The pod that answered, and the cookie that was set.
fn ask_with(way: &Way, header: (&str, &str)) -> (String, Option<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("http://{}{}", way.to, way.path));
        let request = request.header("host", &way.host).header(header.0, header.1);
        let response = request.send().await.expect("a response");
        let value = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        (value(echo_reply::headers::POD).expect("an echo"), value("set-cookie"))
    })
}

/// Asks with each of 16 keys several times. Returns the pods that answered, after each key was
/// answered by one pod only.
#[track_caller]
fn pods_by_key(ask: impl Fn(&str) -> String) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for key in (0..16).map(|number| format!("user-{number}")) {
        let pods: BTreeSet<_> = (0..5).map(|_| ask(&key)).collect();
        assert_eq!(pods.len(), 1, "{key} reached {pods:?}");
        all.extend(pods);
    }
    all
}

/// The places of keys on the ring depend on addresses only, so that nothing here is by chance.
#[test]
fn mesh_policy_ringhash_keeps_each_key_on_one_pod() {
    let mut mesh = two_clusters(block::RINGHASH);
    act(&mut mesh, "scale kops/echo2 2");
    let ways = [from_sidecar(&mesh, "kops"), from_outside(&mesh, "kops", "echo2")];

    act(&mut mesh, "balancer echo2 ringhash --header x-user");
    for way in &ways {
        let pods = pods_by_key(|key| ask_with(way, ("x-user", key)).0);
        assert_eq!(pods.len(), 3, "many keys reach all pods: {pods:?}");
    }
    act(&mut mesh, "balancer echo2 ringhash --query user --min-ring-size 4096");
    for way in &ways {
        let by_query = |key: &str| Way { path: format!("{}?user={key}", way.path), ..way.clone() };
        let pods = pods_by_key(|key| ask_with(&by_query(key), ("x-user", "same")).0);
        assert_eq!(pods.len(), 3, "{pods:?}");
    }
    act(&mut mesh, "balancer echo2 ringhash --cookie session --ttl 0s --path /");
    for way in &ways {
        let pods = pods_by_key(|key| ask_with(way, ("cookie", &format!("session={key}"))).0);
        assert_eq!(pods.len(), 3, "{pods:?}");
        // A client without the cookie gets one, and stays where its first answer came from.
        let (first, cookie) = ask_with(way, ("x-user", "new"));
        let cookie = cookie.expect("a cookie");
        let (value, attributes) = cookie.split_once(';').expect("attributes");
        assert!(value.starts_with("session=") && attributes.contains("Path=/"), "{cookie}");
        let stays = (0..10).all(|_| ask_with(way, ("cookie", value)) == (first.clone(), None));
        assert!(stays, "{cookie} does not lead to {first}");
    }
    act(&mut mesh, "balancer echo2 ringhash --source-ip");
    for way in &ways {
        let pods: BTreeSet<_> = (0..20).map(|_| ask_with(way, ("x-user", "any")).0).collect();
        assert_eq!(pods.len(), 1, "all requests come from one address: {pods:?}");
    }
    // Of 60 coin flips, all are of one side with a probability of 2e-18.
    act(&mut mesh, "balancer echo2 random");
    let pods: BTreeSet<_> = (0..60).map(|_| ask_with(&ways[0], ("x-user", "any")).0).collect();
    assert!(pods.len() > 1, "a policy without a key: {pods:?}");
}

/// Sends 200 requests, 16 at a time. Returns how many failed, all by a full circuit breaker.
#[track_caller]
fn refused(way: &Way) -> u64 {
    let (_, row) = crate::prober::probing::row(&[
        "-t",
        &format!("{}{}", way.host, way.path),
        "--connect-to",
        &format!("::{}", way.to),
        "-n",
        "200",
        "-c",
        "16",
    ]);
    let failures = row["failures"].as_array().expect("a list");
    let overflow = |failure: &serde_json::Value| {
        let what = failure["what"].as_str().expect("a text");
        what.starts_with("503 ") && what.contains("reset reason: overflow")
    };
    assert!(failures.iter().all(overflow), "{failures:?}");
    assert_eq!(row["retried"], 0, "{row}");
    row["failed"].as_u64().expect("a number")
}

#[test]
fn mesh_policy_a_breaker_refuses_what_exceeds_a_limit() {
    let mut mesh = two_clusters(block::BREAKER);
    // Otherwise requests hardly overlap.
    act(&mut mesh, "delay kops/echo2 20ms");
    act(&mut mesh, "delay gke1/echo2 20ms");
    let client = from_sidecar(&mesh, "kops");
    let outside = from_outside(&mesh, "gke1", "echo2");
    let server = straight(&mesh, "kops", 1);
    let overflow = |mesh: &Mesh, envoy: &str, cluster: &str, name: &str| {
        mesh.counter(envoy, &format!("cluster.{cluster}.{name}")).expect("a statistic")
    };
    let service = "outbound|8080||echo2.istio-enabled.svc.cluster.local";
    assert_eq!(refused(&client), 0, "there is no limit by default");

    act(&mut mesh, "breaker echo2 on --max-connections 1 --max-pending-requests 1");
    let failed = refused(&client);
    assert!(failed >= 100, "two connections and one that waits, of 16: {failed}");
    let pending = "upstream_rq_pending_overflow";
    assert_eq!(overflow(&mesh, "kops/client sidecar", service, pending), failed);
    assert!(overflow(&mesh, "kops/client sidecar", service, "upstream_cx_overflow") > 0);
    let failed = refused(&outside);
    assert_eq!(overflow(&mesh, "gke1/ingressgateway", service, pending), failed);
    assert!(failed >= 100, "{failed}");
    // The sidecar of the service has the limits too: nobody else is on this way.
    let failed = refused(&server);
    assert!(failed > 0, "requests that arrive at the same time");
    assert_eq!(overflow(&mesh, "kops/echo2 sidecar", "inbound|8080||", pending), failed);

    let held = mesh.state();
    assert_eq!(held.services[0].name, "echo2");
    let setting = "breaker on --max-connections 1 --max-pending-requests 1";
    assert_eq!(held.services[0].settings, [setting]);
    let envoy = held.envoys.iter().find(|envoy| envoy.name == "kops/client sidecar").unwrap();
    assert_eq!(envoy.limits.len(), 1, "echo1 has none: {:?}", envoy.limits);
    assert_eq!(envoy.limits[0].limits["max_pending_requests"], 1);

    act(&mut mesh, "breaker echo2 on --max-requests 1");
    let failed = refused(&client);
    assert!(failed >= 100, "one request at a time, of 16: {failed}");
    act(&mut mesh, "breaker echo2 off");
    assert_eq!(refused(&client) + refused(&server), 0, "the limits have gone");
    assert!(mesh.state().services.is_empty());
}

#[test]
fn mesh_policy_retries_have_a_limit_of_their_own() {
    let mut mesh = two_clusters(block::BREAKER_RETRIES);
    act(&mut mesh, "kill gke1");
    act(&mut mesh, "breaker echo2 on --max-retries 1");
    let way = from_sidecar(&mesh, "kops");
    let (target, to) = (way.host.clone(), format!("::{}", way.to));
    let words = ["-t", &target, "--connect-to", &to, "-n", "400", "-c", "32"];
    let (_, row) = crate::prober::probing::row(&words);
    let overflow = of_outbound("upstream_rq_retry_overflow");
    let overflow = mesh.counter("kops/client sidecar", &overflow).expect("a statistic");
    assert!(overflow > 0 && row["failed"].as_u64() > Some(0), "{overflow}: {row}");
}

#[test]
fn mesh_policy_a_mirror_gets_copies_and_gives_no_answers() {
    let mut mesh = two_clusters(block::MIRROR);
    let requests = |mesh: &Mesh, envoy: &str, statistic: &str| {
        mesh.counter(envoy, statistic).expect("a statistic")
    };
    let inbound = "http.inbound_0.0.0.0_8080.downstream_rq_total";
    act(&mut mesh, "split echo2 kops=100");
    act(&mut mesh, "mirror echo2 gke1/echo2");
    assert_eq!(mesh.state().services[0].settings, ["mirror gke1/echo2", "split kops=100"]);
    // To a subset, which a sidecar reaches through the gateway; a failing mirror hides nothing.
    act(&mut mesh, "abort gke1/echo2 503");
    for way in [from_sidecar(&mesh, "kops"), from_outside(&mesh, "kops", "echo2")] {
        let before = requests(&mesh, "gke1/echo2 sidecar", inbound);
        assert_eq!(clusters(&way.ask_times(ENOUGH)), exactly(["kops"]));
        harness::wait_until("every copy has come", || {
            let copies = requests(&mesh, "gke1/echo2 sidecar", inbound) - before;
            assert!(copies <= ENOUGH as u64, "{copies} copies");
            (copies == ENOUGH as u64).then_some(())
        });
    }
    // To another service, without a sidecar, and only some of the requests.
    act(&mut mesh, "mirror echo2 echo1 --percent 50");
    let of_echo1 =
        "cluster.outbound|8080||echo1.istio-disabled.svc.cluster.local.upstream_rq_total";
    let before = requests(&mesh, "gke1/echo2 sidecar", inbound);
    let way = from_sidecar(&mesh, "kops");
    assert_eq!(clusters(&way.ask_times(3 * ENOUGH)), exactly(["kops"]));
    let copies = requests(&mesh, "kops/client sidecar", of_echo1);
    // 120 coin flips leave 20..=100 with a probability below 1e-13.
    assert!((20..=100).contains(&copies), "{copies} copies of {}", 3 * ENOUGH);
    assert_eq!(requests(&mesh, "gke1/echo2 sidecar", inbound), before, "the first mirror ended");

    act(&mut mesh, "mirror echo2 off");
    let before = requests(&mesh, "kops/client sidecar", of_echo1);
    assert_eq!(clusters(&way.ask_times(ENOUGH)), exactly(["kops"]));
    assert_eq!(requests(&mesh, "kops/client sidecar", of_echo1), before);
}

#[test]
fn mesh_policy_what_a_mirror_names_must_exist() {
    let mut mesh = two_clusters(block::MIRROR_REFUSED);
    for (line, part) in [
        ("mirror echo3 echo2", "unknown service \"echo3\""),
        ("mirror echo2 echo3", "unknown service \"echo3\"; known: echo1, echo2"),
        ("mirror echo2 eks1/echo2", "unknown cluster \"eks1\"; known: kops, gke1"),
        ("mtls echo1 strict", "echo1 has no sidecar"),
        ("san echo1 other", "echo1 has no sidecar"),
        ("account gke1/echo1 other", "gke1/echo1 has no certificate"),
        ("breaker echo3 off", "unknown service \"echo3\""),
    ] {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let said = mesh.act(&words).expect_err(line).to_string();
        assert!(said.contains(part), "{line}: {said}");
    }
    let undone = mesh.act(&["undo".to_owned()]).expect_err("nothing has changed").to_string();
    assert!(undone.contains("nothing to undo"), "{undone}");
}
