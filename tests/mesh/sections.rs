//! The eight sections of the original `echo-status`: who must answer whom.

use super::*;

#[test]
fn mesh_sections_without_a_sidecar_stay_in_their_cluster() {
    let shared = Shared::get();
    let mesh = &shared.mesh;
    assert_eq!(clusters(&straight(mesh, "kops", 0).ask_times(ENOUGH)), exactly(["kops"]));
    assert_eq!(clusters(&straight(mesh, "gke1", 0).ask_times(ENOUGH)), exactly(["gke1"]));
}

#[test]
fn mesh_sections_with_a_sidecar_reach_both_clusters() {
    let shared = Shared::get();
    for cluster in ["kops", "gke1"] {
        let answers = from_sidecar(&shared.mesh, cluster).ask_times(ENOUGH);
        assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
        assert!(answers.iter().all(|got| got.attempt == 1), "nothing was retried");
    }
}

#[test]
fn mesh_sections_from_outside_echo1_stays_and_echo2_is_shared() {
    let shared = Shared::get();
    let mesh = &shared.mesh;
    for (cluster, name) in [("kops", "istio1.xiaowenx.com"), ("gke1", "istio2.xiaowenx.com")] {
        let echo1 = from_outside(mesh, cluster, "echo1");
        assert_eq!(echo1.host, name);
        let own = echo1.ask_times(ENOUGH);
        assert!(clusters(&own).into_iter().eq([cluster]), "{own:?}");
        let url = format!("[URL: http://{name}/echo1] on [pod: echo1-{cluster}-1]");
        assert!(own[0].body.starts_with(&url), "{own:?}");
        let shared = from_outside(mesh, cluster, "echo2").ask_times(ENOUGH);
        assert_eq!(clusters(&shared), exactly(["gke1", "kops"]));
    }
}

#[test]
fn mesh_sections_the_ingress_takes_its_name_with_a_port_and_no_other_name() {
    let shared = Shared::get();
    let mut way = from_outside(&shared.mesh, "kops", "echo1");
    way.host = "istio1.xiaowenx.com:80".into();
    assert_eq!(way.ask().status, 200);
    way.host = "istio2.xiaowenx.com".into();
    assert_eq!(way.ask().status, 404);
    way.host = "istio1.xiaowenx.com".into();
    way.path = "/hello".into();
    assert_eq!(way.ask().status, 404);
}

#[test]
fn mesh_sections_permissive_sidecars_take_plaintext_too() {
    let shared = Shared::get();
    let answers = straight(&shared.mesh, "gke1", 1).ask_times(3);
    assert_eq!(clusters(&answers), exactly(["gke1"]));
    assert_eq!(answers[0].attempt, 0, "no Envoy of a client was on the way");
}
