//! Errors of the YAML reader in the words of a file's author: which key, and what belongs there.

use serde_saphyr::Error;

/// The line of an error, from 1, and what is wrong in one line. `text` is the file, and `empty`
/// says what to write into an empty one, such as `'targets:'`.
#[must_use]
pub fn problem(text: &str, error: &Error, empty: &str) -> (u64, String) {
    let error = error.without_snippet();
    let place = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let key = key_before(text, place.0, place.1);
    let line = match error {
        Error::MultipleDocuments { .. } => separator(text, place.0),
        _ => place.0,
    };
    (line, what(error, key, empty))
}

/// The line of the `---` that begins the second document. The reader names this line or the next
/// one, depending on its features.
fn separator(text: &str, line: u64) -> u64 {
    let lines = text.lines().take(line as usize);
    let last = lines.enumerate().filter(|(_, line)| line.starts_with("---")).last();
    last.map_or(line, |(at, _)| at as u64 + 1)
}

fn what(error: &Error, key: Option<&str>, empty: &str) -> String {
    match error {
        Error::Eof { .. } => format!("the file is empty; write at least {empty}"),
        Error::SerdeUnknownField { field, expected, .. } => {
            let near = crate::nearest(field, expected.iter().copied());
            let right = match near {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("write one of {}", expected.join(", ")),
            };
            format!("unknown key '{}'; {right}", field.escape_debug())
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let right = expected.join(", ");
            format!("{} cannot be '{}'; write one of {right}", named(key), variant.escape_debug())
        }
        Error::SerdeMissingField { field, .. } => format!("'{field}' is missing; add it"),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_default().escape_debug().to_string();
            format!("the key '{key}' is given twice; remove one")
        }
        Error::MultipleDocuments { .. } => {
            "the file has two documents; remove the line '---' between them".to_owned()
        }
        Error::NullIntoString { .. } => format!("{} has an empty value; write one", named(key)),
        Error::InvalidScalar { ty, .. } => format!("{} must be {}", named(key), kind(ty)),
        Error::InvalidBooleanStrict { .. } => format!("{} must be {}", named(key), kind("boolean")),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            let own = expected.strip_prefix("write ");
            own.map_or_else(|| wrong_kind(key), |_| expected.clone())
        }
        Error::Unexpected { expected, .. } => match (*expected, key) {
            ("sequence start", _) => {
                format!("{} must be a list; write '- …' lines, or [ … ]", named(key))
            }
            ("mapping start", None) => {
                format!("the file must have keys with values; write at least {empty}")
            }
            ("mapping start", Some(key)) => {
                format!("'{key}' must have keys with values; write 'KEY: VALUE' below it")
            }
            ("string scalar", _) => format!("{} must be one value; remove the others", named(key)),
            _ => wrong_kind(key),
        },
        Error::Message { msg, .. } => message(msg, key),
        Error::UnknownAnchor { .. } => {
            "an alias (*NAME) has no anchor (&NAME) before it; write the value itself".to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "more values, aliases or levels than are read; use a smaller file, or fewer aliases"
                .to_owned()
        }
        Error::AliasError { error, .. } => what(error, key, empty),
        Error::ExternalMessage { msg, .. } => not_yaml(msg).to_owned(),
        _ => not_supported(key),
    }
}

/// A message of our own readers of values: it begins with what to write, or with the value. Serde's
/// own is about a list or keys where a number and a text are allowed.
fn message(text: &str, key: Option<&str>) -> String {
    match key {
        _ if text.starts_with("write ") => text.to_owned(),
        Some(key) if text.starts_with('\'') => format!("'{key}' cannot be {text}"),
        None if text.starts_with('\'') => text.to_owned(),
        Some(key) if text.starts_with("data did not match any variant") => {
            format!("'{key}' must be one number or text")
        }
        _ => not_supported(key),
    }
}

fn not_supported(key: Option<&str>) -> String {
    format!("{} has YAML that is not supported here; write plain values", named(key))
}

fn named(key: Option<&str>) -> String {
    key.map_or("the file".to_owned(), |key| format!("'{key}'"))
}

fn wrong_kind(key: Option<&str>) -> String {
    match key {
        Some(key) => format!("'{key}' has a value of the wrong kind"),
        None => "a value of the wrong kind".to_owned(),
    }
}

/// A Rust type in words.
fn kind(rust: &str) -> &'static str {
    match rust {
        "boolean" => "true or false",
        "floating point" | "f64" | "f32" => "a number, such as 0.5",
        unsigned if unsigned.starts_with('u') => "a whole number, such as 10",
        signed if signed.starts_with('i') => "a whole number, such as 10",
        _ => "a value of another kind",
    }
}

/// What a message of the scanner means.
fn not_yaml(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    // Before the quote, which such a message can name too.
    if has("escape") {
        "not valid YAML: an unknown escape; use single quotes around a text with '\\'"
    } else if has("quote") {
        "not valid YAML: a quote is not closed, or is followed by more text"
    } else if has("bracket") || has("flow") {
        "not valid YAML: brackets or commas do not match"
    } else if has("tab") {
        "not valid YAML: indent with spaces, not with tabs"
    } else if has("character") {
        "not valid YAML: put quotes around a value that begins with a special character"
    } else if has("not allowed in this context") {
        "not valid YAML: put quotes around a value with ': ', and check the indentation"
    } else {
        "not valid YAML; check the quotes, brackets and indentation"
    }
}

/// The last `key:` before a place, counted from 1.
fn key_before(text: &str, line: u64, column: u64) -> Option<&str> {
    let start = text.split_inclusive('\n').take((line - 1) as usize).map(str::len).sum::<usize>();
    let rest = &text[start..];
    let inside = rest.char_indices().nth((column - 1) as usize).map_or(rest.len(), |(at, _)| at);
    let before = &text[..start + inside];
    let is_end = |at: &usize| before[at + 1..].chars().next().is_none_or(char::is_whitespace);
    let (colon, _) = before.rmatch_indices(':').find(|(at, _)| is_end(at))?;
    let key = before[..colon].rsplit(|c: char| c.is_whitespace() || "{[,\"'".contains(c)).next()?;
    Some(key).filter(|key| !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '-'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    /// What is said about a file whose keys must have whole numbers.
    fn numbers(text: &str) -> Option<String> {
        let error = serde_saphyr::from_str::<BTreeMap<String, u64>>(text).err()?;
        let (line, what) = problem(text, &error, "'a:'");
        Some(format!("{line}: {what}"))
    }

    #[test]
    fn an_error_names_the_key_and_what_belongs_there() {
        for (text, said) in [
            ("5", "1: the file must have keys with values; write at least 'a:'"),
            ("a: 1\nb: x", "2: 'b' must be a whole number, such as 10"),
            ("a: 1\nb:\n  x", "3: 'b' must be a whole number, such as 10"),
            ("{a: 1, b: {}}", "1: 'b' must be one value; remove the others"),
            ("a: 1\na: 2", "2: the key 'a' is given twice; remove one"),
            (
                "a: *x",
                "1: an alias (*NAME) has no anchor (&NAME) before it; write the value itself",
            ),
            ("'", "1: not valid YAML: a quote is not closed, or is followed by more text"),
            ("a: 1\n]", "2: not valid YAML: brackets or commas do not match"),
            ("a:\n\tb: c", "2: not valid YAML: indent with spaces, not with tabs"),
            (
                "a: \"\\q\"",
                "1: not valid YAML: an unknown escape; use single quotes around a text with '\\'",
            ),
            (&format!("a: {}", "[".repeat(10_000)), "1: 'a' must be one value; remove the others"),
            (
                &format!("x: &x [{}]\na: 1", "1,".repeat(1_000_000)),
                "1: 'x' must be one value; remove the others",
            ),
            (
                "@",
                "1: not valid YAML: put quotes around a value that begins with a special character",
            ),
            (
                "a: 1\n---\nb: 2",
                "2: the file has two documents; remove the line '---' between them",
            ),
        ] {
            assert_eq!(numbers(text).as_deref(), Some(said), "{text:?}");
        }
    }

    #[test]
    fn lists_and_flags_are_named() {
        let flags = serde_saphyr::from_str::<BTreeMap<String, bool>>("here: x").unwrap_err();
        assert_eq!(problem("here: x", &flags, "").1, "'here' must be true or false");
        let lists = serde_saphyr::from_str::<BTreeMap<String, Vec<u8>>>("all: x").unwrap_err();
        assert_eq!(
            problem("all: x", &lists, "").1,
            "'all' must be a list; write '- …' lines, or [ … ]"
        );
    }

    proptest! {
        #[test]
        fn every_error_is_one_line(text in "[a-c:\\-\\[\\]{}#&*!|>'\"%@`, \n\t0-9é]{0,40}") {
            if let Some(said) = numbers(&text) {
                prop_assert_eq!(said.lines().count(), 1);
                for foreign in ["u64", "scalar", "mapping", "sequence", "serialize"] {
                    prop_assert!(!said.contains(foreign), "{}", said);
                }
            }
        }

        #[test]
        fn any_place_in_any_text_has_a_key_or_none(text in "\\PC{0,20}", line in 1_u64..4, column in 1_u64..30) {
            let _ = key_before(&text, line, column);
        }
    }
}
