//! Whether verdicts keep their error rate: many runs on made-up answers of known shares, seeded,
//! beside the checks that people use. Prints a table in Markdown: `make calibration`.

use std::io::Write as _;

use prober::calibration::{Row, cases, table};

fn main() -> std::io::Result<()> {
    let runs = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let cases = cases();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let cases = &cases;
        let work = |thread: usize| {
            let mine = cases.iter().enumerate().filter(move |(n, _)| n % threads == thread);
            mine.map(|(n, case)| (n, case.run(runs))).collect::<Vec<_>>()
        };
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        let mut rows: Vec<_> =
            running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect();
        rows.sort_by_key(|(n, _)| *n);
        rows.into_iter().map(|(_, row)| row).collect()
    });
    std::io::stdout().write_all(table(&rows, runs).as_bytes())
}
