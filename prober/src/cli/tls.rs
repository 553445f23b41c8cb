//! The TLS flags.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How TLS targets are verified; flags are spelled as in curl.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// PEM file with the client's certificate chain, and its private key unless --key is given
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Pass phrase of an encrypted private key. Other users of the machine can see it; better
    /// set it as PROBER_PASS in the environment
    #[arg(
        long,
        value_name = "PHRASE",
        env = "PROBER_PASS",
        hide_env = true,
        allow_hyphen_values = true
    )]
    pub pass: Option<PassPhrase>,
    /// Verify nothing of the server
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Newest TLS version to offer; the oldest is 1.2 [default: 1.3]
    #[arg(long, value_enum, value_name = "VERSION")]
    pub tls_max: Option<TlsVersion>,
    /// Resume TLS sessions of earlier connections [default: never, as new clients do]
    #[arg(long, value_enum)]
    pub tls_session: Option<TlsSession>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsVersion {
    /// TLS 1.2
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3
    #[value(name = "1.3")]
    V1_3,
}

/// Whether connections resume sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsSession {
    /// A full handshake on each connection
    Never,
    /// Resume a session of an earlier connection, if the server allows it
    Reuse,
}

/// A secret: it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PassPhrase(String);

impl PassPhrase {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for PassPhrase {
    fn from(phrase: String) -> Self {
        Self(phrase)
    }
}

impl fmt::Debug for PassPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassPhrase(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_phrase_is_not_printed() {
        let secret = PassPhrase::from("hunter2".to_owned());
        let args = TlsArgs { pass: Some(secret), ..TlsArgs::default() };
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
