//! Happy eyeballs: a target with addresses of both families, of which one is silent, refuses, or comes
//! back during the run.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::name_faults::Silent;
use super::probing::row;
use crate::harness::{Background, command, run, wait_until};
use crate::servers::{Server, common_port, line, linger, read_head, response, text_echo};

const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A port, and the flags that ask `echo.test` there, at `[::1]` and 127.0.0.1 in this order.
fn both() -> (u16, [String; 4]) {
    let port = common_port(&[V6, V4]);
    let pinned = format!("echo.test:{port}:[::1],127.0.0.1");
    (port, ["-t".into(), format!("echo.test:{port}"), "--resolve".into(), pinned])
}

fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

fn echo_at(address: IpAddr, port: u16) -> Server {
    Server::start_at(at(address, port), text_echo("p", "kops"))
}

fn asked<'a>(flags: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    flags.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// Address, count and reason of the only address that was passed over.
#[track_caller]
fn passed_over(row: &Value) -> (String, u64, String) {
    let [over] = &row["passed_over"].as_array().expect("a list")[..] else { panic!("{row}") };
    let text = |name: &str| over[name].as_str().expect("a text").to_owned();
    (text("address"), over["count"].as_u64().expect("a number"), text("why"))
}

#[test]
fn a_silent_address_costs_the_first_connections_a_quarter_of_a_second_and_others_nothing() {
    let (port, flags) = both();
    let _silent = Silent::at(at(V6, port));
    let echo = echo_at(V4, port);
    for threads in ["1", "2"] {
        let before = echo.accepted();
        let load = ["-n", "40", "-c", "2", "--threads", threads];
        let (code, row) = row(&asked(&flags, &load));
        assert_eq!((code, &row["answers"]), (0, &40.into()), "{row}");
        let median = row["phases"]["connect"]["p50_us"].as_u64().expect("a number");
        let worst = row["phases"]["connect"]["max_us"].as_u64().expect("a number");
        assert!(median < 250_000 && worst >= 250_000, "median {median} µs, worst {worst} µs");
        let why = format!("[::1]:{port} did not accept a connection within 250ms");
        assert_eq!(passed_over(&row), (format!("[::1]:{port}"), 40, why), "{row}");
        assert_eq!(row["transport"]["over_ipv4"], 40, "{row}");
        assert_eq!(echo.accepted() - before, 40, "one connection for each request");
    }
    let said = run("prober", asked(&flags, &["-n", "4"])).stdout;
    let used = "the target has IPv6 and IPv4 addresses; all connections used IPv4";
    let over = format!("passed over [::1]:{port} 4 times: [::1]:{port} did not accept");
    assert!(said.contains(used) && said.contains(&over), "{said}");
}

#[test]
fn a_refusing_address_is_passed_over_at_once() {
    let (port, flags) = both();
    let _echo = echo_at(V4, port);
    let (code, row) = row(&asked(&flags, &["-n", "20", "--connect-timeout", "20"]));
    assert_eq!((code, &row["answers"]), (0, &20.into()), "{row}");
    let why = format!("[::1]:{port} refused the connection");
    assert_eq!(passed_over(&row), (format!("[::1]:{port}"), 20, why), "{row}");
}

#[test]
fn the_preferred_address_is_used_alone_if_it_answers() {
    let (port, flags) = both();
    let (v6, v4) = (echo_at(V6, port), echo_at(V4, port));
    let (code, whole) = row(&asked(&flags, &["-n", "20"]));
    assert_eq!((code, &whole["answers"]), (0, &20.into()), "{whole}");
    assert_eq!((v6.accepted(), v4.accepted()), (20, 0), "no race without need");
    assert_eq!(whole["passed_over"], Value::Array(vec![]), "{whole}");
    assert_eq!(whole["transport"]["over_ipv6"], 20, "{whole}");
    // One that chooses for each connection is not overruled.
    let (_, turns) = row(&asked(&flags, &["-n", "20", "--select", "round-robin"]));
    assert_eq!((v6.accepted(), v4.accepted()), (30, 10), "{turns}");
    assert_eq!(
        (&turns["transport"]["over_ipv6"], &turns["transport"]["over_ipv4"]),
        (&10.into(), &10.into())
    );
    // Without a choice there is nothing to say.
    let (_, one) = row(&asked(&flags, &["-n", "20", "-4"]));
    assert_eq!(one["transport"]["over_ipv4"], Value::Null, "{one}");
}

#[test]
fn a_silent_address_of_the_same_family_is_passed_over_too() {
    let addresses = [Ipv4Addr::new(127, 0, 7, 1), Ipv4Addr::new(127, 0, 7, 2)].map(IpAddr::from);
    let port = common_port(&addresses);
    let _silent = Silent::at(at(addresses[0], port));
    let _echo = echo_at(addresses[1], port);
    let pinned = format!("echo.test:{port}:127.0.7.1,127.0.7.2");
    let target = format!("echo.test:{port}");
    let (code, row) = row(&["-t", &target, "--resolve", &pinned, "-n", "20", "-c", "1"]);
    assert_eq!((code, &row["answers"]), (0, &20.into()), "{row}");
    assert!(row["phases"]["connect"]["p50_us"].as_u64() < Some(250_000), "{row}");
    assert_eq!(passed_over(&row).1, 20);
}

#[test]
fn if_all_are_dead_each_is_tried_and_the_failure_says_what_each_did() {
    let (port, flags) = both();
    let (_, refused) = row(&asked(&flags, &["-n", "6", "-c", "2"]));
    let failures = refused["failures"].as_array().expect("a list");
    assert_eq!((failures.len(), &failures[0]["kind"]), (1, &"connect".into()), "{refused}");
    let both =
        format!("[::1]:{port} refused the connection; 127.0.0.1:{port} refused the connection");
    assert_eq!(failures[0]["what"], both);
    assert_eq!(failures[0]["count"], 6);
    assert_eq!(refused["passed_over"], Value::Array(vec![]), "for none: {refused}");

    let _silent = Silent::at(at(V6, port));
    let (_, silent) = row(&asked(&flags, &["-n", "2", "-c", "2", "--connect-timeout", "1"]));
    let failures = silent["failures"].as_array().expect("a list");
    assert_eq!((failures.len(), &failures[0]["kind"]), (1, &"timeout".into()), "{silent}");
    let both = format!(
        "[::1]:{port} did not accept a connection within 1s; 127.0.0.1:{port} refused the connection"
    );
    assert_eq!(failures[0]["what"], both);
}

#[test]
fn an_address_that_comes_back_is_used_again() {
    let (port, flags) = both();
    let v4 = echo_at(V4, port);
    let load = ["--rate", "50", "-d", "60", "-c", "2", "--quiet"];
    let mut prober = Background::start(command("prober").args(asked(&flags, &load)));
    wait_until("IPv4 is used", || (v4.accepted() > 5).then_some(()));
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    let _v6 = Server::start_at(at(V6, port), move |mut stream, _| {
        // A connection that only checks whether the address is there carries none.
        if !read_head(&stream).is_empty() {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = response("200 OK", "", &line("back", "kops"));
            let _ = stream.write_all(answer.as_bytes());
            linger(&stream);
        }
    });
    wait_until("IPv6 is used again", || (requests.load(Ordering::SeqCst) > 5).then_some(()));
    prober.signal(rustix::process::Signal::INT);
    prober.wait();
    let said = prober.said_all();
    assert!(said.contains("back"), "{said}");
    assert!(said.contains("the target has IPv6 and IPv4 addresses; "), "{said}");
}
