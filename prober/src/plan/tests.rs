//! Flags that make a plan, and those that are refused.

use super::*;
use crate::cli::Cli;
use clap::Parser as _;
use proptest::prelude::*;

fn plan(args: &[&str]) -> Result<Vec<ProbePlan>, PlanError> {
    let words = ["prober"].iter().chain(args);
    run(&Cli::try_parse_from(words).unwrap().run)
}

#[test]
fn a_target_alone_is_a_whole_plan() {
    let plans = plan(&["--target", "istio1.xiaowenx.com/echo2"]).unwrap();
    assert_eq!(plans.len(), 1);
    let plan = &plans[0];
    assert_eq!((plan.planned(), plan.concurrency, plan.show), (Some(100), 10, 4));
    assert_eq!((plan.reuse, plan.schedule.arrivals), (Reuse::NEVER, Arrivals::Closed));
    assert_eq!(plan.expectations, [Expectation::NoErrors]);
    assert_eq!(plan.limits.total, Duration::from_secs(15));
    assert!(plan.request.headers["user-agent"].to_str().unwrap().starts_with("prober/"));
}

#[test]
fn no_more_lanes_than_requests() {
    assert_eq!(plan(&["-t", "a", "-n", "3"]).unwrap()[0].concurrency, 3);
    assert_eq!(plan(&["-t", "a", "-n", "9", "-c", "2"]).unwrap()[0].concurrency, 2);
}

#[test]
fn own_headers_replace_and_remove_as_in_curl() {
    let plans =
        plan(&["-t", "a", "-H", "user-agent: x", "-H", "Accept:", "-H", "A: 1", "-H", "A: 2"]);
    let headers = &plans.unwrap()[0].request.headers;
    assert_eq!(headers["user-agent"], "x");
    assert!(!headers.contains_key("accept"));
    assert_eq!(headers["host"], "a");
    let removed = plan(&["-t", "a", "-H", "Host:"]).unwrap();
    assert!(!removed[0].request.headers.contains_key("host"), "as in curl");
    assert_eq!(headers.get_all("a").iter().count(), 2);
}

#[test]
fn contradictions_are_refused_in_one_line() {
    for (args, part) in [
        (&[][..], "no target"),
        (&["-t", "a", "-n", "0"], "-n 0: write a number of at least 1"),
        (&["-t", "a", "-n", "5", "-d", "1"], "-n and -d both"),
        (&["-t", "a", "-d", "0"], "--duration '0'"),
        (&["-t", "a", "--rate", "0"], "--rate '0'"),
        (&["-t", "a", "--rate", "fast"], "--rate 'fast'"),
        (&["-t", "a", "--rate", "inf"], "--rate 'inf'"),
        (&["-t", "a", "--arrivals", "poisson"], "give --rate too"),
        (&["-t", "a", "--reuse", "5:2"], "--reuse '5:2'"),
        (&["-t", "a", "--reuse", "0"], "--reuse '0'"),
        (&["-t", "a", "--reuse", "often"], "write never, always, N, or N:M"),
        (&["-t", "a", "--connection-lifetime", "x"], "--connection-lifetime 'x'"),
        (&["-t", "a", "-c", "0"], "-c 0: write a number from 1 to 10000"),
        (&["-t", "a", "-c", "10001"], "-c 10001"),
        (&["-t", "a", "--threads", "0"], "--threads 0"),
        (&["-t", "a", "--max-body", "0"], "--max-body 0"),
        (&["-t", "a", "-m", "0"], "--max-time '0'"),
        (&["-t", "a", "-m", "NaN"], "--max-time 'NaN'"),
        (&["-t", "a", "-m", "1h"], "--max-time '1h'"),
        (&["-t", "a", "-H", "x"], "no colon"),
        (&["-t", "a", "-H", "x y: z"], "no header name"),
        (&["-t", "a", "-H", "x: a\nb"], "control character"),
        (&["-t", "a", "-X", "G ET"], "no HTTP method"),
        (&["-t", "a", "-e", "exacty b"], "--expect: expectation 'exacty b', column 1"),
        (&["-t", "a", "-t", "b c"], "--target: target 'b c' has a space"),
        (&["-t", "a", "--resolve", "a:80"], "--resolve"),
    ] {
        let error = plan(args).expect_err(&format!("{args:?}")).to_string();
        assert!(error.contains(part), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

proptest! {
    #[test]
    fn no_header_and_no_time_panics(text in any::<String>()) {
        let _ = parse_header(&text);
        let _ = seconds("-m", &text);
    }
}
