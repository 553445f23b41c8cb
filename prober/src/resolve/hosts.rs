//! The hosts file: names and addresses. Pure.
//!
//! Its text is kept, and the places of its names in their order: a list of a million blocked names takes
//! little more memory than its text.

use std::net::IpAddr;
use std::ops::Range;

/// The names of a hosts file.
pub(super) struct Hosts {
    text: String,
    /// Ordered by name. Of one name in the order of the lines.
    names: Vec<Named>,
    addresses: Vec<IpAddr>,
}

/// Where a name is in the text, and the place of its address.
#[derive(Clone, Copy)]
struct Named {
    start: u32,
    end: u32,
    address: u32,
}

impl Hosts {
    /// Reads lines `ADDRESS NAME…`; `#` starts a comment. What is not such a line is left out, as is what
    /// comes after 4 GiB.
    pub(super) fn parse(text: String) -> Self {
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let mut words = words(line, start);
            start += line.len();
            let Some(address) = words.next().and_then(|word| text[word].parse().ok()) else {
                continue;
            };
            let before = names.len();
            names.extend(words.filter_map(|word| {
                let address = u32::try_from(addresses.len()).ok()?;
                Some(Named {
                    start: u32::try_from(word.start).ok()?,
                    end: u32::try_from(word.end).ok()?,
                    address,
                })
            }));
            if names.len() > before {
                addresses.push(address);
            }
        }
        names.sort_by(|one, other| folded(&text[one.range()]).cmp(folded(&text[other.range()])));
        Self { text, names, addresses }
    }

    /// The addresses of exactly this name, those of IPv4 first.
    pub(super) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let of = |named: &Named| folded(&self.text[named.range()]);
        let start = self.names.partition_point(|named| of(named).lt(folded(name)));
        let same = self.names[start..].iter().take_while(|named| of(named).eq(folded(name)));
        let mut found: Vec<IpAddr> =
            same.map(|named| self.addresses[named.address as usize]).collect();
        found.sort_by_key(IpAddr::is_ipv6);
        found
    }
}

impl Named {
    fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The words of a line before its comment, as places in the text. The line is at `start`.
fn words(line: &str, start: usize) -> impl Iterator<Item = Range<usize>> {
    let before = line.split_once('#').map_or(line, |(before, _)| before);
    let plain = before.trim_start_matches('\u{feff}');
    plain.split_whitespace().map(move |word| {
        let at = start + (word.as_ptr() as usize - line.as_ptr() as usize);
        at..at + word.len()
    })
}

/// A name as it is compared: without case, and without the dot at its end.
fn folded(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.strip_suffix('.').unwrap_or(name).bytes().map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str, name: &str) -> Vec<String> {
        let found = Hosts::parse(text.to_owned()).addresses(name);
        found.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn names_are_found_as_the_system_finds_them() {
        let text = "\u{feff}127.0.0.1 localhost\n\
                    ::1 localhost Ip6.Localhost # 1.2.3.4 no\n\
                    # 127.0.0.9 comment\n\
                    \t10.0.0.1\ta b.test. a\r\n\
                    not-an-address a\n\n10.0.0.2\n10.0.0.3 A";
        assert_eq!(found(text, "localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(found(text, "a."), ["10.0.0.1", "10.0.0.1", "10.0.0.3"]);
        assert_eq!(found(text, "ip6.localhost"), ["::1"]);
        assert_eq!(found(text, "B.test"), ["10.0.0.1"]);
        for unknown in ["", ".", "no", "comment", "1.2.3.4", "10.0.0.1", "b", "b.test.."] {
            assert!(found(text, unknown).is_empty(), "{unknown:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_file_a_name_is_found_iff_a_line_has_it(
            text in "([1:.a# \n\t\u{feff}é]|1\\.1\\.1\\.1 |::1 ){0,80}",
            name in "[a1é][a1.é]{0,3}",
        ) {
            let line_has_it = |line: &str| {
                let line = line.split('#').next().unwrap_or("").trim_start_matches('\u{feff}');
                let mut words = line.split_whitespace();
                words.next().is_some_and(|first| first.parse::<IpAddr>().is_ok())
                    && words.any(|word| folded(word).eq(folded(&name)))
            };
            prop_assert_eq!(!found(&text, &name).is_empty(), text.split('\n').any(line_has_it));
        }
    }
}
