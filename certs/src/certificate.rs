//! One X.509 certificate: its fields, whether it is valid now, and who signed it. Paths are
//! used only in errors.

use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::digest;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::error::Error;

#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    pem: String,
    subject: String,
    issuer: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    serial: String,
    key: String,
    names: Vec<String>,
    signs_authorities: bool,
    is_authority: bool,
}

impl Certificate {
    /// All certificates of a PEM text, in order. `path` is for errors only.
    ///
    /// # Errors
    /// If the text contains no certificate, or one of them cannot be parsed.
    pub fn parse_all(pem: &[u8], path: &Path) -> Result<Vec<Self>, Error> {
        let blocks = pem::parse_many(pem).map_err(|_| Error::BadCertificate {
            path: path.into(),
            problem: "its PEM block is damaged; restore it, or make a new one".to_owned(),
        })?;
        let found = blocks
            .into_iter()
            .filter(|block| block.tag() == "CERTIFICATE")
            .map(|block| Self::from_der(block.into_contents(), path))
            .collect::<Result<Vec<_>, _>>()?;
        if found.is_empty() {
            return Err(Error::NoCertificate { path: path.into() });
        }
        Ok(found)
    }

    pub(crate) fn made(made: &rcgen::Certificate) -> Result<Self, Error> {
        Self::from_der(made.der().to_vec(), Path::new("the new certificate"))
    }

    fn from_der(der: Vec<u8>, path: &Path) -> Result<Self, Error> {
        // The library's reason is a debug form.
        let damaged = || Error::BadCertificate {
            path: path.into(),
            problem: "its content is not X.509; restore it, or make a new one".to_owned(),
        };
        let (_, x509) = X509Certificate::from_der(&der).map_err(|_| damaged())?;
        let basic = x509.basic_constraints().map_err(|_| damaged())?;
        let usage = x509.key_usage().map_err(|_| damaged())?;
        let names = x509.subject_alternative_name().map_err(|_| damaged())?;
        let may_sign = usage.is_none_or(|usage| usage.value.key_cert_sign());
        let is_authority = basic.as_ref().is_some_and(|basic| basic.value.ca) && may_sign;
        let longest = basic.and_then(|basic| basic.value.path_len_constraint);
        Ok(Self {
            subject: printable::clean(&x509.subject().to_string()).into_owned(),
            issuer: printable::clean(&x509.issuer().to_string()).into_owned(),
            not_before: x509.validity().not_before.to_datetime(),
            not_after: x509.validity().not_after.to_datetime(),
            serial: hex(x509.raw_serial()),
            key: key_of(&x509),
            names: names
                .map(|names| names.value.general_names.iter().map(name).collect())
                .unwrap_or_default(),
            signs_authorities: is_authority && longest != Some(0),
            is_authority,
            pem: pem::encode_config(
                &pem::Pem::new("CERTIFICATE", &*der),
                pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
            ),
            der,
        })
    }

    /// Ends with a newline.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Such as `O=Istio, CN=Root CA`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// UTC.
    #[must_use]
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// UTC.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Hexadecimal bytes, separated by colons.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The key type, such as `RSA 4096`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its subject alternative names, such as `DNS:example.com`.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether it may sign other certificates.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// Whether it may sign other authorities.
    #[must_use]
    pub fn signs_authorities(&self) -> bool {
        self.signs_authorities
    }

    /// SHA-256 in hexadecimal bytes, separated by colons, as
    /// `openssl x509 -fingerprint -sha256` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.der).as_ref())
    }

    /// Whether `issuer` signed this: checks name and signature.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let (Ok((_, own)), Ok((_, other))) =
            (X509Certificate::from_der(&self.der), X509Certificate::from_der(&issuer.der))
        else {
            return false;
        };
        own.issuer().as_raw() == other.subject().as_raw()
            && own.verify_signature(Some(other.public_key())).is_ok()
    }

    /// Whether `key` is the private key of this certificate.
    pub(crate) fn belongs_to(&self, key: &rcgen::KeyPair) -> bool {
        X509Certificate::from_der(&self.der).is_ok_and(|(_, own)| {
            *own.public_key().subject_public_key.data == *key.public_key_raw()
        })
    }

    /// Refuses a certificate that is not valid at `now`.
    pub(crate) fn check_time(&self, now: OffsetDateTime, path: &Path) -> Result<(), Error> {
        if now > self.not_after {
            let not_after = day_and_time(self.not_after);
            return Err(Error::Expired { path: path.into(), not_after });
        }
        if now < self.not_before {
            let not_before = day_and_time(self.not_before);
            return Err(Error::NotYetValid { path: path.into(), not_before });
        }
        Ok(())
    }

    /// Refuses a certificate that may not sign others.
    pub(crate) fn check_authority(&self, path: &Path) -> Result<(), Error> {
        if self.is_authority { Ok(()) } else { Err(Error::NotAuthority { path: path.into() }) }
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({}, {})", self.subject, self.fingerprint())
    }
}

/// `2035-01-31 12:00:00 UTC`.
#[must_use]
pub(crate) fn day_and_time(moment: OffsetDateTime) -> String {
    let (date, (hour, minute, second)) = (moment.date(), moment.time().as_hms());
    format!("{date} {hour:02}:{minute:02}:{second:02} UTC")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

fn key_of(x509: &X509Certificate<'_>) -> String {
    match x509.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(key)) => format!("EC {}", key.key_size()),
        _ => format!("of algorithm {}", x509.public_key().algorithm.algorithm),
    }
}

/// In the form of openssl.
fn name(name: &GeneralName<'_>) -> String {
    let text = match name {
        GeneralName::DNSName(name) => format!("DNS:{name}"),
        GeneralName::URI(uri) => format!("URI:{uri}"),
        GeneralName::RFC822Name(name) => format!("email:{name}"),
        other => other.to_string(),
    };
    printable::clean(&text).into_owned()
}
