//! Who answered, read from the body of a response without `x-echo-*` headers: the JSON reply,
//! or the text line in either of its forms. Pure.

use echo_reply::{Identity, Reply, TextLine};

/// What an answer says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub identity: Identity,
    /// The attempt of the nearest Envoy, from 1.
    pub attempt: Option<u32>,
    /// The probe id that it returned, if it returned one.
    pub probe: Option<String>,
}

/// Reads who answered. `None` if the body is not an echo's, or a name in it contains control
/// characters.
#[must_use]
pub(super) fn from_body(body: &[u8]) -> Option<Claim> {
    let claim = from_json(body).or_else(|| from_text(body))?;
    Some(Claim { identity: claim.identity.cleaned()?, ..claim })
}

fn from_json(body: &[u8]) -> Option<Claim> {
    let reply: Reply = serde_json::from_slice(body).ok()?;
    let named = !reply.identity.pod.is_empty() && !reply.identity.cluster.is_empty();
    named.then_some(Claim { identity: reply.identity, attempt: reply.attempt, probe: reply.probe })
}

fn from_text(body: &[u8]) -> Option<Claim> {
    let line = TextLine::parse(std::str::from_utf8(body).ok()?)?;
    let identity = Identity::new(line.pod, line.cluster);
    Some(Claim { identity, attempt: None, probe: None })
}

/// A body that is safe to print: one line, without control characters, bounded.
#[must_use]
pub(super) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_end_matches(['\r', '\n']);
    let end = text.floor_char_boundary(echo_reply::MAX_VALUE);
    let dots = if end < text.len() { "…" } else { "" };
    format!("{}{dots}", printable::clean(&text[..end]))
}

/// The beginning of a body on one line, without control characters; `…` if it is longer than `most`
/// characters.
#[must_use]
pub(super) fn excerpt(body: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(body);
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let space = usize::from(length > 0);
        if word.is_empty() {
            continue;
        }
        if length + space > most {
            line.push('…');
            break;
        }
        line.extend((space > 0).then_some(' '));
        line.extend(word.chars().take(most - length - space));
        length += space + word.chars().count();
        if length > most {
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &[u8] = b"[URL: http://echo2:8080/] on [pod: echo2-x] in [cluster: gke1]\n";

    #[test]
    fn the_text_line_is_read() {
        let claim = from_body(LINE).unwrap();
        assert_eq!(claim.identity, Identity::new("echo2-x", "gke1"));
        let flask = b"http://echo2:8080/hello on [pod: echo2-z] in [cluster: kops]";
        let claim = from_body(flask).unwrap();
        assert_eq!(claim.identity, Identity::new("echo2-z", "kops"));
    }

    #[test]
    fn the_json_reply_is_read() {
        let body = br#"{"schema":"echo/1","pod":"p","cluster":"c","zone":"z","method":"GET",
            "url":"http://a/","http_version":"HTTP/1.1","headers":{},"peer":null,
            "connection":"1","request":1,"attempt":3,"probe":null,"tls":null,"xfcc":[]}"#;
        let claim = from_body(body).unwrap();
        assert_eq!(claim.identity.zone.as_deref(), Some("z"));
        assert_eq!(claim.attempt, Some(3));
    }

    #[test]
    fn a_name_that_would_forge_lines_of_the_report_is_refused() {
        for pod in [r"p\n  PASS  errors = 0", r"\u001b[2Jp", r"p\tq"] {
            let body = format!(
                r#"{{"schema":"echo/1","pod":"{pod}","cluster":"c","method":"GET",
                "url":"http://a/","http_version":"HTTP/1.1","headers":{{}},"peer":null,
                "connection":"1","request":1,"attempt":null,"probe":null,"tls":null,"xfcc":[]}}"#
            );
            assert!(serde_json::from_str::<Reply>(&body).is_ok());
            assert_eq!(from_body(body.as_bytes()), None, "{pod}");
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        assert_eq!(from_body(b"Welcome to nginx!"), None);
        assert_eq!(from_body(b"{\"pod\":\"p\"}"), None);
        assert_eq!(from_body(b""), None);
        assert_eq!(from_body(b"\xff\xfe"), None);
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        for (body, most, line) in [
            ("Hostname: w\r\n\r\nIP: 1\n", 20, "Hostname: w IP: 1"),
            ("  a\u{1b}[2Jb  ", 20, "a [2Jb"),
            ("ab cd", 5, "ab cd"),
            ("ab cde", 5, "ab cd…"),
            ("ab cd", 4, "ab c…"),
            ("ab cd", 3, "ab …"),
            ("ab cd", 2, "ab…"),
            ("éé", 1, "é…"),
            ("", 5, ""),
        ] {
            assert_eq!(excerpt(body.as_bytes(), most), line, "{body} {most}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<Vec<u8>>(), most in 1usize..50) {
            let line = excerpt(&body, most);
            prop_assert!(line.chars().count() <= most + 1 && !line.contains(char::is_control));
            let _ = from_body(&body);
            prop_assert!(!shown(&body).contains(char::is_control));
        }
    }
}
