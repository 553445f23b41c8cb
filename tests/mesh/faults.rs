//! Faults that Istio's defaults hide or show: what clients of the other
//! cluster get. Each is a row of the table that the project rests on.

use super::*;

#[test]
fn mesh_fault_remote_app_dead_behind_its_sidecar_fails_about_half() {
    let mut mesh = two_clusters(block::APP_DEAD);
    mesh.kill_process("gke1/echo2 app").unwrap();

    let answers = from_sidecar(&mesh, "kops").ask_times(60);
    let (failed, answered): (Vec<_>, Vec<_>) = answers.iter().partition(|got| got.status != 200);
    // 60 coin flips leave 10..=50 with a probability below 1e-7.
    assert!((10..=50).contains(&failed.len()), "{} of 60 failed", failed.len());
    for got in failed {
        assert_eq!(got.status, 503, "{got:?}");
        assert!(got.body.contains("upstream connect error"), "Envoy's own words: {got:?}");
    }
    assert!(answered.iter().all(|got| got.cluster == "kops" && got.attempt == 1));

    mesh.start_process("gke1/echo2 app").unwrap();
    let answers = from_sidecar(&mesh, "kops").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
}

#[test]
fn mesh_fault_remote_pod_dead_is_hidden_by_a_retry() {
    let mut mesh = two_clusters(block::POD_DEAD);
    mesh.kill_pod("gke1/echo2").unwrap();
    for way in [from_sidecar(&mesh, "kops"), from_outside(&mesh, "gke1", "echo2")] {
        assert_hidden(&way.ask_times(ENOUGH), "kops");
    }
}

#[test]
fn mesh_fault_east_west_gateway_stopped_is_hidden_and_all_stays_local() {
    let mut mesh = two_clusters(block::GATEWAY_STOPPED);
    mesh.stop_process("gke1/eastwestgateway").unwrap();
    assert_hidden(&from_sidecar(&mesh, "kops").ask_times(ENOUGH), "kops");
    // The other direction has its own gateway.
    let answers = from_sidecar(&mesh, "gke1").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));

    mesh.start_process("gke1/eastwestgateway").unwrap();
    let answers = from_sidecar(&mesh, "kops").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
    assert!(answers.iter().all(|got| got.attempt == 1));
}

/// Every answer came from `cluster`: some at the first attempt, others retried.
///
/// Retries draw lots too: each draws up to six times to avoid the endpoint that
/// has failed, so one in 2⁶ meets it again, and a request whose first attempt
/// and both retries do is a 503: 2⁻¹³ ≈ 1.2e-4 of all. Of [`ENOUGH`] requests
/// more than two fail with a probability below 2e-8; that no first attempt, or
/// every one, meets the fault has one of 2e-12.
#[track_caller]
pub(super) fn assert_hidden(answers: &[Got], cluster: &str) {
    let (answered, failed): (Vec<_>, Vec<_>) = answers.iter().partition(|got| got.status == 200);
    assert!(failed.len() <= 2 && failed.iter().all(|got| got.status == 503), "{failed:?}");
    assert!(answered.iter().all(|got| got.cluster == cluster), "{answered:?}");
    let attempts: BTreeSet<_> = answered.iter().map(|got| got.attempt).collect();
    assert!(attempts.contains(&1) && attempts.contains(&2), "{attempts:?}");
    assert!(attempts.is_subset(&BTreeSet::from([1, 2, 3])), "{attempts:?}");
}
