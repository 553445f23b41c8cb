//! `undo` and `reset`: performs actions so that they can be undone, and makes the mesh what it
//! was.

use std::collections::BTreeMap;

use super::action::{Action, Switch};
use super::files;
use super::history::Snapshot;
use super::ready;
use super::running::Mesh;
use crate::error::Error;
use crate::process::child::{Condition, Process, stop_all};
use crate::topology::{Pod, Topology};

impl Mesh {
    /// Performs the action that these words name, so that it can be undone. Returns once it is in
    /// force, with what there is to say: what `undo` has taken back, or that nothing changed.
    ///
    /// # Errors
    /// If the words are not an action, or as [`Mesh::perform`]. What an action has changed before
    /// it failed can be undone too.
    pub fn act(&mut self, words: &[String]) -> Result<Option<String>, Error> {
        let action = Action::parse(words).map_err(Error::NotDone)?;
        match action {
            Action::Undo => self.undo().map(Some),
            Action::Reset => self.reset().map(Some),
            action => {
                let before = self.snapshot();
                let done = self.perform(&action);
                // An action that changed nothing is not worth an undo.
                let changed = self.snapshot() != before;
                if changed {
                    self.history.push(words.join(" "), before);
                }
                done.map(|()| self.without_effect(&action, changed))
            }
        }
    }

    /// What there is to say about an action that has no effect.
    fn without_effect(&self, action: &Action, changed: bool) -> Option<String> {
        match action {
            Action::Failover { service, switch: Switch::On } if !self.ejects(service) => {
                let said = if changed { "no effect yet" } else { "nothing changed" };
                Some(format!(
                    "{said}: failover needs outlier detection; run localmesh do outlier {service} on"
                ))
            }
            // Afterwards, the pods are what they were.
            Action::Restart { .. } => None,
            _ if changed => None,
            _ => Some("nothing changed: the mesh was already in this state".into()),
        }
    }

    /// Whether a service has outlier detection.
    fn ejects(&self, service: &str) -> bool {
        let mut services = self.topology.services.iter();
        services.any(|known| known.name == service && known.policy.outlier.is_some())
    }

    /// Takes back the last change. Returns what it was.
    pub(super) fn undo(&mut self) -> Result<String, Error> {
        let Some((words, before)) = self.history.changes.pop_back() else {
            return Err(Error::NothingToUndo);
        };
        let done = self.restore(&before);
        let said = format!("undone: {words}");
        if done.is_err() {
            self.history.push(words, before);
        }
        done.map(|()| said)
    }

    /// Takes back all changes, and starts what has ended by itself.
    pub(super) fn reset(&mut self) -> Result<String, Error> {
        let start = self.history.start.clone();
        self.restore(&start)?;
        // A killed process is known to have ended once the last of its threads has, maybe only now.
        let all = ready::wait_for_processes(&mut self.processes, &self.http, &|| false);
        if matches!(all, Err(Error::Died { .. })) {
            self.restore(&start)?;
        }
        ready::wait_for_paths(&self.topology, &self.http, &|| false)?;
        self.history.changes.clear();
        Ok("the mesh is as it was when it started".into())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let conditions = self.processes.iter();
        let conditions = conditions.map(|p| (p.program.name.clone(), p.condition())).collect();
        Snapshot {
            topology: self.topology.clone(),
            authorities: self.authorities.clone(),
            conditions,
        }
    }

    /// Makes the mesh what it was. Processes that shall run do so first, because pods and
    /// settings change only with their help; others are ended, frozen or throttled last.
    pub(super) fn restore(&mut self, then: &Snapshot) -> Result<(), Error> {
        self.restore_cuts(&then.topology)?;
        self.revive(&then.conditions)?;
        self.restore_pods(&then.topology)?;
        self.restore_certificates(then)?;
        self.topology = then.topology.clone();
        self.publish()?;
        for process in &mut self.processes {
            let Some(condition) = then.conditions.get(&process.program.name) else { continue };
            match condition {
                condition if *condition == process.condition() => {}
                Condition::Runs => {}
                Condition::Frozen => process.freeze(true),
                Condition::Throttled(percent) => process.throttle(*percent)?,
                Condition::Ended => stop_all([process]),
            }
        }
        Ok(())
    }

    fn restore_cuts(&mut self, then: &Topology) -> Result<(), Error> {
        let Some(isolation) = &self.isolation else { return Ok(()) };
        for (one, other) in self.topology.cuts.symmetric_difference(&then.cuts) {
            isolation.cut(one, other, then.cuts.contains(&(one.clone(), other.clone())))?;
        }
        self.topology.cuts.clone_from(&then.cuts);
        Ok(())
    }

    /// Starts, thaws and no longer throttles the processes that were in another condition, unless
    /// they had ended.
    fn revive(&mut self, then: &BTreeMap<String, Condition>) -> Result<(), Error> {
        let mut revived = Vec::new();
        for process in &mut self.processes {
            // Notices an end that nobody has reported yet.
            process.unexpected_end();
            let (was, is) = (then.get(&process.program.name), process.condition());
            if matches!(was, None | Some(Condition::Ended)) || was == Some(&is) {
                continue;
            }
            match is {
                Condition::Runs => continue,
                Condition::Frozen => process.freeze(false),
                Condition::Throttled(_) => process.throttle(0)?,
                Condition::Ended => process.start_again(&self.tools.launcher)?,
            }
            revived.push(process);
        }
        ready::wait_for_processes(revived, &self.http, &|| false)
    }

    /// Scales each workload to the pods that it had.
    fn restore_pods(&mut self, then: &Topology) -> Result<(), Error> {
        for (at, cluster) in then.clusters.iter().enumerate() {
            for (index, service) in then.services.iter().enumerate() {
                let pods = cluster.echoes(index).count();
                if self.topology.clusters[at].echoes(index).count() != pods {
                    let workload = format!("{}/{}", cluster.name, service.name);
                    self.scale(&workload, u8::try_from(pods).unwrap_or(u8::MAX))?;
                }
            }
        }
        Ok(())
    }

    /// Gives certificates of the earlier authority and account to the pods that have others.
    /// Their Envoys restart, because open connections would keep the present certificate.
    fn restore_certificates(&mut self, then: &Snapshot) -> Result<(), Error> {
        let mut changed = Vec::new();
        for cluster in &then.topology.clusters {
            let authority = self.authorities.same_in(&cluster.name, &then.authorities);
            let present = self.topology.cluster(&cluster.name);
            for pod in cluster.pods.iter().filter(|pod| files::needs_secrets(pod)) {
                let same = |other: &Pod| other.label == pod.label && other.account == pod.account;
                let account = present.is_some_and(|cluster| cluster.pods.iter().any(same));
                if !authority || !account {
                    files::write_secrets(&then.authorities, cluster, pod, self.folder.path())?;
                    changed.push(pod.envoy_admin());
                }
            }
        }
        let runs = |process: &Process| process.pid().is_some();
        self.restart(|process| runs(process) && changed.contains(&process.program.admin))?;
        self.authorities = then.authorities.clone();
        Ok(())
    }
}
