//! Changes of a running mesh: stopping and starting processes, replacing certificates. Each
//! change returns once it is in force.

use super::authorities::Trust;
use super::files;
use super::ready;
use super::running::Mesh;
use crate::error::Error;
use crate::process::child::{Process, stop_all};
use crate::topology::Pod;

impl Mesh {
    /// Stops a process with SIGTERM, as `kubectl delete pod` does.
    ///
    /// # Errors
    /// If no process has this name.
    pub fn stop_process(&mut self, name: &str) -> Result<(), Error> {
        stop_all([self.process_mut(name)?]);
        Ok(())
    }

    /// Kills a process, as a crash does.
    ///
    /// # Errors
    /// If no process has this name.
    pub fn kill_process(&mut self, name: &str) -> Result<(), Error> {
        self.process_mut(name)?.kill();
        Ok(())
    }

    /// Kills all processes of a pod such as `gke1/echo2`, as the loss of its node does. The
    /// pod stays in the endpoints.
    ///
    /// # Errors
    /// If the pod does not exist.
    pub fn kill_pod(&mut self, pod: &str) -> Result<(), Error> {
        let belongs = |process: &&mut Process| {
            format!("{}/{}", process.program.cluster, process.program.pod) == pod
        };
        let mut found = false;
        for process in self.processes.iter_mut().filter(belongs) {
            process.kill();
            found = true;
        }
        if found { Ok(()) } else { Err(self.no_such_process(pod)) }
    }

    /// Starts a stopped process, and waits until it is ready.
    ///
    /// # Errors
    /// If no process has this name, or it does not start.
    pub fn start_process(&mut self, name: &str) -> Result<(), Error> {
        self.restart(|process| process.program.name == name)?;
        self.process(name).map(|_| ())
    }

    /// Gives every workload a new certificate of the same authority, as Istio does before the
    /// old ones expire. Connections stay open.
    ///
    /// # Errors
    /// If certificates cannot be made or written.
    pub fn renew_certificates(&self) -> Result<(), Error> {
        self.topology.clusters.iter().try_for_each(|cluster| self.write_secrets(&cluster.name))
    }

    /// Gives a cluster another root, which the other clusters do not trust. Its Envoys restart,
    /// as after `kubectl rollout restart`, because open connections would keep working.
    ///
    /// # Errors
    /// If the cluster does not exist, certificates cannot be made, or an Envoy does not start
    /// again.
    pub fn swap_root(&mut self, cluster: &str, trust: Trust) -> Result<(), Error> {
        self.authorities.new_root(cluster, trust)?;
        self.write_secrets(cluster)?;
        let with_secrets: Vec<_> = self
            .topology
            .cluster(cluster)
            .into_iter()
            .flat_map(|cluster| &cluster.pods)
            .filter(|pod| files::needs_secrets(pod))
            .map(Pod::envoy_admin)
            .collect();
        self.restart(|process| with_secrets.contains(&process.program.admin))
    }

    fn write_secrets(&self, cluster: &str) -> Result<(), Error> {
        let found = self.topology.cluster(cluster);
        let cluster = found.ok_or_else(|| self.no_such_cluster(cluster))?;
        cluster.pods.iter().try_for_each(|pod| {
            files::write_secrets(&self.authorities, cluster, pod, self.folder.path())
        })
    }

    /// Restarts the `chosen` processes, and waits until they are ready.
    pub(crate) fn restart(&mut self, chosen: impl Fn(&Process) -> bool) -> Result<(), Error> {
        let mut those: Vec<_> = self.processes.iter_mut().filter(|p| chosen(p)).collect();
        stop_all(those.iter_mut().map(|process| &mut **process));
        for process in &mut those {
            process.start_again(&self.tools.launcher)?;
        }
        ready::wait_for_processes(those, &self.http, &|| false)
    }

    fn process_mut(&mut self, name: &str) -> Result<&mut Process, Error> {
        match self.processes.iter().position(|process| process.program.name == name) {
            Some(index) => Ok(&mut self.processes[index]),
            None => Err(self.no_such_process(name)),
        }
    }
}
