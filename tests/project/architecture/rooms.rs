//! The rooms of a crate stand in a table of ARCHITECTURE.md from top to bottom; code imports only
//! from rooms below its own, and no files import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::paths::{Path, paths};
use crate::harness::workspace;
use crate::project::source::{Source, sources};

/// The crates that have rooms.
const HOUSES: [&str; 4] = ["prober", "echo", "localmesh", "walk"];

/// The first column of the table with the heading `| room | …` in the section of a crate.
fn table(architecture: &str, krate: &str) -> Vec<String> {
    let heading = format!("### `{krate}/`");
    let section = architecture.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with('#'));
    let rows = section.skip_while(|line| !line.starts_with("| room |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let room = |line: &str| {
        let cell = line.split('|').nth(1).expect("a cell").trim();
        let name = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        let name = name.filter(|name| !name.contains('`'));
        name.unwrap_or_else(|| panic!("{heading}: not one room in backticks: {line}")).to_owned()
    };
    rows.map(room).collect()
}

/// A crate's rooms and files, and what is wrong with them.
struct House<'a> {
    krate: &'a str,
    /// From top to bottom, as in the table: with `/` if the room is a folder.
    rooms: &'a [String],
    sources: &'a [Source],
    /// All modules that are files.
    modules: BTreeSet<Vec<String>>,
}

impl<'a> House<'a> {
    fn new(krate: &'a str, rooms: &'a [String], sources: &'a [Source]) -> Self {
        let modules = sources.iter().map(|source| source.module.clone()).collect();
        Self { krate, rooms, sources, modules }
    }

    fn complaints(&self) -> Vec<String> {
        let mut complaints = self.wrong_rows();
        let mut edges = BTreeMap::new();
        for source in self.sources {
            for path in paths(source, self.krate, &self.modules) {
                complaints.extend(self.wrong_import(source, &path));
                if let Some(to) = self.file_of(&path.module).filter(|to| *to != source.module) {
                    let at = format!("{}:{} imports {}", source.path, path.line, path.written);
                    edges.entry((source.module.clone(), to)).or_insert(at);
                }
            }
        }
        complaints.extend(circles(&edges));
        complaints
    }

    /// Rooms without a row, rows without a room, and folders that are called files.
    fn wrong_rows(&self) -> Vec<String> {
        let krate = self.krate;
        let mut complaints = Vec::new();
        for source in self.sources {
            if self.height(&source.module[0]).is_none() {
                let (path, room) = (&source.path, &source.module[0]);
                complaints.push(format!(
                    "{path}: the room `{room}` is not in the table of `{krate}/` in ARCHITECTURE.md"
                ));
            }
        }
        for (row, room) in self.rooms.iter().enumerate() {
            let name = room.trim_end_matches('/');
            let mut inside = self.modules.iter().filter(|module| module[0] == name);
            if !self.is_room(name) {
                complaints.push(format!(
                    "ARCHITECTURE.md: the room `{room}` of `{krate}/` is not in {krate}/src"
                ));
            } else if room.ends_with('/') != inside.any(|module| module.len() > 1) {
                complaints.push(format!(
                    "ARCHITECTURE.md: the room `{room}` of `{krate}/`: a folder is written with \
                     a slash at its end, and only a folder"
                ));
            }
            if self.height(name) != Some(row) {
                complaints
                    .push(format!("ARCHITECTURE.md: the room `{room}` of `{krate}/` has two rows"));
            }
        }
        complaints
    }

    fn is_room(&self, name: &str) -> bool {
        self.modules.iter().any(|module| module[0] == name)
    }

    /// The row of a room, from the top.
    fn height(&self, room: &str) -> Option<usize> {
        self.rooms.iter().position(|row| row.trim_end_matches('/') == room)
    }

    fn wrong_import(&self, source: &Source, path: &Path) -> Option<String> {
        let own = source.module[0].as_str();
        let other = path.module.first()?;
        let other = if self.is_room(other) { other } else { "lib" };
        // A room without a row is told once.
        if other == own || self.height(own)? < self.height(other)? {
            return None;
        }
        let at = format!("{}:{}: imports {}", source.path, path.line, path.written);
        Some(if other == "lib" || other == "main" {
            format!("{at}: nobody imports from {}/src/{other}.rs", self.krate)
        } else {
            format!("{at}: `{own}` stands below `{other}`, and imports only what stands below it")
        })
    }

    /// The file that holds what a path names: the longest part of it that is a file.
    fn file_of(&self, path: &[String]) -> Option<Vec<String>> {
        let mut parts = (1..=path.len()).rev().map(|end| &path[..end]);
        parts.find(|part| self.modules.contains(*part)).map(<[String]>::to_vec)
    }
}

/// From a file to another, and where the first of the imports is.
type Edges = BTreeMap<(Vec<String>, Vec<String>), String>;

/// From a child to another of the same parent, and where.
type Family<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a str>>;

/// The circles of siblings in a room that import each other, each sibling with all that is below
/// it. A file and what is below it may import each other: the one declares the other.
fn circles(edges: &Edges) -> Vec<String> {
    let mut families: BTreeMap<&[String], Family> = BTreeMap::new();
    for ((from, to), at) in edges {
        let common = from.iter().zip(to).take_while(|(from, to)| from == to).count();
        if common > 0
            && let (Some(child), Some(other)) = (from.get(common), to.get(common))
        {
            let family = families.entry(&from[..common]).or_default();
            family.entry((child, other)).or_default().push(at);
        }
    }
    let circles_of = |(parent, family): (&&[String], &Family)| {
        let tell = |circle: BTreeSet<&str>| {
            let inside = family
                .iter()
                .filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
            let imports: Vec<_> = inside.flat_map(|(_, at)| at.iter().copied()).collect();
            let names = Vec::from_iter(circle).join(", ");
            let parent = parent.join("/");
            format!("{parent}/: {names} import each other:\n    {}", imports.join("\n    "))
        };
        circles_among(family.keys().copied()).into_iter().map(tell).collect::<Vec<_>>()
    };
    families.iter().flat_map(circles_of).collect()
}

/// The sets of nodes that reach each other.
fn circles_among<'a>(
    edges: impl Iterator<Item = (&'a str, &'a str)>,
) -> BTreeSet<BTreeSet<&'a str>> {
    let mut after: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (from, to) in edges {
        after.entry(from).or_default().push(to);
    }
    let reached_from = |node: &&'a str| {
        let mut reached = BTreeSet::new();
        let mut next = vec![*node];
        while let Some(node) = next.pop() {
            let further = after.get(node).into_iter().flatten();
            next.extend(further.filter(|node| reached.insert(**node)));
        }
        reached
    };
    let reached: BTreeMap<_, _> = after.keys().map(|node| (*node, reached_from(node))).collect();
    let circle_of = |(node, far): (&&'a str, &BTreeSet<&'a str>)| {
        let back = |other: &&&str| reached.get(**other).is_some_and(|far| far.contains(node));
        far.iter().filter(back).copied().collect::<BTreeSet<_>>()
    };
    reached.iter().map(circle_of).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn rooms_import_only_what_stands_below_them() {
    let architecture =
        fs::read_to_string(workspace().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut complaints = Vec::new();
    for krate in HOUSES {
        let rooms = table(&architecture, krate);
        assert!(!rooms.is_empty(), "ARCHITECTURE.md has no table of rooms for {krate}/");
        complaints.extend(House::new(krate, &rooms, &sources(krate)).complaints());
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// What is wrong with a crate `house` of these rooms and files.
fn complaints(rooms: &[&str], files: &[(&str, &str)]) -> Vec<String> {
    let rooms: Vec<_> = rooms.iter().map(|&room| room.to_owned()).collect();
    let sources: Vec<_> =
        files.iter().map(|(file, text)| Source::new("house", file, text)).collect();
    House::new("house", &rooms, &sources).complaints()
}

#[test]
fn the_rows_of_a_crate_are_read() {
    let text = "### `echo/`\n\n| room | holds |\n|---|---|\n| `a` | x |\n\n### `prober/`\n\nSome.\n\n\
        | kind | x |\n|---|---|\n| `no` | |\n\n| room | holds |\n|---|---|\n| `main` | `x` |\n\
        | `cli/` | y |\n\nText.\n\n### `c/`\n";
    assert_eq!(table(text, "prober"), ["main", "cli/"]);
    assert_eq!(table(text, "echo"), ["a"]);
    assert!(table(text, "localmesh").is_empty());
}

#[test]
fn imports_of_every_kind_are_seen() {
    let wrong = [
        ("use crate::top::Top;", "crate::top::Top"),
        ("use crate::{leaf::{self}, top::{part::Part as P}};", "crate::top::part::Part"),
        ("use super::top::*;", "super::top::*"),
        ("mod tests { use super::super::top; }", "super::super::top"),
        (
            "#[cfg(test)] mod tests { fn a() { let _ = super::super::top::Top; } }",
            "super::super::top::Top",
        ),
        ("fn a() -> Option<crate::top::Top> { None }", "crate::top::Top"),
        ("fn a() { println!(\"{}\", crate::top::part::name()); }", "crate::top::part::name"),
        ("#[serde(with = \"crate::top::part\")] struct A;", "crate::top::part"),
        ("macro_rules! m { () => { $crate::top::Top }; }", "crate::top::Top"),
        ("use crate::Error;", "crate::Error"),
        ("use super::Error;", "super::Error"),
        ("use super::*;", "super::*"),
        ("fn a() { house::run(); }", "house::run"),
        ("use ::house::top::Top;", "house::top::Top"),
        ("fn a() { crate::run() }", "crate::run"),
    ];
    for (text, written) in wrong {
        let text =
            format!("//! crate::top is a comment.\n/// super::top as well.\nstruct A;\n{text}");
        let files = [
            ("lib.rs", "mod leaf; mod low; mod top; pub use top::Top; pub use crate::low::A;"),
            ("leaf.rs", ""),
            ("low.rs", text.as_str()),
            ("main.rs", "fn main() { house::run(); house::leaf::run() }"),
            ("top.rs", "use crate::low::A; use super::leaf; mod part;"),
            ("top/part.rs", "use super::Top; const NOTE: &str = \"crate::x::y\";"),
        ];
        let found = complaints(&["main", "lib", "top/", "low", "leaf"], &files);
        let expected = format!("house/src/low.rs:4: imports {written}: ");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{text}: {found:#?}");
    }
}

#[test]
fn a_deep_super_chain_leaves_the_room() {
    let files = [
        ("lib.rs", "mod low; mod top;"),
        ("low/deep/er.rs", "\nuse super::super::super::top::{\n    A};\nuse super::super::B;"),
        ("low/deep.rs", "mod er;"),
        ("low.rs", "mod deep;"),
        ("top.rs", "use crate::low::deep::er::A;"),
    ];
    let found = complaints(&["lib", "top", "low/"], &files);
    assert_eq!(
        found,
        ["house/src/low/deep/er.rs:3: imports super::super::super::top::A: `low` stands below \
          `top`, and imports only what stands below it"]
    );
}

#[test]
fn rooms_and_rows_belong_together() {
    let files = [("lib.rs", ""), ("here.rs", ""), ("here/in.rs", ""), ("new/in.rs", "")];
    let found = complaints(&["lib/", "here", "gone/", "lib/"], &files);
    let parts = [
        "house/src/new/in.rs: the room `new` is not in the table",
        "room `lib/` of `house/`: a folder is",
        "room `here` of `house/`: a folder is",
        "room `gone/` of `house/` is not in house/src",
        "room `lib/` of `house/`: a folder is",
        "room `lib/` of `house/` has two rows",
    ];
    assert_eq!(found.len(), parts.len(), "{found:#?}");
    for (found, part) in found.iter().zip(parts) {
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn circles_of_siblings_are_found() {
    let rooms = ["lib", "room/"];
    let fine = [
        ("lib.rs", "mod room;"),
        ("room.rs", "mod a; mod b; pub use a::A; use b::B;"),
        ("room/a.rs", "mod c; use super::B; use c::C;"),
        ("room/a/c.rs", "use super::A; use crate::room::b::B;"),
        ("room/b.rs", "use super::Room;"),
    ];
    assert!(complaints(&rooms, &fine).is_empty(), "{:?}", complaints(&rooms, &fine));
    // From a child to a sibling of its parent, and back.
    let by_a_child = [&fine[..4], &[("room/b.rs", "\nuse crate::room::a::A;")]].concat();
    assert_eq!(
        complaints(&rooms, &by_a_child),
        ["room/: a, b import each other:\n    \
          house/src/room/a/c.rs:1 imports crate::room::b::B\n    \
          house/src/room/b.rs:2 imports crate::room::a::A"]
    );
    // By a module that is imported, and used further down.
    let by_a_name = [
        ("lib.rs", "mod room;"),
        ("room.rs", "mod a; mod b; mod c;"),
        ("room/a.rs", "use super::{c as d, b}; fn f() { b::g(d::h()); }"),
        ("room/b.rs", "fn g() { super::c::h() }"),
        ("room/c.rs", "mod e; use crate::room; fn h() { room::a::f() }"),
        ("room/c/e.rs", "use super::super::c;"),
    ];
    assert_eq!(
        complaints(&rooms, &by_a_name),
        ["room/: a, b, c import each other:\n    \
          house/src/room/a.rs:1 imports super::b\n    \
          house/src/room/a.rs:1 imports super::c\n    \
          house/src/room/b.rs:1 imports super::c::h\n    \
          house/src/room/c.rs:1 imports room::a::f"]
    );
}
