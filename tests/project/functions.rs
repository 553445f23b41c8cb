//! Functions are short, and take few parameters.

use std::fmt::Write as _;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::source::{CRATES, Source, is_punct, is_word, sources};

/// A longer function says why, in a comment with these words above it or first in it.
const MOST_LINES: usize = 60;
const REASON: &str = "Long because";
/// `self` is not counted.
const MOST_PARAMETERS: usize = 5;

struct Function {
    name: String,
    parameters: usize,
    /// The lines of `fn`, of `{` and of `}`, from 1.
    first: usize,
    body: usize,
    last: usize,
}

fn functions(tokens: TokenStream, found: &mut Vec<Function>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            functions(group.stream(), found);
        } else if is_word(token, "fn")
            && let Some(TokenTree::Ident(name)) = tokens.get(at + 1)
        {
            found.extend(function(&name.to_string(), &tokens[at..]));
        }
    }
}

/// The function whose tokens these are, from `fn` on; none if it has no body.
fn function(name: &str, tokens: &[TokenTree]) -> Option<Function> {
    let mut parameters = None;
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        depth += angle(&tokens[..=at]);
        match token {
            TokenTree::Group(group) if depth == 0 => match group.delimiter() {
                Delimiter::Parenthesis if parameters.is_none() => {
                    parameters = Some(count_parameters(group));
                }
                Delimiter::Brace => {
                    return Some(Function {
                        name: name.to_owned(),
                        parameters: parameters?,
                        first: tokens[0].span().start().line,
                        body: group.span_open().start().line,
                        last: group.span_close().end().line,
                    });
                }
                _ => {}
            },
            _ if is_punct(token, ';') => return None,
            _ => {}
        }
    }
    None
}

/// By how much the last token nests deeper in `<…>`.
fn angle(tokens: &[TokenTree]) -> i32 {
    match tokens {
        // `->` and `=>` close nothing.
        [.., arrow, last]
            if is_punct(last, '>') && (is_punct(arrow, '-') || is_punct(arrow, '=')) =>
        {
            0
        }
        [.., last] if is_punct(last, '<') => 1,
        [.., last] if is_punct(last, '>') => -1,
        _ => 0,
    }
}

fn count_parameters(group: &Group) -> usize {
    let tokens: Vec<_> = group.stream().into_iter().collect();
    let mut depth = 0;
    let (mut count, mut begun) = (0, false);
    for (at, token) in tokens.iter().enumerate() {
        depth += angle(&tokens[..=at]);
        if depth == 0 && is_punct(token, ',') {
            begun = false;
        } else if !begun {
            (begun, count) = (true, count + 1);
        }
    }
    // `self`, `&mut self`, `&'a self`, `self: Arc<Self>`.
    let own = tokens.iter().take_while(|token| !is_punct(token, ':')).any(|t| is_word(t, "self"));
    count - usize::from(own)
}

/// Whether a comment directly above the function, or first in it, gives the reason.
fn has_reason(function: &Function, lines: &[&str]) -> bool {
    let is_comment = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with('#') || line.starts_with("*/")
    };
    let above = lines[..function.first - 1].iter().rev().take_while(is_comment);
    let inside = lines[function.body..].iter().take_while(is_comment);
    above.chain(inside).any(|line| line.contains(REASON))
}

/// What is wrong with the functions of a file, a line for each.
fn complaints(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.text.lines().collect();
    let mut found = Vec::new();
    functions(source.shipped(), &mut found);
    let mut complaints = Vec::new();
    for function in &found {
        let at = format!("{}:{}: {}", source.path, function.first, function.name);
        let length = function.last - function.first + 1;
        if length > MOST_LINES && !has_reason(function, &lines) {
            complaints.push(format!(
                "{at} has {length} lines, over {MOST_LINES}: split it, or say in its comment \
                 \"{REASON} …\""
            ));
        }
        if function.parameters > MOST_PARAMETERS {
            complaints.push(format!(
                "{at} has {} parameters, over {MOST_PARAMETERS}: make a type of some",
                function.parameters
            ));
        }
    }
    complaints
}

#[test]
fn functions_are_short_and_take_few_parameters() {
    let sources = CRATES.iter().flat_map(|krate| sources(krate));
    // What a program writes is as long as it likes.
    let sources = sources.filter(|source| !source.text.starts_with("//! Made of "));
    let complaints: Vec<_> = sources.flat_map(|source| complaints(&source)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn functions_are_measured() {
    let mut text = String::from(
        "fn six(a: u8, b: HashMap<u8, u8>, c: impl Fn(u8, u8) -> u8, d: (u8, u8), e: u8, f: u8) {}\n\
         impl A {\n\
         async fn five<F: Fn(u8, u8)>(&mut self, a: u8, b: u8, c: F, d: u8, e: &'a [u8],) {}\n\
         fn declared(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8);\n\
         fn inner() { fn nested(self: A, a: u8, b: u8, c: u8, d: u8, e: u8, f: fn(u8) -> u8) {} }\n\
         }\n",
    );
    let lines = |count: usize| "    work();\n".repeat(count);
    write!(text, "fn fits() {{\n{}}}\n", lines(58)).expect("a text");
    write!(text, "fn long() {{\n{}}}\n", lines(59)).expect("a text");
    write!(text, "/// Does it.\n// Long because.\n#[inline]\nfn above() {{\n{}}}\n", lines(59))
        .expect("a text");
    write!(text, "fn first() {{\n    // Long because it is.\n{}}}\n", lines(59)).expect("a text");
    write!(text, "#[cfg(test)]\nfn test() {{\n{}}}\n", lines(59)).expect("a text");
    let found = complaints(&Source::new("made-up", "a.rs", &text));
    let found: Vec<_> = found.iter().map(|line| line.split(',').next().expect("a part")).collect();
    assert_eq!(
        found,
        [
            "made-up/src/a.rs:1: six has 6 parameters",
            "made-up/src/a.rs:5: nested has 6 parameters",
            "made-up/src/a.rs:67: long has 61 lines",
        ]
    );
}
