//! Configures the running Envoys: writes the files that differ from the topology, and waits
//! until the Envoys have loaded them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::files;
use super::running::Mesh;
use crate::envoy_config::dynamic;
use crate::error::Error;
use crate::process::child::Process;
use crate::process::programs::folder;

/// How long an Envoy may take to load a file.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);
/// What an Envoy has loaded but does not use yet.
const WARMING: [&str; 2] =
    ["listener_manager.total_listeners_warming", "cluster_manager.warming_clusters"];
/// The statistics that show whether an Envoy loaded a file: these, and those of the file.
const UPDATES: &str = r"\.update_(success|rejected|failure)$|^listener_manager\.total_listeners_warming$|^cluster_manager\.warming_clusters$";

impl Mesh {
    /// Configures every Envoy as the topology says: writes the files that differ, and waits
    /// until all running Envoys have loaded them.
    pub(crate) fn publish(&mut self) -> Result<(), Error> {
        let mut waits = Vec::new();
        for cluster in &self.topology.clusters {
            for pod in cluster.pods.iter().filter(|pod| pod.has_envoy()) {
                let folder = folder(self.folder.path(), cluster, pod);
                let files = dynamic(&self.topology, cluster, pod, &folder);
                // A frozen or stopped Envoy loads them when it runs again.
                let running = self.processes.iter().find(|process| {
                    process.program.admin == pod.envoy_admin() && process.is_responsive()
                });
                let differs = files.iter().any(|file| !files::holds(file, &folder));
                if !differs {
                    continue;
                }
                let before = running
                    .and_then(|process| self.http.statistics(process.program.admin, UPDATES).ok());
                let changed = files::write_changed(&files, &folder)?;
                if let Some((process, before)) = running.zip(before) {
                    waits.push((process, before, changed));
                }
            }
        }
        let deadline = Instant::now() + PATIENCE;
        // Waits for all Envoys even after a refusal: a late answer must not count for the next change.
        let taken = waits
            .into_iter()
            .map(|(process, before, changed)| self.taken(process, &before, &changed, deadline));
        taken.fold(Ok(()), Result::and)
    }

    /// Waits until an Envoy has loaded its changed files.
    fn taken(
        &self,
        process: &Process,
        before: &BTreeMap<String, u64>,
        changed: &[String],
        deadline: Instant,
    ) -> Result<(), Error> {
        let name = &process.program.name;
        let grown = |now: &BTreeMap<String, u64>, statistic: &str| {
            now.get(statistic).copied().unwrap_or(0) > before.get(statistic).copied().unwrap_or(0)
        };
        loop {
            let now = self.http.statistics(process.program.admin, UPDATES)?;
            for prefix in changed {
                for wrong in ["update_rejected", "update_failure"] {
                    if grown(&now, &format!("{prefix}.{wrong}")) {
                        let log = process.program.log.clone();
                        return Err(Error::Refused { envoy: name.clone(), log });
                    }
                }
            }
            let warm = WARMING.iter().all(|name| now.get(*name).is_none_or(|count| *count == 0));
            let all = changed.iter().all(|prefix| grown(&now, &format!("{prefix}.update_success")));
            if all && warm {
                return Ok(());
            }
            if Instant::now() > deadline {
                let what = format!("{name} has not loaded {}", changed.join(", "));
                return Err(Error::NotReady { what, after: PATIENCE });
            }
            std::thread::sleep(POLL);
        }
    }
}
