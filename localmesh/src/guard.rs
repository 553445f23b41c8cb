//! The hidden command `localmesh guard`: becomes another program that the
//! kernel kills when localmesh ends, however it ends. So there are no orphans
//! even after `kill -9`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

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
