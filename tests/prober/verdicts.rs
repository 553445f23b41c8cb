//! Verdicts of real runs: sampling until decided, samples that are not independent, files of
//! expectations, and the commands around them.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use super::probing::row;
use crate::harness::{Said, run};
use crate::servers::{self, Server, line, read_head, response, text_echo};

/// A number from 0 to 99 that looks random, by the number of a connection (SplitMix64).
fn lot(connection: u64) -> u64 {
    let mut z = connection.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 100
}

/// Answers every request of a connection as the cluster that is drawn for it: `kops` in
/// `percent` of connections. `gke1` thinks for a while first.
fn split(percent: u64, thinks: Duration) -> impl Fn(TcpStream, u64) + Send + Sync {
    move |mut stream, connection| {
        let cluster = if lot(connection) < percent { "kops" } else { "gke1" };
        let answer = response("200 OK", "", &line("p", cluster));
        while !read_head(&stream).is_empty() {
            if cluster == "gke1" {
                std::thread::sleep(thinks);
            }
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Refused with one line, and two below it that point at the place.
fn pointed_at(said: &Said, parts: &[&str]) {
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
    assert_eq!(said.stderr.trim_end().lines().count(), 3, "{said:?}");
    assert!(parts.iter().all(|part| said.stderr.contains(part)), "{parts:?}: {said:?}");
}

#[test]
fn verdicts_end_a_run_once_they_are_decided() {
    let even = Server::start(split(50, Duration::ZERO));
    let (code, row) = row(&["-t", &even.target(), "-e", "balanced ± 10%", "-e", "errors = 0"]);
    assert_eq!((code, &row["stopped"]), (0, &"decided".into()), "{row}");
    let requests = row["requests"].as_u64().expect("a number");
    // At least 783, spread over at least a second.
    assert!((783..6_000).contains(&requests), "{row}");
    assert!(row["seconds"].as_f64().expect("a number") >= 1.0, "{row}");
    assert_eq!(row["connections"], requests, "each on a connection of its own");
}

#[test]
fn verdicts_refuse_a_skewed_split_soon() {
    let skewed = Server::start(split(80, Duration::ZERO));
    let balanced = ["-e", "balanced kops,gke1 ± 10%", "--min-time", "0"];
    let target = skewed.target();
    let (code, row) = row(&[&["-t", target.as_str()][..], &balanced].concat());
    assert_eq!((code, &row["stopped"]), (1, &"decided".into()), "{row}");
    assert!((783..1_500).contains(&row["requests"].as_u64().expect("a number")), "{row}");
    let reason = row["expectations"][1]["reason"].as_str().expect("a text");
    assert!(reason.contains("kops is above 60 % (99.9 % sure)"), "{reason}");
}

/// While the slow cluster's first requests are under way, all answers are the fast one's.
#[test]
fn verdicts_wait_for_slow_answers() {
    let server = Server::start(split(50, Duration::from_millis(50)));
    let (code, row) = row(&["-t", &server.target(), "-c", "40", "-e", "balanced ± 15%"]);
    assert_eq!((code, &row["stopped"]), (0, &"decided".into()), "{row}");
}

#[test]
fn verdicts_that_are_not_reached_are_inconclusive() {
    let even = Server::start(split(50, Duration::ZERO));
    let args = ["-t", &even.target(), "-e", "balanced ± 1%", "--max-requests", "300"];
    let (code, row) = row(&args);
    assert_eq!((code, &row["stopped"]), (3, &"max-requests".into()), "{row}");
    assert_eq!(row["requests"], 300);
}

#[test]
fn verdicts_on_pinned_connections_say_what_to_change() {
    let server = Server::start(split(50, Duration::ZERO));
    let args = ["-t", &server.target(), "--reuse", "always", "-e", "balanced ± 10%"];
    let said = run("prober", args.iter().copied().chain(["--max-requests", "2000"]));
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.contains("worth 10 independent ones"), "{}", said.stdout);
    assert!(said.stderr.contains("Run prober again with --reuse never"), "{}", said.stderr);
    let (code, row) = row(&["-t", &server.target(), "--reuse", "4", "-e", "balanced ± 10%"]);
    assert_eq!(code, 0, "enough connections decide it: {row}");
    assert!(row["requests"].as_u64() > row["connections"].as_u64().map(|n| n * 2), "{row}");
}

#[test]
fn verdicts_of_exact_expectations_take_a_hundred_requests() {
    let server = Server::start(text_echo("p", "kops"));
    let (code, row) = row(&["-t", &server.target(), "-e", "reaches kops", "-e", "errors = 0"]);
    assert_eq!(code, 0, "{row}");
    assert!((100..6_000).contains(&row["requests"].as_u64().expect("a number")), "{row}");
    // 'errors = 0' is judged without being asked for.
    let at_once = ["-t", &server.target(), "-e", "reaches kops", "--min-time", "0"];
    let (code, row) = self::row(&at_once);
    assert_eq!(code, 0, "{row}");
    assert!((100..783).contains(&row["requests"].as_u64().expect("a number")), "{row}");
}

#[test]
fn verdicts_are_read_from_files_line_by_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("good"), "# what must hold\nerrors = 0\n\nonly kops # at home\n")
        .expect("writes");
    fs::write(path("bad"), "errors = 0\nexacty kops\n").expect("writes");
    fs::write(path("empty"), "# nothing\n").expect("writes");
    let server = Server::start(text_echo("p", "kops"));
    let file = |name: &str| format!("--expect-file={}", path(name).display());
    let (code, row) = row(&["-t", &server.target(), "-n", "700", &file("good")]);
    assert_eq!(code, 0, "{row}");
    assert_eq!(row["expectations"].as_array().map(Vec::len), Some(2));
    for (name, parts) in [
        ("empty", &["empty: the file has no expectation"][..]),
        ("none", &["cannot read --expect-file", "none"]),
    ] {
        run("prober", ["-t", &server.target(), &file(name)]).refused(parts);
    }
    let bad = ["bad:2: expectation 'exacty kops', column 1", "exactly NAME", "\n  ^^^^^^\n"];
    pointed_at(&run("prober", ["-t", &server.target(), &file("bad")]), &bad);
    assert_eq!(server.accepted(), 700, "what is refused sends nothing");
}

#[test]
fn verdicts_compare_two_reports() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = |name: &str, server: &Server, resolve: bool| {
        let port = server.port();
        let target = if resolve { "echo:80".to_owned() } else { server.target() };
        let to = format!("echo:80:127.0.0.1:{port}");
        let said = run("prober", ["-t", &target, "--connect-to", &to, "-n", "3000", "-o", "json"]);
        let path = folder.path().join(name);
        fs::write(&path, said.stdout).expect("writes");
        path.display().to_string()
    };
    let (even, skewed) =
        (Server::start(split(50, Duration::ZERO)), Server::start(split(90, Duration::ZERO)));
    let before = report("before", &even, true);
    let after = report("after", &skewed, true);
    let other = report("other", &skewed, false);
    let wide = ["--tolerate", "latency=1000%", "--tolerate", "shares=10%"];
    // Latencies of a busy machine may depend on each other too much for a verdict.
    let said = run("prober", ["compare", &before, &before].iter().chain(&wide).copied());
    assert_ne!(said.code, 1, "{said:?}");
    assert!(
        ["errors", "shares"].iter().all(|what| said.stdout.contains(&format!("PASS  {what}: "))),
        "{said:?}"
    );
    let said = run("prober", ["compare", &before, &after].iter().chain(&wide).copied());
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stdout.contains("  FAIL  shares: gke1 "), "{}", said.stdout);
    let tolerated = ["compare", &before, &after, "--tolerate", "shares=60%"];
    let said = run("prober", tolerated.iter().chain(&wide[..2]).copied());
    assert!(said.stdout.contains("PASS  shares: "), "{said:?}");
    run("prober", ["compare", &before, &other]).refused(&["no source and target in common"]);
    let text = fs::read_to_string(&after).expect("text").replace("prober/1", "prober/9");
    fs::write(folder.path().join("newer"), text).expect("writes");
    let newer = folder.path().join("newer").display().to_string();
    run("prober", ["compare", &before, &newer])
        .refused(&["newer: the report has schema 'prober/9'"]);
    run("prober", ["compare", &before, "/nonexistent"]).refused(&["cannot read the report"]);
    run("prober", ["compare", &before, &after, "--tolerate", "x"]).refused(&["--tolerate 'x'"]);
    run("prober", ["compare", &before, &after, "--by", "x"]).refused(&["--by 'x': write one of"]);
}

#[test]
fn verdicts_are_planned_and_explained_before_anything_is_sent() {
    let said = run("prober", ["plan", "--backends", "12", "--tolerance", "4%"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    assert!(
        said.stdout.contains("188  requests until the probability that some backend"),
        "{said:?}"
    );
    let said = run("prober", ["explain", "balanced ± 10%"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stdout.contains("within 10 points of an even share: for 2, from 40 to 60 %"),
        "{said:?}"
    );
    pointed_at(&run("prober", ["explain", "balanced ± 5"]), &["missing '%'; write 5%"]);
    run("prober", ["plan"]).refused(&["--backends N"]);
    let tiny = ["plan", "--backends", "2", "--tolerance", "0.0001%"];
    run("prober", tiny).refused(&["more than 1000000000 requests"]);
}

#[test]
fn verdicts_fail_where_nobody_answers() {
    let nobody = servers::nobody().to_string();
    for expectation in ["balanced ± 5%", "only kops", "error-rate <= 1%", "p99 < 1s", "retried = 0"]
    {
        let (code, row) = row(&["-t", &nobody, "-e", expectation, "--max-requests", "20"]);
        // `retried = 0` alone is exact, for which --max-requests says nothing.
        assert_eq!(code, 1, "{expectation}: {row}");
    }
}
