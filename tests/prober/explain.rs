//! `--explain`: what prober reads of Envoys, what it says where there is none or no true one, and
//! that a healthy mesh gets no cause. The causes of a broken mesh stand in the scenarios; those
//! for which one Envoy is enough in `causes`.

mod causes;
pub(crate) mod envoy;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{self, Background, Said, bin_dir, command, finish};
use crate::servers::{Server, nobody, text_echo};

/// Addresses of its own.
const BLOCK: u8 = 75;

const INFO: &str = r#"{"node": {"id": "sidecar~10.0.0.7~client-1.ns~ns.svc.cluster.local",
    "metadata": {"CLUSTER_ID": "kops"}, "locality": {"region": "us-west-2", "zone": "a"}}}"#;

/// `/clusters` of a client that has sent so many requests home, and met nobody at the gateway.
fn clusters(sent: u64) -> String {
    let host = |ip: &str, port: u16, stats: Value| {
        json!({ "address": { "socket_address": { "address": ip, "port_value": port } },
                "stats": stats, "weight": 1,
                "health_status": { "eds_health_status": "HEALTHY" } })
    };
    let stat = |name: &str, value: u64| json!({ "name": name, "value": value.to_string() });
    json!({ "cluster_statuses": [{
        "name": "outbound|80||echo2.ns.svc.cluster.local",
        "host_statuses": [
            host("10.0.0.1", 8080, json!([stat("rq_total", sent)])),
            host("10.2.0.3", 15443, json!([stat("cx_total", sent), stat("cx_connect_fail", sent)])),
        ],
    }] })
    .to_string()
}

/// An admin interface: path without query → body, by how often the path was asked before.
fn admin(page: impl Fn(&str, u64) -> Option<String> + Send + Sync + 'static) -> Server {
    let asked = std::sync::Mutex::new(std::collections::BTreeMap::<String, u64>::new());
    Server::start(move |stream, _| {
        let Some(path) = requested(&stream) else { return };
        let path = path.split('?').next().unwrap_or_default().to_owned();
        let times = {
            let mut asked = asked.lock().expect("no panic holds it");
            let times = asked.entry(path.clone()).or_default();
            *times += 1;
            *times - 1
        };
        let (status, body) = match page(&path, times) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        // A reader who has had enough is part of the test.
        let _ = (&stream)
            .write_all(head.as_bytes())
            .and_then(|()| (&stream).write_all(body.as_bytes()));
    })
}

/// The path of a request, its head read to the end.
fn requested(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    lines.find(String::is_empty)?;
    Some(first.split(' ').nth(1)?.to_owned())
}

/// A healthy Envoy, but for its pages of `broken`.
fn with(broken: &'static str, body: String) -> Server {
    admin(move |path, times| match path {
        path if path == broken => Some(body.clone()),
        "/server_info" => Some(INFO.to_owned()),
        "/clusters" => Some(clusters(20 * times)),
        "/stats" => Some(String::new()),
        _ => None,
    })
}

/// A run of 20 requests that are all answered, explained by this admin interface.
fn explained(admin: &str, more: &[&str]) -> Said {
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let to = format!("::127.0.0.1:{}", echo.port());
    let args =
        ["-t", "echo2", "--connect-to", &to, "-n", "20", "--explain", "--envoy-admin", admin];
    harness::run("prober", args.iter().chain(more))
}

#[test]
fn explain_says_what_the_envoy_counted_and_the_report_keeps_it() {
    let envoy = with("", String::new());
    let said = explained(&envoy.target(), &[]);
    assert_eq!(said.code, 0, "{said:?}");
    let why = said.stdout.split_once("  WHY\n").expect("a section").1;
    assert!(
        why.contains("connections fail (network): 20 of 20 connections to 10.2.0.3:15443"),
        "{why}"
    );
    assert!(why.contains("get pods,svc | grep eastwestgateway"), "what to do next: {why}");

    let said = explained(&with("", String::new()).target(), &["-o", "json"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.json");
    fs::write(&file, &said.stdout).expect("written");
    let report = super::reports::schema::valid(&said);
    let explanation = &report["rows"][0]["explanation"];
    assert_eq!(explanation["findings"][0]["cause"], "connections fail");
    assert_eq!(explanation["findings"][0]["layer"], "network");
    let sent = &explanation["envoys"][0]["upstreams"][0]["endpoints"][0]["requests"];
    assert_eq!(*sent, json!({ "before": 0, "after": 20, "difference": 20 }));
    let again = harness::run("prober", ["explain-run", file.to_str().expect("UTF-8")]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("connections fail (network)"), "{again:?}");
}

#[test]
fn explain_run_tells_reports_without_evidence_and_none_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.json");
    let path = file.to_str().expect("UTF-8");
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let said = harness::run("prober", ["-t", &echo.target(), "-n", "2", "-o", "json"]);
    fs::write(&file, &said.stdout).expect("written");
    harness::run("prober", ["explain-run", path]).refused(&["run.json", "--explain --output json"]);
    fs::write(&file, "{}").expect("written");
    harness::run("prober", ["explain-run", path]).refused(&["run.json", "schema"]);
    harness::run("prober", ["explain-run", "/no/file"]).refused(&["/no/file", "No such file"]);
    harness::run("prober", ["-t", "a", "--envoy-admin", "b"]).refused(&["--explain"]);
    harness::run("prober", ["-t", "a", "--explain", "--envoy-admin", "https://b"])
        .refused(&["https://b", "plain http"]);

    // A report of another's making steers no terminal.
    let said = explained(&with("", String::new()).target(), &["-o", "json"]);
    let hostile = said.stdout.replace("10.2.0.3:15443", "10.2.0.3\\u001b[2J\\n:15443");
    assert_ne!(hostile, said.stdout);
    fs::write(&file, hostile).expect("written");
    let shown = harness::run("prober", ["explain-run", path]);
    assert!(shown.stdout.contains(r"10.2.0.3\u{1b}[2J\u{a}:15443"), "{shown:?}");
    assert!(!shown.stdout.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn explain_goes_on_where_there_is_no_envoy_and_says_so_in_one_line() {
    let silent = Server::start(|stream, _| {
        let _ = requested(&stream);
        // The reader's limit ends it: this reads until the connection is closed.
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let big = with("/clusters", " ".repeat((64 << 20) + 1));
    for (server, part) in [
        (None, "Connection refused"),
        (Some(admin(|_, _| None)), "not an Envoy admin interface: /server_info answers 404"),
        (Some(with("/server_info", "<html>".to_owned())), "server_info: not an Envoy admin page"),
        (Some(with("/server_info", "{}".to_owned())), "it has no 'node'"),
        (
            Some(with("/clusters", "{\"cluster_statuses\": [".to_owned())),
            "not an Envoy admin page: it is cut short",
        ),
        (Some(big), "/clusters is longer than 64 MiB"),
        (Some(silent), "no answer within 3s"),
    ] {
        let place = server.as_ref().map_or_else(|| nobody().to_string(), Server::target);
        let begin = Instant::now();
        let said = explained(&place, &[]);
        assert!(begin.elapsed() < Duration::from_secs(60), "{part}");
        assert_eq!(said.code, 0, "the run itself is well: {said:?}");
        let why = said.stdout.split_once("  WHY\n").expect(part).1;
        let why = why.split_once("\n\n").expect("the table follows").0;
        assert_eq!(why.lines().count(), 1, "{why}");
        assert!(
            why.contains("cannot tell: client was not read: ") && why.contains(part),
            "{part}: {why}"
        );
    }
}

#[test]
fn explain_sums_no_numbers_that_no_envoy_reaches() {
    let most = u64::MAX;
    let huge = move |times: u64| {
        let page = clusters(most * times);
        page.replace("\"weight\":1", &format!("\"weight\":{most}"))
    };
    let envoy = admin(move |path, times| match path {
        "/server_info" => Some(INFO.to_owned()),
        "/clusters" => Some(huge(times.min(1))),
        "/stats" => {
            let name = "cluster.outbound|80||echo2.ns.svc.cluster.local.upstream_cx";
            let value = most * times.min(1);
            Some(format!(
                "{name}_total: {value}\n{name}_connect_fail: {value}\n{name}_overflow: {value}\n"
            ))
        }
        _ => None,
    });
    let said = explained(&envoy.target(), &["-o", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.stderr, "", "no panic");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.json");
    fs::write(&file, &said.stdout).expect("written");
    let again = harness::run("prober", ["explain-run", file.to_str().expect("UTF-8")]);
    assert_eq!(again.code, 0, "prober reads its own report: {again:?}");
}

#[test]
fn explain_lets_no_page_steer_the_terminal() {
    let hostile = clusters(20).replace("10.2.0.3", "\\u001b[2J\\n10.2.0.3");
    let said = explained(&with("/clusters", hostile).target(), &["-o", "text"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.stdout.contains('\u{1b}'), "{said:?}");
    // A word that wrapping would move to the start of a line.
    let envoy = admin(|path, times| match path {
        "/server_info" => Some(INFO.to_owned()),
        "/clusters" => {
            let hostile = "10.2.0.3 ::error::a ##[error]b \\u202e";
            Some(clusters(20 * times).replace("10.2.0.3", hostile))
        }
        _ => Some(String::new()),
    });
    for columns in (60..100).step_by(4) {
        let echo = Server::start(text_echo("echo2-a", "kops"));
        let mut prober = command("prober");
        prober.args(["-t", "echo2", "--connect-to", &format!("::127.0.0.1:{}", echo.port())]);
        prober.args(["-n", "20", "--explain", "--envoy-admin", &envoy.target()]);
        let said = finish(prober.env("COLUMNS", columns.to_string()));
        assert!(said.stdout.contains("\\u{3a}:error::a"), "{said:?}");
        for line in said.stdout.lines().chain(said.stderr.lines()) {
            assert!(!line.trim_start().starts_with("::"), "{line}");
            assert!(!line.contains("##[") && !line.contains('\u{202e}'), "{line}");
        }
    }
    // Of a pod that is no gateway it is said how to look at it, with the name of the client.
    let pod = admin(|path, times| match path {
        "/server_info" => Some(INFO.replace("client-1", "client\\u001b[2J")),
        "/clusters" => Some(clusters(20 * times).replace(":15443", ":8080")),
        _ => Some(String::new()),
    });
    let said = explained(&pod.target(), &[]);
    assert!(
        said.stdout.contains(r"client\u{1b}[2J") && !said.stdout.contains('\u{1b}'),
        "{said:?}"
    );
}

/// A program of a test.
fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

#[test]
fn explain_asks_pilot_agent_behind_a_sources_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("info"), INFO).expect("written");
    fs::write(at("before"), clusters(0)).expect("written");
    fs::write(at("after"), clusters(20)).expect("written");
    program(
        folder.path(),
        "kubectl",
        "echo \"$*\" >> \"$BENCH/log\"\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"",
    );
    program(
        folder.path(),
        "pilot-agent",
        "case \"$3\" in
           server_info) cat \"$BENCH/info\" ;;
           clusters*) cat \"$BENCH/before\"; cp \"$BENCH/after\" \"$BENCH/before\" ;;
           stats*) echo 'cluster.outbound|80||echo2.ns.svc.cluster.local.upstream_cx_total: 3' ;;
           *) echo 'Error: 404' >&2; exit 1 ;;
         esac",
    );
    let echo = Server::start(text_echo("echo2-a", "kops"));
    let matrix = |workload: &str| {
        let text = format!(
            "sources: [{{name: pod, kubectl: {{context: kops, namespace: ns, workload: {workload}, \
             container: prober}}}}]\ntargets: [{{from: pod, url: echo2, requests: 20, \
             connect-to: ['::127.0.0.1:{}']}}]\n",
            echo.port()
        );
        fs::write(at("mesh.yaml"), text).expect("written");
        let mut prober = command("prober");
        let system = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{system}", folder.path().display(), bin_dir().display());
        prober.env("PATH", path).env("BENCH", folder.path());
        finish(prober.arg("matrix").arg(at("mesh.yaml")).args(["--explain"]))
    };
    let said = matrix("deploy/sleep");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("connection refused (gateway): 20 of 20 connections"), "{said:?}");
    let log = fs::read_to_string(at("log")).expect("a log");
    let exec =
        "exec --context=kops --namespace=ns --container=istio-proxy deploy/sleep -- pilot-agent";
    for path in ["server_info", "clusters?format=json", "stats?filter="] {
        let asked =
            log.lines().filter(|line| line.starts_with(&format!("{exec} request GET {path}")));
        assert_eq!(asked.count(), 2, "before and after: {path}: {log}");
    }
    assert!(!log.contains("--explain"), "what is behind the command only counts: {log}");

    program(folder.path(), "pilot-agent", "echo 'Error: no sidecar here' >&2; exit 1");
    let said = matrix("deploy/sleep");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stdout.contains("cannot tell: client was not read: kubectl: Error: no sidecar here"),
        "{said:?}"
    );
}

fn localmesh(words: &[&str]) -> Command {
    let mut command = harness::command("localmesh");
    command.args(words).args(["--block", &BLOCK.to_string()]);
    command
}

#[test]
fn explain_finds_nothing_in_a_healthy_mesh_and_the_cause_once_it_is_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let installed = harness::workspace().join(localmesh::envoy::INSTALLED);
    let mut up = localmesh(&["up", "--ingress-port", "8080"]);
    up.arg("--dir").arg(folder.path());
    if installed.is_file() {
        up.arg("--envoy").arg(installed);
    }
    let mut up = Background::start(&mut up);
    up.wait_for("the summary's end", |line| line.starts_with("files and logs: ").then_some(()));
    let matrix = folder.path().join("matrix.yaml");
    let run = |more: &[&str]| {
        let mut prober = command("prober");
        let said =
            finish(prober.arg("matrix").arg(&matrix).args(["--explain", "-o", "json"]).args(more));
        let report = super::reports::schema::valid(&said);
        report["rows"].as_array().expect("rows").clone()
    };
    for row in run(&[]) {
        let explanation = &row["explanation"];
        assert_eq!(explanation["findings"], json!([]), "{row}");
        // A client without a sidecar has no Envoy that could tell.
        let plain = row["source"].as_str().is_some_and(|source| source.ends_with("disabled"));
        assert_eq!(explanation["well"].is_string(), !plain, "{row}");
        assert_eq!(
            explanation["unknown"].as_array().map_or(0, Vec::len),
            usize::from(plain),
            "{row}"
        );
    }
    let done =
        finish(harness::command("localmesh").args(["do", "--block", &BLOCK.to_string()]).args([
            "remote-secret",
            "kops",
            "gke1",
            "off",
        ]));
    assert_eq!(done.code, 0, "{done:?}");
    let rows = run(&["--only", "echo2"]);
    let cause = |row: &Value| row["explanation"]["findings"][0]["cause"].clone();
    for row in &rows {
        let home =
            row["source"] == "kops:istio-enabled" || row["target"] == "istio1.xiaowenx.com/echo2";
        let right = if home { json!("only local endpoints") } else { Value::Null };
        assert_eq!(cause(row), right, "{row}");
    }
    assert_eq!(rows.len(), 4);
    up.signal(rustix::process::Signal::TERM);
    assert_eq!(up.wait(), 0);
}
