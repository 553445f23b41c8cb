//! By which names the server may be asked. A page of another site can make its own name resolve to the
//! address of this server, and read its answers (DNS rebinding). The `Host` header then has a public
//! name, so only names that nobody can register are allowed, and those that flags give. Pure.

use std::net::Ipv4Addr;

/// The ends of names that nobody can register.
const PRIVATE: [&str; 4] = ["localhost", "local", "internal", "svc"];

/// The names that are allowed beside those that nobody can register.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    #[must_use]
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Allows one more name, such as that of this machine.
    #[must_use]
    pub(super) fn and(mut self, name: String) -> Self {
        self.0.push(name);
        self
    }

    /// Whether a client may ask for this host, which has no port.
    pub(super) fn allow(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host);
        // An IP address cannot be rebound.
        host.starts_with('[')
            || host.parse::<Ipv4Addr>().is_ok()
            || is_private(name)
            || self.0.iter().any(|allowed| {
                allowed.strip_suffix('.').unwrap_or(allowed).eq_ignore_ascii_case(name)
            })
    }
}

/// Whether nobody can register this name: one word, a name of Kubernetes, or an end that is not a
/// top-level domain. Those have letters only, or start with `xn--`.
fn is_private(name: &str) -> bool {
    let Some((_, end)) = name.rsplit_once('.') else { return is_word(name) };
    let letters = end.bytes().all(|byte| byte.is_ascii_alphabetic());
    let international = end.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    PRIVATE.iter().any(|private| end.eq_ignore_ascii_case(private))
        || (name.split('.').all(is_word)
            && !letters
            && !international
            // A number at the end is an IPv4 address in an odd form.
            && end.bytes().any(|byte| byte.is_ascii_alphabetic()))
}

fn is_word(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether a value of `--allow-host` can be a host.
#[must_use]
pub(crate) fn is_host_name(text: &str) -> bool {
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_word)
}

/// A host as a message shows it.
pub(super) fn printed(host: &str) -> String {
    let short: String = host.chars().take(100).collect();
    format!("'{}'", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_can_register_are_allowed_and_public_ones_are_not() {
        let hosts = Hosts::new(vec!["Watch.example.com".into()]).and("vm.corp.example".into());
        for good in [
            "127.0.0.1",
            "10.1.2.3",
            "[::1]",
            "[fd00::1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "watch",
            "watch.",
            "watch.istio-enabled",
            "watch.istio-enabled.svc",
            "watch.istio-enabled.svc.cluster.local",
            "watch.istio-enabled.svc.cluster.local.",
            "machine.local",
            "vm.c.project.internal",
            "watch.example.com",
            "WATCH.EXAMPLE.COM.",
            "vm.corp.example",
        ] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in [
            "evil.com",
            "evil.example",
            "attacker.test",
            "127.0.0.1.nip.io",
            "localhost.evil.com",
            "svc.evil.com",
            "x.svc.evil.com",
            "watch.example.com.evil.com",
            "evil.watch.example.com",
            "evil.xn--p1ai",
            "evil.XN--P1AI",
            "evil.com..",
            "",
            ".",
            "..",
            "127.1",
            "127.0.0.1.",
            "ev il.a-b",
            "evil.com%00.a-b",
        ] {
            assert!(!hosts.allow(bad), "{bad}");
        }
    }

    #[test]
    fn a_flag_takes_a_name_only() {
        for good in ["watch.example.com", "a", "a.b.", "under_score"] {
            assert!(is_host_name(good), "{good}");
        }
        let long = "a".repeat(254);
        for bad in ["", "a:80", "http://a", "a/b", "*", "*.a", "a b", "a..b", ".", "é", &long] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
