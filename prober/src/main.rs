//! `prober`: arguments, signals and the exit code; the program is `prober::run`.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use prober::Cli;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = match usage::parse_with_advice::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let stop = CancellationToken::new();
    if let Err(error) = stop_on_signals(&stop) {
        let error = usage::local_limit(&error);
        return usage::complain("prober", &format_args!("cannot receive signals: {error}"));
    }
    match prober::run(cli, &stop, &mut std::io::stdout()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = usage::complain("prober", &error);
            if let Some(pointer) = error.pointer() {
                let _ = writeln!(std::io::stderr(), "{}", printable::clean_lines(&pointer));
            }
            code
        }
    }
}

/// The first Ctrl-c, SIGTERM or SIGHUP ends the run early, with a report. The second one ends the program
/// even if it is blocked, such as by a matrix file that is a pipe. SIGUSR1 marks an instant.
fn stop_on_signals(stop: &CancellationToken) -> std::io::Result<()> {
    // Without file descriptors for its signals tokio panics; it needs five. Fail here instead.
    let spare: std::io::Result<Vec<_>> = (0..4).map(|_| UnixStream::pair()).collect();
    drop(spare?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup, mut mark) = {
        let _context = runtime.enter();
        let [interrupt, terminate, mark] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::user_defined1()];
        let hangup =
            (!usage::ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
        (signal(interrupt)?, signal(terminate)?, hangup, signal(mark)?)
    };
    let stop = stop.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in 0..2 {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => break,
                        _ = terminate.recv() => break,
                        Some(()) = async { hangup.as_mut()?.recv().await } => break,
                        _ = mark.recv() => prober::mark(),
                    }
                }
            });
            if stop.is_cancelled() {
                leave();
            }
            stop.cancel();
        }
    })?;
    Ok(())
}

#[expect(clippy::exit, reason = "the main thread may be blocked where it cannot see the token")]
fn leave() -> ! {
    std::process::exit(130)
}
