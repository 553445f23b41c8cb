//! Everything that can be wrong with names, addresses, descriptors and ports, end to end:
//! the run ends on time, says what it was, and every request is accounted for.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::ResponseCode;
use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;

use super::names::{FromQuery, NXDOMAIN, Reply, Server as Dns};
use super::probing::row;
use crate::harness::{Said, bin, finish};
use crate::servers::{Server, line, linger, read_head, response, text_echo};

/// Runs `-n 6 -c 3` against a name under this DNS, with so many seconds to connect; the row.
/// It may take two rounds of lanes, each with its seconds, and time for a busy machine.
fn ask(dns: &Dns, port: u16, seconds: u64) -> (i32, Value) {
    let (target, server) = (format!("echo.test.:{port}"), dns.address.to_string());
    let limit = seconds.to_string();
    let load = ["-n", "6", "-c", "3", "--connect-timeout", &limit];
    let base = ["-t", &target, "-4", "--dns-servers", &server];
    let start = Instant::now();
    let (code, row) = row(&[&base[..], &load].concat());
    assert!(start.elapsed() < Duration::from_secs(2 * seconds + 4), "took {:?}", start.elapsed());
    assert_eq!(row["requests"], 6, "{row}");
    (code, row)
}

/// All requests fail, in one way: its text.
#[track_caller]
fn all_dns_failures(dns: &Dns) -> String {
    let (code, row) = ask(dns, 80, 1);
    assert_eq!((code, &row["answers"]), (1, &0.into()), "{row}");
    let failures = row["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 1, "{row}");
    assert_eq!((&failures[0]["kind"], &failures[0]["count"]), (&"dns".into(), &6.into()), "{row}");
    failures[0]["what"].as_str().expect("a text").to_owned()
}

#[test]
fn name_fault_each_no_of_dns_is_told_as_it_is() {
    for (reply, said) in [
        ((|| NXDOMAIN) as fn() -> Reply, "not found (NXDOMAIN)"),
        (|| Reply::Code(ResponseCode::ServFail), "SERVFAIL from DNS server"),
        (|| Reply::Code(ResponseCode::Refused), "REFUSED from DNS server"),
        (|| Reply::Code(ResponseCode::FormErr), "FORMERR from DNS server"),
        (|| Reply::Addresses(&[]), "has no IPv4 address"),
        (|| Reply::Alias("echo.test."), "name 'echo.test.'"),
        (|| Reply::Never, "within 1s"),
    ] {
        let dns = Dns::start(move |_, _| reply());
        let what = all_dns_failures(&dns);
        assert!(what.contains(said), "{said}: {what}");
    }
}

#[test]
fn name_fault_aliases_in_a_ring_end() {
    let dns = Dns::start(|name, _| match name {
        "echo.test" => Reply::Alias("about.test."),
        _ => Reply::Alias("echo.test."),
    });
    assert!(all_dns_failures(&dns).starts_with("name 'echo.test.'"));
    // Two look-ups at least, one for each thread; what a ring costs is bounded.
    assert!(dns.asked().len() < 200, "{} queries", dns.asked().len());
}

#[test]
fn name_fault_answers_that_do_not_fit_come_over_tcp_or_fail_on_time() {
    let echo = Server::start(text_echo("p", "kops"));
    let long = |_: &str, _| Reply::OverTcp(&["127.0.0.1"]);
    let (code, row) = ask(&Dns::start(long), echo.port(), 1);
    assert_eq!((code, &row["answers"]), (0, &6.into()), "{row}");
    let what = all_dns_failures(&Dns::start_without_tcp(long));
    assert!(what.starts_with("name 'echo.test.'") && what.contains("DNS server"), "{what}");
}

/// The header of a response to `query`: its number, no error, and these counts.
fn header(query: &[u8], questions: u8, answers: u8) -> Vec<u8> {
    [&query[..2], &[0x81, 0x80, 0, questions, 0, answers, 0, 0, 0, 0]].concat()
}

/// The question of `query`, up to its class.
fn question(query: &[u8]) -> &[u8] {
    let name = query[12..].iter().position(|byte| *byte == 0).expect("a name ends");
    &query[12..12 + name + 1 + 4]
}

#[test]
fn name_fault_answers_that_are_none_are_dns_failures() {
    let malformed: [FromQuery; 9] = [
        // Nothing, noise, half a header, and a header alone that promises more.
        |_| Vec::new(),
        |_| vec![0xff; 64],
        |query| query[..6].to_vec(),
        |query| header(query, 1, 1),
        // An address of three bytes; a record cut short; a name that points at itself.
        |query| {
            let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 3, 127, 0, 0];
            [&header(query, 1, 1), question(query), &record].concat()
        },
        |query| {
            let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127];
            [&header(query, 1, 1), question(query), &record].concat()
        },
        |query| {
            let here = 12 + question(query).len() as u8;
            let record = [0xc0, here, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];
            [&header(query, 1, 1), question(query), &record].concat()
        },
        // Of another query's number; to another question.
        |query| {
            let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];
            let mut whole = [&header(query, 1, 1), question(query), &record].concat();
            whole[0] ^= 0x55;
            whole
        },
        |query| {
            let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];
            let mut whole = [&header(query, 1, 1), question(query), &record].concat();
            whole[13] ^= 1;
            whole
        },
    ];
    for (n, make) in malformed.into_iter().enumerate() {
        let dns = Dns::start(move |_, _| Reply::Raw(make));
        let what = all_dns_failures(&dns);
        assert!(what.starts_with("name 'echo.test.'"), "{n}: {what}");
    }
}

/// A listener whose queue is full and that accepts nobody: the kernel drops what comes.
pub(crate) struct Silent {
    _listener: OwnedFd,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    pub(crate) fn at(address: SocketAddr) -> Self {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let listener = rustix::net::socket(family, SocketType::STREAM, None);
        let listener = listener.expect("a socket");
        rustix::net::bind(&listener, &address).expect("free");
        rustix::net::listen(&listener, 0).expect("it listens");
        let brief = Duration::from_millis(50);
        let waiting = (0..8).map_while(|_| TcpStream::connect_timeout(&address, brief).ok());
        let waiting: Vec<_> = waiting.collect();
        assert!(waiting.len() < 8, "the queue at {address} never fills");
        Self { _listener: listener, _waiting: waiting }
    }
}

/// 50 addresses on one port: refusing, silent and, last, answering ones.
fn fifty(refusing: u8, silent: u8) -> (Vec<String>, u16, Vec<Server>, Vec<Silent>) {
    let at = |n: u8| Ipv4Addr::new(127, 0, 5, n);
    let port = TcpListener::bind((at(50), 0)).expect("free").local_addr().expect("bound").port();
    let address = |n| SocketAddr::from((at(n), port));
    let silent = (refusing + 1..=refusing + silent).map(|n| Silent::at(address(n)));
    let silent: Vec<_> = silent.collect();
    let live = (refusing + silent.len() as u8 + 1..=50)
        .map(|n| Server::start_at(address(n), text_echo(&format!("p{n}"), "kops")));
    ((1..=50).map(|n| at(n).to_string()).collect(), port, live.collect(), silent)
}

#[test]
fn name_fault_of_fifty_addresses_the_live_ones_are_found() {
    let (addresses, port, live, _silent) = fifty(40, 7);
    assert_eq!(live.len(), 3);
    let dns = Dns::start(move |_, _| Reply::Lasting(60, addresses.clone()));
    let (code, first) = ask(&dns, port, 2);
    assert_eq!((code, &first["answers"]), (0, &6.into()), "{first}");
    let over = first["passed_over"].as_array().expect("a list");
    assert_eq!(over.len(), 47, "{first}");
    assert!(over.iter().all(|over| over["count"] == 6), "{first}");
    let why = |n: usize| over[n]["why"].as_str().expect("a text");
    assert!(why(0).contains("refused the connection"), "{}", why(0));
    assert!(why(46).contains("did not accept a connection"), "{}", why(46));
    assert_eq!(live[0].accepted(), 6, "in order");

    let all = ["--select", "round-robin", "-n", "50", "-c", "50", "--connect-timeout", "3"];
    let start = Instant::now();
    let (target, server) = (format!("echo.test.:{port}"), dns.address.to_string());
    let base = ["-t", &target, "-4", "--dns-servers", &server];
    let (code, turns) = row(&[&base[..], &all].concat());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!((code, &turns["answers"]), (0, &50.into()), "{turns}");
    assert_eq!(turns["addresses"].as_array().map(Vec::len), Some(3), "{turns}");
}

#[test]
fn name_fault_addresses_passed_over_are_bounded_in_the_report() {
    let echo = Server::start(text_echo("p", "kops"));
    let dead = (1..=200).map(|n| format!("127.0.6.{n}")).collect::<Vec<_>>().join(",");
    let resolve = format!("echo.test:{}:{dead},127.0.0.1", echo.port());
    let target = format!("echo.test:{}", echo.port());
    let args = ["-t", &target, "--resolve", &resolve, "-n", "4"];
    let (code, row) = row(&args);
    assert_eq!((code, &row["answers"]), (0, &4.into()), "{row}");
    let over = row["passed_over"].as_array().expect("a list");
    assert_eq!(over.len(), 64);
    let told: u64 = over.iter().map(|over| over["count"].as_u64().expect("a number")).sum();
    assert_eq!(told + row["passed_over_further"].as_u64().expect("a number"), 800, "{row}");
    let said = crate::harness::run("prober", args);
    let lines = said.stdout.lines().filter(|line| line.contains("passed over")).count();
    assert!((2..=9).contains(&lines), "{}", said.stdout);
}

/// The report of a run that may fail; its accounts are checked, and that nothing is on stderr.
fn report(said: &Said, requests: u64) -> Value {
    assert_eq!(said.stderr, "", "{said:?}");
    let mut report: Value = serde_json::from_str(&said.stdout).expect("a report");
    let row = report["rows"][0].take();
    let number = |name: &str| row[name].as_u64().expect(name);
    assert_eq!(number("answers") + number("failed"), requests, "{row}");
    assert_eq!(number("requests"), requests, "{row}");
    row
}

/// Runs a quiet prober with so many file descriptors.
fn with_descriptors(limit: u32, args: &[&str]) -> Said {
    let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(bin("prober")).args(args).args(["-o", "json", "--quiet"]);
    finish(&mut shell)
}

#[test]
fn name_fault_too_few_descriptors_are_failures_that_say_what_to_do() {
    // Each connection is held for a moment, so that all lanes have one at the same time.
    let echo = Server::start(|mut stream, _| {
        read_head(&stream);
        std::thread::sleep(Duration::from_millis(30));
        let _ = std::io::Write::write_all(
            &mut stream,
            response("200 OK", "", &line("p", "kops")).as_bytes(),
        );
        linger(&stream);
    });
    let dns = Dns::start(|_, _| Reply::Addresses(&["127.0.0.1", "127.0.0.2"]));
    let named = (format!("echo.test.:{}", echo.port()), dns.address.to_string());
    let load = ["-n", "300", "-c", "100", "--threads", "2"];
    let literal = echo.target();
    let direct = ["-t", literal.as_str()];
    let by_name = ["-t", &named.0, "-4", "--dns-servers", &named.1];
    let anew = ["--re-resolve"];
    for target in [&direct[..], &by_name, &[&by_name[..], &anew].concat()] {
        let start = Instant::now();
        let said = with_descriptors(32, &[target, &load].concat());
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        assert_eq!(said.code, 1, "{said:?}");
        let row = report(&said, 300);
        let failures = row["failures"].as_array().expect("a list");
        assert!(!failures.is_empty(), "{row}");
        for failure in failures {
            let what = failure["what"].as_str().expect("a text");
            assert!(what.contains("raise 'ulimit -n' or lower -c"), "{target:?}: {row}");
        }
        assert_eq!(row["passed_over"], Value::Array(Vec::new()), "no address is to blame: {row}");
        assert!(row["answers"].as_u64() > Some(0), "those with a descriptor work: {row}");
    }
}

#[test]
fn name_fault_so_few_descriptors_that_nothing_starts_are_one_line() {
    let echo = Server::start(text_echo("p", "kops"));
    let target = echo.target();
    let (mut refused, mut ran) = (0, 0);
    for limit in 4..40 {
        let said =
            with_descriptors(limit, &["-t", &target, "-n", "4", "-c", "1", "--threads", "2"]);
        if said.code == 127 {
            // The loader could not open a library: the program never began.
            assert!(said.stderr.contains("loading shared libraries"), "{said:?}");
        } else if said.code == 2 {
            said.refused(&["ulimit -n"]);
            refused += 1;
        } else {
            report(&said, 4);
            ran += u32::from(said.code == 0);
        }
    }
    assert!(refused > 0 && ran > 0, "{refused} refused, {ran} ran");
}

/// The command that gives a program a network of its own, where that is permitted at all.
pub(crate) fn own_network() -> Vec<&'static str> {
    let ways = [vec!["unshare", "-rnpf", "--kill-child"], vec!["unshare", "-npf", "--kill-child"]];
    let works = |way: &Vec<&str>| {
        let said =
            finish(Command::new(way[0]).args(&way[1..]).args(["ip", "link", "set", "lo", "up"]));
        said.code == 0
    };
    ways.into_iter().find(works).expect(
        "running out of ports takes a network namespace: install util-linux and iproute2, and \
         permit user namespaces (sysctl kernel.unprivileged_userns_clone=1) or run as root",
    )
}

#[test]
fn name_fault_running_out_of_ports_is_told_and_ends() {
    let script = "set -e
        ip link set lo up
        echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range
        \"$1\" --host 127.0.0.1 --cluster kops --pod p >/dev/null 2>&1 &
        tries=0
        until \"$0\" -t 127.0.0.1:8080 -n 1 --quiet >/dev/null; do
            tries=$((tries + 1)); test $tries -lt 300; sleep 0.05
        done
        exec \"$0\" -t 127.0.0.1:8080 -n 200 -c 50 -o json --quiet";
    let own = own_network();
    let start = Instant::now();
    let mut shell = Command::new(own[0]);
    shell.args(&own[1..]).args(["sh", "-c", script]).arg(bin("prober")).arg(bin("echo"));
    let said = finish(&mut shell);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(said.code, 1, "{said:?}");
    let row = report(&said, 200);
    let failures = row["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 1, "{row}");
    assert_eq!(failures[0]["kind"], "connect");
    assert!(failures[0]["what"].as_str().expect("a text").contains("no local port left"), "{row}");
    assert!(row["answers"].as_u64() > Some(0), "the ports that there are work: {row}");
}
