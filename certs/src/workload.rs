//! Workload certificates: what a sidecar shows to its peers.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::authority::folder::{self, CA_CERT, CA_KEY, CERT_CHAIN as CHAIN, ROOT_CERT, ROOT_KEY};
use crate::certificate::day_and_time;
use crate::files::{self, Kind};
use crate::{Authority, Certificate, Error, KeyKind, SpiffeId};

/// How long a workload certificate is valid unless asked otherwise: a day.
pub const WORKLOAD_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

/// The file of the leaf's private key.
const KEY: &str = "key.pem";

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
                (KEY, &self.key_pem, Kind::Secret),
                (ROOT_CERT, &self.root_pem, Kind::Public),
                (CHAIN, &self.chain_pem, Kind::Public),
            ],
        )
    }
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// Makes a certificate of the authority in the folder `ca`, and writes it into
/// the folder `out`. Returns its end, as text.
///
/// # Errors
/// If the authority cannot be read, or if `out` cannot be written or holds
/// anything but an earlier certificate of the same id.
pub fn issue(
    ca: &Path,
    out: &Path,
    id: &SpiffeId,
    kind: KeyKind,
    validity: Duration,
) -> Result<String, Error> {
    check_free(out, id)?;
    let certificate = ca.join(CA_CERT);
    if !certificate.exists() && ca.join(ROOT_CERT).exists() {
        let problem = "name a cluster's folder, which lies in the folder of the root";
        return Err(Error::Missing { path: certificate, problem });
    }
    let workload = Authority::read(ca)?.workload(id, kind, validity)?;
    workload.write(out)?;
    let path = out.join(CHAIN);
    let made = Certificate::parse_all(workload.chain_pem.as_bytes(), &path)?;
    Ok(day_and_time(made[0].not_after()))
}

/// Refuses a folder that holds keys or certificates of anyone else.
fn check_free(out: &Path, id: &SpiffeId) -> Result<(), Error> {
    let in_the_way =
        |name: &str, problem: String| Err(Error::InTheWay { path: out.join(name), problem });
    for name in [CA_CERT, CA_KEY, ROOT_KEY] {
        if out.join(name).exists() {
            return in_the_way(name, "is an authority's: choose another --out".into());
        }
    }
    let chain = out.join(CHAIN);
    let renewed = chain.exists() && folder::read_first(&chain)?.names() == [format!("URI:{id}")];
    for name in [CHAIN, KEY] {
        if out.join(name).exists() && !renewed {
            return in_the_way(name, format!("is not of {id}: choose another --out"));
        }
    }
    Ok(())
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
