//! `certs workload`: the certificate of a pod, made and renewed.

use std::fs;

use super::{ID, Room, mode};

#[test]
fn a_workload_certificate_is_its_spiffe_id() {
    let room = Room::with(&["kops"]);
    let said = room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]).done();
    assert!(said.contains(ID), "{said}");
    room.openssl(
        "verify -x509_strict -CAfile me/root-cert.pem -untrusted me/cert-chain.pem me/cert-chain.pem",
    )
    .done();
    for purpose in ["sslserver", "sslclient"] {
        room.openssl(&format!(
            "verify -purpose {purpose} -CAfile out/root-cert.pem -untrusted out/kops/ca-cert.pem \
             me/cert-chain.pem"
        ))
        .done();
    }
    let text = room.openssl("x509 -in me/cert-chain.pem -noout -text").done();
    for part in [
        &format!("X509v3 Subject Alternative Name: critical\n                URI:{ID}\n"),
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    let check = |seconds: u32| {
        room.openssl(&format!("x509 -in me/cert-chain.pem -noout -checkend {seconds}")).code
    };
    assert_eq!((check(86_300), check(86_500)), (0, 1), "it lasts a day");
    let own = room.openssl("x509 -in me/cert-chain.pem -noout -pubkey").done();
    assert_eq!(room.openssl("pkey -in me/key.pem -pubout").done(), own);
    let chain = fs::read_to_string(room.path("me/cert-chain.pem")).expect("text");
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "leaf and intermediate");
    assert_eq!(mode(&room.path("me/key.pem")), 0o600);
    assert_eq!(mode(&room.path("me")), 0o700);
}

#[test]
fn a_workload_certificate_is_renewed_but_never_anothers() {
    let room = Room::with(&["kops"]);
    let parts = ["--ca", "out/kops", "--out", "me", "--namespace", "istio-enabled"];
    let ask = |account: &str| {
        room.workload(&[&parts[..], &["--service-account", account, "--validity", "1h"]].concat())
    };
    ask("echo2").done();
    let first = fs::read(room.path("me/cert-chain.pem")).expect("reads");
    ask("echo2").done();
    let second = fs::read(room.path("me/cert-chain.pem")).expect("reads");
    assert_ne!(first, second);
    ask("echo1").refused(&["me/cert-chain.pem", "does not belong to", "sa/echo1"]);
    assert_eq!(fs::read(room.path("me/cert-chain.pem")).expect("reads"), second);

    room.refuses(
        || room.workload(&["--ca", "out/kops", "--out", "out/kops", "--id", ID]),
        &["out/kops/ca-cert.pem", "belongs to a CA"],
    );
    fs::create_dir(room.path("other")).expect("makes");
    room.write("other/key.pem", "mine");
    room.workload(&["--ca", "out/kops", "--out", "other", "--id", ID]).refused(&["other/key.pem"]);
}
