//! Errors of the TLS library in words of the domain: nothing that differs from request to
//! request, no names of library types. Pure.

mod certificate;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

pub(super) use certificate::CertificateProblem;

/// Why TLS failed, with the remedy where there is a common one.
#[must_use]
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<CertificateProblem>() {
                Some(problem) => problem.to_string(),
                None => CertificateProblem::Other.to_string(),
            }
        }
        // Only prober's own verifier judges certificates.
        Error::InvalidCertificate(_) => CertificateProblem::Other.to_string(),
        Error::AlertReceived(alert) => alert_words(*alert),
        Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        Error::PeerIncompatible(_) => {
            "the server and prober have no TLS version or algorithm in common".to_owned()
        }
        Error::NoCertificatesPresented => "the server sent no certificate".to_owned(),
        Error::General(_) => "the key is of a kind that prober does not know".to_owned(),
        Error::DecryptError => "the server's data cannot be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "the server's data is larger than TLS allows".to_owned(),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            "the server breaks the rules of the TLS protocol".to_owned()
        }
        _ => "TLS cannot continue".to_owned(),
    }
}

/// The name of an alert in RFC 8446, 6, or its number.
#[must_use]
pub(super) fn alert_name(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CloseNotify => "close_notify",
        A::UnexpectedMessage => "unexpected_message",
        A::BadRecordMac => "bad_record_mac",
        A::RecordOverflow => "record_overflow",
        A::HandshakeFailure => "handshake_failure",
        A::BadCertificate => "bad_certificate",
        A::UnsupportedCertificate => "unsupported_certificate",
        A::CertificateRevoked => "certificate_revoked",
        A::CertificateExpired => "certificate_expired",
        A::CertificateUnknown => "certificate_unknown",
        A::IllegalParameter => "illegal_parameter",
        A::UnknownCA => "unknown_ca",
        A::AccessDenied => "access_denied",
        A::DecodeError => "decode_error",
        A::DecryptError => "decrypt_error",
        A::ProtocolVersion => "protocol_version",
        A::InsufficientSecurity => "insufficient_security",
        A::InternalError => "internal_error",
        A::InappropriateFallback => "inappropriate_fallback",
        A::UserCanceled => "user_canceled",
        A::MissingExtension => "missing_extension",
        A::UnsupportedExtension => "unsupported_extension",
        A::UnrecognisedName => "unrecognized_name",
        A::BadCertificateStatusResponse => "bad_certificate_status_response",
        A::UnknownPSKIdentity => "unknown_psk_identity",
        A::CertificateRequired => "certificate_required",
        A::NoApplicationProtocol => "no_application_protocol",
        other => return format!("alert {}", u8::from(other)),
    }
    .to_owned()
}

/// What the server said when it ended TLS.
#[must_use]
pub(super) fn alert_words(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let what = match alert {
        A::CertificateRequired => "requires a client certificate",
        A::UnknownCA => "does not trust the issuer of the client certificate",
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateUnknown
        | A::CertificateRevoked => "refused the client certificate, or requires one",
        A::CertificateExpired => "refused the client certificate: it is expired or not yet valid",
        A::AccessDenied => "denied access",
        A::HandshakeFailure | A::InsufficientSecurity => "refused the handshake",
        A::ProtocolVersion => "does not support this TLS version",
        A::UnrecognisedName => "does not serve the host of the URL",
        A::NoApplicationProtocol => "does not support the HTTP version asked for",
        A::InternalError => "failed",
        A::UserCanceled => "cancelled the handshake",
        _ => "ended TLS",
    };
    let remedy = match alert {
        A::CertificateRequired => "; give --cert",
        A::UnknownCA
        | A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateUnknown
        | A::CertificateRevoked
        | A::CertificateExpired => "; check --cert",
        A::NoApplicationProtocol => "; try another one, such as --http1.1",
        _ => "",
    };
    format!("the server {what} ({}){remedy}", alert_name(alert))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::OtherError;

    use super::*;

    #[test]
    fn the_remedy_is_named_and_the_library_is_not() {
        for (alert, line) in [
            (
                AlertDescription::CertificateRequired,
                "the server requires a client certificate (certificate_required); give --cert",
            ),
            (AlertDescription::InternalError, "the server failed (internal_error)"),
            (AlertDescription::Unknown(200), "the server ended TLS (alert 200)"),
        ] {
            assert_eq!(words(&Error::AlertReceived(alert)), line);
        }
    }

    #[test]
    fn a_problem_with_a_certificate_is_told_as_it_is() {
        let problem = CertificateProblem::PathLength;
        let other = OtherError(Arc::new(problem.clone()));
        let error = Error::InvalidCertificate(CertificateError::Other(other));
        assert_eq!(words(&error), problem.to_string());
        let unknown = words(&Error::InvalidCertificate(CertificateError::BadEncoding));
        assert_eq!(unknown, CertificateProblem::Other.to_string());
    }
}
