//! Ctrl-C, SIGTERM and SIGHUP. A thread of its own waits for them, because the main thread
//! must run as long as its child processes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Handles signals from now on, which would otherwise kill this process.
    pub(crate) fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let shared = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut int, mut term, mut hup) = {
            let _inside = runtime.enter();
            let on = |kind: SignalKind| -> io::Result<Signal> { signal(kind) };
            let hup = (!usage::ignores_hangup()).then(|| on(SignalKind::hangup())).transpose()?;
            (on(SignalKind::interrupt())?, on(SignalKind::terminate())?, hup)
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                    Some(_) = async { hup.as_mut()?.recv().await } => {}
                }
            });
            shared.asked.store(true, Ordering::Release);
            // Further signals are ignored: the stop takes only a few seconds.
            runtime.block_on(std::future::pending::<()>());
        });
        Ok(interrupt)
    }

    /// Whether a signal has arrived.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}
