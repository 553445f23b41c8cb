//! What the mesh was when it started, and before each change since then. Pure.

use std::collections::{BTreeMap, VecDeque};

use super::authorities::Authorities;
use crate::process::child::Condition;
use crate::topology::Topology;

/// The number of changes that can be undone one by one.
const KEPT: usize = 100;

/// Everything that actions change.
#[derive(Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) topology: Topology,
    pub(super) authorities: Authorities,
    /// By the name of the process.
    pub(super) conditions: BTreeMap<String, Condition>,
}

/// The mesh as it started, and before each change since then.
pub(super) struct History {
    pub(super) start: Snapshot,
    /// The words of an action, and the mesh before it.
    pub(super) changes: VecDeque<(String, Snapshot)>,
}

impl History {
    /// The history of a mesh that starts, with the names of its processes.
    pub(super) fn new(
        topology: Topology,
        authorities: Authorities,
        processes: impl Iterator<Item = String>,
    ) -> Self {
        let conditions = processes.map(|name| (name, Condition::Runs)).collect();
        let start = Snapshot { topology, authorities, conditions };
        Self { start, changes: VecDeque::new() }
    }

    pub(super) fn push(&mut self, words: String, before: Snapshot) {
        if self.changes.len() == KEPT {
            self.changes.pop_front();
        }
        self.changes.push_back((words, before));
    }
}
