//! Failures that are the same, counted together: the same kind, status code and text, except for what
//! differs from request to request. Pure.

use std::fmt;

use super::outcome::{Code, Failure, FailureKind};

/// So many texts of a kind and status code are counted separately; further ones are counted together.
pub(super) const MAX_TEXTS: usize = 8;
/// The text of further failures of a kind and status code.
const FURTHER: &str = "other failures of this kind";

/// What kind of failure it is, with the status code if that tells failures of a kind apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailureClass {
    pub kind: FailureKind,
    /// Of [`FailureKind::Status`] only.
    pub code: Option<Code>,
    /// Whether the answers are copies, such as from a cache.
    pub copy: bool,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.copy, self.code) {
            (true, _) => f.write_str("copy"),
            (false, Some(Code::Http(code))) => write!(f, "{} {code}", self.kind.word()),
            (false, Some(Code::Grpc(code))) => write!(f, "grpc-status {code}"),
            (false, None) => f.write_str(self.kind.word()),
        }
    }
}

/// Failures that are the same, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    pub kind: FailureKind,
    /// The status code of the response; `None` if there was no response, or if it had none.
    pub code: Option<Code>,
    /// Whether the answers were copies, such as from a cache.
    pub copy: bool,
    /// The first of the failures, verbatim.
    pub what: String,
    pub count: u64,
    /// What the texts of the group have in common; `None` for all further texts.
    common: Option<String>,
}

impl FailureGroup {
    #[must_use]
    pub(crate) fn new(failure: Failure, count: u64) -> Self {
        let Failure { kind, code, copy, what, .. } = failure;
        let common = (what != FURTHER).then(|| common(kind, &what));
        Self { kind, code, copy, what, count, common }
    }

    #[must_use]
    pub fn class(&self) -> FailureClass {
        let code = self.code.filter(|_| self.kind == FailureKind::Status);
        FailureClass { kind: self.kind, code, copy: self.copy }
    }

    fn has_text_of(&self, other: &Self) -> bool {
        self.is_like(other) && self.common == other.common
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.code, self.copy) == (other.kind, other.code, other.copy)
    }
}

/// Adds a group to groups in the order in which their first failures happened. The counts of each
/// kind and status code stay exact, however many texts there are.
pub(super) fn add(groups: &mut Vec<FailureGroup>, mut group: FailureGroup) {
    if let Some(same) = groups.iter_mut().find(|one| one.has_text_of(&group)) {
        same.count += group.count;
        return;
    }
    if groups.iter().filter(|one| one.is_like(&group)).count() >= MAX_TEXTS {
        FURTHER.clone_into(&mut group.what);
        group.common = None;
        if let Some(further) = groups.iter_mut().find(|one| one.has_text_of(&group)) {
            further.count += group.count;
            return;
        }
    }
    groups.push(group);
}

/// Stands for what differs from request to request.
const BLANK: char = '#';

/// The text without what differs from request to request: numbers, ids, times, query strings.
/// Prober's own texts about names and connections have none of that, and their addresses say which
/// peer failed.
fn common(kind: FailureKind, what: &str) -> String {
    match kind {
        FailureKind::Dns | FailureKind::Connect | FailureKind::Timeout => what.to_owned(),
        _ => blanked(what),
    }
}

fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            // The query string of a URL, with its nonces and states.
            '?' => {
                out.push('?');
                rest.find(|c: char| c.is_whitespace() || "\"'<>()".contains(c))
            }
            _ if is_part_of_word(first) => {
                let length = rest.find(|c| !is_part_of_word(c)).unwrap_or(rest.len());
                match differs(&rest[..length]) {
                    true if out.ends_with(BLANK) => {}
                    true => out.push(BLANK),
                    false => out.push_str(&rest[..length]),
                }
                Some(length)
            }
            // What separates two numbers is a part of them: 12:34:56.789, 2026-11-27.
            _ if out.ends_with(BLANK) && ".:,+".contains(first) => {
                let more = &rest[first.len_utf8()..];
                if !more.starts_with(|c: char| c.is_ascii_digit()) {
                    out.push(first);
                }
                Some(first.len_utf8())
            }
            _ => {
                out.push(first);
                Some(first.len_utf8())
            }
        };
        rest = &rest[length.unwrap_or(rest.len())..];
    }
    out
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// The fewest letters of a word that counts as an id if its letters are in no order of case.
const LONG_WORD: usize = 12;

/// Whether a word may be different the next time: one with a digit, the day or month of a date, or
/// one of random letters.
fn differs(word: &str) -> bool {
    const OF_DATES: [&str; 19] = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let has_digit = word.chars().any(|c| c.is_ascii_digit());
    // aBcDe is an id, camelCase has fewer capitals.
    let turns = word
        .as_bytes()
        .windows(2)
        .filter(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let is_random = word.len() >= LONG_WORD && 4 * turns.count() >= word.len();
    has_digit || is_random || OF_DATES.contains(&word) || is_hexadecimal(word)
}

/// Eight or more letters from a to f; no English word has so many.
fn is_hexadecimal(word: &str) -> bool {
    word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(kind: FailureKind, code: u16, what: &str) -> FailureGroup {
        FailureGroup::new(Failure::new(kind, what).with(Code::Http(code)), 1)
    }

    fn grouped(texts: &[&str]) -> Vec<(String, u64)> {
        let mut groups = Vec::new();
        texts.iter().for_each(|what| add(&mut groups, group(FailureKind::Status, 503, what)));
        groups.into_iter().map(|group| (group.what, group.count)).collect()
    }

    #[test]
    fn what_differs_from_request_to_request_does_not_separate_failures() {
        for texts in [
            [
                r#"503: "busy (request 8f14e45f-ceea-467a-9575-1f0e0b3d2c11)""#,
                r#"503: "busy (request 1f0e0b3d-aaaa-bbbb-cccc-ceea467a9575)""#,
            ],
            [r#""at 2026-11-27T03:40:19.123Z""#, r#""at 2026-11-27T03:40:21.9Z""#],
            [r#""Fri, 27 Nov 2026 23:59:59 GMT""#, r#""Sat, 28 Nov 2026 00:00:01 GMT""#],
            ["in the body, after 12 bytes", "in the body, after 1400 bytes"],
            [
                "302 to https://sso/auth?state=abc&nonce=xyz (not followed)",
                "302 to https://sso/auth?state=q (not followed)",
            ],
            [r#"{"trace":"deadbeefcafebabe"}"#, r#"{"trace":"feedfacefeedface"}"#],
            [r#"{"id":"aKdJfLsQpWoEiR"}"#, r#"{"id":"zMxNcBvGhFjDkS"}"#],
            ["took 1.5 ms", "took 12 ms"],
            ["from echo2-64ddccc94f-xdfqr", "from echo2-5cf848bd89-lqlpp"],
            ["é1ü", "é22ü"],
        ] {
            assert_eq!(grouped(&texts), [(texts[0].to_owned(), 2)]);
        }
    }

    #[test]
    fn other_words_status_codes_and_addresses_separate_failures() {
        for texts in [
            ["no healthy upstream", "upstream connect error"],
            ["302 to https://sso/auth?x=1", "302 to https://other/auth?x=1"],
            ["TLS_error: CERTIFICATE_VERIFY_FAILED", "TLS_error: WRONG_VERSION_NUMBER"],
            ["internalServerError", "internalGatewayError"],
        ] {
            assert_eq!(grouped(&texts).len(), 2, "{texts:?}");
        }
        let mut groups = Vec::new();
        for code in [500, 503, 500] {
            add(&mut groups, group(FailureKind::Status, code, "busy"));
        }
        assert_eq!(groups.len(), 2);
        for address in ["10.0.0.1:80 refused the connection", "10.0.0.2:80 refused the connection"]
        {
            add(&mut groups, group(FailureKind::Connect, 0, address));
        }
        assert_eq!(groups.len(), 4);
    }

    /// A word for each number, without a digit in it.
    fn word(n: usize) -> String {
        n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
    }

    #[test]
    fn many_texts_of_one_status_code_do_not_hide_another() {
        let mut groups = Vec::new();
        for n in 0..500 {
            add(&mut groups, group(FailureKind::Status, 429, &word(n)));
        }
        add(&mut groups, group(FailureKind::Status, 503, "no healthy upstream"));
        let last = groups.last().unwrap();
        assert_eq!((last.what.as_str(), last.count), ("no healthy upstream", 1));
        assert_eq!(groups.len(), MAX_TEXTS + 2);
        let of_429 = groups.iter().filter(|group| group.code == Some(Code::Http(429)));
        assert_eq!(of_429.map(|group| group.count).sum::<u64>(), 500);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_text_is_like_itself(text in ".{0,80}") {
            prop_assert_eq!(blanked(&text), blanked(&text));
        }

        #[test]
        fn numbers_never_separate(a in 0u64.., b in 0u64.., before in "[a-z :/?\"]{0,20}", after in "[a-z :/.\"]{0,20}") {
            let text = |n: u64| format!("{before}{n}{after}");
            prop_assert_eq!(blanked(&text(a)), blanked(&text(b)));
        }
    }
}
