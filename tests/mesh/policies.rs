//! Routes and traffic policies on a real Envoy: which hosts a sidecar answers, and what
//! `balancer ringhash`, `breaker` and `mirror` do to requests.

use super::*;

#[test]
fn mesh_policy_a_sidecar_answers_the_hosts_that_it_answers_in_istio() {
    let shared = Shared::get();
    let full = "echo2.istio-enabled.svc.cluster.local";
    let absolute = format!("{full}.");
    let names = ["echo2", "echo2.istio-enabled", "echo2.istio-enabled.svc", full, &absolute];
    for cluster in ["kops", "gke1"] {
        let way = from_sidecar(&shared.mesh, cluster);
        let status = |host: String| try_ask(way.to, &host, "/").expect("a response").status;
        for name in names {
            for host in [name.to_owned(), format!("{name}:8080"), name.to_uppercase()] {
                assert_eq!(status(host.clone()), 200, "{host} from {cluster}");
            }
        }
        // istiod gives the dot to the full name only.
        for host in ["echo2.", "echo2.istio-enabled.", "echo2.istio-enabled.svc.", "echo2.."] {
            assert_eq!(status(host.to_owned()), 404, "{host} from {cluster}");
        }
        assert_eq!(status(format!("{absolute}.")), 404, "two dots");
    }
}
