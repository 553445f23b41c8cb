//! Golden texts; `INSTA_UPDATE=always` writes them anew.

use super::*;
use crate::outcome::FailureKind;
use crate::report::samples;

#[test]
fn a_plain_run() {
    let report = samples::plain();
    insta::assert_snapshot!(String::from_utf8(render(&report, Style { color: false })).unwrap());
}

#[test]
fn a_matrix_with_failures_and_an_unreachable_source() {
    let report = samples::matrix();
    insta::assert_snapshot!(String::from_utf8(render(&report, Style { color: false })).unwrap());
}

#[test]
fn colour_only_adds_codes() {
    let report = samples::matrix();
    let plain = String::from_utf8(render(&report, Style { color: false })).unwrap();
    let mut colored = String::from_utf8(render(&report, Style { color: true })).unwrap();
    assert_ne!(colored, plain);
    for code in ["0", "1", "31", "32", "33"] {
        colored = colored.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(colored, plain);
}

#[test]
fn an_interrupted_run_says_so() {
    let mut report = samples::plain();
    report.interrupted = true;
    let text = String::from_utf8(render(&report, Style { color: false })).unwrap();
    assert!(text.ends_with("\nINTERRUPTED: this report is partial\n"), "{text}");
}

#[test]
fn no_line_has_trailing_space_and_the_last_one_ends() {
    for report in [samples::plain(), samples::matrix()] {
        let text = String::from_utf8(render(&report, Style { color: false })).unwrap();
        assert!(text.lines().all(|line| line == line.trim_end()));
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    }
}

#[test]
fn times_and_bars_at_their_edges() {
    let time = |us| shown_time(Some(Duration::from_micros(us)));
    assert_eq!(time(0), "0 µs");
    assert_eq!(time(999), "999 µs");
    assert_eq!(time(1_000), "1.00 ms");
    assert_eq!(time(9_995), "10.0 ms");
    assert_eq!(time(999_499), "999 ms");
    assert_eq!(time(999_500), "1.00 s");
    assert_eq!(time(61_000_000), "61.0 s");
    assert_eq!(shown_time(None), "–");
    assert_eq!(bar(0.0), "");
    assert_eq!(bar(1.0), "█".repeat(BAR));
    assert_eq!(bar(0.5), "█".repeat(BAR / 2));
    assert_eq!(bar(1.0 / 160.0), "▏");
}

#[test]
fn every_kind_of_failure_has_a_word_in_the_table() {
    let mut report = samples::plain();
    let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
    for kind in FailureKind::ALL {
        tally.failures.push(crate::tally::FailureGroup { kind, what: "x".into(), count: 1 });
    }
    let text = String::from_utf8(render(&report, Style { color: false })).unwrap();
    for kind in FailureKind::ALL {
        assert!(text.contains(&format!("\n  {kind}")), "{kind}: {text}");
    }
}

#[test]
fn a_share_is_all_or_nothing_only_if_it_is() {
    let shown = [0.0, 1.0 / 2500.0, 0.0005, 0.5, 0.9994, 2499.0 / 2500.0, 1.0].map(percent);
    assert_eq!(shown, ["0.0%", "<0.1%", "0.1%", "50.0%", "99.9%", ">99.9%", "100.0%"]);
}
