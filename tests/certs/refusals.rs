//! Folders that `certs` refuses, and changes nothing in.

use std::fs;

use super::{ID, Room};

/// What is wrong, how it is brought about, what the error says.
type Damage = (&'static str, fn(&Room), &'static [&'static str]);

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let damage: [Damage; 9] = [
        (
            "the key of another cluster",
            |room| room.copy("out/gke1/ca-key.pem", "out/kops/ca-key.pem"),
            &["out/kops/ca-key.pem is not the key of out/kops/ca-cert.pem"],
        ),
        (
            "a key that is none",
            |room| room.write("out/kops/ca-key.pem", "nonsense"),
            &["out/kops/ca-key.pem does not contain a usable PEM private key"],
        ),
        (
            "no key",
            |room| room.remove("out/kops/ca-key.pem"),
            &["cannot read out/kops/ca-key.pem: No such file"],
        ),
        (
            "a certificate that is none",
            |room| room.write("out/kops/ca-cert.pem", "nonsense"),
            &["out/kops/ca-cert.pem does not contain a PEM certificate"],
        ),
        (
            "a key for a certificate",
            |room| room.copy("out/kops/ca-key.pem", "out/kops/ca-cert.pem"),
            &["out/kops/ca-cert.pem does not contain a PEM certificate"],
        ),
        (
            "a damaged certificate",
            |room| {
                room.write(
                    "out/kops/ca-cert.pem",
                    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                );
            },
            &["out/kops/ca-cert.pem is not a valid certificate"],
        ),
        (
            "the chain of another cluster",
            |room| room.copy("out/gke1/cert-chain.pem", "out/kops/cert-chain.pem"),
            &["out/kops/cert-chain.pem does not start with", "out/kops/ca-cert.pem"],
        ),
        (
            "a chain without the root, and another root",
            |room| {
                room.copy("out/kops/ca-cert.pem", "out/kops/cert-chain.pem");
                room.copy("other-root.pem", "out/kops/root-cert.pem");
            },
            &["out/kops/ca-cert.pem", "was not signed by", "out/kops/root-cert.pem"],
        ),
        (
            "another root",
            |room| room.copy("other-root.pem", "out/kops/root-cert.pem"),
            &["out/kops/root-cert.pem differs from out/kops/cert-chain.pem"],
        ),
    ];
    let other = Room::with(&["kops"]);
    for (what, damage, parts) in damage {
        println!("{what}");
        let room = Room::with(&["kops", "gke1"]);
        fs::copy(other.path("out/root-cert.pem"), room.path("other-root.pem")).expect("copies");
        damage(&room);
        room.refuses(|| room.generate(&["kops", "gke1", "third"], &[]), parts);
        room.refuses(|| room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]), parts);
        assert!(!room.path("me").exists(), "nothing was made");
    }
}

#[test]
fn a_root_that_does_not_fit_is_refused() {
    let room = Room::with(&["kops"]);
    let other = Room::with(&["kops"]);
    let swap = |name: &str| {
        fs::copy(other.path(name), room.path(name)).expect("copies");
    };
    swap("out/root-key.pem");
    room.refuses(
        || room.generate(&["kops", "gke1"], &[]),
        &["out/root-key.pem is not the key of out/root-cert.pem"],
    );
    swap("out/root-cert.pem");
    room.refuses(
        || room.generate(&["kops"], &[]),
        &["out/kops/root-cert.pem differs from out/root-cert.pem", "do not trust each other"],
    );
    room.copy("out/kops/ca-cert.pem", "out/root-cert.pem");
    room.refuses(
        || room.generate(&["kops"], &[]),
        &["out/root-cert.pem is not a root", "signed by O=Istio, CN=Root CA"],
    );
    room.remove("out/root-cert.pem");
    room.refuses(|| room.generate(&["kops"], &[]), &["out/root-cert.pem is missing", "--force"]);
    room.remove("out/root-key.pem");
    room.refuses(|| room.generate(&["gke1"], &[]), &["out/kops exists already", "--force"]);
    room.refuses(
        || room.workload(&["--ca", "out", "--out", "me", "--id", ID]),
        &["cannot read out/ca-cert.pem"],
    );
}

#[test]
fn certificates_of_the_plain_openssl_form_are_read() {
    // A PKCS #1 key and a chain without the root, as older tools leave them.
    let room = Room::new();
    let args = ["generate", "--out", "out", "--cluster", "kops", "--key", "rsa2048"];
    room.certs(&args).done();
    room.openssl("rsa -traditional -in out/kops/ca-key.pem -out out/kops/new-key.pem").done();
    fs::rename(room.path("out/kops/new-key.pem"), room.path("out/kops/ca-key.pem")).expect("moves");
    room.copy("out/kops/ca-cert.pem", "out/kops/cert-chain.pem");
    room.workload(&["--ca", "out/kops", "--out", "me", "--id", ID]).done();
    room.openssl("verify -CAfile me/root-cert.pem -untrusted me/cert-chain.pem me/cert-chain.pem")
        .done();
}

#[test]
fn an_expired_root_is_refused() {
    let room = Room::with(&["kops"]);
    room.write("serial", "01\n");
    room.write("index", "");
    room.write(
        "ca.conf",
        "[ca]\ndefault_ca = own\n\
         [own]\ndatabase = index\nserial = serial\nnew_certs_dir = .\ndefault_md = sha256\n\
         policy = any\nx509_extensions = root\n\
         [any]\ncommonName = supplied\n\
         [root]\nbasicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign\n\
         [req]\ndistinguished_name = empty\n[empty]\n",
    );
    room.openssl("req -new -config ca.conf -key out/root-key.pem -subj /CN=old -out old.csr")
        .done();
    room.openssl(
        "ca -batch -config ca.conf -selfsign -keyfile out/root-key.pem -in old.csr -notext \
         -startdate 20200101000000Z -enddate 20210101000000Z -out out/root-cert.pem",
    )
    .done();
    room.refuses(
        || room.generate(&["kops", "gke1"], &[]),
        &["out/root-cert.pem expired at 2021-01-01 00:00:00 UTC"],
    );
    assert!(room.certs(&["show", "out/root-cert.pem"]).done().contains("EXPIRED"));
    room.generate(&["kops"], &["--force"]).done();
}

#[test]
fn a_folder_that_cannot_be_written_or_read_is_one_line() {
    let room = Room::with(&["kops"]);
    room.write("file", "");
    room.certs(&["generate", "--out", "file", "--cluster", "kops"]).refused(&["cannot write file"]);
    room.certs(&["generate", "--out", "file/below", "--cluster", "kops"])
        .refused(&["cannot write file/below: Not a directory"]);
    room.certs(&["generate", "--out", "/proc/certs", "--cluster", "kops"])
        .refused(&["cannot write /proc/certs"]);
    room.workload(&["--ca", "out/kops", "--out", "file", "--id", ID])
        .refused(&["cannot write file"]);
    room.workload(&["--ca", "absent", "--out", "me", "--id", ID])
        .refused(&["cannot read absent/ca-cert.pem: No such file"]);
    room.certs(&["show", "absent"]).refused(&["cannot read absent: No such file"]);
    room.certs(&["show", "file"]).refused(&["file does not contain a PEM certificate"]);
    room.certs(&["show", "out/root-key.pem"])
        .refused(&["out/root-key.pem does not contain a PEM certificate"]);
    fs::create_dir(room.path("empty")).expect("makes");
    room.certs(&["show", "empty"]).refused(&["empty does not contain a PEM certificate"]);
}
