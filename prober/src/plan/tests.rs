//! Flags that make a plan, and those that are refused.

use super::*;
use crate::cli::Cli;
use clap::Parser as _;
use http::{HeaderName, header};
use proptest::prelude::*;
use schedule::Pace;

fn plan(args: &[&str]) -> Result<Vec<ProbePlan>, PlanError> {
    let words = ["prober"].iter().chain(args);
    run(&Cli::try_parse_from(words).unwrap().run)
}

#[test]
fn a_target_alone_is_a_whole_plan() {
    let plans = plan(&["--target", "istio1.xiaowenx.com/echo2"]).unwrap();
    assert_eq!(plans.len(), 1);
    let plan = &plans[0];
    assert_eq!((plan.planned(), plan.concurrency, plan.show), (Some(100), 10, 0));
    assert_eq!((plan.reuse, plan.schedule.arrivals), (Reuse::NEVER, Arrivals::Closed));
    assert_eq!(plan.expectations, [Expectation::NoErrors]);
    assert_eq!(plan.limits.total, Some(Duration::from_secs(15)));
    let agent = plan.request.headers.get(&header::USER_AGENT).unwrap();
    assert!(agent.to_str().unwrap().starts_with("prober/"));
}

#[test]
fn no_request_may_fail_unless_an_expectation_says_how_many() {
    let judged = |expectations: &[&str]| {
        let words = expectations.iter().flat_map(|expectation| ["-e", expectation]);
        let fault = ["-t", "a", "-n", "9", "-q", "1", "--at", "1s", "true"];
        let args: Vec<_> = fault.into_iter().chain(words).collect();
        let judged = plan(&args).unwrap().remove(0).expectations;
        judged.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(judged(&[]), ["errors = 0"]);
    for silent in [
        "exactly kops,gke1",
        "balanced ± 5%",
        "p99 < 1s",
        "retried = 0",
        "throughput >= 5/s",
        "failback < 5s",
    ] {
        assert_eq!(judged(&[silent]), ["errors = 0", silent]);
    }
    for about_errors in ["errors = 0", "error-rate <= 1%", "lost <= 5", "failover < 5s"] {
        assert_eq!(judged(&[about_errors]), [about_errors]);
        assert_eq!(judged(&["only kops", about_errors]), ["only kops", about_errors]);
    }
}

#[test]
fn no_more_lanes_than_requests() {
    assert_eq!(plan(&["-t", "a", "-n", "3"]).unwrap()[0].concurrency, 3);
    assert_eq!(plan(&["-t", "a", "-n", "9", "-c", "2"]).unwrap()[0].concurrency, 2);
}

#[test]
fn addresses_are_chosen_as_asked() {
    let select = |args: &[&str]| plan(&[&["-t", "a"], args].concat()).unwrap()[0].clone();
    assert_eq!(select(&[]).select, Select::First);
    assert_eq!(
        select(&["--select", "round-robin", "--reuse", "always"]).select,
        Select::RoundRobin
    );
    assert_eq!(select(&["--select", "random", "--seed", "7"]).select, Select::Random(7));
    assert_eq!(select(&["--select", "each"]).select, Select::Each);
    assert!(!select(&[]).names.anew && select(&["--re-resolve", "--reuse", "always"]).names.anew);
}

#[test]
fn own_headers_replace_and_remove_as_in_curl() {
    let plans =
        plan(&["-t", "a", "-H", "user-agent: x", "-H", "Accept:", "-H", "A: 1", "-H", "A: 2"]);
    let headers = &plans.unwrap()[0].request.headers;
    let value = |headers: &RequestHeaders, name: HeaderName| {
        headers.get(&name).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(value(headers, header::USER_AGENT).as_deref(), Some("x"));
    assert_eq!(value(headers, header::ACCEPT), None);
    assert_eq!(value(headers, header::HOST).as_deref(), Some("a"));
    assert_eq!(headers.to_map().get_all("a").iter().count(), 2);
    // As in curl, the first Host with a value counts.
    for (flags, host) in [
        (&["Host:"][..], None),
        (&["Host: b", "host: c"], Some("b")),
        (&["Host:", "Host: b", "Host: c"], Some("b")),
        (&["Host: b", "Host:"], Some("b")),
    ] {
        let words: Vec<_> = flags.iter().flat_map(|header| ["-H", header]).collect();
        let plans = plan(&[&["-t", "a"], &words[..]].concat()).unwrap();
        let headers = &plans[0].request.headers;
        assert_eq!(value(headers, header::HOST).as_deref(), host, "{flags:?}");
        let hosts = headers.iter().filter(|header| header.name == header::HOST).count();
        assert_eq!(hosts, usize::from(host.is_some()), "{flags:?}");
    }
    let headers =
        |args: &[&str]| plan(&[&["-t", "a"], args].concat()).unwrap()[0].request.headers.to_map();
    let empty = headers(&["-H", "X-Empty;", "-H", "user-agent;", "-H", "accept;"]);
    for name in ["x-empty", "user-agent", "accept"] {
        assert_eq!(empty[name], "", "{name}");
    }
    let both = headers(&["-H", "X: 1", "-H", "X:", "-H", "Accept:", "-H", "Accept: b"]);
    assert_eq!((&both["x"], &both["accept"]), (&"1".parse().unwrap(), &"b".parse().unwrap()));
}

#[test]
fn a_body_is_sent_by_post_as_curl_does() {
    let request = |args: &[&str]| plan(&[&["-t", "a"], args].concat()).unwrap()[0].request.clone();
    let value = |sent: &RequestPlan, name: HeaderName| {
        sent.headers.get(&name).map(|value| value.to_str().unwrap().to_owned())
    };
    let sent = request(&["--data", "a=1", "--data", "b=é"]);
    assert_eq!(sent.method, Method::POST);
    assert_eq!(sent.body.as_deref(), Some("a=1&b=é".as_bytes()));
    assert_eq!(value(&sent, header::CONTENT_LENGTH).as_deref(), Some("8"));
    let form = "application/x-www-form-urlencoded";
    assert_eq!(value(&sent, header::CONTENT_TYPE).as_deref(), Some(form));
    let json = request(&["-X", "PUT", "--data", "{}", "-H", "Content-Type: application/json"]);
    assert_eq!(json.method, Method::PUT);
    assert_eq!(value(&json, header::CONTENT_TYPE).as_deref(), Some("application/json"));
    let empty = request(&["--data", ""]);
    assert_eq!(value(&empty, header::CONTENT_LENGTH).as_deref(), Some("0"));
    let none = request(&[]);
    assert!(none.body.is_none() && value(&none, header::CONTENT_LENGTH).is_none());
    let long = "x".repeat(MAX_DATA);
    assert_eq!(request(&["--data", &long]).body.map(|body| body.len()), Some(MAX_DATA));
}

#[test]
fn protocols_are_what_the_flags_say() {
    use crate::cli::GrpcService;
    for (args, protocol) in [
        (&["-t", "a"][..], Protocol::Http1),
        (&["-t", "https://a", "--http1.1"], Protocol::Http1),
        (&["-t", "https://a", "--http2"], Protocol::Http2),
        (&["-t", "a", "--http2-prior-knowledge"], Protocol::Http2),
        (&["-t", "a", "--grpc"], Protocol::Grpc(GrpcService::Echo)),
        (&["-t", "a", "--grpc=health", "--http2"], Protocol::Grpc(GrpcService::Health)),
    ] {
        assert_eq!(plan(args).unwrap()[0].protocol, protocol, "{args:?}");
    }
    let health = &plan(&["-t", "a:1", "--grpc=health"]).unwrap()[0].target;
    assert_eq!(health.url, "http://a:1/grpc.health.v1.Health/Check");
    assert_eq!((health.given.as_str(), health.path.as_str()), ("a:1", GrpcService::Health.path()));
    let shared = ["-t", "a", "--grpc", "--streams", "8", "--reuse", "always", "-c", "3"];
    assert_eq!(plan(&shared).unwrap()[0].lanes(), 24);
}

#[test]
fn a_timeline_has_the_width_asked_for() {
    let width = |given| plan(&["-t", "a", "--timeline", given]).unwrap()[0].timeline;
    for (given, ms) in [("100ms", 100), ("1ms", 1), ("0.25", 250), ("3s", 3000), ("1m", 60_000)] {
        assert_eq!(width(given), Some(Duration::from_millis(ms)), "{given}");
    }
    assert_eq!(plan(&["-t", "a"]).unwrap()[0].timeline, None);
}

#[test]
fn numbers_are_read_as_people_type_them() {
    let one = |args: &[&str]| plan(&[&["-t", "a"], args].concat()).unwrap().remove(0);
    for (given, requests) in [("1k", 1_000), ("10K", 10_000), ("1M", 1_000_000), ("2e3", 2_000)] {
        assert_eq!(one(&["-n", given]).planned(), Some(requests), "{given}");
    }
    assert_eq!(one(&["-n", "5k", "-c", "0.5k"]).concurrency, 500);
    let limits = |args: &[&str]| (one(args).limits.total, one(args).limits.connect.as_secs());
    assert_eq!(limits(&["-m", "0"]), (None, 5), "as in curl");
    assert_eq!(limits(&["-m", "0s", "--connect-timeout", "0"]), (None, 300), "as in curl");
    assert_eq!(limits(&["--connect-timeout", "0"]).1, 15, "within --max-time");
    assert_eq!(one(&["-m", "0"]).longest(), Duration::MAX);
    assert_eq!(one(&["--max-body", "64KiB"]).limits.body, 65_536);
    assert_eq!(one(&["--reuse", "1k:2k"]).reuse, one(&["--reuse", "1000:2000"]).reuse);
    for (given, rate) in [("1k", 1_000.0), ("1.5k/s", 1_500.0), ("0.5/s", 0.5), ("1e2", 100.0)] {
        assert_eq!(one(&["--rate", given]).schedule.arrivals, Arrivals::Constant(rate), "{given}");
    }
    assert_eq!(one(&["-d", "1m30s"]).schedule.end, End::After(Duration::from_secs(90)));
    for given in ["95", "95%", "0.95", " 95 % "] {
        assert_eq!(one(&["--confidence", given]).rules.confidence, 0.95, "{given}");
    }
    assert_eq!(one(&["--min-share", "5"]).rules.min_share, 0.05);
    assert_eq!(one(&["--failover-to", "kops=70,gke1=30%"]).terms.shares["kops"], 0.7);
}

#[test]
fn contradictions_are_refused_in_one_line() {
    for (args, part) in [
        (&[][..], "no target"),
        (&["-t", "a", "-n", "0"], "-n 0: write a number of at least 1"),
        (&["-t", "a", "-n", "5", "-d", "1"], "-n and -d both"),
        (&["-t", "a", "-d", "0"], "--duration '0': out of range; write a duration from 1ms to 1d"),
        (&["-t", "a", "--rate", "0"], "--rate '0'"),
        (&["-t", "a", "--rate", "fast"], "--rate 'fast'"),
        (&["-t", "a", "--rate", "inf"], "--rate 'inf'"),
        (&["-t", "a", "--arrivals", "poisson"], "add --rate"),
        (&["-t", "a", "--reuse", "5:2"], "--reuse '5:2'"),
        (&["-t", "a", "--reuse", "0"], "--reuse '0'"),
        (&["-t", "a", "--reuse", "often"], "write never, always, N, or N:M"),
        (&["-t", "a", "--connection-lifetime", "x"], "--connection-lifetime 'x'"),
        (&["-t", "a", "-c", "0"], "-c 0: write a number from 1 to 10000"),
        (&["-t", "a", "-c", "10001"], "-c 10001"),
        (&["-t", "a", "--threads", "0"], "--threads 0"),
        (&["-t", "a", "--http2"], "for an http:// target write --http2-prior-knowledge"),
        (&["-t", "https://a", "-t", "b", "--http2"], "for an http:// target write"),
        (&["-t", "a", "--streams", "4"], "--streams needs HTTP/2"),
        (&["-t", "a", "--grpc", "--streams", "4"], "add --reuse always"),
        (&["-t", "a", "--grpc", "--streams", "0"], "--streams 0: write a number from 1 to 1000"),
        (&["-t", "a/b", "--grpc"], "remove the path '/b'"),
        (&["-t", "a", "--grpc", "-H", "Host: a b"], "over HTTP/2 the value must be a host"),
        (&["-t", "a", "--max-body", "0"], "--max-body 0"),
        (&["-t", "a", "--max-time=-1"], "--max-time '-1'"),
        (&["-t", "a", "-m", "NaN"], "--max-time 'NaN'"),
        (&["-t", "a", "-m", "1y"], "--max-time '1y': 'y' is not a unit of time"),
        (&["-t", "a", "-m", "25h"], "--max-time '25h': out of range"),
        (
            &["-t", "a", "--timeline", "0"],
            "--timeline '0': out of range; write a duration from 1ms to 1d",
        ),
        (&["-t", "a", "--timeline", "0.5ms"], "from 1ms to 1d"),
        (&["-t", "a", "--timeline", "1.5ms"], "whole milliseconds"),
        (&["-t", "a", "--timeline=-1s"], "--timeline '-1s'"),
        (&["-t", "a", "--timeline", "NaN"], "--timeline 'NaN'"),
        (&["-t", "a", "--timeline", "1e9"], "--timeline '1e9'"),
        (&["-t", "a", "-H", "x"], "colon is missing"),
        (&["-t", "a", "-H", "x y: z"], "not a header name"),
        (&["-t", "a", "-H", "x: a\nb"], "control character"),
        (&["-t", "a", "-X", "G ET"], "not an HTTP method"),
        (&["-t", "a", "--data", "x", "-H", "Content-Length: 9"], "remove this header"),
        (&["-t", "a", "--data", "x", "-H", "Transfer-Encoding: chunked"], "remove this header"),
        (
            &["-t", "a", "--data", &"x".repeat(MAX_DATA + 1)],
            "the body (--data) is too long; send at most 1 MiB",
        ),
        (&["-t", "a", "--data", "@file"], "--data '@file': only a plain run reads files"),
        (&["-t", "a", "--data-binary", "@-"], "--data-binary '@-': only a plain run reads files"),
        (&["-t", "a", "-H", "@file"], "-H '@file': only a plain run reads files"),
        (&["-t", "a", "-H", "x; y"], "-H 'x; y': the colon is missing"),
        (&["-t", "a", "-H", "x; "], "-H 'x; ': the colon is missing"),
        (&["-t", "a", "-H", ";"], "not a header name"),
        (&["-t", "a", "-H", ""], "-H '': the colon is missing"),
        (&["-t", "a", "-e", "exacty b"], "--expect: expectation 'exacty b', column 1"),
        (&["-t", "a", "--confidence", "0"], "--confidence '0': write a part of 1"),
        (&["-t", "a", "--confidence", "1"], "--confidence '1'"),
        (&["-t", "a", "--confidence", "2"], "--confidence '2'"),
        (&["-t", "a", "--confidence", "NaN"], "--confidence 'NaN'"),
        (&["-t", "a", "--min-share", "0"], "--min-share '0'"),
        (&["-t", "a", "--min-share", "100%"], "--min-share '100%'"),
        (&["-t", "a", "--max-requests", "0"], "--max-requests 0"),
        (&["-t", "a", "--max-requests", "9", "-n", "9"], "remove -n and -d"),
        (&["-t", "a", "--min-time", "1s", "-d", "5"], "-d sets how long the run takes; remove"),
        (&["-t", "a", "--min-time", "1s", "-n", "9", "--rate", "5"], "--rate sets how long -n"),
        (&["-t", "a", "--min-time=-1s"], "--min-time '-1s'"),
        (&["-t", "a", "--min-time", "25h"], "--min-time '25h': out of range"),
        (&["-t", "a", "--dependence", "0"], "--dependence 0: write a number from 1 to 1000000"),
        (&["-t", "a", "-e", "failover < 5s"], "'failover < 5s' needs a fault"),
        (&["-t", "a", "-e", "lost <= 5"], "'lost <= 5' needs a fault"),
        (&["-t", "a", "-e", "shares a=90%,b=20% ± 3%"], "the shares sum to 110%"),
        (&["-t", "a", "-e", "balanced ± -5%"], "the number is negative"),
        (&["-t", "a", "-e", "balanced ± 100%"], "a tolerance must be above 0% and below 100%"),
        (
            &["-t", "a", "-e", "p99{colour=a} < 5ms"],
            "expected a label, found 'colour'; write cluster, pod,",
        ),
        (&["-t", "a", "-e", "median < 5ms"], "no expectation starts with 'median'"),
        (&["-t", "a", "-e", "p99 < 5 parsecs"], "'5' needs a unit"),
        (&["-t", "a", "-e", "errors = 0 ± 1%"], "this form has no tolerance"),
        (&["-t", "a", "-t", "b c"], "target 'b c' has a space"),
        (&["-t", "a", "--resolve", "a:80"], "--resolve"),
        (&["-t", "a", "--select", "each", "--re-resolve"], "remove one of them"),
    ] {
        let error = plan(args).expect_err(&format!("{args:?}")).to_string();
        assert!(error.contains(part), "{args:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

proptest! {
    #[test]
    fn no_header_and_no_time_panics(text in any::<String>()) {
        let _ = request::parse_header(&crate::cli::HeaderArg::from(text.as_str()));
        let _ = duration("-m", &text);
    }
}

#[test]
fn a_run_until_decided_takes_a_least_time_and_a_size_may_be_spread() {
    let paced = |args: &[&str]| {
        let plan = plan(args).unwrap().remove(0);
        let Pace { over, requests } = plan.schedule.pace;
        (over.as_millis(), requests, plan.rules.min_time.as_millis())
    };
    assert_eq!(paced(&["-t", "a", "-e", "only a"]), (1_000, 4_000, 1_000));
    assert_eq!(paced(&["-t", "a", "-e", "only a", "--max-requests", "9"]), (1_000, 9, 1_000));
    assert_eq!(paced(&["-t", "a", "-e", "only a", "--min-time", "0"]), (0, 4_000, 0));
    assert_eq!(paced(&["-t", "a", "-n", "250"]).0, 0, "as fast as it can be");
    assert_eq!(paced(&["-t", "a", "-n", "250", "--min-time", "2s"]), (2_000, 250, 0));
    assert_eq!(paced(&["-t", "a", "--min-time", "500ms"]), (500, 100, 0));
    let rules = |args: &[&str]| plan(args).unwrap().remove(0).rules;
    assert_eq!(rules(&["-t", "a"]).dependence, 100.0);
    assert_eq!(rules(&["-t", "a", "--dependence", "500"]).dependence, 500.0);
}

#[test]
fn answers_from_a_file_are_judged_as_a_sample_of_their_size_unless_told_otherwise() {
    use crate::cli::Command;
    let judged = |words: &[&str]| {
        let words = ["prober", "judge"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().command {
            Some(Command::Judge(args)) => judging::of_file(&args.judge, args.until_decided),
            other => panic!("{other:?}"),
        }
    };
    let (expectations, rules, _) = judged(&["f"]).unwrap();
    assert_eq!((expectations.len(), rules.sampling), (1, Sampling::Fixed));
    let (expectations, rules, most) = judged(&["--until-decided", "-e", "only a"]).unwrap();
    assert_eq!((expectations.len(), &expectations[0]), (2, &Expectation::NoErrors));
    assert_eq!(
        (rules.sampling, rules.min_time.as_millis(), most),
        (Sampling::UntilDecided, 1_000, 20_000)
    );
    for (words, part) in [
        (&["--max-requests", "9"][..], "--max-requests limits answers that are read until decided"),
        (&["--min-time", "1s"], "add --until-decided, or remove it"),
        (&["-e", "lost <= 5"], "'lost <= 5' needs a fault during a run"),
        (&["-e", "onyl a"], "expectation 'onyl a', column 1"),
    ] {
        let error = judged(words).expect_err(&format!("{words:?}")).to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "{words:?}: {error}");
    }
}

#[test]
fn without_a_size_statistics_end_the_run() {
    let planned = |args: &[&str]| {
        let plan = plan(args).unwrap().remove(0);
        (plan.rules.sampling, plan.schedule.end)
    };
    let until = (Sampling::UntilDecided, End::Requests(20_000));
    assert_eq!(planned(&["-t", "a", "-e", "balanced ± 5%"]), until);
    assert_eq!(planned(&["-t", "a", "-e", "errors = 0", "-e", "only a"]), until);
    let fixed = |n| (Sampling::Fixed, End::Requests(n));
    assert_eq!(planned(&["-t", "a"]), fixed(100));
    assert_eq!(planned(&["-t", "a", "-e", "throughput >= 5/s"]), fixed(100));
    assert_eq!(planned(&["-t", "a", "-n", "5", "-e", "only a"]), fixed(5));
    let most = ["-t", "a", "-e", "only a", "--max-requests", "5", "--confidence", "95%"];
    assert_eq!(planned(&most), (Sampling::UntilDecided, End::Requests(5)));
    assert_eq!(plan(&most).unwrap()[0].rules.confidence, 0.95);
}
