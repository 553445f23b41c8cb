//! Nothing is lost in bins, however they are split, widened and merged.

use super::*;
use crate::tally::{Recorder, Tally};
use proptest::prelude::*;

use crate::tally::outcome::{Answer, Failure, Outcome, Timings, Who, Wire};

/// One request: which backend answered, or which kind of failure, when, on which thread.
#[derive(Clone, Debug)]
struct Event {
    result: Result<usize, FailureKind>,
    when: Duration,
    latency: Duration,
    thread: usize,
}

fn event() -> impl Strategy<Value = Event> {
    let result = prop_oneof![
        4 => (0usize..100).prop_map(Ok),
        1 => (0..FailureKind::ALL.len()).prop_map(|n| Err(FailureKind::ALL[n])),
    ];
    // Short and very long runs: from within one bin to many doublings.
    let when = prop_oneof![0u64..5_000, 0u64..10_000_000_000_000];
    (result, when, 0u64..10_000_000_000, 0usize..3).prop_map(|(result, when, latency, thread)| {
        let [when, latency] = [when, latency].map(Duration::from_micros);
        Event { result, when, latency, thread }
    })
}

fn record(recorder: &mut Recorder, event: &Event) {
    let identity = |n| Identity::new(format!("pod-{n}"), format!("cluster-{}", n % 3));
    let who = event.result.map(identity);
    let result = match &who {
        Ok(who) => {
            let attempt = event.latency.as_micros().is_multiple_of(2).then_some(2);
            Ok(Answer { who: Who::Body(who), attempt, text: None })
        }
        Err(kind) => Err(Failure::new(*kind, "x")),
    };
    let timings = Timings { total: event.latency, ..Timings::default() };
    let (wire, remote) = (Wire::Fresh, None);
    let outcome = Outcome { timings, wire, remote, ..Outcome::fresh(9, result) };
    recorder.record_at(outcome, 0, || event.when);
}

fn tally<'a>(width: Duration, events: impl IntoIterator<Item = &'a Event>) -> Tally {
    let mut recorder = Recorder::new(Some(width));
    events.into_iter().for_each(|event| record(&mut recorder, event));
    recorder.into_tally()
}

fn sums(timeline: &Timeline) -> (u64, u64, u64, Failures) {
    let cells = timeline.backends.values().flatten().chain(&timeline.others);
    let (mut answers, mut retried, mut sketched) = (0, 0, 0);
    for cell in cells {
        answers += cell.answers;
        retried += cell.retried;
        sketched += cell.sketch.count();
        assert_eq!(cell.max_us > 0, cell.answers > 0);
    }
    let mut failures = Failures::default();
    timeline.failures.iter().for_each(|bin| failures.add(bin));
    (answers, retried, sketched, failures)
}

proptest! {
    // Each case fills thousands of bins, several times over.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The bins say what the tally says, for any requests at any instants on any threads.
    #[test]
    fn nothing_is_lost_or_counted_twice(
        events in prop::collection::vec(event(), 0..400),
        width_ms in prop_oneof![Just(1u64), Just(100), 1u64..100_000],
    ) {
        let width = Duration::from_millis(width_ms);
        let threads: Vec<_> = (0..3)
            .map(|thread| tally(width, events.iter().filter(|event| event.thread == thread)))
            .collect();
        let merge = |order: [usize; 3]| {
            let mut whole = Tally::default();
            order.into_iter().for_each(|thread| whole.merge(threads[thread].clone()));
            whole
        };
        let whole = merge([0, 1, 2]);
        let timeline = whole.timeline.clone().unwrap();
        let (answers, retried, sketched, failures) = sums(&timeline);
        prop_assert_eq!((answers, retried), (whole.answers(), whole.retried()));
        prop_assert_eq!(sketched, answers);
        for (kind, count) in FailureKind::ALL.into_iter().zip(failures) {
            let tallied: u64 = whole.failures.iter().filter(|g| g.kind == kind).map(|g| g.count).sum();
            prop_assert_eq!(count, tallied, "{}", kind);
        }
        // Bounded, and the width is the one asked for, doubled.
        prop_assert!(timeline.bins() <= MAX_BINS && timeline.backends.len() <= MAX_BACKENDS);
        let doubled = timeline.width_ms / width_ms;
        prop_assert!(timeline.width_ms % width_ms == 0 && doubled.is_power_of_two());
        // No wider than the instants need.
        let last = events.iter().map(|event| event.when.as_millis() as u64).max().unwrap_or(0);
        prop_assert!(doubled == 1 || last / (timeline.width_ms / 2) >= MAX_BINS as u64);
        // The order of merging makes no difference.
        prop_assert_eq!(merge([2, 0, 1]).timeline.unwrap(), timeline.clone());
        prop_assert_eq!(merge([1, 2, 0]).timeline.unwrap(), timeline);
    }

    /// Up to so many backends, threads make no difference at all.
    #[test]
    fn one_thread_or_three_is_the_same(events in prop::collection::vec(event(), 0..200)) {
        let few = events.into_iter().map(|event| {
            let result = event.result.map(|n| n % MAX_BACKENDS);
            Event { result, ..event }
        });
        let few: Vec<_> = few.collect();
        let width = Duration::from_millis(7);
        let mut whole = Tally::default();
        for thread in 0..3 {
            whole.merge(tally(width, few.iter().filter(|event| event.thread == thread)));
        }
        prop_assert_eq!(whole.timeline, tally(width, &few).timeline);
    }

    /// Timelines of other widths, from elsewhere, merge without loss as well.
    #[test]
    fn any_two_widths_have_a_common_one(
        events in prop::collection::vec(event(), 1..100),
        a in 1u64..5000,
        b in 1u64..5000,
    ) {
        let of = |ms, first| {
            let part = events.iter().filter(|event| (event.thread == 0) == first);
            tally(Duration::from_millis(ms), part).timeline.unwrap()
        };
        let (mut one, mut other) = (of(a, true), of(b, false));
        let (one_width, other_width) = (one.width_ms, other.width_ms);
        let swapped = one.clone();
        one.merge(other.clone());
        other.merge(swapped);
        prop_assert_eq!(&one, &other);
        prop_assert!(one.width_ms % one_width == 0 && one.width_ms % other_width == 0);
        let answered = events.iter().filter(|event| event.result.is_ok()).count() as u64;
        prop_assert_eq!(sums(&one).0, answered);
    }
}

#[test]
fn a_request_stands_in_the_bin_of_its_instant() {
    let at = |ms: u64, result| Event {
        result,
        when: Duration::from_micros(ms * 1000 + 999),
        latency: Duration::from_millis(ms + 1),
        thread: 0,
    };
    let events = [at(0, Ok(0)), at(99, Ok(0)), at(100, Ok(1)), at(250, Err(FailureKind::Reset))];
    let timeline = tally(Duration::from_millis(100), &events).timeline.unwrap();
    let answers: Vec<Vec<u64>> =
        timeline.backends.values().map(|cells| cells.iter().map(|c| c.answers).collect()).collect();
    assert_eq!(answers, [vec![2], vec![0, 1]]);
    assert_eq!(timeline.failures.len(), 3);
    assert_eq!(timeline.failures[2][FailureKind::Reset as usize], 1);
    let cell = &timeline.backends.values().next().unwrap()[0];
    assert_eq!(cell.max_us, 100_000);
    let p99 = f64::from(cell.p99_us().unwrap());
    assert!((95_000.0..=100_000.0).contains(&p99), "of the slower one: {p99}");
}

#[test]
fn widths_double_when_the_bins_are_full() {
    let mut bins = Bins::new(Duration::from_millis(10));
    for n in 0..=MAX_BINS as u64 {
        bins.answered(Duration::from_millis(10 * n), 0, Duration::from_millis(1), false);
    }
    let who = Identity::new("p", "c");
    let timeline = bins.into_timeline([Some(&who)].into_iter());
    assert_eq!((timeline.width_ms, timeline.bins()), (20, MAX_BINS / 2 + 1));
    let cells = &timeline.backends[&who];
    assert!(cells[..MAX_BINS / 2].iter().all(|cell| cell.answers == 2));
    assert_eq!(cells[MAX_BINS / 2].answers, 1);
}

#[test]
fn without_a_timeline_there_is_none() {
    let mut recorder = Recorder::default();
    let event =
        Event { result: Ok(1), when: Duration::ZERO, latency: Duration::from_millis(1), thread: 0 };
    record(&mut recorder, &event);
    assert_eq!(recorder.into_tally().timeline, None);
}
