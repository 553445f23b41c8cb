//! `prober --target`: answers, failures of every kind, bad input, exit codes.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Background, Said, bin, finish, run};
use crate::servers::{self, Server, answering, line, nobody, response, text_echo};

/// Runs a quiet prober with JSON output; the code and the one row.
pub(crate) fn row(args: &[&str]) -> (i32, Value) {
    let said = run("prober", args.iter().copied().chain(["--output=json", "--quiet"]));
    assert_eq!(said.stderr, "", "quiet: {said:?}");
    let mut report: Value = serde_json::from_str(&said.stdout).expect("a JSON report");
    assert_eq!(report["schema"], "prober/1");
    assert_eq!(report["exit_code"], said.code);
    let row = report["rows"][0].take();
    let number = |name: &str| row[name].as_u64().expect(name);
    assert_eq!(number("answers") + number("failed"), number("requests"), "{row}");
    (said.code, row)
}

/// Runs 4 requests that must all fail in the same way, within 5 s; what was said of them.
pub(crate) fn all_fail(kind: &str, args: &[&str]) -> String {
    // Building it, once per test run, takes no time of the first test's.
    bin("prober");
    let start = Instant::now();
    let (code, row) = row(&[args, &["-n", "4"]].concat());
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    assert_eq!(code, 1, "{row}");
    assert_eq!(row["requests"], 4, "nothing is hidden: {row}");
    let failures = row["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 1, "equal failures are one group: {row}");
    assert_eq!(
        (failures[0]["kind"].as_str(), &failures[0]["count"]),
        (Some(kind), &4.into()),
        "{row}"
    );
    assert_eq!(row["backends"].as_array().map(Vec::len), Some(0), "a failure is no answer: {row}");
    failures[0]["what"].as_str().expect("a text").to_owned()
}

#[test]
fn the_original_samples_line_is_read_in_both_forms() {
    let flask = "http://echo2:8080/hello on [pod: echo2-f] in [cluster: gke1]";
    for (answer, pod) in [(line("echo2-r", "gke1"), "echo2-r"), (flask.to_owned(), "echo2-f")] {
        let server = Server::start(answering(response("200 OK", "", &answer)));
        let (code, row) = row(&["-t", &server.target(), "-n", "6", "--show", "2"]);
        assert_eq!(code, 0);
        let backend = &row["backends"][0];
        assert_eq!((backend["pod"].as_str(), &backend["answers"]), (Some(pod), &6.into()));
        assert_eq!(backend["cluster"], "gke1");
        let shown = row["shown"].as_object().expect("an object");
        assert_eq!(shown.len(), 2);
        assert!(shown.values().all(|text| text.as_str() == Some(answer.trim_end())), "verbatim");
    }
}

#[test]
fn every_request_has_a_connection_of_its_own_and_carries_what_was_asked() {
    let server = Server::start(|mut stream, _| {
        let head = servers::read_head(&stream);
        let id = head.iter().find_map(|l| l.strip_prefix("x-probe-id: ")).unwrap_or("none");
        let asked = head[0] == "PUT /a?b=1 HTTP/1.1"
            && head.iter().any(|l| l == "X-A: 1")
            && head.iter().any(|l| l.starts_with("Host: 127.0.0.1:"));
        let cluster = if asked { "kops" } else { "wrong" };
        let headers = format!(
            "x-echo-pod: p\r\nx-echo-cluster: {cluster}\r\nx-echo-probe: {id}\r\nx-echo-attempt: 2\r\n"
        );
        let _ = stream.write_all(response("200 OK", &headers, "any body").as_bytes());
        servers::linger(&stream);
    });
    let target = format!("{}/a?b=1", server.target());
    let (code, row) = row(&[
        "-t",
        &target,
        "-n",
        "20",
        "-X",
        "PUT",
        "-H",
        "X-A: 1",
        "-e",
        "only kops",
        "--min-share",
        "50%",
    ]);
    assert_eq!(code, 0, "{row}");
    assert_eq!((server.accepted(), &row["connections"]), (20, &20.into()));
    assert_eq!(row["retried"], 20, "attempt 2 is a retry of the mesh");
}

/// Reads a whole request: its head's lines, and its body.
fn read_request(mut stream: &TcpStream) -> (Vec<String>, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
        bytes.extend(byte);
    }
    let head: Vec<_> =
        String::from_utf8_lossy(&bytes).trim_end().lines().map(str::to_owned).collect();
    let length = head
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).expect("as long as it says");
    (head, body)
}

#[test]
fn a_body_goes_out_as_curl_sends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("body");
    std::fs::write(&file, "two\r\nlines\nend").expect("writes");
    let from_file = format!("@{}", file.display());
    let long = "x".repeat(65_000);
    let (give, take) = std::sync::mpsc::channel();
    let give = std::sync::Mutex::new(give);
    let server = Server::start(move |mut stream, _| {
        let (head, body) = read_request(&stream);
        let kept = |line: &&String| !line.to_lowercase().starts_with("content-");
        let method = head.first().expect("a line").clone();
        let mut content: Vec<_> =
            head.iter().filter(|line| !kept(line)).map(|l| l.to_lowercase()).collect();
        content.sort();
        give.lock().expect("one at a time").send((method, content, body)).expect("it is read");
        let _ = stream.write_all(response("200 OK", "", &line("p", "kops")).as_bytes());
        servers::linger(&stream);
    });
    let target = server.target();
    for args in [
        &["--data", "a=1"][..],
        &["--data", "a=1", "--data", "b = 2&"],
        &["--data", ""],
        &["--data", &from_file],
        &["--data", "a", "--data", &from_file],
        &["--data", "{}", "-X", "PUT", "-H", "Content-Type: application/json"],
        &["--data", &long],
    ] {
        let curl =
            finish(Command::new("curl").args(["-q", "-s", "-H", "Expect:", &target]).args(args));
        assert_eq!(curl.code, 0, "{curl:?}");
        let by_curl = take.recv_timeout(crate::harness::DEADLINE).expect("curl's request");
        let (code, row) = row(&[&["-t", &target, "-n", "1"], args].concat());
        assert_eq!((code, &row["answers"]), (0, &1.into()), "{row}");
        let by_prober = take.recv_timeout(crate::harness::DEADLINE).expect("prober's request");
        assert_eq!(by_prober, by_curl, "{args:?}");
    }
    let accepted = server.accepted();
    refused(&["-t", &target, "--data", "@/nonexistent"], &["cannot read --data @/nonexistent"]);
    refused(
        &["-t", &target, "--data", "@/dev/zero"],
        &["--data @/dev/zero: the file is too long", "at most 1 MiB"],
    );
    refused(&["-t", &target, "--data", "x", "--grpc"], &["--data", "--grpc"]);
    assert_eq!(server.accepted(), accepted, "what is refused sends nothing");
}

#[test]
fn an_answer_to_another_request_is_unidentified() {
    let headers = "x-echo-pod: p\r\nx-echo-cluster: c\r\nx-echo-probe: somebody-elses\r\n";
    let server = Server::start(answering(response("200 OK", headers, "")));
    let what = all_fail("unidentified", &["-t", &server.target()]);
    assert!(what.contains("another request"), "{what}");
}

#[test]
fn a_name_that_does_not_exist() {
    let server = super::names::Server::start(|_, _| super::names::NXDOMAIN);
    let servers = format!("--dns-servers={}", server.address);
    let what = all_fail("dns", &["-t", "nobody.invalid/", &servers]);
    assert!(what.contains("'nobody.invalid' not found"), "{what}");
}

#[test]
fn a_refused_connection() {
    let address = nobody();
    let what = all_fail("connect", &["-t", &address.to_string()]);
    assert_eq!(what, format!("{address} refused the connection"));
}

#[test]
fn a_connection_that_is_not_accepted_in_time() {
    // A listener whose queue is full: the kernel drops further SYNs.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    rustix::net::listen(&listener, 0).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let filling: Vec<_> = (0..8)
        .map_while(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
        })
        .collect();
    let what = all_fail("timeout", &["-t", &address.to_string(), "--connect-timeout", "0.2"]);
    assert!(what.contains("did not accept a connection within"), "{what}");
    drop(filling);
}

#[test]
fn a_reset_in_the_middle_of_the_body() {
    let server = Server::start(|mut stream, _| {
        servers::read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        servers::reset(stream);
    });
    let what = all_fail("reset", &["-t", &server.target()]);
    assert!(what.contains("reset"), "{what}");
}

#[test]
fn a_body_that_ends_too_early() {
    let server = Server::start(|mut stream, _| {
        servers::read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        servers::linger(&stream);
    });
    let what = all_fail("reset", &["-t", &server.target()]);
    assert_eq!(what, "the connection was closed in the body, after 4 bytes");
}

#[test]
fn a_connection_closed_without_an_answer() {
    let server = Server::start(|stream, _| {
        servers::read_head(&stream);
        servers::linger(&stream);
    });
    let what = all_fail("reset", &["-t", &server.target()]);
    assert_eq!(what, "the connection was closed before an answer");
}

#[test]
fn garbage_for_a_response() {
    let server = Server::start(answering("this is not HTTP at all\r\n\r\n".to_owned()));
    let what = all_fail("protocol", &["-t", &server.target()]);
    assert!(what.starts_with("not HTTP: "), "{what}");
}

#[test]
fn a_response_header_without_end() {
    let server = Server::start(|mut stream, _| {
        servers::read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-filler: 0123456789012345678901234567890123456789\r\n").is_ok() {}
    });
    let what = all_fail("protocol", &["-t", &server.target()]);
    assert!(what.contains("header") || what.contains("large"), "{what}");
}

#[test]
fn a_chunked_body_that_breaks_the_rules() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = Server::start(answering(format!("{head}zz\r\nhello\r\n0\r\n\r\n")));
    let what = all_fail("protocol", &["-t", &server.target()]);
    assert!(what.starts_with("bad body: "), "{what}");
}

#[test]
fn an_endless_body_is_cut_at_the_limit() {
    let server = Server::start(|mut stream, _| {
        servers::read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let what = all_fail("protocol", &["-t", &server.target(), "--max-body", "10000"]);
    assert_eq!(what, "the body is longer than 10000 bytes (--max-body)");
}

#[test]
fn a_slow_body_ends_in_a_timeout() {
    let server = Server::start(|mut stream, _| {
        servers::read_head(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let what = all_fail("timeout", &["-t", &server.target(), "-m", "300ms"]);
    assert_eq!(what, "the body did not end within 300ms");
}

#[test]
fn a_server_that_says_nothing_ends_in_a_timeout() {
    let server = Server::start(|stream, _| servers::linger_open(&stream));
    let what = all_fail("timeout", &["-t", &server.target(), "-m", "300ms"]);
    assert_eq!(what, "no response headers within 300ms");
}

#[test]
fn a_200_that_is_no_echo() {
    let server = Server::start(answering(response("200 OK", "", "Welcome to nginx!")));
    let what = all_fail("unidentified", &["-t", &server.target()]);
    assert_eq!(what, "200, but not an echo: \"Welcome to nginx!\"");
}

#[test]
fn headers_without_a_cluster_or_with_odd_bytes_are_nobodys() {
    for headers in
        ["x-echo-pod: p\r\n", "x-echo-cluster: c\r\n", "x-echo-pod: p\r\nx-echo-cluster:\r\n"]
    {
        let server = Server::start(answering(response("200 OK", headers, "hello")));
        let what = all_fail("unidentified", &["-t", &server.target()]);
        assert_eq!(what, "200, but not an echo: \"hello\"", "{headers:?}");
    }
    let headers = "x-echo-pod: p\u{e9}\r\nx-echo-cluster: c\r\n";
    let server = Server::start(answering(response("200 OK", headers, "hello")));
    let what = all_fail("unidentified", &["-t", &server.target()]);
    assert_eq!(what, "a name in the x-echo headers cannot be printed");
}

#[test]
fn headers_come_before_the_body() {
    let headers = "x-echo-pod: echo2-y\r\nx-echo-cluster: kops\r\n";
    let server = Server::start(answering(response("200 OK", headers, &line("echo2-x", "gke1"))));
    let (code, row) =
        row(&["-t", &server.target(), "-n", "3", "-e", "only kops", "--min-share", "99%"]);
    assert_eq!((code, &row["backends"][0]["pod"]), (0, &"echo2-y".into()), "{row}");
}

#[test]
fn an_envoys_503_is_quoted_once_with_a_count() {
    let answer =
        response("503 Service Unavailable", "server: istio-envoy\r\n", "no healthy upstream");
    let server = Server::start(answering(answer));
    let what = all_fail("status", &["-t", &server.target()]);
    assert_eq!(what, "503 Service Unavailable from istio-envoy: \"no healthy upstream\"");
    let said = run("prober", ["-t", &server.target(), "-n", "50", "--show=0"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.stdout.matches("no healthy upstream").count(), 1, "{}", said.stdout);
    assert!(said.stdout.contains("  status 503     50  503"), "{}", said.stdout);
    assert!(said.stderr.contains("advice: "), "{}", said.stderr);
}

#[test]
fn a_redirect_is_not_followed() {
    let answer = response("302 Found", "location: http://elsewhere/\r\n", "");
    let server = Server::start(answering(answer));
    let what = all_fail("status", &["-t", &server.target()]);
    assert_eq!(what, "302 Found to http://elsewhere/ (redirects are not followed)");
}

#[test]
fn a_target_that_does_not_speak_tls() {
    let server = Server::start(text_echo("p", "c"));
    let target = format!("https://localhost:{}/", server.port());
    let resolve = format!("localhost:{}:127.0.0.1", server.port());
    let what = all_fail("tls", &["-t", &target, "-k", "--resolve", &resolve]);
    assert!(what.contains("does not speak TLS"), "{what}");
}

#[test]
fn a_dead_address_of_a_name_is_passed_over_and_said() {
    let two: [IpAddr; 2] = [[127, 0, 0, 2].into(), [127, 0, 0, 3].into()];
    let port = servers::common_port(&two);
    let server = Server::start_at(SocketAddr::new(two[1], port), text_echo("p", "kops"));
    let target = format!("echo2:{port}");
    let resolve = format!("echo2:{port}:127.0.0.2,127.0.0.3");
    let (code, row) = row(&[
        "-t",
        &target,
        "-n",
        "5",
        "--resolve",
        &resolve,
        "-e",
        "only kops",
        "--min-share",
        "90%",
    ]);
    assert_eq!((code, server.accepted()), (0, 5));
    let over = &row["passed_over"][0];
    assert_eq!(
        (over["address"].as_str(), &over["count"]),
        (Some(format!("127.0.0.2:{port}").as_str()), &5.into())
    );
}

#[test]
fn each_target_has_a_table_and_the_worst_verdict_counts() {
    let kops = Server::start(text_echo("echo2-a", "kops"));
    let gke1 = Server::start(text_echo("echo2-b", "gke1"));
    let targets = ["-t", &kops.target(), "-t", &gke1.target()];
    let said = run(
        "prober",
        [&targets[..], &["-n", "12", "-e", "only kops", "--min-share", "50%"]].concat(),
    );
    assert_eq!(said.code, 1);
    assert!(
        said.stdout.contains("  PASS  only kops: all 12 answers came from kops"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("  FAIL  only kops: gke1 gave 12 of 12 answers"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("1 of 2 rows miss their expectations"), "{}", said.stdout);
    assert!(!said.stdout.contains('\u{1b}'), "no colour where stdout is no terminal");
}

#[test]
fn too_few_answers_are_inconclusive() {
    let server = Server::start(text_echo("p", "kops"));
    let said = run("prober", ["-t", &server.target(), "-n", "4", "-e", "reaches kops,gke1"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stdout.contains("INCONCLUSIVE"), "{}", said.stdout);
}

#[test]
fn an_interrupted_run_prints_what_there_is_and_is_marked() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let server = Server::start(text_echo("p", "kops"));
        let mut command = Command::new(bin("prober"));
        command.args(["-t", &server.target(), "-n", "100000000", "-c", "2"]);
        let mut prober = Background::start(&mut command);
        crate::harness::wait_until("answers came", || (server.accepted() > 20).then_some(()));
        prober.signal(signal);
        assert_eq!(prober.wait(), 130);
        let said = prober.said_all();
        assert!(said.contains("INTERRUPTED: this report is partial"), "{said}");
        assert!(said.contains("  kops     p"), "{said}");
    }
}

#[test]
fn an_interrupted_run_is_json_that_holds_together() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let server = Server::start(text_echo("p", "kops"));
        let mut command = Command::new(bin("prober"));
        command.args(["-t", &server.target(), "-d", "3600", "-c", "2", "--timeline", "10ms"]);
        let mut prober = Background::start(command.args(["--output=json", "--quiet"]));
        crate::harness::wait_until("answers came", || (server.accepted() > 20).then_some(()));
        prober.signal(signal);
        assert_eq!(prober.wait(), 130);
        let said = prober.said_all();
        let value: Value = serde_json::from_str(&said).expect("whole JSON");
        assert_eq!((&value["interrupted"], &value["exit_code"]), (&true.into(), &130.into()));
        // Reading it checks every sum, those of the timeline too.
        let report = ::prober::parse_report(said.as_bytes()).expect("a report");
        let tally = report.rows[0].tally().expect("probed");
        assert!(tally.answers() > 0 && tally.timeline.is_some(), "{tally:?}");
    }
}

#[test]
fn a_reader_that_leaves_in_the_middle_changes_no_exit_code() {
    let server = Server::start(text_echo("p", "kops"));
    // More than a pipe holds, so that the writing itself meets the closed end.
    for (form, expect, code) in
        [("text", "only kops", "0"), ("text", "only gke1", "1"), ("json", "only gke1", "1")]
    {
        let script = format!(
            "'{}' -t {} -n 1500 --show 1500 --quiet -o {form} -e '{expect}' | head -c 100 >/dev/null; \
             echo ${{PIPESTATUS[0]}}",
            bin("prober").display(),
            server.target()
        );
        let said = finish(Command::new("bash").args(["-c", &script]));
        assert_eq!((said.stdout.trim(), said.stderr.as_str()), (code, ""), "{form} {expect}");
    }
}

#[test]
fn an_interrupted_run_whose_reader_has_gone_ends_quietly() {
    let server = Server::start(text_echo("p", "kops"));
    let mut command = Command::new(bin("prober"));
    command.args(["-t", &server.target(), "-d", "3600", "-c", "2"]);
    // Only the pipe to the reader; what it says on stderr is collected.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(command);
    crate::harness::wait_until("answers came", || (server.accepted() > 20).then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
    let ended = crate::harness::wait_until("it ends", || child.try_wait().expect("can be asked"));
    let mut said = String::new();
    let stderr = child.stderr.as_mut().expect("piped");
    std::io::Read::read_to_string(stderr, &mut said).expect("text");
    assert_eq!((ended.code(), said.as_str()), (Some(130), ""));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let server = Server::start(text_echo("p", "kops"));
    let script = format!(
        "'{}' -t {} -n 3 | true; echo ${{PIPESTATUS[0]}}",
        bin("prober").display(),
        server.target()
    );
    let said = finish(Command::new("bash").args(["-c", &script]));
    assert_eq!((said.stdout.trim(), said.stderr.as_str()), ("0", ""));
}

fn refused(args: &[&str], parts: &[&str]) {
    run("prober", args).refused(parts);
}

#[test]
fn wrong_usage_is_one_line_and_exit_2() {
    refused(&[], &["no target", "such as: prober localhost:8080"]);
    refused(&["-t", "http://"], &["'http://' is not a URL"]);
    refused(&["-t", "%%%"], &["'%%%' is not a URL"]);
    refused(&["-t", "echo1:99999"], &["wrong port", "1 to 65535"]);
    refused(&["-t", "echo1:port"], &["wrong port"]);
    refused(&["-t", "echo 1:8080"], &["has a space"]);
    refused(&["-t", "ftp://a"], &["scheme 'ftp'"]);
    refused(&["-t", "a", "-n", "0"], &["-n 0", "at least 1"]);
    refused(&["-t", "a", "-n", "x"], &["'x'", "--requests"]);
    refused(&["-t", "a", "--concurency", "1"], &["--concurency", "'--concurrency'"]);
    refused(&["-t", "a", "--request", "100"], &["--request 100", "--requests 100"]);
    refused(&["-t", "a", "--resolve", "a"], &["--resolve 'a'", "HOST:PORT:ADDRESS"]);
    refused(&["-t", "a", "--resolve", "a:127.0.0.1"], &["--resolve"]);
    refused(&["-t", "a", "--resolve", "a:80:name"], &["--resolve", "'name'"]);
    refused(&["-t", "a", "--resolve", "a:0:127.0.0.1"], &["--resolve", "port"]);
    refused(&["-t", "a", "--resolve", "a:65536:127.0.0.1"], &["--resolve", "port"]);
    refused(&["-t", "a", "--resolve", "a:80:[::1"], &["--resolve", "bracket"]);
    refused(&["-t", "a", "--connect-to", "a"], &["--connect-to"]);
    refused(&["-t", "a", "--dns-servers", "x"], &["--dns-servers", "'x'"]);
    refused(&["-t", "a", "--timeline", "0"], &["--timeline '0'", "from 1ms to 1d"]);
    refused(&["-t", "a", "-4", "-6"], &["--ipv4", "--ipv6"]);
    refused(&["-t", "a", "--key", "x"], &["--cert"]);
    refused(&["-t", "a", "--tls-max", "1.1"], &["--tls-max", "1.2, 1.3"]);
    refused(&["-t", "a", "--tls-session", "x"], &["--tls-session", "never, reuse"]);
    refused(&["matrix"], &["FILE"]);
    refused(&["matrix", "/nonexistent.yaml"], &["/nonexistent.yaml", "No such file"]);
}

#[test]
fn a_bad_expectation_is_pointed_at() {
    let said: Said = run("prober", ["-t", "a", "-e", "exacty kops,gke1"]);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""));
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    assert!(lines[0].contains("exactly NAME[,NAME…]"), "{said:?}");
    assert_eq!(lines[1..], ["  exacty kops,gke1", "  ^^^^^^"]);
}

#[test]
fn bad_certificate_files_are_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let id = ::certs::SpiffeId::new("cluster.local", "default", "prober").expect("an id");
    let day = Duration::from_secs(86_400);
    let root = ::certs::Authority::root(::certs::KeyKind::EcdsaP256).expect("a root");
    for name in ["a", "b"] {
        let one = root.workload(&id, ::certs::KeyKind::EcdsaP256, day).expect("a certificate");
        std::fs::write(path(&format!("{name}-cert")), &one.chain_pem).expect("written");
        std::fs::write(path(&format!("{name}-key")), &one.key_pem).expect("written");
    }
    std::fs::write(path("empty"), "").expect("written");
    let tls = |args: &[&str], parts: &[&str]| {
        refused(&[&["-t", "https://127.0.0.1:9/"], args].concat(), parts);
    };
    tls(&["--cacert", &path("absent")], &["--cacert", "absent", "No such file"]);
    tls(&["--cacert", &path("empty")], &["--cacert", "empty", "no certificate in it"]);
    tls(&["--cacert", "/dev/zero"], &["--cacert", "/dev/zero", "larger than 16 MiB"]);
    tls(&["--cacert", &path("a-key")], &["no certificate in it"]);
    let (a_cert, a_key, b_key) = (path("a-cert"), path("a-key"), path("b-key"));
    tls(&["-k", "--cert", &a_cert, "--key", &a_cert], &["--key", "no private key in it"]);
    tls(&["-k", "--cert", &a_key, "--key", &a_key], &["--cert", "no certificate in it"]);
    tls(&["-k", "--cert", &a_cert, "--key", &b_key], &["a-cert", "b-key", "do not match"]);
    tls(&["-k", "--cert", &a_cert], &["--cert", "a-cert", "no private key in it", "--key"]);
}

#[test]
fn help_fits_80_columns_and_completions_name_every_flag() {
    for args in [&["--help"][..], &["matrix", "--help"]] {
        let help = run("prober", args);
        assert_eq!(help.code, 0);
        let widest = help.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{widest:?}: {}", help.stdout);
    }
    let help = run("prober", ["--help"]).stdout;
    let script = run("prober", ["completions", "bash"]);
    assert_eq!(script.code, 0);
    for word in help.split_whitespace().filter(|word| word.starts_with("--")) {
        // What stands behind a flag that may have a value is not its name.
        let flag = word.split(['[', '=']).next().unwrap_or(word);
        let flag = flag.trim_end_matches(|c: char| !c.is_alphanumeric());
        assert!(script.stdout.contains(flag), "{flag} is not completed");
    }
    let version = run("prober", ["--version"]).stdout;
    let number = format!("prober {}", env!("CARGO_PKG_VERSION"));
    let rest = version.strip_prefix(&number).expect("its number");
    assert!(rest == "\n" || rest.starts_with(" (") && rest.ends_with(")\n"), "{version}");
    let page = run("prober", ["man"]).stdout;
    assert!(page.contains(".TH prober 1"), "{page}");
    for flag in ["target", "report", "summary"] {
        assert!(page.contains(&format!("\\-\\-{flag}")), "{flag} is missing: {page}");
    }
    let page = run("prober", ["man", "matrix"]).stdout;
    assert!(page.contains("prober\\-matrix") && page.contains("dry\\-run"), "{page}");
    run("prober", ["man", "lunch"]).refused(&["'lunch' is not a command"]);
}
