//! The paths in code that lead to other modules of the same crate: in `use`, in bodies, in types,
//! in macros, in the texts of attributes and in tests.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::project::source::{Source, is_punct, is_word};

/// A path in a file.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) line: usize,
    /// As it is written, use trees unfolded.
    pub(super) written: String,
    /// From the root of the crate: modules, and what is named in the last one. What `lib.rs` and
    /// `main.rs` hold themselves begins with `lib` and `main`.
    pub(super) module: Vec<String>,
}

/// The paths in a file to modules of its own crate, of which `modules` are files.
pub(super) fn paths(source: &Source, krate: &str, modules: &BTreeSet<Vec<String>>) -> Vec<Path> {
    let is_main = source.module == ["main"];
    let is_root = is_main || source.module == ["lib"];
    let mut scan = Scan {
        krate: krate.replace('-', "_"),
        is_main,
        modules,
        names: BTreeMap::new(),
        found: Vec::new(),
    };
    let here = if is_root { Vec::new() } else { source.module.clone() };
    // Twice: names may be used above the line that imports them.
    scan.tokens(source.tokens.clone(), &here);
    scan.found.clear();
    scan.tokens(source.tokens.clone(), &here);
    scan.found
}

struct Scan<'a> {
    krate: String,
    is_main: bool,
    modules: &'a BTreeSet<Vec<String>>,
    /// Modules that the file imports, by the names that they have in it.
    names: BTreeMap<String, Vec<String>>,
    found: Vec<Path>,
}

/// The words of a path that was not read to its end yet.
#[derive(Clone)]
struct Begun {
    written: String,
    module: Vec<String>,
}

impl Scan<'_> {
    /// Reads the tokens of the module `here`.
    fn tokens(&mut self, tokens: TokenStream, here: &[String]) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if let Some((begun, length)) = self.begin(&tokens, at, here) {
                at += length;
                at += self.rest(&tokens[at..], begun, tokens[at - 1].span().start().line);
                continue;
            }
            if let TokenTree::Group(group) = &tokens[at] {
                let is_attribute = group.delimiter() == Delimiter::Bracket
                    && at > 0
                    && (is_punct(&tokens[at - 1], '#') || is_punct(&tokens[at - 1], '!'));
                let module =
                    inline_module(&tokens[..at]).filter(|_| group.delimiter() == Delimiter::Brace);
                let here: Vec<_> = here.iter().cloned().chain(module).collect();
                if is_attribute {
                    self.attribute(group.stream(), &here);
                } else {
                    self.tokens(group.stream(), &here);
                }
            }
            at += 1;
        }
    }

    /// An attribute's tokens, and its texts that are paths: `with = "crate::a::b"`.
    fn attribute(&mut self, tokens: TokenStream, here: &[String]) {
        let words: Vec<_> = tokens.clone().into_iter().collect();
        if words.first().is_some_and(|word| is_word(word, "doc")) {
            return;
        }
        self.tokens(tokens.clone(), here);
        self.texts(words, here);
    }

    fn texts(&mut self, tokens: Vec<TokenTree>, here: &[String]) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    self.texts(group.stream().into_iter().collect(), here);
                }
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let text = text.trim_matches('"');
                    let is_path = text.contains("::")
                        && text.chars().all(|c| c.is_ascii_alphanumeric() || ":_".contains(c));
                    if is_path && let Ok(path) = text.parse::<TokenStream>() {
                        let first = self.found.len();
                        self.tokens(path, here);
                        for path in &mut self.found[first..] {
                            path.line = literal.span().start().line;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a path into this crate begins at `at`: what it begins with, up to its last `::`
    /// before the first name, and how many tokens these are.
    fn begin(&self, tokens: &[TokenTree], at: usize, here: &[String]) -> Option<(Begun, usize)> {
        let TokenTree::Ident(first) = &tokens[at] else { return None };
        let first = first.to_string();
        if !is_separator(&tokens[at + 1..]) || continues(&tokens[..at]) {
            return None;
        }
        let is_global = is_separator(&tokens[at.saturating_sub(2)..at]);
        let mut begun = Begun { written: first.clone(), module: here.to_vec() };
        let mut length = 3;
        match first.as_str() {
            // The root of main.rs is its own.
            "crate" => begun.module.clear(),
            "self" => {}
            "super" => {
                begun.module.pop();
                let mut rest = &tokens[at + 3..];
                while rest.first().is_some_and(|word| is_word(word, "super"))
                    && is_separator(&rest[1..])
                {
                    begun.written.push_str("::super");
                    begun.module.pop();
                    length += 3;
                    rest = &rest[3..];
                }
            }
            name if name == self.krate && (is_global || !self.is_child(here, name)) => {
                begun.module = vec!["lib".to_owned()];
            }
            _ if is_global => return None,
            name if self.is_child(here, name) => begun.module.push(first),
            name => begun.module = self.names.get(name)?.clone(),
        }
        Some((begun, length))
    }

    fn is_child(&self, here: &[String], name: &str) -> bool {
        self.modules.contains(&[here, &[name.to_owned()]].concat())
    }

    /// Reads a path, or a use tree, after the `::` that `begun` ends with. Returns how many tokens
    /// it has.
    fn rest(&mut self, tokens: &[TokenTree], begun: Begun, line: usize) -> usize {
        match tokens {
            [TokenTree::Ident(name), rest @ ..] => {
                let line = name.span().start().line;
                let name = name.to_string();
                let name = name.trim_start_matches("r#");
                let mut next = begun.clone();
                next.written = format!("{}::{name}", begun.written);
                if name != "self" {
                    next.module.push(name.to_owned());
                }
                if is_separator(rest) && starts_a_segment(&rest[2..]) {
                    return 3 + self.rest(&rest[2..], next, line);
                }
                let alias = match rest {
                    [word, TokenTree::Ident(alias), ..] if is_word(word, "as") => alias.to_string(),
                    _ => next.module.last().cloned().unwrap_or_default(),
                };
                self.add(next, alias, line);
                1
            }
            [TokenTree::Group(group), ..] => {
                self.tree(group.stream(), &begun);
                1
            }
            [star, ..] if is_punct(star, '*') => {
                let written = format!("{}::*", begun.written);
                self.add(Begun { written, ..begun }, String::new(), line);
                1
            }
            // `<T as crate::A>::` and the like: named all the same.
            _ => {
                self.add(begun, String::new(), line);
                0
            }
        }
    }

    /// The parts of a use tree in braces.
    fn tree(&mut self, tokens: TokenStream, begun: &Begun) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for part in tokens.split(|token| is_punct(token, ',')) {
            if let Some(first) = part.first() {
                self.rest(part, begun.clone(), first.span().start().line);
            }
        }
    }

    fn add(&mut self, path: Begun, name: String, line: usize) {
        let mut module = path.module;
        if module.first().is_some_and(|first| first == "lib") && module.len() > 1 {
            // `prober::plan::Plan` is what `crate::plan::Plan` is to the library.
            if self.modules.contains(&module[1..2]) {
                module.remove(0);
            }
        } else if module.is_empty() || !self.modules.contains(&module[..1]) {
            module.insert(0, if self.is_main { "main" } else { "lib" }.to_owned());
        }
        if self.modules.contains(&module) && !name.is_empty() {
            self.names.insert(name, module.clone());
        }
        self.found.push(Path { line, written: path.written, module });
    }
}

/// Whether tokens begin with `::`.
fn is_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [first, second, ..] if is_punct(first, ':') && is_punct(second, ':'))
}

/// Whether what follows these tokens goes on with a path or a value, and begins none: `a::b`,
/// `x.b`. A path from the root of all crates, `::b`, begins one.
fn continues(before: &[TokenTree]) -> bool {
    match before {
        [.., word, first, second] if is_separator(&[first.clone(), second.clone()]) => {
            matches!(word, TokenTree::Ident(word) if word != "use" && word != "in" && word != "return")
                || is_punct(word, '>')
        }
        [.., dot] => is_punct(dot, '.'),
        [] => false,
    }
}

/// Whether a path goes on here, and not the arguments of a type.
fn starts_a_segment(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Ident(_), ..] => true,
        [TokenTree::Group(group), ..] => group.delimiter() == Delimiter::Brace,
        [star, ..] => is_punct(star, '*'),
        [] => false,
    }
}

/// The name in `mod name`, if these tokens end so.
fn inline_module(before: &[TokenTree]) -> Option<String> {
    match before {
        [.., word, TokenTree::Ident(name)] if is_word(word, "mod") => Some(name.to_string()),
        _ => None,
    }
}
