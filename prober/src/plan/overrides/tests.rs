//! Specs one by one, and properties of the parser.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn parse(resolve: &[&str], connect_to: &[&str]) -> Result<Overrides, OverrideError> {
    let owned = |specs: &[&str]| specs.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    Overrides::parse(&owned(resolve), &owned(connect_to))
}

fn resolve(specs: &[&str]) -> Overrides {
    parse(specs, &[]).unwrap()
}

fn connect(specs: &[&str]) -> Overrides {
    parse(&[], specs).unwrap()
}

fn ips(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[track_caller]
fn refused(result: Result<Overrides, OverrideError>, line: &str) {
    assert_eq!(result.unwrap_err().to_string(), line);
}

#[test]
fn addresses_come_in_order_in_either_spelling() {
    let rules = resolve(&["Echo:80:127.0.0.2,[::1],,fe80::7,[127.0.0.3],"]);
    let expected = ips(&["127.0.0.2", "::1", "fe80::7", "127.0.0.3"]);
    assert_eq!(rules.addresses("eCHO", 80), Some(&expected[..]));
    assert_eq!(rules.addresses("echo", 81), None);
    assert_eq!(rules.addresses("echo.", 80), None, "a trailing dot counts");
    assert_eq!(rules.addresses("*", 80), None);
}

#[test]
fn an_address_that_makes_the_whole_look_like_an_address_is_no_trouble() {
    assert_eq!(resolve(&["a:80:1::2"]).addresses("a", 80), Some(&ips(&["1::2"])[..]));
}

#[test]
fn later_wins_exact_goes_before_star_and_minus_removes() {
    let rules = resolve(&["echo:80:10.0.0.1", "*:80:10.0.0.9", "+ECHO:80:10.0.0.2"]);
    assert_eq!(rules.addresses("echo", 80), Some(&ips(&["10.0.0.2"])[..]));
    assert_eq!(rules.addresses("other", 80), Some(&ips(&["10.0.0.9"])[..]));
    assert_eq!(rules.addresses("[::1]", 80), Some(&ips(&["10.0.0.9"])[..]));
    let rules = resolve(&["echo:80:10.0.0.1", "*:80:10.0.0.9", "-Echo:80", "-gone:1"]);
    assert_eq!(rules.addresses("echo", 80), Some(&ips(&["10.0.0.9"])[..]));
    assert_eq!(resolve(&["*:80:10.0.0.9", "-*:80"]), Overrides::default());
    assert_eq!(resolve(&["-a:80", "a:80:::1"]).addresses("a", 80), Some(&ips(&["::1"])[..]));
}

#[test]
fn bad_resolve_values_say_what_would_be_right() {
    let form = "write HOST:PORT:ADDRESS[,ADDRESS…], such as 'istio1.xiaowenx.com:80:127.0.0.1'";
    for (spec, fault) in [
        ("", format!("the port is missing; {form}")),
        ("echo", format!("the port is missing; {form}")),
        ("echo:", format!("the port is missing; {form}")),
        ("echo:127.0.0.1", format!("'127.0.0.1' is not a port from 1 to 65535; {form}")),
        ("echo:80", format!("the address is missing; {form}")),
        ("echo:80:", format!("the address is missing; {form}")),
        ("echo:80:,,", format!("the address is missing; {form}")),
        ("echo:0:127.0.0.1", format!("'0' is not a port from 1 to 65535; {form}")),
        ("echo:65536:127.0.0.1", format!("'65536' is not a port from 1 to 65535; {form}")),
        ("echo:+80:127.0.0.1", format!("'+80' is not a port from 1 to 65535; {form}")),
        ("echo:http:127.0.0.1", format!("'http' is not a port from 1 to 65535; {form}")),
        (":80:127.0.0.1", format!("the host before the first colon is missing; {form}")),
        ("+", format!("the port is missing; {form}")),
        ("http://echo:80:1.2.3.4", format!("this is a URL, and 'http' is not a host; {form}")),
        ("e cho:80:1.2.3.4", format!("'e cho' is not a host name; {form}")),
        (
            "echo:80:other",
            format!(
                "'other' is not an IP address; {form} (to connect to another name, use --connect-to)"
            ),
        ),
        ("echo:80:[::1", "'[::1' has only one bracket; write '[::1]' or '::1'".into()),
        ("echo:80:::1]", "'::1]' has only one bracket; write '[::1]' or '::1'".into()),
        (
            "*.test:80:::1",
            "'*.test' matches nothing; write the whole name, or '*' for every host".into(),
        ),
        (
            "-echo:80:1.2.3.4",
            "remove '1.2.3.4'; to undo an earlier --resolve, write -HOST:PORT".into(),
        ),
    ] {
        refused(parse(&[spec], &[]), &format!("--resolve '{spec}': {fault}"));
    }
    for spec in ["[::1]:80:1.2.3.4", "::1:80:1.2.3.4", "-[::1]:80", "+[::1]:80:::1"] {
        let error = parse(&[spec], &[]).unwrap_err();
        assert!(error.to_string().contains("use --connect-to '[ADDRESS]:PORT"), "{error}");
    }
    refused(
        parse(&["a\n:80:\u{1b}"], &[]),
        &format!("--resolve 'a\\n:80:\\u{{1b}}': 'a\\n' is not a host name; {form}"),
    );
}

#[test]
fn the_first_rule_that_matches_and_changes_anything_decides() {
    let rules = connect(&["echo:80::", "ECHO:80:a:81", "echo::b:", ":82::83", "::[::1]:"]);
    assert_eq!(rules.connect_to("Echo", 80), ("a".into(), 81));
    assert_eq!(rules.connect_to("echo", 82), ("b".into(), 82));
    assert_eq!(rules.connect_to("other", 82), ("other".into(), 83));
    assert_eq!(rules.connect_to("other", 84), ("::1".into(), 84));
    assert_eq!(connect(&["echo:80:a"]).connect_to("echo", 80), ("a".into(), 80));
    assert_eq!(Overrides::default().connect_to("[::1]", 80), ("[::1]".into(), 80));
}

#[test]
fn ipv6_literals_match_however_they_are_spelled() {
    let rules = connect(&["[0:0:0:0:0:0:0:1]:80:a:81"]);
    assert_eq!(rules.connect_to("[::1]", 80), ("a".into(), 81));
    assert_eq!(rules.connect_to("::1", 80), ("a".into(), 81));
}

#[test]
fn the_zone_of_an_address_is_kept_apart() {
    let rules = connect(&["a:80:[fe80::1%eth0]:81", "b::[fe80::2%25eth1]", "c:80:[::1]:81"]);
    assert_eq!(rules.connect_to("a", 80), ("fe80::1".into(), 81));
    assert_eq!(rules.connect_to("b", 80), ("fe80::2".into(), 80));
    let zones = ["a", "b", "c", "d"].map(|host| rules.zone(host, 80));
    assert_eq!(zones, [Some("eth0"), Some("eth1"), None, None]);
    for spec in ["a:80:[fe80::1%]:1", "[fe80::1%eth0]:80:a:1", "a:80:[fe80::1%a b]:1"] {
        let line = parse(&[], &[spec]).unwrap_err().to_string();
        assert!(line.contains("is not a host name"), "{line}");
    }
}

#[test]
fn a_rule_is_applied_once_and_its_target_may_be_pinned() {
    let rules = parse(&["b:81:10.0.0.1"], &["a:80:b:81", "b:81:c:82"]).unwrap();
    let (host, port) = rules.connect_to("a", 80);
    assert_eq!(rules.addresses(&host, port), Some(&ips(&["10.0.0.1"])[..]));
}

#[test]
fn bad_connect_to_values_say_what_would_be_right() {
    let form = "write HOST1:PORT1:HOST2:PORT2, such as 'echo:80:127.0.0.1:8080'";
    for (spec, fault) in [
        ("", format!("the host to connect to is missing; {form}")),
        ("echo:80", format!("the host to connect to is missing; {form}")),
        ("echo:80:a:0", format!("'0' is not a port from 1 to 65535; {form}")),
        ("echo:65536:a:1", format!("'65536' is not a port from 1 to 65535; {form}")),
        ("echo:80:a:zz", format!("'zz' is not a port from 1 to 65535; {form}")),
        ("echo:80:a:1:2", format!("more than four parts; {form}, with IPv6 addresses in brackets")),
        ("echo:80:::1:8", format!("more than four parts; {form}, with IPv6 addresses in brackets")),
        ("echo:80:[a]:1", format!("'[a]' is not a host name; {form}")),
        ("echo:80:[::1]x:1", format!("'[::1]x' is not a host name; {form}")),
        ("echo:80:a/b:1", format!("'a/b' is not a host name; {form}")),
        ("*:80:a:1", "'*' matches nothing; leave HOST1 empty for every host".into()),
        ("echo:80:[::1:8", "the bracket in '[::1:8' is not closed; write '[::1]'".into()),
    ] {
        refused(parse(&[], &[spec]), &format!("--connect-to '{spec}': {fault}"));
    }
}

/// Text made of the characters and words that matter to the parsers.
fn spec() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[-+:,*.\\[\\] ]",
        "[a-cA-C]{1,3}",
        "[0-9]{1,6}",
        Just("127.0.0.1".to_owned()),
        Just("::1".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Values that are valid here and in curl, mostly for the same few hosts.
fn good_resolve() -> impl Strategy<Value = String> {
    let address = any::<IpAddr>().prop_map(|ip| match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    });
    let addresses = prop::collection::vec(address, 1..4).prop_map(|list| list.join(","));
    ("[+]?", "[a-bA-B*]", 1u16..4, prop::option::weighted(0.8, addresses)).prop_map(
        |(plus, host, port, addresses)| match addresses {
            Some(addresses) => format!("{plus}{host}:{port}:{addresses}"),
            None => format!("-{host}:{port}"),
        },
    )
}

/// How curl implements `--resolve`: a table with the key "host:port" in lower case.
fn as_curl_would(specs: &[String], host: &str, port: u16) -> Option<Vec<IpAddr>> {
    let mut table = std::collections::HashMap::new();
    for spec in specs {
        let spec = spec.to_ascii_lowercase();
        if let Some(key) = spec.strip_prefix('-') {
            table.remove(key);
            continue;
        }
        let parts: Vec<_> = spec.trim_start_matches('+').splitn(3, ':').collect();
        let list = parts[2].split(',').map(|a| without_brackets(a).parse().unwrap()).collect();
        table.insert(format!("{}:{}", parts[0], parts[1]), list);
    }
    let key = format!("{}:{port}", host.to_ascii_lowercase());
    table.get(&key).or_else(|| table.get(&format!("*:{port}"))).cloned()
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic_or_speak_in_two_lines(spec in spec()) {
        for result in [
            Overrides::parse(std::slice::from_ref(&spec), &[]),
            Overrides::parse(&[], std::slice::from_ref(&spec)),
        ] {
            if let Err(error) = result {
                prop_assert!(!error.to_string().contains(char::is_control));
            }
        }
    }

    #[test]
    fn pins_are_the_table_that_curl_keeps(
        specs in prop::collection::vec(good_resolve(), 0..8),
        host in "[a-cA-C]",
        port in 1u16..4,
    ) {
        let rules = Overrides::parse(&specs, &[]).unwrap();
        let expected = as_curl_would(&specs, &host, port);
        prop_assert_eq!(rules.addresses(&host, port), expected.as_deref());
    }
}
