//! PEM files, and the certificates in them.

use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::TlsError;

/// The largest file that is read, in bytes; the certificates of a system take 0.2 MiB.
const LARGEST: u64 = 16 << 20;
/// What a section with a certificate is called.
const TAGS: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];

/// All certificates of a file, at least one.
pub(super) fn certificates(
    flag: &'static str,
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let sections = pem::parse_many(pem).unwrap_or_default();
    let found = sections.into_iter().filter(|section| TAGS.contains(&section.tag()));
    let found: Vec<_> =
        found.map(|section| CertificateDer::from(section.into_contents())).collect();
    if found.is_empty() {
        return Err(TlsError::Nothing { flag, file: file.to_owned(), wanted: "certificate" });
    }
    Ok(found)
}

pub(super) fn read(flag: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |reason| TlsError::Unreadable { flag, file: file.to_owned(), reason };
    usage::file::read(file, LARGEST).map_err(|error| unreadable(usage::system_error(&error)))
}
