//! The source files of the crates as tokens: what is compiled for tests only is told from what
//! is shipped. The rules about the code read it, so that no comment and no text misleads them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::harness::workspace;

/// The crates that are shipped or used to test.
pub(super) const CRATES: [&str; 8] =
    ["certs", "echo", "echo-reply", "localmesh", "printable", "prober", "usage", "walk"];

/// A source file of a crate.
pub(super) struct Source {
    /// Its path from the workspace.
    pub(super) path: String,
    /// Its module path in the crate: `plan/load.rs` is `["plan", "load"]`, `lib.rs` is `["lib"]`.
    pub(super) module: Vec<String>,
    pub(super) text: String,
    pub(super) tokens: TokenStream,
    /// It is compiled for tests only.
    pub(super) test: bool,
}

impl Source {
    /// Reads a text as the file `file` of `krate/src/`. Panics if it is not Rust.
    pub(super) fn new(krate: &str, file: &str, text: &str) -> Self {
        let path = format!("{krate}/src/{file}");
        let tokens = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
        Self {
            module: module.split('/').map(str::to_owned).collect(),
            test: module.split('/').next_back() == Some("tests"),
            text: text.to_owned(),
            path,
            tokens,
        }
    }

    /// The tokens without the items that are compiled for tests only.
    pub(super) fn shipped(&self) -> TokenStream {
        if self.test { TokenStream::new() } else { shipped(self.tokens.clone()) }
    }
}

/// All source files of a crate, by their paths.
pub(super) fn sources(krate: &str) -> Vec<Source> {
    let root = workspace().join(krate).join("src");
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort();
    let read = |file: &String| {
        let text = fs::read_to_string(root.join(file)).expect("text");
        Source::new(krate, file, &text)
    };
    let mut sources: Vec<_> = files.iter().map(read).collect();
    mark_tests(&mut sources);
    sources
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("it is below the root");
            files.push(relative.to_str().expect("UTF-8").to_owned());
        }
    }
}

/// Marks the files whose modules, or the modules around them, are declared for tests only.
fn mark_tests(sources: &mut [Source]) {
    let mut only_tests = BTreeSet::new();
    for source in &*sources {
        let mut names = Vec::new();
        split(source.tokens.clone(), &mut |_| (), &mut |item| names.extend(declared(item)));
        let at_the_root = ["lib", "main"].contains(&source.module[0].as_str());
        let parent = if at_the_root { &[][..] } else { &source.module[..] };
        only_tests.extend(names.into_iter().map(|name| [parent, &[name]].concat()));
    }
    for source in sources {
        let module = &source.module;
        source.test |= (1..=module.len()).any(|end| only_tests.contains(&module[..end]))
            || module.iter().any(|part| part == "tests");
    }
}

/// The name in `mod name;`.
fn declared(item: &[TokenTree]) -> Option<String> {
    let at = item.iter().position(|token| is_word(token, "mod"))?;
    match item.get(at + 1..) {
        Some([TokenTree::Ident(name), TokenTree::Punct(end)]) if end.as_char() == ';' => {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn shipped(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    split(tokens, &mut |token| kept.push(token), &mut |_| ());
    let inside = |token| match token {
        TokenTree::Group(group) => {
            let mut inner = Group::new(group.delimiter(), shipped(group.stream()));
            inner.set_span(group.span());
            TokenTree::Group(inner)
        }
        other => other,
    };
    kept.into_iter().map(inside).collect()
}

/// Hands each token to `kept`, but whole items after `#[cfg(test)]` to `test`. Groups are not
/// entered.
fn split(tokens: TokenStream, kept: &mut dyn FnMut(TokenTree), test: &mut dyn FnMut(&[TokenTree])) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            let end = at + 2 + item_length(&tokens[at + 2..]);
            test(&tokens[at + 2..end]);
            at = end;
        } else {
            kept(tokens[at].clone());
            at += 1;
        }
    }
}

/// Whether tokens begin with `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = tokens else { return false };
    if hash.as_char() != '#' || group.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text = group.stream().to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// How many tokens the item, field or arm at the beginning has, its attributes included.
fn item_length(tokens: &[TokenTree]) -> usize {
    const ITEMS: [&str; 9] =
        ["enum", "extern", "fn", "impl", "macro_rules", "mod", "struct", "trait", "union"];
    const STATEMENTS: [&str; 5] = ["const", "let", "static", "type", "use"];
    let mut kind = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) => {
                let word = word.to_string();
                let is_item = ITEMS.contains(&word.as_str());
                if is_item || STATEMENTS.contains(&word.as_str()) {
                    // `const fn` is a function.
                    if kind.is_none() || (word == "fn" && kind == Some(false)) {
                        kind = Some(is_item);
                    }
                }
            }
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Brace && kind != Some(false) =>
            {
                return at + 1;
            }
            TokenTree::Punct(punct)
                if punct.as_char() == ';' || (punct.as_char() == ',' && kind.is_none()) =>
            {
                return at + 1;
            }
            _ => {}
        }
    }
    tokens.len()
}

pub(super) fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

pub(super) fn is_punct(token: &TokenTree, punct: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == punct)
}

#[test]
fn what_is_for_tests_only_is_left_out() {
    let text = "use a; #[cfg(test)] use b::{c, d}; fn e() {} #[cfg(test)] const F: G = G { h: 1 }; \
        #[cfg(test)] #[derive(Debug)] struct I<J, K> { l: J } struct M { #[cfg(test)] n: u8, o: u8 } \
        #[cfg(not(test))] fn p() {} #[cfg(test)] mod tests { fn q() {} } #[cfg(test)] const fn r() {} s!();";
    let shipped = Source::new("made-up", "lib.rs", text).shipped().to_string();
    let expected = "use a; fn e() {} struct M { o: u8 } #[cfg(not(test))] fn p() {} s!();";
    assert_eq!(shipped, expected.parse::<TokenStream>().expect("Rust").to_string());
    assert!(Source::new("made-up", "a/tests.rs", "").test);
}
