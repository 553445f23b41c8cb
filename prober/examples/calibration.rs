//! Whether verdicts keep their error rate: many runs on made-up answers of known shares, seeded,
//! beside the checks that people use. Prints a table in Markdown, and fails if a case does not
//! keep it: `make calibration`.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use prober::calibration::{CaseResult, cases, table};

/// The part of runs that may be wrong: what verdicts state.
const BAR: f64 = 0.001;

fn main() -> std::io::Result<ExitCode> {
    let runs = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let cases = cases();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let next = AtomicUsize::new(0);
    // Each thread takes the next case that nobody has.
    let work = || {
        let mut rows = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(n) else { return rows };
            rows.push((n, case.run(runs)));
        }
    };
    let mut rows: Vec<(usize, CaseResult)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    rows.sort_by_key(|(n, _)| *n);
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    std::io::stdout().write_all(table(&rows, runs).as_bytes())?;
    let whole = rows.len() == cases.len();
    let good = whole && rows.iter().all(|row| row.holds(BAR.max(1.0 / runs as f64)));
    if !good {
        writeln!(std::io::stderr(), "calibration: not every case keeps its error rate")?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
