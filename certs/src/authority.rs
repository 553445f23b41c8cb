//! Certificate authorities: the shared root, and the intermediate of each cluster, which
//! signs its workloads. `folder` reads and writes their files.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::error::Error;
use crate::key::KeyKind;
use crate::spiffe::SpiffeId;
use crate::validity;
use crate::workload;
use crate::workload::Workload;

pub(crate) mod folder;

/// Ten years, as in Istio's own tool.
pub(crate) const CA_VALIDITY: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// An authority: its private key, its certificate, and its issuers.
pub struct Authority {
    key: KeyPair,
    key_pem: String,
    certificate: Certificate,
    /// From the direct issuer up to the root; empty for a root.
    issuers: Vec<Certificate>,
}

impl Authority {
    /// A new self-signed root.
    ///
    /// # Errors
    /// If the cryptographic library refuses.
    pub fn root(kind: KeyKind) -> Result<Self, Error> {
        Self::root_with(kind.generate()?)
    }

    pub(crate) fn root_with(key: KeyPair) -> Result<Self, Error> {
        let period = validity::period(OffsetDateTime::now_utc(), CA_VALIDITY, None)?;
        let mut params = authority_params(period)?;
        params.distinguished_name.push(DnType::CommonName, "Root CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = Certificate::made(&params.self_signed(&key)?)?;
        Ok(Self { key_pem: key.serialize_pem(), key, certificate, issuers: Vec::new() })
    }

    /// A new intermediate for a cluster, signed by this root.
    ///
    /// # Errors
    /// If the name is not a DNS label, if this authority may not sign others, or if the
    /// cryptographic library refuses.
    pub fn intermediate(&self, cluster: &str, kind: KeyKind) -> Result<Self, Error> {
        check_cluster_name(cluster)?;
        self.intermediate_with(cluster, kind.generate()?)
    }

    /// The caller has checked the name.
    pub(crate) fn intermediate_with(&self, cluster: &str, key: KeyPair) -> Result<Self, Error> {
        if !self.certificate.signs_authorities() {
            return Err(Error::PathLength { subject: self.certificate.subject().into() });
        }
        let mut params = authority_params(self.period(CA_VALIDITY)?)?;
        params.distinguished_name.push(DnType::CommonName, "Intermediate CA");
        params.distinguished_name.push(DnType::LocalityName, cluster);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.subject_alt_names =
            vec![SanType::DnsName("istiod.istio-system.svc".to_owned().try_into()?)];
        let certificate = self.sign(&params, &key)?;
        let issuers = std::iter::once(&self.certificate).chain(&self.issuers).cloned().collect();
        Ok(Self { key_pem: key.serialize_pem(), key, certificate, issuers })
    }

    /// A new workload certificate with a new key. It is valid from two minutes ago, for machines
    /// whose clock is slow, and ends no later than this authority's own certificate.
    ///
    /// # Errors
    /// If the validity is out of range, or if the cryptographic library refuses.
    pub fn workload(
        &self,
        id: &SpiffeId,
        kind: KeyKind,
        validity: Duration,
    ) -> Result<Workload, Error> {
        let mut params = workload::params(id, self.period(validity)?)?;
        params.serial_number = Some(random_serial()?);
        let key = kind.generate()?;
        let leaf = self.sign(&params, &key)?;
        let mut chain_pem = leaf.pem().to_owned();
        // Without the root, which the peer has already.
        let above = std::iter::once(&self.certificate).chain(&self.issuers);
        for issuer in above.take(self.issuers.len()) {
            chain_pem.push_str(issuer.pem());
        }
        Ok(Workload {
            chain_pem,
            key_pem: key.serialize_pem(),
            root_pem: self.root_pem().to_owned(),
        })
    }

    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    #[must_use]
    pub fn root_certificate(&self) -> &Certificate {
        self.issuers.last().unwrap_or(&self.certificate)
    }

    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        self.certificate.pem()
    }

    /// PKCS #8.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The authority's certificate, then its issuers up to and including the root.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        std::iter::once(&self.certificate).chain(&self.issuers).map(Certificate::pem).collect()
    }

    #[must_use]
    pub fn root_pem(&self) -> &str {
        self.root_certificate().pem()
    }

    fn period(&self, length: Duration) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
        let end = self.certificate.not_after();
        validity::period(OffsetDateTime::now_utc(), length, Some(end))
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Result<Certificate, Error> {
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der().into(), &self.key)?;
        let signed = Certificate::made(&params.signed_by(key, &issuer)?)?;
        // The library may encode the issuer's name differently.
        if signed.is_signed_by(&self.certificate) {
            Ok(signed)
        } else {
            Err(Error::ForeignName { subject: self.certificate.subject().into() })
        }
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Refuses an invalid cluster name. The name becomes a directory, a Kubernetes context and
/// part of Istio's secrets.
///
/// # Errors
/// If it is empty, too long, or not a DNS label.
pub(crate) fn check_cluster_name(name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > 63 {
        "has more than 63 characters"
    } else if !name.chars().all(allowed) {
        "is not a DNS label: only a-z, 0-9 and - are allowed"
    } else if name.starts_with('-') || name.ends_with('-') {
        "is not a DNS label: it starts or ends with -"
    } else {
        return Ok(());
    };
    Err(Error::ClusterName { name: name.into(), problem })
}

/// The fields that root and intermediates have in common. The subject starts with `O=Istio`.
fn authority_params(
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Istio");
    params.not_before = not_before;
    params.not_after = not_after;
    params.serial_number = Some(random_serial()?);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        // Istio and openssl call it nonRepudiation.
        KeyUsagePurpose::ContentCommitment,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 126 random bits after a leading 01: positive, and always 16 bytes long.
fn random_serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::workload::WORKLOAD_VALIDITY;

    const KIND: KeyKind = KeyKind::EcdsaP256;

    fn parsed(pem: &str) -> Vec<Certificate> {
        Certificate::parse_all(pem.as_bytes(), Path::new("test")).unwrap()
    }

    #[test]
    fn a_workload_chain_leads_to_the_root_without_it() {
        let root = Authority::root(KIND).unwrap();
        let kops = root.intermediate("kops", KIND).unwrap();
        let id = SpiffeId::new("cluster.local", "istio-enabled", "echo2").unwrap();
        let workload = kops.workload(&id, KIND, WORKLOAD_VALIDITY).unwrap();
        let [leaf, issuer] = &parsed(&workload.chain_pem)[..] else { panic!("two certificates") };
        assert!(leaf.is_signed_by(issuer));
        assert!(issuer.is_signed_by(&parsed(&workload.root_pem)[0]));
        assert_eq!(leaf.names(), [format!("URI:{id}")]);
        assert_eq!(leaf.subject(), "");
        assert!(!leaf.is_authority());
        assert_eq!(issuer.subject(), "O=Istio, CN=Intermediate CA, L=kops");
        assert_eq!(kops.chain_pem(), format!("{}{}", kops.certificate_pem(), root.root_pem()));
        let minutes = (leaf.not_after() - OffsetDateTime::now_utc()).whole_minutes();
        assert!((1439..=1440).contains(&minutes), "{minutes}");
    }

    #[test]
    fn an_intermediate_signs_no_authority() {
        let kops = Authority::root(KIND).unwrap().intermediate("kops", KIND).unwrap();
        let error = kops.intermediate("gke1", KIND).unwrap_err();
        assert!(matches!(error, Error::PathLength { .. }), "{error}");
    }

    #[test]
    fn cluster_names_are_dns_labels() {
        for good in ["kops", "gke1", "a", "a-b", "1"] {
            assert!(check_cluster_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "a/b", "..", "A", "a.b", "a_b", "-a", "a-", "a b", "\u{e9}", &*long] {
            assert!(check_cluster_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_survives_writing_and_reading() {
        let dir = tempfile::tempdir().unwrap();
        let kops = Authority::root(KIND).unwrap().intermediate("kops", KIND).unwrap();
        kops.write(dir.path()).unwrap();
        let read = Authority::read(dir.path()).unwrap();
        assert_eq!(read.chain_pem(), kops.chain_pem());
        assert_eq!(read.key_pem(), kops.key_pem());
    }

    #[test]
    fn debug_output_holds_no_key() {
        let root = Authority::root(KIND).unwrap();
        assert!(!format!("{root:?}").contains("PRIVATE"));
    }
}
