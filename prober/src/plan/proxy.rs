//! Proxy variables of the environment, read as curl reads them, to say which one is not used. Pure.

use std::net::IpAddr;

use super::ProbePlan;

/// A note about the first plan whose target curl would reach through a proxy. `variable` is the value of
/// an environment variable.
#[must_use]
pub(crate) fn note<'a>(
    plans: impl IntoIterator<Item = &'a ProbePlan>,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    // An empty variable counts as not set.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    plans.into_iter().find_map(|plan| {
        let name = proxy_of(&plan.target.host, plan.target.tls, &variable)?;
        let target = &plan.target.given;
        Some(format!(
            "{name} is set, but prober does not use proxies: it connects to {target} directly; to \
             hide this note, unset {name} or add the host to NO_PROXY"
        ))
    })
}

/// The variable that names curl's proxy for a host.
fn proxy_of(
    host: &str,
    tls: bool,
    variable: &impl Fn(&str) -> Option<String>,
) -> Option<&'static str> {
    // curl ignores HTTP_PROXY, because a CGI program gets it from the header 'Proxy' of its client.
    let names: &[&str] = match tls {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let name = names.iter().find(|name| variable(name).is_some())?;
    let exceptions = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
    (!is_exempt(host, &exceptions)).then_some(*name)
}

/// Whether a value of `NO_PROXY` lists the host, which has no brackets.
fn is_exempt(host: &str, exceptions: &str) -> bool {
    let mut listed = exceptions.split([',', ' ', '\t']).filter(|item| !item.is_empty());
    if exceptions == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return listed.any(|item| is_within(address, item));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    listed.any(|item| {
        let item = item.strip_suffix('.').unwrap_or(item);
        let item = item.strip_prefix('.').unwrap_or(item);
        let Some(rest) = host.len().checked_sub(item.len()) else { return false };
        let ends_with = host.get(rest..).is_some_and(|end| end.eq_ignore_ascii_case(item));
        ends_with && !item.is_empty() && (rest == 0 || host[..rest].ends_with('.'))
    })
}

/// Whether an address is this one, or within this network, such as `10.0.0.0/8`.
fn is_within(address: IpAddr, item: &str) -> bool {
    let (network, bits) = match item.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().unwrap_or(0)),
        None => (item, 0),
    };
    let (address, network, width) = match (address, network.parse()) {
        (IpAddr::V4(a), Ok(IpAddr::V4(n))) => (u128::from(a.to_bits()), n.to_bits().into(), 32),
        (IpAddr::V6(a), Ok(IpAddr::V6(n))) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    // As in curl, no bits are all bits.
    let bits = if bits == 0 { width } else { bits };
    bits <= width && (address ^ network) >> (width - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proxy(variables: &[(&str, &str)], host: &str, tls: bool) -> Option<&'static str> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        proxy_of(host, tls, &|name: &str| Some(find(name)?.1.to_owned()))
    }

    #[test]
    fn the_variables_are_those_of_curl() {
        for (name, for_http, for_https) in [
            ("http_proxy", true, false),
            ("HTTP_PROXY", false, false),
            ("https_proxy", false, true),
            ("HTTPS_PROXY", false, true),
            ("all_proxy", true, true),
            ("ALL_PROXY", true, true),
        ] {
            let set = [(name, "http://p:1")];
            assert_eq!(proxy(&set, "a", false), for_http.then_some(name));
            assert_eq!(proxy(&set, "a", true), for_https.then_some(name));
        }
        let both = [("http_proxy", "p"), ("no_proxy", "b"), ("NO_PROXY", "a")];
        assert_eq!(proxy(&both, "a", false), Some("http_proxy"), "no_proxy comes first");
        assert_eq!(proxy(&both, "b", false), None);
    }

    #[test]
    fn a_host_that_is_listed_is_exempt() {
        for (host, listed) in [
            ("a.test", "*"),
            ("a.test", "b, a.test"),
            ("a.test", "b a.test"),
            ("A.test.", ".TEST"),
            ("a.test", "test."),
            ("10.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3"),
            ("fd00::1", "fd00::/8"),
        ] {
            assert!(is_exempt(host, listed), "{host} {listed}");
        }
        for (host, listed) in [
            ("a.test", ""),
            ("a.test", "*,b"),
            ("nota.test", "a.test"),
            ("test", "a.test"),
            ("10.1.2.3", "10.1.2.0/33"),
            ("10.1.2.3", "11.0.0.0/8"),
            ("10.1.2.3", ".3"),
            ("fd00::1", "0.0.0.0/1"),
        ] {
            assert!(!is_exempt(host, listed), "{host} {listed}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(host in "\\PC{0,12}", listed in "\\PC{0,30}") {
            let _ = is_exempt(&host, &listed);
        }

        #[test]
        fn no_network_panics(address in any::<IpAddr>(), network in any::<IpAddr>(), bits in 0u32..200) {
            let _ = is_within(address, &format!("{network}/{bits}"));
            prop_assert!(is_within(address, &address.to_string()));
        }
    }
}
