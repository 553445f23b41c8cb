//! The way from a server's certificate to a trusted one, step by step: to say where it ends, and
//! for certificates that the TLS library does not take as a server's.

use tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::prelude::{AlgorithmIdentifier, X509Certificate};

use super::anchors::Anchors;
use super::certificate::{self, which};
use crate::engine::tls_error::CertificateProblem as Problem;

/// The most issuers that are followed; the TLS library follows 6.
const LONGEST: usize = 32;
/// The most issuers of the same name that are tried.
const CANDIDATES: usize = 8;
/// The shortest RSA key that is accepted, in bits, as in OpenSSL at security level 2.
pub(super) const LEAST_RSA_BITS: usize = 2048;

/// What a walk needs to know.
#[derive(Clone, Copy)]
pub(super) struct Chain<'a> {
    /// Further certificates that the server sent.
    pub sent: &'a [CertificateDer<'a>],
    pub anchors: &'a Anchors,
    pub algorithms: WebPkiSupportedAlgorithms,
    /// Seconds of UNIX time.
    pub now: i64,
}

/// What signed a certificate.
enum Issuer<'a> {
    Trusted(X509Certificate<'a>),
    Sent(X509Certificate<'a>),
}

impl<'a> Chain<'a> {
    /// Checks the certificate without its issuers.
    pub(super) fn alone(&self, leaf: &X509Certificate<'_>) -> Result<(), Problem> {
        self.valid_now(leaf, true)?;
        certificate::for_servers(leaf, || which(leaf, true))?;
        match certificate::unknown_critical(leaf) {
            Some(oid) => Err(Problem::UnknownExtension { which: which(leaf, true), oid }),
            None => Ok(()),
        }
    }

    /// Follows the issuers up to a trusted one. Name constraints are not evaluated: an issuer
    /// that has some is refused.
    pub(super) fn walk(&self, leaf: &X509Certificate<'_>) -> Result<(), Problem> {
        self.alone(leaf)?;
        let mut constrained = Ok(());
        let mut below = None;
        for depth in 0..LONGEST {
            let child = below.as_ref().unwrap_or(leaf);
            let issuer = match self.issuer(child, depth == 0)? {
                Issuer::Trusted(issuer) => {
                    self.check_issuer(&issuer, depth)?;
                    return constrained;
                }
                Issuer::Sent(issuer) => issuer,
            };
            self.check_issuer(&issuer, depth)?;
            if let Ok(Some(_)) | Err(_) = issuer.name_constraints() {
                let issuer = certificate::name(issuer.subject());
                constrained = Err(Problem::NameConstraints { issuer: Some(issuer) });
            }
            below = Some(issuer);
        }
        Err(Problem::TooLong)
    }

    fn check_issuer(&self, issuer: &X509Certificate<'_>, below: usize) -> Result<(), Problem> {
        self.valid_now(issuer, false)?;
        if !certificate::may_issue(issuer) {
            return Err(Problem::NotACa { issuer: certificate::name(issuer.subject()) });
        }
        certificate::for_servers(issuer, || which(issuer, false))?;
        let most = certificate::most_issuers_below(issuer);
        if most.is_some_and(|most| u32::try_from(below).is_ok_and(|below| below > most)) {
            return Err(Problem::PathLength);
        }
        match certificate::unknown_critical(issuer) {
            Some(oid) => Err(Problem::UnknownExtension { which: which(issuer, false), oid }),
            None => Ok(()),
        }
    }

    /// What issued the certificate: a trusted one before one that the server sent.
    fn issuer(&self, child: &X509Certificate<'_>, is_leaf: bool) -> Result<Issuer<'a>, Problem> {
        let name = child.issuer().as_raw();
        let parsed = |der: &'a CertificateDer<'_>| certificate::parse(der);
        let trusted = self.anchors.named(name).filter_map(parsed).map(Issuer::Trusted);
        let sent = self.sent.iter().filter_map(parsed);
        let sent = sent.filter(|issuer| issuer.subject().as_raw() == name).map(Issuer::Sent);
        let all = trusted.chain(sent);
        let mut of_this_name = false;
        for candidate in all.take(CANDIDATES) {
            let (Issuer::Trusted(issuer) | Issuer::Sent(issuer)) = &candidate;
            // The server may send its root, or its certificate twice.
            let itself = issuer.as_raw() == child.as_raw();
            if itself && matches!(candidate, Issuer::Sent(_)) {
                continue;
            }
            of_this_name = true;
            self.check_algorithm(child, issuer, is_leaf)?;
            if self.signed(child, issuer) {
                return Ok(candidate);
            }
        }
        Err(match (of_this_name, certificate::is_self_issued(child)) {
            (true, _) => Problem::OtherKey {
                which: which(child, is_leaf),
                issuer: certificate::name(child.issuer()),
            },
            (false, true) if is_leaf => {
                Problem::SelfSigned { subject: certificate::name(child.subject()) }
            }
            (false, true) => Problem::UntrustedRoot { root: certificate::name(child.subject()) },
            (false, false) => Problem::UnknownIssuer {
                which: which(child, is_leaf),
                issuer: certificate::name(child.issuer()),
            },
        })
    }

    fn valid_now(&self, certificate: &X509Certificate<'_>, is_leaf: bool) -> Result<(), Problem> {
        let which = || which(certificate, is_leaf);
        certificate::validity(certificate, self.now).map_err(|(early, limit, today)| {
            if early {
                Problem::NotYetValid { which: which(), from: limit, today }
            } else {
                Problem::Expired { which: which(), at: limit, today }
            }
        })
    }

    /// Checks that the certificate is signed in a way that is still safe.
    fn check_algorithm(
        &self,
        child: &X509Certificate<'_>,
        issuer: &X509Certificate<'_>,
        is_leaf: bool,
    ) -> Result<(), Problem> {
        let which = || which(child, is_leaf);
        let whole = child.signature_value.unused_bits == 0;
        if !whole || child.signature_algorithm != child.tbs_certificate.signature {
            return Err(Problem::Unreadable);
        }
        if let Some(algorithm) = outdated(&child.signature_algorithm) {
            return Err(Problem::WeakSignature { which: which(), algorithm });
        }
        if self.algorithms_of(child).next().is_none() {
            let oid = child.signature_algorithm.algorithm.to_id_string();
            return Err(Problem::UnknownAlgorithm { which: which(), oid });
        }
        match certificate::rsa_bits(issuer) {
            Some(bits) if bits < LEAST_RSA_BITS => {
                Err(Problem::WeakKey { which: certificate::which(issuer, false), bits })
            }
            _ => Ok(()),
        }
    }

    fn algorithms_of(
        &self,
        child: &X509Certificate<'_>,
    ) -> impl Iterator<Item = &'static dyn tokio_rustls::rustls::pki_types::SignatureVerificationAlgorithm>
    {
        let oid = child.signature_algorithm.algorithm.as_bytes().to_vec();
        // An identifier is the OID with its tag and length, and parameters.
        let same = move |id: &[u8]| id.get(2..).is_some_and(|rest| rest.starts_with(&oid));
        let all = self.algorithms.all.iter().copied();
        all.filter(move |algorithm| same(&algorithm.signature_alg_id()))
    }

    fn signed(&self, child: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
        let key = &issuer.public_key().subject_public_key.data;
        let message = child.tbs_certificate.as_ref();
        let signature = &child.signature_value.data;
        self.algorithms_of(child)
            .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
    }
}

/// The name of a hash that is no longer safe for signatures.
fn outdated(algorithm: &AlgorithmIdentifier<'_>) -> Option<&'static str> {
    match algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.3.14.3.2.29" | "1.2.840.10040.4.3" => {
            Some("SHA-1")
        }
        "1.2.840.113549.1.1.4" => Some("MD5"),
        "1.2.840.113549.1.1.2" => Some("MD2"),
        _ => None,
    }
}
