//! Sample reports for the golden tests of all formats.

use std::time::{Duration, SystemTime};

use echo_reply::Identity;

use super::{Report, Row, RowResult};
use crate::expectation;
use crate::plan::Protocol;
use crate::tally::outcome::{Answer, Code, Failure, FailureKind, Outcome, Remote, Timings, Who};
use crate::tally::{Recorder, Tally, Transport};
use crate::verdict;

/// One target, two clusters, no failures.
pub(crate) fn plain() -> Report {
    let tally = tally(&[("kops", "echo2-64ddccc94f-xdfqr", 52), ("gke1", "echo2-5f-abcde", 48)]);
    let row = row(None, "istio1.xiaowenx.com/echo2", tally, &["exactly kops,gke1"]);
    report(vec![row])
}

/// Two addresses of one name, each with a row.
pub(crate) fn each() -> Report {
    let mut report = plain();
    report.rows.extend(plain().rows);
    for (row, address) in report.rows.iter_mut().zip(["10.0.0.1", "fd00::1"]) {
        row.address = Some(address.parse().unwrap());
    }
    report
}

/// Four rows: a pass, failures, too few requests, and a source that cannot be reached.
pub(crate) fn matrix() -> Report {
    let well = tally(&[("kops", "echo1-5cf848bd89-lql9p", 100)]);
    let mut failing = Recorder::default();
    answers(&mut failing, &[("kops", "echo2-64ddccc94f-xdfqr", 55)]);
    for n in 100..149 {
        let what = "503 Service Unavailable from istio-envoy: \"no healthy upstream\"";
        let failure = Failure::new(FailureKind::Status, what).with(Code::Http(503));
        let who = (n < 103).then(|| Identity::new("echo2-64ddccc94f-xdfqr", "kops"));
        failing.record(outcome(n, Err(failure.by(who))), 4);
    }
    let dead = "127.10.1.9:8080".parse().unwrap();
    let mut over = outcome(200, Err(Failure::new(FailureKind::Reset, "gone")));
    over.passed_over = vec![(dead, "127.10.1.9:8080 refused the connection".to_owned())];
    over.transport = Transport {
        closed_while_idle: 1,
        interim: 2,
        unasked: 6,
        tls_full: 3,
        tls_resumed: 4,
        streams_allowed: Some(5),
        over_ipv6: 0,
        over_ipv4: 9,
    };
    failing.record(over, 4);
    let failing = Tally { elapsed: Duration::from_millis(131), ..failing.into_tally() };
    let few = tally(&[("kops", "echo2-64ddccc94f-xdfqr", 3)]);
    let both = ["errors = 0", "exactly kops,gke1"];
    let from = |source: &str| Some(source.to_owned());
    let mut rows = vec![
        row(from("kops:istio-disabled"), "echo1:8080", well, &["errors = 0", "exactly kops"]),
        row(from("kops:istio-enabled"), "echo2:8080", failing, &both),
        row(None, "istio1.xiaowenx.com/echo2", few, &both),
    ];
    let reason = "kubectl: error: context \"gke1\" does not exist".to_owned();
    rows.push(Row {
        source: from("gke1:istio-disabled"),
        target: "echo1:8080".to_owned(),
        url: "http://echo1:8080/".to_owned(),
        host: None,
        protocol: Protocol::Http1,
        address: None,
        result: RowResult::Unreachable { reason, could_not_run: false },
        gone: Vec::new(),
        readings: None,
    });
    let mut report = report(rows);
    report.clusters = vec!["kops".to_owned(), "gke1".to_owned()];
    report.matrix = true;
    report
}

/// Two clusters for four seconds with a timeline; one cluster fails in the third second.
pub(crate) fn timeline() -> Report {
    let (kops, gke1) = (Identity::new("echo2-a", "kops"), Identity::new("echo2-b", "gke1"));
    let mut recorder = Recorder::new(Some(Duration::from_millis(100)));
    for n in 0..400 {
        let broken = (210..285).contains(&n);
        let who = if n % 2 == 0 || broken && n >= 230 { &kops } else { &gke1 };
        let result = if broken && n % 2 == 1 && n < 230 {
            Err(Failure::new(FailureKind::Reset, "the connection was closed before an answer"))
        } else {
            let attempt = Some(if n == 231 { 2 } else { 1 });
            Ok(Answer { who: Who::Body(who), attempt, text: None })
        };
        let mut outcome = outcome(n, result);
        outcome.timings.total = Duration::from_millis(1 + n % 10);
        recorder.record_at(outcome, 0, || Duration::from_millis(10 * n));
    }
    let tally = Tally { elapsed: Duration::from_millis(4007), ..recorder.into_tally() };
    report(vec![row(None, "istio1.xiaowenx.com/echo2", tally, &["exactly kops,gke1"])])
}

/// More pods and more bins than a timeline holds.
pub(crate) fn many_pods() -> Report {
    let mut recorder = Recorder::new(Some(Duration::from_millis(1)));
    for n in 0..300 {
        let who = Identity::new(format!("pod-{}", n % 100), "kops");
        let answer = Answer { who: Who::Body(&who), attempt: Some(1), text: None };
        recorder.record_at(outcome(n, Ok(answer)), 0, || Duration::from_millis(17 * n));
    }
    report(vec![row(None, "a", recorder.into_tally(), &["only kops"])])
}

/// A report of these rows.
pub(crate) fn report(rows: Vec<Row>) -> Report {
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    let (interrupted, matrix) = (false, false);
    Report { run_id: None, started, interrupted, matrix, clusters: Vec::new(), rows }
}

/// A row of this tally.
pub(crate) fn row(
    source: Option<String>,
    target: &str,
    tally: Tally,
    expectations: &[&str],
) -> Row {
    // 100 requests cannot rule out the default minimum share of 1 %.
    let rules = verdict::Rules { min_share: 0.13, ..verdict::Rules::default() };
    let parsed = expectations.iter().map(|text| expectation::parse(text).unwrap());
    let verdicts = parsed.map(|expectation| verdict::judge(&tally, &expectation, &rules)).collect();
    let url = format!("http://{target}");
    let result = RowResult::Probed { tally, verdicts };
    let target = target.to_owned();
    let (host, address, readings) = (None, None, None);
    let (protocol, gone) = (Protocol::Http1, Vec::new());
    Row { source, target, url, host, protocol, address, result, gone, readings }
}

fn tally(backends: &[(&str, &str, u64)]) -> Tally {
    let mut recorder = Recorder::default();
    answers(&mut recorder, backends);
    Tally { elapsed: Duration::from_millis(131), ..recorder.into_tally() }
}

fn answers(recorder: &mut Recorder, backends: &[(&str, &str, u64)]) {
    for (first, (cluster, pod, answers)) in backends.iter().enumerate() {
        let identity = Identity::new(*pod, *cluster);
        for n in 0..*answers {
            let text = format!("[URL: http://echo2:8080/] on [pod: {pod}] in [cluster: {cluster}]");
            let attempt = Some(if n == 7 { 2 } else { 1 });
            let answer = Answer { who: Who::Body(&identity), attempt, text: Some(text) };
            // Interleaved: the first answers come from several backends.
            let place = n * backends.len() as u64 + first as u64;
            recorder.record(outcome(place, Ok(answer)), 4);
        }
    }
}

/// An outcome on a connection of its own.
pub(crate) fn outcome(sequence: u64, result: Result<Answer<'_>, Failure>) -> Outcome<'_> {
    let total = Duration::from_micros(800 + 10 * sequence);
    let timings = Timings { total, service: total, ..Timings::default() };
    let remote = Some(Remote { address: "127.10.1.2:8080".parse().unwrap(), place: 0 });
    Outcome { timings, remote, ..Outcome::fresh(sequence, result) }
}
