//! `do undo` and `do reset`: the mesh becomes what it was, processes and certificates too.

use localmesh::action::Action;
use localmesh::state::State;
use rustix::process::{Pid, Signal, kill_process};

use super::policies::act;
use super::*;

fn said(mesh: &mut Mesh, word: &str) -> String {
    mesh.act(&[word.to_owned()]).expect(word).expect("a text")
}

/// The state without what requests change, and without the order of processes.
fn lasting(mesh: &Mesh) -> State {
    let mut state = mesh.state();
    for endpoint in state.envoys.iter_mut().flat_map(|envoy| &mut envoy.endpoints) {
        (endpoint.sent, endpoint.failed) = (0, 0);
    }
    state.processes.sort_by(|one, other| one.name.cmp(&other.name));
    state
}

/// One action of each kind of change: processes, pods, endpoints, settings, certificates.
const CHANGES: [&str; 17] = [
    "scale gke1/echo2 2",
    "kill gke1/echo2-2/app",
    "freeze gke1/eastwestgateway",
    "throttle kops/eastwestgateway 50",
    "remote-secret kops gke1 off",
    "outbound-traffic kops registry-only",
    "unready gke1/echo2",
    "locality kops/echo2 us-west1/us-west1-b",
    "scale gke1/echo2 1",
    "split echo2 kops=90,gke1=10",
    "destination-rule gke1 echo2 off",
    "mirror echo2 echo1",
    "breaker echo2 on --max-requests 7",
    "account kops/echo2 other",
    "swap-root gke1 --both-roots",
    "thaw gke1/eastwestgateway",
    "kill gke1",
];

#[test]
fn mesh_undo_takes_changes_back_one_by_one() {
    let mut mesh = two_clusters(block::UNDO);
    let mut before = Vec::new();
    for line in CHANGES {
        before.push(lasting(&mesh));
        act(&mut mesh, line);
        // Certificates are not in the state.
        let unseen = ["account", "swap-root"].iter().any(|action| line.starts_with(action));
        assert_eq!(before.last() == Some(&lasting(&mesh)), unseen, "{line}");
    }
    // Neither what changes nothing nor what is refused can be undone.
    for (line, part) in [
        ("failover echo2 on", "nothing changed: failover needs outlier detection"),
        ("stop gke1/echo2", "nothing changed: the mesh was already"),
        ("kill gke1", "nothing changed: the mesh was already"),
    ] {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let text = mesh.act(&words).expect(line).expect("it is said");
        assert!(text.starts_with(part), "{line}: {text}");
    }
    mesh.act(&["kill".to_owned(), "gke1/echo9".to_owned()]).expect_err("no such pod");
    for (line, before) in CHANGES.iter().zip(before).rev() {
        assert_eq!(said(&mut mesh, "undo"), format!("undone: {line}"));
        assert_eq!(lasting(&mesh), before, "without {line}");
    }
    mesh.act(&["undo".to_owned()]).expect_err("nothing is left");
    for cluster in ["kops", "gke1"] {
        let answers = from_sidecar(&mesh, cluster).ask_times(ENOUGH);
        assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
        assert!(answers.iter().all(|got| got.attempt == 1), "certificates fit: {answers:?}");
    }
}

#[test]
fn mesh_reset_brings_everything_back() {
    let mut mesh = two_clusters(block::RESET);
    let start = lasting(&mesh);
    for line in CHANGES {
        act(&mut mesh, line);
    }
    act(&mut mesh, "start gke1");
    act(&mut mesh, "freeze gke1/echo2");
    act(&mut mesh, "throttle gke1/ingressgateway 90");
    // Somebody else kills a process. Nobody has noticed yet, and maybe it has not even ended.
    let pid = mesh.programs().find(|(program, _)| program.name == "kops/echo1 app");
    let pid = i32::try_from(pid.and_then(|(_, pid)| pid).expect("it runs")).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();

    assert_eq!(said(&mut mesh, "reset"), "the mesh is as it was when it started");
    assert_eq!(lasting(&mesh), start);
    assert!(mesh.programs().all(|(_, pid)| pid.is_some()));
    for cluster in ["kops", "gke1"] {
        let answers = from_sidecar(&mesh, cluster).ask_times(ENOUGH);
        assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
        let answers = from_outside(&mesh, cluster, "echo1").ask_times(4);
        assert_eq!(clusters(&answers), BTreeSet::from([cluster]));
    }
    mesh.act(&["undo".to_owned()]).expect_err("a reset cannot be undone");
    // A mesh that is as it was stays so.
    said(&mut mesh, "reset");
    assert_eq!(lasting(&mesh), start);
}

/// `localmesh do` refuses an interval of 0, so this is what another refusal of Envoy does.
#[test]
fn mesh_undo_takes_back_what_an_envoy_refuses() {
    let mut mesh = two_clusters(block::TAKEN_BACK);
    let start = lasting(&mesh);
    let Ok(Action::Outlier(mut outlier)) = Action::parse_line("outlier echo2 on") else {
        panic!("an action")
    };
    outlier.interval = Some(Duration::ZERO);
    let why = mesh.perform(&Action::Outlier(outlier)).expect_err("Envoy refuses it").to_string();
    assert!(why.contains("refused this change, so it was undone"), "{why}");
    assert!(!why.contains("Proto") && !why.contains(": :"), "{why}");
    assert_eq!(lasting(&mesh), start);
    act(&mut mesh, "split echo2 kops=100");
    let answers = from_sidecar(&mesh, "gke1").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["kops"]));
    assert_eq!(said(&mut mesh, "undo"), "undone: split echo2 kops=100");
}
