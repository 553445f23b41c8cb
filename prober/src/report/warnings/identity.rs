//! Names that do not tell pods apart. Pure.

use url::Url;

use crate::report::Row;
use crate::tally::Tally;

/// A pod with the name of the requested host: some applications print the `Host` header of the request
/// as their host name, so that all of their pods look like one.
pub(super) fn host_as_pod(row: &Row, tally: &Tally) -> Option<String> {
    let url = Url::parse(&row.url).ok();
    let of_url = url.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    let asked = row.host.as_deref().map(parts).or(of_url)?;
    let mut pods = tally.backends.keys().map(|backend| backend.pod.as_str());
    let pod = pods.find(|pod| is_host(pod, asked))?;
    let header = row.host.as_ref().map(|host| format!("-H \"Host: {host}\" ")).unwrap_or_default();
    Some(format!(
        "the pod name {pod} is the requested host: the application seems to repeat the Host header, \
         so that several pods look like one. Look for the pod's own name in an answer, for --identify: \
         run 'curl -i {header}{}'",
        row.url,
    ))
}

/// Whether a name is a host, with its port or without.
fn is_host(name: &str, (host, port): (&str, Option<u16>)) -> bool {
    let (name, with_port) = parts(name);
    same(name, host) && (with_port.is_none() || with_port == port)
}

/// A host and its port, if it has one.
fn parts(authority: &str) -> (&str, Option<u16>) {
    let split =
        authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let parsed = split.and_then(|(host, port)| Some((host, Some(port.parse().ok()?))));
    parsed.unwrap_or((authority, None))
}

/// Whether two hosts are the same: in any case, with the final dot or the brackets of an IPv6 address or
/// without.
fn same(one: &str, other: &str) -> bool {
    fn bare(host: &str) -> &str {
        let host = host.strip_suffix('.').unwrap_or(host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
    bare(one).eq_ignore_ascii_case(bare(other))
}

#[cfg(test)]
mod tests {
    use echo_reply::Identity;
    use proptest::prelude::*;

    use super::*;
    use crate::report::samples;

    fn advice(url: &str, host: Option<&str>, pod: &str) -> Option<String> {
        let mut row = samples::plain().rows.remove(0);
        row.url = url.to_owned();
        row.host = host.map(str::to_owned);
        let mut tally = row.tally().unwrap().clone();
        tally.backends.insert(Identity::new(pod, "<unknown>"), Default::default());
        host_as_pod(&row, &tally)
    }

    #[test]
    fn a_pod_with_the_name_of_the_requested_host_is_pointed_out() {
        for (url, host, pod) in [
            ("http://shop.example/", None, "shop.example"),
            ("http://shop.example/", None, "Shop.Example."),
            ("http://shop.example:8080/a", None, "shop.example"),
            ("http://shop.example:8080/a", None, "shop.example:8080"),
            ("http://127.0.0.1:8080/", None, "127.0.0.1"),
            ("http://[::1]:8080/", None, "::1"),
            ("http://[::1]:8080/", None, "[::1]:8080"),
            ("http://10.0.0.1/", Some("shop.example"), "shop.example"),
            ("http://10.0.0.1/", Some("shop.example:81"), "shop.example:81"),
        ] {
            let said = advice(url, host, pod).expect(pod);
            assert!(said.contains(&format!("the pod name {pod} is the requested host")), "{said}");
            assert!(said.ends_with(&format!("{url}'")), "{said}");
        }
        let said = advice("http://10.0.0.1/", Some("a"), "a").unwrap();
        assert!(said.ends_with("run 'curl -i -H \"Host: a\" http://10.0.0.1/'"), "{said}");
    }

    #[test]
    fn other_names_need_no_advice() {
        for (url, host, pod) in [
            ("http://shop.example/", None, "shop-5d9f-x"),
            ("http://shop.example/", None, "shop"),
            ("http://shop.example:8080/", None, "shop.example:9090"),
            ("http://10.0.0.1/", Some("shop.example"), "10.0.0.1"),
            ("http://[::1]/", None, "::2"),
            ("not a URL", None, "not a URL"),
        ] {
            assert_eq!(advice(url, host, pod), None, "{url} {pod}");
        }
    }

    proptest! {
        #[test]
        fn no_name_panics(host in "\\PC{0,20}", pod in "[a-z0-9:.\\[\\]]{0,20}") {
            let _ = advice("http://a/", Some(&host), &pod);
            prop_assert!(is_host(&host, parts(&host)));
        }
    }
}
