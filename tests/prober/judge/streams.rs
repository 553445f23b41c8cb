//! Verdicts on made-up streams of answers, of which the truth is known: sticky, in batches, with
//! bursts of errors. What is true must not fail, what is false must not pass, whatever the answers
//! depend on. The generator is of this file alone, so that no mistake is shared with the prober.

use std::fmt::Write as _;

use serde_json::Value;

use super::report;

/// Answers in a stream: as many as a run sends at most.
const ANSWERS: usize = 20_000;
/// Seeds are not special, except where a test has its own: those streams are among the few that
/// mislead a judge who takes the answers for independent ones.
const SEEDS: &[u64] = &[1, 2, 3, 4];
const BALANCED: &str = "balanced kops,gke1 ± 5%";

/// xorshift64* (Vigna 2016).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Seeds that are alike give numbers that are alike at first.
        for _ in 0..16 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn chance(&mut self, of: f64) -> bool {
        ((self.next() >> 11) as f64) < of * (1_u64 << 53) as f64
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn cluster(is_kops: bool) -> &'static str {
    if is_kops { "kops" } else { "gke1" }
}

/// A line for each answer that `next` gives: its object's inside.
fn stream(mut next: impl FnMut(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..ANSWERS {
        let _ = writeln!(text, "{{{}}}", next(n));
    }
    text
}

/// Answers of two clusters: whether each is of kops.
fn clusters(mut next: impl FnMut(usize) -> bool) -> String {
    stream(|n| format!(r#""cluster":"{}""#, cluster(next(n))))
}

/// Each of them by itself, with a share of kops.
fn independent(seed: u64, share: f64) -> String {
    let mut random = Random::new(seed);
    clusters(|_| random.chance(share))
}

/// Two clusters with half of the answers each; the next answer is of the last one's with a chance.
fn sticky(seed: u64, again: f64) -> String {
    let mut random = Random::new(seed);
    let mut is_kops = random.chance(0.5);
    clusters(|_| {
        is_kops ^= !random.chance(again);
        is_kops
    })
}

/// Pods with these shares of the answers, in order.
fn drawn(seed: u64, key: &str, shares: &[f64]) -> String {
    let mut random = Random::new(seed);
    stream(|_| {
        let mut point = random.below(1 << 30) as f64 / f64::from(1 << 30);
        let who = shares.iter().position(|share| {
            point -= share;
            point < 0.0
        });
        format!(r#""{key}":"p{}""#, who.unwrap_or(0))
    })
}

/// Failures at a rate, so many in a row.
fn failing(seed: u64, rate: f64, burst: u32) -> String {
    let mut random = Random::new(seed);
    let each = f64::from(burst);
    // Of all requests that do not fail, so many are followed by a burst.
    let begin = rate / each / (1.0 - rate + rate / each);
    let mut left = 0;
    stream(|_| {
        if left == 0 && random.chance(begin) {
            left = burst;
        }
        if left == 0 {
            return r#""cluster":"kops""#.to_owned();
        }
        left -= 1;
        r#""failed":"503 no healthy upstream""#.to_owned()
    })
}

/// The row of a stream that is read until `expectation` is decided.
fn row(text: &str, expectation: &str, args: &[&str]) -> Value {
    let args = [&["--until-decided", "-e", expectation], args].concat();
    report(text, &args)["rows"][0].take()
}

/// The expectation that was asked for; `errors = 0` may stand before it.
fn asked(row: &Value) -> &Value {
    row["expectations"].as_array().and_then(|all| all.last()).expect("an expectation")
}

fn verdict(row: &Value) -> &str {
    asked(row)["verdict"].as_str().expect("a verdict")
}

/// That no seed of a stream gets a verdict.
#[track_caller]
fn never(
    unwanted: &str,
    (expectation, args): (&str, &[&str]),
    seeds: &[u64],
    of: impl Fn(u64) -> String,
) {
    for &seed in seeds {
        let row = row(&of(seed), expectation, args);
        assert_ne!(verdict(&row), unwanted, "seed {seed}: {}", asked(&row)["reason"]);
    }
}

/// That each seed of a stream gets a verdict within so many answers.
#[track_caller]
fn always(wanted: &str, expectation: &str, most: u64, of: impl Fn(u64) -> String) {
    for &seed in SEEDS {
        let row = row(&of(seed), expectation, &[]);
        assert_eq!(verdict(&row), wanted, "seed {seed}: {}", asked(&row)["reason"]);
        let requests = row["requests"].as_u64().expect("a number");
        assert!(requests <= most, "seed {seed}: {requests}");
    }
}

#[test]
fn sticky_clusters_are_not_called_skewed() {
    never("fail", (BALANCED, &[]), SEEDS, |seed| sticky(seed, 0.75));
    never("fail", (BALANCED, &[]), SEEDS, |seed| sticky(seed, 0.90));
}

/// Where one answer depends on a hundred, the stream itself may be skewed.
#[test]
fn very_sticky_clusters_are_called_skewed_only_if_the_stream_is() {
    for &seed in SEEDS {
        let text = sticky(seed, 0.99);
        let share = text.matches("kops").count() as f64 / ANSWERS as f64;
        if (0.45..=0.55).contains(&share) {
            let row = row(&text, BALANCED, &[]);
            assert_ne!(verdict(&row), "fail", "seed {seed}, {share}: {row}");
        }
    }
}

#[test]
fn sticky_clusters_have_no_more_than_their_share() {
    never("pass", ("share{cluster=kops} >= 70%", &[]), &[28, 83, 155, 157], |seed| {
        sticky(seed, 0.90)
    });
}

#[test]
fn batches_to_one_side_are_not_called_skewed() {
    never("fail", (BALANCED, &[]), SEEDS, |seed| {
        let mut random = Random::new(seed);
        let mut left = 1 + random.below(32);
        let mut is_kops = random.chance(0.5);
        clusters(|_| {
            if left == 0 {
                (left, is_kops) = (32, random.chance(0.5));
            }
            left -= 1;
            is_kops
        })
    });
}

#[test]
fn a_cluster_that_is_silent_at_first_is_not_called_skewed() {
    never("fail", (BALANCED, &[]), SEEDS, |seed| {
        let mut random = Random::new(seed);
        clusters(|n| n < 200 || random.chance(0.5))
    });
}

#[test]
fn bursts_of_errors_below_the_limit_do_not_fail() {
    never("fail", ("error-rate <= 0.1%", &[]), &[38, 51, 105, 122], |seed| {
        failing(seed, 0.0005, 10)
    });
    never("fail", ("error-rate <= 1%", &[]), &[9, 105, 168, 197], |seed| failing(seed, 0.005, 32));
}

#[test]
fn bursts_of_slow_answers_below_the_limit_do_not_fail() {
    never("fail", ("p99 < 50ms", &[]), &[3, 16, 25, 48], |seed| {
        let mut random = Random::new(seed);
        let phase = random.below(1_000);
        stream(|n| {
            let is_slow = (n as u64 + phase) % 1_000 < 8;
            let us = if is_slow { 80_000 } else { 1_000 } + random.below(1_000);
            format!(r#""cluster":"kops","latency_us":{us}"#)
        })
    });
}

/// `p0,p1,…`
fn names(count: usize) -> String {
    (0..count).map(|n| format!("p{n}")).collect::<Vec<_>>().join(",")
}

#[test]
fn even_pods_are_not_called_missing() {
    let twelve = format!("exactly {} by pod", names(12));
    never("fail", (&twelve, &["--min-share", "8%"]), SEEDS, |seed| {
        drawn(seed, "pod", &[1.0 / 12.0; 12])
    });
}

#[test]
fn a_hundred_even_pods_are_not_called_missing() {
    let hundred = format!("exactly {} by pod", names(100));
    never("fail", (&hundred, &[]), SEEDS, |seed| drawn(seed, "pod", &[0.01; 100]));
}

#[test]
fn small_shares_are_not_called_wrong() {
    let small: String = (1..=10).fold(String::new(), |list, n| format!("{list},p{n}=1%"));
    let expectation = format!("shares p0=90%{small} ± 3%");
    let mut shares = vec![0.9];
    shares.resize(11, 0.01);
    never("fail", (&expectation, &[]), SEEDS, |seed| drawn(seed, "cluster", &shares));
}

/// On each connection, a round robin of its own gives two of three answers to one cluster. 65 % of
/// connections prefer kops, which has 55 % of all answers then.
#[test]
fn connections_with_preferences_on_the_edge_do_not_pass() {
    never("pass", (BALANCED, &[]), &[4, 25, 58, 113], |seed| {
        let mut random = Random::new(seed);
        let mut prefers = [false; 10];
        stream(|n| {
            let (lane, carried) = (n % 10, n / 10 % 100);
            if carried == 0 {
                prefers[lane] = random.chance(0.65);
            }
            let cluster = cluster(prefers[lane] != (carried % 3 == 2));
            format!(r#""cluster":"{cluster}","connection":"{}-{lane}""#, n / 1_000)
        })
    });
}

/// The verdict and its reason are about what the answers do not say.
#[track_caller]
fn unknown(text: &str, expectation: &str, what: &str) {
    for args in [&[][..], &["--max-requests", "2000"]] {
        let row = row(text, expectation, args);
        assert_eq!(verdict(&row), "inconclusive", "{row}");
        let reason = asked(&row)["reason"].as_str().expect("a text");
        assert!(reason.starts_with(what), "{reason}");
    }
}

#[test]
fn retries_are_unknown_without_attempts() {
    unknown(&independent(1, 0.5), "retried = 0", "unknown: ");
}

#[test]
fn clusters_are_unknown_without_labels() {
    let text = stream(|n| format!(r#""latency_us":{}"#, 1_000 + n % 7));
    for expectation in ["only kops", BALANCED] {
        unknown(&text, expectation, "unknown: no answer carried cluster");
    }
}

#[test]
fn independent_answers_are_decided() {
    always("pass", BALANCED, 20_000, |seed| independent(seed, 0.5));
    always("fail", BALANCED, 800, |seed| independent(seed, 0.95));
    always("fail", BALANCED, 800, |seed| independent(seed, 1.0));
}
