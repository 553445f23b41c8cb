//! Runs made by hand, whose times are known.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// 100 requests a second for `seconds`; `what` says of each instant in ms who answered it
/// (0 kops, 1 gke1, `None` nobody) and how long it took in ms.
fn run(seconds: u32, what: impl Fn(u32) -> (Option<u32>, u32)) -> Trail {
    let entries = (0..seconds * 100).map(|n| {
        let due = n * 10;
        let (cluster, took) = what(due);
        Entry { due: MS * due, took: MS * took, cluster, retried: false }
    });
    Trail { clusters: vec!["kops".into(), "gke1".into()], entries: entries.collect(), cut: false }
}

fn turns(due: u32) -> Option<u32> {
    Some(due / 10 % 2)
}

fn terms(shares: &[(&str, f64)]) -> Terms {
    let shares = shares.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect();
    Terms { hold: MS * 1000, shares }
}

/// Down from 2 s to 6 s: every second request fails until 3.2 s, then kops answers alone; from
/// 6 s kops goes on alone until 7.5 s, then both.
fn down_and_back() -> Trail {
    run(10, |due| match due {
        0..2000 => (turns(due), 3),
        2000..3200 if due / 10 % 2 == 1 => (None, 2),
        2000..3200 => (Some(0), if due == 3000 { 50 } else { 3 }),
        3200..7500 => (Some(0), 3),
        _ => (turns(due), 3),
    })
}

#[test]
fn every_time_is_what_its_definition_says() {
    let trail = down_and_back();
    let events = [MS * 2000, MS * 6000];
    let found = measure(&trail, &events, MS * 10_000, &terms(&[("kops", 1.0)])).unwrap();
    assert_eq!((found.fault_us, found.recovery_us), (2_000_000, Some(6_000_000)));
    assert_eq!(found.resolution_us, 10_000);
    assert_eq!(found.failed_before, 0);
    // The first failure is due at 2.01 s and takes 2 ms.
    assert_eq!(found.detect_us, Some(12_000));
    assert_eq!(found.lost, 60);
    assert_eq!((found.slow, found.slow_from_us), (1, Some(6_000)));
    // The last failure was due at 3.19 s, the next answer of kops at 3.2 s.
    assert_eq!(found.failover_us, Some(1_200_000));
    // A quarter of a window, 25 answers, may have 3 of gke1 and be even: 0.2 s without it.
    let failback = found.failback_us.unwrap();
    assert!((1_280_000..=1_510_000).contains(&failback), "{failback}");
    assert_eq!(found.overshoot, Some(50.0));
    assert_eq!(found.before, BTreeMap::from([("kops".into(), 0.5), ("gke1".into(), 0.5)]));
}

#[test]
fn a_cluster_that_comes_back_a_moment_later_is_not_back_at_once() {
    // 30 answers more of kops alone: few enough for a window to hold them and be even.
    let trail = run(9, |due| match due {
        2000..4300 => (Some(0), 3),
        _ => (turns(due), 3),
    });
    let found = measure(&trail, &[MS * 2000, MS * 4000], MS * 9000, &terms(&[])).unwrap();
    let failback = found.failback_us.unwrap();
    // The first of gke1 after 4.3 s: turns give it every second one.
    assert_eq!(failback, 310_000);
}

#[test]
fn a_fault_that_nobody_sees_takes_no_time() {
    let trail = run(5, |due| (turns(due), 3));
    let found = measure(&trail, &[MS * 2000], MS * 5000, &terms(&[])).unwrap();
    assert_eq!((found.detect_us, found.lost, found.slow), (None, 0, 0));
    assert_eq!(found.failover_us, Some(0));
    assert_eq!((found.failback_us, found.recovery_us, found.overshoot), (None, None, None));
}

#[test]
fn what_never_calms_down_has_no_time() {
    // A failure each 0.9 s, and calm would have to last for 1 s.
    let trail = run(6, |due| (if due % 900 == 0 && due > 2000 { None } else { turns(due) }, 3));
    let found = measure(&trail, &[MS * 2000], MS * 6000, &terms(&[])).unwrap();
    assert_eq!(found.failover_us, None);
    assert_eq!(found.lost, 4);
    // Calm, but not with these shares, or with those of one who never answers.
    let trail = run(6, |due| (turns(due), 3));
    for shares in [&[("kops", 1.0)][..], &[("kops", 0.5), ("gke1", 0.3), ("eks1", 0.2)]] {
        let found = measure(&trail, &[MS * 2000], MS * 6000, &terms(shares)).unwrap();
        assert_eq!(found.failover_us, None, "{shares:?}");
    }
    // Calm at last, but the run ends before it has held.
    let trail = run(4, |due| (if (2000..3100).contains(&due) { None } else { Some(0) }, 3));
    let found = measure(&trail, &[MS * 2000], MS * 4000, &terms(&[])).unwrap();
    assert_eq!(found.failover_us, None);
}

#[test]
fn a_request_under_way_at_the_fault_is_lost_to_it() {
    let trail = run(4, |due| if due == 1990 { (None, 20) } else { (Some(0), 3) });
    let found = measure(&trail, &[MS * 2000], MS * 4000, &terms(&[])).unwrap();
    assert_eq!((found.lost, found.failed_before), (1, 0));
    assert_eq!(found.detect_us, Some(10_000));
    // It was due before: from the fault on all is calm.
    assert_eq!(found.failover_us, Some(0));
}

#[test]
fn an_answer_of_a_later_attempt_is_a_sign() {
    let mut trail = run(4, |_| (Some(0), 3));
    trail.entries[250].retried = true;
    let found = measure(&trail, &[MS * 2000], MS * 4000, &terms(&[])).unwrap();
    assert_eq!((found.detect_us, found.lost), (Some(503_000), 0));
}

#[test]
fn silence_is_not_calm() {
    let mut trail = run(6, |_| (Some(0), 3));
    trail.entries.retain(|entry| !(MS * 2000..MS * 4500).contains(&entry.due));
    let found = measure(&trail, &[MS * 2000], MS * 6000, &terms(&[])).unwrap();
    assert!(found.failover_us.is_none_or(|at| at > 1_400_000), "{found:?}");
}

#[test]
fn without_an_event_or_a_whole_trail_there_are_no_times() {
    let mut trail = run(1, |_| (Some(0), 3));
    assert_eq!(measure(&trail, &[], MS * 1000, &terms(&[])), None);
    assert_eq!(measure(&Trail::default(), &[MS], MS * 1000, &terms(&[])), None);
    trail.cut = true;
    assert_eq!(measure(&trail, &[MS], MS * 1000, &terms(&[])), None);
}

#[test]
fn trails_of_threads_merge_by_name() {
    let mut whole = run(1, |due| (turns(due), 3));
    let mut other = run(1, |_| (Some(0), 3));
    other.clusters = vec!["gke1".into(), "eks1".into()];
    other.entries[0].cluster = None;
    whole.merge(other);
    assert_eq!(whole.clusters, ["kops", "gke1", "eks1"]);
    assert_eq!(whole.entries.len(), 200);
    assert_eq!(whole.entries[100].cluster, None);
    assert!(whole.entries[101..].iter().all(|entry| entry.cluster == Some(1)));
}
