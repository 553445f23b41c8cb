//! The certificates that are trusted: of `--cacert`, else of the system.

use std::path::Path;

use tokio_rustls::rustls::pki_types::{CertificateDer, TrustAnchor};

use super::TlsError;
use super::certificate;
use super::files;
use crate::clock;

#[derive(Debug)]
pub(super) struct Anchors {
    all: Vec<Anchor>,
    /// Those that may issue certificates and are valid now.
    issuers: Vec<TrustAnchor<'static>>,
}

#[derive(Debug)]
struct Anchor {
    der: CertificateDer<'static>,
    /// The subject's encoding; empty if the certificate cannot be parsed.
    subject: Vec<u8>,
}

impl Anchors {
    pub(super) fn load(cacert: Option<&Path>) -> Result<Self, TlsError> {
        let Some(file) = cacert else {
            let found = rustls_native_certs::load_native_certs().certs;
            let anchors = Self::of(found.into_iter().filter(|der| is_certificate(der)).collect());
            return if anchors.all.is_empty() { Err(TlsError::NoRoots) } else { Ok(anchors) };
        };
        let flag = "--cacert";
        let found = files::certificates(flag, file, &files::read(flag, file)?)?;
        if found.iter().all(is_certificate) {
            Ok(Self::of(found))
        } else {
            Err(TlsError::Damaged { flag, file: file.to_owned() })
        }
    }

    pub(super) fn of(found: Vec<CertificateDer<'static>>) -> Self {
        let now = certificate::seconds(clock::wall());
        let issuers = found.iter().filter(|der| may_issue(der, now));
        let issuers = issuers.filter_map(|der| webpki::anchor_from_trusted_cert(der).ok());
        Self {
            issuers: issuers.map(|anchor| anchor.to_owned()).collect(),
            all: found.into_iter().map(Anchor::new).collect(),
        }
    }

    /// Whether this very certificate is trusted.
    pub(super) fn hold(&self, certificate: &CertificateDer<'_>) -> bool {
        self.all.iter().any(|anchor| anchor.der == *certificate)
    }

    pub(super) fn issuers(&self) -> &[TrustAnchor<'static>] {
        &self.issuers
    }

    /// The trusted certificates of a subject.
    pub(super) fn named(&self, subject: &[u8]) -> impl Iterator<Item = &CertificateDer<'static>> {
        let named = self.all.iter().filter(move |anchor| anchor.subject == subject);
        named.map(|anchor| &anchor.der)
    }
}

impl Anchor {
    fn new(der: CertificateDer<'static>) -> Self {
        let subject = certificate::parse(&der).map(|parsed| parsed.subject().as_raw().to_vec());
        let subject = subject.unwrap_or_default();
        Self { der, subject }
    }
}

fn is_certificate(der: &CertificateDer<'_>) -> bool {
    certificate::parse(der).is_some() || webpki::anchor_from_trusted_cert(der).is_ok()
}

/// What only the other parser understands is trusted as it is.
fn may_issue(der: &CertificateDer<'_>, now: i64) -> bool {
    certificate::parse(der).is_none_or(|parsed| {
        certificate::may_issue(&parsed) && certificate::validity(&parsed, now).is_ok()
    })
}
