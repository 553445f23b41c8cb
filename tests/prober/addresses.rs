//! `--select`, `--re-resolve` and the accounts by address: the built prober, a DNS server
//! and servers at several loopback addresses.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::names::{self, NXDOMAIN, Reply};
use super::probing::row;
use crate::harness::run;
use crate::servers::{Server, common_port, line, read_head, response, text_echo};

/// 127.0.0.1 and so on.
fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Echoes at 127.0.0.1, .2 and so on, all on one port; each keeps connections, and its pod is
/// named by its address.
fn echoes(count: u8) -> (Vec<Server>, u16) {
    let addresses: Vec<_> = (1..=count).map(loopback).collect();
    let port = common_port(&addresses);
    let start = |address: &IpAddr| {
        let answer = response("200 OK", "", &line(&format!("at-{address}"), "kops"));
        Server::start_at(SocketAddr::new(*address, port), move |mut stream, _| {
            while !read_head(&stream).is_empty() {
                let _ = stream.write_all(answer.as_bytes());
            }
        })
    };
    (addresses.iter().map(start).collect(), port)
}

/// DNS that gives 127.0.0.1 to 127.0.0.`count`, each time beginning with another, as DNS
/// servers do; nothing may be kept of it.
fn turning_dns(count: u8) -> names::Server {
    let turn = AtomicUsize::new(0);
    names::Server::start(move |_, _| {
        let mut addresses: Vec<_> = (1..=count).map(|n| loopback(n).to_string()).collect();
        addresses.rotate_left(turn.fetch_add(1, Ordering::Relaxed) % usize::from(count));
        Reply::Lasting(0, addresses)
    })
}

/// Asks `echo.test.`: the dot keeps the machine's search domains out.
fn asking<'a>(target: &'a str, dns: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["-t", target, "-4", "--dns-servers", dns], args].concat()
}

/// Address → connections and answers; they must add up to the row's.
fn accounts(row: &Value) -> BTreeMap<String, (u64, u64)> {
    let number = |value: &Value| value.as_u64().expect("a number");
    let accounts: BTreeMap<_, _> = row["addresses"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| {
            let address = entry["address"].as_str().expect("a text").to_owned();
            (address, (number(&entry["connections"]), number(&entry["answers"])))
        })
        .collect();
    let sum = |of: fn(&(u64, u64)) -> u64| accounts.values().map(of).sum::<u64>();
    assert_eq!(sum(|a| a.0), number(&row["connections"]), "{row}");
    assert_eq!(sum(|a| a.1), number(&row["answers"]), "{row}");
    accounts
}

#[test]
fn addresses_in_turn_are_used_evenly_over_all_threads() {
    let (servers, port) = echoes(3);
    let dns = turning_dns(3);
    let (target, dns_server) = (format!("echo.test.:{port}"), dns.address.to_string());
    for reuse in ["never", "always"] {
        let before: Vec<_> = servers.iter().map(Server::accepted).collect();
        let load = ["-n", "300", "-c", "9", "--threads", "3", "--select", "round-robin"];
        let args = asking(&target, &dns_server, &load);
        let (code, row) = row(&[&args[..], &["--reuse", reuse]].concat());
        assert_eq!(code, 0, "{reuse}: {row}");
        let accounts = accounts(&row);
        let connections = row["connections"].as_u64().expect("a number");
        // A lane that comes too late to ask anything opens no connection.
        let right = if reuse == "never" { 300..=300 } else { 1..=9 };
        assert!(right.contains(&connections), "{reuse}: {row}");
        for (n, server) in servers.iter().enumerate() {
            let (opened, answers) = accounts.get(&server.target()).copied().unwrap_or_default();
            let even = connections / 3..=connections.div_ceil(3);
            assert!(even.contains(&opened), "{reuse}: {row}");
            assert_eq!(
                server.accepted() - before[n],
                opened,
                "{reuse}: what it says is what it did"
            );
            let pod = format!("at-127.0.0.{}", n + 1);
            let backends = row["backends"].as_array().expect("a list");
            let backend = backends.iter().find(|backend| backend["pod"] == *pod);
            let of_backend = backend.map_or(0, |backend| backend["answers"].as_u64().unwrap_or(0));
            assert_eq!(of_backend, answers, "{reuse}: {row}");
        }
    }
}

#[test]
fn an_address_in_turn_that_is_dead_is_passed_over_for_the_next() {
    let (mut servers, port) = echoes(3);
    let dead = servers.pop().expect("three").target();
    let resolve = format!("echo.test:{port}:127.0.0.1,127.0.0.2,127.0.0.3");
    let target = format!("echo.test:{port}");
    let args = ["-t", &target, "--resolve", &resolve, "-n", "90", "--select", "round-robin"];
    let (code, row) = row(&args);
    assert_eq!((code, &row["failed"]), (0, &0.into()), "{row}");
    let accounts = accounts(&row);
    assert_eq!(accounts[&servers[0].target()], (60, 60), "its own and the dead one's: {row}");
    assert_eq!(accounts[&servers[1].target()], (30, 30), "{row}");
    let over = &row["passed_over"][0];
    assert_eq!((over["address"].as_str(), &over["count"]), (Some(dead.as_str()), &30.into()));
}

#[test]
fn the_first_address_is_used_alone_unless_told_otherwise() {
    let (servers, port) = echoes(2);
    let resolve = format!("echo.test:{port}:127.0.0.2,127.0.0.1");
    let target = format!("echo.test:{port}");
    for args in [&[][..], &["--select", "first"]] {
        let (_, row) = row(&[&["-t", &target, "--resolve", &resolve, "-n", "20"], args].concat());
        assert_eq!(accounts(&row), BTreeMap::from([(servers[1].target(), (20, 20))]));
    }
}

#[test]
fn random_addresses_repeat_by_their_seed() {
    let (_servers, port) = echoes(3);
    let resolve = format!("echo.test:{port}:127.0.0.1,127.0.0.2,127.0.0.3");
    let target = format!("echo.test:{port}");
    let draws = |seed: &str| {
        let args = ["-t", &target, "--resolve", &resolve, "-n", "60", "-c", "1", "--show", "60"];
        let (code, row) = row(&[&args[..], &["--select", "random", "--seed", seed]].concat());
        assert_eq!((code, accounts(&row).len()), (0, 3), "{row}");
        row["shown"].clone()
    };
    let first = draws("1");
    assert_eq!(first.as_object().map(serde_json::Map::len), Some(60));
    assert_eq!(first, draws("1"));
    assert_ne!(first, draws("2"));
}

#[test]
fn each_address_is_a_row_of_its_own_and_a_dead_one_is_its_rows_failure() {
    let (mut servers, port) = echoes(3);
    servers.remove(1);
    let dns = turning_dns(3);
    let (target, dns_server) = (format!("echo.test.:{port}"), dns.address.to_string());
    let args = asking(&target, &dns_server, &["-n", "12", "--select", "each"]);
    let said = run("prober", args.iter().copied().chain(["-o", "json", "--quiet"]));
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(dns.asked(), ["echo.test A"], "looked up once for all");
    let report: Value = serde_json::from_str(&said.stdout).expect("a report");
    let rows = report["rows"].as_array().expect("a list");
    assert_eq!(rows.len(), 3);
    for (n, row) in rows.iter().enumerate() {
        let address = loopback(n as u8 + 1).to_string();
        assert_eq!(
            (&row["target"], &row["address"]),
            (&target.as_str().into(), &address.as_str().into())
        );
        let (answers, failed) = if n == 1 { (0, 12) } else { (12, 0) };
        assert_eq!((&row["answers"], &row["failed"]), (&answers.into(), &failed.into()), "{row}");
        assert_eq!(row["passed_over"], Value::Array(Vec::new()), "{row}");
        let used: Vec<_> = accounts(row).into_keys().collect();
        let own = format!("{address}:{port}");
        assert_eq!(used, if n == 1 { vec![] } else { vec![own] }, "{row}");
    }
    assert_eq!(rows[1]["failures"][0]["kind"], "connect");
    assert_eq!(rows[1]["failures"][0]["what"], format!("127.0.0.2:{port} refused the connection"));

    let said = run("prober", args);
    for heading in ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(|a| format!("curl {target} ({a})")) {
        assert_eq!(
            said.stdout.lines().filter(|line| line.contains(&format!("  {heading}: "))).count(),
            1,
            "{}",
            said.stdout
        );
    }
}

#[test]
fn each_honours_overrides_and_takes_literals_and_names_an_address_once() {
    let (servers, port) = echoes(2);
    let resolve = format!("b.test:{port}:127.0.0.2,127.0.0.1,127.0.0.2,[::1]");
    let connect_to = format!("a.test:80:b.test:{port}");
    let literal = servers[0].target();
    let args = ["-t", "a.test", "-t", &literal, "-4", "--resolve", &resolve];
    let args = [&args[..], &["--connect-to", &connect_to, "--select", "each", "-n", "3"]].concat();
    let said = run("prober", args.into_iter().chain(["-o", "json", "--quiet"]));
    assert_eq!(said.code, 0, "{said:?}");
    let report: Value = serde_json::from_str(&said.stdout).expect("a report");
    let rows = report["rows"].as_array().expect("a list");
    let asked: Vec<_> = rows
        .iter()
        .map(|row| (row["target"].as_str().unwrap(), row["address"].as_str().unwrap()))
        .collect();
    let expected = [("a.test", "127.0.0.2"), ("a.test", "127.0.0.1"), (&literal, "127.0.0.1")];
    assert_eq!(asked, expected);
    assert_eq!(servers.iter().map(Server::accepted).collect::<Vec<_>>(), [6, 3]);
}

#[test]
fn each_of_a_name_without_address_is_one_row_that_fails() {
    let dns = names::Server::start(|_, _| NXDOMAIN);
    let dns_server = dns.address.to_string();
    let args = asking("nope.test.:80", &dns_server, &["-n", "5", "--select", "each"]);
    let (code, row) = row(&args);
    assert_eq!((code, &row["failed"], row.get("address")), (1, &5.into(), None), "{row}");
    assert_eq!(row["failures"][0]["kind"], "dns");
    assert_eq!(row["failures"][0]["what"], "name 'nope.test.' not found (NXDOMAIN)");
    assert_eq!(dns.asked().len(), 1, "looked up once");
}

#[test]
fn addresses_can_be_expected_where_connections_draw_them() {
    let (mut servers, port) = echoes(3);
    drop(servers.pop());
    let resolve = format!("echo.test:{port}:127.0.0.1,127.0.0.3,127.0.0.2");
    let target = format!("echo.test:{port}");
    let asked = ["-t", &target, "--resolve", &resolve];
    let balanced = "balanced 127.0.0.1,127.0.0.2 by address ± 20%";
    let all = "reaches 127.0.0.1,127.0.0.3 by address";
    let only = "only 127.0.0.1 by address";
    let verdicts = |select: &str| {
        let flags = ["--select", select, "-e", balanced, "-e", all, "-e", only];
        let (_, row) = row(&[&asked[..], &flags, &["--max-requests", "2000"]].concat());
        let judged = row["expectations"].as_array().expect("verdicts").iter();
        let words: Vec<_> =
            judged.map(|one| one["verdict"].as_str().expect("a word").to_owned()).collect();
        (words, row)
    };
    // The third is dead, and its connections go to one of the others.
    let (said, row) = verdicts("random");
    assert_eq!(said, ["pass", "pass", "fail", "fail"], "{row}");
    let (said, row) = verdicts("first");
    assert_eq!(said, ["pass", "inconclusive", "inconclusive", "inconclusive"], "{row}");
    let refused = run("prober", ["-t", "a", "-e", "only kops by address"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused:?}");
    assert!(refused.stderr.contains("'kops' is not an IP address"), "{refused:?}");
}

#[test]
fn looking_up_anew_is_a_query_for_each_connection() {
    let server = Server::start(text_echo("p", "kops"));
    let (target, keeping) = (format!("echo.test.:{}", server.port()), echoes(1));
    let kept_target = format!("echo.test.:{}", keeping.1);
    // The TTL is a minute, and the lanes of each thread look up at the same time.
    for (target, reuse, anew) in
        [(&target, "never", true), (&kept_target, "always", true), (&target, "never", false)]
    {
        let dns = names::Server::start(|_, _| Reply::Addresses(&["127.0.0.1"]));
        let dns_server = dns.address.to_string();
        let load = ["-n", "40", "-c", "8", "--threads", "2", "--reuse", reuse];
        let flag: &[&str] = if anew { &["--re-resolve"] } else { &[] };
        let args = asking(target, &dns_server, &load);
        let (code, row) = row(&[&args[..], flag].concat());
        assert_eq!(code, 0, "{row}");
        let queries = dns.asked().len() as u64;
        let connections = row["connections"].as_u64().expect("a number");
        // One for each; a query is repeated that a busy machine answers late.
        if anew {
            let right = (connections..=connections + 4).contains(&queries);
            assert!(right, "{reuse}: {queries} queries for {connections} connections");
        } else {
            assert!((1..=6).contains(&queries), "one for each thread: {queries} queries");
        }
    }
}

#[test]
fn a_changed_answer_is_followed_when_its_ttl_is_over() {
    let (servers, port) = echoes(2);
    let count = AtomicUsize::new(0);
    let dns = names::Server::start(move |_, _| {
        let n = count.fetch_add(1, Ordering::Relaxed).min(1) as u8;
        Reply::Lasting(1, vec![loopback(n + 1).to_string()])
    });
    let (target, dns_server) = (format!("echo.test.:{port}"), dns.address.to_string());
    let load = ["-d", "2.5", "--rate", "20", "-c", "1", "--threads", "1"];
    let (code, row) = row(&asking(&target, &dns_server, &load));
    assert_eq!(code, 0, "{row}");
    let accounts = accounts(&row);
    let used: Vec<_> = accounts.keys().cloned().collect();
    assert_eq!(used, servers.iter().map(Server::target).collect::<Vec<_>>(), "{row}");
    // When exactly it changes is `names`'s to test; here, that a second is not less.
    let seconds = row["seconds"].as_f64().expect("a number").ceil() as usize;
    assert!((2..=seconds + 1).contains(&dns.asked().len()), "{seconds} s: {:?}", dns.asked());
}

#[test]
fn wrong_and_contradicting_ways_to_select_are_refused() {
    let each_anew = ["-t", "a", "--select", "each", "--re-resolve"];
    run("prober", each_anew).refused(&["--select each", "--re-resolve", "remove one of them"]);
    let foo = ["-t", "a", "--select", "foo"];
    run("prober", foo).refused(&["foo", "first, round-robin, random, each"]);
}
