//! Why a handshake failed, by the error and by what the server had sent until then. Pure.

use std::io;
use std::io::ErrorKind as Kind;

use tokio_rustls::rustls::{self, AlertDescription, Error};

use super::Client;
use crate::engine::tls_error;
use crate::plan::TlsVersion;

/// What the server's first bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Greeting {
    Nothing,
    /// TLS refused the handshake at once.
    Alert,
    /// TLS chose a version, such as `0x0301`; 1.3 looks like 1.2 here.
    Hello(u16),
    /// Not TLS: the first line, if it is printable.
    Other(Option<String>),
}

impl Greeting {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::Nothing,
            [21, 3, ..] => Self::Alert,
            // A record, and in it a message of type 2 with its version.
            [22, 3, _, _, _, 2, _, _, _, major, minor, ..] => {
                Self::Hello(u16::from_be_bytes([*major, *minor]))
            }
            [22, 3, ..] => Self::Hello(0),
            _ => Self::Other(first_line(bytes)),
        }
    }
}

/// The first line, if it is text.
fn first_line(bytes: &[u8]) -> Option<String> {
    let line = bytes.split(|byte| [b'\r', b'\n'].contains(byte)).next()?;
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    (line.len() >= 3 && line.iter().all(printable))
        .then(|| String::from_utf8_lossy(line).trim().to_owned())
}

impl Client {
    /// Why a handshake with `host` failed; `bytes` are the first that the server sent.
    pub(in crate::engine) fn failure(&self, error: &io::Error, bytes: &[u8], host: &str) -> String {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let greeting = Greeting::of(bytes);
        match (&greeting, tls) {
            (Greeting::Other(text), Some(Error::InvalidMessage(_)) | None) => {
                not_tls(text.as_deref())
            }
            (_, Some(Error::AlertReceived(alert))) => self.refused(*alert, &greeting, host),
            (Greeting::Hello(version), Some(Error::PeerIncompatible(_)))
                if *version < 0x0303 && *version > 0 =>
            {
                format!("the server chose {}; {}", version_name(*version), self.no_older())
            }
            (_, Some(Error::PeerIncompatible(why))) if is_about_versions(why) => {
                format!("the server does not support {}; {}", self.offered(), self.no_older())
            }
            (_, Some(tls)) => tls_error::words(tls),
            (_, None) => self.ended(error, &greeting, host),
        }
    }

    fn offered(&self) -> &'static str {
        match self.newest {
            TlsVersion::V1_2 => "TLS 1.2",
            TlsVersion::V1_3 => "TLS 1.2 or 1.3",
        }
    }

    fn no_older(&self) -> &'static str {
        match self.newest {
            TlsVersion::V1_2 => "prober offers only TLS 1.2, because of --tls-max",
            TlsVersion::V1_3 => "prober has no older version, so enable TLS 1.2 on the server",
        }
    }

    /// The server ended the handshake and said why.
    fn refused(&self, alert: AlertDescription, greeting: &Greeting, host: &str) -> String {
        use AlertDescription as A;
        match (alert, greeting) {
            (A::HandshakeFailure | A::InsufficientSecurity, Greeting::Alert) => format!(
                "the server accepts none of prober's cipher suites or signatures ({}: ECDHE with AES-GCM or \
                 ChaCha20, no CBC, no RSA key exchange), or does not serve '{host}' \
                 ({}); enable one of them on the server",
                self.offered(),
                tls_error::alert_name(alert),
            ),
            (A::ProtocolVersion, _) => format!(
                "the server does not support {} (protocol_version); {}",
                self.offered(),
                self.no_older()
            ),
            (A::UnrecognisedName, _) => format!(
                "the server does not serve '{host}' (unrecognized_name); check the host of the URL"
            ),
            (
                A::HandshakeFailure
                | A::BadCertificate
                | A::CertificateUnknown
                | A::UnsupportedCertificate
                | A::AccessDenied,
                Greeting::Hello(_),
            ) if self.identity.is_missing() => format!(
                "the server requires a client certificate ({}); give --cert",
                tls_error::alert_name(alert)
            ),
            (A::HandshakeFailure | A::DecryptError, _) if self.identity.was_shown() => format!(
                "the server refused the client certificate ({})",
                tls_error::alert_name(alert)
            ),
            _ => tls_error::alert_words(alert),
        }
    }

    /// The connection ended without a TLS alert.
    fn ended(&self, error: &io::Error, greeting: &Greeting, host: &str) -> String {
        // What arrives first is chance: the server's end, or a reset because it did not read all.
        let (Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe) = error.kind() else {
            return format!("the TLS handshake failed: {}", usage::system_error(error));
        };
        let how = "the server closed the connection";
        match (greeting, self.hint()) {
            (Greeting::Nothing, _) => format!(
                "{how} without an answer; it may not speak TLS on this port, or not serve '{host}'"
            ),
            (_, Some(hint)) => format!("{how}; {hint}"),
            _ => format!("{how} in the middle of the TLS handshake"),
        }
    }
}

fn not_tls(line: Option<&str>) -> String {
    let what = "the server does not speak TLS on this port";
    match line {
        Some(line) => {
            format!("{what}: it answered '{line}'; without TLS the URL begins with http://")
        }
        None => format!("{what}; without TLS the URL begins with http://"),
    }
}

fn version_name(version: u16) -> String {
    match version {
        0x0300 => "SSL 3.0".to_owned(),
        0x0301 => "TLS 1.0".to_owned(),
        0x0302 => "TLS 1.1".to_owned(),
        _ => "an unknown TLS version".to_owned(),
    }
}

fn is_about_versions(why: &rustls::PeerIncompatible) -> bool {
    use rustls::PeerIncompatible as P;
    matches!(
        why,
        P::ServerDoesNotSupportTls12Or13
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_greeting_is_told_from_tls() {
        for (bytes, greeting) in [
            (&b""[..], Greeting::Nothing),
            (&[21, 3, 3, 0, 2, 2, 40], Greeting::Alert),
            (&[22, 3, 1, 0, 74, 2, 0, 0, 70, 3, 1, 0], Greeting::Hello(0x0301)),
            (&[22, 3, 1], Greeting::Hello(0)),
            (
                b"HTTP/1.1 400 Bad Request\r\nServer: x",
                Greeting::Other(Some("HTTP/1.1 400 Bad Request".to_owned())),
            ),
            (b"SSH-2.0-x", Greeting::Other(Some("SSH-2.0-x".to_owned()))),
            (b"\0\0\x12\x04\0", Greeting::Other(None)),
            (b"\x1b[2J hello", Greeting::Other(None)),
        ] {
            assert_eq!(Greeting::of(bytes), greeting, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_steer_a_terminal(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Greeting::Other(Some(line)) = Greeting::of(&bytes) {
                prop_assert!(!line.contains(char::is_control));
            }
        }
    }
}
