//! A target: a URL, read as curl reads it. Pure.

use http::Uri;
use thiserror::Error;
use url::{Host, Url};

use crate::resolve::not_a_host;

/// Why a text is not a target. `Display` is one line.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    #[error("a target is empty; write a URL such as localhost:8080")]
    Empty,
    #[error(
        "target '{0}' has a space or control character; write a space as %20, or check the quotes"
    )]
    Space(String),
    #[error("target '{target}' has the scheme '{scheme}'; write http:// or https://")]
    Scheme { target: String, scheme: String },
    /// Reports repeat the target.
    #[error("target '{0}' has credentials in it; send them with -H 'Authorization: …'")]
    Credentials(String),
    #[error("target '{0}' has a wrong port; write a number from 1 to 65535")]
    Port(String),
    #[error("target '{target}' is not a URL ({reason}); write [http[s]://]HOST[:PORT][/PATH]")]
    NotAUrl { target: String, reason: &'static str },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was given; for headings.
    pub given: String,
    /// The whole URL, without the fragment.
    pub url: String,
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// The value of the `Host` header: with the port unless it is the scheme's default.
    pub authority: String,
    /// Path and query, as in the request line.
    pub path: Uri,
}

impl Target {
    /// Adds `http://` if there is no scheme.
    pub fn parse(given: &str) -> Result<Self, TargetError> {
        if given.is_empty() {
            return Err(TargetError::Empty);
        }
        if given.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(TargetError::Space(given.escape_debug().to_string()));
        }
        let whole = match given.split_once("://") {
            Some((scheme, _))
                if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) =>
            {
                given.to_owned()
            }
            Some((scheme, _)) if !scheme.contains(['/', '?', '#', '.']) => {
                let (target, scheme) = (given.to_owned(), scheme.to_owned());
                return Err(TargetError::Scheme { target, scheme });
            }
            _ => format!("http://{given}"),
        };
        let url = Url::parse(&whole).map_err(|error| match error {
            url::ParseError::InvalidPort => TargetError::Port(given.to_owned()),
            other => not_a_url(given, not_a_host(other)),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials(given.to_owned()));
        }
        Self::from_url(given, &url)
    }

    /// The same target with another path.
    pub(super) fn at(self, path: &'static str) -> Self {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        Self { url, path: Uri::from_static(path), ..self }
    }

    fn from_url(given: &str, url: &Url) -> Result<Self, TargetError> {
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Domain(name)) => name.to_owned(),
            None => return Err(not_a_url(given, "it has no host")),
        };
        let port = url.port_or_known_default().unwrap_or(80);
        if port == 0 {
            return Err(TargetError::Port(given.to_owned()));
        }
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut shown = url.clone();
        shown.set_fragment(None);
        Ok(Self {
            given: given.to_owned(),
            url: shown.to_string(),
            tls: url.scheme() == "https",
            host,
            port,
            authority,
            path: path
                .parse()
                .map_err(|_| not_a_url(given, "its path has forbidden characters"))?,
        })
    }
}

fn not_a_url(given: &str, reason: &'static str) -> TargetError {
    TargetError::NotAUrl { target: given.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(given: &str) -> Target {
        Target::parse(given).unwrap()
    }

    #[test]
    fn no_scheme_is_http_as_in_curl() {
        let target = parsed("istio1.xiaowenx.com/echo2");
        assert_eq!(target.url, "http://istio1.xiaowenx.com/echo2");
        assert_eq!((target.host.as_str(), target.port), ("istio1.xiaowenx.com", 80));
        assert_eq!(target.authority, "istio1.xiaowenx.com");
        assert_eq!(target.path, "/echo2");
        assert!(!target.tls);
    }

    #[test]
    fn a_host_before_a_port_is_not_a_scheme() {
        let target = parsed("echo1:8080");
        assert_eq!(target.url, "http://echo1:8080/");
        assert_eq!((target.authority.as_str(), target.port), ("echo1:8080", 8080));
    }

    #[test]
    fn ports_addresses_queries_and_fragments() {
        assert_eq!(parsed("https://a/").port, 443);
        assert!(parsed("Https://a/").tls && !parsed("Http://a/").tls, "in any case, as in curl");
        assert_eq!(parsed("https://a:443/").authority, "a", "the default port is not sent");
        let v6 = parsed("http://[::1]:8080/x?a=1&b#frag");
        assert_eq!((v6.host.as_str(), v6.port), ("::1", 8080));
        assert_eq!(v6.authority, "[::1]:8080");
        assert_eq!(v6.path, "/x?a=1&b");
        assert_eq!(v6.url, "http://[::1]:8080/x?a=1&b");
        assert_eq!(parsed("a/?u=http://b/").host, "a");
    }

    #[test]
    fn wrong_targets_are_refused_with_a_reason() {
        for (given, part) in [
            ("", "is empty"),
            ("echo 1:8080", "space"),
            ("a\nb", "'a\\nb' has a space or control"),
            ("ftp://a/", "scheme 'ftp'"),
            ("http://u:p@a/", "credentials"),
            ("echo1:99999", "wrong port"),
            ("echo1:0", "wrong port"),
            ("echo1:http", "wrong port"),
            ("http://", "not a URL"),
            ("http://[::1", "not a URL"),
            ("%zz", "not a URL"),
        ] {
            let error = Target::parse(given).expect_err(given).to_string();
            assert!(error.contains(part), "{given:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_can_be_asked(text in any::<String>()) {
            if let Ok(target) = Target::parse(&text) {
                prop_assert!(target.port > 0 && !target.host.is_empty());
                prop_assert!(target.path.path().starts_with('/'));
            }
        }
    }
}
