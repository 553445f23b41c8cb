//! Roots that differ: the fault that people meet first and see last.

use localmesh::Trust;

use super::faults::assert_hidden;
use super::*;

#[test]
fn mesh_trust_a_root_that_the_client_does_not_know_is_silent() {
    let mut mesh = two_clusters(block::ROOT_SWAPPED);
    mesh.swap_root("gke1", Trust::NewRoot).unwrap();
    for cluster in ["kops", "gke1"] {
        assert_hidden(&from_sidecar(&mesh, cluster).ask_times(ENOUGH), cluster);
        // Only the counter tells.
        let refused = of_outbound("ssl.fail_verify_error");
        assert!(mesh.counter(&format!("{cluster}/client sidecar"), &refused).unwrap() >= 1);
    }
}

#[test]
fn mesh_trust_a_root_that_only_the_server_does_not_know_is_a_503() {
    let mut mesh = two_clusters(block::ROOT_HALF_SWAPPED);
    mesh.swap_root("gke1", Trust::BothRoots).unwrap();
    // gke1's clients accept kops' servers, which refuse them.
    let answers = from_sidecar(&mesh, "gke1").ask_times(60);
    let failed = answers.iter().filter(|got| got.status == 503).count();
    // 60 coin flips leave 10..=50 with a probability below 1e-7.
    assert!((10..=50).contains(&failed), "{failed} of 60 failed");
    for got in answers.iter().filter(|got| got.status == 200) {
        assert_eq!((got.cluster.as_str(), got.attempt), ("gke1", 1), "{got:?}");
    }
    let log = mesh.dir().join("gke1/client/access.log");
    harness::wait_until("Envoy says that the server ended the connection", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains(" 503 UC ").then_some(())
    });
    let refused = "listener.0.0.0.0_8080.ssl.fail_verify_error";
    assert!(mesh.counter("kops/echo2 sidecar", refused).unwrap() >= 1);
    // kops' clients refuse gke1's servers: silent again.
    assert_hidden(&from_sidecar(&mesh, "kops").ask_times(ENOUGH), "kops");
}

#[test]
fn mesh_trust_renewed_certificates_come_into_force_without_a_pause() {
    let mesh = two_clusters(block::RENEWED);
    let taken = "listener.0.0.0.0_8080.server_ssl_socket_factory.ssl_context_update_by_sds";
    let before = mesh.counter("gke1/echo2 sidecar", taken).unwrap();
    mesh.renew_certificates().unwrap();
    harness::wait_until("the sidecar takes its new certificate", || {
        (mesh.counter("gke1/echo2 sidecar", taken).unwrap() > before).then_some(())
    });
    let answers = from_sidecar(&mesh, "kops").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
}
