//! Private keys: their types, and how they are made.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};

use crate::error::Error;

/// All types sign with SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum KeyKind {
    /// RSA with 4096 bits: Istio's choice for authorities; slow to make
    #[default]
    Rsa4096,
    /// RSA with 2048 bits: Istio's choice for workloads
    Rsa2048,
    /// ECDSA on the curve P-256: small and fast to make
    EcdsaP256,
}

impl KeyKind {
    /// RSA 4096 takes seconds on a slow machine.
    pub(crate) fn generate(self) -> Result<KeyPair, Error> {
        Ok(match self {
            Self::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096)?,
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?,
            Self::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
        })
    }
}
