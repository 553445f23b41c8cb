//! `prober watch`: rounds without end, what is served meanwhile, and how it ends. What is served
//! is read by promtool, as Prometheus would.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::html::browser::Browser;
use crate::harness::{Background, DEADLINE, Said, command, memory_kib, run, wait_until};
use crate::servers::{Server, answering, line, linger_open, nobody, response, text_echo};

/// A prober that watches.
struct Watch {
    prober: Background,
    address: SocketAddr,
}

impl Watch {
    fn start(args: &[&str]) -> Self {
        let mut command = command("prober");
        command.arg("watch").args(args).arg("--listen=127.0.0.1:0");
        let mut prober = Background::start(&mut command);
        let address = prober.wait_for("the address", |line| {
            let (_, rest) = line.split_once(" are at http://")?;
            rest.trim_end_matches('/').parse().ok()
        });
        Self { prober, address }
    }

    /// Status, head and body of an answer.
    fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    fn metrics(&self) -> Metrics {
        let (status, head, body) = self.get("/metrics");
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        Metrics::read(body)
    }

    /// Waits until the metrics are as wanted, and returns them.
    #[track_caller]
    fn until(&self, what: &str, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
        wait_until(what, || Some(self.metrics()).filter(&wanted))
    }

    /// Ends it as Kubernetes does: the exit code, and all that it printed.
    fn terminate(mut self) -> (i32, String) {
        self.prober.signal(Signal::TERM);
        let code = self.prober.wait();
        (code, self.prober.said_all())
    }
}

/// Samples by series, and the text that they were read from.
struct Metrics {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    fn read(text: String) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut samples = BTreeMap::new();
        for line in lines {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let known = samples.insert(series.to_owned(), value.parse().expect("a number"));
            assert_eq!(known, None, "twice: {series}");
        }
        Self { text, samples }
    }

    /// The sum of the series of a metric that have all of these labels.
    fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        let start = format!("{metric}{{");
        let of = |series: &str| {
            series.starts_with(&start) && labels.iter().all(|label| series.contains(label))
        };
        self.samples.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
    }

    fn rounds(&self) -> f64 {
        self.sum("prober_rounds_total", &[])
    }

    fn verdict(&self, state: &str) -> bool {
        self.sum("prober_target_verdict", &[&format!("verdict=\"{state}\"")]) == 1.0
    }

    /// No counter of `before` is smaller now, or gone.
    #[track_caller]
    fn assert_grown_from(&self, before: &Self) {
        let counter = |series: &&String| {
            let name = series.split('{').next().expect("a name");
            ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
        };
        for series in before.samples.keys().filter(counter) {
            let now = self.samples.get(series).unwrap_or_else(|| panic!("gone: {series}"));
            assert!(*now >= before.samples[series], "{series} shrank to {now}");
        }
    }
}

/// Runs promtool; it reads `input`. A machine without it fails the test.
pub(crate) fn promtool(args: &[&str], input: &str) -> Said {
    let mut command = Command::new("promtool");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("promtool does not run: {error}; on Debian it is in the package prometheus")
    });
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asserts that promtool reads it, and finds nothing to complain about.
#[track_caller]
fn assert_accepted(exposition: &str) {
    let said = promtool(&["check", "metrics"], exposition);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""), "{said:?}");
}

/// An echo that is two pods, one in each cluster, in turn.
fn two_clusters() -> Server {
    let pods = [line("a", "kops"), line("b", "gke1")].map(|line| response("200 OK", "", &line));
    let [kops, gke1] = pods.map(answering);
    Server::start(move |stream, n| if n % 2 == 0 { kops(stream, n) } else { gke1(stream, n) })
}

/// What is exposed of a target that answers, and of one whose source is away: every metric.
pub(crate) fn exposition() -> String {
    let server = two_clusters();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.yaml");
    let matrix = format!(
        "clusters: [kops, gke1]\nsources: [{{name: away, command: ['false']}}]\n\
         targets: [{{url: 'http://{0}/', expect: ['reaches kops,gke1']}}, {{from: away, url: a}}]",
        server.target()
    );
    fs::write(&file, matrix).expect("written");
    let file = file.to_str().expect("UTF-8");
    let watch = Watch::start(&[file, "-n", "20", "--interval", "0.2", "--window", "60"]);
    watch.until("two rounds of both have ended", |metrics| metrics.rounds() >= 4.0).text
}

#[test]
fn urls_without_a_flag_are_watched() {
    let servers: Vec<_> = (0..3).map(|_| Server::start(text_echo("a", "kops"))).collect();
    let targets: Vec<_> = servers.iter().map(Server::target).collect();
    let [first, second, third] = &targets[..] else { panic!("three") };
    let watch =
        Watch::start(&[first, "-c", "2", "-n", "5", second, "-t", third, "--interval", "1"]);
    wait_until("all are watched", || {
        let (_, _, metrics) = watch.get("/metrics");
        targets.iter().all(|target| metrics.contains(target.as_str())).then_some(())
    });
}

#[test]
fn metrics_page_and_health_are_served_until_a_last_report() {
    let server = two_clusters();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (json, prom) = (at("last.json"), at("last.prom"));
    let target = format!("{}/echo2", server.target());
    let reports = [&json, &prom].map(|path| format!("--report={}", path.display()));
    let expect = "--expect=exactly kops,gke1";
    let args =
        ["-t", &target, "-n", "30", "--interval=0.1", "--window=60", expect, "--min-share=30%"];
    let watch = Watch::start(&[&args[..], &[&reports[0], &reports[1]]].concat());
    assert_eq!(watch.get("/healthz").0, 200);
    let metrics = watch.until("three rounds have ended", |metrics| metrics.rounds() >= 3.0);
    assert_eq!(watch.get("/readyz").0, 200);
    assert_eq!(watch.get("/elsewhere").0, 404);
    assert_accepted(&metrics.text);
    let requests = metrics.sum("prober_requests_total", &["result=\"answered\""]);
    assert!(requests >= 90.0 && requests == 30.0 * metrics.rounds(), "{}", metrics.text);
    assert_eq!(metrics.sum("prober_answers_total", &[]), requests);
    assert_eq!(metrics.sum("prober_answer_duration_seconds_count", &[]), requests);
    assert_eq!(metrics.sum("prober_share_ratio", &["backend_cluster=\"gke1\""]), 0.5);
    let bound = |side| {
        let metric = format!("prober_share_{side}_bound_ratio");
        metrics.sum(&metric, &["backend_cluster=\"gke1\""])
    };
    let (lower, upper) = (bound("lower"), bound("upper"));
    assert!(0.2 < lower && lower < 0.5 && 0.5 < upper && upper < 0.8, "{lower} to {upper}");
    assert!(metrics.verdict("pass"), "{}", metrics.text);
    assert_eq!(metrics.sum("prober_source_up", &[]), 1.0);

    let (status, head, page) = watch.get("/");
    assert_eq!(status, 200);
    for part in ["content-type: text/html", "content-security-policy: default-src 'none'"] {
        assert!(head.contains(part), "{head}");
    }
    assert!(page.contains("<span aria-hidden=\"true\">✓</span> PASS</span> <bdi>"), "{page}");
    assert!(page.contains("<b><bdi>gke1</bdi></b> 50 %"), "{page}");

    let (code, said) = watch.terminate();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(": PASS: exactly kops,gke1: "), "what changes is said: {said}");
    assert!(said.contains(&format!("curl {target}")) && said.contains("gke1"), "{said}");
    let last: Value = serde_json::from_slice(&fs::read(json).expect("written")).expect("JSON");
    let ended = last["rows"][0]["requests"].as_u64().expect("a count");
    assert!(ended as f64 >= requests && last["interrupted"] == false, "{last}");
    let prom = Metrics::read(fs::read_to_string(prom).expect("written"));
    assert_accepted(&prom.text);
    assert_eq!(prom.sum("prober_requests_total", &[]), ended as f64);
}

#[test]
fn the_live_page_shows_later_rounds_by_itself_and_says_when_it_cannot() {
    let server = two_clusters();
    let target = server.target();
    let watch = Watch::start(&["-t", &target, "-n", "10", "--interval=0.5", "--window=60"]);
    watch.until("a round has ended", |metrics| metrics.rounds() >= 1.0);
    let mut browser = Browser::start();
    browser.open_url(&format!("http://{}/", watch.address));
    // What a reload would throw away, and the page's own renewal must not.
    browser.evaluate("window.opened = true; document.querySelector('main').dataset.first = ''");
    wait_until("a later round is shown", || {
        let renewed =
            browser.evaluate("'first' in document.querySelector('main').dataset") == false;
        renewed.then_some(())
    });
    assert_eq!(browser.evaluate("window.opened"), true, "it was not loaded anew");
    assert_eq!(browser.evaluate("document.getElementById('lost').hidden"), true);
    let noticed = browser.noticed();
    assert_eq!(noticed.complaints, [""; 0], "nothing is refused by its own policy");
    assert!(noticed.requests.len() >= 2, "{noticed:?}");
    watch.terminate();
    let lost = wait_until("it says that nobody answers", || {
        let lost = browser.evaluate("!document.getElementById('lost').hidden") == true;
        lost.then(|| browser.evaluate("document.getElementById('lost').textContent"))
    });
    assert!(lost.as_str().is_some_and(|text| text.contains("This page is from 20")), "{lost}");
}

#[test]
fn a_target_that_dies_and_comes_back_is_seen_and_no_counter_shrinks() {
    // An address of its own, so that nobody else takes the port meanwhile.
    let any = "127.81.0.1:0".parse().expect("an address");
    let server = Server::start_at(any, text_echo("a", "kops"));
    let address: SocketAddr = server.target().parse().expect("an address");
    let target = server.target();
    let watch = Watch::start(&["-t", &target, "-n", "5", "--interval=0.05", "--window=1"]);
    let well = watch.until("all is well", |metrics| metrics.verdict("pass"));
    drop(server);
    let down = watch.until("it is seen", |metrics| metrics.verdict("fail"));
    down.assert_grown_from(&well);
    let gone = watch.until("nobody in the window answered", |metrics| {
        metrics.sum("prober_share_ratio", &["backend_cluster=\"kops\""]) == 0.0
    });
    gone.assert_grown_from(&down);
    assert!(gone.sum("prober_failures_total", &["kind=\"connect\""]) > 0.0, "{}", gone.text);
    assert_eq!(watch.get("/readyz").0, 200, "it is the target that is down");
    assert!(watch.get("/").2.contains("refused"), "the page says why");
    wait_until("the port is free", || TcpListener::bind(address).ok());
    let _again = Server::start_at(address, text_echo("a", "kops"));
    let back = watch.until("it is back", |metrics| metrics.verdict("pass"));
    back.assert_grown_from(&gone);
    assert!(back.sum("prober_answers_total", &[]) > well.sum("prober_answers_total", &[]));
    let (code, said) = watch.terminate();
    assert_eq!(code, 0, "the last window was well: {said}");
    for word in ["PASS: errors = 0", "FAIL: errors = 0"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn it_goes_on_where_nothing_can_be_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mesh.yaml");
    let down = nobody();
    let matrix = format!(
        "sources:\n- {{name: away, command: [sh, -c, 'echo no such pod >&2; exit 1']}}\n\
         - {{name: gone, command: [/nonexistent/kubectl]}}\n\
         defaults: {{requests: 3, connect-timeout: 0.3, expect: ['errors = 0']}}\n\
         targets:\n- {{from: away, url: a}}\n- {{from: gone, url: a}}\n\
         - {{url: '{down}'}}\n- {{url: nowhere.invalid, dns-servers: ['{down}']}}\n",
    );
    fs::write(&file, matrix).expect("written");
    let file = file.to_str().expect("UTF-8");
    let watch = Watch::start(&[file, "--interval=0.2", "--window=60"]);
    let all = |metrics: &Metrics, at_least: f64| {
        let rounds = metrics.samples.iter().filter(|(series, rounds)| {
            series.starts_with("prober_rounds_total") && **rounds >= at_least
        });
        rounds.count() == 4
    };
    let metrics = watch.until("all had three rounds", |metrics| all(metrics, 3.0));
    assert_accepted(&metrics.text);
    for source in ["away", "gone"] {
        let source = format!("source=\"{source}\"");
        assert_eq!(metrics.sum("prober_source_up", &[&source]), 0.0);
        assert!(metrics.sum("prober_rounds_total", &[&source, "unreachable"]) >= 3.0);
    }
    assert_eq!(metrics.sum("prober_source_up", &["source=\"here\""]), 2.0);
    for kind in ["connect", "dns"] {
        let kind = format!("kind=\"{kind}\"");
        assert!(metrics.sum("prober_failures_total", &[&kind]) >= 9.0, "{}", metrics.text);
    }
    assert_eq!(metrics.sum("prober_target_verdict", &["verdict=\"fail\""]), 4.0);
    let later = watch.until("it goes on", |metrics| all(metrics, 5.0));
    later.assert_grown_from(&metrics);
    assert!(watch.get("/").2.contains("no such pod"));
    let (code, said) = watch.terminate();
    assert_eq!(code, 1, "{said}");
    let away =
        said.lines().filter(|line| line.contains("the source cannot probe: sh: no such pod"));
    assert_eq!(away.count(), 1, "said once, not in each round: {said}");
}

#[test]
fn before_the_first_round_it_is_alive_but_not_ready() {
    let server = Server::start(|stream, _| linger_open(&stream));
    let target = server.target();
    let watch = Watch::start(&["-t", &target, "-n", "1", "--max-time=60", "--interval=60"]);
    wait_until("it asks", || (server.accepted() > 0).then_some(()));
    assert_eq!(watch.get("/healthz").0, 200);
    assert_eq!(watch.get("/readyz").0, 503);
    assert!(watch.get("/").2.contains("the first round has not ended yet"));
    assert_accepted(&watch.metrics().text);
    assert!(watch.metrics().verdict("inconclusive"));
    let (code, said) = watch.terminate();
    assert_eq!(code, 3, "nothing is known: {said}");
}

#[test]
fn memory_stays_as_it_is_over_many_rounds_and_many_pods() {
    // Each connection is another pod's.
    let server = Server::start(|stream, n| {
        answering(response("200 OK", "", &line(&format!("pod-{n}"), "kops")))(stream, n);
    });
    let target = server.target();
    let args = ["-n", "4", "-c", "1", "--threads=1", "--interval=0.004", "--window=0.2"];
    let watch = Watch::start(&[&["-t", &target], &args[..]].concat());
    let resident = |rounds: f64| {
        watch.until("so many rounds have ended", |metrics| metrics.rounds() >= rounds);
        memory_kib(watch.prober.pid(), "VmRSS:").expect("it runs")
    };
    let early = resident(150.0);
    let late = resident(900.0);
    assert!(late <= early + 2048, "{early} kB, then {late} kB");
    let metrics = watch.metrics();
    let pods = metrics.samples.keys().filter(|series| series.starts_with("prober_answers_total"));
    assert!(pods.count() <= 31, "{}", metrics.text);
}

#[test]
fn what_cannot_be_watched_is_refused_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound").to_string();
    for (args, parts) in [
        (
            &["-t", "a", "--listen", &taken][..],
            &["cannot listen on", "address in use", "--listen"][..],
        ),
        (&["-t", "a", "--listen", "203.0.113.7:80"], &["this machine has no such address"]),
        (&["-t", "a", "--listen", "metrics"], &["--listen 'metrics'", "ADDRESS:PORT"]),
        (&["-t", "a", "--interval", "0"], &["--interval '0'", "out of range"]),
        (&["-t", "a", "--interval", "60", "--window", "30"], &["--window 30s", "--interval 1m"]),
        (&["-t", "a", "-d", "30"], &["a round takes 30s", "--interval 10s"]),
        (&["-t", "a", "--at", "1s", "true"], &["--at works only in a single run"]),
        (&["-t", "a", "--expect", "lost <= 3"], &["'lost <= 3' needs a fault"]),
        (&["-t", "a", "--report", "last.pdf"], &["last.pdf", "write one of"]),
        (&["-t", "https://a", "--cacert", "/nonexistent"], &["--cacert /nonexistent"]),
        (&[], &["nothing to watch"]),
        (&["/nonexistent.yaml"], &["cannot read the matrix file /nonexistent.yaml"]),
        (&["mesh.yaml", "-t", "a"], &["cannot be used with"]),
    ] {
        run("prober", ["watch"].iter().chain(args)).refused(parts);
    }
}

#[test]
fn promtool_sees_what_is_wrong() {
    let bad = "# TYPE a_total counter\na_total{b=\"c} 1\n";
    assert_ne!(promtool(&["check", "metrics"], bad).code, 0);
    let bad = "# HELP a_seconds A.\n# TYPE a_seconds counter\na_seconds 1\n";
    assert_ne!(promtool(&["check", "metrics"], bad).code, 0, "a counter is a total");
}

#[test]
fn a_round_that_takes_longer_than_its_interval_delays_no_other() {
    let slow = Server::start(|stream, _| linger_open(&stream));
    let well = two_clusters();
    let targets = [slow.target(), well.target()];
    let args = ["-n", "2", "--max-time=60", "--interval=0.1", "--window=60"];
    let watch = Watch::start(&[&["-t", &targets[0], "-t", &targets[1]], &args[..]].concat());
    let target = format!("target=\"{}\"", targets[1]);
    let rounds = |metrics: &Metrics| metrics.sum("prober_rounds_total", &[&target]);
    let metrics = watch.until("the other had its rounds", |metrics| rounds(metrics) >= 5.0);
    assert_eq!(metrics.rounds(), rounds(&metrics), "the first round of the slow one goes on");
}
