//! `certs show`, help and completions, and wrong usage as one line.

use std::path::Path;

use super::{ID, Room};
use crate::harness::run;

#[test]
fn show_tells_whether_roots_agree() {
    let room = Room::with(&["kops", "gke1"]);
    let shown = room.certs(&["show", "out"]).done();
    let fingerprint = room.openssl("x509 -in out/root-cert.pem -noout -fingerprint -sha256").done();
    let fingerprint = fingerprint.trim_end().split_once('=').expect("name=value").1;
    for part in [
        "out/root-cert.pem\nout/gke1/cert-chain.pem (2)\nout/gke1/root-cert.pem\n",
        fingerprint,
        "subject   O=Istio, CN=Intermediate CA, L=kops\n",
        "issuer    O=Istio, CN=Root CA (that of out/root-cert.pem)\n",
        "days left)",
        "names     DNS:istiod.istio-system.svc\n",
        "one root\n",
    ] {
        assert!(shown.contains(part), "{part:?} is missing:\n{shown}");
    }
    assert!(!shown.contains("KEY"), "no private key: {shown}");

    let other = Room::with(&["kops"]);
    let (own, foreign) = (room.path("out/root-cert.pem"), other.path("out/root-cert.pem"));
    let shown = run("certs", [Path::new("show"), &own, &foreign]).done();
    assert!(shown.contains("2 different roots"), "{shown}");
}

#[test]
fn help_version_and_completions_are_printed() {
    for args in [&["--help"][..], &["generate", "--help"], &["workload", "--help"]] {
        let help = run("certs", args).done();
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    }
    assert!(run("certs", ["--version"]).done().starts_with("certs "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(run("certs", ["completions", shell]).done().contains("generate"));
    }
}

#[test]
fn wrong_usage_is_one_line() {
    let room = Room::new();
    let refused = |args: &[&str], parts: &[&str]| room.certs(args).refused(parts);
    refused(&["generate", "--out", "out"], &["--cluster <NAME>"]);
    refused(&["generate", "--cluster", "kops"], &["--out <DIR>"]);
    refused(&["generate", "--out", "out", "--cluster", "a", "--key", "dsa"], &["rsa4096"]);
    refused(&["genrate", "--out", "out"], &["genrate", "'generate'"]);
    refused(&["show"], &["<FILE|DIR>"]);
    refused(&["workload", "--ca", "a", "--out", "b"], &["--namespace", "--service-account"]);
    refused(
        &["workload", "--ca", "a", "--out", "b", "--id", ID, "--namespace", "c"],
        &["--id", "--namespace", "cannot be used with"],
    );
    for (name, part) in [
        ("", "is empty"),
        ("a/b", "DNS label"),
        ("..", "DNS label"),
        ("Kops", "DNS label"),
        ("gke_1", "DNS label"),
        ("a-", "DNS label"),
        (&"a".repeat(64), "63 characters"),
    ] {
        room.generate(&["kops", name], &[]).refused(&["cluster name", part]);
    }
    room.generate(&["kops", "gke1", "kops"], &[]).refused(&["kops is given twice"]);
    assert!(!room.path("out").exists(), "nothing was made");
}

#[test]
fn a_bad_id_or_validity_is_one_line() {
    let room = Room::with(&["kops"]);
    let ask = |more: &[&str]| room.workload(&[&["--ca", "out/kops", "--out", "me"], more].concat());
    for (id, part) in [
        ("", "does not start with spiffe://"),
        ("https://cluster.local/ns/a/sa/b", "does not start with spiffe://"),
        ("spiffe://cluster.local/a", "is not of the form"),
        ("spiffe://cluster.local/ns/a b/sa/c", "in its namespace"),
        ("spiffe:///ns/a/sa/b", "empty trust domain"),
        ("spiffe://cluster.local/ns/a/sa/b\nc", "in its service account"),
    ] {
        ask(&["--id", id]).refused(&["SPIFFE id", part]);
    }
    ask(&["--namespace", "", "--service-account", "b"]).refused(&["empty namespace"]);
    ask(&["--namespace", "a", "--service-account", "b", "--trust-domain", "A"])
        .refused(&["trust domain"]);
    for (validity, part) in
        [("24y", "'y' is not a unit of time"), ("0h", "from 1s"), ("200000d", "to 36500d")]
    {
        ask(&["--id", ID, "--validity", validity]).refused(&["validity", part]);
    }
    assert!(!room.path("me").exists(), "nothing was made");
}
