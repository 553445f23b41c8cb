//! The hidden command `localmesh guard`: becomes another program that the
//! kernel kills when localmesh ends, however it ends. So there are no orphans
//! even after `kill -9`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Enters a network namespace; part of util-linux.
pub(crate) const ENTER: &str = "nsenter";

/// A command that becomes `program` and dies with this process (rather, with
/// this thread).
pub(crate) fn guarded(launcher: &Path, program: &Path) -> Command {
    let mut command = Command::new(launcher);
    command.args(["guard", "--parent", &std::process::id().to_string(), "--"]).arg(program);
    command
}

/// The same in a network namespace, if `namespace` leads to one.
pub(crate) fn guarded_in(launcher: &Path, namespace: Option<&Path>, program: &Path) -> Command {
    let Some(namespace) = namespace else { return guarded(launcher, program) };
    let mut command = guarded(launcher, Path::new(ENTER));
    command.arg(format!("--net={}", namespace.display())).arg(program);
    command
}

/// Becomes `command`. Returns only if that fails.
///
/// `parent` is the process whose end ends this one. The kernel reports only
/// ends that come after it was asked to, so a parent already gone is looked
/// for once more.
#[must_use]
pub fn become_program(parent: u32, command: &[OsString]) -> io::Error {
    let Some((program, args)) = command.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no program to run");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    let current = getppid().map(Pid::as_raw_nonzero);
    if current.map(|pid| pid.get().unsigned_abs()) != Some(parent) {
        return io::Error::other("the mesh that this belongs to is gone");
    }
    Command::new(program).args(args).exec()
}
