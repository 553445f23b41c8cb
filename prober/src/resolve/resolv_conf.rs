//! resolv.conf(5), read as glibc reads it. Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use hickory_resolver::proto::rr::Name;

use super::DNS_PORT;

/// glibc's `MAXNS`; it ignores further servers.
const MOST_SERVERS: usize = 3;
/// glibc's `RES_MAXNDOTS`, `RES_MAXRETRANS` (in seconds) and `RES_MAXRETRY`.
const MOST_DOTS: u32 = 15;
const LONGEST_TIMEOUT: u32 = 30;
const MOST_ATTEMPTS: u32 = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    /// In order.
    pub servers: Vec<SocketAddr>,
    /// The search domains in order; `None` if the file has neither `search` nor `domain`.
    pub search: Option<Vec<Name>>,
    pub options: Options,
}

/// The options that mean something here. Others change nothing: each query has a socket of its own,
/// which is more than `single-request-reopen` asks for, and nothing reads the bit of `trust-ad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// A name with at least so many dots is looked up as it is before the search domains.
    pub ndots: usize,
    /// How long to wait for one server.
    pub timeout: Duration,
    /// How often to try all servers.
    pub attempts: u32,
    /// Whether each lookup starts with another server.
    pub rotate: bool,
    /// Whether queries go over TCP only.
    pub use_vc: bool,
    pub edns0: bool,
    /// Whether IPv6 addresses are looked up only if nothing else is wanted.
    pub no_aaaa: bool,
}

impl Default for Options {
    /// glibc's.
    fn default() -> Self {
        Self {
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_vc: false,
            edns0: false,
            no_aaaa: false,
        }
    }
}

impl ResolvConf {
    /// Reads the text of a resolv.conf. As in glibc, what is not understood counts as absent, and the
    /// last `search` or `domain` counts. `interface` gives the index of a network interface, for
    /// servers such as `fe80::1%eth0`.
    pub(super) fn parse(text: &str, interface: impl Fn(&str) -> Option<u32>) -> Self {
        let mut conf = Self { servers: Vec::new(), search: None, options: Options::default() };
        for line in text.lines() {
            // The keyword starts the line; comments start with one of these.
            if line.starts_with([';', '#', ' ', '\t']) {
                continue;
            }
            let mut words =
                line.split_ascii_whitespace().take_while(|word| !word.starts_with([';', '#']));
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| server(word, &interface));
                    let room = conf.servers.len() < MOST_SERVERS;
                    conf.servers.extend(server.filter(|_| room));
                }
                Some("domain") => conf.set_search(words.take(1)),
                Some("search") => conf.set_search(words),
                Some("options") => words.for_each(|word| conf.options.set(word)),
                _ => {}
            }
        }
        conf
    }

    fn set_search<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let mut words = words.peekable();
        if words.peek().is_some() {
            self.search = Some(words.filter_map(domain).collect());
        }
    }
}

impl Options {
    fn set(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        match (name, leading_number(value)) {
            ("ndots", Some(dots)) => self.ndots = dots.min(MOST_DOTS) as usize,
            // As in glibc, 0 counts as 1 s.
            ("timeout", Some(seconds)) => {
                self.timeout = Duration::from_secs(seconds.clamp(1, LONGEST_TIMEOUT).into());
            }
            ("attempts", Some(attempts)) => self.attempts = attempts.clamp(1, MOST_ATTEMPTS),
            ("rotate", _) => self.rotate = true,
            ("use-vc", _) => self.use_vc = true,
            ("edns0", _) => self.edns0 = true,
            ("no-aaaa", _) => self.no_aaaa = true,
            _ => {}
        }
    }
}

fn server(word: &str, interface: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let word = word.split([';', '#']).next()?;
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, DNS_PORT));
    }
    let (address, zone) = word.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let zone = zone.parse().ok().or_else(|| interface(zone))?;
    Some(SocketAddrV6::new(address, DNS_PORT, 0, zone).into())
}

/// A search domain. Some tools write `--` for none.
pub(super) fn domain(word: &str) -> Option<Name> {
    let mut name = Name::from_str_relaxed(word).ok().filter(|_| word != "--")?;
    name.set_fqdn(true);
    Some(name)
}

/// The number at the start of `text`, as C's `atoi` reads it; as large as possible if it does not fit.
fn leading_number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(u32::MAX)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(text, |name| (name == "eth0").then_some(7))
    }

    fn servers(text: &str) -> Vec<String> {
        parse(text).servers.iter().map(ToString::to_string).collect()
    }

    fn search(text: &str) -> Option<Vec<String>> {
        parse(text).search.map(|list| list.iter().map(Name::to_ascii).collect())
    }

    #[test]
    fn the_first_three_servers_count_in_order() {
        let text = "nameserver 10.0.0.1\nnameserver\t::1\nnameserver 10.0.0.3 # third\nnameserver 10.0.0.4\n";
        assert_eq!(servers(text), ["10.0.0.1:53", "[::1]:53", "10.0.0.3:53"]);
        let zones = "nameserver fe80::1%eth0\nnameserver fe80::2%3\nnameserver fe80::3%none\nnameserver 1.1.1.1%2\n";
        assert_eq!(servers(zones), ["[fe80::1%7]:53", "[fe80::2%3]:53"]);
        let odd = "nameserver\nnameserver dns.google\nNAMESERVER 1.1.1.1\n nameserver 1.1.1.1\n\
                   #nameserver 1.1.1.1\n;nameserver 1.1.1.1\nnameserverx 1.1.1.1\n\
                   nameserver 10.0.0.9;x\r\nnameserver 10.0.0.300\n";
        assert_eq!(servers(odd), ["10.0.0.9:53"]);
    }

    #[test]
    fn the_last_search_or_domain_counts() {
        let list = |domains: &[&str]| Some(domains.iter().map(|&d| d.to_owned()).collect());
        assert_eq!(search("nameserver 10.0.0.1\n"), None);
        assert_eq!(search("search a.test b.test\ndomain c.test d.test\n"), list(&["c.test."]));
        assert_eq!(
            search("domain c.test\nsearch a.test  b.test. \n"),
            list(&["a.test.", "b.test."])
        );
        assert_eq!(search("search a.test\nsearch\n"), list(&["a.test."]), "a line without a value");
        assert_eq!(search("search . # none\n"), list(&["."]));
        assert_eq!(search("search -- lan\r\n"), list(&["lan."]));
        assert_eq!(search(&format!("search {} lan\n", "a".repeat(64))), list(&["lan."]));
        let many = (0..20).map(|n| format!("d{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(search(&format!("search {many}\n")).map(|list| list.len()), Some(20));
    }

    #[test]
    fn options_are_limited_and_unknown_ones_change_nothing() {
        let options = |text: &str| parse(&format!("options {text}\n")).options;
        let of = |set: fn(&mut Options)| {
            let mut options = Options::default();
            set(&mut options);
            options
        };
        assert_eq!(options("ndots:5"), of(|o| o.ndots = 5));
        assert_eq!(options("ndots:0"), of(|o| o.ndots = 0));
        assert_eq!(options("ndots:99"), of(|o| o.ndots = 15));
        assert_eq!(
            options("timeout:1 attempts:3"),
            of(|o| {
                (o.timeout, o.attempts) = (Duration::from_secs(1), 3);
            })
        );
        assert_eq!(
            options("timeout:0 attempts:0"),
            of(|o| {
                (o.timeout, o.attempts) = (Duration::from_secs(1), 1);
            })
        );
        assert_eq!(
            options("timeout:99999999999 attempts:9"),
            of(|o| {
                (o.timeout, o.attempts) = (Duration::from_secs(30), 5);
            })
        );
        assert_eq!(options("timeout:2s"), of(|o| o.timeout = Duration::from_secs(2)));
        assert_eq!(
            options("rotate use-vc edns0 no-aaaa"),
            of(|o| {
                (o.rotate, o.use_vc, o.edns0, o.no_aaaa) = (true, true, true, true);
            })
        );
        let ignored = "trust-ad inet6 single-request single-request-reopen debug ndots ndots: \
                       timeout:-1 attempts:x frobnicate :3 : ndots";
        assert_eq!(options(ignored), Options::default());
        let lines = "options ndots:2\noptions rotate\noptions ndots:3 # ndots:4\n";
        assert_eq!(parse(lines).options, of(|o| (o.ndots, o.rotate) = (3, true)));
    }

    proptest! {
        #[test]
        fn no_text_exceeds_the_limits(text in any::<String>()) {
            let conf = parse(&text);
            prop_assert!(conf.servers.len() <= MOST_SERVERS);
            prop_assert_eq!(conf, parse(&text));
        }

        /// Lines that look like resolv.conf, with values of all kinds.
        #[test]
        fn lines_of_a_resolv_conf_exceed_no_limit(
            lines in prop::collection::vec(
                ("(nameserver|search|domain|options|;|#| |x)", "[ \t]{1,2}", "[a-z0-9:.%#; -]{0,30}"),
                0..12,
            ),
        ) {
            let text: String =
                lines.iter().map(|(word, gap, value)| format!("{word}{gap}{value}\n")).collect();
            let ResolvConf { servers, search, options } = parse(&text);
            prop_assert!(servers.len() <= MOST_SERVERS);
            prop_assert!(servers.iter().all(|server| server.port() == DNS_PORT));
            prop_assert!(search.iter().flatten().all(Name::is_fqdn));
            prop_assert!(options.ndots <= 15);
            prop_assert!((1..=30).contains(&options.timeout.as_secs()));
            prop_assert!((1..=5).contains(&options.attempts));
        }

        #[test]
        fn what_is_written_is_read(
            servers in prop::collection::vec(any::<IpAddr>(), 0..3),
            ndots in 0usize..=15,
            seconds in 1u64..=30,
            attempts in 1u32..=5,
            rotate: bool,
        ) {
            let mut text: String = servers.iter().map(|ip| format!("nameserver {ip}\n")).collect();
            text += &format!("options ndots:{ndots} timeout:{seconds} attempts:{attempts}");
            text += if rotate { " rotate\n" } else { "\n" };
            let conf = parse(&text);
            let read: Vec<_> = conf.servers.iter().map(SocketAddr::ip).collect();
            prop_assert_eq!(read, servers);
            let timeout = Duration::from_secs(seconds);
            let options = Options { ndots, timeout, attempts, rotate, ..Options::default() };
            prop_assert_eq!(conf.options, options);
        }
    }
}
