//! Reads `x-forwarded-client-cert` as Envoy documents it: `,` separates elements, `;`
//! separates pairs, `=` separates key and value. A value that contains one of them is in
//! double quotes, inside which `\"` is a quote. Pure; every input is accepted.

use axum::http::HeaderMap;
use echo_reply::{CertificateElement, headers::FORWARDED_CLIENT_CERT, printable};

/// The elements of all such headers, nearest proxy last.
#[must_use]
pub(crate) fn from_headers(headers: &HeaderMap) -> Vec<CertificateElement> {
    headers
        .get_all(FORWARDED_CLIENT_CERT)
        .iter()
        .flat_map(|value| parse(&String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

/// The elements of one header value, nearest proxy last. Whole certificates
/// (`Cert`, `Chain`), unknown keys, and pairs without `=` or without a value are left out.
/// An unterminated quote ends with the header.
#[must_use]
pub(crate) fn parse(value: &str) -> Vec<CertificateElement> {
    let pairs = |element| split_unquoted(element, ';').filter_map(|pair| pair.split_once('='));
    split_unquoted(value, ',')
        .filter(|element| pairs(*element).next().is_some())
        .map(|element| {
            let mut parsed = CertificateElement::default();
            for (key, value) in pairs(element) {
                parsed_pair(&mut parsed, key.trim(), &unquoted(value.trim()));
            }
            parsed
        })
        .collect()
}

fn parsed_pair(element: &mut CertificateElement, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let value = printable(value).into_owned();
    match key.to_ascii_lowercase().as_str() {
        "by" => element.by.push(value),
        "hash" => element.hash = Some(value),
        "subject" => element.subject = Some(value),
        "uri" => element.uri.push(value),
        "dns" => element.dns.push(value),
        _ => {}
    }
}

/// `text` split at every `separator` outside quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let splits = c == separator && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\';
        splits
    })
}

fn unquoted(value: &str) -> String {
    let Some(inside) = value.strip_prefix('"') else { return value.to_owned() };
    inside.strip_suffix('"').unwrap_or(inside).replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_element_as_a_sidecar_sends_it() {
        let parsed = parse(
            "By=spiffe://cluster.local/ns/istio-enabled/sa/echo2;\
             Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688;\
             Subject=\"CN=a, O=\\\"b; c\\\"\";URI=spiffe://cluster.local/ns/x/sa/client;\
             DNS=a.example;DNS=b.example;Cert=\"-----BEGIN%20\"",
        );
        assert_eq!(
            parsed,
            [CertificateElement {
                by: vec!["spiffe://cluster.local/ns/istio-enabled/sa/echo2".into()],
                hash: Some(
                    "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688".into()
                ),
                uri: vec!["spiffe://cluster.local/ns/x/sa/client".into()],
                subject: Some("CN=a, O=\"b; c\"".into()),
                dns: vec!["a.example".into(), "b.example".into()],
            }]
        );
    }

    #[test]
    fn several_proxies_come_in_order_and_empty_values_are_left_out() {
        let parsed = parse("By=spiffe://a;Hash=1;Subject=\"\";URI=,By=spiffe://b;Hash=2;URI=u");
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].subject, None);
        assert_eq!(parsed[0].uri, [""; 0]);
        assert_eq!(parsed[1].by, ["spiffe://b"]);
        assert_eq!(parsed[1].uri, ["u"]);
    }

    #[test]
    fn what_is_not_a_pair_is_not_an_element() {
        for nothing in ["", ",", ";;,;", "hello", "\"By=x\""] {
            assert_eq!(parse(nothing).iter().map(|e| e.by.len()).sum::<usize>(), 0, "{nothing:?}");
        }
        let unended = parse("By=a;Subject=\"CN=x,By=b");
        assert_eq!(unended.len(), 1);
        assert_eq!(unended[0].subject.as_deref(), Some("CN=x,By=b"));
    }

    /// A value as Envoy writes it.
    fn quoted(value: &str) -> String {
        format!("\"{}\"", value.replace('"', "\\\""))
    }

    proptest! {
        #[test]
        fn nothing_panics_and_nothing_is_unprintable(value in any::<String>()) {
            for element in parse(&value) {
                for text in element.by.iter().chain(&element.uri).chain(&element.subject) {
                    prop_assert!(!text.contains(char::is_control));
                }
            }
        }

        #[test]
        fn what_envoy_quotes_is_read_back(subjects in prop::collection::vec("[ -\\[\\]-~]{1,30}", 1..4)) {
            let header: Vec<_> =
                subjects.iter().map(|s| format!("Hash=1;Subject={};URI=u", quoted(s))).collect();
            let parsed = parse(&header.join(","));
            let read: Vec<_> = parsed.iter().filter_map(|e| e.subject.clone()).collect();
            let shown: Vec<_> = subjects.iter().map(|subject| printable(subject)).collect();
            prop_assert_eq!(read, shown);
        }
    }
}
