//! TLS for targets: whom prober trusts, the certificate that it shows, and why TLS fails.

mod anchors;
mod certificate;
mod chain;
mod decrypt;
mod files;
mod first_bytes;
mod handshake;
mod identity;
mod sessions;
mod verifier;
mod warm_up;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use thiserror::Error;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{ClientConfig, SupportedProtocolVersion, version};

use crate::plan::{Protocol, TlsPlan, TlsSession, TlsVersion};
use anchors::Anchors;
pub(super) use first_bytes::FirstBytes;
use identity::Identity;
use sessions::Sessions;
use verifier::{Nothing, Verifier};
use warm_up::Rehearsal;

/// Why TLS cannot be set up. `Display` is one line that names the file.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{flag} {file}: {reason}; give a readable PEM file")]
    Unreadable { flag: &'static str, file: PathBuf, reason: String },
    /// A file does not contain what it should.
    #[error("{flag} {file}: no {wanted} in it; give a PEM file that contains one")]
    Nothing { flag: &'static str, file: PathBuf, wanted: &'static str },
    #[error(
        "--cert {0}: no private key in it; add the key to the file, or name its file with --key"
    )]
    NoKey(PathBuf),
    #[error("{flag} {file}: a certificate in it is damaged; export it again")]
    Damaged { flag: &'static str, file: PathBuf },
    #[error("--cert {cert} and --key {key} do not match: {reason}")]
    Mismatch { cert: PathBuf, key: PathBuf, reason: String },
    #[error("--cert {file}: its certificate and its private key do not match: {reason}")]
    OwnMismatch { file: PathBuf, reason: String },
    /// The path is not shown, because it contains the pass phrase.
    #[error(
        "--cert: a pass phrase after the file name is not supported; write it with --pass, or set PROBER_PASS"
    )]
    PassInPath,
    #[error(
        "{flag} {file}: the private key is encrypted; give its pass phrase with --pass, or set PROBER_PASS"
    )]
    NoPass { flag: &'static str, file: PathBuf },
    #[error(
        "{flag} {file}: the private key cannot be decrypted; check the pass phrase (--pass or PROBER_PASS)"
    )]
    WrongPass { flag: &'static str, file: PathBuf },
    #[error(
        "{flag} {file}: the private key is encrypted with {how}, which is not supported; encrypt it with AES: openssl pkcs8 -topk8"
    )]
    Encryption { flag: &'static str, file: PathBuf, how: String },
    #[error("this system has no trusted root certificates; name a file with --cacert")]
    NoRoots,
}

/// How a run speaks TLS.
#[derive(Debug)]
pub(in crate::engine) struct Client {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
    newest: TlsVersion,
    /// Made when the first thread needs it: it seeds the random generator, and plans are also checked
    /// without being run.
    rehearsal: OnceLock<Option<Rehearsal>>,
}

impl Client {
    /// Reads the files.
    pub(in crate::engine) fn load(plan: &TlsPlan, protocol: Protocol) -> Result<Self, TlsError> {
        let crypto = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if plan.insecure {
            Arc::new(Nothing)
        } else {
            let algorithms = crypto.signature_verification_algorithms;
            Arc::new(Verifier::new(Anchors::load(plan.cacert.as_deref())?, algorithms))
        };
        let identity = Arc::new(Identity::load(plan.identity.as_ref(), &crypto)?);
        let mut config = ClientConfig::builder_with_provider(crypto)
            .with_protocol_versions(versions(plan.newest))
            .expect("the provider has suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::clone(&identity) as _);
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        config.resumption = match plan.session {
            TlsSession::Never => Resumption::disabled(),
            TlsSession::Reuse => Resumption::store(Arc::new(Sessions::default())),
        };
        Ok(Self {
            config: Arc::new(config),
            identity,
            newest: plan.newest,
            rehearsal: OnceLock::new(),
        })
    }

    /// Makes the calling thread's first handshake as fast as its later ones.
    pub(in crate::engine) fn warm_up(&self) {
        // If the rehearsal fails, the first handshake is slower, and no less right.
        let made = self.rehearsal.get_or_init(|| Rehearsal::new(self.config.crypto_provider()));
        let _ = made.as_ref().map(Rehearsal::run);
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }

    /// What to add to a failure without words of the server: that it asked for a certificate,
    /// and got none.
    pub(in crate::engine) fn hint(&self) -> Option<&'static str> {
        self.identity.is_missing().then_some("it asked for a client certificate; give --cert")
    }
}

/// From the newest to the oldest one.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// The versions to offer, up to the newest one.
fn versions(newest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match newest {
        TlsVersion::V1_3 => &VERSIONS,
        TlsVersion::V1_2 => &VERSIONS[1..],
    }
}

/// The name that is sent as SNI and verified: the URL's host.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    ServerName::try_from(host.to_owned())
}

/// What is wrong with a host that cannot be a server name.
#[must_use]
pub(crate) fn bad_server_name(host: &str) -> String {
    format!("'{host}' is not a DNS name or IP address, so that TLS cannot verify it")
}
