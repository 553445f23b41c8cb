//! A target: a URL, read as curl reads it. Pure.

mod path;

use http::uri::PathAndQuery;
use thiserror::Error;
use url::{Host, Url};

use super::zone;
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
    /// A slash too few or too many, or no host.
    #[error("target '{target}' does not begin with [http[s]://]HOST; write {right}")]
    Start { target: String, right: String },
    /// Reports repeat the target. This message does not: the credentials are secret.
    #[error("the target has credentials in it; send them with -H 'Authorization: …'")]
    Credentials,
    #[error("target '{0}' has a wrong port; write a number from 1 to 65535")]
    Port(String),
    /// The library for HTTP/2 refuses it.
    #[error("target '{target}': over HTTP/2, its path cannot have '{character}'; write {right}")]
    Http2Path { target: String, character: char, right: String },
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
    /// The network interface of a link-local address.
    pub zone: Option<String>,
    /// The value of the `Host` header: with the port unless it is the scheme's default.
    pub authority: String,
    /// Path and query, as in the request line.
    pub path: String,
    /// Whether segments `.` and `..` of the path were removed.
    pub shortened: bool,
}

const SCHEMES: [&str; 2] = ["http", "https"];

impl Target {
    /// Adds `http://` if there is no scheme. As in curl, segments `.` and `..` of the path are removed
    /// unless `path_as_is`.
    pub fn parse(given: &str, path_as_is: bool) -> Result<Self, TargetError> {
        if given.is_empty() {
            return Err(TargetError::Empty);
        }
        if given.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(TargetError::Space(given.escape_debug().to_string()));
        }
        let (scheme, rest) = split_scheme(given)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('\\') {
            return Err(not_a_url(given, "its host has a backslash"));
        }
        let whole = format!("{scheme}://{authority}/");
        let (whole, zone) = zone::split(&whole).map_err(|wrong| not_a_url(given, wrong))?;
        let url = Url::parse(&whole).map_err(|error| match error {
            url::ParseError::InvalidPort => TargetError::Port(given.to_owned()),
            other => not_a_url(given, not_a_host(other)),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let path::SentPath { path, shortened } = path::sent(path, path_as_is);
        let target = Self::from_url(given, &url)?;
        let url = format!("{}://{}{path}", url.scheme(), target.authority);
        Ok(Self { url, path, zone, shortened, ..target })
    }

    /// What to tell if the path is not sent as it was written.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let Self { given, path, .. } = self;
        self.shortened.then(|| {
            format!("the path of {given} is sent as {path}, as curl does; --path-as-is sends it as it is")
        })
    }

    /// Over HTTP/2, the path is a value of a library, which allows fewer characters than curl.
    pub(super) fn check_http2(&self) -> Result<(), TargetError> {
        if PathAndQuery::try_from(self.path.as_str()).is_ok() {
            return Ok(());
        }
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let refused = |text: String| PathAndQuery::try_from(text).is_err();
        let of_path = path.chars().find(|c| refused(format!("/{c}")));
        let character = of_path.or_else(|| query.chars().find(|c| refused(format!("/?{c}"))));
        let target = self.given.clone();
        Err(match character {
            Some(character) => {
                let right = format!("%{:02X}", u32::from(character));
                TargetError::Http2Path { target, character, right }
            }
            None => not_a_url(&target, "its path is too long for HTTP/2"),
        })
    }

    /// The same target with another path.
    pub(super) fn at(self, path: &'static str) -> Self {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        Self { url, path: path.to_owned(), ..self }
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
        Ok(Self {
            given: given.to_owned(),
            url: String::new(),
            tls: url.scheme() == "https",
            host,
            port,
            zone: None,
            authority,
            path: String::new(),
            shortened: false,
        })
    }
}

/// The scheme of a target, and what follows its slashes.
fn split_scheme(given: &str) -> Result<(&'static str, &str), TargetError> {
    let whole = SCHEMES.into_iter().find_map(|scheme| {
        let host = after(given, scheme)?.strip_prefix("://")?;
        let is_host = !host.starts_with(['/', '\\']) && scheme_of(host).is_none();
        is_host.then_some((scheme, host))
    });
    if let Some(whole) = whole {
        return Ok(whole);
    }
    if given.starts_with(['/', '\\', ':']) || scheme_of(given).is_some() {
        return Err(wrong_start(given));
    }
    let is_scheme = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    match given.split_once("://").map(|(scheme, _)| scheme).filter(is_scheme) {
        Some(scheme) => {
            let (target, scheme) = (given.to_owned(), scheme.to_owned());
            Err(TargetError::Scheme { target, scheme })
        }
        None => Ok(("http", given)),
    }
}

/// What follows a word at the start of a text, in any case.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

/// The scheme that a text begins with, however many slashes and colons follow it, and what comes after
/// the scheme. `http:8080` is a host and its port.
fn scheme_of(text: &str) -> Option<(&'static str, &str)> {
    SCHEMES.into_iter().find_map(|scheme| {
        let rest = after(text, scheme)?;
        let port = rest.strip_prefix(':').map(|port| {
            let end = port.find(['/', '?', '#']).unwrap_or(port.len());
            end > 0 && port[..end].bytes().all(|byte| byte.is_ascii_digit())
        });
        let is_scheme = port == Some(false) || rest.starts_with("//") || rest.starts_with('\\');
        is_scheme.then_some((scheme, rest))
    })
}

/// The error of a target with a slash too few or too many, with what was meant.
fn wrong_start(given: &str) -> TargetError {
    const SIGNS: [char; 3] = ['/', '\\', ':'];
    let mut scheme = "http";
    let mut rest = given.trim_start_matches(SIGNS);
    while let Some((known, after)) = scheme_of(rest) {
        scheme = known;
        rest = after.trim_start_matches(SIGNS);
    }
    let is_port = given.starts_with(':') && rest.starts_with(|c: char| c.is_ascii_digit());
    let right = format!("{scheme}://{}{rest}", if is_port { "localhost:" } else { "" });
    match Target::parse(&right, false) {
        Ok(_) => TargetError::Start { target: given.to_owned(), right },
        Err(_) => not_a_url(given, "it has no host"),
    }
}

/// Whether the path of a URL has segments that are removed unless it is sent as it is.
#[must_use]
pub(crate) fn is_shortened(url: &str) -> bool {
    Target::parse(url, false).is_ok_and(|target| target.shortened)
}

fn not_a_url(given: &str, reason: &'static str) -> TargetError {
    TargetError::NotAUrl { target: given.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(given: &str) -> Target {
        Target::parse(given, false).unwrap()
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
        let zone = parsed("http://[fe80::1%25eth0]:8080/x");
        assert_eq!((zone.host.as_str(), zone.zone.as_deref()), ("fe80::1", Some("eth0")));
        assert_eq!((zone.authority.as_str(), zone.port), ("[fe80::1]:8080", 8080));
    }

    #[test]
    fn a_host_may_be_named_as_a_scheme() {
        let url = |given: &str| parsed(given).url;
        assert_eq!(url("http:8080/x"), "http://http:8080/x");
        assert_eq!(url("http"), "http://http/");
        assert_eq!(url("https/x://y"), "http://https/x://y");
        assert_eq!(url("http://http:80/"), "http://http/");
        assert_eq!(url("httpbin//x"), "http://httpbin//x");
    }

    #[test]
    fn paths_are_sent_as_curl_sends_them() {
        let target = parsed("http://a:80/x/../<ü>?<ü>#y");
        assert_eq!(target.path, "/<%c3%bc>?<ü>");
        assert_eq!(target.url, "http://a/<%c3%bc>?<ü>");
        assert!(target.shortened);
        let target = Target::parse("a/x/../y", true).unwrap();
        assert_eq!((target.path.as_str(), target.shortened), ("/x/../y", false));
        let over_http2 = |given: &str| parsed(given).check_http2().map_err(|e| e.to_string());
        assert_eq!(over_http2("a/x{y}|^\"?ü"), Ok(()));
        for (given, what) in [
            ("a/<x>", "over HTTP/2, its path cannot have '<'; write %3C"),
            ("a/?x=<", "over HTTP/2, its path cannot have '<'; write %3C"),
        ] {
            let said = over_http2(given).expect_err(given);
            assert!(said.contains(what), "{said}");
        }
        let long = format!("a/{}", "x".repeat(70_000));
        assert!(over_http2(&long).unwrap_err().contains("too long"));
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
            ("http:/a/b", "does not begin with [http[s]://]HOST; write http://a/b"),
            ("HTTPS:/a", "; write https://a"),
            ("https:///a:1/b", "; write https://a:1/b"),
            ("http:////a", "; write http://a"),
            ("http:a/b", "; write http://a/b"),
            ("http:127.0.0.1:8080/x", "; write http://127.0.0.1:8080/x"),
            ("http//a", "; write http://a"),
            ("https//a", "; write https://a"),
            ("http:\\\\a/b", "; write http://a/b"),
            ("http:/\\a", "; write http://a"),
            ("//a/b", "; write http://a/b"),
            ("/a/b", "; write http://a/b"),
            ("\\\\a", "; write http://a"),
            ("://a", "; write http://a"),
            (":8080/x", "; write http://localhost:8080/x"),
            ("http://http://a", "; write http://a"),
            ("http://https://a/b", "; write https://a/b"),
            ("https://http//a", "; write http://a"),
            ("http://:80/", "not a URL"),
            ("http:", "it has no host"),
            ("http:///", "it has no host"),
            ("/", "it has no host"),
            ("///?x", "not a URL"),
            ("?x", "not a URL"),
            ("#x", "not a URL"),
            ("http://a\\b", "its host has a backslash"),
            ("x.y://a", "scheme 'x.y'"),
            ("http+unix://a", "scheme 'http+unix'"),
            ("http://", "not a URL"),
            ("http://[::1", "not a URL"),
            ("%zz", "not a URL"),
            ("http://[fe80::1%25]/", "its zone is not the name"),
            ("http://[fe80::1%25a/b]/", "not a URL"),
        ] {
            let error = Target::parse(given, false).expect_err(given).to_string();
            assert!(error.contains(part), "{given:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_can_be_asked(
            text in any::<String>(),
            pieces in "(http|HTTPS|:|/|//|\\\\|a|[.]{1,2}|8|@|[?]|#|%2e|\\[::1\\]|<|ü){0,9}",
        ) {
            for text in [text, pieces] {
                let Ok(target) = Target::parse(&text, false) else { continue };
                prop_assert!(target.port > 0 && !target.host.is_empty());
                prop_assert!(target.path.starts_with('/') && !target.path.contains('#'));
                prop_assert!(target.path.bytes().all(|byte| byte > b' '));
                // What a report repeats is the same target, unless its host is named as a scheme.
                let again = Target::parse(&target.url, true);
                prop_assert!(again.is_ok() || target.host.starts_with("http"), "{}", target.url);
                if let Ok(again) = again {
                    prop_assert_eq!((again.url, again.path), (target.url, target.path));
                }
            }
        }
    }
}
