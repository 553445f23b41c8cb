//! Counting and merging.

use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::Identity;
use proptest::prelude::*;

use super::failures::MAX_TEXTS;
use super::outcome::{Answer, Failure, FailureKind, Outcome, Remote, Timings, Who, Wire};
use super::totals::MAX_PASSED_OVER;
use super::*;

impl Tally {
    /// Failures by kind, in the order of [`FailureKind::ALL`], without kinds that did not happen.
    fn failures_by_kind(&self) -> Vec<(FailureKind, u64)> {
        let count = |kind| self.failures.iter().filter(|g| g.kind == kind).map(|g| g.count).sum();
        FailureKind::ALL.into_iter().map(|k| (k, count(k))).filter(|(_, n)| *n > 0).collect()
    }
}

impl Recorder {
    /// Counts one outcome of the only lane at the beginning of the run.
    pub(crate) fn record(&mut self, outcome: Outcome<'_>, show: u64) {
        self.record_at(outcome, show, || Duration::ZERO);
    }

    /// Counts one outcome of the only lane.
    pub(crate) fn record_at(
        &mut self,
        outcome: Outcome<'_>,
        show: u64,
        when: impl Fn() -> Duration,
    ) -> Option<usize> {
        self.record_on(0, outcome, show, when)
    }
}

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
    Outcome {
        sequence,
        result,
        timings,
        wire,
        remote: Some(remote(sequence as usize % 3)),
        passed_over: Vec::new(),
        transport: Transport::default(),
    }
}

/// A thread's address at a place; which one, the place tells.
fn remote(place: usize) -> Remote {
    Remote { address: SocketAddr::from(([127, 0, 0, 1 + place as u8], 80)), place }
}

/// A text for each number, without a digit in it.
fn words(n: u64) -> String {
    n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
}

#[test]
fn equal_failures_are_counted_together_and_different_ones_bounded() {
    let mut tally = Recorder::default();
    for n in 0..1000 {
        tally.record(failure(FailureKind::Status, &words(n), n), 0);
        tally.record(failure(FailureKind::Connect, "refused", n), 0);
    }
    let tally = tally.into_tally();
    assert_eq!(tally.failed_requests(), 2000);
    assert_eq!(tally.failures.len(), MAX_TEXTS + 2);
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
    let values: [&[u8]; 8] = [b"kops-pod", b"kops", b"", b"", b"", b"", b"", b""];
    let kops = Identity::new("kops-pod", "kops");
    let other = Identity { zone: Some("a".into()), ..kops.clone() };
    let mut recorder = Recorder::default();
    for (n, who) in
        [Who::Values(values), Who::Body(&kops), Who::Body(&other)].into_iter().enumerate()
    {
        let answer = Answer { who, attempt: None, text: None };
        recorder.record(outcome(n as u64, Ok(answer)), 0);
    }
    let tally = recorder.into_tally();
    let counts: Vec<_> = tally.backends.iter().map(|(who, b)| (who.clone(), b.answers)).collect();
    assert_eq!(counts, [(kops, 2), (other, 1)]);
}

#[test]
fn connections_and_answers_are_counted_by_address() {
    let kops = Identity::new("kops-pod", "kops");
    let mut recorder = Recorder::default();
    // Place 0 was used by a warm-up alone, so that nothing of it comes here.
    for (n, place, wire) in [(0, 2, Wire::Fresh), (1, 2, Wire::Kept), (2, 1, Wire::Fresh)] {
        recorder.record(Outcome { remote: Some(remote(place)), wire, ..answer(&kops, n) }, 0);
    }
    let reset = failure(FailureKind::Reset, "gone", 3);
    recorder.record(Outcome { remote: Some(remote(1)), wire: Wire::Fresh, ..reset }, 0);
    let refused = failure(FailureKind::Connect, "refused", 4);
    recorder.record(Outcome { remote: None, wire: Wire::None, ..refused }, 0);
    let tally = recorder.into_tally();
    let counts: Vec<_> =
        tally.addresses.iter().map(|(a, c)| (*a, c.connections, c.answers)).collect();
    assert_eq!(counts, [(remote(1).address, 2, 1), (remote(2).address, 1, 2)]);
    let answers = tally.answers_by_address();
    assert_eq!(answers.values().sum::<u64>(), tally.answers());
    assert_eq!(answers[&remote(2).address.ip()], 2);
}

#[test]
fn addresses_that_are_passed_over_are_bounded_and_all_counted() {
    let mut recorder = Recorder::default();
    for n in 0..200u8 {
        let dead = SocketAddr::from(([127, 1, 1, n], 80));
        let passed_over =
            vec![(dead, "refused".to_owned()), (remote(0).address, "refused".to_owned())];
        let failed = failure(FailureKind::Connect, "refused", u64::from(n));
        recorder.record(Outcome { passed_over, ..failed }, 0);
    }
    let mut tally = recorder.into_tally();
    assert_eq!(tally.passed_over.len(), MAX_PASSED_OVER);
    assert_eq!(tally.passed_over[&remote(0).address].count, 200, "a known one is counted on");
    let all = |tally: &Tally| {
        tally.passed_over.values().map(|over| over.count).sum::<u64>() + tally.passed_over_further
    };
    assert_eq!(all(&tally), 400);
    tally.merge(tally.clone());
    assert_eq!((tally.passed_over.len(), all(&tally)), (MAX_PASSED_OVER, 800));
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
        prop_assert_eq!(&merged.addresses, &whole.addresses);
        prop_assert_eq!(merged.addresses.values().map(|a| a.answers).sum::<u64>(), merged.answers());
        prop_assert_eq!(merged.failures_by_kind(), whole.failures_by_kind());
        prop_assert_eq!(&merged.backends, &whole.backends);
        prop_assert_eq!(&merged.shown, &whole.shown);
        prop_assert_eq!(merged.answers_by(Label::Cluster), whole.answers_by(Label::Cluster));
    }

    /// Every request that was started and ended is an answer or a failure, however the
    /// outcomes are spread over threads, in whatever order their tallies are merged, and
    /// however many different failures there are.
    #[test]
    fn answers_and_failures_are_what_was_started(
        events in prop::collection::vec((0u8..9, 0usize..5, any::<u8>()), 0..300),
        order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let pods: Vec<_> = (0..4).map(|n| Identity::new(format!("p{n}"), format!("c{}", n % 2))).collect();
        let mut shards: Vec<_> = (0..5).map(|_| Recorder::default()).collect();
        let mut answered = 0;
        for (n, (what, shard, which)) in events.iter().enumerate() {
            let (n, which) = (n as u64, usize::from(*which));
            let ended = match what {
                0..4 => {
                    answered += 1;
                    answer(&pods[which % pods.len()], n)
                }
                // More different texts than are told apart, and a kind for each.
                4 => failure(FailureKind::Status, &words(which as u64), n),
                5 => failure(FailureKind::Reset, &format!("after {which} bytes"), n),
                _ => failure(FailureKind::ALL[which % FailureKind::ALL.len()], "same", n),
            };
            shards[*shard].record(ended, 4);
        }
        let tallies: Vec<_> = shards.into_iter().map(Recorder::into_tally).collect();
        let merged = |order: &[usize]| {
            let mut whole = Tally::default();
            order.iter().for_each(|&place| whole.merge(tallies[place].clone()));
            whole
        };
        let whole = merged(&order);
        prop_assert_eq!(whole.requests(), events.len() as u64);
        prop_assert_eq!(whole.answers(), answered);
        prop_assert_eq!(whole.failed_requests(), events.len() as u64 - answered);
        let by_backend = |tally: &Tally| tally.backends.values().map(|b| b.latency().count()).sum::<u64>();
        prop_assert_eq!(by_backend(&whole), answered, "each answer has its latency");
        prop_assert!(whole.failures.len() <= (MAX_TEXTS + 1) * FailureKind::ALL.len());
        // As they are, and one into the other before all of it is merged.
        let mut paired = merged(&order[..2]);
        paired.merge(merged(&order[2..]));
        for other in [merged(&[0, 1, 2, 3, 4]), paired] {
            prop_assert_eq!(&other.backends, &whole.backends);
            prop_assert_eq!(&other.phases, &whole.phases);
            prop_assert_eq!(&other.shown, &whole.shown);
            prop_assert_eq!(other.connections, whole.connections);
            prop_assert_eq!(other.failures_by_kind(), whole.failures_by_kind());
        }
    }
}

#[test]
fn the_order_is_that_of_starts_and_of_connections() {
    let (kops, gke1) = (Identity::new("a", "kops"), Identity::new("b", "gke1"));
    let mut recorder = Recorder::default();
    // Requests 0 to 2999 go to kops and gke1 in turn, each lane to one of them; gke1 answers
    // ten requests later.
    let mut late = std::collections::VecDeque::new();
    for n in 0..3_000u64 {
        if n % 2 == 0 {
            recorder.record_on(0, answer(&kops, n), 0, || Duration::ZERO);
        } else {
            late.push_back(n);
        }
        if late.len() > 10 {
            recorder.record_on(1, answer(&gke1, late.pop_front().unwrap()), 0, || Duration::ZERO);
        }
    }
    late.into_iter().for_each(|n| {
        recorder.record_on(1, answer(&gke1, n), 0, || Duration::ZERO);
    });
    let tally = recorder.into_tally();
    let order = &tally.order;
    // Every third of the test's requests comes on a kept connection, which has one backend.
    let (on_each, groups) = order.by_connection.groups(Label::Cluster);
    let alone = |(block, hits): &(u32, u32)| on_each[*block as usize] == *hits;
    assert!(on_each.len() > 600 && groups["kops"].iter().all(alone), "{:?}", &on_each[..4]);
    let next = order.lags[0];
    assert_eq!((next.pairs, next.same), (2_999, 0));
    // Blocks of two or four answers each have as many of one as of the other.
    let (trials, groups) = order.sequence.groups(Label::Cluster);
    let even = |(block, hits): &(u32, u32)| trials[*block as usize] == 2 * hits;
    assert!(trials.len() > 500 && groups["kops"].iter().all(even), "{:?}", &trials[..4]);
    assert_eq!(order.period(), Some(2));
}

/// Answers of pods with these numbers, one each, told apart up to `most`.
fn told_apart(pods: impl IntoIterator<Item = u64>, most: usize) -> Tally {
    let mut recorder = Recorder::new(Some(Duration::from_millis(1))).telling_apart(most);
    for (n, pod) in pods.into_iter().enumerate() {
        let who = Identity::new(format!("pod-{pod}"), "kops");
        recorder.record(answer(&who, n as u64), 0);
    }
    recorder.into_tally()
}

#[test]
fn backends_beyond_the_bound_are_added_up() {
    let pods = [1, 2, 3, 1, 4, 4, 2];
    let (few, all) = (told_apart(pods, 2), told_apart(pods, 9));
    let names =
        |tally: &Tally| tally.backends.keys().map(|who| who.pod.clone()).collect::<Vec<_>>();
    assert_eq!(names(&few), ["pod-1", "pod-2"], "those that answer first");
    for (who, counted) in &few.backends {
        assert_eq!(counted, &all.backends[who], "each has all of its answers");
    }
    assert_eq!((few.others.answers, few.answers(), few.retried()), (3, 7, all.retried()));
    assert_eq!(few.latency(), all.latency());
    assert_eq!((few.folded(Label::Cluster), few.folded(Label::Address)), (3, 0));
    assert_eq!(few.answers_by(Label::Cluster)["kops"], 4, "of the others it is not known");
    let said =
        "3 of 7 answers came from backends beyond the 2 that are told apart; see --max-backends";
    assert_eq!(few.folded_in_words(Label::Pod).unwrap(), said);
    assert_eq!((all.folded_in_words(Label::Pod), all.others.answers), (None, 0));
    let timeline = few.timeline.unwrap();
    let cells = |cells: &[timeline::Cell]| cells.iter().map(|cell| cell.answers).sum::<u64>();
    assert_eq!((timeline.backends.len(), cells(&timeline.others)), (2, 3));
}

/// A name is told apart in all threads or in none.
#[test]
fn all_threads_tell_the_same_backends_apart() {
    let collector = collector::Collector::new(2);
    let threads = [[1, 2, 1], [2, 3, 1]].map(|pods| {
        let mut recorder = Recorder::default().handing_in(&collector);
        for (n, pod) in pods.into_iter().enumerate() {
            let who = Identity::new(format!("pod-{pod}"), "kops");
            recorder.record(answer(&who, n as u64), 0);
        }
        recorder.into_tally()
    });
    let mut whole = Tally::default();
    threads.into_iter().for_each(|part| whole.merge(part));
    let answers: Vec<_> = whole.backends.values().map(|backend| backend.answers).collect();
    assert_eq!((answers, whole.others.answers), (vec![3, 2], 1));
}

#[test]
fn of_failing_backends_as_many_are_named() {
    let mut recorder = Recorder::default().telling_apart(2);
    for (n, pod) in [1, 2, 3, 1].into_iter().enumerate() {
        let who = Identity::new(format!("pod-{pod}"), "kops");
        let failure = Failure::new(FailureKind::Status, "503").by(Some(who));
        recorder.record(outcome(n as u64, Err(failure)), 0);
    }
    let tally = recorder.into_tally();
    let failed: Vec<_> = tally.failed_by.values().copied().collect();
    assert_eq!((failed, tally.failed_requests()), (vec![2, 1], 4));
}

#[test]
fn addresses_beyond_the_bound_are_added_up() {
    let address = |n: usize| SocketAddr::from(([127, 1, (n >> 8) as u8, n as u8], 80));
    let (mut remotes, who) = (Remotes::default(), Identity::new("p", "c"));
    let mut recorder = Recorder::default();
    let all = MOST_ADDRESSES + 5;
    for n in (0..all).chain([0]) {
        let remote = Some(remotes.remote(address(n)));
        recorder.record(Outcome { remote, ..answer(&who, n as u64) }, 0);
    }
    let tally = recorder.into_tally();
    assert_eq!((tally.addresses.len(), tally.other_addresses.answers), (MOST_ADDRESSES, 5));
    assert_eq!(tally.addresses[&address(0)].answers, 2);
    let (named, folded) = (tally.answers_by_address(), tally.folded(Label::Address));
    assert_eq!((named.values().sum::<u64>() + folded, folded), (tally.answers(), 5));
    let mut twice = tally.clone();
    twice.merge(tally.clone());
    assert_eq!((twice.addresses.len(), twice.other_addresses.answers), (MOST_ADDRESSES, 10));
}

proptest! {
    /// Parts whose backends are folded after merging give the same in whatever order.
    #[test]
    fn folding_does_not_depend_on_the_order_of_parts(
        parts in prop::collection::vec(prop::collection::vec(0_u64..9, 0..12), 1..4),
        most in 1_usize..6,
    ) {
        let merged = |parts: &[Vec<u64>]| {
            let mut whole = Tally::default();
            for part in parts {
                whole.merge(told_apart(part.iter().copied(), 99));
                whole.fold(most);
            }
            whole
        };
        let (whole, mut turned) = (merged(&parts), parts.clone());
        turned.reverse();
        let turned = merged(&turned);
        prop_assert_eq!(&whole.backends, &turned.backends);
        prop_assert_eq!(&whole.others, &turned.others);
        prop_assert_eq!(whole.timeline.clone(), turned.timeline);
        let answers = parts.iter().map(|part| part.len() as u64).sum::<u64>();
        prop_assert_eq!(whole.answers(), answers);
        prop_assert!(whole.backends.len() <= most);
        let (blocks, groups) = whole.order.sequence.groups(Label::Pod);
        prop_assert_eq!(blocks.iter().map(|n| u64::from(*n)).sum::<u64>(), answers);
        let named = groups.values().flatten().map(|(_, n)| u64::from(*n)).sum::<u64>();
        prop_assert_eq!(named + whole.others.answers, answers);
    }
}
