//! What a matrix file means, and every way in which it is refused.

use super::*;
use crate::plan::Select;
use crate::verdict::Sampling;
use proptest::prelude::*;

const WHOLE: &str = "\
clusters: [kops, gke1]
defaults:
  requests: 40
  show: 2
  headers: ['a: b']
sources:
  - name: kops:istio-disabled
    cluster: kops
    kubectl: {context: kops, namespace: istio-disabled, workload: deploy/sleep, container: prober}
  - name: laptop
    here: true
    resolve: ['echo2:8080:127.0.0.1']
  - {name: far, command: [ssh, host], prober: /opt/prober}
targets:
  - {from: 'kops:istio-disabled', url: 'echo1:8080', expect: [errors = 0, exactly kops]}
  - {from: laptop, url: 'echo2:8080', requests: 9, resolve: ['echo2:8080:127.0.0.2'], max-time: 2}
  - {url: istio1.xiaowenx.com/echo1}
  - {from: far, url: 'echo1:8080'}
";

fn read(text: &str) -> Result<Matrix, FileError> {
    parse("mesh.yaml", text, &Overrides::default())
}

#[test]
fn the_short_form_expands_to_kubectl_exec() {
    let matrix = read(WHOLE).unwrap();
    assert_eq!(matrix.clusters, ["kops", "gke1"]);
    let row = &matrix.rows[0];
    assert_eq!(row.heading(), "from kops:istio-disabled: curl echo1:8080");
    assert_eq!(
        row.origin.words(&row.arguments).join(" "),
        "kubectl exec --context=kops --namespace=istio-disabled --container=prober deploy/sleep -- \
         prober --target=echo1:8080 --requests=40 --show=2 --min-time=1s --header=a: b --expect=errors = 0 \
         --expect=exactly kops --output=json --quiet"
    );
    let far = &matrix.rows[3];
    assert_eq!(far.origin.words(&far.arguments)[..3], ["ssh", "host", "/opt/prober"]);
}

#[test]
fn the_more_special_setting_wins() {
    let matrix = read(WHOLE).unwrap();
    let plan = &matrix.rows[1].plan;
    assert_eq!((plan.planned(), plan.show), (Some(9), 2));
    assert_eq!(plan.limits.total.unwrap().as_secs(), 2);
    let address = plan.overrides.addresses("echo2", 8080).unwrap();
    assert_eq!(address, ["127.0.0.2".parse::<std::net::IpAddr>().unwrap()]);
    let forced =
        Overrides { requests: Some(5), show: Some(0), round: Some(7), ..Overrides::default() };
    let matrix = parse("m", WHOLE, &forced).unwrap();
    assert!(matrix.rows.iter().all(|row| row.plan.planned() == Some(5) && row.plan.show == 0));
}

#[test]
fn a_target_is_called_by_its_heading() {
    let target = |more: &str| read(&format!("targets:\n  - {{url: 'echo2:8080/hello'{more}}}\n"));
    let row = &target(", heading: 'echo2:8080'").unwrap().rows[0];
    assert_eq!(row.heading(), "curl echo2:8080");
    assert_eq!(row.plan.target.url, "http://echo2:8080/hello");
    assert_eq!(row.arguments[0], "--target=echo2:8080/hello");
    let error = target(", heading: ' '").unwrap_err().to_string();
    assert!(error.starts_with("mesh.yaml:2: the heading is empty; write how"), "{error}");
    let text = "defaults: {heading: a}\ntargets: [{url: b}]\n";
    let error = read(text).unwrap_err().to_string();
    assert!(
        error.starts_with("mesh.yaml:1: only a target can have 'from', 'url', 'heading'"),
        "{error}"
    );
}

#[test]
fn the_host_of_a_row_counts_before_that_of_the_defaults() {
    let text = "\
defaults: {headers: ['Host: shop', 'X-A: 1']}
targets:
  - {url: a}
  - {url: b, headers: ['host: own', 'X-A: 2']}
";
    let matrix = read(text).unwrap();
    let hosts = matrix.rows.iter().map(|row| row.plan.own_host().unwrap());
    assert_eq!(hosts.collect::<Vec<_>>(), ["shop", "own"]);
    let all = matrix.rows[1].plan.request.headers.to_map();
    assert_eq!(all.get_all("x-a").iter().collect::<Vec<_>>(), ["2", "1"], "both are sent");
}

#[test]
fn own_patterns_stand_for_those_of_the_defaults() {
    let text = "\
defaults: {identify: [podinfo, 'cluster=header:x-c']}
targets:
  - {url: a}
  - {url: b, identify: [whoami]}
";
    let words = |row: &Row| {
        let words = row.arguments.iter().filter_map(|word| word.strip_prefix("--identify="));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let matrix = read(text).unwrap();
    assert_eq!(words(&matrix.rows[0]), ["podinfo", "cluster=header:x-c"]);
    assert_eq!(words(&matrix.rows[1]), ["whoami"]);
    assert!(matrix.rows.iter().all(|row| row.plan.identify.is_some()));
    let error = read(&text.replace("[whoami]", "[whoam]")).unwrap_err().to_string();
    assert_eq!(error, "mesh.yaml:4: --identify 'whoam': unknown preset; did you mean 'whoami'?");
}

#[test]
fn a_body_is_written_out_and_goes_with_its_row() {
    let text = "targets:\n  - {url: a, data: 'a=1', method: PUT}\n  - {url: b}\n";
    let matrix = read(text).unwrap();
    let bodies = matrix.rows.iter().map(|row| row.plan.request.body.clone());
    assert_eq!(bodies.collect::<Vec<_>>(), [Some("a=1".into()), None]);
    assert!(matrix.rows[0].arguments.contains(&"--data=a=1".to_owned()));
    // Which machine's file would it be?
    let error = read(&text.replace("a=1", "@file")).unwrap_err().to_string();
    assert!(
        error.starts_with("mesh.yaml:2: --data '@file': only a plain run reads files"),
        "{error}"
    );
}

#[test]
fn a_timeline_can_be_asked_for_as_any_load() {
    let text = "defaults: {timeline: 100ms}\ntargets: [{url: a}, {url: b, timeline: 0.02}]\n";
    let widths = read(text).unwrap().rows.into_iter().map(|row| row.plan.timeline.unwrap());
    assert_eq!(widths.map(|width| width.as_millis()).collect::<Vec<_>>(), [100, 20]);
    let error = read("targets:\n  - {url: a, timeline: 0}\n").unwrap_err().to_string();
    assert!(error.starts_with("mesh.yaml:2: --timeline '0'"), "{error}");
}

#[test]
fn a_target_without_a_source_is_asked_from_here() {
    let matrix = read(WHOLE).unwrap();
    assert_eq!(matrix.rows[2].heading(), "curl istio1.xiaowenx.com/echo1");
    assert_eq!(matrix.rows[2].origin, Source::Here);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, said) in [
        ("", "mesh.yaml:1: the file is empty"),
        ("targets: []\n", "mesh.yaml:1: the file has no targets"),
        ("clusters: [a]\n", "mesh.yaml:1: 'targets' is missing"),
        ("targets: [\n", "mesh.yaml:"),
        (
            "- a\n- b\n",
            "mesh.yaml:1: the file must have keys with values; write at least 'targets:'",
        ),
        (
            "targets:\n  - {url: a}\nsourcs: []\n",
            "mesh.yaml:3: unknown key 'sourcs'; did you mean 'sources'?",
        ),
        (
            "targets:\n  - url: a\n    expekt: [x]\n",
            "mesh.yaml:3: unknown key 'expekt'; did you mean 'expect'?",
        ),
        ("targets:\n  - url: a\n    zzz: 1\n", "unknown key 'zzz'; write one of from, url"),
        ("targets:\n  - {from: a}\n", "mesh.yaml:2: this target has no 'url'"),
        ("targets:\n  - url: a\n    from: b\n", "mesh.yaml:3: unknown source 'b'"),
        (
            "sources: [{name: kops, here: true}]\ntargets:\n  - {url: a, from: kosp}\n",
            "mesh.yaml:3: unknown source 'kosp'; did you mean 'kops'?",
        ),
        (
            "sources: [{name: a}]\ntargets: [{url: a}]\n",
            "mesh.yaml:1: source 'a' needs exactly one of",
        ),
        (
            "sources: [{name: a, here: true, command: [x]}]\ntargets: [{url: a}]\n",
            "needs exactly one of",
        ),
        ("sources: [{name: a, command: []}]\ntargets: [{url: a}]\n", "needs exactly one of"),
        (
            "sources: [{name: a, here: true}, {name: a, here: true}]\ntargets: [{url: a}]\n",
            "two sources are named 'a'",
        ),
        (
            "clusters: [kops]\nsources: [{name: a, here: true, cluster: kop}]\ntargets: [{url: a}]\n",
            "mesh.yaml:2: unknown cluster 'kop'; did you mean 'kops'?",
        ),
        ("targets:\n  - url: a b\n", "mesh.yaml:2: target 'a b' has a space"),
        (
            "targets:\n  - url: a\n    expect:\n      - exacty b\n",
            "mesh.yaml:4: expectation 'exacty b', column 1",
        ),
        (
            "clusters: [kops, gke1]\ntargets:\n  - url: a\n    expect: [exactly kops, 'reaches gke2']\n",
            "mesh.yaml:4: expectation 'reaches gke2': unknown cluster 'gke2'; did you mean 'gke1'?",
        ),
        ("targets:\n  - {url: a, requests: 0}\n", "mesh.yaml:2: -n 0"),
        ("targets:\n  - {url: a, confidence: 2}\n", "mesh.yaml:2: --confidence '2'"),
        ("targets:\n  - {url: a, requests: many}\n", "mesh.yaml:2: "),
        ("defaults: {url: a}\ntargets:\n  - {url: a}\n", "only a target can have"),
        ("targets:\n  - {url: a, resolve: ['a:80']}\n", "mesh.yaml:2: "),
        (
            "targets:\n  - url: a\n    select: each\n",
            "mesh.yaml:3: a target is one row, and 'select: each'",
        ),
        (
            "defaults: {select: each}\ntargets:\n  - url: a\n",
            "mesh.yaml:1: a target is one row, and 'select: each'",
        ),
        ("targets:\n  - {url: a, select: foo}\n", "mesh.yaml:2: "),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(said), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn addresses_are_chosen_as_in_the_flags() {
    let text = "defaults: {select: round-robin, re-resolve: true}\n\
                targets: [{url: a}, {url: a, select: random, seed: 7, re-resolve: false}]\n";
    let plans: Vec<_> = read(text).unwrap().rows.into_iter().map(|row| row.plan).collect();
    assert_eq!((&plans[0].select, plans[0].names.anew), (&Select::RoundRobin, true));
    assert_eq!((&plans[1].select, plans[1].names.anew), (&Select::Random(7), false));
}

#[test]
fn paths_are_sent_as_they_are_if_a_row_says_so() {
    let text = "defaults: {path-as-is: true}\n\
                targets: [{url: a/x/../y}, {url: a/x/../y, path-as-is: false}]\n";
    let rows = read(text).unwrap().rows;
    let paths: Vec<_> = rows.iter().map(|row| row.plan.target.path.as_str()).collect();
    assert_eq!(paths, ["/x/../y", "/y"]);
    assert!(rows[0].arguments.contains(&"--path-as-is".to_owned()), "{:?}", rows[0].arguments);
}

#[test]
fn a_bad_expectation_is_pointed_at() {
    let error = read("targets: [{url: a, expect: [only]}]\n").unwrap_err();
    assert_eq!(error.pointer().unwrap(), "  only\n      ^");
}

proptest! {
    #[test]
    fn no_text_panics(text in "(targets|sources|url|from|name|here|expect|: |\\n|  |- |\\[|\\]|\\{|\\}|,|a|true){0,30}") {
        let _ = read(&text);
    }
}

#[test]
fn every_dns_server_of_a_target_is_asked_else_the_defaults() {
    let text = "defaults: {dns-servers: [10.0.0.1, 10.0.0.2]}\n\
                targets: [{url: a}, {url: a, dns-servers: [10.0.0.3, 10.0.0.4]}]\n";
    let matrix = parse("m.yaml", text, &Overrides::default()).unwrap();
    let servers = |row: usize| -> Vec<String> {
        matrix.rows[row].plan.names.servers.iter().map(ToString::to_string).collect()
    };
    assert_eq!(servers(0), ["10.0.0.1:53", "10.0.0.2:53"]);
    assert_eq!(servers(1), ["10.0.0.3:53", "10.0.0.4:53"]);
}

#[test]
fn a_row_without_a_size_goes_on_until_it_is_decided_about_all_clusters() {
    let text = "clusters: [kops, gke1]\n\
                defaults: {max-requests: 9000, min-share: 5%, confidence: 99%}\n\
                targets: [{url: a, expect: ['balanced ± 5%']}, {url: a, requests: 7}]\n";
    let matrix = parse("m.yaml", text, &Overrides::default()).unwrap();
    let plan = &matrix.rows[0].plan;
    assert_eq!(
        (plan.planned(), plan.schedule.end),
        (None, crate::plan::schedule::End::Requests(9000))
    );
    assert_eq!(plan.rules.clusters, ["kops", "gke1"]);
    assert_eq!((plan.rules.min_share, plan.rules.confidence), (0.05, 0.99));
    assert_eq!(matrix.rows[1].plan.planned(), Some(7), "no --max-requests beside -n");
}

/// The Envoys of each row, as `NAME at ACCESS`.
fn envoys(text: &str) -> Result<Vec<Vec<String>>, FileError> {
    let overrides = Overrides { explain: true, ..Overrides::default() };
    let shown = |envoy: &Envoy| {
        format!("{} at {}", envoy.name.as_deref().unwrap_or("client"), envoy.access)
    };
    let rows = parse("mesh.yaml", text, &overrides)?.rows;
    Ok(rows.iter().map(|row| row.plan.envoys.iter().map(shown).collect()).collect())
}

#[test]
fn the_envoy_that_chooses_is_the_targets_or_the_sources_or_behind_its_command() {
    let text = "sources:
  - {name: here, here: true}
  - {name: named, here: true, envoy-admin: '127.0.0.1:15000'}
  - {name: pod, kubectl: {context: kops, namespace: ns, workload: deploy/sleep, container: prober}}
  - {name: ssh, command: [ssh, host]}
envoys: {gke1/eastwestgateway: 'http://10.2.0.3:15000', ingress: 'http://10.1.0.2:15000'}
targets:
  - {from: here, url: a}
  - {from: named, url: a}
  - {from: pod, url: a}
  - {from: ssh, url: a}
  - {url: a, envoy-admin: 'http://10.1.0.2:15000'}
  - {from: named, url: a, envoy-admin: 'http://10.9.9.9:1'}
";
    let gateway = "gke1/eastwestgateway at http://10.2.0.3:15000".to_owned();
    let ingress = "ingress at http://10.1.0.2:15000".to_owned();
    let with = |client: &str| vec![format!("client at {client}"), gateway.clone(), ingress.clone()];
    let exec = "kubectl exec --context=kops --namespace=ns --container=istio-proxy deploy/sleep --";
    let all = envoys(text).unwrap();
    assert_eq!(all[0], [gateway.clone(), ingress.clone()], "none is known to choose");
    assert_eq!(all[1], with("http://127.0.0.1:15000"));
    assert_eq!(all[2], with(&format!("{exec} pilot-agent")));
    assert_eq!(all[3], with("ssh host pilot-agent"));
    let own = vec!["client at http://10.1.0.2:15000".to_owned(), gateway.clone()];
    assert_eq!(all[4], own, "what chooses is read once");
    assert_eq!(all[5], with("http://10.9.9.9:1"));
    let unasked = parse("mesh.yaml", text, &Overrides::default()).unwrap();
    assert!(unasked.rows.iter().all(|row| row.plan.envoys.is_empty()));
}

#[test]
fn wrong_envoys_are_refused_with_their_line() {
    for (text, part) in [
        ("targets: [{url: a, envoy-admin: 'https://a:1'}]", ":1: envoy-admin 'https://a:1'"),
        ("envoys:\n  x: 'a:1/stats'\ntargets: [{url: a}]", ":2: envoy-admin 'a:1/stats'"),
        (
            "sources:\n  - {name: s, here: true, envoy-admin: ''}\ntargets: [{from: s, url: a}]",
            ":2: envoy-admin ''",
        ),
        ("defaults: {envoy-admin: 'a:1'}\ntargets: [{url: a}]", "only a target can have"),
        ("targets: [{url: a, envoy_admin: 'a:1'}]", "unknown key 'envoy_admin'"),
    ] {
        let said = envoys(text).expect_err(part).to_string();
        assert!(said.contains(part), "{part}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_row_of_rounds_has_a_size_that_is_given() {
    let text = "defaults: {expect: ['balanced ± 5%'], max-requests: 9}\n\
                targets: [{url: a}, {url: b, requests: 3}, {url: c, duration: 2}]\n";
    let rounds = Overrides { round: Some(7), ..Overrides::default() };
    let rows = parse("m.yaml", text, &rounds).unwrap().rows;
    let planned: Vec<_> = rows.iter().map(|row| row.plan.planned()).collect();
    assert_eq!(planned, [Some(7), Some(3), None]);
    assert!(rows.iter().all(|row| row.plan.rules.sampling == Sampling::Fixed));
}

/// Rows of a fixed size take a second, unless something else sets their time.
#[test]
fn rows_of_a_fixed_size_are_spread_over_a_second() {
    let of = |keys: &str, overrides: &Overrides| {
        let text = format!("defaults: {{requests: 50}}\ntargets: [{{url: a{keys}}}]\n");
        let matrix = parse("m.yaml", &text, overrides).unwrap();
        matrix.rows[0].arguments.iter().find(|word| word.starts_with("--min-time")).cloned()
    };
    let plain = Overrides::default();
    let second = Some("--min-time=1s".to_owned());
    assert_eq!(of("", &plain), second);
    assert_eq!(of(", requests: 9", &plain), second);
    assert_eq!(of(", min-time: 0", &plain), Some("--min-time=0".to_owned()));
    assert_eq!(of(", min-time: 5s", &plain), Some("--min-time=5s".to_owned()));
    assert_eq!(of(", rate: 10", &plain), None, "the rate sets the time");
    let rounds = Overrides { round: Some(7), ..plain };
    assert_eq!(of("", &rounds), None, "a round of a watch is one of many");
}

#[test]
fn counts_and_rates_are_read_as_people_type_them() {
    let text = "defaults: {seed: 18446744073709551615, max-body: 64Ki}\n\
                targets: [{url: a, requests: 10k, concurrency: '1e2', rate: 1k, confidence: 95}]\n";
    let row = &read(text).unwrap().rows[0];
    assert_eq!((row.plan.planned(), row.plan.concurrency), (Some(10_000), 100));
    assert_eq!((row.plan.limits.body, row.plan.rules.confidence), (65_536, 0.95));
    for word in ["--requests=10000", "--rate=1k", "--seed=18446744073709551615"] {
        assert!(row.arguments.iter().any(|known| known == word), "{word}: {:?}", row.arguments);
    }
    for (value, part) in [
        ("many", "'requests' cannot be 'many': not a count; write"),
        ("''", "'requests' cannot be '': not a count; write"),
        ("-5", "'requests' cannot be '-5': a count cannot be negative; write"),
        ("1.5", "'requests' cannot be '1.5': not a whole number; write"),
        ("[1]", "'requests' must be one number or text"),
        ("{a: 1}", "'requests' must be one number or text"),
    ] {
        let said = read(&format!("targets:\n  - {{url: a, requests: {value}}}\n")).unwrap_err();
        let said = said.to_string();
        assert!(said.starts_with("mesh.yaml:2: ") && said.contains(part), "{value}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_row_waits_for_the_first_answer_unless_it_runs_in_rounds() {
    let text = "defaults: {wait: 1m}\ntargets: [{url: a}, {url: b, wait: 5}]\n";
    let waits = |overrides: &Overrides| -> Vec<_> {
        let rows = parse("m.yaml", text, overrides).unwrap().rows;
        rows.iter().map(|row| row.plan.wait.map(|wait| wait.as_secs())).collect()
    };
    assert_eq!(waits(&Overrides::default()), [Some(60), Some(5)]);
    assert_eq!(waits(&Overrides { round: Some(7), ..Overrides::default() }), [None, None]);
    let matrix = parse("m.yaml", text, &Overrides::default()).unwrap();
    assert!(matrix.rows[1].arguments.contains(&"--wait=5".to_owned()));
    let (long, short) = (matrix.rows[0].plan.longest(), matrix.rows[1].plan.longest());
    assert_eq!((long - short).as_secs(), 55, "a command may take the time of its wait");
}

#[test]
fn a_source_of_a_file_without_sources_is_to_be_added() {
    let said = read("targets:\n  - {url: a, from: x}\n").unwrap_err().to_string();
    assert_eq!(said, "mesh.yaml:2: unknown source 'x'; add it under 'sources:'");
    let known = read("sources: [{name: here, here: true}]\ntargets: [{url: a, from: x}]\n");
    let said = known.unwrap_err().to_string();
    assert!(said.ends_with("unknown source 'x'; write one of here"), "{said}");
}

#[test]
fn the_ends_of_connections_become_flags() {
    let words = |settings: &str| {
        let matrix = read(&format!("targets: [{{url: a, {settings}}}]\n"))?;
        Ok::<_, FileError>(matrix.rows[0].arguments.join(" "))
    };
    for (settings, part) in [
        ("haproxy-protocol: true", " --haproxy-protocol "),
        ("haproxy-protocol: v1", " --haproxy-protocol "),
        ("haproxy-protocol: v2", " --haproxy-protocol=v2 "),
        ("interface: if!eth0", " --interface=if!eth0 "),
    ] {
        let got = words(settings).unwrap();
        assert!(got.contains(part), "{settings}: {got}");
    }
    assert!(!words("haproxy-protocol: false").unwrap().contains("haproxy"));
    let line = words("haproxy-protocol: v3").unwrap_err().to_string();
    assert!(line.contains("'v3': write true, v1 or v2"), "{line}");
}
