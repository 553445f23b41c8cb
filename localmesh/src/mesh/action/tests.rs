//! Words and the actions that they are.

use clap::CommandFactory as _;

use super::*;
use crate::topology::{
    Balancer, DEFAULT_BLOCK, Destination, HashKey, INGRESS_PORT, Limits, Mirror, RingHash, Shape,
    Topology,
};

#[test]
fn actions_are_read_from_their_words() {
    let read = |line: &str| Action::parse_line(line).unwrap();
    assert_eq!(read("kill gke1/echo2/app"), Action::Kill { target: "gke1/echo2/app".into() });
    assert_eq!(
        read("split echo2 kops=90,gke1=10"),
        Action::Split {
            service: "echo2".into(),
            weights: Weights(vec![("kops".into(), 90), ("gke1".into(), 10)]),
        }
    );
    assert_eq!(
        read("split echo2 off"),
        Action::Split { service: "echo2".into(), weights: Weights::default() }
    );
    let Action::Outlier(outlier) = read("outlier echo2 on --interval 1.5s --max-percent 100")
    else {
        panic!("an outlier action")
    };
    assert_eq!(outlier.interval, Some(Duration::from_millis(1500)));
    assert_eq!((outlier.max_percent, outlier.consecutive), (Some(100), None));
    assert_eq!(
        read("delay gke1/echo2 200ms --percent 5"),
        Action::Delay { pod: "gke1/echo2".into(), delay: Duration::from_millis(200), percent: 5 }
    );
}

#[test]
fn an_invalid_action_is_refused_in_one_line() {
    for (line, part) in [
        ("", "the action is missing"),
        ("kil gke1", "unknown action 'kil'; did you mean 'kill'?"),
        ("kill", "<TARGET>"),
        ("scale gke1/echo2 6", "from 0 to 5"),
        ("split echo2 kops=90,gke1=9", "add up to 99; they must add up to 100"),
        ("split echo2 kops=50,kops=50", "given twice"),
        ("split echo2 kops", "CLUSTER=WEIGHT"),
        ("distribute echo2 kops=x", "is not a weight"),
        ("delay gke1/echo2 soon", "for example 250ms"),
        ("delay gke1/echo2 2h", "from 0s to 1h"),
        ("locality gke1 west", "REGION/ZONE"),
        ("throttle gke1/echo2 100", "from 0 to 99"),
        ("mtls echo2 lax", "strict"),
        ("destination-rule gke1 echo2", "<SWITCH>"),
        ("outbound-traffic kops none", "allow-any, registry-only"),
        ("failover echo2 maybe", "on"),
        ("abort gke1/echo2 99", "from 200 to 599"),
        ("cut kops", "<OTHER>"),
        ("balancer echo2 ringhash", "--header NAME, --cookie NAME, --query NAME or --source-ip"),
        ("balancer echo2 ringhsh", "'ringhash'"),
        ("balancer echo2 random --header x", "only ringhash has a key"),
        ("balancer echo2 random --min-ring-size 5", "only ringhash has a key"),
        ("balancer echo2 ringhash --source-ip --min-ring-size 262145", "from 1 to 262144"),
        ("balancer echo2 ringhash --header a --source-ip", "cannot be used with"),
        ("balancer echo2 ringhash --header a:b", "letters, digits"),
        ("balancer echo2 ringhash --query a&b", "but not &"),
        ("balancer echo2 ringhash --header a --ttl 3s", "--cookie"),
        ("balancer echo2 ringhash --cookie a --path /", "--ttl DURATION"),
        ("balancer echo2 ringhash --cookie a --ttl 3s --path shop", "starts with /"),
        ("balancer echo2 ringhash --cookie a --ttl 400d", "from 0s to 365d"),
        ("breaker echo2 on", "on needs a limit"),
        ("breaker echo2 off --max-requests 1", "off has no settings"),
        ("breaker echo2 on --max-requests 0", "from 1 to 2147483647"),
        ("breaker echo2 on --max-conections 1", "'--max-connections'"),
        ("outlier echo2 off --interval 1s", "off has no settings"),
        ("mirror echo2", "<TO>"),
        ("mirror echo2 off --percent 5", "off has no settings"),
        ("mirror echo2 echo1 --percent 0", "from 1 to 100"),
        ("mirror echo2 a/b/c", "CLUSTER/SERVICE"),
        ("mirror echo2 /echo2", "CLUSTER/SERVICE"),
        ("undo all", "'all'"),
        (
            "outlier echo2 on --interval 0",
            "'--interval <INTERVAL>': out of range; write a duration from 1ms to 1h",
        ),
        ("outlier echo2 on --ejection-time 0s", "a duration from 1ms to 1h"),
        ("outlier echo2 on --interval 1us", "a duration from 1ms to 1h"),
        ("outlier echo2 on --interval -1s", "a duration cannot be negative"),
        (
            "scale gke1/echo2 -1",
            "invalid value '-1' for '<REPLICAS>': the number is out of range; write a number from 0 to 5",
        ),
        ("scale gke1/echo2 abc", "not a whole number; write one from 0 to 5"),
        ("retries echo2 -1", "from 0 to 10"),
        ("throttle gke1/echo2 -1", "from 0 to 99"),
        ("mirror echo2 echo1 --percent -1", "from 1 to 100"),
        (
            "delay gke1/echo2 -5s",
            "invalid value '-5s' for '<DELAY>': a duration cannot be negative",
        ),
        ("delay gke1/echo2 5s --percent -1", "from 1 to 100"),
        ("abort gke1/echo2 abc", "not a whole number; write one from 200 to 599"),
        ("abort gke1/echo2 -1", "from 200 to 599"),
        ("breaker echo2 on --max-requests -1", "from 1 to 2147483647"),
        ("san echo2 X", "not the name of a service account"),
        ("san echo2 a/b", "not the name of a service account"),
        ("account gke1/echo2 -a", "'-a'"),
    ] {
        let said = Action::parse_line(line).expect_err(line);
        assert!(said.contains(part), "{line}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for words in
        [&["san", "echo2", ""][..], &["san", "echo2", "x y"], &["account", "gke1/echo2", "a b"]]
    {
        let said = Action::parse(words).expect_err("not a name");
        assert!(said.contains("'<ACCOUNT>'") && said.contains("service account"), "{said}");
    }
}

#[test]
fn the_block_of_the_mesh_can_follow_the_action() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for line in ["undo --block 112", "undo --block=112", "--block 112 undo"] {
        let read = Asked::parse(&words(line)).expect(line);
        assert_eq!(read, Asked::Action(Action::Undo, Some(112)), "{line}");
        assert_eq!(without_block(&words(line)), ["undo"], "{line}");
        let said = Action::parse_line(line).expect_err("a scenario has one mesh");
        assert!(said.starts_with("--block"), "{said}");
    }
    let kept = words("mirror echo2 echo1 --percent 5");
    assert_eq!(without_block(&kept), kept);
    let default = format!("[default: {DEFAULT_BLOCK}]");
    for (name, part) in [("undo", "--block <N>"), ("kill", default.as_str())] {
        let Ok(Asked::Help(text)) = Asked::parse(&[name, "--help"]) else { panic!("help") };
        assert!(text.contains(part), "{text}");
    }
    let said = Asked::parse(&words("undo --block 0")).expect_err("no block");
    assert!(said.contains("from 1 to 254"), "{said}");
}

#[test]
fn policies_are_read_from_the_words_of_istio() {
    let balancer = |line: &str| match Action::parse_line(&format!("balancer echo2 {line}")) {
        Ok(Action::Balancer(args)) => args.balancer().unwrap(),
        other => panic!("{line}: {other:?}"),
    };
    let ring = |key, min_ring_size| Balancer::RingHash(RingHash { key, min_ring_size });
    assert_eq!(balancer("random"), Balancer::Random);
    assert_eq!(balancer("ringhash --header X-User"), ring(HashKey::Header("x-user".into()), 1024));
    assert_eq!(balancer("ring-hash --source-ip"), balancer("ringhash --source-ip"));
    assert_eq!(
        balancer("ringhash --query user --min-ring-size 64"),
        ring(HashKey::Query("user".into()), 64)
    );
    let cookie = HashKey::Cookie {
        name: "Session".into(),
        ttl: Some(Duration::from_hours(24)),
        path: Some("/shop".into()),
    };
    assert_eq!(balancer("ringhash --cookie Session --ttl 24h --path /shop"), ring(cookie, 1024));
    let Ok(Action::Breaker(breaker)) =
        Action::parse_line("breaker echo2 on --max-connections 1 --max-retries 3")
    else {
        panic!("a breaker action")
    };
    let limits = Limits { connections: Some(1), retries: Some(3), ..Limits::default() };
    assert_eq!(breaker.limits(), Ok(limits));
    let mirror = |line: &str| match Action::parse_line(&format!("mirror echo2 {line}")) {
        Ok(Action::Mirror(args)) => args.mirror().unwrap(),
        other => panic!("{line}: {other:?}"),
    };
    let to = |service: &str, subset: Option<&str>, percent| {
        let subset = subset.map(str::to_owned);
        Some(Mirror { to: Destination { service: service.into(), subset }, percent })
    };
    assert_eq!(mirror("off"), None);
    assert_eq!(mirror("echo1"), to("echo1", None, 100));
    assert_eq!(mirror("gke1/echo2 --percent 5"), to("echo2", Some("gke1"), 5));
}

#[test]
fn every_action_has_help_with_an_example_that_works() {
    let topology = Topology::new(&Shape::two_clusters(), DEFAULT_BLOCK, INGRESS_PORT);
    let overview = help();
    for action in Line::command().get_subcommands() {
        let name = action.get_name();
        let text = match Asked::parse(&[name, "--help"]) {
            Ok(Asked::Help(text)) => text,
            other => panic!("{name}: {other:?}"),
        };
        assert!(text.contains(&format!("Usage: localmesh do {name}")), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let (_, example) = text.split_once("Example:\n  localmesh do ").expect(name);
        let read = Action::parse_line(example.trim()).expect(example);
        assert_eq!(read.check(&topology), Ok(()), "{example}");
        assert_eq!(example.split_whitespace().next(), Some(name));
        assert_eq!(Asked::parse(&["help", name]), Ok(Asked::Help(text.clone())));
        assert_eq!(Asked::parse(&[name, "gke1", "--help"]), Ok(Asked::Help(text)));
        let about = action.get_about().expect(name).to_string();
        assert!(overview.contains(&about), "{name} is missing: {overview}");
        assert_eq!(see(&[name, "x"]), format!("localmesh do {name} --help"));
    }
    for words in [&["help"][..], &["help", "help"], &["--help"], &["-h"]] {
        assert_eq!(Asked::parse(words), Ok(Asked::Help(overview.clone())), "{words:?}");
    }
    let said = Action::parse_line("kill --help").expect_err("help changes nothing");
    assert_eq!(said, "help is not an action");
}

#[test]
fn a_typo_in_an_action_names_the_nearest() {
    for action in Line::command().get_subcommands() {
        let name = action.get_name();
        let mut swapped: Vec<char> = name.chars().collect();
        swapped.swap(1, 2);
        let swapped: String = swapped.into_iter().collect();
        for typo in [&name[..name.len() - 1], &format!("{name}s"), &swapped] {
            // Of three letters, a swap leaves too little; then all actions are listed.
            if typo == name || (*typo == swapped && name.len() == 3) {
                continue;
            }
            let expected = format!("unknown action '{typo}'; did you mean '{name}'?");
            for line in [typo.to_owned(), format!("{typo} --help"), format!("help {typo}")] {
                assert_eq!(Action::parse_line(&line), Err(expected.clone()), "{line}");
            }
        }
    }
    let said = Action::parse_line("hlep").expect_err("no action");
    assert!(said.ends_with("did you mean 'help'?"), "{said}");
    let said = Action::parse_line("xyzzy").expect_err("no action");
    assert!(said.contains("known: kill, stop, "), "{said}");
    assert_eq!(see(&["xyzzy"]), "localmesh do help");
}
