//! The engine's promises: connections as asked for, schedules kept or said to be
//! missed, nothing lost from the accounts.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Background, bin, wait_until};
use crate::servers::{self, Server, line, read_head, response};

/// An echo that keeps connections, up to `most` requests on each.
fn keeping(most: u64) -> Server {
    Server::start(move |mut stream, connection| {
        for request in 1..=most {
            if read_head(&stream).is_empty() {
                return;
            }
            let close = if request == most { "connection: close\r\n" } else { "" };
            let pod = format!("x-echo-pod: p{}\r\nx-echo-cluster: kops\r\n", connection % 2);
            let _ = stream.write_all(response("200 OK", &(pod + close), "body").as_bytes());
        }
    })
}

/// The one row of a quiet run; its accounts are checked.
fn row(args: &[&str]) -> Value {
    super::probing::row(args).1
}

#[test]
fn engine_connections_carry_as_many_requests_as_asked() {
    for (reuse, connections) in [("never", 60), ("always", 3), ("5", 12), ("20", 3), ("1", 60)] {
        let server = keeping(1000);
        let row = row(&[
            "-t",
            &server.target(),
            "-n",
            "60",
            "-c",
            "3",
            "--threads",
            "1",
            "--reuse",
            reuse,
        ]);
        assert_eq!(row["answers"], 60, "{reuse}: {row}");
        // Lanes share the requests as they come, so a last connection may be begun and not used up.
        let opened = row["connections"].as_u64().expect("a number");
        assert!((connections..=connections + 2).contains(&opened), "{reuse}: {opened}");
        assert_eq!(server.accepted(), opened, "{reuse}: what it says is what it did");
        let of_backends = row["backends"].as_array().expect("a list").iter();
        let sum: u64 = of_backends.map(|backend| backend["connections"].as_u64().unwrap()).sum();
        assert_eq!(sum, opened, "{reuse}: each backend has its connections");
    }
}

#[test]
fn engine_connections_carry_a_number_between_two() {
    let server = keeping(1000);
    let load = ["-n", "400", "-c", "1", "--reuse", "2:6"];
    let row = row(&[&["-t", &server.target()], &load[..]].concat());
    let opened = row["connections"].as_u64().expect("a number");
    // 4 on average; 2 and 6 at the bounds.
    assert!((400 / 6..=400 / 2).contains(&opened), "{row}");
    assert!((80..=125).contains(&opened), "not always one of the bounds: {opened}");
    assert_eq!((server.accepted(), &row["answers"]), (opened, &400.into()));
}

#[test]
fn engine_kept_and_fresh_connections_are_told_apart() {
    let server = keeping(1000);
    let row = row(&["-t", &server.target(), "-n", "40", "-c", "1", "--reuse", "4"]);
    let backends = row["backends"].as_array().expect("a list");
    assert_eq!(backends.len(), 2, "{row}");
    for backend in backends {
        assert!(
            backend["fresh"]["histogram"].is_string() && backend["kept"]["histogram"].is_string()
        );
        assert_eq!((&backend["answers"], &backend["connections"]), (&20.into(), &5.into()));
    }
    for phase in ["dns", "connect", "first_byte", "service"] {
        assert!(row["phases"][phase]["p50_us"].as_u64() > Some(0), "{phase}: {row}");
    }
    assert!(row["phases"].get("tls").is_none(), "there was no TLS");
}

#[test]
fn engine_a_server_that_closes_in_order_is_no_failure() {
    let server = keeping(3);
    let row = row(&["-t", &server.target(), "-n", "30", "-c", "1", "--reuse", "always"]);
    assert_eq!((&row["answers"], &row["connections"]), (&30.into(), &10.into()));
}

#[test]
fn engine_a_connection_is_closed_at_the_end_of_its_life() {
    let server = Server::start(|mut stream, _| {
        while !read_head(&stream).is_empty() {
            thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(response("200 OK", "", &line("p", "kops")).as_bytes());
        }
    });
    let lifetime = ["--reuse", "always", "--connection-lifetime", "50ms"];
    let row = row(&[&["-t", &server.target(), "-n", "20", "-c", "1"], &lifetime[..]].concat());
    // Each request takes 20 ms or more, so that no connection lives for more than three.
    assert!(row["connections"].as_u64() >= Some(6), "{row}");
    assert_eq!(row["answers"], 20);
}

#[test]
fn engine_time_ends_a_run_and_the_warm_up_counts_for_nothing() {
    let server = keeping(u64::MAX);
    let start = Instant::now();
    let row =
        row(&["-t", &server.target(), "-d", "300ms", "--warmup", "200ms", "--reuse", "always"]);
    let took = start.elapsed();
    assert!((500..5000).contains(&took.as_millis()), "{took:?}");
    assert!(row["warmed_up"].as_u64() > Some(0) && row["answers"].as_u64() > Some(0), "{row}");
    let seconds = row["seconds"].as_f64().expect("a number");
    assert!((0.29..4.0).contains(&seconds), "the warm-up is not in it: {seconds}");
}

#[test]
fn engine_an_open_loop_sends_what_was_asked_in_its_time() {
    for arrivals in ["constant", "poisson"] {
        let server = keeping(u64::MAX);
        let open = [
            "--rate",
            "400",
            "-d",
            "1s",
            "--reuse",
            "always",
            "--arrivals",
            arrivals,
            "--seed",
            "5",
        ];
        let row = row(&[&["-t", &server.target()], &open[..]].concat());
        let ended =
            row["requests"].as_u64().unwrap() + row["schedule"]["dropped"].as_u64().unwrap();
        let expected = if arrivals == "constant" { 400..=400 } else { 320..=480 };
        assert!(expected.contains(&ended), "{arrivals}: {ended} of 400: {row}");
        assert!(row["schedule"]["late"].as_u64() <= row["requests"].as_u64());
    }
}

/// A server that stalls for a second: a closed loop would ask less meanwhile and
/// hide it (coordinated omission); an open loop must not.
#[test]
fn engine_a_stall_shows_in_corrected_latency_and_not_in_service_time() {
    let stalled = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let server = Server::start(move |mut stream, _| {
        while !read_head(&stream).is_empty() {
            if count.fetch_add(1, Ordering::SeqCst) == 50 && !stalled.swap(true, Ordering::SeqCst) {
                thread::sleep(Duration::from_secs(1));
            }
            let _ = stream.write_all(response("200 OK", "", &line("p", "kops")).as_bytes());
        }
    });
    // One connection, so that the stall stops all of it.
    let open = ["-n", "300", "--rate", "200", "-c", "1", "--reuse", "always"];
    let row = row(&[&["-t", &server.target()], &open[..]].concat());
    let corrected = &row["backends"][0]["latency"];
    let service = &row["phases"]["service"];
    // 200 of 300 requests wait for the rest of the second: the median of all sees it.
    assert!(corrected["p50_us"].as_u64() > Some(100_000), "{row}");
    assert!(service["p50_us"].as_u64() < Some(50_000), "{row}");
    assert!(service["max_us"].as_u64() >= Some(990_000), "one did take the second: {row}");
    assert!(row["schedule"]["late"].as_u64() > Some(100), "{row}");
}

#[test]
fn engine_an_open_loop_that_is_interrupted_is_reported() {
    let server = keeping(u64::MAX);
    let mut command = Command::new(bin("prober"));
    // Mostly waiting for the next instant, ten seconds away.
    command.args(["-t", &server.target(), "--rate", "0.1", "-d", "3600"]);
    let mut prober = Background::start(&mut command);
    wait_until("the first request came", || (server.accepted() > 0).then_some(()));
    let start = Instant::now();
    prober.signal(rustix::process::Signal::INT);
    assert_eq!(prober.wait(), 130);
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(prober.said_all().contains("INTERRUPTED"));
}

#[test]
fn engine_memory_is_flat_however_many_pods_answer() {
    let server = servers::always_another_pod();
    let mut prober = Command::new("sh");
    let script = format!(
        "ulimit -v 400000; exec '{}' -t {} -n 5000 --reuse always --show 0 --quiet --threads 1",
        bin("prober").display(),
        server.target()
    );
    let said = crate::harness::finish(prober.args(["-c", &script]));
    assert_ne!(said.code, -1, "not killed for want of memory: {}", said.stderr);
    assert!(said.stdout.contains("5000 requests"), "{}", said.stdout.lines().last().unwrap_or(""));
}

/// The numbers of a bin over all backends, or of one kind of failure.
fn bins(of: &Value) -> Vec<u64> {
    of.as_array().expect("a list").iter().map(|count| count.as_u64().expect("a count")).collect()
}

#[test]
fn engine_a_timeline_says_when_requests_failed() {
    // Fifty requests in the middle fail, in the order in which one connection carries them.
    let count = Arc::new(AtomicU64::new(0));
    let server = Server::start(move |mut stream, _| {
        while !read_head(&stream).is_empty() {
            let status = match count.fetch_add(1, Ordering::SeqCst) {
                100..150 => "503 Service Unavailable",
                _ => "200 OK",
            };
            let _ = stream.write_all(response(status, "", &line("p", "kops")).as_bytes());
        }
    });
    let open = ["-n", "300", "--rate", "400", "-c", "1", "--threads", "1", "--reuse", "always"];
    let row =
        row(&[&["-t", &server.target(), "--timeline", "25ms", "-e", "only kops"], &open[..]]
            .concat());
    let timeline = &row["timeline"];
    assert_eq!((&timeline["width_ms"], &timeline["bins"]), (&25.into(), &30.into()), "{timeline}");
    // 400/s is ten in 25 ms: by the instants of the schedule, however late each started.
    let failed: Vec<u64> =
        (0..30).map(|bin| if (10..15).contains(&bin) { 10 } else { 0 }).collect();
    let answered: Vec<u64> = failed.iter().map(|failed| 10 - failed).collect();
    assert_eq!(bins(&timeline["failures"]["status"]), failed);
    assert_eq!(bins(&timeline["backends"][0]["answers"]), answered);
    assert_eq!(timeline["backends"].as_array().map(Vec::len), Some(1));
}

#[test]
fn engine_a_timeline_begins_after_the_warm_up_and_merges_threads() {
    let server = keeping(u64::MAX);
    let load =
        ["-d", "600ms", "--warmup", "300ms", "-c", "4", "--threads", "2", "--reuse", "always"];
    let row = row(&[&["-t", &server.target(), "--timeline", "50ms"], &load[..]].concat());
    let timeline = &row["timeline"];
    let backends = timeline["backends"].as_array().expect("a list");
    let answers: u64 = backends.iter().flat_map(|backend| bins(&backend["answers"])).sum();
    assert_eq!(Some(answers), row["answers"].as_u64(), "{row}");
    assert!(row["warmed_up"].as_u64() > Some(0), "{row}");
    let count = timeline["bins"].as_u64().expect("a number");
    assert!((1..=12).contains(&count), "requests start for 600 ms: {count} bins");
    let first: u64 = backends.iter().map(|backend| bins(&backend["answers"])[0]).sum();
    assert!(first > 0, "the first bin is the first after the warm-up: {timeline}");
}
