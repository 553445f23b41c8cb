//! `certs` as people use it, with openssl as the second opinion.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::{Said, finish, run};

const ID: &str = "spiffe://cluster.local/ns/istio-enabled/sa/echo2";

/// A folder for one test.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A room whose `out` holds clusters with quickly made keys.
    fn with(clusters: &[&str]) -> Self {
        let room = Self::new();
        room.generate(clusters, &[]).done();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn certs(&self, args: &[&str]) -> Said {
        let mut command = crate::harness::command("certs");
        finish(command.current_dir(self.0.path()).args(args))
    }

    fn generate(&self, clusters: &[&str], more: &[&str]) -> Said {
        let mut args = vec!["generate", "--out", "out", "--key", "ecdsa-p256"];
        clusters.iter().for_each(|cluster| args.extend(["--cluster", cluster]));
        args.extend(more);
        self.certs(&args)
    }

    fn workload(&self, more: &[&str]) -> Said {
        let mut args = vec!["workload", "--key", "ecdsa-p256"];
        args.extend(more);
        self.certs(&args)
    }

    fn openssl(&self, args: &str) -> Said {
        finish(Command::new("openssl").current_dir(self.0.path()).args(args.split_whitespace()))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("writes");
    }

    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).expect("copies");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("removes");
    }

    /// Every file below `out`, its mode and bytes.
    fn contents(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        collect(&self.path("out"), &mut found);
        found
    }

    /// Asserts that a run is refused and leaves `out` as it is.
    #[track_caller]
    fn refuses(&self, said: impl FnOnce() -> Said, parts: &[&str]) {
        let before = self.contents();
        said().refused(parts);
        assert_eq!(self.contents(), before, "nothing may change");
    }
}

fn collect(dir: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            let (mode, bytes) = (mode(&path), fs::read(&path).expect("reads"));
            found.insert(path, (mode, bytes));
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

impl Said {
    /// Asserts success, and returns what was printed.
    #[track_caller]
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

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
    ask("echo1").refused(&["me/cert-chain.pem", "is not of", "sa/echo1"]);
    assert_eq!(fs::read(room.path("me/cert-chain.pem")).expect("reads"), second);

    room.refuses(
        || room.workload(&["--ca", "out/kops", "--out", "out/kops", "--id", ID]),
        &["out/kops/ca-cert.pem", "authority's"],
    );
    fs::create_dir(room.path("other")).expect("makes");
    room.write("other/key.pem", "mine");
    room.workload(&["--ca", "out/kops", "--out", "other", "--id", ID]).refused(&["other/key.pem"]);
}

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
    room.generate(&["kops", "gke1", "kops"], &[]).refused(&["kops is named twice"]);
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
            &["out/kops/ca-key.pem holds no usable private key"],
        ),
        (
            "no key",
            |room| room.remove("out/kops/ca-key.pem"),
            &["cannot read out/kops/ca-key.pem: No such file"],
        ),
        (
            "a certificate that is none",
            |room| room.write("out/kops/ca-cert.pem", "nonsense"),
            &["out/kops/ca-cert.pem holds no PEM certificate"],
        ),
        (
            "a key for a certificate",
            |room| room.copy("out/kops/ca-key.pem", "out/kops/ca-cert.pem"),
            &["out/kops/ca-cert.pem holds no PEM certificate"],
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
    room.certs(&["show", "file"]).refused(&["file holds no PEM certificate"]);
    room.certs(&["show", "out/root-key.pem"])
        .refused(&["out/root-key.pem holds no PEM certificate"]);
    fs::create_dir(room.path("empty")).expect("makes");
    room.certs(&["show", "empty"]).refused(&["empty holds no PEM certificate"]);
}
