//! Whether verdicts keep their error rate: many runs on made-up answers of known shares, seeded,
//! beside the checks that people use. Prints a table in Markdown, and fails if a case does not
//! keep it: `make calibration`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use prober::calibration::{CaseResult, cases, table};

/// The part of runs that may be wrong, by its upper 95 % bound: what verdicts state.
const BAR: f64 = 0.001;

fn main() -> std::io::Result<ExitCode> {
    let runs = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let part = std::env::args().nth(2).unwrap_or_default();
    let cases: Vec<_> = cases().into_iter().filter(|case| case.name().contains(&part)).collect();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let next = AtomicUsize::new(0);
    // Each thread takes the next case that nobody has.
    let work = || {
        let mut rows = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(n) else { return rows };
            let row = case.run(runs);
            // A run takes long: what is known is shown.
            let _ = writeln!(std::io::stderr(), "{}", row.line());
            rows.push((n, row));
        }
    };
    let mut rows: Vec<(usize, CaseResult)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    rows.sort_by_key(|(n, _)| *n);
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    std::io::stdout().write_all(table(&rows, runs).as_bytes())?;
    let mut good = rows.len() == cases.len();
    // Fewer runs cannot show that the bound is as low.
    let bar = BAR.max(4.8 / runs as f64);
    for row in &rows {
        if row.bound() > bar || !row.is_decided() {
            good = false;
            writeln!(
                std::io::stderr(),
                "calibration: {}: {} false passes and {} false fails in {runs} runs, {} undecided",
                row.case.name(),
                row.false_passes,
                row.false_fails,
                row.inconclusive
            )?;
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
