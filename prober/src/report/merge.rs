//! Merges reports of the same rows into one: counts and histograms are added without loss. The
//! expectations are judged again on the sums only if these are one sample: reports that were planned
//! together, or that somebody asks to judge so. Reports that are added until the sum passes are not a
//! sample. Pure.

use std::collections::BTreeSet;
use std::time::SystemTime;

use thiserror::Error;

use crate::expectation::Expectation;
use crate::report::{Report, Row, RowResult};
use crate::tally::Tally;
use crate::verdict::{self, Judged, Rules, Sampling};

/// The largest count that a report may have, so that sums of many reports do not overflow.
const MOST: u64 = 1 << 53;
/// Parts that overlap by so many percent of the longest are one load.
const LEAST_OVERLAP: u64 = 90;

/// Why reports cannot be merged, in one line that names the file.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MergeError {
    #[error(
        "{file}: found '{found}' instead of '{wanted}' as in {first}; merge reports with the same \
         sources and targets"
    )]
    Rows {
        file: String,
        first: String,
        /// The heading in this file.
        found: String,
        /// The heading in the first file.
        wanted: String,
    },
    #[error(
        "{file}: '{row}' has other expectations than in {first}; merge reports with the same \
         expectations"
    )]
    Expectations { file: String, first: String, row: String },
    #[error("{file}: '{row}' was not probed: {reason}; merge reports without such rows")]
    Unreachable { file: String, row: String, reason: String },
    /// A report must not count twice.
    #[error("{file}: the same report as {other}; remove one of them")]
    Twice { file: String, other: String },
    /// Their rates do not add up.
    #[error(
        "{file}: ran at the same time as {other} for {percent} % of its time only; parts of one load must \
         overlap by {LEAST_OVERLAP} %: give the pods enough CPU to start together, or fewer pods"
    )]
    Apart { file: String, other: String, percent: u64 },
    /// More than any run counts.
    #[error("{file}: '{row}' has more than 2^53 requests, so the report is not from prober")]
    Huge { file: String, row: String },
}

/// Merges reports, given with their file names. The result starts with the earliest report, takes
/// as long as the longest, is interrupted if any is, and shows the first answers of the first
/// file. Without reports, it has no rows. `expectations` replace those of the reports.
pub(crate) fn merge(
    reports: Vec<(String, Report)>,
    expectations: &[Expectation],
    rules: &Rules,
) -> Result<Report, MergeError> {
    for (n, (file, report)) in reports.iter().enumerate() {
        check(file, report)?;
        if let Some((other, _)) = reports[..n].iter().find(|(_, known)| known == report) {
            return Err(MergeError::Twice { file: file.clone(), other: other.clone() });
        }
    }
    let id = reports.first().and_then(|(_, report)| report.run_id.clone());
    let same_run = id.is_some() && reports.iter().all(|(_, report)| report.run_id == id);
    if same_run {
        check_overlap(&reports)?;
    }
    let planned = same_run || reports.len() == 1 || !expectations.is_empty();
    let number = reports.len();
    let rows = reports.first().map_or(0, |(_, report)| report.rows.len());
    // Only a sample is compared with its parts.
    let of_row = |place: usize| reports.iter().filter_map(move |(_, r)| r.rows.get(place)?.tally());
    let part = |place: usize| match planned {
        true => of_row(place).cloned().collect(),
        false => Vec::new(),
    };
    let parts: Vec<Vec<Tally>> = (0..rows).map(part).collect();
    let mut reports = reports.into_iter();
    let Some((first, mut all)) = reports.next() else {
        let (started, clusters, rows) = (SystemTime::UNIX_EPOCH, Vec::new(), Vec::new());
        let (interrupted, matrix) = (false, false);
        return Ok(Report { run_id: None, started, interrupted, matrix, clusters, rows });
    };
    all.run_id = id.filter(|_| same_run);
    for (file, mut report) in reports {
        if !expectations.is_empty() {
            // Those of the reports are replaced, so that they may differ.
            forget_expectations(&mut all);
            forget_expectations(&mut report);
        }
        add(&mut all, &first, report, &file)?;
    }
    let rules = Rules { clusters: all.clusters.clone(), ..rules.clone() };
    for (row, parts) in all.rows.iter_mut().zip(&parts) {
        let RowResult::Probed { tally, verdicts } = &mut row.result else { continue };
        if !expectations.is_empty() {
            let open = |one: &Expectation| Judged::open(one.clone(), String::new());
            *verdicts = expectations.iter().map(open).collect();
        }
        for judged in verdicts {
            *judged = match planned {
                true => judge(&judged.expectation, tally, parts, &rules),
                false => unplanned(&judged.expectation, number),
            };
        }
    }
    Ok(all)
}

/// Loads that are planned as one must have run at once: what they reached together is the sum of their
/// rates then. A report says when it started, so this is for reports with one row.
fn check_overlap(reports: &[(String, Report)]) -> Result<(), MergeError> {
    let time = |(file, report): &'_ (String, Report)| {
        let [row] = report.rows.as_slice() else { return None };
        let tally = row.tally().filter(|tally| tally.punctuality.is_some())?;
        Some((file.clone(), report.started, report.started + tally.elapsed))
    };
    let Some(times) = reports.iter().map(time).collect::<Option<Vec<_>>>() else { return Ok(()) };
    let last = times.iter().max_by_key(|(_, started, _)| *started);
    let first = times.iter().min_by_key(|(.., ended)| *ended);
    let took = |(_, a, b): &(_, SystemTime, SystemTime)| b.duration_since(*a).unwrap_or_default();
    let longest = times.iter().max_by_key(|time| took(time));
    let (Some((file, started, _)), Some((other, _, ended)), Some(whole)) = (last, first, longest)
    else {
        return Ok(());
    };
    // The shortest one may have started last and ended first.
    let other = if file == other { &whole.0 } else { other };
    let longest = took(whole);
    let common = ended.duration_since(*started).unwrap_or_default();
    let percent = (100.0 * common.as_secs_f64() / longest.as_secs_f64().max(1e-9)).floor() as u64;
    if percent >= LEAST_OVERLAP || longest.is_zero() {
        return Ok(());
    }
    Err(MergeError::Apart { file: file.clone(), other: other.clone(), percent })
}

fn forget_expectations(report: &mut Report) {
    for row in &mut report.rows {
        if let RowResult::Probed { verdicts, .. } = &mut row.result {
            verdicts.clear();
        }
    }
}

/// Not judged: the parts are not a sample.
fn unplanned(expectation: &Expectation, parts: usize) -> Judged {
    let reason = format!(
        "not judged: {parts} reports that were not planned as one sample; give the runs the same \
         --run-id, or merge with --expect"
    );
    Judged::open(expectation.clone(), reason)
}

/// The verdict on the sum of parts; inconclusive if they differ more than parts of a sample do.
fn judge(expectation: &Expectation, sum: &Tally, parts: &[Tally], rules: &Rules) -> Judged {
    // Runs that stopped at a verdict need the rules for sequential sampling.
    let sampling = sum.stopped.map_or(rules.sampling, |_| Sampling::UntilDecided);
    let rules = Rules { sampling, ..rules.clone() };
    let judged = verdict::judge(sum, expectation, &rules);
    if !expectation.is_statistical() {
        return judged;
    }
    let chance = verdict::alike(parts, expectation, &rules);
    if chance >= 1.0 - rules.confidence {
        return judged;
    }
    let reason = format!(
        "the reports differ from each other: the chance of that is {chance:.1e} if they are parts of \
         one sample; judge each of them: {}",
        judged.reason
    );
    Judged::open(expectation.clone(), reason)
}

fn check(file: &str, report: &Report) -> Result<(), MergeError> {
    for row in &report.rows {
        match &row.result {
            RowResult::Unreachable { reason, .. } => {
                let (file, reason) = (file.to_owned(), reason.clone());
                return Err(MergeError::Unreachable { file, row: row.heading(), reason });
            }
            RowResult::Probed { tally, .. } if is_huge(tally) => {
                return Err(MergeError::Huge { file: file.to_owned(), row: row.heading() });
            }
            RowResult::Probed { .. } => {}
        }
    }
    Ok(())
}

/// Sums of a parsed report match their parts, so it is enough to check the sums.
fn is_huge(tally: &Tally) -> bool {
    let schedule = tally.punctuality.unwrap_or_default();
    let connections = tally.all_backends().map(|backend| backend.connections).max();
    let over = tally.passed_over.values().map(|over| over.count).max();
    let phases = tally.phases.named().map(|(_, latency)| latency.count());
    let counts = [
        tally.requests(),
        tally.connections,
        tally.abandoned,
        tally.warmed_up,
        schedule.late,
        schedule.dropped,
        connections.unwrap_or_default(),
        over.unwrap_or_default(),
    ];
    counts.into_iter().chain(phases).any(|count| count > MOST)
}

fn add(all: &mut Report, first: &str, report: Report, file: &str) -> Result<(), MergeError> {
    all.started = all.started.min(report.started);
    all.interrupted |= report.interrupted;
    let known: BTreeSet<_> = all.clusters.iter().cloned().collect();
    all.clusters.extend(report.clusters.into_iter().filter(|cluster| !known.contains(cluster)));
    let wrong = |found: Option<&Row>, wanted: Option<&Row>| {
        let heading = |row: Option<&Row>| row.map_or_else(|| "nothing".to_owned(), Row::heading);
        let (found, wanted) = (heading(found), heading(wanted));
        MergeError::Rows { file: file.to_owned(), first: first.to_owned(), found, wanted }
    };
    let (have, more) = (all.rows.len(), report.rows.len());
    if have != more {
        let place = have.min(more);
        return Err(wrong(report.rows.get(place), all.rows.get(place)));
    }
    for (known, row) in all.rows.iter_mut().zip(report.rows) {
        let key = |row: &Row| (row.source.clone(), row.url.clone(), row.protocol);
        if key(known) != key(&row) || known.target != row.target {
            return Err(wrong(Some(&row), Some(known)));
        }
        let heading = known.heading();
        let (
            RowResult::Probed { tally, verdicts },
            RowResult::Probed { tally: more, verdicts: judged },
        ) = (&mut known.result, row.result)
        else {
            continue;
        };
        let asked = verdicts.iter().map(|one| &one.expectation);
        if !asked.eq(judged.iter().map(|one| &one.expectation)) {
            let (file, first) = (file.to_owned(), first.to_owned());
            return Err(MergeError::Expectations { file, first, row: heading });
        }
        tally.merge(Tally { shown: Default::default(), ..more });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::expectation::Expectation;
    use crate::report::{json, samples};
    use crate::tally::latency::Class;
    use crate::verdict::Verdict;

    /// Pods that ran one after another for want of CPU are half of the load that was asked for.
    #[test]
    fn parts_of_one_load_ran_at_once() {
        let loaded = |after: u64, seconds: u64| {
            let mut report = samples::plain();
            report.rows.truncate(1);
            let RowResult::Probed { tally, .. } = &mut report.rows[0].result else {
                panic!("probed")
            };
            tally.punctuality = Some(Default::default());
            tally.elapsed = Duration::from_secs(seconds);
            Report { started: report.started + Duration::from_secs(after), ..report }
        };
        let merged = |parts: [Report; 3]| merge(named(parts), &[], &Rules::default());
        assert!(merged([loaded(0, 100), loaded(5, 100), loaded(10, 100)]).is_ok());
        let error = merged([loaded(0, 100), loaded(11, 100), loaded(5, 100)]).unwrap_err();
        let apart = |file: &str, other: &str, percent| MergeError::Apart {
            file: file.to_owned(),
            other: other.to_owned(),
            percent,
        };
        assert_eq!(error, apart("2.json", "1.json", 89));
        let error = merged([loaded(100, 100), loaded(0, 100), loaded(100, 99)]).unwrap_err();
        assert_eq!(error, apart("3.json", "2.json", 0));
        let error = merged([loaded(0, 100), loaded(0, 80), loaded(0, 99)]).unwrap_err();
        assert_eq!(error, apart("3.json", "2.json", 80));
        let error = merged([loaded(0, 99), loaded(50, 10), loaded(0, 100)]).unwrap_err();
        assert_eq!(error, apart("2.json", "3.json", 10));
        let mut closed = loaded(100, 100);
        let RowResult::Probed { tally, .. } = &mut closed.rows[0].result else { panic!("probed") };
        tally.punctuality = None;
        assert!(merged([loaded(0, 100), closed, loaded(0, 99)]).is_ok(), "no rate was planned");
    }

    /// The same report, started a second later.
    fn later(report: Report) -> Report {
        Report { started: report.started + Duration::from_secs(1), ..report }
    }

    /// Parts of one run, with file names.
    fn named(reports: impl IntoIterator<Item = Report>) -> Vec<(String, Report)> {
        let name = |(n, report): (usize, Report)| {
            (format!("{}.json", n + 1), Report { run_id: Some("r".to_owned()), ..report })
        };
        reports.into_iter().enumerate().map(name).collect()
    }

    fn tally(report: &Report) -> &Tally {
        report.rows[0].tally().unwrap()
    }

    #[test]
    fn counts_and_histograms_are_added_without_loss() {
        let one = samples::plain();
        let three = [one.clone(), later(one.clone()), later(later(one.clone()))];
        let merged = merge(named(three), &[], &Rules::default()).unwrap();
        assert_eq!(merged.started, one.started);
        let (sum, part) = (tally(&merged), tally(&one));
        assert_eq!(sum.requests(), 3 * part.requests());
        assert_eq!(sum.connections, 3 * part.connections);
        assert_eq!(sum.elapsed, part.elapsed);
        assert_eq!(sum.shown, part.shown);
        for (identity, backend) in &part.backends {
            let merged = &sum.backends[identity];
            assert_eq!(merged.answers, 3 * backend.answers);
            let (many, few) = (merged.latency(), backend.latency());
            let threefold = few.classes().map(|class| Class { count: 3 * class.count, ..class });
            assert!(many.classes().eq(threefold));
            assert_eq!(many.count(), 3 * few.count());
        }
        assert_eq!(json::parse(&json::render(&merged)).unwrap(), merged);
    }

    #[test]
    fn the_sum_is_judged_not_the_parts() {
        let mut few = samples::matrix();
        few.rows = vec![few.rows.remove(2)];
        assert_eq!(few.rows[0].verdict(), Verdict::Inconclusive, "3 answers, all of kops");
        let mut many = samples::plain();
        let RowResult::Probed { tally, .. } = &many.rows[0].result else { panic!("probed") };
        let tally = tally.clone();
        let RowResult::Probed { verdicts, .. } = &few.rows[0].result else { panic!("probed") };
        let verdicts = verdicts.clone();
        many.rows[0].result = RowResult::Probed { tally, verdicts };
        let parts = || named([few.clone(), later(many.clone())]);
        // The rules of the merge decide: 100 answers rule out 13 %, but not 1 %.
        let merged = merge(parts(), &[], &Rules { min_share: 0.13, ..Rules::default() }).unwrap();
        assert_eq!(merged.rows[0].verdict(), Verdict::Pass, "{:?}", merged.rows[0].result);
        let stricter = merge(parts(), &[], &Rules::default()).unwrap();
        assert_eq!(stricter.rows[0].verdict(), Verdict::Inconclusive);
        assert_eq!(merged.clusters, ["kops", "gke1"]);
    }

    /// Reports that were not planned together are no sample: whoever adds reports until the sum
    /// passes will see it pass.
    #[test]
    fn only_what_was_planned_as_one_sample_is_judged() {
        let balanced = "balanced kops,gke1 ± 20%";
        let part = |kops: u64, id: Option<&str>, later: u64| {
            let who = |n: u64| if n * kops / 400 < (n + 1) * kops / 400 { "kops" } else { "gke1" };
            let mut recorder = crate::tally::Recorder::default();
            for n in 0..400 {
                let identity = echo_reply::Identity::new("p", who(n));
                let who = crate::tally::outcome::Who::Body(&identity);
                let answer = crate::tally::outcome::Answer { who, attempt: None, text: None };
                recorder.record(samples::outcome(n, Ok(answer)), 0);
            }
            let row = samples::row(None, "a", recorder.into_tally(), &[balanced]);
            let started = SystemTime::UNIX_EPOCH + Duration::from_secs(later);
            let run_id = id.map(str::to_owned);
            (format!("{later}.json"), Report { run_id, started, ..samples::report(vec![row]) })
        };
        let judged = |parts: Vec<(String, Report)>, asked: &[&str]| {
            let asked: Vec<_> =
                asked.iter().map(|text| crate::expectation::parse(text).unwrap()).collect();
            let merged = merge(parts, &asked, &Rules::default()).unwrap();
            merged.rows[0].verdicts()[0].clone()
        };
        let of = |kops: [u64; 2], ids: [Option<&str>; 2]| {
            vec![part(kops[0], ids[0], 1), part(kops[1], ids[1], 2)]
        };
        let one = judged(of([200, 210], [Some("r"), Some("r")]), &[]);
        assert_eq!(one.verdict, Verdict::Pass, "{}", one.reason);
        for ids in [[None, None], [Some("r"), None], [Some("r"), Some("s")]] {
            let other = judged(of([200, 210], ids), &[]);
            assert_eq!(other.verdict, Verdict::Inconclusive);
            assert!(
                other.reason.starts_with("not judged: 2 reports that were"),
                "{}",
                other.reason
            );
            let asked = judged(of([200, 210], ids), &[balanced]);
            assert_eq!(asked.verdict, Verdict::Pass, "{}", asked.reason);
        }
        let mixed = judged(of([120, 280], [Some("r"), Some("r")]), &[]);
        assert_eq!(mixed.verdict, Verdict::Inconclusive, "{}", mixed.reason);
        assert!(mixed.reason.starts_with("the reports differ from each other"), "{}", mixed.reason);
    }

    #[test]
    fn reports_that_do_not_match_are_refused() {
        let refused = |reports: Vec<Report>, part: &str| {
            let error = merge(named(reports), &[], &Rules::default()).unwrap_err().to_string();
            assert!(error.starts_with("2.json: ") && error.contains(part), "{error}");
            assert!(!error.contains('\n'), "{error}");
        };
        let one = samples::plain();
        refused(vec![one.clone(), one.clone()], "same report as 1.json");
        let mut other = later(one.clone());
        other.rows[0].target = "elsewhere".to_owned();
        refused(vec![one.clone(), other], "found 'curl elsewhere' instead of 'curl istio1");
        let mut other = later(one.clone());
        other.rows[0].source = Some("gke1".to_owned());
        refused(vec![one.clone(), other], "from gke1: curl");
        let mut other = later(one.clone());
        other.rows.clear();
        refused(vec![one.clone(), other], "found 'nothing' instead of 'curl istio1");
        refused(vec![one.clone(), samples::matrix()], "was not probed: kubectl: error");
        let mut other = later(one.clone());
        if let RowResult::Probed { verdicts, .. } = &mut other.rows[0].result {
            verdicts[0].expectation = Expectation::NoErrors;
        }
        refused(vec![one.clone(), other], "other expectations than in 1.json");
        let mut other = later(one.clone());
        if let RowResult::Probed { tally, .. } = &mut other.rows[0].result {
            tally.abandoned = u64::MAX;
        }
        refused(vec![one, other], "more than 2^53");
    }

    #[test]
    fn an_interrupted_part_makes_the_whole_interrupted() {
        let one = samples::plain();
        let cut = Report { interrupted: true, ..later(one.clone()) };
        let merged = merge(named([one, cut]), &[], &Rules::default()).unwrap();
        assert!(merged.interrupted);
        assert_eq!(merged.exit_code(), 130);
        assert_eq!(
            merge(Vec::new(), &[], &Rules::default()).unwrap().exit_code(),
            3,
            "no reports prove nothing"
        );
    }

    /// Request number, who answers or how it fails, µs, and which shard asks.
    type Asked = (usize, u64, usize);

    fn tallied<'a>(asked: impl Iterator<Item = (usize, &'a Asked)>) -> Tally {
        use crate::tally::Recorder;
        use crate::tally::outcome::{Answer, Code, Failure, FailureKind, Who};
        let mut recorder = Recorder::default();
        for (n, (who, us, _)) in asked {
            let identity = echo_reply::Identity::new(format!("pod-{who}"), ["a", "b"][who % 2]);
            let result = match who {
                0..4 => Ok(Answer {
                    who: Who::Body(&identity),
                    attempt: (us % 7 == 0).then_some(2),
                    text: None,
                }),
                4 => Err(Failure::new(FailureKind::Timeout, "too slow")),
                _ => {
                    let code = 500 + (us % 3) as u16;
                    let failure = Failure::new(FailureKind::Status, code.to_string());
                    Err(failure.with(Code::Http(code)).by(Some(identity.clone())))
                }
            };
            let mut outcome = samples::outcome(n as u64, result);
            outcome.timings.total = Duration::from_micros(*us);
            outcome.timings.service = Duration::from_micros(*us);
            recorder.record(outcome, 0);
        }
        recorder.into_tally()
    }

    proptest::proptest! {
        #[test]
        fn shards_add_up_to_the_counts_of_one_prober(
            asked in proptest::collection::vec((0usize..6, 1u64..4_000_000_000, 0usize..5), 0..200),
            shards in 1usize..=5,
        ) {
            let expectations = ["errors = 0", "p99 < 80ms"];
            let all = || asked.iter().enumerate();
            let whole = samples::row(None, "a", tallied(all()), &expectations);
            let parts = (0..shards).map(|shard| {
                let own = all().filter(|(_, (_, _, asks))| asks % shards == shard);
                let row = samples::row(None, "a", tallied(own), &expectations);
                let mut part = samples::report(vec![row]);
                part.started += Duration::from_secs(shard as u64);
                // Shards arrive as JSON.
                json::parse(&json::render(&part)).unwrap()
            });
            let rules = Rules { min_share: 0.13, ..Rules::default() };
            let merged = merge(named(parts), &[], &rules).unwrap();
            let (sum, whole) = (tally(&merged), whole.tally().unwrap());
            proptest::prop_assert_eq!(&sum.backends, &whole.backends);
            proptest::prop_assert_eq!(&sum.addresses, &whole.addresses);
            proptest::prop_assert_eq!(&sum.phases, &whole.phases);
            proptest::prop_assert_eq!(sum.connections, whole.connections);
            let failures = |tally: &Tally| {
                let mut groups = tally.failures.clone();
                groups.sort_by(|a, b| (a.kind, &a.what).cmp(&(b.kind, &b.what)));
                groups
            };
            proptest::prop_assert_eq!(failures(sum), failures(whole));
            proptest::prop_assert_eq!(&sum.failed_by, &whole.failed_by);
            proptest::prop_assert_eq!(sum.requests(), asked.len() as u64);
            // Verdicts on counts are the same.
            let errors = |report: &Report| match &report.rows[0].result {
                RowResult::Probed { verdicts, .. } => verdicts[0].clone(),
                RowResult::Unreachable { .. } => unreachable!(),
            };
            let whole = samples::report(vec![samples::row(None, "a", whole.clone(), &expectations)]);
            proptest::prop_assert_eq!(errors(&merged).verdict, errors(&whole).verdict);
        }
    }
}
