//! The TLS port: certificate files are checked before anything listens, and reloaded when
//! they change. Invalid files stop the start with one line. Later they cause a warning, and
//! the old ones stay in use.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use echo_reply::{TlsFacts, printable};
use rustix::fs::OFlags;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{
    CipherSuite, Error as RustlsError, InconsistentKeys, ProtocolVersion, RootCertStore,
    ServerConfig, ServerConnection,
};
use tracing::{info, warn};

use crate::cli::{ClientAuth, TlsFlags};

/// The interval of checks for changed files.
const INTERVAL: Duration = Duration::from_secs(1);
/// The largest PEM file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The libraries only name an enum here, so their reasons are not repeated.
const UNREADABLE: &str = "contains a certificate that is not valid X.509; export it again";
/// The ALPN protocols, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("--tls-port needs a certificate and its key; add --tls-cert and --tls-key")]
    NoFiles,
    #[error("{0} needs --tls-port; add it, or remove {0}")]
    NoPort(&'static str),
    #[error("--tls-client-auth {0} needs the CA certificates of clients; add --tls-client-ca")]
    NoAuthorities(&'static str),
    #[error("cannot read {} ({flag}): {reason}", path.display())]
    Unreadable { path: PathBuf, flag: &'static str, reason: String },
    #[error("{} ({flag}) {what}", path.display())]
    Unfit {
        path: PathBuf,
        flag: &'static str,
        /// What is wrong, and what to do; completes "the file …".
        what: String,
    },
    #[error(
        "{} (--tls-key) is not the key of the certificate in {} (--tls-cert); \
         use files that belong together",
        key.display(),
        certificate.display()
    )]
    Mismatch { certificate: PathBuf, key: PathBuf },
}

/// The files, and what is asked of clients.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    certificate: PathBuf,
    key: PathBuf,
    /// The CA file for clients, and whether a client must present a certificate.
    clients: Option<(PathBuf, bool)>,
}

impl Plan {
    /// The plan that the flags ask for; `None` without a port.
    ///
    /// # Errors
    ///
    /// If the flags contradict each other.
    pub(crate) fn from_flags(flags: &TlsFlags) -> Result<Option<Self>, TlsError> {
        let TlsFlags { tls_port, tls_cert, tls_key, tls_client_ca, tls_client_auth } = flags;
        let given = [
            ("--tls-cert", tls_cert.is_some()),
            ("--tls-key", tls_key.is_some()),
            ("--tls-client-ca", tls_client_ca.is_some()),
            ("--tls-client-auth", tls_client_auth.is_some()),
        ];
        if tls_port.is_none() {
            let useless = given.iter().find(|(_, given)| *given);
            return useless.map_or(Ok(None), |(flag, _)| Err(TlsError::NoPort(flag)));
        }
        let (Some(certificate), Some(key)) = (tls_cert.clone(), tls_key.clone()) else {
            return Err(TlsError::NoFiles);
        };
        let clients = match (tls_client_auth, tls_client_ca.clone()) {
            (None | Some(ClientAuth::None), None) | (Some(ClientAuth::None), Some(_)) => None,
            (None | Some(ClientAuth::Require), Some(path)) => Some((path, true)),
            (Some(ClientAuth::Optional), Some(path)) => Some((path, false)),
            (Some(ClientAuth::Require), None) => return Err(TlsError::NoAuthorities("require")),
            (Some(ClientAuth::Optional), None) => return Err(TlsError::NoAuthorities("optional")),
        };
        Ok(Some(Self { certificate, key, clients }))
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let clients = self.clients.as_ref().map(|(path, _)| path.as_path());
        [self.certificate.as_path(), self.key.as_path()].into_iter().chain(clients)
    }

    /// Differs if a file has changed. Links are followed.
    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            let facts = fs::metadata(path).ok()?;
            Some((facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
        };
        self.files().map(of).collect()
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate, "--tls-cert")?;
        let key = private_key(&self.key)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for TLS 1.2 and 1.3");
        let builder = match self.verifier(&provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate: self.certificate.clone(), key: self.key.clone() }
            }
            RustlsError::InvalidCertificate(_) => {
                unfit(&self.certificate, "--tls-cert", UNREADABLE.to_owned())
            }
            _ => unfit(&self.key, "--tls-key", "is not a key for this certificate".to_owned()),
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let Some((path, required)) = &self.clients else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path, "--tls-client-ca")? {
            roots
                .add(certificate)
                .map_err(|_| unfit(path, "--tls-client-ca", UNREADABLE.into()))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = if *required { builder } else { builder.allow_unauthenticated() };
        builder
            .build()
            .map(Some)
            .map_err(|_| unfit(path, "--tls-client-ca", "cannot verify client certificates".into()))
    }
}

fn unfit(path: &Path, flag: &'static str, what: String) -> TlsError {
    TlsError::Unfit { path: path.to_owned(), flag, what }
}

/// Reads a regular file of at most [`MAX_FILE`] bytes. A pipe or a device could block, or
/// never end.
fn read(path: &Path, flag: &'static str) -> Result<Vec<u8>, TlsError> {
    let reading = || {
        // Without this flag, opening a pipe waits for its writer.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !kind.is_file() {
            return Ok(None);
        }
        usage::file::read_all(file, MAX_FILE).map(Some)
    };
    let reason = match reading() {
        Ok(Some(bytes)) => return Ok(bytes),
        Ok(None) => {
            return Err(unfit(path, flag, "is not a regular file; use a PEM file".into()));
        }
        Err(error) => match error.kind() {
            io::ErrorKind::FileTooLarge => {
                return Err(unfit(path, flag, "is larger than 1 MiB; use a PEM file".into()));
            }
            io::ErrorKind::NotFound => "the file does not exist".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
            _ => usage::system_error(&error),
        },
    };
    Err(TlsError::Unreadable { path: path.to_owned(), flag, reason })
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path, flag: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path, flag)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| unfit(path, flag, broken(&error)))?;
    if found.is_empty() {
        let what = "does not contain a certificate; use a PEM file with BEGIN CERTIFICATE";
        return Err(unfit(path, flag, what.to_owned()));
    }
    // Checks the whole chain. Otherwise a client would be the first to notice.
    for certificate in &found {
        webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| unfit(path, flag, UNREADABLE.to_owned()))?;
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let flag = "--tls-key";
    let bytes = read(path, flag)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let what = match error {
            pem::Error::NoItemsFound => {
                "does not contain a private key; use an unencrypted PEM key (PKCS #8, PKCS #1 or SEC1)"
                    .into()
            }
            error => broken(&error),
        };
        unfit(path, flag, what)
    })
}

/// What is wrong with a PEM file. Never repeats its content, which may be a key.
fn broken(error: &pem::Error) -> String {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a section without its END line",
        pem::Error::IllegalSectionStart { .. } => "a broken BEGIN line",
        _ => "broken base64",
    };
    format!("is not valid PEM: it has {what}")
}

type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

/// The configuration in use, and the files that it came from.
#[derive(Debug)]
pub(crate) struct Tls {
    plan: Plan,
    current: RwLock<Arc<ServerConfig>>,
    /// The state of the files when they were read.
    loaded: Stamp,
}

impl Tls {
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is invalid.
    pub(crate) fn load(plan: Plan) -> Result<Self, TlsError> {
        let loaded = plan.stamp();
        let current = RwLock::new(plan.load()?);
        Ok(Self { plan, current, loaded })
    }

    /// Accepts a connection with the configuration in use.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Reloads changed files, and all files on SIGHUP; never returns. A thread reads the
    /// files, because a disk may hang.
    pub(crate) async fn follow(self: &Arc<Self>) {
        let (ask, asked) = sync_channel(1);
        let tls = Arc::clone(self);
        let reading = move || {
            let mut known = tls.loaded.clone();
            while let Ok(told) = asked.recv() {
                tls.reload(&mut known, told);
            }
        };
        if let Err(error) = thread::Builder::new().name("tls-files".into()).spawn(reading) {
            warn!("the TLS files are not reloaded: {}", usage::system_error(&error));
        }
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut told = false;
        loop {
            let signalled = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = signalled => told = true,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            // While the thread reads, what it is told waits for the next round.
            if ask.try_send(told).is_ok() {
                told = false;
            }
        }
    }

    /// Reads the files again if they have changed since `known`, or if a signal told so.
    fn reload(&self, known: &mut Stamp, told: bool) {
        let stamp = self.plan.stamp();
        if stamp == *known && !told {
            return;
        }
        let why =
            if stamp == *known { "SIGHUP was received" } else { "the TLS files have changed" };
        *known = stamp;
        match self.plan.load() {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                info!("{why}; new connections use the new TLS files");
            }
            Err(error) => warn!("{why}, but the old TLS files stay in use: {error}"),
        }
    }
}

pub(crate) fn facts(session: &ServerConnection) -> TlsFacts {
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
        other => other.map(|version| format!("{version:?}")).unwrap_or_default(),
    };
    let alpn = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    let client = session.peer_certificates().and_then(<[_]>::first);
    TlsFacts {
        version,
        cipher: session
            .negotiated_cipher_suite()
            .map(|suite| iana(suite.suite()))
            .unwrap_or_default(),
        sni: session.server_name().map(|name| printable(name).into_owned()),
        alpn,
        client_spiffe_id: client.and_then(spiffe_id),
    }
}

/// The IANA name of a cipher suite: rustls calls those of TLS 1.3 `TLS13_…`.
fn iana(suite: CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

/// The first SPIFFE id in a certificate.
fn spiffe_id(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let mut names = certificate.valid_uri_names();
    names.find(|name| name.starts_with("spiffe://")).map(|name| printable(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_their_registered_names() {
        assert_eq!(iana(CipherSuite::TLS13_AES_256_GCM_SHA384), "TLS_AES_256_GCM_SHA384");
        let older = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
        assert_eq!(iana(older), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        let file = || Some(PathBuf::from("x.pem"));
        let none = TlsFlags::default();
        assert!(Plan::from_flags(&none).unwrap().is_none());
        let said = |flags: TlsFlags| Plan::from_flags(&flags).unwrap_err().to_string();
        let pair =
            TlsFlags { tls_port: Some(1), tls_cert: file(), tls_key: file(), ..none.clone() };
        assert!(Plan::from_flags(&pair).unwrap().unwrap().clients.is_none());
        assert!(said(TlsFlags { tls_key: None, ..pair.clone() }).contains("--tls-key"));
        assert!(said(TlsFlags { tls_port: None, ..pair.clone() }).starts_with("--tls-cert needs"));
        for (auth, word) in [(ClientAuth::Require, "require"), (ClientAuth::Optional, "optional")] {
            let said = said(TlsFlags { tls_client_auth: Some(auth), ..pair.clone() });
            assert!(said.contains(word) && said.contains("--tls-client-ca"), "{said}");
        }
        for (auth, required) in [
            (None, Some(true)),
            (Some(ClientAuth::Require), Some(true)),
            (Some(ClientAuth::Optional), Some(false)),
            (Some(ClientAuth::None), None),
        ] {
            let flags = TlsFlags { tls_client_ca: file(), tls_client_auth: auth, ..pair.clone() };
            let plan = Plan::from_flags(&flags).unwrap().unwrap();
            assert_eq!(plan.clients.map(|(_, required)| required), required, "{auth:?}");
        }
    }
}
