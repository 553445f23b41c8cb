//! Authorities in directories, in the files that Istio reads: reads them with all checks, and
//! writes them.

use std::path::Path;

use rcgen::KeyPair;
use time::OffsetDateTime;

use super::Authority;
use crate::certificate::Certificate;
use crate::error::Error;
use crate::files::{self, CA_CERT, CA_KEY, CERT_CHAIN, Kind, ROOT_CERT, ROOT_KEY, Staging};

impl Authority {
    /// Reads a cluster's directory: `ca-cert.pem`, `ca-key.pem`, `root-cert.pem`
    /// and `cert-chain.pem` (with or without the root).
    ///
    /// # Errors
    /// If a file is missing, is not PEM, has expired, if others may use the key, or if
    /// they do not belong together: key and certificate, certificate and chain, chain and root.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let now = OffsetDateTime::now_utc();
        let (cert_path, root_path) = (dir.join(CA_CERT), dir.join(ROOT_CERT));
        let chain_path = dir.join(CERT_CHAIN);
        let (certificate, key) = read_pair(&cert_path, &dir.join(CA_KEY), now)?;
        let root = read_first(&root_path)?;
        root.check_time(now, &root_path)?;
        root.check_authority(&root_path)?;

        let mut chain = Certificate::parse_all(&files::read(&chain_path)?, &chain_path)?;
        if chain.remove(0) != certificate {
            return Err(Error::ChainStart { chain: chain_path, certificate: cert_path });
        }
        if chain.last() != Some(&root) && certificate != root {
            if chain.last().is_some_and(|last| last.is_signed_by(last)) {
                return Err(Error::RootDiffers { path: root_path, root: chain_path });
            }
            chain.push(root);
        }
        let mut signed = &certificate;
        for (index, issuer) in chain.iter().enumerate() {
            issuer.check_time(now, &chain_path)?;
            issuer.check_authority(&chain_path)?;
            if !signed.is_signed_by(issuer) {
                let last = index + 1 == chain.len();
                return Err(Error::ChainBroken {
                    path: if index == 0 { cert_path } else { chain_path.clone() },
                    subject: signed.subject().into(),
                    issuer: issuer.subject().into(),
                    issuer_path: if last { root_path } else { chain_path },
                });
            }
            signed = issuer;
        }
        Ok(Self { key_pem: key.serialize_pem(), key, certificate, issuers: chain })
    }

    /// Reads a root from `root-cert.pem` and `root-key.pem`.
    ///
    /// # Errors
    /// If a file is missing, is not PEM, has expired, is not signed by itself,
    /// if others may use the key, or if key and certificate do not belong together.
    pub fn read_root(dir: &Path) -> Result<Self, Error> {
        let certificate = read_root_certificate(dir)?;
        let path = dir.join(ROOT_CERT);
        let (_, key) = read_pair(&path, &dir.join(ROOT_KEY), OffsetDateTime::now_utc())?;
        Ok(Self { key_pem: key.serialize_pem(), key, certificate, issuers: Vec::new() })
    }

    /// Writes a cluster's four files into the folder, which is made if absent.
    /// The key has mode 0600. Each file is replaced by rename.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        files::make_folder(dir)?;
        let chain = self.chain_pem();
        files::write_together(dir, &self.cluster_files(&chain))
    }

    /// Writes a cluster's four files into a folder of that name.
    pub(crate) fn stage(&self, staging: &Staging, folder: &str) -> Result<(), Error> {
        staging.folder(folder)?;
        let chain = self.chain_pem();
        self.cluster_files(&chain).into_iter().try_for_each(|(name, text, kind)| {
            staging.write(&format!("{folder}/{name}"), text, kind)
        })
    }

    /// Writes the root's two files.
    pub(crate) fn stage_root(&self, staging: &Staging) -> Result<(), Error> {
        staging.write(ROOT_KEY, &self.key_pem, Kind::Secret)?;
        staging.write(ROOT_CERT, self.certificate_pem(), Kind::Public)
    }

    fn cluster_files<'a>(&'a self, chain: &'a str) -> [(&'static str, &'a str, Kind); 4] {
        [
            (CA_KEY, &self.key_pem, Kind::Secret),
            (CA_CERT, self.certificate_pem(), Kind::Public),
            (ROOT_CERT, self.root_pem(), Kind::Public),
            (CERT_CHAIN, chain, Kind::Public),
        ]
    }
}

/// The first certificate of a file.
pub(crate) fn read_first(path: &Path) -> Result<Certificate, Error> {
    let mut all = Certificate::parse_all(&files::read(path)?, path)?;
    Ok(all.swap_remove(0))
}

/// The certificate in `root-cert.pem`, checked to be a root that is valid now.
pub(crate) fn read_root_certificate(dir: &Path) -> Result<Certificate, Error> {
    let path = dir.join(ROOT_CERT);
    let certificate = read_first(&path)?;
    certificate.check_time(OffsetDateTime::now_utc(), &path)?;
    certificate.check_authority(&path)?;
    if !certificate.is_signed_by(&certificate) {
        return Err(Error::NotSelfSigned { path, issuer: certificate.issuer().into() });
    }
    Ok(certificate)
}

/// An authority's certificate and its private key, checked against each other.
fn read_pair(
    certificate_path: &Path,
    key_path: &Path,
    now: OffsetDateTime,
) -> Result<(Certificate, KeyPair), Error> {
    let certificate = read_first(certificate_path)?;
    let text = files::read_secret(key_path)?;
    let key = KeyPair::from_pem(&String::from_utf8_lossy(&text))
        .map_err(|_| Error::BadKey { path: key_path.into() })?;
    if !certificate.belongs_to(&key) {
        return Err(Error::KeyMismatch {
            key: key_path.into(),
            certificate: certificate_path.into(),
        });
    }
    certificate.check_time(now, certificate_path)?;
    certificate.check_authority(certificate_path)?;
    Ok((certificate, key))
}
