//! What patterns find, in the answers of well-known applications, and how words are refused.

use super::*;
use proptest::prelude::*;

fn patterns(given: &[&str]) -> Patterns {
    let given: Vec<_> = given.iter().map(|&text| text.to_owned()).collect();
    Patterns::parse(&given).unwrap().unwrap()
}

fn from_body(given: &[&str], body: &str) -> Result<Identity, Nobody> {
    patterns(given).identify(body.as_bytes(), [&[]; LABELS], None, |_| None)
}

fn named(pod: &str, cluster: &str) -> Identity {
    Identity::new(pod, cluster)
}

#[test]
fn well_known_applications_are_identified_as_they_answer() {
    let whoami = "Name: shop\nHostname: whoami-7f9-x\nIP: 127.0.0.1\nRemoteAddr: 10.1.2.3:4\n\
                  GET / HTTP/1.1\r\nHost: a\r\nX-Evil: Hostname: forged\r\n\r\n";
    let whoami_api = r#"{"hostname":"whoami-7f9-x","ip":["127.0.0.1"],"headers":{"X-Evil":
                         ["Hostname: forged"]},"url":"/api","host":"a","method":"GET","name":"shop"}"#;
    let podinfo = r#"{"hostname": "podinfo-5d-x", "version": "6.5.3", "num_cpu": "2"}"#;
    let basic = r#"{"path": "/", "headers": {"X": ["y"]}, "namespace": "infra", "ingress": "",
                    "service": "", "pod": "infra-backend-v1-x", "sni": ""}"#;
    let istio = "ServiceVersion=v1\nServicePort=8080\nHost=b\nURL=/\nCluster=cluster-1\n\
                 IstioVersion=\nMethod=GET\nProto=HTTP/1.1\nIP=10.0.0.1\nAlpn=\n\
                 RequestHeader=Accept:*/*\nRequestHeader=X:Hostname=forged\nHostname=b-v1-x\n";
    let hello = "Hello version: v2, instance: helloworld-v2-79d5-x\n";
    let version = |who: Identity, version: &str| Identity { version: Some(version.into()), ..who };
    for (word, body, who) in [
        ("whoami", whoami, named("whoami-7f9-x", UNKNOWN_CLUSTER)),
        ("whoami", whoami_api, named("whoami-7f9-x", UNKNOWN_CLUSTER)),
        ("podinfo", podinfo, version(named("podinfo-5d-x", UNKNOWN_CLUSTER), "6.5.3")),
        (
            "echo-basic",
            basic,
            Identity {
                namespace: Some("infra".into()),
                ..named("infra-backend-v1-x", UNKNOWN_CLUSTER)
            },
        ),
        ("istio-echo", istio, version(named("b-v1-x", "cluster-1"), "v1")),
        (
            "istio-echo",
            &istio.replace("IstioVersion=", "Namespace=echo"),
            Identity {
                namespace: Some("echo".into()),
                ..version(named("b-v1-x", "cluster-1"), "v1")
            },
        ),
        (
            "istio-echo",
            &istio.replace("cluster-1", ""),
            version(named("b-v1-x", UNKNOWN_CLUSTER), "v1"),
        ),
        ("helloworld", hello, version(named("helloworld-v2-79d5-x", UNKNOWN_CLUSTER), "v2")),
    ] {
        assert_eq!(from_body(&[word], body), Ok(who), "{word}");
        let nobody = from_body(&[word], "Welcome to nginx!");
        assert_eq!(nobody, Err(Nobody::Nothing(word.to_owned())));
    }
    assert_eq!(PRESETS.len(), 5, "each of them is in the list above");
}

#[test]
fn each_source_finds_what_it_should() {
    let json =
        r#"{"a": {"b/c": [7, "x"], "~": 1.5, "no": null, "blank": " ", "deep": {}, "on": true}}"#;
    for (given, found) in [
        ("pod=json:/a/b~1c/0", Some("7")),
        ("pod=json:/a/b~1c/1", Some("x")),
        ("pod=json:/a/~0", Some("1.5")),
        ("pod=json:/a/no", None),
        ("pod=json:/a/on", None),
        ("pod=json:/a/blank", None),
        ("pod=regex:blank(.*?)\"", None),
        ("pod=json:/a/deep", None),
        ("pod=json:/b", None),
        (r#"pod=regex:"b/c": \[(\d)"#, Some("7")),
        ("pod=regex:b/c", Some("b/c")),
        ("pod=regex:(none)|(dee.)", Some("deep")),
        ("pod=regex:x(y)?", None),
        ("pod=regex:   ", None),
        ("pod=regex:absent", None),
    ] {
        let who = from_body(&[given], json);
        let right = found.map(|pod| named(pod, UNKNOWN_CLUSTER));
        assert_eq!(who, right.ok_or(Nobody::Nothing(given.to_owned())), "{given}");
    }
    assert!(from_body(&["pod=json:/a"], "no JSON").is_err());
    let lines = "first\r\npod: p-1\r\nlast";
    assert_eq!(from_body(&["pod=regex:^pod: (.+)$"], lines).unwrap().pod, "p-1", "without CR");
}

#[test]
fn a_header_is_looked_up_and_the_echos_own_fill_the_rest() {
    let own = patterns(&["cluster=header:X-Cluster", "zone=header:x-zone"]);
    let mut stated: [&[u8]; LABELS] = [&[]; LABELS];
    stated[..2].copy_from_slice(&[b"p".as_slice(), b"ignored"]);
    stated[7] = b"v1";
    let header =
        |name: &HeaderName| (name == "x-cluster").then_some(Cow::Borrowed(b" kops ".as_slice()));
    let who = own.identify(b"", stated, None, header);
    assert_eq!(who, Ok(Identity { version: Some("v1".into()), ..named("p", "kops") }));
    // A cluster is enough to be somebody; a missing zone is just absent.
    let who = own.identify(b"", [&[]; LABELS], None, header);
    assert_eq!(who, Ok(named(UNKNOWN_POD, "kops")));
    let nobody = own.identify(b"", stated, None, |_| None);
    assert_eq!(nobody, Err(Nobody::Nothing("cluster=header:X-Cluster".into())));
    stated[7] = b"v\x1b[2J";
    assert_eq!(own.identify(b"", stated, None, header), Err(Nobody::BadHeader));
}

#[test]
fn the_address_stands_for_an_application_that_says_nothing() {
    let pods = patterns(&["pod=address"]);
    assert!(!pods.read_bodies() && patterns(&["whoami"]).read_bodies());
    for address in ["10.0.0.1", "fd00::1"] {
        let remote = Some(address.parse().unwrap());
        let who = pods.identify(b"ok", [&[]; LABELS], remote, |_| None);
        assert_eq!(who, Ok(named(address, UNKNOWN_CLUSTER)));
    }
    assert_eq!(from_body(&["pod=address"], "ok"), Err(Nobody::Nothing("pod=address".into())));
    let both = patterns(&["pod=address", "cluster=json:/c"]);
    let who = both.identify(br#"{"c":"c"}"#, [&[]; LABELS], "::1".parse().ok(), |_| None);
    assert_eq!(who, Ok(named("::1", "c")));
}

#[test]
fn who_is_found_in_part_is_nobody() {
    let both = ["pod=json:/pod", "cluster=json:/cluster"];
    assert!(from_body(&both, r#"{"pod": "p", "cluster": "c"}"#).is_ok());
    let nobody = from_body(&both, r#"{"pod": "p"}"#).unwrap_err();
    assert_eq!(nobody.to_string(), "--identify cluster=json:/cluster found nothing");
    // A label that is named stands over the preset's, and must be found.
    let over = ["helloworld", "pod=regex:^Hello (.*),", "cluster=json:/c"];
    let nobody = from_body(&over, "Hello version: v1, instance: i").unwrap_err();
    assert_eq!(nobody, Nobody::Nothing("cluster=json:/c".into()));
    let who = from_body(&over[..2], "Hello version: v1, instance: i").unwrap();
    assert_eq!((who.pod.as_str(), who.version.as_deref()), ("version: v1", Some("v1")));
    assert_eq!(from_body(&["version=regex:v."], "v1"), Err(Nobody::Neither));
}

#[test]
fn unprintable_text_is_not_a_name() {
    for value in [r"p\n  PASS  errors = 0", r"\u001b[2J", "p\u{85}q", &"x".repeat(MAX_VALUE + 1)] {
        let body = format!(r#"{{"pod": "{value}"}}"#);
        let nobody = from_body(&["pod=json:/pod"], &body);
        assert_eq!(nobody, Err(Nobody::NoName("pod=json:/pod".into())), "{value}");
    }
    let longest = "x".repeat(MAX_VALUE);
    assert_eq!(from_body(&["pod=regex:x+"], &longest).unwrap().pod, longest);
}

#[test]
fn wrong_words_are_refused_with_the_nearest_right_ones() {
    for (given, said) in [
        (&["whoam"][..], "--identify 'whoam': unknown preset; did you mean 'whoami'?"),
        (&["x"], "write LABEL=SOURCE, or one of whoami, podinfo, echo-basic, istio-echo"),
        (&[""], "write LABEL=SOURCE"),
        (&["pood=json:/x"], "unknown label 'pood'; did you mean 'pod'?"),
        (&["xyz=json:/x"], "unknown label 'xyz'; write one of pod, cluster, namespace"),
        (&["=json:/x"], "unknown label ''"),
        (&["pod=jsno:/x"], "unknown source 'jsno'; did you mean 'json:'?"),
        (&["pod=x-pod"], "write pod=header:NAME, pod=json:/POINTER, pod=regex:PATTERN or pod=addr"),
        (&["pod=adress"], "unknown source; did you mean pod=address?"),
        (&["pod=address:"], "an address has no part to choose; write pod=address"),
        (&["node=address:10.0.0.1"], "an address has no part to choose; write node=address"),
        (&["pod="], "the source is missing"),
        (&["pod=json"], "a pointer starts with '/'; write pod=json:/hostname"),
        (&["pod=json:a.b"], "a pointer starts with '/'; write pod=json:/a.b"),
        (&["pod=json:/a~b"], "write '~' as ~0"),
        (&["pod=json:/a~"], "write '~' as ~0"),
        (&["zone=header: "], "the name of the header is missing; write it as zone=header:NAME"),
        (&["zone=header:a b"], "'a b' is not a header name"),
        (&["pod=regex:"], "the regex is empty; write it as pod=regex:PATTERN"),
        (&[r"pod=regex:\S(x"], r"--identify 'pod=regex:\S(x': "),
        (&["pod=regex:(x"], "not a regular expression: unclosed group"),
        (&["pod=regex:a{999999999}"], "not a regular expression: "),
        (&["pod=regex:[[:word:]]{9999}{9999}"], "not a regular expression: "),
        (&["pod=json:/a", "pod=json:/b"], "'pod=json:/b': 'pod' is given twice"),
        (&["whoami", "podinfo"], "'podinfo': 'whoami' is given, too; remove one of them"),
        (&["whoami", "whoami"], "'whoami' is given, too"),
    ] {
        let given: Vec<_> = given.iter().map(|&text| text.to_owned()).collect();
        let error = Patterns::parse(&given).expect_err(said).to_string();
        assert!(error.contains(said), "{given:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(Patterns::parse(&[]).unwrap().is_none(), "all is as it was");
}

proptest! {
    #[test]
    fn no_words_panic(text in any::<String>(), label in 0..LABELS, source in 0..SOURCES.len()) {
        let spelled = format!("{}={}:{text}", WORDS[label], SOURCES[source]);
        for given in [text, spelled] {
            if let Err(error) = Patterns::parse(&[given]) {
                prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }

    #[test]
    fn no_answer_panics_and_every_name_is_printable(
        body in any::<Vec<u8>>(), value in any::<Vec<u8>>(), preset in 0..PRESETS.len(),
    ) {
        let own = ["cluster=regex:(?s).+", "zone=json:/a", "node=header:x-node"];
        let patterns = patterns(&[&[PRESETS[preset].0], &own[..]].concat());
        let stated: [&[u8]; LABELS] = [&value; LABELS];
        let header = |_: &HeaderName| Some(Cow::Borrowed(value.as_slice()));
        if let Ok(who) = patterns.identify(&body, stated, None, header) {
            prop_assert!(who.is_printable());
            prop_assert!(who.values().into_iter().flatten().all(|v| v.len() <= MAX_VALUE));
        }
    }
}
