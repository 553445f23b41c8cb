//! The program `echo`: parses the command line, sets up logging, turns signals
//! into the server's stop, and says how it ended. Everything else is in the library.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Context as _;
use echo::{Cli, LogFlags, LogFormat, LogLevel, RunningFlags, Server};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing::{info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    let cli = match usage::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log_to_stderr(&cli.log);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => usage::complain("echo", &format_args!("{error:#}")),
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let host_name = gethostname::gethostname();
    let identity = echo::from_flags(&cli.identity, &host_name.to_string_lossy())?;
    allow_many_files();
    runtime(&cli.running)?.block_on(async {
        let interrupt = signal(SignalKind::interrupt()).context("cannot hear SIGINT")?;
        let terminate = signal(SignalKind::terminate()).context("cannot hear SIGTERM")?;
        let server = Server::bind(cli, identity)?;
        info!("listening on {}", server.addresses());
        serve(server, interrupt, terminate).await;
        Ok(())
    })
}

/// Serves until the first signal and the drain it starts, or the second signal.
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
        () = signals => warn!("stopped at once by a second signal"),
    }
}

/// As many open files as the system lets this process have: each connection is
/// one, and the usual limit of 1024 is a courtesy to programs of old.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What cannot be had is no error: fewer connections will be accepted.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// One thread needs no scheduler that could share work among threads.
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
    // A stderr that nobody reads any more must not end the server.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours)
        .log_internal_errors(false);
    let lines = match flags.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let own = Targets::new().with_target("echo", level);
    let _ = tracing_subscriber::registry().with(lines.with_filter(own)).try_init();
}
