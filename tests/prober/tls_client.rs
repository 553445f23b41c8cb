//! Client certificates: key files of every form, and servers that want a certificate.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream, crypto::aws_lc_rs,
};

use super::probing::{all_fail, row};
use super::tls_words::{Pki, prober};
use crate::harness::{Said, command, finish, run};
use crate::servers::{self, Server, line, response};

const SECRET: &str = "hunter2-the-secret";

/// A server that takes the clients of `root.pem` only.
const STRICT: &str = "-Verify 1 -CAfile root.pem -verify_return_error";

fn pki() -> Pki {
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    pki.leaf("client", "root", "");
    pki
}

#[test]
fn keys_are_read_in_every_form_that_openssl_writes() {
    let pki = pki();
    let pass = format!("-passout pass:{SECRET}");
    for (name, words) in [
        ("pbes2", "pkcs8 -topk8 -v2 aes-256-cbc"),
        ("sha1", "pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA1"),
        ("triple", "pkcs8 -topk8 -v2 des3"),
        ("scrypt", "pkcs8 -topk8 -scrypt"),
        ("old-aes", "ec -aes256"),
        ("old-aes128", "ec -aes128"),
        ("old-triple", "ec -des3"),
    ] {
        pki.openssl(&format!("{words} -in client.key -out {name}.key {pass}"));
        pki.join(&["client.pem", &format!("{name}.key")], &format!("{name}-both.pem"));
        pki.join(&[&format!("{name}.key"), "client.pem"], &format!("{name}-first.pem"));
    }
    pki.join(&["client.pem", "client.key"], "plain-both.pem");
    let server = pki.serve("good", STRICT);
    let target = server.target("localhost");
    let root = pki.text("root.pem");
    let ask = |flags: &[&str]| prober(&target, &[&["--cacert", &root], flags].concat());
    ask(&["--cert", &pki.text("plain-both.pem")]).expect("the key is inside");
    ask(&["--cert", &pki.text("plain-both.pem"), "--pass", "x"]).expect("no pass phrase is needed");
    for name in ["pbes2", "sha1", "triple", "scrypt", "old-aes", "old-aes128", "old-triple"] {
        let (cert, key) = (pki.text("client.pem"), pki.text(&format!("{name}.key")));
        ask(&["--cert", &cert, "--key", &key, "--pass", SECRET]).expect(name);
        for both in ["both", "first"] {
            let both = pki.text(&format!("{name}-{both}.pem"));
            ask(&["--cert", &both, "--pass", SECRET]).expect(name);
            for (flags, part) in [
                (&["--pass", "wrong"][..], "cannot be decrypted; check the pass phrase"),
                (&[], "is encrypted; give its pass phrase with --pass, or set PROBER_PASS"),
            ] {
                let flags = [&["https://a", "--cert", &both], flags].concat();
                run("prober", flags).refused(&["--cert", &both, part]);
            }
        }
    }
}

#[test]
fn a_pass_phrase_is_never_printed() {
    let pki = pki();
    pki.openssl(&format!(
        "pkcs8 -topk8 -in client.key -out client-secret.key -passout pass:{SECRET}"
    ));
    pki.join(&["client.pem", "client-secret.key"], "both.pem");
    let server = pki.serve("good", STRICT);
    let [target, flag, to] = server.target("localhost");
    let (both, root) = (pki.text("both.pem"), pki.text("root.pem"));
    let html = pki.text("report.html");
    let flags = [&target, &flag, &to, "--cert", &both, "--cacert", &root, "-n", "3", "--verbose"];
    let silent = |said: &Said| {
        let all = format!("{said:?}");
        assert!(!all.contains(SECRET) && !all.contains("hunter2"), "{all}");
    };
    for output in ["text", "json", "csv"] {
        let mut prober = command("prober");
        let said =
            finish(prober.args(flags).args(["-o", output, "--pass", SECRET, "--report", &html]));
        assert_eq!(said.code, 0, "{said:?}");
        silent(&said);
        let report = std::fs::read_to_string(&html).expect("a report");
        assert!(!report.contains(SECRET), "{report}");
    }
    // Or from the environment.
    let said = finish(command("prober").args(flags).env("PROBER_PASS", SECRET));
    assert_eq!(said.code, 0, "{said:?}");
    silent(&said);
    let help = finish(command("prober").arg("--help").env("PROBER_PASS", SECRET));
    assert!(help.stdout.contains("PROBER_PASS"), "{help:?}");
    silent(&help);
    // Wrong uses do not print it either.
    let cert = format!("{both}:{SECRET}");
    for wrong in [
        &["--cert", &cert][..],
        &["--cert", &root, "--pass", SECRET],
        &["--pass", SECRET, "--tls-max", "9"],
        &["--pass", SECRET, "--strange"],
        &["--cert", "/nonexistent", "--pass", SECRET],
    ] {
        let said = run("prober", [&["https://a"], wrong].concat());
        assert_eq!(said.code, 2, "{said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
        silent(&said);
    }
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let pki = pki();
    pki.join(&["client.pem", "good.key"], "mixed.pem");
    pki.openssl(&format!("ec -camellia128 -in client.key -out c.key -passout pass:{SECRET}"));
    pki.openssl(&format!(
        "pkcs8 -topk8 -v1 PBE-SHA1-3DES -in client.key -out p.key -passout pass:{SECRET}"
    ));
    let refused = |flags: &[&str], parts: &[&str]| {
        let flags: Vec<_> = flags
            .iter()
            .map(|word| match word.rsplit_once('.') {
                Some((_, "pem" | "key")) => pki.text(word),
                _ => (*word).to_owned(),
            })
            .collect();
        run("prober", [vec!["https://a".to_owned()], flags].concat()).refused(parts);
    };
    refused(&["--cert", "client.pem"], &["--cert", "no private key in it", "--key"]);
    refused(&["--cert", "mixed.pem"], &["mixed.pem", "do not match"]);
    refused(
        &["--cert", "client.pem", "--key", "good.key"],
        &["client.pem", "good.key", "do not match"],
    );
    let old = ["--cert", "client.pem", "--pass", SECRET, "--key"];
    refused(
        &[&old[..], &["c.key"]].concat(),
        &["CAMELLIA-128-CBC", "not supported", "openssl pkcs8"],
    );
    refused(&[&old[..], &["p.key"]].concat(), &["p.key", "an old algorithm", "openssl pkcs8"]);
}

/// `openssl x509` makes version 1 unless it is given extensions.
#[test]
fn a_client_certificate_of_version_1_is_one_as_in_curl() {
    let pki = pki();
    pki.openssl("req -new -key client.key -subj /CN=client -out client.csr");
    pki.openssl(
        "x509 -req -in client.csr -CA root.pem -CAkey root.key -CAcreateserial -out v1.pem",
    );
    let server = pki.serve("good", STRICT);
    let (root, cert) = (pki.text("root.pem"), pki.text("v1.pem"));
    let flags = ["--cacert", &root, "--cert", &cert, "--key", &pki.text("client.key")];
    prober(&server.target("localhost"), &flags).expect("it is shown");
    let other = ["https://a", "--cert", &cert, "--key", &pki.text("good.key")];
    run("prober", other).refused(&["v1.pem", "do not match", "the key belongs to another"]);
}

#[test]
fn servers_that_want_a_certificate_say_so_in_every_version() {
    let pki = pki();
    pki.self_signed("stranger", "/CN=stranger", "basicConstraints=critical,CA:FALSE");
    let root = pki.text("root.pem");
    let (cert, key) = (pki.text("stranger.pem"), pki.text("stranger.key"));
    for (version, phase, alert) in [
        ("-tls1_2", "", "handshake_failure"),
        ("-tls1_3", "TLS ended after the handshake: ", "certificate_required"),
    ] {
        let server = pki.serve("good", &format!("{STRICT} {version}"));
        let target = server.target("localhost");
        let what = prober(&target, &["--cacert", &root]).expect_err("no certificate");
        let says =
            format!("{phase}the server requires a client certificate ({alert}); give --cert");
        assert_eq!(what, says);
        let strange = ["--cacert", &root, "--cert", &cert, "--key", &key];
        let what = prober(&target, &strange).expect_err("a stranger's certificate");
        let says = format!(
            "{phase}the server does not trust the issuer of the client certificate \
             (unknown_ca); check --cert"
        );
        assert_eq!(what, says);
    }
}

/// With TLS 1.3, the reason is lost if the server ends the connection at once.
#[test]
fn a_server_that_wants_a_certificate_and_resets_is_understood() {
    let pki = pki();
    let read = |name: &str| std::fs::read(pki.path(name)).expect("read");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("root.pem")).expect("a root")).expect("added");
    let wants = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let wants = wants.allow_unauthenticated().build().expect("a verifier");
    let chain = vec![CertificateDer::from_pem_slice(&read("good.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(&read("good.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(wants)
        .with_single_cert(chain, key)
        .expect("they fit");
    let config = Arc::new(config);
    let asks = Arc::clone(&config);
    let server = Server::start(move |mut stream, _| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
        while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
        servers::reset(stream);
    });
    let target = format!("https://{}", server.target());
    let what = all_fail("reset", &["-t", &target, "--cacert", &pki.text("root.pem")]);
    assert!(what.ends_with("; it asked for a client certificate; give --cert"), "{what}");

    // A server that answers without a certificate has other reasons.
    let server = Server::start(move |mut stream, number| {
        let mut tls = ServerConnection::new(Arc::clone(&asks)).expect("a connection");
        while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
        if number > 0 {
            return servers::reset(stream);
        }
        let mut tls = Stream::new(&mut tls, &mut stream);
        let _ = tls.read(&mut [0; 4096]);
        let answer = response("200 OK", "connection: close\r\n", &line("p", "kops"));
        let _ = tls.write_all(answer.as_bytes());
        servers::linger(&stream);
    });
    let target = format!("https://{}", server.target());
    let flags = ["--cacert", &pki.text("root.pem"), "-n", "3", "-c", "1"];
    let (_, row) = row(&[&["-t", &target], &flags[..]].concat());
    assert_eq!(row["answers"], 1, "{row}");
    let what = row["failures"][0]["what"].as_str().expect("a text");
    assert!(!what.contains("--cert"), "{what}");
}
