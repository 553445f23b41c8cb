//! What prober says of TLS that fails, and that it accepts what curl accepts: each certificate is
//! shown by a real OpenSSL server, and the real curl is asked beside prober.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use serde_json::Value;
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, crypto::aws_lc_rs};

use super::probing::{all_fail, row};
use crate::harness::{Background, finish};
use crate::servers::{self, Server, line, response};

/// How a key of a certificate is made.
const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";

/// A folder with certificates and keys, made by the command `openssl`: `root.pem` and
/// `inter.pem`, which it signed. The key of `NAME.pem` is `NAME.key`.
pub(super) struct Pki(TempDir);

impl Pki {
    pub(super) fn new() -> Self {
        let pki = Self(tempfile::tempdir().expect("a folder"));
        pki.put("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n");
        pki.self_signed("root", "/CN=Test-Root", "basicConstraints=critical,CA:TRUE");
        pki.signed("inter", "root", "/CN=Test-Inter", "-extfile ca.ext", EC);
        let answer = response("200 OK", "", &line("p", "kops"));
        pki.put("hello", &answer);
        pki
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    pub(super) fn put(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Runs `openssl` with words that have no spaces in them.
    pub(super) fn openssl(&self, words: &str) {
        let mut openssl = Command::new("openssl");
        let said = finish(openssl.current_dir(&self.0).args(words.split_whitespace()));
        assert_eq!(said.code, 0, "openssl {words}: {said:?}");
    }

    pub(super) fn self_signed(&self, name: &str, subject: &str, extension: &str) {
        self.openssl(&format!(
            "req -x509 {EC} -nodes -days 9 -subj {subject} -addext {extension} -keyout {name}.key \
             -out {name}.pem"
        ));
    }

    /// A certificate that `issuer` signed; `flags` are of `openssl x509`, `key` of `openssl req`.
    fn signed(&self, name: &str, issuer: &str, subject: &str, flags: &str, key: &str) {
        self.openssl(&format!(
            "req -new {key} -nodes -subj {subject} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -days 9 \
             -set_serial 77 -out {name}.pem {flags}"
        ));
    }

    /// A certificate for `localhost` and 127.0.0.1, with further extensions.
    pub(super) fn leaf(&self, name: &str, issuer: &str, extensions: &str) {
        self.leaf_with(name, issuer, extensions, "", EC);
    }

    fn leaf_with(&self, name: &str, issuer: &str, extensions: &str, flags: &str, key: &str) {
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
        self.put("leaf.ext", &format!("{names}{extensions}"));
        self.signed(name, issuer, "/CN=leaf", &format!("-extfile leaf.ext {flags}"), key);
    }

    /// Several files in one.
    pub(super) fn join(&self, names: &[&str], into: &str) {
        let all = names.iter().map(|name| fs::read_to_string(self.path(name)).expect("it exists"));
        self.put(into, &all.collect::<String>());
    }

    /// `deep.pem`, with this number of issuers below the root in `deep-chain.pem`.
    fn long_chain(&self, issuers: usize) {
        let mut chain = Vec::new();
        let mut above = "root".to_owned();
        for n in 0..issuers {
            let name = format!("level-{n}");
            self.signed(&name, &above, &format!("/CN={name}"), "-extfile ca.ext", EC);
            chain.insert(0, format!("{name}.pem"));
            above = name;
        }
        self.leaf("deep", &above, "");
        self.join(&chain.iter().map(String::as_str).collect::<Vec<_>>(), "deep-chain.pem");
    }

    /// `openssl s_server` with a certificate; it answers `/hello`.
    pub(super) fn serve(&self, name: &str, flags: &str) -> OpensslServer {
        let mut server = Command::new("openssl");
        server.current_dir(&self.0).args(["s_server", "-accept", "127.0.0.1:0", "-HTTP"]);
        server.args(["-cert", &format!("{name}.pem"), "-key", &format!("{name}.key")]);
        let mut process = Background::start(server.args(flags.split_whitespace()));
        let port = process.wait_for("the port", |line| {
            line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse::<u16>().ok()
        });
        OpensslServer { port, _process: process }
    }
}

pub(super) struct OpensslServer {
    port: u16,
    _process: Background,
}

impl OpensslServer {
    /// A target with this host, and the flag that leads it here.
    pub(super) fn target(&self, host: &str) -> [String; 3] {
        let port = self.port;
        let to = format!("{host}:{port}:127.0.0.1:{port}");
        [format!("https://{host}:{port}/hello"), "--connect-to".to_owned(), to]
    }
}

/// Whether curl takes the certificate.
fn curl(target: &[String; 3], flags: &[&str]) -> bool {
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "-o", "/dev/null", "--max-time", "20"]);
    finish(curl.args(target).args(flags)).code == 0
}

/// What prober does: it answers, or fails with one text.
pub(super) fn prober(target: &[String; 3], flags: &[&str]) -> Result<Value, String> {
    let target: Vec<_> = target.iter().map(String::as_str).collect();
    let (code, mut row) = row(&[&target[..], &["-n", "2", "-c", "1"], flags].concat());
    if code == 0 {
        return Ok(row);
    }
    let failures = row["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 1, "equal failures have equal texts: {row}");
    assert_eq!((&failures[0]["kind"], &failures[0]["count"]), (&"tls".into(), &2.into()), "{row}");
    let what = row["failures"][0]["what"].take();
    Err(what.as_str().expect("a text").to_owned())
}

/// One line of a table: what the server shows, how it is asked, and what prober says, all but
/// the beginning; nothing if it accepts. curl accepts the same.
struct Case<'a> {
    cert: &'a str,
    flags: &'a str,
    host: &'a str,
    args: &'a [&'a str],
    says: &'a str,
}

impl Pki {
    /// Asks prober and curl the same.
    #[track_caller]
    fn check(&self, case: &Case<'_>) {
        let Case { cert, flags, host, args, says } = case;
        let server = self.serve(cert, flags);
        let target = server.target(host);
        // Files are named without their folder.
        let file = |word: &&str| {
            if word.ends_with(".pem") { self.text(word) } else { (*word).to_owned() }
        };
        let args: Vec<_> = args.iter().map(file).collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let said = prober(&target, &args);
        assert_eq!(curl(&target, &args), says.is_empty(), "curl {cert} {args:?}: {said:?}");
        match said {
            Ok(_) => assert_eq!(*says, "", "{cert} {flags} {args:?} is accepted"),
            Err(what) => {
                assert_eq!(what, *says, "{cert} {flags}");
                assert!(!what.contains('\n') && !what.contains("Error"), "{what}");
            }
        }
    }
}

const ROOT: &[&str] = &["--cacert", "root.pem"];

fn shown<'a>(cert: &'a str, args: &'a [&'a str], says: &'a str) -> Case<'a> {
    Case { cert, flags: "", host: "localhost", args, says }
}

#[test]
fn what_curl_accepts_is_accepted() {
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    pki.leaf("by-inter", "inter", "");
    pki.self_signed("self-ca", "/CN=x", "subjectAltName=DNS:localhost");
    let leaf = "subjectAltName=DNS:localhost,DNS:*.many.test\nbasicConstraints=critical,CA:FALSE";
    pki.put("self.cnf", &format!("[req]\ndistinguished_name=dn\n[dn]\n[leaf]\n{leaf}\n"));
    pki.openssl(&format!(
        "req -x509 {EC} -nodes -days 9 -subj /CN=x -config self.cnf -extensions leaf -keyout \
         self.key -out self.pem"
    ));
    // Without extensions, openssl writes version 1.
    pki.signed("v1", "root", "/CN=localhost", "", EC);
    pki.signed("v1-by-inter", "inter", "/CN=localhost", "", EC);
    pki.openssl(&format!(
        "req -new {EC} -nodes -subj /CN=localhost -keyout v1-root.key -out r.csr"
    ));
    pki.openssl("x509 -req -in r.csr -signkey v1-root.key -days 9 -out v1-root.pem");
    pki.leaf("by-v1-root", "v1-root", "");
    pki.put("no-names.ext", "subjectKeyIdentifier=hash\n");
    pki.signed("common", "root", "/CN=localhost", "-extfile no-names.ext", EC);
    pki.leaf("is-a-ca", "root", "basicConstraints=CA:TRUE\n");
    pki.long_chain(9);
    pki.leaf_with("p521", "root", "", "", "-newkey ec -pkeyopt ec_paramgen_curve:P-521");
    pki.leaf_with("ed25519", "root", "", "", "-newkey ed25519");
    pki.leaf_with("rsa", "root", "", "", "-newkey rsa:2048");
    pki.leaf_with("short", "root", "", "", "-newkey rsa:1024");
    pki.leaf_with("sha1", "root", "", "-sha1", EC);
    let chain = "-cert_chain inter.pem";
    let weak = "-cipher DEFAULT@SECLEVEL=0";
    for (cert, flags, args) in [
        ("good", "", ROOT),
        ("good", "-cert_chain root.pem", ROOT),
        ("by-inter", chain, ROOT),
        // Any certificate can be trusted, not only a root.
        ("by-inter", "", &["--cacert", "inter.pem"]),
        ("by-inter", "", &["--cacert", "by-inter.pem"]),
        ("self-ca", "", &["--cacert", "self-ca.pem"]),
        ("self", "", &["--cacert", "self.pem"]),
        ("v1", "", ROOT),
        ("v1", "-tls1_2", ROOT),
        ("v1-by-inter", chain, ROOT),
        ("v1-root", "", &["--cacert", "v1-root.pem"]),
        ("by-v1-root", "", &["--cacert", "v1-root.pem"]),
        ("common", "", ROOT),
        ("is-a-ca", "", ROOT),
        // The TLS library follows 6 issuers.
        ("deep", "-cert_chain deep-chain.pem", ROOT),
        ("p521", "", ROOT),
        ("ed25519", "", ROOT),
        ("rsa", "-tls1_2", ROOT),
        ("good", "-tls1_2", &["--cacert", "root.pem", "--tls-max", "1.2"]),
        ("v1", "", &["-k"]),
        ("short", weak, &["-k"]),
        ("sha1", weak, &["-k"]),
    ] {
        pki.check(&Case { cert, flags, host: "localhost", args, says: "" });
    }
    for (cert, host) in [("good", "127.0.0.1"), ("good", "localhost."), ("self", "a.many.test")] {
        let args: &[&str] = if cert == "self" { &["--cacert", "self.pem"] } else { ROOT };
        pki.check(&Case { cert, flags: "", host, args, says: "" });
    }
}

#[test]
fn issuers_that_are_missing_or_wrong_are_named() {
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    pki.leaf("by-inter", "inter", "");
    pki.signed("v1-by-inter", "inter", "/CN=localhost", "", EC);
    pki.self_signed("self", "/CN=my-server", "subjectAltName=DNS:localhost");
    pki.self_signed("other", "/CN=Test-Root", "basicConstraints=critical,CA:TRUE");
    pki.leaf("by-leaf", "good", "");
    let missing = |issuer: &str| {
        format!(
            "unknown issuer '{issuer}' of the server's certificate; name the root with --cacert, or \
             let the server send its intermediate certificates"
        )
    };
    let unknown = &["--cacert", "other.pem"];
    for cert in ["by-inter", "v1-by-inter"] {
        pki.check(&shown(cert, ROOT, &missing("Test-Inter")));
    }
    pki.check(&shown("good", &[], &missing("Test-Root")));
    pki.check(&shown(
        "self",
        ROOT,
        "the self-signed certificate 'my-server' is not trusted; trust it with --cacert, or verify \
         nothing with -k",
    ));
    pki.check(&Case {
        flags: "-cert_chain root.pem",
        ..shown(
            "good",
            &[],
            "unknown root 'Test-Root' of the server's certificate; if it is the right one, name it \
             with --cacert",
        )
    });
    pki.check(&shown(
        "good",
        unknown,
        "the server's certificate was not signed by the known 'Test-Root', but by another key of \
         the same name; give the issuer's present certificate",
    ));
    let not_a_ca = "the server's certificate was issued by 'leaf', which is not a CA (its \
                    certificate may not sign others); have it issued by a CA";
    pki.check(&Case { flags: "-cert_chain good.pem", ..shown("by-leaf", ROOT, not_a_ca) });
    pki.check(&shown("by-leaf", &["--cacert", "good.pem"], not_a_ca));
}

#[test]
fn certificates_that_do_not_fit_are_told_with_the_remedy() {
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    pki.self_signed("self", "/CN=x", "subjectAltName=DNS:a.test,DNS:*.b.test,IP:192.0.2.1");
    pki.put("no-names.ext", "subjectKeyIdentifier=hash\n");
    pki.signed("common", "root", "/CN=c.test", "-extfile no-names.ext", EC);
    pki.signed("nobody", "root", "/O=org", "-extfile no-names.ext", EC);
    for (cert, args, names) in [
        ("good", ROOT, "localhost, 127.0.0.1"),
        ("self", &["--cacert", "self.pem"], "a.test, *.b.test, 192.0.2.1"),
        ("common", ROOT, "c.test"),
    ] {
        let says = format!(
            "the certificate is for {names}, not for 'leaf.test', the host of the URL; use a name \
             that it has (--connect-to leads it elsewhere)"
        );
        pki.check(&Case { host: "leaf.test", ..shown(cert, args, &says) });
    }
    pki.check(&shown(
        "nobody",
        ROOT,
        "the certificate names no host, and not 'localhost', the host of the URL; have it issued \
         with this name",
    ));
    // A workload's certificate in a mesh.
    pki.put("spiffe.ext", "subjectAltName=URI:spiffe://cluster.local/ns/a/sa/b\n");
    pki.signed("spiffe", "root", "/O=org", "-extfile spiffe.ext", EC);
    pki.check(&shown(
        "spiffe",
        ROOT,
        "the certificate names no host but spiffe://cluster.local/ns/a/sa/b, and not 'localhost', \
         the host of the URL; have it issued with this name",
    ));
    pki.leaf("client", "root", "extendedKeyUsage=clientAuth\n");
    pki.check(&shown(
        "client",
        ROOT,
        "the server's certificate is not for servers, only for clients; have it issued for \
         server authentication",
    ));
    pki.leaf("critical", "root", "1.2.3.4=critical,DER:0500\n");
    pki.check(&shown(
        "critical",
        ROOT,
        "the server's certificate has a critical extension that prober does not know (1.2.3.4); \
         have it issued without the extension",
    ));
    pki.leaf_with("sha1", "root", "", "-sha1", EC);
    let weak = "-cipher DEFAULT@SECLEVEL=0";
    let sha1 = "the server's certificate is signed with SHA-1, which is not safe; have it issued \
                with SHA-256";
    pki.check(&Case { flags: weak, ..shown("sha1", ROOT, sha1) });
    pki.leaf_with("short", "root", "", "", "-newkey rsa:1024");
    let short = "the server's certificate has an RSA key of 1024 bits, which is not safe; have \
                 it issued for a key of 2048 bits";
    pki.check(&Case { flags: weak, ..shown("short", ROOT, short) });
    pki.check(&Case { flags: &format!("{weak} -tls1_2"), ..shown("short", ROOT, short) });
}

#[test]
fn what_issuers_allow_is_obeyed() {
    let pki = Pki::new();
    let ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
    pki.put("names.ext", &format!("{ca}nameConstraints=critical,permitted;DNS:example.com\n"));
    pki.signed("names", "root", "/CN=Names-CA", "-extfile names.ext", EC);
    pki.leaf("constrained", "names", "");
    pki.signed("v1-constrained", "names", "/CN=localhost", "", EC);
    pki.put("flat.ext", &ca.replace("TRUE", "TRUE,pathlen:0"));
    pki.signed("flat", "root", "/CN=Flat-CA", "-extfile flat.ext", EC);
    pki.signed("below", "flat", "/CN=Below-CA", "-extfile ca.ext", EC);
    pki.leaf("deep", "below", "");
    pki.join(&["below.pem", "flat.pem"], "deep-chain.pem");
    pki.put("clients.ext", &format!("{ca}extendedKeyUsage=clientAuth\n"));
    pki.signed("clients", "root", "/CN=Clients-CA", "-extfile clients.ext", EC);
    pki.leaf("by-clients", "clients", "");
    let clients = "the issuer's certificate 'Clients-CA' is not for servers, only for clients; \
                   have it issued for server authentication";
    pki.check(&Case { flags: "-cert_chain clients.pem", ..shown("by-clients", ROOT, clients) });
    let constrained = "the server's certificate has names that its issuer 'Names-CA' may not \
                       certify (name constraints); have it issued by another CA";
    pki.check(&Case { flags: "-cert_chain names.pem", ..shown("constrained", ROOT, constrained) });
    let path = "the server's certificate has more issuers than one of them allows (path length); \
                have it issued higher up in the chain";
    pki.check(&Case { flags: "-cert_chain deep-chain.pem", ..shown("deep", ROOT, path) });
    // Stricter than curl: name constraints are not evaluated for version 1.
    let server = pki.serve("v1-constrained", "-cert_chain names.pem");
    let root = pki.text("root.pem");
    let what = prober(&server.target("localhost"), &["--cacert", &root]).expect_err("strict");
    assert!(what.ends_with(constrained), "{what}");
}

/// A certificate for `localhost` that is valid in these years, signed by a CA of other years;
/// the files `NAME.pem`, `NAME.key` and `NAME-ca.pem`.
fn dated(pki: &Pki, name: &str, years: [i32; 2], ca_years: [i32; 2]) {
    let date = |year| rcgen::date_time_ymd(year, 1, 2);
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "Dated-CA");
    (ca.not_before, ca.not_after) = (date(ca_years[0]), date(ca_years[1]));
    let ca_key = KeyPair::generate().expect("a key");
    let ca_cert = ca.self_signed(&ca_key).expect("a certificate");
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::DnsName("localhost".try_into().expect("a name"))];
    (leaf.not_before, leaf.not_after) = (date(years[0]), date(years[1]));
    let key = KeyPair::generate().expect("a key");
    let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
    pki.put(&format!("{name}.pem"), &cert.pem());
    pki.put(&format!("{name}.key"), &key.serialize_pem());
    pki.put(&format!("{name}-ca.pem"), &ca_cert.pem());
}

#[test]
fn times_that_do_not_fit_are_told_as_dates() {
    let pki = Pki::new();
    let valid = [2020, 2090];
    dated(&pki, "old", [2020, 2021], valid);
    dated(&pki, "new", [2080, 2090], valid);
    dated(&pki, "old-root", valid, [2020, 2021]);
    for (cert, before, after) in [
        ("old", "the server's certificate expired on 2021-01-02 (today is ", "); renew it"),
        (
            "new",
            "the server's certificate is not valid before 2080-01-02 (today is ",
            "); check the clocks",
        ),
        (
            "old-root",
            "the issuer's certificate 'Dated-CA' expired on 2021-01-02 (today is ",
            "); renew it",
        ),
    ] {
        let server = pki.serve(cert, "");
        let target = server.target("localhost");
        let ca = pki.text(&format!("{cert}-ca.pem"));
        let what = prober(&target, &["--cacert", &ca]).expect_err("the time is wrong");
        let date = what.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let date = date.unwrap_or_else(|| panic!("{cert}: {what}"));
        assert!(date.len() == 10 && date.starts_with("20"), "{what}");
        assert!(!curl(&target, &["--cacert", &ca]), "curl refuses {cert}");
        // A trusted certificate must be valid, too.
        let own = pki.text(&format!("{cert}.pem"));
        let itself = prober(&target, &["--cacert", &own]);
        assert_eq!(itself.is_ok(), cert == "old-root", "{itself:?}");
    }
}

#[test]
fn versions_and_suites_that_are_not_in_common_are_named() {
    let pki = Pki::new();
    pki.leaf_with("rsa", "root", "", "", "-newkey rsa:2048");
    let root = pki.text("root.pem");
    let suites = "the server accepts none of prober's cipher suites or signatures (TLS 1.2 or \
                  1.3: ECDHE with AES-GCM or ChaCha20, no CBC, no RSA key exchange), or does not \
                  serve 'localhost' (handshake_failure); enable one of them on the server";
    let old = "the server does not support TLS 1.2 or 1.3 (protocol_version); prober has no \
               older version, so enable TLS 1.2 on the server";
    let newest = "the server does not support TLS 1.2 (protocol_version); prober offers only TLS \
                  1.2, because of --tls-max";
    for (flags, args, says) in [
        ("-tls1_2 -cipher ECDHE-RSA-AES128-SHA", &[][..], suites),
        ("-tls1_2 -cipher AES128-GCM-SHA256", &[], suites),
        ("-tls1_1 -cipher DEFAULT@SECLEVEL=0", &[], old),
        ("-tls1 -cipher DEFAULT@SECLEVEL=0", &[], old),
        ("-tls1_3", &["--tls-max", "1.2"], newest),
    ] {
        let server = pki.serve("rsa", flags);
        let args = [args, &["--cacert", &root]].concat();
        let what = prober(&server.target("localhost"), &args).expect_err(flags);
        assert_eq!(what, says, "{flags}");
    }
    // A server that chooses a version that was not offered.
    let server = Server::start(|mut stream, _| {
        let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
        hello.extend([7; 32]);
        hello.extend([0, 0xc0, 0x13, 0]);
        let _ = stream.write_all(&hello);
        servers::linger(&stream);
    });
    let what = all_fail("tls", &["-k", "-t", &format!("https://{}", server.target())]);
    assert_eq!(
        what,
        "the server chose TLS 1.0; prober has no older version, so \
         enable TLS 1.2 on the server"
    );
}

#[test]
fn servers_without_tls_are_quoted() {
    let without = "; without TLS the URL begins with http://";
    for (bytes, says) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"[..],
            format!(
                "does not speak TLS on this port: it answered 'HTTP/1.1 400 Bad Request'{without}"
            ),
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            format!(
                "does not speak TLS on this port: it answered 'SSH-2.0-OpenSSH_9.2p1'{without}"
            ),
        ),
        (b"\0\0\x12\x04\0\0\0\0\0", format!("does not speak TLS on this port{without}")),
        (b"\x1b[2Jtext\r\n", format!("does not speak TLS on this port{without}")),
        (
            b"",
            "closed the connection without an answer; it may not speak TLS on this port, or not \
             serve '127.0.0.1'"
                .to_owned(),
        ),
    ] {
        let server = Server::start(move |mut stream, _| {
            let _ = stream.write_all(bytes);
            servers::linger(&stream);
        });
        let what = all_fail("tls", &["-k", "-t", &format!("https://{}", server.target())]);
        assert_eq!(what, format!("the server {says}"));
    }
}

/// Shows bytes that are not a certificate.
#[derive(Debug)]
struct Junk(Arc<CertifiedKey>);

impl ResolvesServerCert for Junk {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A configuration with any bytes as certificate, and with a key of its own.
fn junk(bytes: &[u8]) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = aws_lc_rs::sign::any_supported_type(&key).expect("a key");
    let certified = CertifiedKey::new(vec![CertificateDer::from(bytes.to_vec())], key);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(Junk(Arc::new(certified)))))
}

/// Serves one request over TLS.
fn serve_tls(config: &Arc<ServerConfig>, mut stream: &TcpStream, answer: &str) -> Option<()> {
    let mut tls = ServerConnection::new(Arc::clone(config)).ok()?;
    let mut tls = tokio_rustls::rustls::Stream::new(&mut tls, &mut stream);
    let mut asked = [0; 4096];
    std::io::Read::read(&mut tls, &mut asked).ok()?;
    tls.write_all(answer.as_bytes()).ok()?;
    tls.conn.send_close_notify();
    tls.flush().ok()?;
    servers::linger(stream);
    Some(())
}

#[test]
fn insecure_verifies_nothing_at_all() {
    let pki = Pki::new();
    pki.leaf("good", "root", "");
    let pem = fs::read(pki.path("good.pem")).expect("read");
    let der = der_of(&pem);
    // Bytes that are not a certificate, and a certificate whose key the server does not have.
    for (shown, says) in [
        (
            b"\x30\x03junk".to_vec(),
            "the server's certificate cannot be read as X.509; have it issued again",
        ),
        (
            der,
            "the server does not have the private key of its certificate; check the server's key",
        ),
    ] {
        let config = junk(&shown);
        let answer = response("200 OK", "", &line("p", "kops"));
        let server = Server::start(move |stream, _| {
            serve_tls(&config, &stream, &answer);
        });
        let (target, root) = (format!("https://{}", server.target()), pki.text("root.pem"));
        let what = all_fail("tls", &["-t", &target, "--cacert", &root]);
        assert_eq!(what, says);
        for version in ["1.2", "1.3"] {
            let (code, row) = row(&["-t", &target, "-n", "2", "-k", "--tls-max", version]);
            assert_eq!((code, &row["answers"]), (0, &2.into()), "{row}");
        }
    }
}

/// The only section of a PEM file.
fn der_of(pem: &[u8]) -> Vec<u8> {
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem).expect("a certificate").to_vec()
}
