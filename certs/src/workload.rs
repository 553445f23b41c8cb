//! Workload certificates: what a sidecar shows to its peers.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::error::Error;
use crate::files::{self, CERT_CHAIN, Kind, ROOT_CERT, WORKLOAD_KEY};
use crate::spiffe::SpiffeId;

/// How long a workload certificate is valid unless asked otherwise: a day.
pub const WORKLOAD_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// A workload's certificate, its private key, and the root that it trusts.
#[derive(Clone)]
#[non_exhaustive]
pub struct Workload {
    /// The leaf, then the intermediates; the root is not in it.
    pub chain_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
    /// The root.
    pub root_pem: String,
}

impl Workload {
    /// Writes `cert-chain.pem`, `key.pem` (mode 0600) and `root-cert.pem` into
    /// the folder, which is made if absent. Each file is replaced by rename.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        files::make_folder(dir)?;
        files::write_together(
            dir,
            &[
                (WORKLOAD_KEY, &self.key_pem, Kind::Secret),
                (ROOT_CERT, &self.root_pem, Kind::Public),
                (CERT_CHAIN, &self.chain_pem, Kind::Public),
            ],
        )
    }
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// What stands in a workload certificate: nothing but the SPIFFE id tells who
/// it is, so the subject is empty and the name critical, as in Istio.
pub(crate) fn params(
    id: &SpiffeId,
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = not_before;
    params.not_after = not_after;
    params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
