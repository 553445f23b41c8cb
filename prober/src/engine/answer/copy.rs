//! Signs in the headers that an answer is a copy: a cache on the path gave it, and no backend was
//! asked, or none for this body. Pure.
//!
//! `Age: 0` is not such a sign: Varnish adds it to fresh answers. Of a list of caches, one that hit is
//! enough: what came from a cache at any hop did not come from a backend.

/// Whether a header says that a cache gave the answer.
#[must_use]
pub(super) fn is_from_cache(name: &str, value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    match name.to_ascii_lowercase().as_str() {
        // RFC 9111, section 5.1: seconds since the origin made or validated the answer.
        "age" => members(value).any(is_positive),
        // Fastly: the hits of each cache on the way.
        "x-cache-hits" => members(value).any(is_positive),
        // Varnish: the id of this request, and on a hit also that of the one that fetched the answer.
        "x-varnish" => {
            let ids: Vec<_> = value.split_ascii_whitespace().collect();
            ids.len() == 2 && ids.into_iter().all(is_positive)
        }
        "cache-status" => members(value).any(status_is_hit),
        // RFC 9111, 5.5 (obsolete): 110 is "Response is Stale", 112 "Disconnected Operation".
        "warning" => members(value).any(|one| one.starts_with("110 ") || one.starts_with("112 ")),
        // Akamai: `cdn-cache; desc=HIT`.
        "server-timing" => members(value).any(|metric| {
            let mut parts = split(metric, ';');
            parts.next().is_some_and(|name| name.contains("cache"))
                && parts.any(|one| one.strip_prefix("desc=").is_some_and(word_is_hit))
        }),
        // What tells how long an answer may be stored, not whether it was.
        "cache-control" | "cdn-cache-control" | "surrogate-control" => false,
        // X-Cache of Squid and CloudFront, CF-Cache-Status, X-Vercel-Cache, and so on.
        name if name.contains("cache") => members(value).any(word_is_hit),
        _ => false,
    }
}

fn is_positive(number: &str) -> bool {
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && number.bytes().any(|digit| digit != b'0')
}

/// Whether the first word of a value says that the answer was stored before: `HIT`, `HIT from proxy`
/// (Squid), `Hit from cloudfront`, `TCP_MEM_HIT` (Akamai), and `STALE`, `UPDATING` and `REVALIDATED`
/// (nginx, Cloudflare). `EXPIRED` means that the origin gave a new answer.
fn word_is_hit(value: &str) -> bool {
    const STORED: [&str; 7] =
        ["hit", "refreshhit", "originshieldhit", "stale", "updating", "revalidated", "fresh"];
    let first = value.split_ascii_whitespace().next().unwrap_or_default();
    let mut parts = first.split(|c: char| !c.is_ascii_alphanumeric());
    parts.any(|part| STORED.iter().any(|stored| part.eq_ignore_ascii_case(stored)))
}

/// One cache of `Cache-Status` (RFC 9211): `NAME; hit`, or `NAME; fwd=stale; fwd-status=304` if the
/// origin only confirmed the stored answer, or `collapsed` if another request's answer was used. Some
/// caches write just `hit`.
fn status_is_hit(member: &str) -> bool {
    let mut parts = split(member, ';');
    let name = parts.next().unwrap_or_default();
    if name.eq_ignore_ascii_case("hit") {
        return true;
    }
    parts.any(|parameter| {
        let (key, value) = match parameter.split_once('=') {
            Some((key, value)) => (key.trim_end(), value.trim_start()),
            None => (parameter, "?1"),
        };
        match key {
            "hit" | "collapsed" => value != "?0",
            "fwd-status" => value == "304",
            _ => false,
        }
    })
}

fn members(list: &str) -> impl Iterator<Item = &str> {
    split(list, ',')
}

/// The parts of a text between separators that are not within double quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut escaped) = (false, false);
    let is_separator = move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            c => return c == separator && !in_quotes,
        }
        false
    };
    text.split(is_separator).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::wire::Head;
    use proptest::prelude::*;

    /// The head is searched for these headers only if it has one of them.
    #[test]
    fn each_header_is_noticed_in_a_head() {
        for (name, value) in [
            ("age", "1"),
            ("x-cache", "HIT"),
            ("x-varnish", "1 2"),
            ("cache-status", "a; hit"),
            ("x-cache-hits", "1"),
            ("x-proxy-cache", "HIT"),
            ("x-cache-status", "HIT"),
            ("cf-cache-status", "HIT"),
            ("X-Vercel-Cache", "HIT"),
            ("x-nextjs-cache", "STALE"),
            ("cdn-cache", "HIT"),
            ("cdn_cache_status", "hit"),
            ("akamai-cache-status", "Hit from child"),
            ("x-cache-remote", "TCP_HIT from a"),
            ("x-rack-cache", "fresh"),
            ("server-timing", "cdn-cache; desc=HIT, edge; dur=1"),
            ("warning", "110 - \"Response is Stale\""),
        ] {
            assert!(is_from_cache(name, value.as_bytes()), "{name}");
            let head = format!("HTTP/1.1 200 OK\r\n{name}: {value}\r\n\r\n");
            assert!(Head::read(head.as_bytes(), false).unwrap().unwrap().cache, "{name}");
        }
    }

    #[test]
    fn a_cache_that_answered_is_recognized() {
        for (name, value) in [
            ("age", "12"),
            ("Age", "007"),
            ("X-Cache", "HIT"),
            ("x-cache", "hit"),
            ("x-cache", "HIT from proxy.example:3128"),
            ("x-cache", "Hit from cloudfront"),
            ("x-cache", "RefreshHit from cloudfront"),
            ("x-cache", "MISS, HIT"),
            ("x-cache", "HIT, MISS"),
            ("x-cache", "MISS,HIT-STALE"),
            ("x-cache", "TCP_MEM_HIT from a23-1-2-3.deploy.akamaitechnologies.com (AkamaiGHost/1)"),
            ("x-cache-status", "STALE"),
            ("x-cache-status", "REVALIDATED"),
            ("x-proxy-cache", "UPDATING"),
            ("cf-cache-status", "HIT"),
            ("CF-Cache-Status", "UPDATING"),
            ("x-cache-hits", "0, 3"),
            ("x-varnish", "32770 3"),
            ("cache-status", "ExampleCache; hit"),
            ("cache-status", "ExampleCache;hit;ttl=30"),
            ("cache-status", "Origin; fwd=miss, \"Edge, 1\"; hit=?1"),
            ("cache-status", "ExampleCache; fwd=stale; fwd-status=304"),
            ("cache-status", "ExampleCache; fwd=uri-miss; collapsed; stored"),
            ("cache-status", "hit"),
        ] {
            assert!(is_from_cache(name, value.as_bytes()), "{name}: {value}");
        }
    }

    #[test]
    fn a_cache_that_asked_a_backend_is_none() {
        for (name, value) in [
            ("age", "0"),
            ("age", ""),
            ("age", "-5"),
            ("age", "soon"),
            ("x-cache", "MISS"),
            ("x-cache", "MISS from hit.example"),
            ("x-cache", "Miss from cloudfront"),
            ("x-cache", "MISS, MISS"),
            ("x-cache", "TCP_REFRESH_MISS from hit"),
            ("x-cache", "white, chit"),
            ("x-cache-status", "EXPIRED"),
            ("x-cache-status", "BYPASS"),
            ("x-cache-status", "SCARCE"),
            ("cf-cache-status", "DYNAMIC"),
            ("x-cache-hits", "0, 0"),
            ("x-varnish", "32770"),
            ("cache-status", "ExampleCache; fwd=miss; stored"),
            ("cache-status", "ExampleCache; hit=?0; fwd=miss"),
            ("cache-status", "ExampleCache; fwd=stale; fwd-status=200"),
            ("cache-status", r#"ExampleCache; fwd=miss; key="/a;hit", C; detail="x\", D; hit""#),
            ("server", "HIT"),
            ("cache-control", "max-age=60, stale-while-revalidate"),
            ("cache-control", "stale-if-error=60"),
            ("server-timing", "cdn-cache; desc=MISS"),
            ("warning", "199 - \"HIT\""),
            ("x-cache-key", "/a"),
        ] {
            assert!(!is_from_cache(name, value.as_bytes()), "{name}: {value}");
        }
        assert!(!is_from_cache("x-cache", b"\xff HIT"));
    }

    proptest! {
        #[test]
        fn no_value_panics(value in any::<Vec<u8>>(), list in "[a-zA-Z0-9;,=\"\\\\? _-]{0,40}") {
            let names = ["age", "x-cache", "x-cache-hits", "x-varnish", "cache-status"];
            for name in names {
                let _ = is_from_cache(name, &value);
                let _ = is_from_cache(name, list.as_bytes());
            }
        }

        /// Further caches on the way do not hide one that hit.
        #[test]
        fn a_hit_anywhere_in_a_list_counts(
            before in prop::collection::vec("[A-Z]{1,6}( from [a-z.]{1,9})?", 0..4),
            after in prop::collection::vec("[A-Z]{1,6}; key=\"[a-z,;]{0,9}\"", 0..4),
        ) {
            let list = |one: &str| [&before[..], &[one.to_owned()], &after[..]].concat().join(", ");
            prop_assert!(is_from_cache("x-cache", list("HIT").as_bytes()));
            prop_assert!(is_from_cache("cache-status", list("C; hit").as_bytes()));
        }
    }
}
