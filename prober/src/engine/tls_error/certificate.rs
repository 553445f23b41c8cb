//! What can be wrong with a server's certificate, each with its remedy.

use thiserror::Error;

/// Why a server's certificate is refused. `Display` is a part of a line. `which` is a certificate
/// in words, such as "the server's certificate"; times are in UTC.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(in crate::engine) enum CertificateProblem {
    #[error("the server's certificate cannot be read as X.509; have it issued again")]
    Unreadable,
    #[error(
        "the self-signed certificate '{subject}' is not trusted; trust it with --cacert, or verify \
         nothing with -k"
    )]
    SelfSigned { subject: String },
    #[error(
        "unknown issuer '{issuer}' of {which}; name the root with --cacert, or let the server send \
         its intermediate certificates"
    )]
    UnknownIssuer { which: String, issuer: String },
    #[error(
        "unknown root '{root}' of the server's certificate; if it is the right one, name it with \
         --cacert"
    )]
    UntrustedRoot { root: String },
    #[error(
        "{which} was not signed by the known '{issuer}', but by another key of the same name; \
         give the issuer's present certificate"
    )]
    OtherKey { which: String, issuer: String },
    #[error("{which} expired on {at} (today is {today}); renew it")]
    Expired { which: String, at: String, today: String },
    #[error("{which} is not valid before {from} (today is {today}); check the clocks")]
    NotYetValid { which: String, from: String, today: String },
    #[error(
        "the certificate is for {names}, not for '{wanted}', the host of the URL; use a name that it \
         has (--connect-to leads it elsewhere)"
    )]
    WrongName { names: String, wanted: String },
    #[error(
        "the certificate names no host{other}, and not '{wanted}', the host of the URL; have it \
         issued with this name"
    )]
    NoName { wanted: String, other: String },
    #[error("{which} is signed with {algorithm}, which is not safe; have it issued with SHA-256")]
    WeakSignature { which: String, algorithm: &'static str },
    #[error(
        "{which} is signed with an algorithm that prober does not know ({oid}); have it issued \
         with RSA or ECDSA and SHA-256"
    )]
    UnknownAlgorithm { which: String, oid: String },
    #[error(
        "{which} has an RSA key of {bits} bits, which is not safe; have it issued for a key of 2048 bits"
    )]
    WeakKey { which: String, bits: usize },
    #[error(
        "{which} is not for servers, only for {only}; have it issued for server authentication"
    )]
    NotForServers { which: String, only: String },
    #[error(
        "the server's certificate was issued by '{issuer}', which is not a CA (its certificate \
         may not sign others); have it issued by a CA"
    )]
    NotACa { issuer: String },
    #[error(
        "the server's certificate has more issuers than one of them allows (path length); have \
         it issued higher up in the chain"
    )]
    PathLength,
    #[error("the server's certificate has too many issuers; let the server send a shorter chain")]
    TooLong,
    #[error(
        "the server's certificate has names that its issuer{} may not certify (name \
         constraints); have it issued by another CA",
        .issuer.as_ref().map(|name| format!(" '{name}'")).unwrap_or_default()
    )]
    NameConstraints { issuer: Option<String> },
    #[error(
        "{which} has a critical extension that prober does not know ({oid}); have it issued \
         without the extension"
    )]
    UnknownExtension { which: String, oid: String },
    #[error("the server does not have the private key of its certificate; check the server's key")]
    OtherPrivateKey,
    #[error("the server's certificate breaks the rules for X.509; have it issued again")]
    Other,
}
