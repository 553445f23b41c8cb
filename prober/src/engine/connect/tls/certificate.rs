//! What a certificate states: its names, its time, and what it may be used for.

use std::net::IpAddr;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio_rustls::rustls::pki_types::ServerName;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name, X509Version};

use crate::engine::tls_error::CertificateProblem;

/// How many names a message lists.
const NAMES: usize = 5;
/// The longest name that a message shows, in characters.
const LONGEST: usize = 80;

/// The certificate that the bytes are, all of them.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(parsed)
}

pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A name as a message shows it: the common name if there is one.
pub(super) fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().last().and_then(|name| name.as_str().ok());
    shown(&common.map_or_else(|| name.to_string(), str::to_owned))
}

/// Text of the server's, short and without characters that a terminal would obey.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(LONGEST).collect();
    let mut shown = printable::clean(&short).into_owned();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// How a message calls a certificate.
pub(super) fn which(certificate: &X509Certificate<'_>, is_leaf: bool) -> String {
    if is_leaf {
        "the server's certificate".to_owned()
    } else {
        format!("the issuer's certificate '{}'", name(certificate.subject()))
    }
}

/// Whether the certificate is valid at this second of UNIX time.
pub(super) fn validity(
    certificate: &X509Certificate<'_>,
    now: i64,
) -> Result<(), (bool, String, String)> {
    let validity = certificate.validity();
    let early = now < validity.not_before.timestamp();
    if !early && now <= validity.not_after.timestamp() {
        return Ok(());
    }
    let limit = if early { validity.not_before } else { validity.not_after };
    let (limit, today) = (limit.timestamp(), day(now));
    let on = day(limit);
    // On the day itself, the time matters.
    let on = if on == today { format!("{on} {} UTC", time_of_day(limit)) } else { on };
    Err((early, on, today))
}

fn day(seconds: i64) -> String {
    written(seconds, format_description!("[year]-[month]-[day]"))
}

fn time_of_day(seconds: i64) -> String {
    written(seconds, format_description!("[hour]:[minute]"))
}

fn written(seconds: i64, form: &[BorrowedFormatItem<'_>]) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(form).ok()).unwrap_or_default()
}

/// Whether the certificate may issue others; the rules are those of OpenSSL.
pub(super) fn may_issue(certificate: &X509Certificate<'_>) -> bool {
    let Ok(usage) = certificate.key_usage() else { return false };
    let signs = usage.map(|usage| usage.value.key_cert_sign());
    match (signs, certificate.basic_constraints()) {
        (Some(false), _) | (_, Err(_)) => false,
        (_, Ok(Some(constraints))) => constraints.value.ca,
        (_, Ok(None)) if certificate.version() == X509Version::V1 => is_self_issued(certificate),
        (signs, Ok(None)) => signs == Some(true),
    }
}

pub(super) fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// How many more issuers may follow below this one.
pub(super) fn most_issuers_below(certificate: &X509Certificate<'_>) -> Option<u32> {
    let constraints = certificate.basic_constraints().ok().flatten()?;
    constraints.value.path_len_constraint
}

/// Checks that the certificate may be a server's, or be one of its issuers'.
pub(super) fn for_servers(
    certificate: &X509Certificate<'_>,
    which: impl Fn() -> String,
) -> Result<(), CertificateProblem> {
    let uses = match certificate.extended_key_usage() {
        Ok(None) => return Ok(()),
        Ok(Some(uses)) => uses.value,
        Err(_) => return Err(CertificateProblem::Unreadable),
    };
    if uses.server_auth || uses.any {
        return Ok(());
    }
    let known = [
        (uses.client_auth, "clients"),
        (uses.code_signing, "code signing"),
        (uses.email_protection, "email"),
        (uses.time_stamping, "time stamping"),
        (uses.ocsp_signing, "OCSP"),
    ];
    let known: Vec<_> = known.iter().filter(|(set, _)| *set).map(|(_, what)| *what).collect();
    let only = if known.is_empty() { "other uses".to_owned() } else { known.join(" and ") };
    Err(CertificateProblem::NotForServers { which: which(), only })
}

/// An extension that must be understood, and is not.
pub(super) fn unknown_critical(certificate: &X509Certificate<'_>) -> Option<String> {
    use x509_parser::prelude::ParsedExtension as P;
    let unknown = certificate.extensions().iter().find(|extension| {
        extension.critical
            && !matches!(
                extension.parsed_extension(),
                P::BasicConstraints(_)
                    | P::KeyUsage(_)
                    | P::ExtendedKeyUsage(_)
                    | P::SubjectAlternativeName(_)
                    | P::NameConstraints(_)
            )
    });
    unknown.map(|extension| extension.oid.to_id_string())
}

/// The length of an RSA key in bits; `None` for other keys.
pub(super) fn rsa_bits(certificate: &X509Certificate<'_>) -> Option<usize> {
    match certificate.public_key().parsed().ok()? {
        x509_parser::public_key::PublicKey::RSA(key) => Some(key.key_size()),
        _ => None,
    }
}

/// The hosts that a certificate is for.
#[derive(Debug, PartialEq, Eq)]
struct Hosts {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// Names that are not of hosts, such as SPIFFE IDs; only for messages.
    uris: Vec<String>,
    /// The common name, which counts if there is neither a name nor an address, as in curl.
    common: Option<String>,
}

impl Hosts {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let (mut names, mut addresses, mut uris) = (Vec::new(), Vec::new(), Vec::new());
        let alternative = certificate.subject_alternative_name();
        let readable = alternative.is_ok();
        let alternative = alternative.ok().flatten();
        for general in alternative.iter().flat_map(|names| &names.value.general_names) {
            match general {
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let common = certificate.subject().iter_common_name().last();
        let common = common.and_then(|name| name.as_str().ok()).map(str::to_owned);
        let common = common.filter(|_| readable && names.is_empty() && addresses.is_empty());
        Self { names, addresses, uris, common }
    }

    fn include(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => {
                self.addresses.contains(&address) || self.common.as_deref() == Some(host)
            }
            Err(_) => self.names.iter().chain(&self.common).any(|name| covers(name, host)),
        }
    }

    fn listed(&self) -> Option<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let names = self.names.iter().chain(&self.common);
        let all: Vec<_> = names.map(|name| shown(name)).chain(addresses).collect();
        match all.len() {
            0 => None,
            n if n > NAMES => Some(format!("{} and {} more", all[..NAMES].join(", "), n - NAMES)),
            _ => Some(all.join(", ")),
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Whether a name of a certificate, perhaps with `*.` in front, covers a host.
fn covers(name: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    match (name.strip_prefix("*."), host.split_once('.')) {
        (Some(parent), Some((label, above))) => {
            !label.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(above)
        }
        (Some(_), None) => false,
        (None, _) => name.eq_ignore_ascii_case(host),
    }
}

/// Checks that the certificate is for this host.
pub(super) fn check_host(
    certificate: &X509Certificate<'_>,
    wanted: &ServerName<'_>,
) -> Result<(), CertificateProblem> {
    let hosts = Hosts::of(certificate);
    let wanted = wanted.to_str();
    if hosts.include(&wanted) {
        return Ok(());
    }
    let wanted = wanted.into_owned();
    Err(match hosts.listed() {
        Some(names) => CertificateProblem::WrongName { names, wanted },
        None => {
            let other = hosts.uris.first().map(|uri| format!(" but {}", shown(uri)));
            CertificateProblem::NoName { wanted, other: other.unwrap_or_default() }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_covers_what_it_covers_in_curl() {
        for (name, host, covered) in [
            ("a.example", "a.example", true),
            ("a.example", "A.Example", true),
            ("a.example", "a.example.", true),
            ("a.example.", "a.example", true),
            ("a.example", "b.a.example", false),
            ("*.a.example", "b.a.example", true),
            ("*.a.example", "a.example", false),
            ("*.a.example", "c.b.a.example", false),
            ("*.example", "a.example", false),
            ("*", "a", false),
            ("b*.a.example", "bc.a.example", false),
            ("*.a.example", ".a.example", false),
            ("", "", true),
        ] {
            assert_eq!(covers(name, host), covered, "{name} {host}");
        }
    }

    #[test]
    fn the_common_name_counts_only_alone() {
        let hosts = |names: &[&str], common: Option<&str>| Hosts {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            addresses: vec![],
            uris: vec![],
            common: common.map(str::to_owned),
        };
        assert!(hosts(&[], Some("a")).include("a"));
        assert!(hosts(&[], Some("127.0.0.1")).include("127.0.0.1"));
        assert!(!hosts(&[], Some("*.0.0.1")).include("127.0.0.1"), "an address has no labels");
        assert!(!hosts(&["127.0.0.1"], None).include("127.0.0.1"), "a name is not an address");
        assert_eq!(hosts(&[], None).listed(), None);
        let many: Vec<_> = (0..7).map(|n| format!("h{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(hosts(&many, None).listed().unwrap(), "h0, h1, h2, h3, h4 and 2 more");
    }

    #[test]
    fn names_of_the_server_cannot_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(shown(&"x".repeat(200)).chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn no_name_panics(name in "\\PC{0,9}", host in "\\PC{0,9}") {
            let _ = (covers(&name, &host), shown(&name));
        }
    }
}
