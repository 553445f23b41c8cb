//! Golden expositions, and the limits of all expositions.

use std::collections::BTreeSet;

use super::*;
use crate::report::{RowResult, samples};

fn text(report: &Report) -> String {
    String::from_utf8(render(report)).unwrap()
}

/// Asserts that no series and no family occurs twice.
fn assert_unique(text: &str) {
    let mut series = BTreeSet::new();
    for line in text.lines() {
        let name = line.rsplit_once(' ').filter(|_| !line.starts_with("# HELP"));
        if let Some((name, _)) = name {
            assert!(series.insert(name), "twice: {name}");
        }
    }
}

#[test]
fn a_matrix() {
    let text = text(&samples::matrix());
    assert_unique(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn addresses_of_a_name_and_equal_rows_have_series_of_their_own() {
    let mut report = samples::each();
    report.rows.extend(samples::plain().rows);
    report.rows.extend(samples::plain().rows);
    let text = text(&report);
    assert_unique(&text);
    for target in ["echo2 (10.0.0.1)", "echo2 (fd00::1)", "echo2", "echo2 #2"] {
        let wanted = format!(
            "prober_requests_total{{source=\"here\",target=\"istio1.xiaowenx.com/{target}\",\
             result=\"answered\"}} 100\n"
        );
        assert!(text.contains(&wanted), "{wanted} is missing in {text}");
    }
}

#[test]
fn a_cluster_that_should_answer_has_a_share_of_zero_and_a_bound() {
    let text = text(&samples::matrix());
    let of = |metric: &str| {
        let line = text.lines().find(|line| {
            line.starts_with(&format!("{metric}{{source=\"kops:istio-enabled\""))
                && line.contains("backend_cluster=\"gke1\"")
        });
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    assert_eq!(of("prober_share_ratio"), 0.0);
    assert_eq!(of("prober_share_lower_bound_ratio"), 0.0);
    // The exact bound of none of 55, both sides sharing the risk of 0.1 %.
    let bound = 1.0 - 0.0005_f64.powf(1.0 / 55.0);
    assert!((of("prober_share_upper_bound_ratio") - bound).abs() < 1e-6);
}

#[test]
fn many_pods_are_few_series() {
    let text = text(&samples::many_pods());
    assert_unique(&text);
    let pods = text.lines().filter(|line| line.starts_with("prober_answers_total{")).count();
    assert_eq!(pods, counts::MOST_PODS + 1);
    assert!(text.contains("backend_pod=\"other\"} 210\n"), "{text}");
}

#[test]
fn hostile_names_are_escaped() {
    let mut report = samples::plain();
    let RowResult::Probed { tally, .. } = &mut report.rows[0].result else { panic!("probed") };
    let (_, backend) = tally.backends.pop_first().unwrap();
    let hostile = "\"} 1\nprober_up 1\\".to_owned() + &"x".repeat(4000);
    tally.backends.insert(echo_reply::Identity::new("a", hostile), backend);
    let text = text(&report);
    assert_unique(&text);
    assert!(!text.contains("\nprober_up"), "{text}");
    assert!(text.lines().all(|line| line.len() < 700), "{text}");
    assert!(text.contains("backend_cluster=\"\\\"} 1\\nprober_up 1\\\\xxx"), "{text}");
}
