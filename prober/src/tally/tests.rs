//! Counting and merging.

use super::*;
use crate::outcome::{Answer, Outcome, Timings, Who, Wire};
use proptest::prelude::*;

fn answer(identity: &Identity, sequence: u64) -> Outcome<'_> {
    let answer = Answer {
        who: Who::Body(identity),
        attempt: sequence.is_multiple_of(2).then_some(2),
        text: Some(format!("line {sequence}")),
    };
    outcome(sequence, Ok(answer))
}

fn failure(kind: FailureKind, what: &str, sequence: u64) -> Outcome<'static> {
    outcome(sequence, Err(Failure::new(kind, what)))
}

fn outcome(sequence: u64, result: Result<Answer<'_>, Failure>) -> Outcome<'_> {
    let total = Duration::from_micros(100 + sequence);
    let timings = Timings { total, service: total, ..Timings::default() };
    let wire = if sequence.is_multiple_of(3) { Wire::Kept } else { Wire::Fresh };
    Outcome { sequence, result, timings, wire, passed_over: Vec::new() }
}

#[test]
fn equal_failures_are_counted_together_and_different_ones_bounded() {
    let mut tally = Recorder::default();
    for n in 0..1000 {
        tally.record(failure(FailureKind::Status, &format!("{n}"), n), 0);
        tally.record(failure(FailureKind::Connect, "refused", n), 0);
    }
    let tally = tally.into_tally();
    assert_eq!(tally.failed_requests(), 2000);
    assert!(tally.failures.len() <= MAX_FAILURE_GROUPS + FailureKind::ALL.len());
    let by_kind = vec![(FailureKind::Connect, 1000), (FailureKind::Status, 1000)];
    assert_eq!(tally.failures_by_kind(), by_kind);
}

#[test]
fn only_the_first_lines_are_kept() {
    let kops = Identity::new("kops-pod", "kops");
    let mut tally = Recorder::default();
    for n in [5, 1, 9, 0] {
        tally.record(answer(&kops, n), 2);
    }
    let tally = tally.into_tally();
    let lines: Vec<_> = tally.shown.values().map(String::as_str).collect();
    assert_eq!(lines, ["line 0", "line 1"]);
    assert_eq!(tally.retried(), 1);
}

#[test]
fn an_identity_is_one_backend_wherever_it_was_read() {
    let head = b"HTTP/1.1 200 OK\r\nx-echo-pod: kops-pod\r\nx-echo-cluster: kops\r\ncontent-length: 0\r\n\r\n";
    let read = crate::wire::Head::read(head, false).unwrap().unwrap();
    let kops = Identity::new("kops-pod", "kops");
    let other = Identity { zone: Some("a".into()), ..kops.clone() };
    let mut recorder = Recorder::default();
    for (n, who) in
        [Who::Headers(&read, head), Who::Body(&kops), Who::Body(&other)].into_iter().enumerate()
    {
        let answer = Answer { who, attempt: None, text: None };
        recorder.record(outcome(n as u64, Ok(answer)), 0);
    }
    let tally = recorder.into_tally();
    let counts: Vec<_> = tally.backends.iter().map(|(who, b)| (who.clone(), b.answers)).collect();
    assert_eq!(counts, [(kops, 2), (other, 1)]);
}

proptest! {
    /// However the outcomes are spread over threads, the whole is the same.
    #[test]
    fn shards_merge_to_the_whole(
        events in prop::collection::vec((0u8..4, 0usize..3), 0..200),
    ) {
        let (kops, gke1) = (Identity::new("a", "kops"), Identity::new("b", "gke1"));
        let mut whole = Recorder::default();
        let mut shards: Vec<_> = (0..3).map(|_| Recorder::default()).collect();
        for (n, (what, shard)) in events.iter().enumerate() {
            let n = n as u64;
            let make = || match what {
                0 => answer(&kops, n),
                1 => answer(&gke1, n),
                2 => failure(FailureKind::Status, "503", n),
                _ => failure(FailureKind::Reset, "gone", n),
            };
            whole.record(make(), 4);
            shards[*shard].record(make(), 4);
        }
        let mut merged = Tally::default();
        for shard in shards {
            merged.merge(shard.into_tally());
        }
        let whole = whole.into_tally();
        prop_assert_eq!(merged.requests(), events.len() as u64);
        prop_assert_eq!(merged.failures_by_kind(), whole.failures_by_kind());
        prop_assert_eq!(&merged.backends, &whole.backends);
        prop_assert_eq!(&merged.shown, &whole.shown);
        prop_assert_eq!(merged.answers_by(Label::Cluster), whole.answers_by(Label::Cluster));
    }
}
