//! A program that runs beside a mesh in the foreground: it writes to the terminal, and ends
//! with localmesh.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::guard::guarded;
use super::tools::Tools;
use crate::error::Error;

/// How long the program may take to end after the terminal's Ctrl-C, before it gets SIGINT.
const BEFORE_SIGINT: Duration = Duration::from_secs(1);
/// How long it may take to end after SIGINT.
const GRACE: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(10);

/// Killed when dropped.
#[derive(Debug)]
pub struct Companion {
    child: Child,
}

impl Companion {
    /// Starts `program` with the stdout and stderr of this process.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(tools: &Tools, program: &Path, args: &[OsString]) -> Result<Self, Error> {
        let started = guarded(&tools.launcher, program).args(args).stdin(Stdio::null()).spawn();
        let name = program.display().to_string();
        let child = started.map_err(|reason| Error::Spawn { name, reason })?;
        Ok(Self { child })
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end after Ctrl-C. A terminal sends the signal to both processes; if only
    /// localmesh got it, passes it on.
    pub fn interrupt(mut self) -> Option<ExitStatus> {
        self.wait(BEFORE_SIGINT).or_else(|| {
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            self.wait(GRACE)
        })
    }

    fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() >= deadline {
                return ended;
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // Both fail without harm if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
