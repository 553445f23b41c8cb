//! The expectation grammar: text → what must hold. Errors point at the place
//! and name the nearest valid form. Pure.
//!
//! `errors = 0`, and `only|reaches|exactly NAME[,NAME…] [by LABEL]`.

use std::fmt;

use crate::tally::Label;

/// The forms of the grammar, for error messages.
const FORMS: [(&str, &str); 4] = [
    ("errors", "errors = 0"),
    ("only", "only NAME[,NAME…] [by LABEL]"),
    ("reaches", "reaches NAME[,NAME…] [by LABEL]"),
    ("exactly", "exactly NAME[,NAME…] [by LABEL]"),
];

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Every request was answered by an echo.
    NoErrors,
    /// About who answered.
    Who {
        /// How the named are meant.
        form: Form,
        /// What the names are names of.
        label: Label,
        /// The names, in the order given, each once.
        names: Vec<String>,
    },
}

/// How the names of an expectation are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nobody else answered.
    Only,
    /// Each answered at least once.
    Reaches,
    /// Both of these.
    Exactly,
}

impl Form {
    fn word(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Reaches => "reaches",
            Self::Exactly => "exactly",
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoErrors => f.write_str("errors = 0"),
            Self::Who { form, label, names } => {
                write!(f, "{} {}", form.word(), names.join(","))?;
                match Label::ALL.iter().find(|(known, _)| known == label) {
                    Some((_, word)) if *label != Label::Cluster => write!(f, " by {word}"),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Why a text is no expectation. `Display` is one line; [`SyntaxError::pointer`]
/// shows the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    text: String,
    /// Place of what is wrong, in bytes; the end of the text if something is missing.
    at: std::ops::Range<usize>,
    wrong: String,
    right: &'static str,
}

impl std::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.text[..self.at.start].chars().count() + 1;
        let Self { text, wrong, right, .. } = self;
        write!(f, "expectation '{text}', column {column}: {wrong}; the nearest form is: {right}")
    }
}

impl SyntaxError {
    /// The text, and below it carets under the place.
    #[must_use]
    pub fn pointer(&self) -> String {
        let before = self.text[..self.at.start].chars().count();
        let carets = self.text[self.at.clone()].chars().count().max(1);
        format!("  {}\n  {}{}", self.text, " ".repeat(before), "^".repeat(carets))
    }
}

/// Reads one expectation.
pub fn parse(text: &str) -> Result<Expectation, SyntaxError> {
    // Control characters would break the pointer's lines; they fit no form anyway.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words = Words { text: &text, at: 0 };
    let (at, word) = words.next_word();
    let form = match word {
        "errors" => return no_errors(words),
        "only" => Form::Only,
        "reaches" => Form::Reaches,
        "exactly" => Form::Exactly,
        _ => return Err(unknown_form(&words, at, word)),
    };
    who(form, words)
}

fn unknown_form(words: &Words<'_>, at: usize, word: &str) -> SyntaxError {
    let near = usage::nearest(word, FORMS.iter().map(|(word, _)| *word));
    let right = FORMS.iter().find(|(word, _)| near == Some(word)).unwrap_or(&FORMS[3]).1;
    let wrong = if word.is_empty() {
        "nothing is expected".to_owned()
    } else {
        format!("'{word}' begins no expectation")
    };
    words.error(at..at + word.len(), wrong, right)
}

fn no_errors(mut words: Words<'_>) -> Result<Expectation, SyntaxError> {
    const RIGHT: &str = FORMS[0].1;
    for expected in ["=", "0"] {
        let (at, word) = words.next_token();
        if word != expected {
            let wrong = format!("expected '{expected}', found {}", found(word));
            return Err(words.error(at..at + word.len(), wrong, RIGHT));
        }
    }
    words.end(RIGHT)?;
    Ok(Expectation::NoErrors)
}

fn who(form: Form, mut words: Words<'_>) -> Result<Expectation, SyntaxError> {
    let right = FORMS.iter().find(|(word, _)| *word == form.word()).unwrap_or(&FORMS[3]).1;
    let mut names: Vec<String> = Vec::new();
    loop {
        let (at, name) = words.next_token();
        if name.is_empty() || !name.chars().all(is_name) {
            let wrong = format!("expected a name, found {}", found(name));
            return Err(words.error(at..at + name.len(), wrong, right));
        }
        if names.iter().any(|known| known == name) {
            let wrong = format!("'{name}' is named twice");
            return Err(words.error(at..at + name.len(), wrong, right));
        }
        names.push(name.to_owned());
        if !words.skip(',') {
            break;
        }
    }
    let label = words.label(right)?;
    words.end(right)?;
    Ok(Expectation::Who { form, label, names })
}

fn found(word: &str) -> String {
    if word.is_empty() { "the end".to_owned() } else { format!("'{word}'") }
}

/// Names of clusters, pods, zones and so on, `<unknown>` and `<none>` among them.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "-._/:<>".contains(c)
}

struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The next run of name characters, or one other character.
    fn next_token(&mut self) -> (usize, &'a str) {
        self.skip_space();
        let rest = &self.text[self.at..];
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len()).max(first);
        self.take(length)
    }

    /// The next run of anything but white space.
    fn next_word(&mut self) -> (usize, &'a str) {
        self.skip_space();
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        self.take(length)
    }

    fn take(&mut self, length: usize) -> (usize, &'a str) {
        let at = self.at;
        self.at += length;
        (at, &self.text[at..self.at])
    }

    fn skip(&mut self, wanted: char) -> bool {
        self.skip_space();
        let there = self.text[self.at..].starts_with(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    /// `by LABEL`, or nothing: the cluster.
    fn label(&mut self, right: &'static str) -> Result<Label, SyntaxError> {
        self.skip_space();
        if self.at == self.text.len() {
            return Ok(Label::Cluster);
        }
        let (at, by) = self.next_token();
        if by != "by" {
            let wrong = format!("expected ',' or 'by', found '{by}'");
            return Err(self.error(at..at + by.len(), wrong, right));
        }
        let (at, word) = self.next_token();
        let label = Label::ALL.into_iter().find(|(_, known)| *known == word);
        label.map(|(label, _)| label).ok_or_else(|| {
            let labels: Vec<_> = Label::ALL.iter().map(|(_, word)| *word).collect();
            let wrong = format!("found {} for a label ({})", found(word), labels.join(", "));
            self.error(at..at + word.len(), wrong, right)
        })
    }

    fn end(&mut self, right: &'static str) -> Result<(), SyntaxError> {
        self.skip_space();
        let rest = self.text[self.at..].trim_end();
        if rest.is_empty() {
            return Ok(());
        }
        let wrong = format!("expected the end, found '{rest}'");
        Err(self.error(self.at..self.at + rest.len(), wrong, right))
    }

    fn error(&self, at: std::ops::Range<usize>, wrong: String, right: &'static str) -> SyntaxError {
        SyntaxError { text: self.text.to_owned(), at, wrong, right }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn who(form: Form, label: Label, names: &[&str]) -> Expectation {
        Expectation::Who { form, label, names: names.iter().map(|&n| n.to_owned()).collect() }
    }

    #[test]
    fn every_form_is_read() {
        for (text, expectation) in [
            ("errors = 0", Expectation::NoErrors),
            ("errors=0", Expectation::NoErrors),
            (" errors  =0 ", Expectation::NoErrors),
            ("only kops", who(Form::Only, Label::Cluster, &["kops"])),
            ("reaches kops,gke1", who(Form::Reaches, Label::Cluster, &["kops", "gke1"])),
            ("exactly kops , gke1", who(Form::Exactly, Label::Cluster, &["kops", "gke1"])),
            ("only a by pod", who(Form::Only, Label::Pod, &["a"])),
            ("only <unknown>", who(Form::Only, Label::Cluster, &["<unknown>"])),
            ("reaches by by zone", who(Form::Reaches, Label::Zone, &["by"])),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expectation), "{text}");
        }
    }

    #[test]
    fn an_error_points_at_its_place_and_names_the_nearest_form() {
        for (text, pointer, part) in [
            ("", "  \n  ^", "nothing is expected"),
            ("exacty kops", "  exacty kops\n  ^^^^^^", "form is: exactly NAME"),
            ("reach a", "  reach a\n  ^^^^^", "form is: reaches NAME"),
            ("errors = 1", "  errors = 1\n           ^", "expected '0', found '1'"),
            ("errors 0", "  errors 0\n         ^", "expected '=', found '0'"),
            ("errors", "  errors\n        ^", "expected '=', found the end"),
            ("errors = 0 0", "  errors = 0 0\n             ^", "expected the end"),
            ("only", "  only\n      ^", "expected a name, found the end"),
            ("only kops,", "  only kops,\n            ^", "expected a name"),
            ("only kops gke1", "  only kops gke1\n            ^^^^", "expected ',' or 'by'"),
            ("only a,a", "  only a,a\n         ^", "named twice"),
            ("only a by colour", "  only a by colour\n            ^^^^^^", "for a label"),
            ("only é = 0", "  only é = 0\n         ^", "expected ',' or 'by', found '='"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.pointer(), pointer, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_prints_and_reads_again(text in "\\PC{0,40}") {
            match parse(&text) {
                Ok(read) => prop_assert_eq!(parse(&read.to_string()), Ok(read)),
                Err(error) => prop_assert_eq!(error.pointer().lines().count(), 2),
            }
        }

        #[test]
        fn near_misses_do_not_panic(
            text in "(errors|only|reaches|exactly|by|=|0|,| |[a-zé]){0,8}",
        ) {
            if let Ok(read) = parse(&text) {
                prop_assert_eq!(parse(&read.to_string()), Ok(read));
            }
        }
    }
}
