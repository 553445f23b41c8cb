//! The load-distribution tester: which clusters and pods answer, and is that as expected?
//!
//! [`run`] is the program; `main` adds arguments, signals and the exit code. All else that is public
//! is for tests and examples.

mod cli;
mod clock;
mod collected;
mod commands;
mod descriptors;
mod diagnosis;
mod engine;
mod expectation;
#[cfg(fuzzing)]
pub mod fuzzing;
mod matrix;
mod output;
mod plan;
mod process;
mod race;
mod report;
mod resolve;
mod stats;
mod tally;
mod units;
mod verdict;
mod watch;

use std::io::Write;

use tokio_util::sync::CancellationToken;

pub use cli::Cli;
use cli::Command;
pub use commands::Error;
pub use engine::events::marks::now as mark;
pub use plan::overrides::Overrides;
pub use report::json::parse as parse_report;
pub use resolve::{Family, LookupError, Names, NamesConfig, ServerFault};
pub use verdict::calibration;

/// Runs the command, writes results to `out`, and returns the exit code. `stop` ends a run early; the
/// report then has the results until that time.
pub fn run(cli: Cli, stop: &CancellationToken, out: &mut (dyn Write + Send)) -> Result<u8, Error> {
    match cli.command {
        None => commands::run::run(cli.run, stop, out),
        Some(Command::Matrix(args)) => commands::matrix::run(&args, stop, out),
        Some(Command::Watch(args)) => commands::watch::run(&args, stop, out),
        Some(Command::Explain(args)) => commands::explain::run(&args, out),
        Some(Command::ExplainRun(args)) => commands::explain_run::run(&args, out),
        Some(Command::Plan(args)) => commands::plan::run(&args, out),
        Some(Command::Compare(args)) => commands::compare::run(&args, out),
        Some(Command::Merge(args)) => commands::merge::run(&args, out),
        Some(Command::Judge(args)) => commands::judge::run(args, out),
        Some(Command::Report(args)) => commands::report::run(&args, out),
        Some(Command::Wait) => commands::wait::run(stop),
        Some(Command::Completions { shell }) => commands::manual::completions(shell, out),
        Some(Command::Man { command }) => commands::manual::page(command.as_deref(), out),
    }
}
