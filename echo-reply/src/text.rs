//! The text line: written in one form, read in two.

use std::borrow::Cow;
use std::fmt;

/// The longest value that a reply repeats from a request, in bytes.
pub const MAX_VALUE: usize = 4096;

const ON_POD: &str = " on [pod: ";
const IN_CLUSTER: &str = "] in [cluster: ";

/// `[URL: http://echo1:8080/hello] on [pod: echo1-x] in [cluster: kops]`.
///
/// `Display` writes it without a line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLine<'a> {
    /// The URL as the client asked for it.
    pub url: &'a str,
    pub pod: &'a str,
    pub cluster: &'a str,
}

impl fmt::Display for TextLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, pod, cluster } = self;
        write!(f, "[URL: {url}]{ON_POD}{pod}{IN_CLUSTER}{cluster}]")
    }
}

impl<'a> TextLine<'a> {
    /// Reads one line: the form above, or that of the original sample, which has a bare URL
    /// (`http://… on [pod: …] in [cluster: …]`). A line end is allowed.
    ///
    /// The last pod and cluster of the line count, so that a URL cannot imitate another
    /// identity.
    #[must_use]
    pub fn parse(body: &'a str) -> Option<Self> {
        let line = body.strip_suffix('\n').unwrap_or(body);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(char::is_control) {
            return None;
        }
        let (rest, cluster) = line.strip_suffix(']')?.rsplit_once(IN_CLUSTER)?;
        let (url, pod) = rest.rsplit_once(ON_POD)?;
        let url = match url.strip_prefix("[URL: ") {
            Some(inside) => inside.strip_suffix(']')?,
            None => url,
        };
        let named = !pod.is_empty() && !cluster.is_empty();
        (named && url.contains("://")).then_some(Self { url, pod, cluster })
    }
}

/// A value for a reply, as a part of a line ([`printable::clean_part`]): what must not be printed is
/// shown as its code. Longer values are cut to [`MAX_VALUE`] bytes, with `…` at the end.
#[must_use]
pub fn printable(value: &str) -> Cow<'_, str> {
    let start = &value[..value.floor_char_boundary(MAX_VALUE)];
    match printable::clean_part(start) {
        Cow::Borrowed(_) if start.len() == value.len() => Cow::Borrowed(value),
        clean => {
            let mut clean = clean.into_owned();
            let end = clean.floor_char_boundary(MAX_VALUE);
            // Codes are longer than what they stand for.
            if start.len() < value.len() || end < clean.len() {
                clean.truncate(end);
                clean.push('…');
            }
            Cow::Owned(clean)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str =
        "[URL: http://echo1:8080/hello] on [pod: echo1-5cf848bd89-lql9p] in [cluster: kops]";

    #[test]
    fn the_line_is_byte_for_byte_the_documented_one() {
        let line = TextLine {
            url: "http://echo1:8080/hello",
            pod: "echo1-5cf848bd89-lql9p",
            cluster: "kops",
        };
        assert_eq!(line.to_string(), LINE);
        assert_eq!(TextLine::parse(LINE), Some(line));
    }

    #[test]
    fn the_original_bare_form_is_read_too() {
        let line = "http://echo2:8080/hello on [pod: echo2-64d-x] in [cluster: gke1]\n";
        let parsed = TextLine::parse(line).unwrap();
        assert_eq!((parsed.pod, parsed.cluster), ("echo2-64d-x", "gke1"));
    }

    #[test]
    fn a_url_that_imitates_an_identity_does_not_become_one() {
        let line = TextLine {
            url: "http://e/?a=] on [pod: evil] in [cluster: mars]",
            pod: "true",
            cluster: "kops",
        };
        let text = line.to_string();
        assert_eq!(TextLine::parse(&text).unwrap().pod, "true");
    }

    #[test]
    fn other_texts_are_nobody() {
        for other in [
            "",
            "ok",
            "no healthy upstream",
            "[URL: http://e/] on [pod: ] in [cluster: kops]",
            "[URL: http://e/] on [pod: p] in [cluster: ]",
            "hello on [pod: p] in [cluster: c]",
            "[URL: http://e/] on [pod: p] in [cluster: c]\nmore",
            "[URL: http://e/ on [pod: p] in [cluster: c]",
        ] {
            assert_eq!(TextLine::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn printable_bounds_and_cleans() {
        assert_eq!(printable("a\r\nb\u{1b}[31m"), "a\\u{d}\\u{a}b\\u{1b}[31m");
        assert_eq!(printable("::error::##[x]"), "\\u{3a}:error::##\\u{5b}x]");
        for same in ["::1, ::ffff:1.2.3.4", "http://[::1]:80/a?b#c"] {
            assert!(matches!(printable(same), Cow::Borrowed(_)), "{same}");
        }
        let long = "é".repeat(MAX_VALUE);
        let cut = printable(&long);
        assert!(cut.ends_with('…') && cut.len() <= MAX_VALUE + '…'.len_utf8());
        let codes = "\u{202e}".repeat(MAX_VALUE / 3);
        let cut = printable(&codes);
        assert!(cut.ends_with('…') && cut.len() <= MAX_VALUE + '…'.len_utf8());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            url in "https?://[a-z0-9.:]{1,20}/[ -~]{0,40}",
            pod in "[a-z0-9-]{1,40}",
            cluster in "[a-z0-9<>-]{1,20}",
        ) {
            let line = TextLine { url: &url, pod: &pod, cluster: &cluster };
            let text = line.to_string();
            prop_assert_eq!(TextLine::parse(&text), Some(line));
        }

        #[test]
        fn no_text_panics(body in any::<String>()) {
            let _ = TextLine::parse(&body);
            let clean = printable(&body);
            prop_assert!(!clean.contains(char::is_control));
            prop_assert_eq!(&*printable(&clean[..clean.floor_char_boundary(MAX_VALUE)]), &clean[..]);
        }

        #[test]
        fn a_line_with_any_url_is_read_back(path in "(\\PC|\\p{Cf}|\\p{Cc}|::|##|\\[|\\]){0,30}") {
            let url = format!("http://a/{path}");
            let url = printable(&url);
            let line = TextLine { url: &url, pod: "p", cluster: "c" };
            let text = line.to_string();
            prop_assert!(printable::is_clean(&text), "{}", text);
            prop_assert_eq!(TextLine::parse(&text), Some(line));
        }
    }
}
