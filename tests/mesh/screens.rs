//! The first screens of common faults, as `docs/first-screens.md` shows them: on a terminal of 80 × 24
//! each says what is wrong. `UPDATE_SCREENS=1` writes the page anew.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::harness::{command, finish};
use crate::servers::{Server, line, linger, read_head, response};

/// A screen: what is wrong, the command as the page shows it, and what the screen must say.
struct Screen {
    title: &'static str,
    shown: &'static str,
    /// Flags that lead to the test's own servers; the page leaves them out.
    hidden: Vec<String>,
    says: &'static [&'static str],
}

impl Screen {
    /// What a terminal of 80 columns shows: the report, then the advice.
    fn capture(&self) -> String {
        let words = shlex::split(self.shown).unwrap();
        let mut prober = command("prober");
        prober.args(&words[1..]).args(&self.hidden).env("COLUMNS", "80");
        let said = finish(&mut prober);
        assert_eq!(said.code, 1, "{}: {said:?}", self.title);
        let screen = format!("$ {}\n{}{}", self.shown, said.stdout, said.stderr);
        let lines = screen.lines().count();
        assert!(lines <= 24, "{}: {lines} lines\n{screen}", self.title);
        let wide: Vec<_> = screen.lines().skip(1).filter(|line| line.width() > 80).collect();
        assert!(wide.is_empty(), "{}: {wide:?}", self.title);
        let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in self.says {
            assert!(flat.contains(part), "{}: {part:?}\n{screen}", self.title);
        }
        screen
    }
}

/// Answers each request by its number, on a connection of its own.
fn numbered(answer: impl Fn(u64) -> String + Send + Sync + 'static) -> Server {
    let count = AtomicU64::new(0);
    Server::start(move |mut stream: TcpStream, _| {
        read_head(&stream);
        let number = count.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(answer(number).as_bytes());
        linger(&stream);
    })
}

fn to(server: &Server) -> Vec<String> {
    vec![format!("--connect-to=::{}", server.target())]
}

/// An https server whose certificate ended long ago; its root goes into `folder`.
struct Expired {
    address: std::net::SocketAddr,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Expired {
    fn start(root: &std::path::Path) -> Self {
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&authority_key).unwrap();
        std::fs::write(root, certificate.pem()).unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let mut leaf = rcgen::CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
        leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let chain = vec![CertificateDer::from(leaf.signed_by(&key, &issuer).unwrap())];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let serving = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let acceptor = acceptor.clone();
                        tokio::spawn(async move {
                            let Ok(mut stream) = acceptor.accept(stream).await else { return };
                            let _ = stream.read(&mut [0; 4096]).await;
                            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                        });
                    }
                };
                tokio::select! { () = serving => {} _ = stopped => {} }
            });
        });
        Self { address, _stop: stop }
    }
}

/// Without what differs from run to run: numbers, the units of times, bars, the shape of tables.
fn comparable(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace().filter(|word| !word.starts_with(['█', '▓', '░'])) {
        let mut blank = String::new();
        for c in word.chars() {
            match c.is_ascii_digit() || (c == '.' && blank.ends_with('0')) {
                true if blank.ends_with('0') => {}
                true => blank.push('0'),
                false => blank.push(c),
            }
        }
        words.push(match blank.as_str() {
            "µs" | "ms" | "s" => "TIME".to_owned(),
            // Where a name is cut depends on the width of the numbers beside it.
            cut if cut.contains('…') => "…".to_owned(),
            _ => blank,
        });
    }
    words
}

#[test]
fn mesh_first_screens_say_what_is_wrong_and_the_page_shows_them() {
    let mut mesh = two_clusters(block::SCREENS);
    mesh.kill_pod("gke1/echo2").unwrap();
    let sidecar = from_sidecar(&mesh, "kops").to;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    let expired = Expired::start(&root);
    let login = numbered(|_| {
        let to = "location: https://sso.example/auth?client_id=shop&state=";
        response("302 Found", &format!("{to}{}\r\n", "x".repeat(40)), "")
    });
    let limit = numbered(|n| match n % 5 {
        0 => response("200 OK", "", &line("echo2-64ddccc94f-xdfqr", "kops")),
        1 => response("200 OK", "", &line("echo2-5f6c4d9bb8-2wqzp", "gke1")),
        _ => response("429 Too Many Requests", "server: istio-envoy\r\n", "local_rate_limited"),
    });
    let cache = numbered(|n| {
        let cached = "age: 37\r\nx-cache: HIT\r\n";
        let headers = if n == 0 { "x-cache: MISS\r\n" } else { cached };
        response("200 OK", headers, &line("echo2-64ddccc94f-xdfqr", "kops"))
    });
    let trusted = format!("--cacert={}", root.display());
    let screens = [
        Screen {
            title: "A dead cluster",
            shown: "prober echo2:8080 --expect 'exactly kops,gke1'",
            hidden: vec![format!("--connect-to=::{sidecar}")],
            says: &["FAIL exactly kops,gke1: gke1 gave none of", "the mesh retried", "--explain"],
        },
        Screen {
            title: "An expired certificate",
            shown: "prober https://shop.example",
            hidden: vec![format!("--connect-to=::{}", expired.address), trusted],
            says: &["100 tls", "certificate has expired", "Renew it"],
        },
        Screen {
            title: "A redirect to a sign-in page",
            shown: "prober shop.example",
            hidden: to(&login),
            says: &["100 status 302", "sign-in page at sso.example", "Authorization"],
        },
        Screen {
            title: "A rate limit",
            shown: "prober shop.example --expect 'balanced ± 5%'",
            hidden: to(&limit),
            says: &["status 429", "An Envoy's local rate limit refuses requests", "--rate"],
        },
        Screen {
            title: "A cache on the path",
            shown: "prober shop.example",
            hidden: to(&cache),
            says: &["99 copy", "A cache or a mirror on the path", "curl -i"],
        },
    ];
    let mut page = "# First screens\n\nWhat `prober` shows on a terminal of 80 columns and 24 lines when \
                    something is wrong. A test runs each command\nagainst servers of its own and compares \
                    this page; `make first-screens` writes it anew.\n"
        .to_owned();
    for screen in &screens {
        let _ = write!(page, "\n## {}\n\n```text\n{}```\n", screen.title, screen.capture());
    }
    let path = harness::workspace().join("docs/first-screens.md");
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(comparable(&kept), comparable(&page), "run `make first-screens`:\n{page}");
}
