//! The errors of this crate. Each is one line that names the file and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a certificate could not be made, read or written. Each message is complete: no variant
/// has a `source`, which would be printed a second time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read {}: {}", path.display(), usage::system_error(reason))]
    Read { path: PathBuf, reason: io::Error },

    #[error("cannot write {}: {}", path.display(), usage::system_error(reason))]
    Write { path: PathBuf, reason: io::Error },

    #[error("{} is longer than {} MiB; give a file of PEM certificates", path.display(), most >> 20)]
    TooLong {
        path: PathBuf,
        /// In bytes.
        most: u64,
    },

    #[error("{} is not a file; restore the private key, or make a new one", path.display())]
    NotAFile { path: PathBuf },

    #[error(
        "{} is a private key that others may use (mode {mode:04o}); run chmod 600 {}",
        path.display(), shell_word(path)
    )]
    OpenKey {
        path: PathBuf,
        /// The permissions.
        mode: u32,
    },

    #[error(
        "everybody can replace the keys in {} (mode {mode:04o}); run chmod o-w {}",
        path.display(), shell_word(path)
    )]
    OpenFolder {
        path: PathBuf,
        /// The permissions.
        mode: u32,
    },

    #[error("{} does not contain a PEM certificate (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate { path: PathBuf },

    /// A PEM block is not an X.509 certificate.
    #[error("{} is not a valid certificate: {problem}", path.display())]
    BadCertificate { path: PathBuf, problem: String },

    #[error("{} does not contain a usable PEM private key; restore it, or make a new one", path.display())]
    BadKey { path: PathBuf },

    #[error("{} is not the key of {}", key.display(), certificate.display())]
    KeyMismatch { key: PathBuf, certificate: PathBuf },

    #[error("{} is not a CA certificate (it lacks CA:true or keyCertSign)", path.display())]
    NotAuthority { path: PathBuf },

    #[error("{} is not a root: it was signed by {issuer}, not by itself", path.display())]
    NotSelfSigned { path: PathBuf, issuer: String },

    #[error("{} expired at {not_after}", path.display())]
    Expired { path: PathBuf, not_after: String },

    #[error("{} is not valid before {not_before}; check the clock", path.display())]
    NotYetValid { path: PathBuf, not_before: String },

    #[error("{} does not start with the certificate in {}", chain.display(), certificate.display())]
    ChainStart { chain: PathBuf, certificate: PathBuf },

    #[error("{}: {subject} was not signed by {issuer} of {}", path.display(), issuer_path.display())]
    ChainBroken {
        /// The file of the signed certificate.
        path: PathBuf,
        subject: String,
        /// Who should have signed it.
        issuer: String,
        /// The file of the issuer.
        issuer_path: PathBuf,
    },

    #[error(
        "{} differs from {}: clusters with different roots do not trust each other",
        path.display(), root.display()
    )]
    RootDiffers {
        /// The cluster's copy.
        path: PathBuf,
        root: PathBuf,
    },

    #[error("{subject} can sign only workloads, not CAs (pathlen:0)")]
    PathLength { subject: String },

    /// A new certificate would not repeat its issuer's name exactly.
    #[error("the name {subject} uses an encoding that cannot be copied into signed certificates")]
    ForeignName { subject: String },

    #[error("cluster name {name:?} {problem}")]
    ClusterName {
        name: String,
        /// What is wrong; completes "the name …".
        problem: &'static str,
    },

    #[error("cluster {name} is given twice; remove one")]
    ClusterTwice { name: String },

    #[error("SPIFFE id {id:?} {problem}")]
    SpiffeId {
        id: String,
        /// What is wrong; completes "the name …".
        problem: String,
    },

    #[error(
        "a certificate cannot be valid for {}; choose from 1s to 36500d",
        usage::duration::format(*length)
    )]
    Validity { length: Duration },

    /// A file is in the way of a new one.
    #[error("{} exists already, and {problem}", path.display())]
    InTheWay {
        path: PathBuf,
        /// Why that is a problem, and what to do.
        problem: String,
    },

    #[error("{} is missing: {problem}", path.display())]
    Missing {
        path: PathBuf,
        /// Why it is needed, and what to do.
        problem: &'static str,
    },

    /// The names were checked before, so this is rare.
    #[error("cannot make a certificate: the signing key or a name cannot be used")]
    Crypto,

    #[error("the system returned no random numbers")]
    Random,
}

/// A path as a shell reads it.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    // Otherwise chmod takes it for an option.
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

impl From<rcgen::Error> for Error {
    fn from(_: rcgen::Error) -> Self {
        Self::Crypto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("out/ca-key.pem", "out/ca-key.pem"),
            ("-x", "./-x"),
            ("my keys/a", "'my keys/a'"),
            ("it's", r"'it'\''s'"),
            ("$(id)", "'$(id)'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
