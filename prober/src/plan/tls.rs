//! `--cacert`, `--cert`, `-k` and the other TLS flags. The files are read when the run starts.

use std::path::PathBuf;

use crate::cli::{PassPhrase, TlsArgs};
pub(crate) use crate::cli::{TlsSession, TlsVersion};

#[derive(Clone, Debug)]
pub struct TlsPlan {
    /// Certificates to trust instead of the system's.
    pub cacert: Option<PathBuf>,
    pub identity: Option<ClientIdentity>,
    /// Whether nothing of the server is verified.
    pub insecure: bool,
    /// The newest version that is offered.
    pub newest: TlsVersion,
    pub session: TlsSession,
}

/// What prober shows to servers that ask for a certificate.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The certificate with those of its issuers.
    pub cert: PathBuf,
    /// The private key, unless it is in the same file.
    pub key: Option<PathBuf>,
    pub pass: Option<PassPhrase>,
}

impl TlsPlan {
    pub(super) fn of(args: &TlsArgs) -> Self {
        let identity = args.cert.clone().map(|cert| ClientIdentity {
            cert,
            key: args.key.clone(),
            pass: args.pass.clone(),
        });
        Self {
            cacert: args.cacert.clone(),
            identity,
            insecure: args.insecure,
            newest: args.tls_max.unwrap_or(TlsVersion::V1_3),
            session: args.tls_session.unwrap_or(TlsSession::Never),
        }
    }
}
