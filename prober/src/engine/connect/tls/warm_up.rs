//! What only a program's first handshakes pay for: the library seeds its random generator, which
//! takes 30 to 100 ms, and code and memory are touched for the first time. A handshake with
//! ourselves, in memory, pays for it before the run.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs as provider,
    verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::server::ResolvesServerCert;
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, ServerConnection,
    SignatureScheme,
};

const ALGORITHM: &EcdsaSigningAlgorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;

/// Both sides of a handshake in memory.
#[derive(Clone, Debug)]
pub(super) struct Rehearsal {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Rehearsal {
    /// Makes a key for the server side. `None` if the library cannot; then nothing is warm.
    pub(super) fn new(crypto: &Arc<CryptoProvider>) -> Option<Self> {
        let key = new_key()?;
        let known = KnownKey::of(&*key, crypto)?;
        // The client side knows the key, and does not look at the certificate.
        let certified = CertifiedKey::new(vec![CertificateDer::from(vec![0])], key);
        let server = ServerConfig::builder_with_provider(Arc::clone(crypto))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(Arc::new(certified))));
        let mut client = ClientConfig::builder_with_provider(Arc::clone(crypto))
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(known))
            .with_no_client_auth();
        client.resumption = Resumption::disabled();
        Some(Self { client: Arc::new(client), server: Arc::new(server) })
    }

    /// Runs the handshake on the calling thread. `None` if it failed.
    pub(super) fn run(&self) -> Option<()> {
        let name = ServerName::try_from("localhost").ok()?;
        let mut client = ClientConnection::new(Arc::clone(&self.client), name).ok()?;
        let mut server = ServerConnection::new(Arc::clone(&self.server)).ok()?;
        let mut wire = Vec::new();
        // A handshake takes two turns.
        for _ in 0..4 {
            while client.wants_write() {
                client.write_tls(&mut wire).ok()?;
            }
            let mut unread = &wire[..];
            while !unread.is_empty() {
                server.read_tls(&mut unread).ok()?;
                server.process_new_packets().ok()?;
            }
            wire.clear();
            while server.wants_write() {
                server.write_tls(&mut wire).ok()?;
            }
            let mut unread = &wire[..];
            while !unread.is_empty() {
                client.read_tls(&mut unread).ok()?;
                client.process_new_packets().ok()?;
            }
            wire.clear();
            if !client.is_handshaking() && !server.is_handshaking() {
                return Some(());
            }
        }
        None
    }
}

fn new_key() -> Option<Arc<dyn SigningKey>> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(ALGORITHM, &SystemRandom::new()).ok()?;
    let key = PrivateKeyDer::Pkcs8(pkcs8.as_ref().to_vec().into());
    provider::sign::any_ecdsa_type(&key).ok()
}

/// Shows the same certificate to everybody.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(
        &self,
        _: tokio_rustls::rustls::server::ClientHello<'_>,
    ) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Verifies the handshake's signature by a key that it already knows.
#[derive(Debug)]
struct KnownKey {
    key: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl KnownKey {
    fn of(key: &dyn SigningKey, crypto: &CryptoProvider) -> Option<Self> {
        let algorithms = crypto.signature_verification_algorithms;
        Some(Self { key: key.public_key()?.into_owned(), algorithms })
    }
}

impl ServerCertVerifier for KnownKey {
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
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls13_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &self.key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handshake that fails half-way would leave the rest of the work to the first request.
    #[test]
    fn the_handshake_with_ourselves_comes_to_its_end() {
        let rehearsal = Rehearsal::new(&Arc::new(provider::default_provider())).unwrap();
        for _ in 0..2 {
            rehearsal.run().unwrap();
        }
        let crypto = Arc::new(provider::default_provider());
        let wrong = KnownKey::of(&*new_key().unwrap(), &crypto).unwrap();
        let client = ClientConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(wrong))
            .with_no_client_auth();
        let other = Rehearsal { client: Arc::new(client), ..rehearsal };
        assert_eq!(other.run(), None, "its signatures are verified");
    }
}
