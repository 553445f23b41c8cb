//! A program run beside a mesh, in the foreground: it has the terminal's
//! output, and ends with localmesh.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::guard::guarded;
use super::tools::Tools;
use crate::error::Error;

/// How long the terminal's own ctrl-c may take to end it, before it is told.
const HEARD: Duration = Duration::from_secs(1);
/// How long it may take to print what it has, once told.
const GRACE: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(10);

/// The running program; killed when dropped.
#[derive(Debug)]
pub struct Companion {
    child: Child,
}

impl Companion {
    /// Starts `program` with this process's stdout and stderr.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(tools: &Tools, program: &Path, args: &[OsString]) -> Result<Self, Error> {
        let started = guarded(&tools.launcher, program).args(args).stdin(Stdio::null()).spawn();
        let name = program.display().to_string();
        let child = started.map_err(|reason| Error::Spawn { name, reason })?;
        Ok(Self { child })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end after a ctrl-c, which it has heard too if it came from
    /// a terminal. If it came to localmesh alone, passes it on.
    pub fn interrupt(mut self) -> Option<ExitStatus> {
        self.wait(HEARD).or_else(|| {
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
        // Both fail harmlessly if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
