//! Help, error messages and documentation comments are plain English: no phrase that is known
//! to make a reader stop.

use std::fmt;

use proc_macro2::{TokenStream, TokenTree};

use super::source::{CRATES, Source, is_punct, sources};
use crate::harness::run;

/// What is not written, what it is only a part of in good English, and what to write instead.
/// Words are parted by one space, and small.
const PHRASES: [(&str, &[&str], &str); 24] = [
    ("is none", &["there is none", "is none of "], "is not a …"),
    ("are none", &["there are none", "are none of "], "are not …"),
    ("is no ", &["there is no ", "is no longer ", "is no more than "], "is not a …"),
    ("are no ", &["there are no ", "are no longer ", "are no more than "], "are not …"),
    ("of http/1", &[], "HTTP/1.1 …, or needs HTTP/1.1"),
    ("of http/2", &[], "HTTP/2 …, or needs HTTP/2"),
    ("of grpc", &[], "gRPC …, or needs gRPC"),
    ("of tls", &[], "TLS …, or needs TLS"),
    ("a piece", &["a piece of "], "each"),
    ("whomever", &[], "the … that"),
    ("is had", &[], "has"),
    ("are had", &[], "have"),
    ("be had", &[], "have, or is available"),
    ("not had", &[], "does not have"),
    ("of each the", &[], "the … of each"),
    ("on and on", &[], "continuously"),
    ("the path away", &[], "remove the path"),
    ("it away", &["take it away", "takes it away"], "remove it"),
    ("is taken for", &[], "is"),
    ("are taken for", &[], "are"),
    ("say nothing of", &[], "do not show"),
    ("says nothing of", &[], "does not show"),
    ("hardly a", &[], "few …"),
    ("come meanwhile", &[], "missed"),
];

/// A text for people, its words parted by one space, and the line of each of its bytes.
#[derive(Default)]
struct Prose {
    text: String,
    lines: Vec<usize>,
}

impl Prose {
    fn push(&mut self, text: &str, first_line: usize) {
        let mut line = first_line;
        for c in text.chars() {
            let plain = if c.is_whitespace() { ' ' } else { c.to_ascii_lowercase() };
            if !(plain == ' ' && self.text.ends_with(' ')) {
                self.text.push(plain);
                self.lines.resize(self.text.len(), line);
            }
            line += usize::from(c == '\n');
        }
    }

    /// The phrases in it.
    fn phrases(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for (phrase, good, instead) in PHRASES {
            for (at, _) in self.text.match_indices(phrase) {
                let end = at + phrase.len();
                let in_a_word = |c: char| c.is_ascii_alphanumeric();
                let is_whole = !self.text[..at].ends_with(in_a_word)
                    && (phrase.ends_with(' ') || !self.text[end..].starts_with(in_a_word));
                let is_good = good.iter().any(|good| {
                    let inside = good.find(phrase).expect("a good phrase holds the other");
                    at.checked_sub(inside)
                        .and_then(|from| self.text.get(from..))
                        .is_some_and(|rest| rest.starts_with(good))
                });
                let is_good = is_good || names_a_thing(phrase, &self.text[end..]);
                if is_whole && !is_good {
                    let around = self.words_around(at, end);
                    found.push(Found { line: self.lines[at], phrase, around, instead });
                }
            }
        }
        found.sort_by_key(|found| found.line);
        found
    }

    /// A few words before and after, so that the phrase is found again.
    fn words_around(&self, start: usize, end: usize) -> String {
        let before = self.text[..start].char_indices().rev().nth(24).map_or(0, |(at, _)| at);
        let after = self.text[end..].char_indices().nth(16);
        let after = after.map_or(self.text.len(), |(at, _)| end + at);
        self.text[before..after].trim().to_owned()
    }
}

/// Whether the protocol in `of HTTP/2` only describes a noun, as in `of HTTP/2 pings`, or has its
/// version after it, as in `of TLS 1.3`.
fn names_a_thing(phrase: &str, rest: &str) -> bool {
    let next = rest.strip_prefix(' ').unwrap_or_default();
    let next = next.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let is_plural = next.len() > 3 && next.ends_with('s');
    phrase.starts_with("of ") && (is_plural || next.starts_with(|c: char| c.is_ascii_digit()))
}

/// A phrase in a text.
struct Found {
    line: usize,
    phrase: &'static str,
    around: String,
    instead: &'static str,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, phrase, around, instead } = self;
        write!(f, "{line}: \"{phrase}\" in \"{around}\"; write: {instead}")
    }
}

/// The texts in tokens: each literal alone, documentation comments that follow each other as one.
fn texts(tokens: TokenStream, found: &mut Vec<Prose>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut comment = Prose::default();
    let mut at = 0;
    while at < tokens.len() {
        if let Some((line, text, length)) = documentation(&tokens[at..]) {
            comment.push(&text, line);
            comment.push(" ", line);
            at += length;
            continue;
        }
        found.push(std::mem::take(&mut comment));
        match &tokens[at] {
            TokenTree::Group(group) => texts(group.stream(), found),
            TokenTree::Literal(literal) => {
                let mut prose = Prose::default();
                prose.push(&joined(&literal.to_string()), literal.span().start().line);
                found.push(prose);
            }
            _ => {}
        }
        at += 1;
    }
    found.push(comment);
}

/// `/// text` or `//! text`, which are `#[doc = "text"]` here: the line, the text, and how many
/// tokens it has.
fn documentation(tokens: &[TokenTree]) -> Option<(usize, String, usize)> {
    let (group, length) = match tokens {
        [hash, TokenTree::Group(group), ..] if is_punct(hash, '#') => (group, 2),
        [hash, bang, TokenTree::Group(group), ..] if is_punct(hash, '#') && is_punct(bang, '!') => {
            (group, 3)
        }
        _ => return None,
    };
    let inner: Vec<_> = group.stream().into_iter().collect();
    match &inner[..] {
        [TokenTree::Ident(doc), _, TokenTree::Literal(text)] if doc == "doc" => {
            let line = text.span().start().line;
            Some((line, joined(&text.to_string()), length))
        }
        _ => None,
    }
}

/// A literal's source without its quotes and escapes of line breaks. Its own line breaks stay, so
/// that lines can be counted.
fn joined(literal: &str) -> String {
    let text = literal.trim_start_matches(['b', 'c', 'r', '#']);
    let text = text.trim_end_matches('#').trim_matches('"');
    text.replace("\\\n", "\n").replace("\\n", " ")
}

/// The phrases in a file, a line for each.
fn complaints(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    texts(source.shipped(), &mut found);
    let found = found.iter().flat_map(Prose::phrases);
    found.map(|found| format!("{}:{found}", source.path)).collect()
}

#[test]
fn the_texts_in_the_code_are_plain_english() {
    let sources = CRATES.iter().flat_map(|krate| sources(krate));
    let complaints: Vec<_> = sources.flat_map(|source| complaints(&source)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn all_help_is_plain_english() {
    let mut complaints = Vec::new();
    for program in ["certs", "echo", "localmesh", "prober", "walk"] {
        let mut commands = vec![Vec::new()];
        while let Some(command) = commands.pop() {
            let help = run(program, command.iter().map(String::as_str).chain(["--help"]));
            assert_eq!(help.code, 0, "{program} {command:?}: {help:?}");
            let mut prose = Prose::default();
            prose.push(&help.stdout, 1);
            let heading = [&[program.to_owned()], &command[..], &["--help".to_owned()]].concat();
            let found = prose.phrases().into_iter();
            complaints.extend(found.map(|found| format!("{}:{found}", heading.join(" "))));
            let further = subcommands(&help.stdout);
            commands.extend(further.into_iter().map(|name| [&command[..], &[name]].concat()));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The names in the section `Commands:` of a help text.
fn subcommands(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let section = section.take_while(|line| line.is_empty() || line.starts_with(' '));
    let names = section.filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        name.split(' ').next().filter(|name| !name.is_empty() && *name != "help")
    });
    names.map(str::to_owned).collect()
}

#[test]
fn phrases_are_found_where_they_stand() {
    let text = r##"
//! What is
//! had.
/// There is no such file, and it is no longer there.
/// The value
///
/// is no number.
#[error("'{0}' \
         is none")]
struct A; // This comment is none.
/// The interval of HTTP/2 pings, the names of TLS 1.3, each of HTTP/2 alone.
struct B;
fn b(there_is: u8) {
    let c = "a piece of cake; ten\n a piece";
    println!("{c} {}", r#"Asks On
        and on"#, 'a', "these are nones", "these are none");
}
#[cfg(test)]
mod tests { const D: &str = "is none"; }
"##;
    let found = complaints(&Source::new("made-up", "a.rs", text));
    let found: Vec<_> =
        found.iter().map(|line| line.split(" in ").next().expect("a part")).collect();
    assert_eq!(
        found,
        [
            "made-up/src/a.rs:2: \"is had\"",
            "made-up/src/a.rs:7: \"is no \"",
            "made-up/src/a.rs:9: \"is none\"",
            "made-up/src/a.rs:11: \"of http/2\"",
            "made-up/src/a.rs:14: \"a piece\"",
            "made-up/src/a.rs:15: \"on and on\"",
            "made-up/src/a.rs:16: \"are none\"",
        ]
    );
    let help =
        "Usage: x\n\nCommands:\n  plan   Plans\n         more\n  help   Help\n\nOptions:\n  -n\n";
    assert_eq!(subcommands(help), ["plan"]);
}
