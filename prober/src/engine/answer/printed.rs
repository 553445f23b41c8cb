//! Request headers that an application prints in its answers, in any of the usual forms: a line
//! `Name: value`, JSON, or `FIELD=Name:value`. Pure.

use std::sync::LazyLock;

use regex::bytes::Regex;

/// The value of a printed header. Other values than these are not taken for one, such as the next
/// name in a list of names.
const VALUE: &str = r#"["']?\s*[:=]\s*\[?\s*["']?([0-9A-Za-z._-]+)"#;

/// What stands between a name and its value in lists of pairs (`["X-Probe-Id", "…"]`, `"name": "…",
/// "value": "…"`), cells of a table, and the variables of CGI. Only values of the right form count there.
const APART: &str = r#"["']?\s*(?:[:=,]|</t[dh]>\s*<t[dh][^>]{0,40}>|</dt>\s*<dd>)\s*(?:["']value["']\s*:\s*)?\[?\s*["']?"#;

/// The form of a probe id: `wire::probe_id`.
const ID: &str = "((?:[0-9a-f]+-)+[0-9a-f]{12})";

static PROBE_ID: LazyLock<Option<Regex>> =
    LazyLock::new(|| of(echo_reply::headers::PROBE_ID, VALUE, ID));
static ATTEMPT: LazyLock<Option<Regex>> =
    LazyLock::new(|| of(echo_reply::headers::ENVOY_ATTEMPT, VALUE, "([0-9]{1,3})"));

/// A header, also named as CGI names it (`HTTP_X_PROBE_ID`).
fn of(header: &str, value: &str, apart: &str) -> Option<Regex> {
    let name = header.replace('-', "[-_]");
    Regex::new(&format!(r"(?i-u)(?:\b|HTTP_){name}(?:{APART}{apart}\b|{value})")).ok()
}

/// Whether a body prints the probe id of another request, and not the `own` one.
#[must_use]
pub(super) fn is_of_another(body: &[u8], own: &[u8]) -> bool {
    let mut ids = values(&PROBE_ID, body).peekable();
    ids.peek().is_some() && !ids.any(|id| id == own)
}

/// Whether a body prints the `own` probe id.
#[must_use]
pub(super) fn is_own(body: &[u8], own: &[u8]) -> bool {
    values(&PROBE_ID, body).any(|id| id == own)
}

/// The attempt that a body prints: the largest, if it prints several.
#[must_use]
pub(super) fn attempt(body: &[u8]) -> Option<u32> {
    values(&ATTEMPT, body).filter_map(super::number).max()
}

fn values<'b>(
    header: &'static LazyLock<Option<Regex>>,
    body: &'b [u8],
) -> impl Iterator<Item = &'b [u8]> {
    let found = header.iter().flat_map(move |header| header.captures_iter(body));
    let value = |captures: regex::bytes::Captures<'b>| captures.get(1).or_else(|| captures.get(2));
    found.filter_map(value).map(|value| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: &[u8] = b"1a-2b-000000000003";

    /// How whoami, its `/api`, echo-basic and Istio's echo print a header.
    fn forms(name: &str, value: &str) -> [String; 10] {
        [
            format!("Hostname: w\nGET / HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n\r\n"),
            format!(r#"{{"hostname":"w","headers":{{"{name}":["{value}"],"X":["y"]}}}}"#),
            format!("{{\n \"headers\": {{\n  \"{name}\": [\n   \"{value}\"\n  ]\n }}\n}}"),
            format!("ServiceVersion=v1\nRequestHeader={name}:{value}\nHostname=b\n"),
            format!(r#"{{"request": {{"headers": {{"{}": "{value}"}}}}}}"#, name.to_lowercase()),
            format!(r#"{{"headers":[{{"name":"{name}","value":"{value}"}}]}}"#),
            format!(r#"{{"rawHeaders":["{name}","{value}","Accept","*/*"]}}"#),
            format!("<tr><td>{name}</td><td>{value}</td></tr>"),
            format!("<dt>{name}</dt><dd>{value}</dd>"),
            format!("HTTP_{}={value}\n", name.to_uppercase().replace('-', "_")),
        ]
    }

    #[test]
    fn the_id_of_another_request_is_found_in_every_form() {
        for body in forms("X-Probe-Id", "1a-2b-000000000004") {
            assert!(is_of_another(body.as_bytes(), OWN), "{body}");
        }
        for body in forms("X-Probe-Id", "1a-2b-000000000003") {
            assert!(!is_of_another(body.as_bytes(), OWN), "{body}");
        }
        for body in [
            "",
            "Hostname: w\n",
            "X-Probe-Id: \r\n",
            r#"["X-Probe-Id", "Accept"]"#,
            "<td>X-Probe-Id</td><td>1</td>",
            "X-Probe-Id: ***",
            "My-X-Probe-Idea: 1",
        ] {
            assert!(!is_of_another(body.as_bytes(), OWN), "{body}");
        }
    }

    #[test]
    fn attempts_are_found_in_every_form() {
        for body in forms("X-Envoy-Attempt-Count", "2") {
            assert_eq!(attempt(body.as_bytes()), Some(2), "{body}");
        }
        for (body, found) in [
            ("X-Envoy-Attempt-Count: 1\r\nx-envoy-attempt-count: 3\r\n", Some(3)),
            ("X-Envoy-Attempt-Count: two\r\n", None),
            ("X-Envoy-Attempt-Count: 99999999999\r\n", None),
            ("X-Envoy-Attempt-Counter: 2\r\n", None),
            ("", None),
        ] {
            assert_eq!(attempt(body.as_bytes()), found, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<Vec<u8>>(), value in "\\PC{0,20}") {
            let _ = (is_of_another(&body, OWN), attempt(&body));
            for body in forms("X-Probe-Id", &value) {
                let _ = (is_of_another(body.as_bytes(), OWN), attempt(body.as_bytes()));
            }
        }

        /// An answer that prints the id of its own request is never taken for a copy.
        #[test]
        fn the_own_id_is_always_recognized(rest in "\\PC{0,40}", form in 0usize..5) {
            let own = std::str::from_utf8(OWN).unwrap();
            let body = format!("{rest}\n{}", forms("X-Probe-Id", own)[form]);
            prop_assert!(!is_of_another(body.as_bytes(), OWN));
        }
    }
}
