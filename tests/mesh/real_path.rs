//! The real path, proved by the Envoys' counters: client's sidecar → the other
//! cluster's east-west gateway, by server name and unopened → server's sidecar.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use super::*;
use crate::harness::finish;

const REQUESTS: &str = "http.inbound_0.0.0.0_8080.downstream_rq_total";
const HANDSHAKES: &str = "listener.0.0.0.0_8080.ssl.handshake";

#[test]
fn mesh_path_leads_through_the_gateway_unopened_into_the_sidecar() {
    let mesh = two_clusters(block::REAL_PATH);
    let count = |envoy: &str, name: &str| mesh.counter(envoy, name).expect("a statistic");
    let bytes = of_gateway("downstream_cx_rx_bytes_total");
    let before = (count("gke1/echo2 sidecar", REQUESTS), count("gke1/eastwestgateway", &bytes));

    let answers = from_sidecar(&mesh, "kops").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
    let remote = answers.iter().filter(|got| got.cluster == "gke1").count() as u64;

    // Every remote answer, and nothing else, went through gke1's sidecar …
    assert_eq!(count("gke1/echo2 sidecar", REQUESTS) - before.0, remote);
    assert!(count("gke1/echo2 sidecar", HANDSHAKES) >= 1);
    // … and its bytes through gke1's gateway, which chose by server name.
    harness::wait_until("the gateway counts its bytes", || {
        (count("gke1/eastwestgateway", &bytes) > before.1 + 100 * remote).then_some(())
    });
    assert!(count("gke1/eastwestgateway", &of_gateway("downstream_cx_total")) >= 1);
    for found in ["tls_found", "sni_found", "alpn_found"] {
        assert!(count("gke1/eastwestgateway", &format!("tls_inspector.{found}")) >= 1, "{found}");
    }
    // The gateway ended no TLS on either side.
    let tls = mesh.counters("gke1/eastwestgateway", r"\.ssl\.").unwrap();
    assert!(tls.values().all(|count| *count == 0), "{tls:?}");

    // The client made mTLS with both and refused no certificate.
    assert!(count("kops/client sidecar", &of_outbound("ssl.handshake")) >= 2);
    let refused = mesh.counters("kops/client sidecar", r"\.ssl\.fail_verify").unwrap();
    assert!(!refused.is_empty() && refused.values().all(|count| *count == 0), "{refused:?}");
    only_known_server_names_pass(&mesh);
    the_access_log_names_both_hops(&mesh);
}

/// What is not TLS, and TLS for another name, find no way in.
fn only_known_server_names_pass(mesh: &Mesh) {
    let refused = "listener.0.0.0.0_15443.no_filter_chain_match";
    let count = || mesh.counter("gke1/eastwestgateway", refused).unwrap();
    let gateway = cluster_of(mesh, "gke1").east_west_gateways().next().unwrap().listens(0);

    let before = count();
    let mut plain = TcpStream::connect(gateway).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: echo2\r\n\r\n").unwrap();
    assert_eq!(plain.read(&mut [0; 16]).unwrap_or(0), 0, "closed without a byte");
    assert_eq!(count(), before + 1);

    let said = finish(
        Command::new("openssl")
            .args(["s_client", "-alpn", "istio", "-servername", "example.org", "-connect"])
            .arg(gateway.to_string()),
    );
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(count(), before + 2);
}

fn the_access_log_names_both_hops(mesh: &Mesh) {
    let gateway = cluster_of(mesh, "gke1").east_west_gateways().next().unwrap();
    let log = mesh.dir().join("kops/client/access.log");
    harness::wait_until("the client's log names the gateway", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains(&format!("to={}", gateway.listens(0))).then_some(())
    });
}

#[test]
fn mesh_path_the_application_learns_who_called_and_under_which_names() {
    let shared = Shared::get();
    for (way, account) in [
        (from_sidecar(&shared.mesh, "kops"), "istio-enabled/sa/client"),
        (from_outside(&shared.mesh, "kops", "echo2"), "istio-system/sa/istio-ingressgateway"),
    ] {
        let reply = harness::wait_until("gke1 answers", || {
            let reply = ask_json(&way);
            (reply.identity.cluster == "gke1").then_some(reply)
        });
        let hop = reply.xfcc.last().expect("the sidecar says who called");
        assert_eq!(hop.uri, [format!("spiffe://cluster.local/ns/{account}")]);
        assert_eq!(hop.by, ["spiffe://cluster.local/ns/istio-enabled/sa/echo2"]);
        assert_eq!(reply.attempt, Some(1));
        assert_eq!(reply.headers["x-forwarded-proto"], ["http"]);
        assert!(reply.url.starts_with(&format!("http://{}/", way.host)), "{}", reply.url);
    }
}

fn ask_json(way: &Way) -> echo_reply::Reply {
    let said = finish(
        Command::new("curl")
            .args(["--silent", "--noproxy", "*", "-H", "accept: application/json", "-H"])
            .arg(format!("host: {}", way.host))
            .arg(format!("http://{}{}", way.to, way.path)),
    );
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

#[test]
fn mesh_path_strict_sidecars_want_a_certificate() {
    let mut shape = Shape::two_clusters();
    shape.services[1].mtls = localmesh::topology::Mtls::Strict;
    let mesh = start(block::STRICT, shape);
    // The mesh itself has them.
    let answers = from_outside(&mesh, "kops", "echo2").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));

    let way = straight(&mesh, "gke1", 1);
    let error = try_ask(way.to, &way.host, &way.path).expect_err("plaintext is cut off");
    assert!(!error.is_timeout(), "{error:?}");

    let none = "listener.0.0.0.0_8080.ssl.fail_verify_no_cert";
    let before = mesh.counter("gke1/echo2 sidecar", none).unwrap();
    finish(
        Command::new("openssl")
            // Whatever it speaks: a strict sidecar takes all TLS for the mesh's.
            .args(["s_client", "-alpn", "http/1.1", "-connect"])
            .arg(way.to.to_string()),
    );
    harness::wait_until("TLS without a certificate is refused", || {
        (mesh.counter("gke1/echo2 sidecar", none).unwrap() == before + 1).then_some(())
    });
}

#[test]
fn mesh_path_a_remote_gateway_gets_the_share_of_the_pods_behind_it() {
    let mut shape = Shape::two_clusters();
    shape.clusters[1].replicas = vec![1, 3];
    let mesh = start(block::REPLICAS, shape);
    let answers = from_sidecar(&mesh, "kops").ask_times(ENOUGH);
    assert_eq!(clusters(&answers), exactly(["gke1", "kops"]));
    // Weights 1:3, one request after the other: periodic, not by chance.
    let remote = answers.iter().filter(|got| got.cluster == "gke1").count();
    assert!((29..=31).contains(&remote), "{remote} of {ENOUGH} are not three quarters");
}
