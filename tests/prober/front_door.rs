//! What a report says first: the verdict, what was not judged, who failed, and how often.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::probing::row;
use crate::harness::run;
use crate::servers::{Server, line, read_head, response, text_echo};

/// Answers each request by its number, on a connection of its own.
fn numbered(answer: impl Fn(u64) -> String + Send + Sync + 'static) -> Server {
    let count = Arc::new(AtomicU64::new(0));
    Server::start(move |mut stream: TcpStream, _| {
        read_head(&stream);
        let number = count.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(answer(number).as_bytes());
        crate::servers::linger(&stream);
    })
}

/// An id of hexadecimal digits for each number.
fn id(number: u64) -> String {
    format!("{:016x}", (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn failures_with_an_id_in_each_are_one_group_and_hide_no_other() {
    let server = numbered(|n| match n {
        299 => response("500 Internal Server Error", "", "cannot connect to the database"),
        _ => response("503 Service Unavailable", "", &format!("busy (request {})", id(n))),
    });
    let (code, row) = row(&["-t", &server.target(), "-n", "300", "-c", "1"]);
    assert_eq!((code, &row["failed"]), (1, &300.into()));
    let groups = row["failures"].as_array().expect("groups");
    let seen: Vec<_> = groups.iter().map(|one| (&one["status"], &one["count"])).collect();
    assert_eq!(seen, [(&503.into(), &299.into()), (&500.into(), &Value::from(1))], "{row}");
    let example = format!("503 Service Unavailable: \"busy (request {})\"", id(0));
    assert_eq!(groups[0]["what"], example, "the first one, verbatim");
}

#[test]
fn texts_without_an_end_leave_the_totals_of_each_status_code_exact() {
    // Words without digits, as no rule can tell from other words.
    let word = |n: u64| -> String {
        n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
    };
    let server = numbered(move |n| match n % 4 {
        0 => response("503 Service Unavailable", "", "no healthy upstream"),
        1 => response("500 Internal Server Error", "", &word(n)),
        _ => response("429 Too Many Requests", "", &word(n)),
    });
    let said = run("prober", ["-t", &server.target(), "-n", "400"]);
    assert_eq!(said.code, 1, "{said:?}");
    let totals = "400 of 400 requests failed: 200 status 429, 100 status 500, 100 status 503";
    assert!(said.stdout.contains(totals), "{}", said.stdout);
    assert!(said.stdout.contains("  status 503    100  503 "), "{}", said.stdout);
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    let files = ["r.md", "r.xml", "r.html", "r.csv", "r.prom", "r.json"].map(at);
    let reports: Vec<_> = files.iter().map(|file| format!("--report={file}")).collect();
    let words = ["-t", &server.target(), "-n", "400", "--quiet"].map(str::to_owned);
    run("prober", words.into_iter().chain(reports));
    for (file, parts) in files.iter().zip([
        ["200 status 429", "100 status 500", "100 status 503"],
        [
            "name=\"failed.status 429\" value=\"200\"",
            "status 500\" value=\"100\"",
            "status 503\" value=\"100\"",
        ],
        ["200 status 429", "100 status 500", "100 status 503"],
        ["200 status 429", "100 status 500", "100 status 503"],
        ["code=\"429\"} 200", "code=\"500\"} 100", "code=\"503\"} 100"],
        ["\"status\": 429", "\"status\": 500", "\"status\": 503"],
    ]) {
        let text = std::fs::read_to_string(file).expect("it was written");
        assert!(parts.iter().all(|part| text.contains(part)), "{file}: {parts:?}\n{text:.3000}");
    }
}

/// Three pods; the third fails half of its requests and says so, with a trace id in each.
fn bad_pod() -> Server {
    numbered(|n| {
        let pod = ["shop-a", "shop-b", "shop-c"][n as usize % 3];
        let cluster = ["kops", "kops", "gke1"][n as usize % 3];
        let headers = format!("x-echo-pod: {pod}\r\nx-echo-cluster: {cluster}\r\n");
        match n % 6 {
            5 => response(
                "500 Internal Server Error",
                &headers,
                &format!(
                    "{{\"timestamp\":{n}.5,\"error\":\"Internal Server Error\",\"trace\":\"{}\"}}",
                    id(n)
                ),
            ),
            _ => response("200 OK", &headers, &line(pod, cluster)),
        }
    })
}

#[test]
fn the_pod_that_fails_is_named_in_every_form() {
    let server = bad_pod();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    let files = ["r.md", "r.html", "r.prom", "r.csv", "r.json"].map(at);
    let reports: Vec<_> = files.iter().map(|file| format!("--report={file}")).collect();
    let flags = ["-t", &server.target(), "-n", "600", "-c", "1"].map(str::to_owned);
    let said = run("prober", flags.into_iter().chain(reports));
    assert_eq!(said.code, 1, "{said:?}");
    let has = |text: &str| assert!(said.stdout.contains(text), "{text}: {}", said.stdout);
    has("600 requests failed: 100 status 500");
    let table = said.stdout.lines().find(|line| line.contains("  gke1  ")).expect("its line");
    let cells: Vec<_> = table.split_whitespace().take(5).collect();
    assert_eq!(cells, ["gke1", "shop-c", "100", "100", "100"], "{table}");
    assert!(
        said.stderr.contains("shop-c in gke1 failed 100 of its 200 requests"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("kubectl logs shop-c"), "{}", said.stderr);
    for (file, part) in files.iter().zip([
        "| `gke1` | `shop-c` | 100 | 100 |",
        "Failed</th>",
        "prober_backend_failures_total{source=\"here\",target=\"",
        "100 status 500,100\r\n",
        "\"failed_by\": [",
    ]) {
        let text = std::fs::read_to_string(file).expect("it was written");
        assert!(text.contains(part), "{file}: {part}\n{text:.3000}");
    }
}

#[test]
fn a_share_that_failures_made_is_not_called_a_wrong_weight() {
    let server = bad_pod();
    let flags = ["-t", &server.target(), "-n", "900", "-c", "1", "-e", "balanced by pod ± 5%"];
    let said = run("prober", flags);
    assert_eq!(said.code, 1, "{said:?}");
    let advice: Vec<_> = said.stderr.lines().filter(|line| line.contains("advice: ")).collect();
    assert!(advice[0].contains("shop-c in gke1 failed"), "failures come first: {advice:?}");
    assert!(advice[1].contains("Fix the failures first"), "{advice:?}");
    assert!(!said.stderr.contains("weights"), "{advice:?}");
}

#[test]
fn a_pass_says_what_nobody_asked() {
    let server = Server::start(text_echo("echo2-a", "kops"));
    let said = run("prober", ["-t", &server.target()]);
    assert_eq!(said.code, 0, "{said:?}");
    let lines: Vec<_> = said.stdout.lines().take(3).collect();
    assert!(lines[0].starts_with("PASS  curl "), "{lines:?}");
    assert_eq!(lines[1], "  PASS  errors = 0: all 100 requests answered");
    assert!(
        lines[2].starts_with("  NOTE  distribution not judged: all 100 answers came from kops"),
        "{lines:?}"
    );
    let colored = run("prober", ["-t", &server.target(), "--color=always"]);
    assert!(colored.stdout.contains("\u{1b}[33mNOTE\u{1b}[0m"), "{colored:?}");
}

#[test]
fn a_cluster_of_the_earlier_report_that_is_silent_now_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("run.json");
    let report = format!("--report={}", report.display());
    let both = numbered(|n| match n % 2 {
        0 => response("200 OK", "", &line("echo2-a", "kops")),
        _ => response("200 OK", "", &line("echo2-b", "gke1")),
    });
    let resolve = |server: &Server| format!("--connect-to=::{}", server.target());
    run("prober", ["-t", "echo2.test", &resolve(&both), &report, "--quiet"]);
    let one = Server::start(text_echo("echo2-a", "kops"));
    let said = run("prober", ["-t", "echo2.test", &resolve(&one), &report, "--quiet"]);
    let has = |text: &str| assert!(said.stdout.contains(text), "{text}: {}", said.stdout);
    has("gke1 answered in the earlier report, and not in this run");
    has("gke1 gave none of 100 answers; add --expect 'exactly kops,gke1'");
    // Not only once: the report that was replaced does not take this knowledge with it.
    let said = run("prober", ["-t", "echo2.test", &resolve(&one), &report, "--quiet"]);
    assert!(said.stdout.contains("gke1 answered in the earlier report"), "{}", said.stdout);
}

#[test]
fn one_connection_answered_by_several_pods_is_no_l4_load_balancer() {
    let pods = |several: bool| {
        Server::start(move |mut stream: TcpStream, connection| {
            let mut number = 0;
            while !read_head(&stream).is_empty() {
                let chosen = if several { number } else { connection };
                let (pod, cluster) = [("a", "kops"), ("b", "gke1")][chosen as usize % 2];
                number += 1;
                let _ = stream.write_all(response("200 OK", "", &line(pod, cluster)).as_bytes());
            }
        })
    };
    for (several, advised) in [(true, false), (false, true)] {
        let server = pods(several);
        let flags = ["-t", &server.target(), "-n", "100", "-c", "2", "--reuse", "always"];
        let said = run("prober", flags);
        assert_eq!(said.stderr.contains("An L4 load balancer"), advised, "{several}: {said:?}");
    }
}

#[test]
fn another_protocol_on_the_port_is_named_with_the_command_that_speaks_it() {
    for (bytes, what, command) in [
        (
            &b"\x15\x03\x01\x00\x02\x02\x16"[..],
            "it expects TLS on this port",
            "run 'prober https://",
        ),
        (
            b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80",
            "the server speaks HTTP/2 only",
            "--http2-prior-knowledge",
        ),
    ] {
        let server = Server::start(move |mut stream: TcpStream, _| {
            read_head(&stream);
            let _ = stream.write_all(bytes);
            crate::servers::linger(&stream);
        });
        let said = run("prober", ["-t", &server.target(), "-n", "3"]);
        assert_eq!(said.code, 1);
        assert!(said.stdout.contains(what), "{}", said.stdout);
        assert!(said.stderr.contains(command), "{}", said.stderr);
    }
}
