//! Errors of the TLS library in words of the domain: nothing that differs from request to
//! request, no names of library types. Pure.

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InconsistentKeys};

/// Why TLS failed, with the remedy where there is a common one.
#[must_use]
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => certificate(why),
        Error::AlertReceived(alert) => alert_words(*alert),
        Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        Error::PeerIncompatible(_) => {
            "the server and prober have no TLS version or algorithm in common".to_owned()
        }
        Error::NoCertificatesPresented => "the server sent no certificate".to_owned(),
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key belongs to another certificate".to_owned()
        }
        Error::General(text) => text.clone(),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            "the server breaks the rules of the TLS protocol".to_owned()
        }
        other => other.to_string(),
    }
}

fn certificate(why: &CertificateError) -> String {
    use CertificateError as C;
    let what = match why {
        C::UnknownIssuer => "is signed by an unknown issuer; name its root with --cacert",
        C::Expired | C::ExpiredContext { .. } => "has expired",
        C::NotValidYet | C::NotValidYetContext { .. } => "is not valid yet",
        C::NotValidForName => "is not valid for the host name of the URL",
        C::NotValidForNameContext { presented, .. } => {
            let names = match presented.as_slice() {
                [] => "no name".to_owned(),
                names => names.iter().map(|name| plain_name(name)).collect::<Vec<_>>().join(", "),
            };
            return format!(
                "the server's certificate is not valid for the host name of the URL, only for {names}"
            );
        }
        C::Revoked => "is revoked",
        C::BadSignature => "has a bad signature",
        C::BadEncoding => "cannot be parsed",
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => "is not a server certificate",
        C::UnhandledCriticalExtension => "has a critical extension that prober does not know",
        _ => "cannot be verified",
    };
    format!("the server's certificate {what}")
}

/// `DnsName("b")`, as the library writes a name, without the type.
fn plain_name(name: &str) -> &str {
    name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")).unwrap_or(name)
}

/// What the server said when it ended the handshake; the names are those of RFC 8446, 6.
fn alert_words(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let what = match alert {
        A::CertificateRequired => "requires a client certificate; give --cert and --key",
        A::UnknownCA => "does not trust the issuer of the client certificate (unknown_ca)",
        A::BadCertificate => "refused the client certificate (bad_certificate)",
        A::UnsupportedCertificate => "refused the client certificate (unsupported_certificate)",
        A::CertificateUnknown => "refused the client certificate (certificate_unknown)",
        A::CertificateRevoked => "refused the client certificate (certificate_revoked)",
        A::CertificateExpired => "refused the client certificate (certificate_expired)",
        A::AccessDenied => "denied access (access_denied)",
        A::HandshakeFailure => "refused the handshake (handshake_failure)",
        A::ProtocolVersion => "does not support this TLS version (protocol_version)",
        A::UnrecognisedName => "does not know the host name of the URL (unrecognized_name)",
        A::NoApplicationProtocol => {
            "does not support the HTTP version asked for (no_application_protocol)"
        }
        A::InternalError => "failed (internal_error)",
        other => return format!("the server ended TLS with alert {}", u8::from(other)),
    };
    format!("the server {what}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    #[test]
    fn equal_failures_have_equal_words() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = |time| {
            words(&Error::InvalidCertificate(CertificateError::ExpiredContext {
                time: at(time),
                not_after: at(100),
            }))
        };
        assert_eq!(expired(101), "the server's certificate has expired");
        assert_eq!(expired(101), expired(202));
    }

    #[test]
    fn the_remedy_is_named_and_the_library_is_not() {
        let required = words(&Error::AlertReceived(AlertDescription::CertificateRequired));
        assert_eq!(required, "the server requires a client certificate; give --cert and --key");
        let expected = ServerName::try_from("a").unwrap();
        let presented = vec!["DnsName(\"b\")".to_owned()];
        let name = CertificateError::NotValidForNameContext { expected, presented };
        let other = words(&Error::InvalidCertificate(name));
        assert_eq!(
            other,
            "the server's certificate is not valid for the host name of the URL, only for b"
        );
        let unknown = words(&Error::AlertReceived(AlertDescription::Unknown(200)));
        assert_eq!(unknown, "the server ended TLS with alert 200");
    }
}
