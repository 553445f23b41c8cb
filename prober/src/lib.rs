//! The load-distribution tester: who answered, and is that what was intended?
//!
//! [`run`] is the program; `main` adds arguments, signals and the exit code.

pub mod advice;
pub mod calibration;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod connect;
pub mod continuous;
pub mod delivery;
pub mod each;
pub mod events;
pub mod expectation;
pub mod explain;
pub mod failover;
pub mod grpc;
pub mod identity;
pub mod latency;
pub mod matrix;
pub mod merge;
pub mod monitor;
pub mod outcome;
pub mod overrides;
pub mod pace;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod report;
pub mod resolve;
pub mod sample_size;
pub mod schedule;
pub mod source;
pub mod stats;
pub mod tally;
pub mod verdict;
pub mod version;
pub mod watch;
pub mod wire;
pub mod workers;

use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use cli::{
    Cli, Command, JudgeArgs, MatrixArgs, MergeArgs, OutputArgs, OutputForm, RequestArgs, RunArgs,
    WatchArgs, When,
};
use delivery::Delivery;
use matrix::file;
use plan::ProbePlan;
use progress::view::Goal;
use progress::{Display, Meter};
use report::{Report, Row};
use schedule::End;

/// Why the program could not do what it was asked to. `Display` is one line.
#[derive(Debug, Error)]
pub enum Error {
    /// The flags make no plan.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// The matrix file is none.
    #[error(transparent)]
    File(#[from] file::FileError),
    /// The matrix file cannot be read.
    #[error("cannot read the matrix file {0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// A file of expectations cannot be read.
    #[error("cannot read --expect-file {0}: {1}")]
    ExpectFile(PathBuf, io::Error),
    /// A line of it is no expectation.
    #[error("--expect-file {0}:{1}: {2}")]
    ExpectLine(PathBuf, usize, expectation::SyntaxError),
    /// It holds nothing.
    #[error("--expect-file {0}: it holds no expectation; write one on each line")]
    NoExpectation(PathBuf),
    /// A report cannot be read.
    #[error("cannot read the report {0}: {1}")]
    ReportFile(PathBuf, io::Error),
    /// A file is no report.
    #[error("{0}: {1}")]
    NoReport(PathBuf, report::json::JsonError),
    /// A body cannot be read.
    #[error("cannot read --data @{0}: {1}")]
    Data(PathBuf, io::Error),
    /// A report from which nothing can be explained.
    #[error("{0}: it holds nothing of Envoys; make it by a run with --explain --output json")]
    NoEvidence(PathBuf),
    /// Two reports cannot be compared.
    #[error(transparent)]
    Compare(#[from] compare::CompareError),
    /// A sample size cannot be planned.
    #[error(transparent)]
    SampleSize(#[from] sample_size::SizeError),
    /// `--only` leaves nothing to run.
    #[error("--only leaves no row; the headings are: {0}")]
    NoRow(String),
    /// A run could not begin.
    #[error(transparent)]
    Engine(#[from] workers::EngineError),
    /// Reports do not belong together.
    #[error(transparent)]
    Merge(#[from] merge::MergeError),
    /// A man page of a command that is none.
    #[error("'{0}' is no command; 'prober --help' lists them")]
    NoCommand(String),
    /// Nothing can be watched.
    #[error(transparent)]
    Watch(#[from] continuous::WatchError),
    /// Nothing can be waited for.
    #[error("cannot wait: {0}")]
    Wait(io::Error),
    /// A report cannot be written where it should be.
    #[error(transparent)]
    Delivery(#[from] delivery::DeliveryError),
    /// What was asked for cannot be printed.
    #[error("cannot write to stdout: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// Lines that point at the place of the error, where there is one to point at.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Plan(error) => error.pointer(),
            Self::File(error) => error.pointer(),
            Self::ExpectLine(_, _, error) => Some(error.pointer()),
            Self::SampleSize(error) => error.pointer(),
            _ => None,
        }
    }
}

/// Does what the command line asks, writes results to `out`, and returns the
/// exit code. `stop` ends a run early; what there is by then is reported.
pub fn run(
    mut cli: Cli,
    stop: &CancellationToken,
    out: &mut (dyn Write + Send),
) -> Result<u8, Error> {
    let meter = Arc::new(Meter::default());
    match cli.command {
        None => {
            let output = &cli.run.output;
            let delivery = delivery(output)?;
            read_expectations(&mut cli.run.judge)?;
            read_data(&mut cli.run.request)?;
            let report = streaming(output, &meter, out, || probe(&cli.run, stop, &meter))?;
            finish(&report, &delivery, output, out)
        }
        Some(Command::Matrix(args)) => {
            let (delivery, matrix) = (delivery(&args.output)?, read_matrix(&args)?);
            if args.dry_run {
                return dry_run(&matrix, out);
            }
            matrix::check(&matrix.rows)?;
            let output = &args.output;
            let run = || run_matrix(matrix, output, stop, &meter);
            finish(&streaming(output, &meter, out, run), &delivery, output, out)
        }
        Some(Command::Watch(args)) => {
            let delivery = delivery(&args.run.output)?;
            finish(&watch_on(&args, stop)?, &delivery, &args.run.output, out)
        }
        Some(Command::Explain(args)) => {
            delivery::print(out, sample_size::explain(&args)?.as_bytes())?;
            Ok(0)
        }
        Some(Command::ExplainRun(args)) => explain_run(&args, out),
        Some(Command::Plan(args)) => {
            delivery::print(out, sample_size::plan(&args)?.as_bytes())?;
            Ok(0)
        }
        Some(Command::Compare(args)) => compare_reports(&args, out),
        Some(Command::Merge(args)) => {
            finish(&merged(&args)?, &delivery(&args.output)?, &args.output, out)
        }
        Some(Command::Report(args)) => {
            finish(&read_report(&args.file)?, &delivery(&args.output)?, &args.output, out)
        }
        Some(Command::Wait) => wait(stop),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "prober", &mut script);
            delivery::print(out, &script)?;
            Ok(0)
        }
        Some(Command::Man { command }) => {
            delivery::print(out, &man_page(command.as_deref())?)?;
            Ok(0)
        }
    }
}

/// The man page of the program, or of one of its commands, as roff.
fn man_page(command: Option<&str>) -> Result<Vec<u8>, Error> {
    let mut program = Cli::command();
    program.build();
    let page = match command {
        None => program,
        Some(name) => {
            let found = program.find_subcommand(name).cloned();
            let found = found.ok_or_else(|| Error::NoCommand(name.to_owned()))?;
            found.display_name(format!("prober-{name}"))
        }
    };
    let mut page_bytes = Vec::new();
    clap_mangen::Man::new(page).render(&mut page_bytes)?;
    Ok(page_bytes)
}

/// Adds what the files of `--expect-file` hold to the expectations, checked line by line.
fn read_expectations(args: &mut JudgeArgs) -> Result<(), Error> {
    for path in &args.expect_files {
        let unreadable = |error| Error::ExpectFile(path.clone(), error);
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let before = args.expectations.len();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |error| Error::ExpectLine(path.clone(), n + 1, error);
            expectation::parse(line).map_err(wrong)?;
            args.expectations.push(line.to_owned());
        }
        if args.expectations.len() == before {
            return Err(Error::NoExpectation(path.clone()));
        }
    }
    Ok(())
}

/// Reads the files of `--data`. As curl does, it takes line ends and null bytes away.
fn read_data(args: &mut RequestArgs) -> Result<(), Error> {
    if args.data.iter().all(|data| !data.starts_with('@')) {
        return Ok(());
    }
    let mut parts = Vec::new();
    for data in &args.data {
        let Some(path) = data.strip_prefix('@').map(PathBuf::from) else {
            parts.push(data.clone().into_bytes());
            continue;
        };
        let unreadable = |error| Error::Data(path.clone(), error);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(unreadable)?;
        file.take(plan::MAX_DATA as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > plan::MAX_DATA {
            return Err(plan::PlanError::LongData.into());
        }
        bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
        parts.push(bytes);
    }
    args.body = Some(parts.join(&b'&'));
    Ok(())
}

fn read_report(path: &PathBuf) -> Result<Report, Error> {
    let bytes = std::fs::read(path).map_err(|error| Error::ReportFile(path.clone(), error))?;
    // A page holds the report that it shows.
    let json = report::html::embedded(&bytes).unwrap_or(&bytes);
    report::json::parse(json).map_err(|error| Error::NoReport(path.clone(), error))
}

/// Says why the rows of a report are as they are.
fn explain_run(args: &cli::ExplainRunArgs, out: &mut dyn Write) -> Result<u8, Error> {
    let report = read_report(&args.file)?;
    if report.rows.iter().all(|row| row.evidence.is_none()) {
        return Err(Error::NoEvidence(args.file.clone()));
    }
    let style = style(args.color, false, false, columns(&io::stdout()));
    delivery::print(out, &report::text::why(&report, style))?;
    Ok(0)
}

/// Reads two reports and says whether the second is worse.
fn compare_reports(args: &cli::CompareArgs, out: &mut dyn Write) -> Result<u8, Error> {
    let limits = compare::Limits::read(args)?;
    let (before, after) = (read_report(&args.before)?, read_report(&args.after)?);
    let compared = compare::compare(&before, &after, &limits)?;
    delivery::print(out, compared.text().as_bytes())?;
    Ok(compared.exit_code())
}

/// A plain run: every target in turn.
fn probe(args: &RunArgs, stop: &CancellationToken, meter: &Arc<Meter>) -> Result<Report, Error> {
    let plans = each::expand(plan::run(args)?, stop)?;
    let ready: Result<Vec<_>, _> = plans.iter().map(workers::Row::prepare).collect();
    let started = clock::wall();
    let goal = Goal { requests: total(plans.iter()), time: time(&plans), rows: None };
    let display = display(meter, goal, &args.output);
    let mut rows = Vec::new();
    for (plan, row) in plans.iter().zip(ready?) {
        if stop.is_cancelled() {
            break;
        }
        if args.output.verbose {
            display.note(&format!("prober: {}", plan.summary()));
        }
        let watch = explain::Watch::begin(&plan.envoys, stop);
        let tally = row.run(stop, meter)?;
        meter.row_ended();
        let evidence = watch.map(|watch| watch.end(&plan.target.host, plan.target.port, stop));
        rows.push(Row::new(None, plan, Ok(tally)).with(evidence));
    }
    drop(display);
    Ok(Report { started, interrupted: stop.is_cancelled(), clusters: Vec::new(), rows })
}

fn read_matrix(args: &MatrixArgs) -> Result<file::Matrix, Error> {
    let unreadable = |error| Error::Unreadable(args.file.clone(), error);
    let text = std::fs::read_to_string(&args.file).map_err(unreadable)?;
    let (requests, show, explain) = (args.requests, args.show, args.explain);
    let overrides = file::Overrides { requests, show, explain, round: None };
    let mut matrix = file::parse(&args.file.to_string_lossy(), &text, &overrides)?;
    if !args.only.is_empty() {
        let headings: Vec<_> = matrix.rows.iter().map(matrix::Row::heading).collect();
        matrix.rows.retain(|row| args.only.iter().any(|text| row.heading().contains(text)));
        if matrix.rows.is_empty() {
            return Err(Error::NoRow(headings.join("; ")));
        }
    }
    Ok(matrix)
}

fn run_matrix(
    matrix: file::Matrix,
    args: &OutputArgs,
    stop: &CancellationToken,
    meter: &Arc<Meter>,
) -> Report {
    let started = clock::wall();
    if args.verbose {
        for row in &matrix.rows {
            note(&format!("{}: {}", row.heading(), command_line(row)));
        }
    }
    let planned = total(matrix.rows.iter().map(|row| &row.plan));
    let goal = Goal { requests: planned, time: None, rows: Some(matrix.rows.len() as u64) };
    let display = display(meter, goal, args);
    let rows = matrix::run(&matrix.rows, stop, meter);
    drop(display);
    Report { started, interrupted: stop.is_cancelled(), clusters: matrix.clusters, rows }
}

/// Probes on and on until `stop`; the report is of the last window.
fn watch_on(args: &WatchArgs, stop: &CancellationToken) -> Result<Report, Error> {
    let settings = continuous::settings::read(args).map_err(continuous::WatchError::from)?;
    let matrix = watched(args)?;
    let plans = matrix.rows.iter().map(|row| &row.plan);
    continuous::settings::check_rounds(plans, settings.rhythm)
        .map_err(continuous::WatchError::from)?;
    matrix::check(&matrix.rows)?;
    let quiet = args.run.output.quiet;
    let say = |line: &str| {
        if !quiet {
            note(line)
        }
    };
    Ok(continuous::run(matrix, settings, stop, &say)?)
}

/// What is watched: the rows of a file, or the targets of a plain run. A round has a size that
/// is given; it does not go on until something is decided.
fn watched(args: &WatchArgs) -> Result<file::Matrix, Error> {
    let (requests, show) = (args.run.load.requests, args.run.show);
    let round = Some(plan::DEFAULT_REQUESTS);
    if let Some(path) = &args.file {
        let unreadable = |error| Error::Unreadable(path.clone(), error);
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let overrides = file::Overrides { requests, show, explain: false, round };
        return Ok(file::parse(&path.to_string_lossy(), &text, &overrides)?);
    }
    let mut run = args.run.clone();
    read_expectations(&mut run.judge)?;
    read_data(&mut run.request)?;
    if run.load.duration.is_none() {
        run.load.requests = requests.or(round);
    }
    let rows = plan::run(&run)?.into_iter().map(matrix::Row::here).collect();
    Ok(file::Matrix { clusters: run.judge.clusters, rows })
}

/// The sum of the reports in files.
fn merged(args: &MergeArgs) -> Result<Report, Error> {
    let read = |file: &PathBuf| Ok((file.to_string_lossy().into_owned(), read_report(file)?));
    let rules = plan::judging::stated(args.confidence.as_deref(), args.min_share.as_deref())?;
    let reports: Result<Vec<_>, Error> = args.files.iter().map(read).collect();
    Ok(merge::merge(reports?, &rules)?)
}

/// Does nothing until it is told to stop.
fn wait(stop: &CancellationToken) -> Result<u8, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Error::Wait)?;
    runtime.block_on(stop.cancelled());
    Ok(0)
}

/// The commands that a matrix would run, as a person could type them.
fn dry_run(matrix: &file::Matrix, out: &mut dyn Write) -> Result<u8, Error> {
    let mut text = String::new();
    for row in &matrix.rows {
        text.push_str(&format!("# {}\n{}\n", row.heading(), command_line(row)));
    }
    delivery::print(out, text.as_bytes())?;
    Ok(0)
}

/// A row's command, quoted for a shell.
fn command_line(row: &matrix::Row) -> String {
    let words = row.origin.words(&row.arguments);
    let quoted = shlex::try_join(words.iter().map(String::as_str));
    quoted.unwrap_or_else(|_| words.join(" "))
}

/// A line on stderr; that nobody can read it any more is no error.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "prober: {line}");
}

/// How many requests there will be in all; `None` if time ends any of the runs.
fn total<'a>(mut plans: impl Iterator<Item = &'a ProbePlan>) -> Option<u64> {
    plans.try_fold(0, |sum: u64, plan| Some(sum.saturating_add(plan.planned()?)))
}

/// How long runs of these plans take, one after the other; `None` if requests end any of them.
fn time(plans: &[ProbePlan]) -> Option<Duration> {
    plans.iter().try_fold(Duration::ZERO, |sum, plan| match plan.schedule.end {
        End::After(duration) => {
            Some(sum.saturating_add(plan.schedule.warmup).saturating_add(duration))
        }
        End::Requests(_) => None,
    })
}

fn display(meter: &Arc<Meter>, goal: Goal, args: &OutputArgs) -> Display {
    let style = style(args.color, args.verbose, args.ascii, columns(&io::stderr()));
    Display::start(meter, goal, progress::form(args.quiet, style))
}

/// Does `work`, and where a stream is asked for, prints until then what was done each second.
fn streaming<T>(
    args: &OutputArgs,
    meter: &Meter,
    out: &mut (dyn Write + Send),
    work: impl FnOnce() -> T,
) -> T {
    match args.output {
        OutputForm::Ndjson => progress::stream::during(meter, out, work),
        _ => work(),
    }
}

/// Where the report will go, checked before anything is sent.
fn delivery(args: &OutputArgs) -> Result<Delivery, Error> {
    let style = style(args.color, args.verbose, args.ascii, columns(&io::stdout()));
    Ok(Delivery::prepare(args, style)?)
}

/// Writes the report, then the advice, and says the exit code.
fn finish(
    report: &Report,
    delivery: &Delivery,
    args: &OutputArgs,
    out: &mut (dyn Write + Send),
) -> Result<u8, Error> {
    delivery.deliver(report, out)?;
    if !args.quiet {
        for line in advice::of(report) {
            note(&format!("advice: {line}"));
        }
    }
    Ok(report.exit_code())
}

/// The style on a stream, which may be a terminal of so many columns.
fn style(color: When, verbose: bool, ascii: bool, terminal: Option<usize>) -> report::text::Style {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let color = match color {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            terminal.is_some() && set("NO_COLOR").is_none() && !dumb
        }
    };
    let said = set("COLUMNS").and_then(|columns| columns.to_str()?.parse::<usize>().ok());
    let columns = said.or(terminal);
    let plain = report::text::Style::PLAIN;
    let width = columns.unwrap_or(plain.width);
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    report::text::Style {
        color,
        verbose,
        width: width.clamp(report::text::NARROWEST, report::text::WIDEST),
        wrap: columns.is_some(),
        unicode: !ascii && locale.is_none_or(|locale| is_utf8(&locale.to_string_lossy())),
    }
}

/// Whether a locale, such as `en_US.UTF-8`, is one of UTF-8.
fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The columns of a terminal; none if it is no terminal.
fn columns(stream: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    // One that does not say has as many as they had on cards.
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_col > 0);
    Some(size.map_or(80, |size| size.ws_col.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn planned(arguments: &[&str]) -> Option<u64> {
        let words = ["prober", "-t", "a", "-t", "b"].iter().chain(arguments);
        total(plan::run(&Cli::try_parse_from(words).unwrap().run).unwrap().iter())
    }

    #[test]
    fn a_locale_says_whether_it_is_of_utf_8() {
        for utf8 in ["C.UTF-8", "de_DE.utf8", "en_US.UTF-8@x"] {
            assert!(is_utf8(utf8), "{utf8}");
        }
        for other in ["C", "POSIX", "en_US", "ru_RU.KOI8-R", "de_DE.ISO-8859-1"] {
            assert!(!is_utf8(other), "{other}");
        }
    }

    #[test]
    fn the_requests_of_all_targets_are_counted_unless_time_ends_them() {
        let most = (1u64 << 47) - 1;
        assert_eq!(planned(&["-n", &most.to_string()]), Some(2 * most));
        assert_eq!(planned(&["-d", "1"]), None);
    }

    #[test]
    fn the_time_of_all_targets_is_known_unless_requests_end_them() {
        let run = |arguments: &[&str]| {
            let words = ["prober", "-t", "a", "-t", "b"].iter().chain(arguments);
            time(&plan::run(&Cli::try_parse_from(words).unwrap().run).unwrap())
        };
        assert_eq!(run(&["-d", "3", "--warmup", "2"]), Some(Duration::from_secs(10)));
        assert_eq!(run(&["-n", "3"]), None);
    }
}
