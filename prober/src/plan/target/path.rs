//! The path of a URL as it is sent: as curl sends it. Pure.

use std::fmt::Write as _;

/// A path and its query as they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentPath {
    pub path: String,
    /// Whether segments `.` and `..` were removed.
    pub shortened: bool,
}

/// Reads what follows the host of a URL. Segments `.` and `..` are removed unless the path is sent
/// `as_is`; bytes of a path that are not ASCII are written as `%c3%bc`, those of a query stay. The
/// fragment is not sent.
pub(super) fn sent(given: &str, as_is: bool) -> SentPath {
    let without_fragment = given.split('#').next().unwrap_or_default();
    let end = without_fragment.find('?').unwrap_or(without_fragment.len());
    let (path, query) = without_fragment.split_at(end);
    let mut ascii = String::from(if path.is_empty() { "/" } else { "" });
    for byte in path.bytes() {
        match byte.is_ascii() {
            true => ascii.push(byte.into()),
            // Writing to a string cannot fail.
            false => drop(write!(ascii, "%{byte:02x}")),
        }
    }
    let short = if as_is { ascii.clone() } else { without_dots(&ascii) };
    SentPath { shortened: short != ascii, path: short + query }
}

/// Removes the segments `.` and `..` of an absolute path (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_dots = false;
    for segment in path.split('/').skip(1) {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if ends_in_dots {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What curl 7.88 sends without and with `--path-as-is`; tests/prober/urls_vs_curl.rs asks it.
    #[test]
    fn a_path_is_sent_as_curl_sends_it() {
        for (given, path, as_is) in [
            ("", "/", "/"),
            ("#a/../b", "/", "/"),
            ("?a=/../b", "/?a=/../b", "/?a=/../b"),
            ("/a/../b", "/b", "/a/../b"),
            ("/a/./b", "/a/b", "/a/./b"),
            ("/a/..", "/", "/a/.."),
            ("/a/.", "/a/", "/a/."),
            ("/.", "/", "/."),
            ("/../../x", "/x", "/../../x"),
            ("//../x", "/x", "//../x"),
            ("/a//../x", "/a/x", "/a//../x"),
            ("/a//b/", "/a//b/", "/a//b/"),
            ("/a/b/c/./../../g", "/a/g", "/a/b/c/./../../g"),
            ("/a/..?x/../y", "/?x/../y", "/a/..?x/../y"),
            ("/..a/.../b..", "/..a/.../b..", "/..a/.../b.."),
            ("/%2e%2E/a", "/%2e%2E/a", "/%2e%2E/a"),
            ("/ü?ü#ü", "/%c3%bc?ü", "/%c3%bc?ü"),
            ("/<x>\"|^`\\{}", "/<x>\"|^`\\{}", "/<x>\"|^`\\{}"),
        ] {
            let shortened = path != as_is;
            assert_eq!(sent(given, false), SentPath { path: path.into(), shortened }, "{given}");
            let whole = SentPath { path: as_is.into(), shortened: false };
            assert_eq!(sent(given, true), whole, "{given}");
        }
    }

    proptest! {
        #[test]
        fn dots_are_removed_once_and_for_all(path in "(/[.a%?]{0,3}){0,6}") {
            let once = sent(&path, false);
            prop_assert!(once.path.starts_with('/'));
            let again = SentPath { shortened: false, ..once.clone() };
            prop_assert_eq!(sent(&once.path, false), again);
            // The RFC's own algorithm, step by step.
            let (before, _) = path.split_once('?').unwrap_or((&path, ""));
            let expected = by_the_rfc(if before.is_empty() { "/" } else { before });
            prop_assert_eq!(once.path.split('?').next(), Some(expected.as_str()));
        }
    }

    fn by_the_rfc(path: &str) -> String {
        let (mut input, mut output) = (path.to_owned(), String::new());
        while !input.is_empty() {
            if input.starts_with("/./") || input == "/." {
                input.replace_range(..3.min(input.len()), "/");
            } else if input.starts_with("/../") || input == "/.." {
                input.replace_range(..4.min(input.len()), "/");
                output.truncate(output.rfind('/').unwrap_or(0));
            } else {
                let end = input[1..].find('/').map_or(input.len(), |end| end + 1);
                output.extend(input.drain(..end));
            }
        }
        output
    }
}
