//! Golden Markdown, and hostile names that a Markdown parser reads.

use echo_reply::Identity;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::*;
use crate::report::samples;
use crate::tally::FailureGroup;
use crate::tally::outcome::Failure;
use crate::tally::outcome::FailureKind;

fn text(report: &Report) -> String {
    String::from_utf8(render(report)).unwrap()
}

#[test]
fn a_plain_run() {
    insta::assert_snapshot!(text(&samples::plain()));
}

#[test]
fn a_matrix_with_the_missed_rows_first() {
    insta::assert_snapshot!(text(&samples::matrix()));
}

#[test]
fn an_interrupted_run_says_so() {
    let report = Report { interrupted: true, ..samples::plain() };
    assert!(text(&report).contains("\n**Interrupted: this report is partial.**\n"));
}

/// Markup, mentions and links.
const HOSTILE: [&str; 9] = [
    "a|b",
    "`code` and ``more``",
    "<img src=x onerror=alert(1)>",
    "</code></summary><script>x</script>",
    "@everyone fixes #1",
    "[click](http://evil.example)",
    "**bold** _it_ ~~no~~",
    "\\|\\`",
    " leading `and` trailing ",
];

/// All code of a text, all HTML of it, and how many cells each line of a table has.
fn read(markdown: &str) -> (Vec<String>, String, Vec<usize>) {
    let (mut codes, mut markup, mut cells) = (Vec::new(), String::new(), Vec::new());
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut count = 0;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Code(code) => codes.push(code.into_string()),
            Event::Html(html) | Event::InlineHtml(html) => markup.push_str(&html),
            Event::Start(Tag::TableCell) => count += 1,
            Event::End(TagEnd::TableRow | TagEnd::TableHead) => {
                cells.push(count);
                count = 0;
            }
            Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::Emphasis | Tag::Strong) => {
                panic!("markup from a name: {event:?} in {markdown}")
            }
            Event::Text(text) => assert!(!text.contains("everyone"), "a mention: {text}"),
            _ => {}
        }
    }
    (codes, markup, cells)
}

#[test]
fn what_comes_from_elsewhere_stays_text() {
    let mut report = samples::matrix();
    let RowResult::Probed { tally, .. } = &mut report.rows[1].result else { unreachable!() };
    let (_, some) = tally.backends.pop_first().unwrap();
    for name in HOSTILE {
        tally.backends.insert(Identity::new(name, "kops"), some.clone());
    }
    tally.failures =
        HOSTILE.map(|what| FailureGroup::new(Failure::new(FailureKind::Status, what), 5)).to_vec();
    report.rows[0].source = Some(HOSTILE.concat());
    report.rows[2].target = HOSTILE[3].to_owned();
    let markdown = text(&report);
    let (codes, markup, cells) = read(&markdown);
    for name in HOSTILE {
        let seen = codes.iter().filter(|code| code.trim() == name.trim()).count();
        assert!(seen >= 2, "{name:?} is a backend and a failure: {codes:#?}\n{markdown}");
    }
    let tags: Vec<_> =
        markup.split('<').skip(1).filter_map(|tag| tag.split(['>', ' ']).next()).collect();
    let ours = ["details", "/details", "summary", "/summary", "code", "/code"];
    assert!(tags.iter().all(|tag| ours.contains(tag)), "{tags:?}");
    assert_eq!(tags.iter().filter(|tag| **tag == "details").count(), report.rows.len());
    // 4 rows of 7 cells with their head, and 10 backends with their failures and their head; other
    // backends have 6 cells, failures and expectations 3.
    assert_eq!(cells.iter().filter(|count| **count == 7).count(), 16, "{cells:?}");
    assert!(cells.iter().all(|count| [3, 6, 7].contains(count)), "{cells:?}\n{markdown}");
    assert!(!markup.contains('@') && !markup.contains("**"), "{markup}");
}

#[test]
fn it_fits_a_comment_however_long_the_report_is() {
    let mut report = samples::matrix();
    for n in 0..400 {
        let mut row = samples::matrix().rows.remove(1);
        row.source = Some(format!("{}{n}", "ü".repeat(300)));
        if let RowResult::Probed { tally, .. } = &mut row.result {
            tally.failures[0].what = "ß|".repeat(4000);
        }
        report.rows.push(row);
    }
    let markdown = text(&report);
    assert!(markdown.len() <= MOST, "{}", markdown.len());
    assert!(markdown.len() > MOST / 2, "it uses the room: {}", markdown.len());
    assert!(markdown.contains("\nand 304 more rows\n"), "{markdown}");
    assert!(markdown.ends_with(" more rows would not fit here; the JSON has all.\n"));
    let first = markdown.find("<details").unwrap();
    assert!(markdown[first..].starts_with("<details open><summary>❌ FAIL"));
    read(&markdown);
}

#[test]
fn a_long_text_is_cut_in_its_middle() {
    assert_eq!(shortened("abcdefgh", 8), "abcdefgh");
    assert_eq!(shortened("abcdefghi", 8), "abcd…ghi");
    assert_eq!(shortened("äöüäöü", 3), "ä…ü");
}
