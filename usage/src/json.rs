//! Errors of the JSON reader in words: what is missing or wrong, and where.

use serde_json::Error;

/// What is wrong, in one line, with its place.
#[must_use]
pub fn problem(error: &Error) -> String {
    let text = error.to_string();
    let (said, place) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    let (line, column) = place.split_once(" column ").unwrap_or_default();
    if (line, column) == ("1", "0") {
        return "the file is empty".to_owned();
    }
    match line {
        "" => what(error, said),
        _ => format!("{} (line {line}, column {column})", what(error, said)),
    }
}

fn what(error: &Error, said: &str) -> String {
    if error.is_eof() {
        return "the JSON ends too early; was it written to its end?".to_owned();
    }
    if error.is_syntax() {
        return "it is not JSON".to_owned();
    }
    let quoted = said.split('`').nth(1).unwrap_or_default().escape_debug();
    let kind = said.split_once(' ').map_or(said, |(first, _)| first);
    match kind {
        "missing" => format!("the key '{quoted}' is missing"),
        "unknown" if said.starts_with("unknown field") => format!("unknown key '{quoted}'"),
        "unknown" => format!("'{quoted}' is not a known value"),
        "duplicate" => format!("the key '{quoted}' is given twice"),
        "invalid" => match said.strip_prefix("invalid type: ").and_then(|s| s.split_once(',')) {
            Some((found, _)) => format!("{} stands where another value belongs", found_kind(found)),
            None => "a value is not one that belongs there".to_owned(),
        },
        _ => "a value is not one that belongs there".to_owned(),
    }
}

/// serde's name of what it found, in words.
fn found_kind(found: &str) -> &'static str {
    match found.split([' ', '`']).next().unwrap_or_default() {
        "null" => "null",
        "string" | "character" => "a text",
        "integer" | "floating" => "a number",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "an object",
        _ => "a value",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors matter")]
    struct Sample {
        count: u64,
        how: How,
    }

    #[derive(Debug, Deserialize)]
    enum How {
        #[serde(rename = "fast")]
        Fast,
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        for (text, said) in [
            ("", "the file is empty"),
            ("hello", "it is not JSON (line 1, column 1)"),
            (
                "{\n\"count\": ",
                "the JSON ends too early; was it written to its end? (line 2, column 9)",
            ),
            ("{}", "the key 'count' is missing (line 1, column 2)"),
            ("5", "a number stands where another value belongs (line 1, column 1)"),
            ("{\"count\": \"x\"}", "a text stands where another value belongs (line 1, column 13)"),
            ("{\"count\": -1}", "a value is not one that belongs there (line 1, column 12)"),
            ("{\"x\": 1}", "unknown key 'x' (line 1, column 4)"),
            ("{\"how\": \"slow\"}", "'slow' is not a known value (line 1, column 14)"),
            ("{\"count\": 1, \"count\": 2}", "the key 'count' is given twice (line 1, column 20)"),
        ] {
            let error = serde_json::from_str::<Sample>(text).unwrap_err();
            assert_eq!(problem(&error), said, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_error_is_one_line(text in "[\\[\\]{}:,\"a-c0-9.\\-\n é]{0,30}") {
            if let Err(error) = serde_json::from_str::<BTreeMap<String, u64>>(&text) {
                let said = problem(&error);
                prop_assert_eq!(said.lines().count(), 1);
                for foreign in ["`", "expected", "EOF", "u64"] {
                    prop_assert!(!said.contains(foreign), "{}", said);
                }
            }
        }
    }
}
