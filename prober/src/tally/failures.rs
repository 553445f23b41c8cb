//! Failures that are the same, counted together: the same kind, status code and text, except for what
//! differs from request to request. Pure.

use std::fmt;

use super::outcome::{Code, Failure, FailureKind};

/// So many texts of a kind and status code are counted separately; further ones are counted together.
pub(super) const MAX_TEXTS: usize = 8;

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
    /// What the texts of the group have in common; `None` if they are all further ones, which have
    /// nothing in common.
    common: Option<String>,
}

impl Failure {
    #[must_use]
    pub(super) fn class(&self) -> FailureClass {
        class(self.kind, self.code, self.copy)
    }
}

fn class(kind: FailureKind, code: Option<Code>, copy: bool) -> FailureClass {
    FailureClass { kind, code: code.filter(|_| kind == FailureKind::Status), copy }
}

impl FailureGroup {
    #[must_use]
    pub(crate) fn new(failure: Failure, count: u64) -> Self {
        let Failure { kind, code, copy, what, .. } = failure;
        let common = Some(common(kind, &what));
        Self { kind, code, copy, what, count, common }
    }

    /// The same as a group of further texts.
    #[must_use]
    pub(crate) fn of_others(self) -> Self {
        Self { common: None, ..self }
    }

    /// Whether it has the texts of a kind and status code that have no group of their own.
    #[must_use]
    pub fn is_of_others(&self) -> bool {
        self.common.is_none()
    }

    #[must_use]
    pub fn class(&self) -> FailureClass {
        class(self.kind, self.code, self.copy)
    }

    fn has_text_of(&self, other: &Self) -> bool {
        self.is_like(other) && self.common == other.common
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.code, self.copy) == (other.kind, other.code, other.copy)
    }
}

/// Adds a failure; most often it is word for word one that happened before.
pub(super) fn add_one(groups: &mut Vec<FailureGroup>, failure: Failure) {
    let same = |one: &&mut FailureGroup| {
        (one.kind, one.code, one.copy) == (failure.kind, failure.code, failure.copy)
            && one.what == failure.what
            && !one.is_of_others()
    };
    match groups.iter_mut().find(same) {
        Some(same) => same.count += 1,
        None => add(groups, FailureGroup::new(failure, 1)),
    }
}

/// Adds a group to groups in the order in which their first failures happened. The counts of each
/// kind and status code stay exact, however many texts there are.
pub(super) fn add(groups: &mut Vec<FailureGroup>, group: FailureGroup) {
    if let Some(same) = groups.iter_mut().find(|one| one.has_text_of(&group)) {
        same.count += group.count;
        return;
    }
    if groups.iter().filter(|one| one.is_like(&group)).count() < MAX_TEXTS {
        groups.push(group);
        return;
    }
    let others = group.of_others();
    match groups.iter_mut().find(|one| one.has_text_of(&others)) {
        Some(known) => known.count += others.count,
        None => groups.push(others),
    }
}

/// Stands for what differs from request to request.
const BLANK: char = '#';

/// The text without what differs from request to request: numbers and their units, ids, times, query
/// strings. Prober's own texts about names and connections have none of that, and their addresses say
/// which peer failed.
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
        let token = rest.find(|c| !is_part_of_token(c)).unwrap_or(rest.len());
        let length = match first {
            // The query or fragment of a URL, with its nonces and states.
            '?' | '#' if !out.ends_with(char::is_whitespace) => {
                out.push('?');
                rest.find(|c: char| c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(rest.len())
            }
            _ if token > 0 && is_random(&rest[..token]) => {
                blank(&mut out);
                token
            }
            _ if is_part_of_word(first) => {
                let length = rest.find(|c| !is_part_of_word(c)).unwrap_or(rest.len());
                word(&mut out, &rest[..length]);
                length
            }
            // What separates two numbers is a part of them: 12:34:56.789, 2026-11-27.
            _ if out.ends_with(BLANK) && ".:,+".contains(first) => {
                if !rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit()) {
                    out.push(first);
                }
                first.len_utf8()
            }
            _ => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

fn blank(out: &mut String) {
    if !out.ends_with(BLANK) {
        out.push(BLANK);
    }
}

/// Adds a word, or what stands for it. A number may have another unit the next time, and a noun after
/// it is singular or plural.
fn word(out: &mut String, word: &str) {
    const UNITS: [&str; 18] = [
        "ns", "us", "µs", "ms", "s", "sec", "second", "m", "min", "minute", "h", "hour", "B",
        "byte", "KB", "MB", "KiB", "MiB",
    ];
    let after_number = out.trim_end().ends_with(BLANK);
    let singular = word.strip_suffix('s').unwrap_or(word);
    match () {
        () if differs(word) => blank(out),
        () if after_number && (UNITS.contains(&word) || UNITS.contains(&singular)) => {
            out.truncate(out.trim_end().len());
        }
        () if after_number => out.push_str(singular),
        () => out.push_str(word),
    }
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// Also what base64 and its relatives consist of.
fn is_part_of_token(c: char) -> bool {
    is_part_of_word(c) || "+/=.~%".contains(c)
}

/// Whether a word may be different the next time: one with a digit, the day or month of a date, or
/// one of random letters.
fn differs(word: &str) -> bool {
    const OF_DATES: [&str; 19] = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let has_digit = word.chars().any(|c| c.is_ascii_digit());
    has_digit || OF_DATES.contains(&word) || word.split(['-', '_']).any(has_random_letters)
}

/// Whether a token looks like base64: long, of letters in both cases, and with digits or signs.
fn is_random(token: &str) -> bool {
    let has = |test: fn(&u8) -> bool| token.as_bytes().iter().any(test);
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let signs = token.bytes().any(|byte| b"+=~".contains(&byte)) || has(u8::is_ascii_digit);
    token.len() >= 12 && mixed && signs && !token.contains("://")
}

/// Whether letters are in no order of a language: eight or more hexadecimal digits, five consonants in
/// a row, or capitals in between. Words in capitals are acronyms.
fn has_random_letters(word: &str) -> bool {
    const KNOWN: [&str; 2] = ["https", "xhtml"];
    let bytes = word.as_bytes();
    if KNOWN.contains(&word) || !word.is_ascii() {
        return false;
    }
    if bytes.len() >= 8 && bytes.iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    let acronym = bytes.iter().all(u8::is_ascii_uppercase) && bytes.len() < 8;
    let is_consonant = |byte: &u8| byte.is_ascii_alphabetic() && !b"aeiouyAEIOUY".contains(byte);
    let run = bytes.split(|byte| !is_consonant(byte)).map(<[u8]>::len).max().unwrap_or(0);
    let turns =
        bytes.windows(2).filter(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let odd_case = bytes.len() >= 8 && 4 * turns.count() >= bytes.len();
    !acronym && (run >= 5 || odd_case)
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
            ["took 1.5 ms", "took 2 min"],
            ["retry in 1 second", "retry in 20 seconds"],
            ["1 connection failed", "2 connections failed"],
            [r#"<HostId>Hk+s/Q1w2e3R=</HostId>"#, r#"<HostId>zZ9x/Y8w+V7u=</HostId>"#],
            [r#"{"ref":"uBHNMPem"}"#, r#"{"ref":"kRTqLsWo"}"#],
            ["pod api-nnznf", "pod api-xkcdq"],
            ["boom ixczvgp", "boom qwrtpla"],
            ["302 to /app?_g=(state:abc)&n=x (not", "302 to /app?_g=(state:xyz)&n=yy (not"],
            ["302 to https://a/b#state=abc", "302 to https://a/b#state=def"],
            ["from echo2-64ddccc94f-xdfqr", "from echo2-5cf848bd89-lqlpp"],
            ["é1ü", "é22ü"],
        ] {
            assert_eq!(grouped(&texts), [(texts[0].to_owned(), 2)]);
        }
    }

    #[test]
    fn only_long_tokens_of_both_cases_and_with_digits_or_signs_are_random() {
        for token in ["Hk+sQwAwReRs=", "aB3aB3aB3aB3", "ABCDEFabcdef~"] {
            assert!(is_random(token), "{token}");
        }
        let others = [
            "aB3aB3aB3aB",
            "ABCDEFGHIJK3",
            "abcdefghijk3",
            "internalServerError",
            "https://Orders/v1/x",
            "123456789012",
        ];
        for token in others {
            assert!(!is_random(token), "{token}");
        }
    }

    #[test]
    fn other_words_status_codes_and_addresses_separate_failures() {
        for texts in [
            ["no healthy upstream", "upstream connect error"],
            ["302 to https://sso/auth?x=1", "302 to https://other/auth?x=1"],
            ["TLS_error: CERTIFICATE_VERIFY_FAILED", "TLS_error: WRONG_VERSION_NUMBER"],
            ["internalServerError", "internalGatewayError"],
            ["error #1 in orders", "error #1 in payments"],
            ["needs HTTPS", "needs HTTP"],
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
