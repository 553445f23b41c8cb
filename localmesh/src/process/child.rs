//! Child processes that never outlive the mesh: started behind
//! [`guard`](crate::guard), stopped within a bound, logs to files.
//!
//! The kernel ties a child to the *thread* that started it: start children
//! only from a thread that lives as long as the mesh.

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

/// How long children may take to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How often a child is looked at while something is waited for.
const POLL: Duration = Duration::from_millis(5);

/// A program of the mesh, and its process while it has one.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) program: Program,
    child: Option<Child>,
    ended: Option<ExitStatus>,
    frozen: bool,
    throttle: Option<Throttle>,
}

impl Process {
    /// Starts the program behind the guard that `launcher` has.
    pub(crate) fn start(launcher: &Path, program: Program) -> Result<Self, Error> {
        let mut process = Self { program, child: None, ended: None, frozen: false, throttle: None };
        process.start_again(launcher)?;
        Ok(process)
    }

    /// Starts the program, which must not run now.
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
            // A ctrl-c of the terminal must reach localmesh only, which stops
            // the mesh in order.
            .process_group(0)
            .spawn()
            .map_err(|reason| Error::Spawn { name: name.clone(), reason })?;
        self.child = Some(child);
        self.ended = None;
        self.frozen = false;
        Ok(())
    }

    /// The process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How it ended, if it did so without being asked to. Says it once.
    pub(crate) fn unexpected_end(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        self.ended = Some(status);
        Some(status)
    }

    /// Sends a signal, if the process still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // It may have ended by itself; then there is nobody to signal.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Whether it has ended because somebody of the mesh wanted it to.
    pub(crate) fn asked_to_end(&self) -> bool {
        self.child.is_none() && self.ended.is_none()
    }

    /// Whether it runs, so that it hears what it is told.
    pub(crate) fn hears(&self) -> bool {
        self.child.is_some() && !self.frozen
    }

    /// Lets it hang, or go on.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.throttle = None;
        self.frozen = frozen;
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Lets it stand still for so many percent of each [`PERIOD`]; 0 ends that.
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
            // Not the number, which the system may give to another process after the end.
            let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
                .map_err(|errno| failed(errno.into()))?;
            self.throttle = Some(Throttle::start(process, percent).map_err(failed)?);
        }
        Ok(())
    }

    /// Waits for the end until `deadline`, then kills.
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

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.wait_or_kill(Instant::now());
    }

    /// The last `lines` lines of its log.
    pub(crate) fn log_tail(&self, lines: usize) -> Vec<String> {
        tail(&self.program.log, lines)
    }

    /// The error of a process that ended while the mesh started.
    pub(crate) fn died(&self, status: ExitStatus) -> Error {
        // A backtrace may follow the line that tells.
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

/// The period of a CPU limit in Linux.
const PERIOD: Duration = Duration::from_millis(100);

/// Stops and continues a process by turns until dropped.
#[derive(Debug)]
struct Throttle {
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
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // It may have ended with its process.
        let _ = self.end.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Stops processes: asks all, waits for all within one bound, kills the rest.
pub(crate) fn stop_all<'a>(processes: impl IntoIterator<Item = &'a mut Process>) {
    let asked: Vec<_> = processes
        .into_iter()
        .inspect(|process| {
            process.signal(Signal::TERM);
            // A frozen process hears nothing until it goes on.
            process.signal(Signal::CONT);
        })
        .collect();
    let deadline = Instant::now() + GRACE;
    for process in asked {
        process.wait_or_kill(deadline);
    }
}

/// The last `lines` lines of a file, of its last 16 KiB; none if it cannot be read.
fn tail(path: &Path, lines: usize) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let start = file.metadata()?.len().saturating_sub(16 * 1024);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}
