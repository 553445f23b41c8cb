//! No message of our errors contains the text of another library's error as it is.

use super::source::{CRATES, sources};

/// Types whose texts are for programmers. `usage` has words for them.
const FOREIGN: [&str; 8] = [
    "io::Error",
    "serde_json::Error",
    "serde_saphyr::Error",
    "hyper::Error",
    "reqwest::Error",
    "rcgen::Error",
    "rustls::Error",
    "url::ParseError",
];

/// The messages in `text` that print a field of a foreign type as it is, or are transparent to it.
fn leaks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("#[error(").skip(1) {
        // The message, its arguments, and the fields of the variant.
        let Some((message, rest)) = part.split_once(")]") else { continue };
        let rest: String = rest.lines().filter(|line| !line.trim().starts_with("//")).collect();
        let end = rest.find([')', '}']).unwrap_or(rest.len());
        let Some(start) = rest[..end].find(['(', '{']) else { continue };
        for (place, field) in rest[start + 1..end].split(',').enumerate() {
            let named = field.trim().rsplit_once(": ");
            let (name, kind) = named.map_or((place.to_string(), field), |(n, k)| (n.to_owned(), k));
            let kind = kind.trim().rsplit("] ").next().unwrap_or_default();
            let foreign = FOREIGN.iter().any(|foreign| kind.ends_with(foreign));
            let shown = message.contains(&format!("{{{name}}}"))
                || message.contains(&format!("{{{name}:"))
                || message.trim() == "transparent";
            if foreign && shown {
                found.push(format!("{} {kind}", message.trim()));
            }
        }
    }
    found
}

#[test]
fn no_error_prints_the_text_of_a_library() {
    let leaks: Vec<_> = CRATES
        .iter()
        .flat_map(|krate| sources(krate))
        .flat_map(|source| {
            leaks(&source.text).into_iter().map(move |l| format!("{}: {l}", source.path))
        })
        .collect();
    assert_eq!(leaks, [""; 0], "use usage::system_error, usage::json::problem or the like");
}

#[test]
fn the_rule_sees_every_form() {
    for (text, count) in [
        ("#[error(\"x: {0}\")]\n A(io::Error),", 1),
        ("#[error(\"x {0}: {1}\")]\n A(PathBuf, #[source] std::io::Error),", 1),
        ("#[error(\"x {1}\", .0)]\n A(PathBuf, u8, io::Error),", 0),
        ("#[error(transparent)]\n A(#[from] serde_json::Error),", 1),
        ("#[error(transparent)]\n A(#[from] PlanError),", 0),
        ("#[error(\"{path}: {reason}\")]\n /// Why.\n A { path: u8, reason: io::Error },", 1),
        ("#[error(\"{}\", usage::system_error(.0))]\n A(io::Error),", 0),
    ] {
        assert_eq!(leaks(text).len(), count, "{text}");
    }
}
