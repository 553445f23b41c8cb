//! All that can go wrong with certificates, each as one line that names the
//! file and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a certificate could not be made, read or written. Each message is whole:
/// no variant has a `source`, which would be printed after it a second time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}: {}", path.display(), plain(reason))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },

    /// A file or folder could not be written.
    #[error("cannot write {}: {}", path.display(), plain(reason))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },

    /// A file that should hold certificates holds none.
    #[error("{} holds no PEM certificate (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },

    /// A PEM block is no X.509 certificate.
    #[error("{} is not a valid certificate: {problem}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        problem: String,
    },

    /// A file that should hold a private key holds none that can be used.
    #[error("{} holds no usable private key in PEM form: {reason}", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: rcgen::Error,
    },

    /// A private key and a certificate do not belong together.
    #[error("{} is not the key of {}", key.display(), certificate.display())]
    KeyMismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },

    /// A certificate that should sign others may not.
    #[error("{} is not an authority's certificate (no CA:true with keyCertSign)", path.display())]
    NotAuthority {
        /// The file.
        path: PathBuf,
    },

    /// A root certificate is not signed by itself.
    #[error("{} is not a root: it was signed by {issuer}, not by itself", path.display())]
    NotSelfSigned {
        /// The file.
        path: PathBuf,
        /// Who signed it.
        issuer: String,
    },

    /// A certificate is past its end.
    #[error("{} expired at {not_after}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// Its end.
        not_after: String,
    },

    /// A certificate's time has not come.
    #[error("{} is not valid before {not_before}; is the clock right?", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// Its start.
        not_before: String,
    },

    /// A chain's file does not start with the authority's own certificate.
    #[error("{} does not start with the certificate in {}", chain.display(), certificate.display())]
    ChainStart {
        /// The chain's file.
        chain: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },

    /// A chain does not lead to the root.
    #[error("{}: {subject} was not signed by {issuer} of {}", path.display(), issuer_path.display())]
    ChainBroken {
        /// The file of the signed certificate.
        path: PathBuf,
        /// Who was signed.
        subject: String,
        /// Who should have signed.
        issuer: String,
        /// The file of who should have signed.
        issuer_path: PathBuf,
    },

    /// Two roots that should be one differ.
    #[error(
        "{} differs from {}: clusters with different roots do not trust each other",
        path.display(), root.display()
    )]
    RootDiffers {
        /// The cluster's copy.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },

    /// An intermediate authority was asked to sign another authority.
    #[error("{subject} may not sign authorities, only workloads (pathlen:0)")]
    PathLength {
        /// The intermediate.
        subject: String,
    },

    /// A new certificate would not name its issuer exactly.
    #[error("{subject} has a name of a form that cannot be copied into certificates it signs")]
    ForeignName {
        /// The issuer.
        subject: String,
    },

    /// A cluster's name cannot be used.
    #[error("cluster name {name:?} {problem}")]
    ClusterName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The same cluster was named twice.
    #[error("cluster {name} is named twice")]
    ClusterTwice {
        /// The name.
        name: String,
    },

    /// Something is no SPIFFE id of Istio's form.
    #[error("SPIFFE id {id:?} {problem}")]
    SpiffeId {
        /// What was given.
        id: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A period that a certificate cannot have.
    #[error(
        "a certificate cannot be valid for {}; choose from 1s to 36500d",
        usage::duration::format(*length)
    )]
    Validity {
        /// What was given.
        length: Duration,
    },

    /// Files lie where new ones would go.
    #[error("{} exists already, and {problem}", path.display())]
    InTheWay {
        /// The file or folder.
        path: PathBuf,
        /// Why that is a problem, and what to do.
        problem: String,
    },

    /// A file that is needed is not there.
    #[error("{} is missing: {problem}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Why it is needed, and what to do.
        problem: &'static str,
    },

    /// The cryptographic library refused.
    #[error("cannot make a certificate: {0}")]
    Crypto(rcgen::Error),

    /// The system gave no random numbers.
    #[error("no random numbers from the system")]
    Random,
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error)
    }
}

/// What the system said, without Rust's "(os error 13)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((said, _)) => said.to_owned(),
        None => text,
    }
}
