//! What a person sees: the demo, and `prober matrix` while something is broken.

use std::process::Command;
use std::time::{Duration, Instant};

use localmesh::Trust;
use serde_json::Value;

use super::lifecycle::localmesh;
use super::*;
use crate::harness::{Background, Said, bin, finish};

/// The sections in their order: heading and the clusters that must answer.
const SECTIONS: [(&str, &str); 8] = [
    ("from kops:istio-disabled: curl echo1:8080", "kops"),
    ("from kops:istio-enabled: curl echo2:8080", "kops,gke1"),
    ("curl istio1.xiaowenx.com/echo1", "kops"),
    ("curl istio1.xiaowenx.com/echo2", "kops,gke1"),
    ("from gke1:istio-disabled: curl echo1:8080", "gke1"),
    ("from gke1:istio-enabled: curl echo2:8080", "kops,gke1"),
    ("curl istio2.xiaowenx.com/echo1", "gke1"),
    ("curl istio2.xiaowenx.com/echo2", "kops,gke1"),
];

#[test]
fn mesh_view_the_demo_shows_eight_sections_and_the_table() {
    let start = Instant::now();
    let said: Said = finish(&mut localmesh("demo", block::VIEW_DEMO));
    assert_eq!(said.code, 0, "{said:?}");
    // A debug build on a busy machine; users see a tenth of this.
    assert!(start.elapsed() < Duration::from_secs(30), "took {:?}", start.elapsed());
    let lines: Vec<_> = said.stdout.lines().collect();
    let place = |wanted: &str| lines.iter().position(|line| *line == wanted).expect(wanted);
    let places: Vec<_> = SECTIONS.iter().map(|(heading, _)| place(heading)).collect();
    assert!(places.is_sorted(), "{places:?}");
    for ((_, names), place) in SECTIONS.iter().zip(&places) {
        let section = &lines[*place..];
        let answers = section[1..5].iter().filter(|line| line.starts_with("[URL: http://"));
        assert_eq!(answers.count(), 4, "four answers, verbatim: {:?}", &section[..6]);
        let verdict = format!("  PASS  exactly {names}: ");
        let end = section.iter().position(|line| line.contains("exactly")).expect("a verdict");
        assert!(section[end].starts_with(&verdict), "{}", section[end]);
    }
    let table = &lines[place(lines[places[7]])..];
    assert_eq!(table.iter().filter(|line| line.ends_with("  PASS")).count(), 8, "{table:?}");
    assert_eq!(lines.last(), Some(&"all 8 rows meet their expectations"));
}

#[test]
fn mesh_view_an_ingress_says_how_long_its_upstream_took() {
    let shared = Shared::get();
    let mesh = &shared.mesh;
    let outside = from_outside(mesh, "kops", "echo2");
    let through = format!("--connect-to=::{}", outside.to);
    let target = format!("{}{}", outside.host, outside.path);
    let (code, row) = crate::prober::probing::row(&["-t", &target, "-n", "20", &through]);
    assert_eq!(code, 0, "{row}");
    let median = |phase: &str| row["phases"][phase]["p50_us"].as_u64().expect(phase);
    // Envoy cuts to whole milliseconds, so that the part is never more than the whole.
    assert!(median("upstream") <= median("first_byte"), "{row}");

    // No Envoy is on the way to a pod without a sidecar.
    let (code, row) =
        crate::prober::probing::row(&["-t", &straight(mesh, "kops", 0).to.to_string()]);
    assert_eq!(code, 0, "{row}");
    assert!(row["phases"].get("upstream").is_none(), "{row}");
}

#[test]
fn mesh_view_up_prints_commands_that_work_from_another_shell() {
    let mut up = Background::start(&mut localmesh("up", block::VIEW_UP));
    let pick = |word: &'static str| {
        move |line: &str| {
            let line = line.trim();
            (line.contains("prober") && line.contains(word)).then(|| line.to_owned())
        }
    };
    let sample = up.wait_for("a sample command", pick("--target"));
    let matrix = up.wait_for("the matrix command", pick(" matrix "));
    for line in [sample, matrix] {
        let said = finish(
            Command::new("sh").args(["-c", &line]).current_dir(std::env::current_dir().unwrap()),
        );
        assert_eq!(said.code, 0, "{line}: {said:?}");
    }
    up.signal(rustix::process::Signal::TERM);
    assert_eq!(up.wait(), 0);
}

/// The rows of `prober matrix`, and its exit code.
fn matrix(mesh: &Mesh) -> (i32, Vec<Value>) {
    let mut prober = Command::new(bin("prober"));
    prober.arg("matrix").arg(mesh.matrix_path()).args(["-o", "json", "--quiet"]);
    let said = finish(&mut prober);
    let report: Value = serde_json::from_str(&said.stdout).expect("a report");
    let rows = report["rows"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), SECTIONS.len());
    (said.code, rows)
}

/// Which rows did not pass, by their place in [`SECTIONS`].
fn missed(rows: &[Value]) -> Vec<usize> {
    let missed = |(place, row): (usize, &Value)| (row["verdict"] != "pass").then_some(place);
    rows.iter().enumerate().filter_map(missed).collect()
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().expect("a number")
}

fn only_cluster(row: &Value) -> &str {
    let backends = row["backends"].as_array().expect("a list");
    assert_eq!(backends.len(), 1, "{row}");
    backends[0]["cluster"].as_str().expect("a name")
}

/// Many answers were retried, and few requests met the dead endpoint each time.
///
/// With requests at the same time LEAST_REQUEST likes an endpoint that fails at
/// once: it has the fewer requests in flight, so that of two draws it loses only if
/// both are the other: it is chosen 3 times in 4. A request fails if the first
/// choice and the six of each of both retries are it: 0.75¹³ ≈ 2.4 % at most, and
/// more than 40 of 250 with a probability below 1e-12. One at a time (see `faults`)
/// it is 2⁻¹³.
#[track_caller]
fn assert_hidden_by_retries(row: &Value) {
    assert!(number(row, "retried") > 0 && number(row, "failed") <= 40, "{row}");
}

/// The rows in which both clusters must answer.
const SHARED_ROWS: [usize; 4] = [1, 3, 5, 7];

#[test]
fn mesh_view_a_dead_remote_pod_is_told_by_retries_and_a_missing_cluster() {
    let mut mesh = two_clusters(block::VIEW_POD_DEAD);
    mesh.kill_pod("gke1/echo2").unwrap();
    let (code, rows) = matrix(&mesh);
    assert_eq!((code, missed(&rows)), (1, SHARED_ROWS.to_vec()));
    for row in SHARED_ROWS.map(|place| &rows[place]) {
        assert_eq!(only_cluster(row), "kops");
        assert_hidden_by_retries(row);
    }
}

#[test]
fn mesh_view_a_dead_remote_app_is_told_by_envoys_503() {
    let mut mesh = two_clusters(block::VIEW_APP_DEAD);
    mesh.kill_process("gke1/echo2 app").unwrap();
    let (code, rows) = matrix(&mesh);
    assert_eq!((code, missed(&rows)), (1, SHARED_ROWS.to_vec()));
    for row in SHARED_ROWS.map(|place| &rows[place]) {
        assert_eq!(only_cluster(row), "kops");
        // Half at most, less where LEAST_REQUEST avoids the endpoint that is slow to fail.
        assert!((7..=200).contains(&number(row, "failed")), "{row}");
        let failures = row["failures"].as_array().expect("a list");
        assert!(failures.iter().all(|failure| failure["kind"] == "status"), "{row}");
        let what = failures[0]["what"].as_str().expect("a text");
        assert!(what.starts_with("503 ") && what.contains("upstream connect error"), "{what}");
    }
}

#[test]
fn mesh_view_a_stopped_gateway_is_told_from_the_other_side_only() {
    let mut mesh = two_clusters(block::VIEW_GATEWAY);
    mesh.stop_process("gke1/eastwestgateway").unwrap();
    let (code, rows) = matrix(&mesh);
    assert_eq!((code, missed(&rows)), (1, vec![1, 3]), "gke1 still reaches kops");
    for row in [&rows[1], &rows[3]] {
        assert_eq!(only_cluster(row), "kops");
        assert_hidden_by_retries(row);
    }
    // With the gateway back, all is well again.
    mesh.start_process("gke1/eastwestgateway").unwrap();
    let (code, rows) = matrix(&mesh);
    assert_eq!((code, missed(&rows)), (0, vec![]), "{rows:#?}");
}

#[test]
fn mesh_view_a_swapped_root_splits_the_mesh_silently() {
    let mut mesh = two_clusters(block::VIEW_ROOT);
    mesh.swap_root("gke1", Trust::NewRoot).unwrap();
    let (code, rows) = matrix(&mesh);
    assert_eq!((code, missed(&rows)), (1, SHARED_ROWS.to_vec()));
    for (place, own) in SHARED_ROWS.into_iter().zip(["kops", "kops", "gke1", "gke1"]) {
        let row = &rows[place];
        assert_eq!(only_cluster(row), own);
        assert_hidden_by_retries(row);
    }
}

#[test]
fn mesh_view_a_frozen_gateway_slows_half_of_the_requests_and_fails_hardly_any() {
    let mesh = two_clusters(block::VIEW_FROZEN);
    let frozen = mesh.programs().find(|(program, _)| program.name == "gke1/eastwestgateway");
    let pid = i32::try_from(frozen.and_then(|(_, pid)| pid).expect("it runs")).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let mut prober = Command::new(bin("prober"));
    prober.arg("matrix").arg(mesh.matrix_path());
    // A request that waits makes LEAST_REQUEST choose the other side three times of four: of 40, the
    // first alone meets the frozen gateway with a probability of 1e-5.
    prober.args(["--only", "from kops:istio-enabled", "-n", "40", "-o", "json", "--quiet"]);
    let said = finish(&mut prober);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let report: Value = serde_json::from_str(&said.stdout).expect("a report");
    let row = &report["rows"][0];
    assert_eq!(only_cluster(row), "kops");
    // Now and then a retry meets the frozen gateway again, and two waits exceed --max-time.
    assert!(number(row, "retried") > 0 && number(row, "failed") <= 10, "{row}");
    let slowest = row["backends"][0]["latency"]["max_us"].as_u64();
    assert!(slowest >= Some(9_900_000), "Envoy waits for 10 s before it retries: {row}");
}
