//! TLS for targets: whom prober trusts, the certificate that it shows, and why TLS fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::engine::tls_error;
use crate::plan::{Protocol, TlsPlan};

/// Why TLS cannot be set up. `Display` is one line that names the file.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{flag} {file}: {reason}; give a readable PEM file")]
    Unreadable { flag: &'static str, file: PathBuf, reason: String },
    /// A file does not contain what it should.
    #[error("{flag} {file}: no {wanted} in it; give a PEM file that contains one")]
    Nothing { flag: &'static str, file: PathBuf, wanted: &'static str },
    #[error("--cacert {file}: a certificate in it is damaged; export it again")]
    Root { file: PathBuf },
    #[error("--cert {cert} and --key {key} do not match: {reason}")]
    Mismatch { cert: PathBuf, key: PathBuf, reason: String },
    #[error("this system has no trusted root certificates; name a file with --cacert")]
    NoRoots,
}

/// Reads the files and builds the TLS configuration of the client.
pub(crate) fn load(plan: &TlsPlan, protocol: Protocol) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3");
    let builder = if plan.insecure {
        let anything = Arc::new(AnyCertificate(provider));
        builder.dangerous().with_custom_certificate_verifier(anything)
    } else {
        builder.with_root_certificates(roots(plan.cacert.as_deref())?)
    };
    let mut config = match &plan.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let (chain, secret) = (certificates("--cert", cert)?, private_key(key)?);
            builder.with_client_auth_cert(chain, secret).map_err(|error| TlsError::Mismatch {
                cert: cert.clone(),
                key: key.clone(),
                reason: tls_error::words(&error),
            })?
        }
    };
    config.alpn_protocols = vec![protocol.alpn().to_vec()];
    Ok(Arc::new(config))
}

fn roots(cacert: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match cacert {
        Some(file) => {
            for certificate in certificates("--cacert", file)? {
                let root = |_| TlsError::Root { file: file.to_owned() };
                store.add(certificate).map_err(root)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
        }
    }
    if store.is_empty() { Err(TlsError::NoRoots) } else { Ok(store) }
}

fn certificates(flag: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(flag, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Nothing { flag, file: file.to_owned(), wanted: "certificate" }),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read("--key", file)?;
    let nothing =
        |_| TlsError::Nothing { flag: "--key", file: file.to_owned(), wanted: "private key" };
    PrivateKeyDer::from_pem_slice(&pem).map_err(nothing)
}

fn read(flag: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::Unreadable {
        flag,
        file: file.to_owned(),
        reason: usage::system_error(&error),
    })
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

#[must_use]
pub(crate) fn handshake_failure(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match (tls, error.kind()) {
        (Some(tls), _) => tls_error::words(tls),
        (None, std::io::ErrorKind::UnexpectedEof) => "the server closed the connection".to_owned(),
        (None, _) => usage::system_error(error),
    };
    format!("the TLS handshake failed: {why}")
}

/// `-k`: accepts any certificate, but the handshake's signatures must still be valid.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
