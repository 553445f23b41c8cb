//! Zones of IPv6 addresses, such as the `eth0` of `http://[fe80::1%25eth0]/`: the interface that a
//! link-local address is reached through (RFC 6874). The zone is not sent. Pure.

use std::borrow::Cow;

/// A URL, or a host in brackets, without its zone; and the zone, if it has one.
///
/// # Errors
/// What is wrong with the zone.
pub(super) fn split(text: &str) -> Result<(Cow<'_, str>, Option<String>), &'static str> {
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |length| start + length);
    let Some(percent) = text[start..end].find('%').map(|place| start + place) else {
        return Ok((Cow::Borrowed(text), None));
    };
    // A percent sign outside of brackets is not of a zone.
    let in_brackets = text[start..percent].contains('[') && !text[start..percent].contains(']');
    let (true, Some(length)) = (in_brackets, text[percent..end].find(']')) else {
        return Ok((Cow::Borrowed(text), None));
    };
    let zone = &text[percent + 1..percent + length];
    // RFC 6874 writes the percent sign as %25; like curl, prober accepts it alone, too.
    let zone = zone.strip_prefix("25").unwrap_or(zone);
    let known = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if zone.is_empty() || !zone.chars().all(known) {
        return Err("its zone is not the name of a network interface, such as %25eth0");
    }
    let without = format!("{}{}", &text[..percent], &text[percent + length..]);
    Ok((Cow::Owned(without), Some(zone.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_zone_is_cut_out_of_the_address() {
        for (text, without, zone) in [
            ("http://[fe80::1%25eth0]:80/a", "http://[fe80::1]:80/a", Some("eth0")),
            ("http://[fe80::1%eth0]/", "http://[fe80::1]/", Some("eth0")),
            ("[fe80::1%25eth0.5]:80/%25", "[fe80::1]:80/%25", Some("eth0.5")),
            ("http://[fe80::1%254]/", "http://[fe80::1]/", Some("4")),
            ("[fe80::1%2]", "[fe80::1]", Some("2")),
            ("http://a/[b%25c]", "http://a/[b%25c]", None),
            ("http://a?[b%25c]", "http://a?[b%25c]", None),
            ("http://[::1]:80%25/", "http://[::1]:80%25/", None),
            ("http://a%25b/", "http://a%25b/", None),
            ("http://[::1%25", "http://[::1%25", None),
        ] {
            let (got, name) = split(text).unwrap();
            assert_eq!((got.as_ref(), name.as_deref()), (without, zone), "{text}");
        }
        for wrong in ["http://[fe80::1%]/", "[fe80::1%25]", "[fe80::1%25a%20b]", "[::1%25ü]"] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(http://)?[\\[\\]:%/?#a2é5.]{0,20}") {
            let _ = split(&text);
        }
    }
}
