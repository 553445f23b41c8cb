//! `certs generate`: roots and intermediates, and a folder that is changed or left alone.

use std::fs;

use super::{Room, mode};

#[test]
fn by_default_the_fields_are_those_of_istios_own_tool() {
    let room = Room::new();
    room.certs(&["generate", "--out", "out", "--cluster", "kops", "--cluster", "gke1"]).done();
    for cluster in ["kops", "gke1"] {
        room.openssl(&format!(
            "verify -x509_strict -CAfile out/root-cert.pem out/{cluster}/ca-cert.pem"
        ))
        .done();
        let text = room.openssl(&format!("x509 -in out/{cluster}/ca-cert.pem -noout -text")).done();
        for part in [
            "Issuer: O = Istio, CN = Root CA\n",
            &format!("Subject: O = Istio, CN = Intermediate CA, L = {cluster}\n"),
            "CA:TRUE, pathlen:0",
            "DNS:istiod.istio-system.svc",
        ] {
            assert!(spaced(&text).contains(&spaced(part)), "{part:?} is missing:\n{text}");
        }
        fields_of_an_authority(&text);
    }
    let text = room.openssl("x509 -in out/root-cert.pem -noout -text").done();
    assert!(spaced(&text).contains(&spaced("Subject: O = Istio, CN = Root CA\n")), "{text}");
    assert!(!text.contains("pathlen"), "{text}");
    assert!(text.contains("CA:TRUE"), "{text}");
    fields_of_an_authority(&text);
}

/// OpenSSL 3 prints `O = Istio`, later ones `O=Istio`.
fn spaced(text: &str) -> String {
    text.replace(" = ", "=")
}

#[track_caller]
fn fields_of_an_authority(text: &str) {
    for part in [
        "Signature Algorithm: sha256WithRSAEncryption",
        "Public-Key: (4096 bit)",
        "X509v3 Basic Constraints: critical",
        "X509v3 Key Usage: critical",
        "Digital Signature, Non Repudiation, Key Encipherment, Certificate Sign\n",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

#[test]
fn authorities_last_ten_years_and_their_serials_differ() {
    let room = Room::with(&["kops", "gke1"]);
    let mut serials = Vec::new();
    for file in ["out/root-cert.pem", "out/kops/ca-cert.pem", "out/gke1/ca-cert.pem"] {
        let (almost, over) = (3649 * 86_400, 3651 * 86_400);
        room.openssl(&format!("x509 -in {file} -noout -checkend {almost}")).done();
        assert_eq!(room.openssl(&format!("x509 -in {file} -noout -checkend {over}")).code, 1);
        serials.push(room.openssl(&format!("x509 -in {file} -noout -serial")).done());
    }
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 3, "{serials:?}");
}

#[test]
fn each_cluster_has_the_four_files_of_the_secret_and_keys_are_private() {
    let room = Room::with(&["kops"]);
    let out = room.path("out");
    let names: Vec<_> = room
        .contents()
        .keys()
        .map(|path| path.strip_prefix(&out).expect("below").display().to_string())
        .collect();
    let expected = [
        "kops/ca-cert.pem",
        "kops/ca-key.pem",
        "kops/cert-chain.pem",
        "kops/root-cert.pem",
        "root-cert.pem",
        "root-key.pem",
    ];
    assert_eq!(names, expected);
    assert_eq!(fs::read_dir(&out).expect("a folder").count(), 3, "nothing hidden is left");
    let text = |name: &str| fs::read_to_string(out.join(name)).expect("text");
    assert_eq!(text("kops/root-cert.pem"), text("root-cert.pem"));
    assert_eq!(
        text("kops/cert-chain.pem"),
        format!("{}{}", text("kops/ca-cert.pem"), text("root-cert.pem"))
    );
    assert_eq!(mode(&out), 0o700);
    assert_eq!(mode(&out.join("kops")), 0o700);
    assert_eq!(mode(&out.join("root-key.pem")), 0o600);
    assert_eq!(mode(&out.join("kops/ca-key.pem")), 0o600);
}

#[test]
fn a_second_run_changes_nothing_and_says_so() {
    let room = Room::with(&["kops", "gke1"]);
    let before = room.contents();
    let said = room.generate(&["kops", "gke1"], &[]).done();
    assert_eq!(room.contents(), before);
    assert!(said.contains("kept      out/root-cert.pem"), "{said}");
    assert!(said.contains("kept      out/gke1"), "{said}");
    assert!(!said.contains("made"), "{said}");
}

#[test]
fn a_cluster_can_be_added_under_the_same_root() {
    let room = Room::with(&["kops"]);
    let before = room.contents();
    let said = room.generate(&["kops", "gke1"], &[]).done();
    let after = room.contents();
    assert!(before.iter().all(|(path, file)| after.get(path) == Some(file)), "all is kept");
    assert_eq!(after.len(), before.len() + 4);
    assert!(said.contains("kept      out/kops") && said.contains("made      out/gke1"), "{said}");
    room.openssl("verify -CAfile out/root-cert.pem out/gke1/ca-cert.pem").done();
    // The others need not be named again.
    room.generate(&["third"], &[]).done();
    room.openssl("verify -CAfile out/kops/root-cert.pem out/third/ca-cert.pem").done();
}

#[test]
fn the_roots_key_is_needed_only_to_add_a_cluster() {
    let room = Room::with(&["kops"]);
    room.remove("out/root-key.pem");
    room.generate(&["kops"], &[]).done();
    room.refuses(|| room.generate(&["gke1"], &[]), &["out/root-key.pem is missing", "--force"]);
}

#[test]
fn force_starts_anew_but_leaves_no_cluster_behind() {
    let room = Room::with(&["kops", "gke1"]);
    let before = room.contents();
    room.refuses(
        || room.generate(&["kops"], &["--force"]),
        &["out/gke1", "would keep the old root", "--cluster gke1"],
    );
    let said = room.generate(&["kops", "gke1", "third"], &["--force"]).done();
    assert!(said.contains("replaced  out/kops") && said.contains("made      out/third"), "{said}");
    let after = room.contents();
    assert!(before.iter().all(|(path, file)| after[path] != *file), "all is new");
    room.openssl("verify -CAfile out/root-cert.pem out/gke1/ca-cert.pem").done();
}

#[test]
fn two_runs_at_once_agree_on_one_root() {
    let room = Room::new();
    std::thread::scope(|scope| {
        for cluster in ["kops", "gke1", "third"] {
            let room = &room;
            scope.spawn(move || room.generate(&[cluster], &[]).done());
        }
    });
    let shown = room.certs(&["show", "out"]).done();
    assert!(shown.ends_with("one root\n"), "{shown}");
    assert_eq!(room.contents().len(), 2 + 3 * 4);
}
