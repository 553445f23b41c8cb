//! Verifies servers' certificates. What curl accepts is accepted: also a trusted certificate that
//! is the server's own, X.509 version 1, and a common name instead of host names.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
};
use webpki::{EndEntityCert, Error as E, KeyUsage};
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo, X509Version};

use super::anchors::Anchors;
use super::certificate;
use super::chain::{Chain, LEAST_RSA_BITS};
use crate::engine::tls_error::CertificateProblem as Problem;

#[derive(Debug)]
pub(super) struct Verifier {
    anchors: Anchors,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(anchors: Anchors, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { anchors, algorithms }
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Problem> {
        let parsed = || certificate::parse(leaf).ok_or(Problem::Unreadable);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let chain =
            Chain { sent, anchors: &self.anchors, algorithms: self.algorithms, now: seconds };
        if self.anchors.hold(leaf) {
            let leaf = parsed()?;
            chain.alone(&leaf)?;
            return certificate::check_host(&leaf, host);
        }
        // `None` if the library does not judge certificates of this form.
        let verdict = EndEntityCert::try_from(leaf).ok().and_then(|known| {
            let all = self.algorithms.all;
            let (anchors, usage) = (self.anchors.issuers(), KeyUsage::server_auth());
            match known.verify_for_usage(all, anchors, sent, now, usage, None, None) {
                Ok(_) => Some(Ok(known.verify_is_valid_for_subject_name(host).is_ok())),
                Err(E::CaUsedAsEndEntity | E::MaximumPathDepthExceeded) => None,
                Err(error) => Some(Err(error)),
            }
        });
        if let Some(Ok(true)) = verdict {
            return Ok(());
        }
        let leaf = parsed()?;
        if !matches!(verdict, Some(Ok(_))) {
            chain.walk(&leaf)?;
        }
        match verdict {
            Some(Err(error)) => Err(problem(&error)),
            _ => certificate::check_host(&leaf, host),
        }
    }

    /// What is wrong if the server's own signature is wrong: a short key is the usual reason.
    fn bad_signature(cert: &CertificateDer<'_>) -> Problem {
        match certificate::parse(cert).and_then(|cert| certificate::rsa_bits(&cert)) {
            Some(bits) if bits < LEAST_RSA_BITS => {
                Problem::WeakKey { which: "the server's certificate".to_owned(), bits }
            }
            _ => Problem::OtherPrivateKey,
        }
    }

    /// The public key of a certificate of version 1, which the library does not read.
    fn key_of_version_1(cert: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
        let cert = certificate::parse(cert)?;
        let key = cert.public_key().raw.to_vec();
        (cert.version() == X509Version::V1).then(|| SubjectPublicKeyInfoDer::from(key))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.check(end_entity, intermediates, server_name, now);
        checked.map(|()| ServerCertVerified::assertion()).map_err(error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Ok(valid) = verify_tls12_signature(message, cert, signed, &self.algorithms) {
            return Ok(valid);
        }
        let Some(key) = Self::key_of_version_1(cert) else {
            return Err(error(Self::bad_signature(cert)));
        };
        let (_, key) =
            SubjectPublicKeyInfo::from_der(&key).map_err(|_| error(Problem::Unreadable))?;
        let key = &key.subject_public_key.data;
        let of_scheme = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let valid = of_scheme.is_some_and(|(_, algorithms)| {
            let mut algorithms = algorithms.iter();
            algorithms.any(|one| one.verify_signature(key, message, signed.signature()).is_ok())
        });
        let wrong = || error(Self::bad_signature(cert));
        valid.then(HandshakeSignatureValid::assertion).ok_or_else(wrong)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
            .or_else(|why| match Self::key_of_version_1(cert) {
                None => Err(why),
                Some(key) => verify_tls13_signature_with_raw_key(message, &key, signed, algorithms),
            })
            .map_err(|_| error(Self::bad_signature(cert)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn error(problem: Problem) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem))))
}

/// What the TLS library finds wrong with a chain, and the walk does not.
fn problem(error: &E) -> Problem {
    match error {
        E::NameConstraintViolation
        | E::InvalidNetworkMaskConstraint
        | E::MalformedNameConstraint
        | E::MaximumNameConstraintComparisonsExceeded => Problem::NameConstraints { issuer: None },
        E::PathLenConstraintViolated => Problem::PathLength,
        E::MaximumPathBuildCallsExceeded | E::MaximumSignatureChecksExceeded => Problem::TooLong,
        _ => Problem::Other,
    }
}

/// `-k`: nothing is verified, not even that the server has the private key of its certificate.
#[derive(Debug)]
pub(super) struct Nothing;

impl ServerCertVerifier for Nothing {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Whatever a server may sign with, the most usual first.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        vec![
            S::ECDSA_NISTP256_SHA256,
            S::ECDSA_NISTP384_SHA384,
            S::ECDSA_NISTP521_SHA512,
            S::ED25519,
            S::ED448,
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
            S::ECDSA_SHA1_Legacy,
            S::RSA_PKCS1_SHA1,
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio_rustls::rustls::crypto::aws_lc_rs;

    use super::*;

    /// A root, and two certificates for `localhost` that it signed: the TLS library judges the
    /// first, the walk the second, which is a CA, too.
    struct Pki {
        verifier: Verifier,
        leaves: [CertificateDer<'static>; 2],
    }

    static PKI: LazyLock<Pki> = LazyLock::new(|| {
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut root = CertificateParams::default();
        root.is_ca = ca;
        let root_key = KeyPair::generate().unwrap();
        let anchor = root.self_signed(&root_key).unwrap().der().clone();
        let issuer = Issuer::new(root, root_key);
        let leaves = [IsCa::NoCa, ca].map(|is_ca| {
            let mut leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
            leaf.is_ca = is_ca;
            leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
        });
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        Pki { verifier: Verifier::new(Anchors::of(vec![anchor]), algorithms), leaves }
    });

    fn check(leaf: &CertificateDer<'_>, host: &str) -> Result<(), Problem> {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        PKI.verifier.check(leaf, &[], &host.try_into().unwrap(), now)
    }

    #[test]
    fn both_ways_of_judging_accept_and_refuse() {
        for leaf in &PKI.leaves {
            assert_eq!(check(leaf, "localhost"), Ok(()));
            assert!(matches!(check(leaf, "other"), Err(Problem::WrongName { .. })));
        }
    }

    proptest! {
        #[test]
        fn a_certificate_with_a_changed_byte_in_its_signed_part_is_refused(
            which in 0..2_usize,
            place in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let mut bytes = PKI.leaves[which].to_vec();
            let signed = certificate::parse(&PKI.leaves[which]).unwrap();
            // After the outer tag with the length.
            let place = 4 + place.index(signed.tbs_certificate.as_ref().len());
            bytes[place] ^= change;
            let changed = CertificateDer::from(bytes);
            prop_assert!(check(&changed, "localhost").is_err(), "byte {place}");
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let bytes = CertificateDer::from(bytes);
            prop_assert_eq!(check(&bytes, "localhost"), Err(Problem::Unreadable));
        }
    }
}
