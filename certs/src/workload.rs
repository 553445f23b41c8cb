//! Workload certificates, which sidecars present to their peers.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::error::Error;
use crate::files::{self, CERT_CHAIN, Kind, ROOT_CERT, WORKLOAD_KEY};
use crate::spiffe::SpiffeId;

/// The default validity of a workload certificate: a day.
pub const WORKLOAD_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
#[non_exhaustive]
pub struct Workload {
    /// The leaf, then the intermediates, without the root.
    pub chain_pem: String,
    /// PKCS #8.
    pub key_pem: String,
    /// The root that the workload trusts.
    pub root_pem: String,
}

impl Workload {
    /// Writes `cert-chain.pem`, `key.pem` (mode 0600) and `root-cert.pem` to the directory,
    /// which is made if it is missing. Each file is replaced by rename.
    ///
    /// # Errors
    /// If the directory or a file cannot be written.
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

/// The fields of a workload certificate. Only the SPIFFE id identifies the workload, so the
/// subject is empty and the name critical, as in Istio.
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
