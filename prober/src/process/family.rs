//! A command together with all that it starts: they end together, also if prober is killed.
//!
//! What a command starts is found in three ways: by its process group, by its descendants, and by a
//! variable in the environment, which a daemon inherits that left both.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Waits for a line, which says that the command has ended. Without one, prober has been killed, and
/// the command's process group is killed, too, and then all processes that carry the mark. The second
/// round finds what they started meanwhile.
const GUARD: &str = "read -r _ && exit
kill -s KILL -- \"-$0\"
for _ in 1 2; do
    grep -lsF -- \"$1\" /proc/[0-9]*/environ | while IFS=/ read -r _ _ id _; do
        kill -s KILL \"$id\"
    done
done";

/// The variable with the marks of a process: a prober that another one started adds its own.
const VARIABLE: &str = "PROBER_FAMILY";

/// A word in the environment of a command, which all that it starts inherit.
#[derive(Debug)]
pub(crate) struct Mark(String);

impl Mark {
    /// Prepares a command to lead a family: in a process group of its own, with a mark, without stdin.
    pub(crate) fn put(command: &mut Command) -> Self {
        let mark = Self(format!("{:016x}", RandomState::new().hash_one(std::process::id())));
        let mut marks = std::env::var_os(VARIABLE).unwrap_or_default();
        if !marks.is_empty() {
            marks.push(" ");
        }
        marks.push(&mark.0);
        command.env(VARIABLE, marks).process_group(0).stdin(Stdio::null());
        mark
    }

    /// The processes that carry it.
    fn carriers(&self) -> Vec<Pid> {
        let carries = |process: &Pid| {
            // The kernel limits it to a quarter of the stack.
            let environment = fs::read(format!("/proc/{}/environ", process.as_raw_nonzero()));
            environment
                .is_ok_and(|text| text.windows(self.0.len()).any(|at| at == self.0.as_bytes()))
        };
        processes().filter(carries).collect()
    }
}

/// Kills a command and all that it started when dropped, unless it is released before.
#[derive(Debug)]
pub(crate) struct Family {
    leader: Option<Pid>,
    mark: Mark,
    /// A shell that outlives prober, if one could start.
    guard: Option<Child>,
}

impl Family {
    /// The family of a process that leads a process group of its own and carries the mark.
    pub(crate) fn of(leader: u32, mark: Mark) -> Self {
        let leader = i32::try_from(leader).ok().and_then(Pid::from_raw);
        let guard = leader.and_then(|leader| {
            Command::new("sh")
                .args(["-c", GUARD, &leader.as_raw_nonzero().to_string(), &mark.0])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // Ctrl-C in the terminal must not reach it.
                .process_group(0)
                .spawn()
                .ok()
        });
        Self { leader, mark, guard }
    }

    /// The command has ended by itself; what it left in the background goes on.
    pub(crate) fn release(mut self) {
        self.leader = None;
    }

    /// Whether any of them is stopped, such as by asking for a password: the terminal is not theirs.
    pub(crate) fn is_stopped(&self) -> bool {
        let members = self.leader.map(members).unwrap_or_default();
        members.into_iter().any(|member| stat(member).is_some_and(|stat| stat.state == 'T'))
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // Found before the kill, which makes orphans of them.
            let members = members(leader);
            let _ = kill_process_group(leader, Signal::KILL);
            // Those that left the group.
            for member in members {
                let _ = kill_process(member, Signal::KILL);
            }
            // Those that have no parent here, and what they started meanwhile.
            for _ in 0..2 {
                for carrier in self.mark.carriers() {
                    let _ = kill_process(carrier, Signal::KILL);
                }
            }
        }
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut stdin) = guard.stdin.take() {
                let _ = stdin.write_all(b"\n");
            }
            let _ = guard.wait();
        }
    }
}

pub(super) struct Stat {
    pub(super) state: char,
    parent: i32,
}

pub(super) fn stat(process: Pid) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    read_stat(&text)
}

/// Reads `PID (NAME) STATE PARENT …`. The name may contain anything.
fn read_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?.chars().next()?;
    Some(Stat { state, parent: words.next()?.parse().ok()? })
}

/// All processes that can be seen here.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// A process and its descendants.
fn members(leader: Pid) -> Vec<Pid> {
    let parents: Vec<(Pid, i32)> =
        processes().filter_map(|process| Some((process, stat(process)?.parent))).collect();
    let mut known = BTreeSet::from([leader.as_raw_nonzero().get()]);
    let mut found = vec![leader];
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|parent| parent.as_raw_nonzero().get()) {
        for (process, _) in parents.iter().filter(|(_, of)| *of == parent) {
            if known.insert(process.as_raw_nonzero().get()) {
                found.push(*process);
            }
        }
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stat_is_read_whatever_the_name_of_the_program() {
        for text in ["7 (sh) S 3 7 7", "7 (a) b) S 3 7", "7 ((x) R 1) S 3"] {
            let stat = read_stat(text).unwrap();
            assert_eq!((stat.state, stat.parent), ('S', 3), "{text}");
        }
        for bad in ["", "7 sh S 3", "7 (sh)", "7 (sh) S", "7 (sh) S x"] {
            assert!(read_stat(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_stat_panics(text in "\\PC{0,40}") {
            let _ = read_stat(&text);
        }
    }
}
