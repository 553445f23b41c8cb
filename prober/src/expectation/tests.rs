//! Every form, and every way to write it wrong.

use super::*;
use proptest::prelude::*;

fn who(form: Form, label: Label, names: &[&str]) -> Expectation {
    Expectation::Who { form, label, names: names.iter().map(|&n| n.to_owned()).collect() }
}

fn group(label: Label, name: &str) -> Group {
    Group { label, name: name.to_owned() }
}

fn balanced(names: &[&str], label: Label, tolerance: f64) -> Expectation {
    Expectation::Balanced { names: names.iter().map(|&n| n.to_owned()).collect(), label, tolerance }
}

fn latency(quantile: f64, of: Option<Group>, microseconds: u64) -> Expectation {
    Expectation::Latency { quantile, of, below: Duration::from_micros(microseconds) }
}

#[test]
fn every_form_is_read() {
    let shares = |list: &[(&str, f64)], label, tolerance| Expectation::Shares {
        shares: list.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect(),
        label,
        tolerance,
    };
    for (text, expectation) in [
        ("errors = 0", Expectation::NoErrors),
        ("errors == 0", Expectation::NoErrors),
        ("retried==0", Expectation::NoRetries),
        ("errors=0", Expectation::NoErrors),
        (" errors  =0 ", Expectation::NoErrors),
        ("retried = 0", Expectation::NoRetries),
        ("error-rate <= 0.1%", Expectation::ErrorRate { percent: 0.1 }),
        ("p99 < 80ms", latency(99.0, None, 80_000)),
        ("p99.9<1.5s", latency(99.9, None, 1_500_000)),
        ("p50 < 300us", latency(50.0, None, 300)),
        ("p99{cluster=gke1} < 120ms", latency(99.0, Some(group(Label::Cluster, "gke1")), 120_000)),
        ("throughput >= 500/s", Expectation::Throughput { per_second: 500.0 }),
        ("only kops", who(Form::Only, Label::Cluster, &["kops"])),
        ("reaches kops,gke1", who(Form::Reaches, Label::Cluster, &["kops", "gke1"])),
        ("exactly kops , gke1", who(Form::Exactly, Label::Cluster, &["kops", "gke1"])),
        ("only a by pod", who(Form::Only, Label::Pod, &["a"])),
        ("only 10.0.0.1 by address", who(Form::Only, Label::Address, &["10.0.0.1"])),
        (
            "reaches ::1,fd00:0::2 by address",
            who(Form::Reaches, Label::Address, &["::1", "fd00::2"]),
        ),
        ("balanced by address ± 5%", balanced(&[], Label::Address, 5.0)),
        (
            "shares 10.0.0.1=90%,10.0.0.2=10% by address ± 3%",
            shares(&[("10.0.0.1", 90.0), ("10.0.0.2", 10.0)], Label::Address, 3.0),
        ),
        (
            "share{address=10.0.0.1} >= 20%",
            Expectation::Share {
                group: group(Label::Address, "10.0.0.1"),
                side: Side::AtLeast,
                percent: 20.0,
            },
        ),
        ("only <unknown>", who(Form::Only, Label::Cluster, &["<unknown>"])),
        ("reaches by by zone", who(Form::Reaches, Label::Zone, &["by"])),
        ("balanced ± 5%", balanced(&[], Label::Cluster, 5.0)),
        ("balanced +- 5%", balanced(&[], Label::Cluster, 5.0)),
        ("balanced +-5%", balanced(&[], Label::Cluster, 5.0)),
        ("balanced +/- 5%", balanced(&[], Label::Cluster, 5.0)),
        ("balanced by pod +-2.5%", balanced(&[], Label::Pod, 2.5)),
        ("balanced ± 5% by pod", balanced(&[], Label::Pod, 5.0)),
        ("balanced +/-5% by pod a,b", balanced(&["a", "b"], Label::Pod, 5.0)),
        ("balanced by pod a,b ± 5%", balanced(&["a", "b"], Label::Pod, 5.0)),
        ("balanced a,b ± 5% by zone", balanced(&["a", "b"], Label::Zone, 5.0)),
        (
            "balanced ± 5% ::1,127.0.0.1 by address",
            balanced(&["::1", "127.0.0.1"], Label::Address, 5.0),
        ),
        ("balanced by,b ± 5%", balanced(&["by", "b"], Label::Cluster, 5.0)),
        ("balanced kops,gke1 ± 5%", balanced(&["kops", "gke1"], Label::Cluster, 5.0)),
        ("balanced a,b by zone±5%", balanced(&["a", "b"], Label::Zone, 5.0)),
        (
            "shares kops=90%,gke1=10% ± 3%",
            shares(&[("kops", 90.0), ("gke1", 10.0)], Label::Cluster, 3.0),
        ),
        ("shares a=1%,b=99% ± 3% by pod", shares(&[("a", 1.0), ("b", 99.0)], Label::Pod, 3.0)),
        ("shares by pod ± 3% a=1%,b=99%", shares(&[("a", 1.0), ("b", 99.0)], Label::Pod, 3.0)),
        ("shares by=90%,b=10% +/- 3%", shares(&[("by", 90.0), ("b", 10.0)], Label::Cluster, 3.0)),
        (
            "shares kops=90,gke1=10 ± 3%",
            shares(&[("kops", 90.0), ("gke1", 10.0)], Label::Cluster, 3.0),
        ),
        (
            "shares a=33.3%, b=33.3%, c=33.3% by version +- 3%",
            shares(&[("a", 33.3), ("b", 33.3), ("c", 33.3)], Label::Version, 3.0),
        ),
        (
            "share{pod=echo2-abc} >= 20%",
            Expectation::Share {
                group: group(Label::Pod, "echo2-abc"),
                side: Side::AtLeast,
                percent: 20.0,
            },
        ),
        (
            "share{cluster=gke1}<=20%",
            Expectation::Share {
                group: group(Label::Cluster, "gke1"),
                side: Side::AtMost,
                percent: 20.0,
            },
        ),
        (
            r#"exactly "greetings from east",kops"#,
            who(Form::Exactly, Label::Cluster, &["greetings from east", "kops"]),
        ),
        (
            r#"reaches 'cluster 1' , "it's","say \"hi\" \\ x" by zone"#,
            who(Form::Reaches, Label::Zone, &["cluster 1", "it's", r#"say "hi" \ x"#]),
        ),
        ("only user@x.eksctl.io", who(Form::Only, Label::Cluster, &["user@x.eksctl.io"])),
        (r#"only "by""#, who(Form::Only, Label::Cluster, &["by"])),
        (r#"only "a # b" by pod"#, who(Form::Only, Label::Pod, &["a # b"])),
        (r#"balanced "by","±" ± 5%"#, balanced(&["by", "±"], Label::Cluster, 5.0)),
        (
            r#"shares "a b"=50%,"c=d, e"=50% ± 3%"#,
            shares(&[("a b", 50.0), ("c=d, e", 50.0)], Label::Cluster, 3.0),
        ),
        (
            r#"share{pod="x y"} >= 20%"#,
            Expectation::Share {
                group: group(Label::Pod, "x y"),
                side: Side::AtLeast,
                percent: 20.0,
            },
        ),
        (r#"p99{cluster="}"} < 120ms"#, latency(99.0, Some(group(Label::Cluster, "}")), 120_000)),
        (r#"only "10.0.0.1" by address"#, who(Form::Only, Label::Address, &["10.0.0.1"])),
        ("failover < 5s", Expectation::Failover(Duration::from_secs(5))),
        ("failback < 1m30s", Expectation::Failback(Duration::from_secs(90))),
        ("failback < 1h", Expectation::Failback(Duration::from_hours(1))),
        (
            "p50 < 2.5µs",
            Expectation::Latency { quantile: 50.0, of: None, below: Duration::from_nanos(2_500) },
        ),
        ("lost <= 20", Expectation::Lost { most: 20 }),
        ("error-rate <= 0.1 %", Expectation::ErrorRate { percent: 0.1 }),
    ] {
        assert_eq!(parse(text).as_ref(), Ok(&expectation), "{text}");
        assert_eq!(parse(&expectation.to_string()).as_ref(), Ok(&expectation), "{text}");
    }
}

#[test]
fn an_error_points_at_its_place_and_names_the_nearest_form() {
    for (text, pointer, part) in [
        ("", "  \n  ^", "it is empty"),
        ("exacty kops", "  exacty kops\n  ^^^^^^", "form is: exactly NAME"),
        ("reach a", "  reach a\n  ^^^^^", "form is: reaches NAME"),
        ("ballanced ± 5%", "  ballanced ± 5%\n  ^^^^^^^^^", "form is: balanced"),
        ("kops=90,gke1=10", "  kops=90,gke1=10\n  ^^^^", "form is: shares NAME=90%,NAME=10%"),
        ("balanced 5%", "  balanced 5%\n           ^^", "expected '±' before '5%'"),
        (
            "shares a=90% b=10% ± 3%",
            "  shares a=90% b=10% ± 3%\n               ^",
            "a comma is missing before 'b'",
        ),
        ("mean < 80ms", "  mean < 80ms\n  ^^^^", "no expectation starts with 'mean'"),
        ("errors = 1", "  errors = 1\n           ^", "expected '0', found '1'"),
        ("errors = 0%", "  errors = 0%\n           ^^", "expected '0', found '0%'"),
        ("errors 0", "  errors 0\n         ^", "expected '=', found '0'"),
        ("errors", "  errors\n        ^", "expected '=', found the end"),
        ("errors <= 0", "  errors <= 0\n         ^^", "expected '=', found '<='"),
        ("errors = 0 0", "  errors = 0 0\n             ^", "expected the end"),
        ("errors = 0 ± 1%", "  errors = 0 ± 1%\n             ^^^^", "this form has no tolerance"),
        ("only a ± 1%", "  only a ± 1%\n         ^^^^", "this form has no tolerance"),
        ("p99 < 80ms +- 1%", "  p99 < 80ms +- 1%\n             ^^^^^", "form has no tolerance"),
        ("only", "  only\n      ^", "expected a name, found the end"),
        ("only kops,", "  only kops,\n            ^", "expected a name"),
        ("only kops gke1", "  only kops gke1\n            ^^^^", "expected ',' or 'by'"),
        ("only cluster 1", "  only cluster 1\n               ^", "a name with spaces in quotes"),
        (r#"only "a b"#, "  only \"a b\n       ^^^^", "the closing \" of this name is missing"),
        (r#"only "a\"#, "  only \"a\\\n       ^^^", "the closing \" of this name is missing"),
        ("only 'a", "  only 'a\n       ^^", "the closing ' of this name is missing"),
        (r#"only """#, "  only \"\"\n       ^^", "the name is empty"),
        (r#"only "a"b"#, "  only \"a\"b\n          ^", "expected ',' or 'by', found 'b'"),
        (r#"only a,"a""#, "  only a,\"a\"\n         ^^^", "'a' is named twice"),
        (r#"only "x y" by address"#, "  only \"x y\" by address\n        ^^^", "not an IP address"),
        ("only a,a", "  only a,a\n         ^", "named twice"),
        ("only a by colour", "  only a by colour\n            ^^^^^^", "expected a label, found '"),
        (
            "only 10.0.0.1,a by address",
            "  only 10.0.0.1,a by address\n                ^",
            "'a' is not an IP",
        ),
        (
            "share{address=a} >= 20%",
            "  share{address=a} >= 20%\n                ^",
            "'a' is not an IP",
        ),
        (
            "p99{address=::1} < 80ms",
            "  p99{address=::1} < 80ms\n     ^^^^^^^^^^^^^^",
            "latencies are measured by pod",
        ),
        ("only é = 0", "  only é = 0\n         ^", "expected ',' or 'by', found '='"),
        ("balanced", "  balanced\n          ^", "expected '± N%', found the end"),
        ("balanced ± 0%", "  balanced ± 0%\n             ^^", "above 0% and below 100%"),
        ("balanced ± 100%", "  balanced ± 100%\n             ^^^^", "above 0% and below 100%"),
        ("balanced ± -5%", "  balanced ± -5%\n             ^^^", "the number is negative"),
        ("balanced ± 5", "  balanced ± 5\n             ^", "missing '%'; write 5%"),
        ("balanced ± five%", "  balanced ± five%\n             ^^^^", "expected a number"),
        ("balanced kops ± 5%", "  balanced kops ± 5%\n                ^", "a single name"),
        (
            "shares a=90%,b=20% ± 3%",
            "  shares a=90%,b=20% ± 3%\n         ^^^^^^^^^^^",
            "the shares sum to 110%, not to 100%",
        ),
        (
            "shares a=0.9,b=0.1 ± 3%",
            "  shares a=0.9,b=0.1 ± 3%\n         ^^^^^^^^^^^",
            "sum to 1%, not to 100%; write percent: a=90%,b=10%",
        ),
        ("shares a=9s,b=1 ± 3%", "  shares a=9s,b=1 ± 3%\n           ^^", "write 9%"),
        (
            "balanced a,b 5%",
            "  balanced a,b 5%\n               ^",
            "expected 'by' or '±', found '5'",
        ),
        (
            "balanced by pod",
            "  balanced by pod\n                 ^",
            "expected '± N%', found the end",
        ),
        ("balanced ± 5% ± 3%", "  balanced ± 5% ± 3%\n                ^^^^", "a second tolerance"),
        (
            "balanced ± 5% by pod by zone",
            "  balanced ± 5% by pod by zone\n                       ^^",
            "a second 'by'",
        ),
        ("shares a=9%,a=1% ± 3%", "  shares a=9%,a=1% ± 3%\n              ^", "named twice"),
        (
            "share{color=a} >= 20%",
            "  share{color=a} >= 20%\n        ^^^^^",
            "expected a label, found '",
        ),
        (
            "share{pod=a} > 20%",
            "  share{pod=a} > 20%\n               ^",
            "expected '>=', found '>'",
        ),
        (
            "share{pod=a} >= 0%",
            "  share{pod=a} >= 0%\n                  ^^",
            "write only NAME for all",
        ),
        ("error-rate <= 100%", "  error-rate <= 100%\n                ^^^^", "must be above 0%"),
        ("error-rate < 1%", "  error-rate < 1%\n             ^", "expected '<=', found '<'"),
        (
            "p99 < 80",
            "  p99 < 80\n        ^^",
            "'80' needs a unit: us, ms, s, m, h or d, as in 80ms",
        ),
        ("p99 < 80kg", "  p99 < 80kg\n        ^^^^", "'kg' is not a unit of time"),
        ("p99 < ", "  p99 < \n        ^", "expected a duration such as 80ms, found the end"),
        (
            "p99 < fast",
            "  p99 < fast\n        ^^^^",
            "expected a duration such as 80ms, found 'fast'",
        ),
        ("p99 < -1s", "  p99 < -1s\n        ^^^", "cannot be negative"),
        ("p99 < 1ns", "  p99 < 1ns\n        ^^^", "'ns' is not a unit of time"),
        ("p99 < 0s", "  p99 < 0s\n        ^^", "write a duration from 1us to 1d"),
        ("failover < 1m30", "  failover < 1m30\n             ^^^^", "'30' needs a unit"),
        ("failover < 25h", "  failover < 25h\n             ^^^", "write a duration from 1us to 1d"),
        ("p100 < 80ms", "  p100 < 80ms\n  ^^^^", "not a quantile from p1"),
        ("p99{cluster} < 1s", "  p99{cluster} < 1s\n             ^", "expected '=', found '}'"),
        (
            "throughput >= 500",
            "  throughput >= 500\n                ^^^",
            "missing '/s'; write 500/s",
        ),
        ("lost <= 2.5", "  lost <= 2.5\n          ^^^", "a count of requests"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.pointer(), pointer, "{text}");
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[test]
fn a_comment_starts_outside_of_quotes() {
    for (line, before) in [
        ("only kops # it's a comment", "only kops "),
        (r#"only "a # b" # c"#, r#"only "a # b" "#),
        (r#"only "a \" # b",'c # "'#d"#, r#"only "a \" # b",'c # "'"#),
        ("# only", ""),
        ("only kops", "only kops"),
    ] {
        assert_eq!(without_comment(line), before);
    }
}

#[test]
fn of_a_long_text_the_part_around_the_place_is_shown() {
    for long in ["(".repeat(200_000), "not ".repeat(100_000), " é".repeat(100_000)] {
        for text in [format!("{long}reaches a"), format!("reaches a{long}")] {
            let error = parse(&text).unwrap_err();
            for said in [error.to_string(), error.pointer()] {
                assert!(said.chars().count() < 1_500, "{} characters", said.chars().count());
                assert!(said.contains('…'), "{said}");
            }
        }
    }
    let text = format!("errors = 0 {}", "x".repeat(400));
    let error = parse(&text).unwrap_err();
    assert!(error.to_string().contains("…', column 12: "), "{error}");
    let under = error.pointer().lines().last().unwrap().find('^');
    assert_eq!(under, Some(2 + 11), "{}", error.pointer());
}

proptest! {
    #[test]
    fn no_long_text_panics(text in "(share|\\(|é|\"| |[a-z]{0,9}){0,900}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.pointer().chars().count() < 1_500 && !error.to_string().is_empty());
        }
    }

    /// Reports store expectations as they print, and read them again.
    #[test]
    fn any_name_prints_and_reads_again(
        names in prop::collection::btree_set("(\\PC|\u{1b}|\u{202e}|##|::|u\\{|\\[|\\\\){1,12}", 2..4),
        label in 0..Label::ALL.len() - 1,
    ) {
        let clean = |name: &String| printable::clean(name).into_owned();
        let (names, label) = (Vec::from_iter(names.iter().map(clean)), Label::ALL[label].0);
        let group = group(label, &names[0]);
        let share = 100.0 / names.len() as f64;
        let shares = names.iter().map(|name| (name.clone(), share)).collect();
        for expectation in [
            Expectation::Who { form: Form::Exactly, label, names: names.clone() },
            Expectation::Balanced { names, label, tolerance: 5.0 },
            Expectation::Shares { shares, label, tolerance: 5.0 },
            Expectation::Share { group: group.clone(), side: Side::AtLeast, percent: 20.0 },
            latency(99.0, Some(group), 80_000),
        ] {
            let text = expectation.to_string();
            prop_assert!(printable::is_clean(&text), "{}", &text);
            let commented = format!("{text}#'");
            prop_assert_eq!(without_comment(&commented), &text);
            prop_assert_eq!(parse(&text), Ok(expectation), "{}", &text);
        }
    }

    #[test]
    fn no_text_panics_and_what_is_read_prints_and_reads_again(text in "\\PC{0,40}") {
        match parse(&text) {
            Ok(read) => prop_assert_eq!(parse(&read.to_string()), Ok(read)),
            Err(error) => prop_assert_eq!(error.pointer().lines().count(), 2),
        }
    }

    #[test]
    fn parts_are_read_in_any_order(order in Just(vec!["a,b", "by pod", "± 5%"]).prop_shuffle()) {
        let read = parse(&format!("balanced {}", order.join(" ")));
        prop_assert_eq!(read, Ok(balanced(&["a", "b"], Label::Pod, 5.0)));
        let shares = order.join(" ").replace("a,b", "a=90,b=10%");
        let read = parse(&format!("shares {shares}")).map(|read| read.to_string());
        prop_assert_eq!(read, Ok("shares a=90%,b=10% by pod ± 5%".to_owned()));
    }

    #[test]
    fn near_misses_do_not_panic(
        text in "(errors|only|balanced|shares|share|p99|by|pod|=|<|>=|0|5%|100|±|\\+/-|\\{|\\}|,| |\"|'|\\\\|[a-zé]){0,12}",
    ) {
        if let Ok(read) = parse(&text) {
            prop_assert_eq!(parse(&read.to_string()), Ok(read));
        }
    }
}
