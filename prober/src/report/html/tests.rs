//! The bytes of the page: golden, safe, complete, bounded. The integration tests open it in a
//! browser.

use echo_reply::Identity;

use super::*;
use crate::expectation::{Expectation, Form};
use crate::report::{RowResult, samples};
use crate::tally::{BackendTally, Label};

fn page(report: &Report) -> String {
    String::from_utf8(render(report)).unwrap()
}

/// Without what changes with the version or is kept elsewhere; an element on each line.
fn golden(report: &Report) -> String {
    let page = page(report);
    let version = format!("prober {}", env!("CARGO_PKG_VERSION"));
    let between = |page: &str, from: &str, to: &str| {
        let (head, rest) = page.split_once(from).unwrap();
        let (_, tail) = rest.split_once(to).unwrap();
        format!("{head}{from}…{to}{tail}")
    };
    let page = between(&page.replace(&version, "prober …"), "<style>", "</style>");
    between(&page, JSON_BEGIN, JSON_END).replace("><", ">\n<")
}

#[test]
fn a_plain_run() {
    insta::assert_snapshot!(golden(&samples::plain()));
}

#[test]
fn a_matrix() {
    insta::assert_snapshot!(golden(&samples::matrix()));
}

#[test]
fn the_headline_counts_missed_and_undecided_rows() {
    assert_eq!(headline(&samples::plain()), "istio1.xiaowenx.com/echo2 meets its expectation");
    let mut report = samples::matrix();
    assert_eq!(headline(&report), "2 of 4 rows miss their expectations, 1 inconclusive");
    let said = Row::outcome;
    let all: Vec<_> = report.rows.iter().map(said).collect();
    assert_eq!(all[0], "meets all 2 expectations");
    assert_eq!(all[1], "misses 2 of 2 expectations");
    assert_eq!(all[3], "could not be probed");
    report.rows.clear();
    assert_eq!(headline(&report), "No targets were probed");
}

#[test]
fn the_report_is_in_the_page_and_comes_back() {
    for report in [samples::plain(), samples::matrix(), samples::timeline(), samples::many_pods()] {
        let page = render(&report);
        let json = embedded(&page).unwrap();
        assert_eq!(json::parse(json).unwrap(), json::parse(&json::render(&report)).unwrap());
    }
    assert_eq!(embedded(b"{}"), None);
    assert_eq!(embedded(&[0xff]), None);
    let page = page(&samples::plain());
    let cut = &page[..page.find("\"rows\"").unwrap()];
    assert_eq!(embedded(cut.as_bytes()), None, "cut short");
}

/// A report in which every remote text is hostile.
fn hostile(evil: &str) -> Report {
    let mut report = samples::matrix();
    report.clusters = vec![evil.to_owned()];
    for row in &mut report.rows {
        row.source = Some(evil.to_owned());
        row.target = evil.to_owned();
        row.url = evil.to_owned();
        match &mut row.result {
            RowResult::Unreachable { reason, .. } => *reason = evil.to_owned(),
            RowResult::Probed { tally, verdicts } => {
                let counted = tally.backends.pop_first().unwrap().1;
                let mut who = Identity::new(evil, evil);
                who.zone = Some(evil.to_owned());
                tally.backends.insert(who, counted);
                tally.failures.iter_mut().for_each(|group| group.what = evil.to_owned());
                tally.passed_over.values_mut().for_each(|over| over.why = evil.to_owned());
                tally.shown.values_mut().for_each(|line| *line = evil.to_owned());
                tally.events.push(crate::tally::EventRecord {
                    at_us: 5,
                    began_us: Some(6),
                    command: evil.to_owned(),
                    took_us: Some(7),
                    end: crate::tally::EventEnding::NotStarted(evil.to_owned()),
                    output: evil.to_owned(),
                });
                for judged in verdicts {
                    judged.expectation = evil_expectation(evil);
                    judged.reason = evil.to_owned();
                }
            }
        }
    }
    report
}

#[test]
fn hostile_texts_stay_texts() {
    let evil = "</script><script>alert(1)</script><!--<b onclick=\"x\" a='y'>&amp;\u{202e}\u{2066}";
    for evil in [evil.to_owned(), format!("{evil}\0\u{1b}[2J\u{85}")] {
        let page = page(&hostile(&evil));
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.to_lowercase().matches("</script").count(), 1);
        for bad in ["<!--", "<b ", "\u{202e}\u{2066}<", "\0", "\u{1b}", "\u{85}"] {
            let shown = page.split(JSON_BEGIN).next().unwrap();
            assert!(!shown.contains(bad), "{bad:?}");
        }
        assert!(page.contains("&lt;b onclick=&quot;x&quot;"), "it is shown as it is");
        assert!(page.contains("\\u{202e}"), "invisible characters are named");
    }
    // A report with names that hide characters is refused.
    let evil = evil.trim_end_matches(['\u{202e}', '\u{2066}']);
    let mut report = hostile(evil);
    for row in &mut report.rows {
        // An expectation is read again, and names in it have no such characters.
        if let RowResult::Probed { verdicts, .. } = &mut row.result {
            verdicts.iter_mut().for_each(|judged| judged.expectation = Expectation::NoErrors);
        }
    }
    let back = json::parse(embedded(&render(&report)).unwrap()).unwrap();
    assert_eq!(back.rows[0].target, evil, "nothing is lost on the way");
}

#[test]
fn ten_thousand_pods_are_folded_and_counted() {
    let mut report = samples::plain();
    let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
    let counted = tally.backends.values().next().unwrap().clone();
    for n in 0..10_000u64 {
        let who = Identity::new(format!("pod-{n}"), format!("cluster-{}", n % 100));
        tally.backends.insert(who, BackendTally { answers: 1 + n % 7, ..counted.clone() });
    }
    let page = compose(&report, "{}").into_string();
    assert!(page.len() < 150_000, "{} bytes", page.len());
    let rows = page.split("class=\"backends\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(rows.matches("<tr>").count(), 1 + crate::report::groups::MOST_BACKENDS + 1);
    assert!(rows.contains("and 9952 more pods"), "10,002 but the 50 with most answers");
    assert!(page.contains("other clusters"), "and 102 clusters but 8");
}

#[test]
fn an_interrupted_run_says_so() {
    let mut report = samples::plain();
    assert!(!page(&report).contains("Interrupted."));
    report.interrupted = true;
    assert!(page(&report).contains("<strong>Interrupted.</strong> This report is partial."));
}

/// An expectation that names a cluster of this name.
fn evil_expectation(name: &str) -> Expectation {
    let names = vec![name.to_owned()];
    Expectation::Who { form: Form::Only, label: Label::Cluster, names }
}
