//! Golden texts. `INSTA_UPDATE=always` rewrites them.

use std::time::Duration;

use super::*;
use crate::report::samples;
use crate::tally::outcome::{Failure, FailureKind};
use crate::tally::{FailureGroup, Phases};

#[test]
fn a_plain_run() {
    let report = samples::plain();
    insta::assert_snapshot!(String::from_utf8(render(&report, Style::PLAIN)).unwrap());
}

#[test]
fn a_matrix_with_failures_and_an_unreachable_source() {
    let report = samples::matrix();
    insta::assert_snapshot!(String::from_utf8(render(&report, Style::PLAIN)).unwrap());
}

#[test]
fn rows_of_one_name_show_their_addresses() {
    let text = render(&samples::each(), Style::PLAIN);
    let text = String::from_utf8(text).unwrap();
    for shown in ["istio1.xiaowenx.com/echo2 (10.0.0.1)", "istio1.xiaowenx.com/echo2 (fd00::1)"] {
        let section = text.contains(&format!("\nPASS  curl {shown}: "))
            || text.starts_with(&format!("PASS  curl {shown}: "));
        let matrix = text.lines().any(|line| line.starts_with(&format!("here    {shown}")));
        assert!(section && matrix, "{text}");
    }
}

#[test]
fn a_round_robin_is_reported() {
    let mut report = samples::plain();
    let said = |report: &Report| {
        let text = render(report, Style::PLAIN);
        String::from_utf8(text).unwrap().contains("round robin: every second answer")
    };
    assert!(!said(&report));
    let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { panic!("probed") };
    for (n, lag) in tally.order.lags.iter_mut().enumerate() {
        (lag.pairs, lag.same) = (90, if n % 2 == 1 { 90 } else { 0 });
    }
    assert!(said(&report));
}

#[test]
fn a_timeline_with_failures() {
    let report = samples::timeline();
    insta::assert_snapshot!(String::from_utf8(render(&report, Style::PLAIN)).unwrap());
}

#[test]
fn a_timeline_of_many_bins_and_more_pods_than_it_tells_apart() {
    let report = samples::many_pods();
    let text = String::from_utf8(render(&report, Style::PLAIN)).unwrap();
    let (_, picture) = text.split_once("  OVER TIME").unwrap();
    let (picture, _) = picture.split_once("\n  300 requests").unwrap();
    insta::assert_snapshot!(picture);
    assert!(picture.lines().all(|line| line.chars().count() <= 80), "{picture}");
}

#[test]
fn colour_only_adds_codes() {
    let mut report = samples::matrix();
    report.rows.extend(samples::timeline().rows);
    let plain = String::from_utf8(render(&report, Style::PLAIN)).unwrap();
    let mut colored =
        String::from_utf8(render(&report, Style { color: true, ..Style::PLAIN })).unwrap();
    assert_ne!(colored, plain);
    while let Some((before, code)) = colored.split_once('\u{1b}') {
        let after = code.split_once('m').unwrap().1;
        colored = format!("{before}{after}");
    }
    assert_eq!(colored, plain);
}

#[test]
fn an_interrupted_run_says_so() {
    let mut report = samples::plain();
    report.interrupted = true;
    let text = String::from_utf8(render(&report, Style::PLAIN)).unwrap();
    assert!(text.ends_with("\nINTERRUPTED: this report is partial\n"), "{text}");
}

#[test]
fn no_line_has_trailing_space_and_the_last_one_ends() {
    for report in [samples::plain(), samples::matrix(), samples::timeline()] {
        let text = String::from_utf8(render(&report, Style::PLAIN)).unwrap();
        assert!(text.lines().all(|line| line == line.trim_end()));
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    }
}

#[test]
fn every_kind_of_failure_has_a_word_in_the_table() {
    let mut report = samples::plain();
    let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
    for kind in FailureKind::ALL {
        tally.failures.push(FailureGroup::new(Failure::new(kind, "x"), 1));
    }
    let text = String::from_utf8(render(&report, Style::PLAIN)).unwrap();
    for kind in FailureKind::ALL {
        assert!(text.contains(&format!("\n  {kind}")), "{kind}: {text}");
    }
}

#[test]
fn addresses_are_listed_if_there_are_several_or_the_style_is_verbose() {
    let text = |addresses: u8, verbose| {
        let mut report = samples::plain();
        let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
        let counted = |n| crate::tally::AddressTally { connections: 2, answers: n };
        tally.addresses =
            (1..=addresses).map(|n| (([10, 0, 0, n], 80).into(), counted(u64::from(n)))).collect();
        String::from_utf8(render(&report, Style { verbose, ..Style::PLAIN })).unwrap()
    };
    assert!(!text(1, false).contains("ADDRESS"), "{}", text(1, false));
    assert!(text(1, true).contains("\n  10.0.0.1:80            2        1\n"), "{}", text(1, true));
    let two = text(2, false);
    assert!(two.find("10.0.0.2:80").unwrap() < two.find("10.0.0.1:80").unwrap(), "{two}");
    let many = text(18, false);
    assert_eq!(many.matches("10.0.0.").count(), backends::MAX_ADDRESSES);
    assert!(many.contains("\n  and 2 more addresses with 3 answers\n"), "{many}");
}

#[test]
fn only_the_addresses_passed_over_most_have_a_line() {
    let text = |addresses: u8, further| {
        let mut report = samples::plain();
        let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
        let over = |n: u8| crate::tally::PassedOver { count: n.into(), why: "refused".into() };
        tally.passed_over =
            (1..=addresses).map(|n| (([10, 0, 0, n], 80).into(), over(n))).collect();
        tally.passed_over_further = further;
        String::from_utf8(render(&report, Style::PLAIN)).unwrap()
    };
    assert!(!text(8, 0).contains("more"));
    assert!(text(9, 0).contains("\n  passed over 1 more address 1 time\n"), "{}", text(9, 0));
    let many = text(10, 4);
    assert!(many.contains("passed over 10.0.0.10:80 10 times: refused"), "{many}");
    assert!(many.contains("\n  passed over at least 3 more addresses 7 times\n"), "{many}");
}

#[test]
fn the_upstream_time_is_shown_if_an_envoy_states_it() {
    for (ms, said) in [(0, "less than 1 ms upstream"), (2, "2 ms upstream")] {
        let mut report = samples::plain();
        let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
        for _ in 0..3 {
            tally.phases.first_byte.record(Duration::from_micros(3_200));
            tally.phases.upstream.record(Duration::from_millis(ms));
        }
        let text = String::from_utf8(render(&report, Style::PLAIN)).unwrap();
        let line = format!("\n  median time to first byte 3.20 ms, of which {said}");
        assert!(text.contains(&line), "{text}");
        let read = crate::report::json::parse(&crate::report::json::render(&report)).unwrap();
        assert_eq!(read, report, "and JSON keeps it");
    }
}

#[test]
fn a_phase_before_the_request_that_takes_most_of_the_time_is_named() {
    let text = |dns: u64, connect: u64, service: u64| {
        let mut report = samples::plain();
        let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { unreachable!() };
        tally.phases = Phases::default();
        for _ in 0..9 {
            tally.phases.dns.record(Duration::from_millis(dns));
            tally.phases.connect.record(Duration::from_millis(connect));
            tally.phases.service.record(Duration::from_millis(service));
        }
        String::from_utf8(render(&report, Style::PLAIN)).unwrap()
    };
    let said = text(502, 1, 503);
    assert!(said.contains("\n  DNS took 502 ms of 503 ms (medians)\n"), "{said}");
    assert!(text(1, 300, 320).contains("\n  TCP took 300 ms of 320 ms (medians)\n"));
    for (dns, connect, service) in [(1, 1, 503), (2, 1, 3), (40, 40, 100)] {
        assert!(!text(dns, connect, service).contains(" took "), "{dns} {connect} {service}");
    }
}

/// A matrix with long names and texts, and a timeline.
fn long() -> Report {
    let mut report = samples::matrix();
    report.rows.extend(samples::timeline().rows);
    report.rows[0].source = Some(format!("kops:{}", "a-long-namespace-".repeat(6)));
    report.rows[1].target = format!("http://{}.example.com:8080/a/path", "long-".repeat(30));
    let RowResult::Probed { tally, .. } = &mut report.rows[1].result else { unreachable!() };
    tally.failures[1].what = format!("503 from {}", "日本語 ".repeat(40));
    let (who, counted) = tally.backends.pop_first().unwrap();
    let pod = format!("{}-xdfqr", "echo2-with-a-long-name".repeat(4));
    tally.backends.insert(echo_reply::Identity { pod, ..who }, counted);
    report
}

fn at(report: &Report, width: usize, unicode: bool) -> String {
    let style = Style { width, wrap: true, unicode, ..Style::PLAIN };
    String::from_utf8(render(report, style)).unwrap()
}

#[test]
fn every_width_has_its_layout() {
    for width in [60, 100, 200] {
        insta::assert_snapshot!(format!("at_{width}_columns"), at(&long(), width, true));
    }
    insta::assert_snapshot!("in_ascii", at(&samples::matrix(), 80, false));
}

#[test]
fn nothing_but_verbatim_answers_is_wider_than_the_terminal() {
    use unicode_width::UnicodeWidthStr as _;
    let mut reports = vec![samples::plain(), samples::many_pods(), long()];
    reports.push(crate::report::json::parse(&crate::report::json::render(&long())).unwrap());
    for report in reports {
        for width in NARROWEST..=WIDEST {
            for line in at(&report, width, width % 2 == 0).lines() {
                let verbatim = line.starts_with("[URL: ") || line.starts_with("[failed: ");
                assert!(verbatim || line.width() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn columns_of_a_table_stay_below_their_heads() {
    use unicode_width::UnicodeWidthStr as _;
    for width in [60, 77, 100, 200] {
        let text = at(&long(), width, true);
        let table: Vec<_> = text.lines().skip_while(|line| !line.starts_with("SOURCE")).collect();
        let head = table[0].find("VERDICT").map(|at| table[0][..at].width()).unwrap();
        for line in &table[1..6] {
            let at = ["PASS", "FAIL", "INCONCLUSIVE"].iter().filter_map(|word| line.find(word));
            assert_eq!(at.min().map(|at| line[..at].width()), Some(head), "{width}: {line}");
        }
    }
}

#[test]
fn ascii_is_ascii_where_names_are() {
    let mut report = samples::matrix();
    report.rows.extend(samples::timeline().rows);
    let text = at(&report, 100, false);
    assert!(text.is_ascii(), "{:?}", text.chars().find(|c| !c.is_ascii()));
    assert!(text.contains("  ####") && text.contains(" us ") && text.contains("--"), "{text}");
}

#[test]
fn the_pods_with_the_most_answers_are_shown() {
    let text = at(&samples::many_pods(), 100, true);
    assert_eq!(text.matches("  kops     pod-").count(), 50, "{text}");
    assert!(text.contains("\n  and 50 more pods with 150 answers on 150 connections\n"), "{text}");
}
