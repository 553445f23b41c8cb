//! The program `echo`: parses the command line, sets up logging, stops the server on a
//! signal, and reports how it ended. The library does the rest.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _};
use std::ops::RangeInclusive;
use std::process::ExitCode;

use anyhow::Context as _;
use echo::{Cli, LOG, LogFlags, LogFormat, LogLevel, RunningFlags, Server};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing::{info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// The real-time signals of Linux. The C library keeps the first ones to itself.
const REAL_TIME: RangeInclusive<i32> = 32..=64;

fn main() -> ExitCode {
    let cli = match usage::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log_to_stderr(&cli.log);
    let _writing = match LOG.start() {
        Ok(writing) => writing,
        Err(error) => {
            let why = usage::system_error(&error);
            return usage::complain("echo", &format_args!("cannot start the log's thread: {why}"));
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (line, code) = usage::complaint("echo", &format_args!("{error:#}"));
            LOG.push(&line);
            code
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let host_name = gethostname::gethostname();
    let identity = echo::from_flags(&cli.identity, &host_name.to_string_lossy())?;
    allow_many_files();
    let runtime = runtime(&cli.running)?;
    let ended = runtime.block_on(async {
        survive_signals();
        let interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let server = Server::bind(cli, identity)?;
        info!("listening on {}", server.addresses());
        serve(server, interrupt, terminate).await;
        Ok(())
    });
    // A thread that still resolves a name must not delay the end.
    runtime.shutdown_background();
    ended
}

/// Signals that would end the program, but mean nothing to it. SIGHUP is for the TLS files. With
/// SIGXFSZ handled, a log file that may not grow only loses lines.
fn survive_signals() {
    use rustix::process::Signal;
    let named = [
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::POWER,
        Signal::STKFLT,
        Signal::XFSZ,
    ];
    let named = named.into_iter().map(Signal::as_raw);
    for number in named.chain(REAL_TIME) {
        // The handler stays when its stream is dropped. Where there is no such signal, there is
        // nothing to survive.
        let _ = signal(SignalKind::from_raw(number));
    }
}

/// Serves until the drain that the first signal starts is over, or until a second signal.
async fn serve(server: Server, mut interrupt: Signal, mut terminate: Signal) {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let signals = async {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        let _ = stop.send(());
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
    };
    let stopped = async {
        let _ = stopped.await;
    };
    tokio::select! {
        () = server.run(stopped) => info!("stopped"),
        () = signals => warn!("stopped by a second signal; requests in flight were cut off"),
    }
}

/// Raises the limit of open files to the hard limit: each connection needs one, and the
/// usual soft limit of 1024 exists for programs that call `select`.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Not an error if it fails: the server then accepts fewer connections.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A single thread does without the scheduler that shares work among threads.
fn runtime(flags: &RunningFlags) -> anyhow::Result<Runtime> {
    let available = std::thread::available_parallelism();
    let threads = flags.threads.or(available.ok()).map_or(1, usize::from);
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all().build().context("cannot start the threads")
}

fn log_to_stderr(flags: &LogFlags) {
    let level = match flags.log {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let colours = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| &LOG)
        .with_ansi(colours)
        .log_internal_errors(false);
    let lines = match flags.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let own = Targets::new().with_target("echo", level);
    let _ = tracing_subscriber::registry().with(lines.with_filter(own)).try_init();
    // The usual hook waits until stderr is read.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let trace = Backtrace::capture();
        let trace = match trace.status() {
            BacktraceStatus::Captured => format!("{trace}\n"),
            _ => String::new(),
        };
        LOG.push(&format!("thread '{}' {panic}\n{trace}", thread.name().unwrap_or("unnamed")));
    }));
}
