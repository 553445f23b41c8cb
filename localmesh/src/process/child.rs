//! Child processes that never outlive the mesh: started by `localmesh guard`, stopped within
//! a time limit, with logs in files.
//!
//! The kernel ties a child to the *thread* that started it: start children only from a
//! thread that runs as long as the mesh.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::guard::guarded_in;
use super::programs::Program;
use crate::error::Error;

/// The time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(5);

/// A program of the mesh, with its process while it runs.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) program: Program,
    child: Option<Child>,
    ended: Option<ExitStatus>,
    frozen: bool,
    throttle: Option<Throttle>,
}

/// What a process does, as far as the mesh decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Runs,
    Frozen,
    /// Stopped for this share of the time, in percent.
    Throttled(u8),
    Ended,
}

impl Process {
    /// Starts the program through the guard of `launcher`.
    pub(crate) fn start(launcher: &Path, program: Program) -> Result<Self, Error> {
        let mut process = Self { program, child: None, ended: None, frozen: false, throttle: None };
        process.start_again(launcher)?;
        Ok(process)
    }

    /// Starts the program. It must not be running.
    pub(crate) fn start_again(&mut self, launcher: &Path) -> Result<(), Error> {
        let Program { name, namespace, executable, args, env, log, .. } = &self.program;
        let mut options = File::options();
        let log_file =
            options.create(true).append(true).open(log).map_err(Error::file(log.as_path()))?;
        let copy = log_file.try_clone().map_err(Error::file(log.as_path()))?;
        let child = guarded_in(launcher, namespace.as_deref(), executable)
            .args(args)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(copy)
            // Ctrl-C in the terminal must reach only localmesh, which stops the mesh in order.
            .process_group(0)
            .spawn()
            .map_err(|reason| Error::Spawn { name: name.clone(), reason })?;
        self.child = Some(child);
        self.ended = None;
        self.frozen = false;
        Ok(())
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The exit status, if it ended unexpectedly. Returned only once.
    pub(crate) fn unexpected_end(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        self.ended = Some(status);
        Some(status)
    }

    /// Sends a signal, if the process still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // The process may have ended already.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        match (&self.child, self.frozen, &self.throttle) {
            (None, ..) => Condition::Ended,
            (_, true, _) => Condition::Frozen,
            (.., Some(throttle)) => Condition::Throttled(throttle.percent),
            _ => Condition::Runs,
        }
    }

    /// Whether the mesh has stopped it.
    pub(crate) fn asked_to_end(&self) -> bool {
        self.child.is_none() && self.ended.is_none()
    }

    /// Whether it runs and is not frozen.
    pub(crate) fn is_responsive(&self) -> bool {
        self.child.is_some() && !self.frozen
    }

    /// Freezes or continues it.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.throttle = None;
        self.frozen = frozen;
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Stops it for `percent` of each [`PERIOD`]; 0 ends that.
    pub(crate) fn throttle(&mut self, percent: u8) -> Result<(), Error> {
        self.throttle = None;
        if percent == 0 {
            return Ok(());
        }
        if let Some(child) = &self.child {
            let failed = |reason: io::Error| Error::Spawn {
                name: format!("throttle of {}", self.program.name),
                reason,
            };
            // Not the process id, which the system may reuse.
            let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
                .map_err(|errno| failed(errno.into()))?;
            self.throttle = Some(Throttle::start(process, percent).map_err(failed)?);
        }
        Ok(())
    }

    /// Waits until `deadline`, then kills it.
    fn wait_or_kill(&mut self, deadline: Instant) {
        self.throttle = None;
        let Some(mut child) = self.child.take() else { return };
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(POLL),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.wait_or_kill(Instant::now());
    }

    /// The last `lines` lines of its log.
    pub(crate) fn log_tail(&self, lines: usize) -> Vec<String> {
        tail(&self.program.log, lines)
    }

    /// The error for a process that ended while the mesh started.
    pub(crate) fn died(&self, status: ExitStatus) -> Error {
        // A backtrace may follow the relevant line.
        let lines = self.log_tail(80);
        let assert = lines.iter().find(|line| line.contains("[critical]"));
        let telling = lines.iter().rev().find(|line| {
            ["critical", "error", "panic"].iter().any(|w| line.to_lowercase().contains(w))
        });
        Error::Died {
            name: self.program.name.clone(),
            status,
            last: assert.or(telling).or(lines.last()).map_or_else(|| "no log".into(), Clone::clone),
            log: self.program.log.clone(),
        }
    }
}

/// The default period of a CPU limit in Linux.
const PERIOD: Duration = Duration::from_millis(100);

/// Stops and continues a process in turn until dropped.
#[derive(Debug)]
struct Throttle {
    percent: u8,
    end: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Throttle {
    fn start(process: OwnedFd, percent: u8) -> io::Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let still = PERIOD * u32::from(percent) / 100;
        let send = move |signal| pidfd_send_signal(&process, signal).is_ok();
        let work = move || {
            let over = |time| ended.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
            loop {
                let lives = send(Signal::STOP);
                let over = over(still) || !lives || !send(Signal::CONT) || over(PERIOD - still);
                if over {
                    send(Signal::CONT);
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("throttle".into()).spawn(work)?;
        Ok(Self { percent, end, thread: Some(thread) })
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // The thread may have ended with its process.
        let _ = self.end.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Stops processes: sends SIGTERM to all, waits for all within [`GRACE`], kills the rest.
pub(crate) fn stop_all<'a>(processes: impl IntoIterator<Item = &'a mut Process>) {
    let asked: Vec<_> = processes
        .into_iter()
        .inspect(|process| {
            process.signal(Signal::TERM);
            // A frozen process handles the signal only after it continues.
            process.signal(Signal::CONT);
        })
        .collect();
    let deadline = Instant::now() + GRACE;
    for process in asked {
        process.wait_or_kill(deadline);
    }
}

/// The most bytes of a log that are read.
const TAIL: u64 = 16 << 10;

/// The last lines of a file, from its last 16 KiB; empty if it cannot be read.
fn tail(path: &Path, lines: usize) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(TAIL);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        // The process may write on.
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_an_end_is_cut() {
        let last = tail(Path::new("/dev/zero"), 5);
        assert_eq!(last.iter().map(String::len).collect::<Vec<_>>(), [TAIL as usize]);
    }
}
