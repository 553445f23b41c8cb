//! Verdicts on real Envoy: routes with known weights, and a gateway that pins connections. Each
//! time what is true passes, and what is not is refused, both by sampling until it is decided.

use localmesh::Mesh;
use localmesh::action::{Action, Weights};
use serde_json::Value;

use super::{block, from_sidecar, two_clusters};
use crate::prober::probing::row;

/// Asks as a pod with a sidecar in kops does; the verdicts in the order of `expectations`,
/// and the row.
fn verdicts(mesh: &Mesh, load: &[&str], expectations: &[&str]) -> (Vec<String>, Value) {
    let to = format!("::{}", from_sidecar(mesh, "kops").to);
    let mut words = vec!["--target", "echo2:8080", "--connect-to", &to];
    words.extend(load);
    words.extend(expectations.iter().flat_map(|expectation| ["-e", expectation]));
    let (code, row) = row(&words);
    let judged = row["expectations"].as_array().expect("verdicts");
    let word = |judged: &Value| judged["verdict"].as_str().expect("a word").to_owned();
    let words: Vec<_> = judged.iter().map(word).collect();
    let worst = match () {
        () if words.iter().any(|word| word == "fail") => 1,
        () if words.iter().any(|word| word == "inconclusive") => 3,
        () => 0,
    };
    assert_eq!(code, worst, "{row}");
    assert_eq!((&judged[0]["expectation"], words[0].as_str()), (&"errors = 0".into(), "pass"));
    (words[1..].to_vec(), row)
}

#[test]
fn mesh_verdicts_of_weighted_routes_are_the_true_ones() {
    let mut mesh = two_clusters(block::VERDICTS);
    let even = "balanced kops,gke1 ± 10%";
    let seventy = "shares kops=70%,gke1=30% ± 10%";
    let ninety = "shares kops=90%,gke1=10% ± 5%";
    for (kops, truths) in [
        (50, ["pass", "fail", "fail"]),
        (70, ["fail", "pass", "fail"]),
        (90, ["fail", "fail", "pass"]),
    ] {
        let weights = Weights(vec![("kops".into(), kops), ("gke1".into(), 100 - kops)]);
        let split = Action::Split { service: "echo2".into(), weights };
        mesh.perform(&split).expect("the Envoys take it");
        let (said, row) = verdicts(&mesh, &[], &[even, seventy, ninety, "exactly kops,gke1"]);
        assert_eq!(said[..3], truths, "{kops} to {}: {row}", 100 - kops);
        assert_eq!((said[3].as_str(), &row["stopped"]), ("pass", &"decided".into()), "{row}");
    }
}

/// What people ask first, at the default tolerance of the documents; how fast is measured by
/// `bench/engine.py`.
#[test]
fn mesh_verdicts_of_an_even_mesh_are_decided_within_the_default_limit() {
    let mesh = two_clusters(block::EVEN);
    // One at a time: of several, LEAST_REQUEST prefers whoever answers faster.
    let (said, row) = verdicts(&mesh, &["-c", "1"], &["balanced ± 5%"]);
    assert_eq!((said[0].as_str(), &row["stopped"]), ("pass", &"decided".into()), "{row}");
    let requests = row["requests"].as_u64().expect("a number");
    assert!((600..10_000).contains(&requests), "{row}");
}

/// Two pods stand behind the gateway of gke1, which balances connections. Of requests one
/// after the other, the client's Envoy puts all remote ones on one connection: one of the two
/// pods idles, and a verdict must not call that balanced, though both clusters answer.
#[test]
fn mesh_verdicts_see_the_pod_that_a_pinned_gateway_starves() {
    let mut mesh = two_clusters(block::PINNED);
    let scale = Action::Scale { workload: "gke1/echo2".into(), replicas: 2 };
    mesh.perform(&scale).expect("the Envoys take it");
    let balanced = "balanced echo2-kops-1,echo2-gke1-1,echo2-gke1-2 by pod ± 20%";
    let all = "reaches echo2-kops-1,echo2-gke1-1,echo2-gke1-2 by pod";
    let (said, row) = verdicts(&mesh, &["-c", "1"], &[balanced, all, "exactly kops,gke1"]);
    assert_eq!(said, ["fail", "fail", "pass"], "{row}");
    // With many requests at once there are many connections, and all pods are reached.
    let (said, row) = verdicts(&mesh, &["-c", "32"], &[all, "exactly kops,gke1"]);
    assert_eq!(said, ["pass", "pass"], "{row}");
}
