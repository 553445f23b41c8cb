//! `--cert`, `--key` and `--pass`: the certificate that prober shows to servers that ask for one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys, SignatureScheme};

use super::decrypt::{self, KeyError};
use super::{TlsError, certificate, files};
use crate::engine::tls_error;
use crate::plan::ClientIdentity;

/// The certificate, if there is one, and whether a server has asked for it.
#[derive(Debug)]
pub(super) struct Identity {
    certified: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Identity {
    pub(super) fn load(
        given: Option<&ClientIdentity>,
        crypto: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let certified = given.map(|given| certified(given, crypto)).transpose()?;
        Ok(Self { certified: certified.map(Arc::new), asked: AtomicBool::new(false) })
    }

    /// Whether a server has asked, and prober has none.
    pub(super) fn is_missing(&self) -> bool {
        self.certified.is_none() && self.asked.load(Ordering::Relaxed)
    }

    /// Whether a server has asked, and prober has one.
    pub(super) fn was_shown(&self) -> bool {
        self.certified.is_some() && self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.certified.clone()
    }

    fn has_certs(&self) -> bool {
        self.certified.is_some()
    }
}

fn certified(given: &ClientIdentity, crypto: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let cert = &given.cert;
    let pem = match files::read("--cert", cert) {
        Err(_) if has_pass(cert) => return Err(TlsError::PassInPath),
        read => read?,
    };
    let chain = files::certificates("--cert", cert, &pem)?;
    let (flag, file, pem) = match &given.key {
        Some(key) => ("--key", key, files::read("--key", key)?),
        None => ("--cert", cert, pem),
    };
    let pass = given.pass.as_ref().map(|pass| pass.as_str());
    let place = || file.clone();
    let key = decrypt::private_key(&pem, pass).map_err(|error| match error {
        KeyError::None if given.key.is_none() => TlsError::NoKey(place()),
        KeyError::None => TlsError::Nothing { flag, file: place(), wanted: "private key" },
        KeyError::NoPass => TlsError::NoPass { flag, file: place() },
        KeyError::WrongPass => TlsError::WrongPass { flag, file: place() },
        KeyError::Unsupported(how) => TlsError::Encryption { flag, file: place(), how },
    })?;
    let key = crypto.key_provider.load_private_key(key);
    let key = key.map_err(|error| mismatch(given, tls_error::words(&error)))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {}
        // The library reads certificates of version 3 only.
        Err(Error::InvalidCertificate(_)) if !belong_together(&certified) => {}
        _ => return Ok(certified),
    }
    Err(mismatch(given, "the key belongs to another certificate".to_owned()))
}

/// Whether the first certificate, of any version, has the public key of the private one.
fn belong_together(certified: &CertifiedKey) -> bool {
    let Some((cert, key)) = certified.cert.first().zip(certified.key.public_key()) else {
        return false;
    };
    certificate::parse(cert).is_some_and(|parsed| parsed.public_key().raw == key.as_ref())
}

fn mismatch(given: &ClientIdentity, reason: String) -> TlsError {
    let cert = given.cert.clone();
    match given.key.clone() {
        Some(key) => TlsError::Mismatch { cert, key, reason },
        None => TlsError::OwnMismatch { file: cert, reason },
    }
}

/// Whether the path is one of curl's `FILE:PASSPHRASE`.
fn has_pass(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.match_indices(':').any(|(at, _)| Path::new(&text[..at]).is_file())
}
