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

/// A value for a reply: control characters, and those that hide or turn text around, are replaced
/// by `?`, and the value is cut to [`MAX_VALUE`] bytes with `…` at the end.
#[must_use]
pub fn printable(value: &str) -> Cow<'_, str> {
    // Nearly all values are plain ASCII, which is checked without decoding.
    let plain = |byte| matches!(byte, b' '..=b'~');
    let harmless = |value: &str| value.bytes().all(plain) || !value.contains(printable::is_hidden);
    if value.len() <= MAX_VALUE && harmless(value) {
        return Cow::Borrowed(value);
    }
    let end = value.floor_char_boundary(MAX_VALUE);
    let mut clean: String =
        value[..end].chars().map(|c| if printable::is_hidden(c) { '?' } else { c }).collect();
    if end < value.len() {
        clean.push('…');
    }
    Cow::Owned(clean)
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
        assert_eq!(printable("a\r\nb\u{1b}[31m"), "a??b?[31m");
        let long = "é".repeat(MAX_VALUE);
        let cut = printable(&long);
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
        }
    }
}
