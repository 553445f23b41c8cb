//! The hidden command `localmesh guard`: replaces itself by a program that the kernel kills
//! when localmesh ends in any way. No process is left over, even after `kill -9`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Enters a network namespace; part of util-linux.
pub(crate) const ENTER: &str = "nsenter";

/// A command that runs `program` and ends with this thread.
pub(crate) fn guarded(launcher: &Path, program: &Path) -> Command {
    let mut command = Command::new(launcher);
    command.args(["guard", "--parent", &std::process::id().to_string(), "--"]).arg(program);
    command
}

/// The same, in the network namespace at the path `namespace` if it is given.
pub(crate) fn guarded_in(launcher: &Path, namespace: Option<&Path>, program: &Path) -> Command {
    let Some(namespace) = namespace else { return guarded(launcher, program) };
    let mut command = guarded(launcher, Path::new(ENTER));
    command.arg(format!("--net={}", namespace.display())).arg(program);
    command
}

/// Replaces this process by `command`. Returns only if that fails.
///
/// This process ends when the process `parent` ends. The kernel only reports an end after the
/// request, so this checks afterwards whether the parent is still there.
#[must_use]
pub fn become_program(parent: u32, command: &[OsString]) -> io::Error {
    let Some((program, args)) = command.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "the program to run is missing");
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    let current = getppid().map(Pid::as_raw_nonzero);
    if current.map(|pid| pid.get().unsigned_abs()) != Some(parent) {
        return io::Error::other("the mesh that started this process has ended");
    }
    Command::new(program).args(args).exec()
}
