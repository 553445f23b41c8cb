//! The TLS port, asked by real curl: versions, protocols, clients' certificates,
//! files that change, and files that do not fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ::certs::{Authority, KeyKind, SpiffeId, WORKLOAD_VALIDITY};
use tempfile::TempDir;

use super::{Echo, curl, json};
use crate::harness::{finish, run, wait_until};

/// A server's certificate for `localhost`, and an authority with a client of its own.
pub(super) struct Files {
    folder: TempDir,
}

impl Files {
    pub(super) fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        files.make_pair("first");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn put(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("written");
    }

    /// `cert.pem` and `key.pem`, self-signed, with a name of their own.
    fn make_pair(&self, name: &str) {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")]);
        openssl.args(["-addext", "subjectAltName=DNS:localhost"]);
        openssl.args(["-keyout", &self.text("new-key.pem"), "-out", &self.text("new-cert.pem")]);
        let said = finish(&mut openssl);
        assert_eq!(said.code, 0, "{said:?}");
        for file in ["key.pem", "cert.pem"] {
            fs::rename(self.path(&format!("new-{file}")), self.path(file)).expect("renamed");
        }
    }

    /// `ca.pem`, and `client.pem` and `client-key.pem` that it signed.
    fn make_client(&self) {
        let authority = Authority::root(KeyKind::EcdsaP256).expect("a root");
        let id: SpiffeId = "spiffe://cluster.local/ns/a/sa/sleep".parse().expect("an id");
        let client =
            authority.workload(&id, KeyKind::EcdsaP256, WORKLOAD_VALIDITY).expect("a client");
        self.put("ca.pem", &client.root_pem);
        self.put("client.pem", &client.chain_pem);
        self.put("client-key.pem", &client.key_pem);
    }

    /// The flags of a TLS port, and others.
    fn flags(&self, more: &[&str]) -> Vec<String> {
        let flags = ["--tls-port", "0", "--tls-cert", &self.text("cert.pem")];
        let key = ["--tls-key", &self.text("key.pem")];
        [&flags[..], &key, more].concat().into_iter().map(str::to_owned).collect()
    }

    pub(super) fn echo(&self, more: &[&str]) -> Echo {
        let flags = self.flags(&[more, &["--cluster", "kops", "--pod", "echo1-x"]].concat());
        Echo::with(&flags.iter().map(String::as_str).collect::<Vec<_>>(), &[])
    }

    /// What curl prints of the TLS port, or says of its failure.
    fn ask(&self, echo: &Echo, flags: &[&str]) -> Result<String, String> {
        let url = format!("https://localhost:{}/x", echo.further("https").port());
        let mut curl = Command::new("curl");
        let trust = self.text("cert.pem");
        curl.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        curl.args(["-sS", "-q", "-4", "--max-time", "20", "--cacert", &trust]).args(flags);
        let said = finish(curl.arg(url));
        if said.code == 0 { Ok(said.stdout) } else { Err(said.stderr) }
    }

    fn as_client(&self) -> [String; 4] {
        ["--cert".into(), self.text("client.pem"), "--key".into(), self.text("client-key.pem")]
    }
}

#[test]
fn http_1_and_2_come_by_alpn_and_the_session_is_told() {
    let files = Files::new();
    let echo = files.echo(&[]);
    let text = files.ask(&echo, &["--http1.1"]).expect("an answer");
    let port = echo.further("https").port();
    assert_eq!(
        text,
        format!("[URL: https://localhost:{port}/x] on [pod: echo1-x] in [cluster: kops]\n")
    );
    for (flags, http, alpn, version) in [
        (&["--http2", "--tlsv1.3"][..], "HTTP/2.0", "h2", "TLSv1.3"),
        (&["--http1.1", "--tlsv1.3"], "HTTP/1.1", "http/1.1", "TLSv1.3"),
        (&["--http2", "--tls-max", "1.2"], "HTTP/2.0", "h2", "TLSv1.2"),
    ] {
        let said = files.ask(&echo, &[flags, &["-HAccept: application/json"]].concat());
        let reply = json(&said.expect("an answer"));
        assert_eq!(reply["http_version"], http, "{reply}");
        assert_eq!(reply["tls"]["alpn"], alpn, "{reply}");
        assert_eq!(reply["tls"]["version"], version, "{reply}");
        assert_eq!(reply["tls"]["sni"], "localhost", "{reply}");
        assert_eq!(reply["tls"]["client_spiffe_id"], serde_json::Value::Null);
        let cipher = reply["tls"]["cipher"].as_str().expect("a suite");
        assert!(cipher.starts_with("TLS_") && cipher.contains("_GCM_"), "{cipher}");
    }
    assert!(files.ask(&echo, &["--tls-max", "1.1"]).is_err(), "1.1 is no more");
    // The plain port stays plain, and has no session to tell of.
    let reply = json(&echo.curl("/", &["-HAccept: application/json"]));
    assert_eq!(reply["tls"], serde_json::Value::Null);
}

#[test]
fn clients_must_show_what_is_asked_of_them() {
    let files = Files::new();
    files.make_client();
    let ca = files.text("ca.pem");
    let client = files.as_client();
    let client: Vec<_> = client.iter().map(String::as_str).collect();
    let id = |said: &str| json(said)["tls"]["client_spiffe_id"].clone();
    let accept = ["-HAccept: application/json"];

    for flags in
        [&["--tls-client-ca", &ca][..], &["--tls-client-ca", &ca, "--tls-client-auth", "require"]]
    {
        let echo = files.echo(flags);
        files.ask(&echo, &accept).expect_err("no certificate, no answer");
        assert_eq!(echo.counted("echo_requests_total", &[]), 0.0, "not even a request");
        let said = files.ask(&echo, &[&accept[..], &client].concat()).expect("an answer");
        assert_eq!(id(&said), "spiffe://cluster.local/ns/a/sa/sleep");
    }

    let echo = files.echo(&["--tls-client-ca", &ca, "--tls-client-auth", "optional"]);
    assert!(id(&files.ask(&echo, &accept).expect("none is fine")).is_null());
    let said = files.ask(&echo, &[&accept[..], &client].concat()).expect("one is fine");
    assert_eq!(id(&said), "spiffe://cluster.local/ns/a/sa/sleep");
    // A certificate of a stranger is not.
    files.make_client();
    files.ask(&echo, &[&accept[..], &client].concat()).expect_err("a stranger");

    let echo = files.echo(&["--tls-client-ca", &ca, "--tls-client-auth", "none"]);
    assert!(id(&files.ask(&echo, &[&accept[..], &client].concat()).expect("fine")).is_null());
}

#[test]
fn new_files_are_used_and_broken_ones_are_not() {
    let files = Files::new();
    let mut echo = files.echo(&[]);
    let old = fs::read_to_string(files.path("cert.pem")).expect("read");
    files.put("trust.pem", &old);
    let trusts = |file: &str| files.ask(&echo, &["--cacert", &files.text(file)]).is_ok();
    assert!(trusts("trust.pem"));

    // Another key than the certificate's: the old pair stays in use.
    let key = fs::read_to_string(files.path("key.pem")).expect("read");
    files.put("cert.pem", "not a certificate");
    echo.process.wait_for("the warning", |line| {
        line.contains("the old TLS files stay in use").then_some(())
    });
    let trusts = |file: &str| files.ask(&echo, &["--cacert", &files.text(file)]).is_ok();
    assert!(trusts("trust.pem"), "{}", echo.process.said());
    assert!(
        !echo.process.said().contains("PRIVATE") && !echo.process.said().contains(&key[60..90])
    );

    files.make_pair("second");
    wait_until("the new pair is used", || trusts("cert.pem").then_some(()));
    assert!(!trusts("trust.pem"), "the old one is not shown any more");
}

#[test]
fn a_handshake_that_is_none_harms_nobody() {
    let files = Files::new();
    let echo = files.echo(&[]);
    let address = echo.further("https");
    for rude in [&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b""] {
        let mut raw = super::Raw(std::net::TcpStream::connect(address).expect("it listens"));
        raw.send(rude);
    }
    files.ask(&echo, &[]).expect("an answer");
}

fn refused(files: &Files, change: impl Fn(&Path), more: &[&str], parts: &[&str]) {
    change(files.folder.path());
    run("echo", files.flags(more)).refused(&[&["echo: "], parts].concat());
}

#[test]
fn files_that_do_not_fit_are_refused_with_their_flag() {
    let fresh = Files::new;
    let write = |name: &'static str, text: &'static str| {
        move |folder: &Path| fs::write(folder.join(name), text).expect("written")
    };
    let remove = |name: &'static str| {
        move |folder: &Path| fs::remove_file(folder.join(name)).expect("removed")
    };
    refused(
        &fresh(),
        remove("cert.pem"),
        &[],
        &["cannot read", "cert.pem (--tls-cert)", "does not exist"],
    );
    refused(
        &fresh(),
        remove("key.pem"),
        &[],
        &["cannot read", "key.pem (--tls-key)", "does not exist"],
    );
    refused(
        &fresh(),
        write("cert.pem", "hello"),
        &[],
        &["cert.pem (--tls-cert)", "does not contain a certificate"],
    );
    refused(
        &fresh(),
        write("cert.pem", ""),
        &[],
        &["does not contain a certificate", "BEGIN CERTIFICATE"],
    );
    refused(
        &fresh(),
        write("key.pem", "hello"),
        &[],
        &["key.pem (--tls-key)", "does not contain a private key"],
    );
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    refused(&fresh(), write("cert.pem", cut), &[], &["--tls-cert", "not valid PEM", "END line"]);
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    refused(&fresh(), write("cert.pem", junk), &[], &["--tls-cert", "not valid X.509"]);
    let other = |folder: &Path| {
        let other = Files::new();
        fs::copy(other.path("key.pem"), folder.join("key.pem")).expect("copied");
    };
    refused(&fresh(), other, &[], &["key.pem (--tls-key) is not the key", "cert.pem (--tls-cert)"]);
    let swapped = |folder: &Path| {
        fs::copy(folder.join("key.pem"), folder.join("cert.pem")).expect("copied");
    };
    refused(&fresh(), swapped, &[], &["cert.pem (--tls-cert)", "does not contain a certificate"]);
    let files = fresh();
    let folder = files.text("");
    refused(&files, |_| (), &["--tls-client-ca", &folder], &["(--tls-client-ca)", "directory"]);
    files.put("large.pem", &"a".repeat((1 << 20) + 1));
    let large = files.text("large.pem");
    refused(
        &files,
        |_| (),
        &["--tls-client-ca", &large],
        &["--tls-client-ca", "larger than 1 MiB"],
    );
    refused(
        &files,
        |_| (),
        &["--tls-client-ca", "/dev/zero"],
        &["--tls-client-ca", "is not a regular file"],
    );
    let key = files.text("key.pem");
    refused(
        &files,
        |_| (),
        &["--tls-client-ca", &key],
        &["--tls-client-ca", "does not contain a certificate"],
    );
    let auth = ["--tls-client-auth", "require"];
    refused(&files, |_| (), &auth, &["--tls-client-auth require", "--tls-client-ca"]);
}

#[test]
fn tls_flags_need_each_other() {
    run("echo", ["--tls-port", "0"]).refused(&["--tls-port needs", "--tls-cert and --tls-key"]);
    run("echo", ["--tls-port", "0", "--tls-cert", "x"]).refused(&["--tls-cert and --tls-key"]);
    for flag in ["--tls-cert", "--tls-key", "--tls-client-ca"] {
        run("echo", [flag, "x"]).refused(&[flag, "needs --tls-port"]);
    }
    run("echo", ["--tls-client-auth", "none"]).refused(&["--tls-client-auth", "needs --tls-port"]);
    run("echo", ["--tls-client-auth", "maybe"]).refused(&["require, optional, none"]);
}

#[test]
fn a_drain_ends_tls_connections_in_order() {
    let files = Files::new();
    let mut echo = files.echo(&[]);
    let url = format!("https://localhost:{}/", echo.further("https").port());
    let said = curl(&url, &["-4", "--cacert", &files.text("cert.pem"), "-w", "%{http_code}"]);
    assert!(said.ends_with("200"), "{said}");
    echo.process.signal(rustix::process::Signal::TERM);
    assert_eq!(echo.process.wait(), 0);
}
