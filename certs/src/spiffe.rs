//! SPIFFE ids in Istio's form: `spiffe://<trust domain>/ns/<namespace>/sa/<account>`.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A service account of a namespace in a trust domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    trust_domain: String,
    namespace: String,
    service_account: String,
}

impl SpiffeId {
    ///
    /// # Errors
    /// If a part is empty, too long, or contains characters that Kubernetes or SPIFFE does not
    /// allow.
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Result<Self, Error> {
        let id = Self {
            trust_domain: trust_domain.to_owned(),
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        };
        match id.problem() {
            None => Ok(id),
            Some(problem) => Err(Error::SpiffeId { id: id.to_string(), problem }),
        }
    }

    /// Reads `spiffe://cluster.local/ns/foo/sa/bar`.
    ///
    /// # Errors
    /// If the text has another form, or a part is not allowed (see [`Self::new`]).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| Error::SpiffeId { id: text.into(), problem: problem.into() };
        let rest =
            text.strip_prefix("spiffe://").ok_or_else(|| wrong("does not start with spiffe://"))?;
        let [trust_domain, "ns", namespace, "sa", account] =
            rest.split('/').collect::<Vec<_>>()[..]
        else {
            return Err(wrong("is not of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT"));
        };
        Self::new(trust_domain, namespace, account)
    }

    /// Such as `cluster.local`.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    #[must_use]
    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    fn problem(&self) -> Option<String> {
        // SPIFFE-ID, sections 2.1 and 2.3; RFC 1123 for the names of Kubernetes.
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let domain = |c: char| lower(c) || matches!(c, '.' | '-' | '_');
        let label = |c: char| lower(c) || c == '-';
        let subdomain = |c: char| label(c) || c == '.';
        part("trust domain", &self.trust_domain, 255, "a-z 0-9 . - _", domain)
            .or_else(|| part("namespace", &self.namespace, 63, "a-z 0-9 -", label))
            .or_else(|| {
                part("service account", &self.service_account, 253, "a-z 0-9 - .", subdomain)
            })
    }
}

/// What is wrong with one part of an id, if anything.
fn part(
    what: &str,
    text: &str,
    longest: usize,
    allowed: &str,
    is_allowed: impl Fn(char) -> bool,
) -> Option<String> {
    let edge = |c: Option<char>| c.is_some_and(|c| !c.is_ascii_alphanumeric());
    if text.is_empty() {
        Some(format!("has an empty {what}"))
    } else if text.len() > longest {
        Some(format!("has a {what} of more than {longest} characters"))
    } else if let Some(c) = text.chars().find(|c| !is_allowed(*c)) {
        Some(format!("has {c:?} in its {what} (allowed: {allowed})"))
    } else if edge(text.chars().next()) || edge(text.chars().next_back()) {
        Some(format!("has a {what} that does not start and end with a letter or digit"))
    } else {
        None
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, namespace, service_account } = self;
        write!(f, "spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
    }
}

impl FromStr for SpiffeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_printing_and_reading() {
        let id = SpiffeId::new("cluster.local", "istio-enabled", "echo2").unwrap();
        assert_eq!(id.to_string(), "spiffe://cluster.local/ns/istio-enabled/sa/echo2");
        assert_eq!(SpiffeId::parse(&id.to_string()).unwrap(), id);
        assert_eq!(id.to_string().parse::<SpiffeId>().unwrap(), id);
    }

    #[test]
    fn each_bad_id_says_what_is_wrong() {
        for (id, problem) in [
            ("", "does not start with spiffe://"),
            ("https://cluster.local/ns/a/sa/b", "does not start with spiffe://"),
            ("spiffe://cluster.local", "is not of the form"),
            ("spiffe://cluster.local/ns/a/sa/b/", "is not of the form"),
            ("spiffe://cluster.local/namespace/a/sa/b", "is not of the form"),
            ("spiffe:///ns/a/sa/b", "has an empty trust domain"),
            ("spiffe://cluster.local/ns//sa/b", "has an empty namespace"),
            ("spiffe://cluster.local/ns/a/sa/", "has an empty service account"),
            ("spiffe://Cluster.local/ns/a/sa/b", "has 'C' in its trust domain"),
            ("spiffe://cluster.local:80/ns/a/sa/b", "has ':' in its trust domain"),
            ("spiffe://cluster.local/ns/a b/sa/b", "has ' ' in its namespace"),
            ("spiffe://cluster.local/ns/a.b/sa/b", "has '.' in its namespace"),
            ("spiffe://cluster.local/ns/a/sa/b?c", "has '?' in its service account"),
            ("spiffe://cluster.local/ns/-a/sa/b", "does not start and end with"),
            ("spiffe://cluster.local/ns/a/sa/..", "does not start and end with"),
        ] {
            let error = SpiffeId::parse(id).unwrap_err().to_string();
            assert!(error.contains(problem), "{id}: {error}");
        }
        let long = format!("spiffe://cluster.local/ns/{}/sa/b", "a".repeat(64));
        assert!(SpiffeId::parse(&long).unwrap_err().to_string().contains("more than 63"));
    }
}
