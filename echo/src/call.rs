//! Whom `/call` may call, and what a request to it asks for. Pure; `call/client.rs` makes
//! the calls. Only hosts on the list are called: the URL, each redirect and each address
//! that a name resolves to are checked against it.

use std::net::Ipv6Addr;
use std::str::FromStr;

use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, Uri};
use echo_reply::printable;

mod addresses;
mod budget;
pub(crate) mod client;

use addresses::may_lead_to;
use budget::{CALLS_LEFT, MAX_IN_ALL};

/// The path that calls others, if calls are allowed.
pub(crate) const PATH: &str = "/call";
const MAX_CALLS: u32 = 32;
/// The longest chain of echoes that call each other.
const MAX_DEPTH: u32 = 4;
/// How many requests at each depth may make calls at the same time. Calls wait only for
/// deeper ones, so that echoes which call each other never wait for themselves.
const AT_ONCE: usize = 16;
/// The position of a request in a chain; the calling echo sets it.
pub(crate) const DEPTH: HeaderName = HeaderName::from_static("x-echo-depth");

/// A host that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// A name in lower case, or an address as the standard library formats it.
    host: String,
    /// `None` allows any port.
    port: Option<u16>,
}

/// Why a request to `/call` is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("/call needs to=URL, such as /call?to=http://echo2:8080/&n=2")]
    NoUrl,
    #[error(
        "cannot call {0:?}; write a URL such as http://echo2:8080/, without a user and with \
             special characters percent-encoded"
    )]
    NotAUrl(String),
    #[error("{0} may not be called; start echo with --allow-call {0}")]
    NotAllowed(String),
    #[error("n cannot be {0:?}; write a number from 1 to {MAX_CALLS}")]
    NotANumber(String),
    #[error("the chain of calls is longer than {MAX_DEPTH}; check the URL for a loop")]
    TooDeep,
    #[error(
        "a request may cause {MAX_IN_ALL} calls in all, however they are nested; n={times} needs \
         more than the {left} that are left here; write a smaller n"
    )]
    TooMany { times: u32, left: u32 },
    #[error("{CALLS_LEFT} is not a number from 0 to {MAX_IN_ALL}; remove the header")]
    BadBudget,
    #[error("echo makes calls for {AT_ONCE} other requests; try again later")]
    Busy,
}

impl Refusal {
    #[must_use]
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotAllowed(_) => StatusCode::FORBIDDEN,
            Self::TooDeep => StatusCode::LOOP_DETECTED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// A URL that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The URL, free of control characters.
    pub(crate) url: String,
    /// The value of the `Host` header.
    pub(crate) authority: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) path: String,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) target: Target,
    /// What each call may spend: the number of calls that it may cause, itself included.
    pub(crate) budgets: Vec<u32>,
    /// The position in the chain of those that are called, from 1 to [`MAX_DEPTH`].
    pub(crate) depth: u32,
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        let wrong = || {
            "not a host; write for example echo2, echo2:8080, 10.0.0.1:8080 or [::1]:8080"
                .to_owned()
        };
        // An IPv6 address contains colons.
        if let Ok(address) = value.parse::<Ipv6Addr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        let (host, port) = match value.rsplit_once(':') {
            Some((host, number)) => (host, Some(port(number).ok_or_else(wrong)?)),
            None => (value, None),
        };
        let host = normal(host).ok_or_else(wrong)?;
        Ok(Self { host, port })
    }
}

/// A host in the form that is compared; `None` if it is not a host.
fn normal(host: &str) -> Option<String> {
    if let Some(inside) = host.strip_prefix('[') {
        let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let named = !host.is_empty() && host.len() <= 253 && host.bytes().all(fits);
    named.then(|| host.to_ascii_lowercase())
}

/// The hosts that may be called.
#[derive(Debug)]
pub(crate) struct List(Vec<Allowed>);

impl List {
    pub(crate) fn new(allowed: Vec<Allowed>) -> Self {
        Self(allowed)
    }

    /// Reads a request to [`PATH`].
    fn asked(&self, head: &Parts) -> Result<Asked, Refusal> {
        let depth = head.headers.get(DEPTH).and_then(|depth| depth.to_str().ok()?.parse().ok());
        let depth = depth.unwrap_or(0_u32);
        if depth >= MAX_DEPTH {
            return Err(Refusal::TooDeep);
        }
        let (mut url, mut times) = (None, 1);
        let query = head.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "to" => url = Some(value),
                "n" => {
                    let number = value.parse().ok().filter(|n| (1..=MAX_CALLS).contains(n));
                    let wrong = || Refusal::NotANumber(printable(&value).into_owned());
                    times = number.ok_or_else(wrong)?;
                }
                _ => {}
            }
        }
        let target = self.target(&url.ok_or(Refusal::NoUrl)?)?;
        let left = budget::left(&head.headers).ok_or(Refusal::BadBudget)?;
        let budgets = budget::split(left, times).ok_or(Refusal::TooMany { times, left })?;
        Ok(Asked { target, budgets, depth: depth + 1 })
    }

    /// Reads a URL, and checks that it may be called.
    pub(crate) fn target(&self, url: &str) -> Result<Target, Refusal> {
        let printed = printable(url).into_owned();
        let wrong = || Refusal::NotAUrl(printed.clone());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http") || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = normal(authority.host()).ok_or_else(wrong)?;
        // Not Uri::port(): it takes an invalid port for a missing one.
        let port = match authority.as_str().get(authority.host().len()..) {
            Some("") => 80,
            Some(rest) => rest.strip_prefix(':').and_then(port).ok_or_else(wrong)?,
            None => return Err(wrong()),
        };
        let allows = |allowed: &Allowed| {
            allowed.host == host && allowed.port.is_none_or(|allowed| allowed == port)
        };
        if !self.0.iter().any(allows) {
            return Err(Refusal::NotAllowed(printed_host(&host, port)));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Target { url: printed, authority: authority.as_str().to_owned(), host, port, path })
    }
}

fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port > 0)
}

fn printed_host(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn list(allowed: &[&str]) -> List {
        List::new(allowed.iter().map(|one| one.parse().unwrap()).collect())
    }

    fn asked(list: &List, query: &str, depth: &str) -> Result<Asked, Refusal> {
        let request = Request::get(format!("{PATH}?{query}")).header(DEPTH, depth);
        list.asked(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn hosts_are_read_and_anything_else_is_refused() {
        let allowed = |value: &str| value.parse::<Allowed>();
        let of = |host: &str, port| Ok(Allowed { host: host.into(), port });
        assert_eq!(allowed("Echo2"), of("echo2", None));
        assert_eq!(allowed("echo2.ns.svc:8080"), of("echo2.ns.svc", Some(8080)));
        assert_eq!(allowed("[::0:1]:80"), of("::1", Some(80)));
        assert_eq!(allowed("::1"), of("::1", None));
        for bad in ["", ":80", "a:b", "a:0", "a:65536", "http://a", "a/b", "*", "a b", "[::1", "ä"]
        {
            assert!(allowed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_what_is_on_the_list_may_be_called() {
        let list = list(&["echo2:8080", "any", "127.0.0.1:9", "[::1]:9"]);
        for good in [
            "http://echo2:8080/x?y=1",
            "http://ECHO2:8080",
            "http://any/",
            "http://any:1234/",
            "http://127.0.0.1:9/",
            "http://[0:0::1]:9/",
        ] {
            assert!(list.target(good).is_ok(), "{good}");
        }
        for other in [
            "http://echo2/",
            "http://echo2:8081/",
            "http://evil.example/",
            "http://echo2.evil:8080/",
            "http://echo2.:8080/",
            "http://127.0.0.1/",
            "http://127.1:9/",
            "http://2130706433:9/",
            "http://0x7f000001:9/",
            "http://169.254.169.254/",
            "http://[::ffff:127.0.0.1]:9/",
        ] {
            let refusal = list.target(other).unwrap_err();
            assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{other}: {refusal}");
        }
        for wrong in [
            "",
            "echo2",
            "echo2:8080",
            "//echo2:8080/",
            "https://any/",
            "file:///etc/passwd",
            "gopher://any/",
            "http://any@evil/",
            "http://evil@any/",
            "http://a:b@any/",
            "http:///x",
            "http://any:/",
            "http://any:99999/",
            "http://an\ny/",
            "http://any:x/",
            "http://any\\@evil/",
            "http://any evil/",
            "http://[::1/",
        ] {
            let refusal = list.target(wrong).unwrap_err();
            assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{wrong}: {refusal}");
        }
        let target = list.target("http://Any/a?b#c").unwrap();
        assert_eq!((target.port, target.path.as_str()), (80, "/a?b"));
    }

    #[test]
    fn numbers_and_chains_are_bounded() {
        let list = list(&["a"]);
        let to = "to=http%3A%2F%2Fa%2Fcall%3Fto%3Dhttp%253A%252F%252Fa%252F";
        let calls = asked(&list, &format!("{to}&n=3"), "1").unwrap();
        assert_eq!((calls.budgets, calls.depth), (vec![22, 21, 21], 2));
        assert_eq!(calls.target.path, "/call?to=http%3A%2F%2Fa%2F");
        assert_eq!(asked(&list, to, "x").unwrap().budgets, [64]);
        assert_eq!(asked(&list, "n=1", "0"), Err(Refusal::NoUrl));
        assert_eq!(asked(&list, to, "4"), Err(Refusal::TooDeep));
        for bad in ["0", "33", "-1", "x", ""] {
            let refusal = asked(&list, &format!("{to}&n={bad}"), "0").unwrap_err();
            assert_eq!(refusal, Refusal::NotANumber(bad.into()));
        }
    }

    #[test]
    fn calls_beyond_the_budget_are_refused_with_one_line() {
        let list = list(&["a"]);
        let with = |left: &str| {
            let request = Request::get("/call?to=http://a/&n=3").header(CALLS_LEFT, left);
            list.asked(&request.body(()).unwrap().into_parts().0)
        };
        assert_eq!(with("3").unwrap().budgets, [1, 1, 1]);
        assert_eq!(with("1000").unwrap().budgets, [22, 21, 21]);
        let refusal = with("2").unwrap_err();
        assert_eq!(refusal, Refusal::TooMany { times: 3, left: 2 });
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        let line = refusal.to_string();
        assert!(line.contains("64 calls in all") && line.contains("n=3 needs"), "{line}");
        assert!(!line.contains("  ") && !line.contains('\n'), "{line}");
        assert_eq!(with("x").unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
}
