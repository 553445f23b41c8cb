//! Servers, and logs, with a new name in every answer: memory and reports stay small, and no verdict
//! says more than is known.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::harness::{Background, command, run, wait_until};
use crate::servers::{Server, read_head, response};

/// A new pod with every answer, on as many connections as a client opens.
fn new_names() -> Server {
    let count = AtomicU64::new(0);
    Server::start(move |mut stream, _| {
        while !read_head(&stream).is_empty() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let headers = format!("x-echo-pod: pod-{number:06}\r\nx-echo-cluster: kops\r\n");
            if stream.write_all(response("200 OK", &headers, "").as_bytes()).is_err() {
                return;
            }
        }
    })
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn backends_beyond_the_bound_are_counted_in_every_form() {
    let (server, folder) = (new_names(), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name);
    let forms = ["r.json", "r.html", "r.md", "r.csv", "r.xml", "r.prom"];
    let mut args = vec![server.target()];
    args.extend(["-n40", "-c1", "--max-backends=3", "--expect=exactly kops"].map(str::to_owned));
    args.extend(forms.map(|form| format!("--report={}", path(form).display())));
    let said = run("prober", &args);
    let told =
        "37 of 40 answers came from backends beyond the 3 that are told apart; see --max-backends";
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.stdout.contains("INCONCLUSIVE") && said.stdout.contains("beyond the 3"),
        "{said:?}"
    );
    for form in ["r.json", "r.html", "r.md"] {
        assert!(read(&path(form)).contains(told), "{form}");
    }
    let lines = read(&path("r.csv"));
    let last: Vec<_> = lines.trim_end().lines().last().expect("lines").split(',').collect();
    assert_eq!((last[9], last[10], last[17], last[18]), ("", "", "37", "0.925000"), "{lines}");
    let metrics = read(&path("r.prom"));
    assert!(metrics.contains(r#"backend_cluster="other",backend_pod="other""#), "{metrics}");
    let json: Value = serde_json::from_str(&read(&path("r.json"))).expect("JSON");
    let row = &json["rows"][0];
    assert_eq!((row["answers"].as_u64(), row["others"]["answers"].as_u64()), (Some(40), Some(37)));
    assert_eq!(row["backends"].as_array().map(Vec::len), Some(3));

    let again =
        run("prober", ["report", path("r.json").to_str().expect("a path"), "--output=json"]);
    let again: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(again["rows"], json["rows"], "read and written again, it says the same");
    let id = ["--run-id=a", "--expect=errors = 0"].map(str::to_owned);
    for part in ["1.json", "2.json"] {
        let report = format!("--report={}", path(part).display());
        let rest = ["-n40", "-c1", "--max-backends=3"].map(str::to_owned);
        let said =
            run("prober", [vec![server.target(), report], rest.into(), id.to_vec()].concat());
        assert_eq!(said.code, 0, "{said:?}");
    }
    let parts = ["1.json", "2.json"].map(|part| path(part).display().to_string());
    let merged = run("prober", ["merge", "--output=json", &parts[0], &parts[1]]);
    let merged: Value = serde_json::from_str(&merged.stdout).expect("JSON");
    let row = &merged["rows"][0];
    assert_eq!(row["others"]["answers"].as_u64(), Some(74), "{row}");
    let compared = run("prober", ["compare", &parts[0], &parts[1]]);
    assert_eq!(compared.code, 3, "{compared:?}");
    let why = "shares: unknown: 37 of 40 answers came from backends beyond the 3";
    assert!(compared.stdout.contains(why), "{compared:?}");
}

#[test]
fn a_bound_that_cannot_be_is_refused() {
    for (given, range) in [("0", "1 to 65534"), ("65535", "1 to 65534")] {
        let said = run("prober", ["localhost:1", "--max-backends", given]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
        assert!(said.stderr.contains(&format!("--max-backends {given}")), "{said:?}");
        assert!(said.stderr.contains(range), "{said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    }
}

/// The most memory that a command took, in KiB, its exit code, and what it printed.
fn peak(args: &[String]) -> (u64, i32, String) {
    let mut process = Background::start(command("prober").args(args));
    let mut peak = 0;
    wait_until("its end", || {
        peak = peak.max(process.peak_kib().unwrap_or(0));
        process.has_ended().then_some(())
    });
    let code = process.wait();
    (peak, code, process.said_all())
}

#[test]
fn a_run_and_its_report_do_not_grow_with_new_names() {
    let (server, folder) = (new_names(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("r.json");
    let probe = |requests: &str, bound: &str| {
        let report = format!("--report={}", path.display());
        let fixed = ["--expect=errors = 0", "--reuse=always", "--quiet"].map(str::to_owned);
        let args = [server.target(), format!("-n{requests}"), bound.to_owned(), report];
        let (peak, code, said) = peak(&[args.to_vec(), fixed.to_vec()].concat());
        assert_eq!(code, 0, "{said}");
        (peak, fs::metadata(&path).expect("a report").len())
    };
    let (few, small) = probe("4000", "--max-backends=500");
    let (many, large) = probe("24000", "--max-backends=500");
    assert!(
        many < few + (12 << 10) && large < small + small / 2,
        "{few} → {many} KiB, {small} → {large}"
    );
    let (most, largest) = probe("24000", "--max-backends=10000");
    assert!(most < 160 << 10 && largest < 16 << 20, "{most} KiB, {largest} bytes");
    let json: Value = serde_json::from_str(&read(&path)).expect("JSON");
    assert_eq!(json["rows"][0]["backends"].as_array().map(Vec::len), Some(10_000));
    let (read_again, code, said) = peak(&["report".to_owned(), path.display().to_string()]);
    assert!(code == 0 && read_again < 192 << 10, "{read_again} KiB: {said}");
}

#[test]
fn the_window_of_watch_does_not_grow_with_new_names() {
    let server = new_names();
    let target = server.target();
    let args = ["watch", "--target", &target, "-n", "1000", "--reuse=always", "--max-backends=100"];
    let rest = ["--interval=1s", "--listen=127.0.0.1:0"];
    let watch = Background::start(command("prober").args(args).args(rest));
    // Each round opens ten connections, one for each request at once.
    wait_until("three rounds", || (server.accepted() >= 30).then_some(()));
    let before = watch.peak_kib().expect("it runs");
    wait_until("nine rounds", || (server.accepted() >= 90).then_some(()));
    let after = watch.peak_kib().expect("it runs");
    assert!(after < before + (8 << 10), "{before} → {after} KiB");
}

#[test]
fn judge_does_not_grow_with_new_names_connections_and_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = |lines: usize| {
        let path = folder.path().join(format!("{lines}.jsonl"));
        let mut file = BufWriter::new(fs::File::create(&path).expect("a file"));
        let mut line = String::new();
        for n in 0..lines {
            let (a, b, c) = (n >> 16, n >> 8 & 255, n & 255);
            line.clear();
            let connection = format!("{}{n}", "c".repeat(300));
            writeln!(
                line,
                r#"{{"pod":"pod-{n}","cluster":"kops","connection":"{connection}","address":"10.{a}.{b}.{c}:80","latency_us":{n}}}"#
            )
            .expect("memory");
            file.write_all(line.as_bytes()).expect("written");
        }
        drop(file);
        path.display().to_string()
    };
    let judged = |path: String| {
        let rest = ["--max-backends=1000", "--expect=only kops"].map(str::to_owned);
        let (peak, code, said) = peak(&[vec!["judge".to_owned(), path], rest.into()].concat());
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("beyond the 1000"), "{said}");
        peak
    };
    // Debug builds read some thousand lines a second.
    let (few, many) = (judged(log(12_000)), judged(log(36_000)));
    // Each connection of the last 100,000 is kept in mind, with 253 bytes of its name.
    let most = few + 24 * 500 + (4 << 10);
    assert!(many < most && few < 96 << 10, "{few} → {many} KiB");
}
