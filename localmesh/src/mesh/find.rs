//! Finds what actions name in a running mesh. An error lists what exists.

use super::running::Mesh;
use crate::error::Error;
use crate::process::child::Process;
use crate::process::programs::Kind;
use crate::topology::Pod;

/// The indexes of a pod in the topology.
pub(super) struct PodPlace {
    pub(super) cluster: usize,
    pub(super) pod: usize,
}

/// The indexes of a workload: a service in one cluster.
pub(super) struct Workload {
    pub(super) cluster: usize,
    pub(super) service: usize,
}

impl Mesh {
    /// The processes that `target` names; at least one.
    pub(super) fn matching(&mut self, target: &str) -> Result<Vec<&mut Process>, Error> {
        let unknown = self.no_such_target(target);
        let chosen: Vec<_> =
            self.processes.iter_mut().filter(|process| belongs(process, target)).collect();
        if chosen.is_empty() { Err(unknown) } else { Ok(chosen) }
    }

    pub(super) fn no_such_target(&self, name: &str) -> Error {
        let clusters = self.topology.clusters.iter().map(|cluster| cluster.name.clone());
        let pods = self.topology.clusters.iter().flat_map(|cluster| {
            cluster.pods.iter().map(|pod| format!("{}/{}", cluster.name, pod.label))
        });
        let known: Vec<_> = clusters.chain(pods).collect();
        Error::NoSuchTarget { name: name.to_owned(), known: known.join(", ") }
    }

    pub(super) fn find_pod(&self, name: &str) -> Result<PodPlace, Error> {
        let is = |cluster: &str, pod: &Pod| name == format!("{cluster}/{}", pod.label);
        let mut clusters = self.topology.clusters.iter().enumerate();
        clusters
            .find_map(|(at, cluster)| {
                let pod = cluster.pods.iter().position(|pod| is(&cluster.name, pod))?;
                Some(PodPlace { cluster: at, pod })
            })
            .ok_or_else(|| self.no_such_target(name))
    }

    pub(super) fn find_workload(&self, name: &str) -> Result<Workload, Error> {
        let found = name.split_once('/').and_then(|(cluster, service)| {
            let at = self.topology.clusters.iter().position(|c| c.name == cluster)?;
            let service = self.topology.services.iter().position(|s| s.name == service)?;
            Some(Workload { cluster: at, service })
        });
        found.ok_or_else(|| {
            let known: Vec<_> = self
                .topology
                .clusters
                .iter()
                .flat_map(|c| {
                    self.topology.services.iter().map(move |s| format!("{}/{}", c.name, s.name))
                })
                .collect();
            Error::NoSuchWorkload { name: name.to_owned(), known: known.join(", ") }
        })
    }

    pub(super) fn known_service(&self, name: &str) -> Result<usize, Error> {
        let services = &self.topology.services;
        services.iter().position(|service| service.name == name).ok_or_else(|| {
            let known: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
            Error::NoSuchService { name: name.to_owned(), known: known.join(", ") }
        })
    }

    pub(super) fn known_cluster(&self, name: &str) -> Result<usize, Error> {
        let place = self.topology.clusters.iter().position(|cluster| cluster.name == name);
        place.ok_or_else(|| self.no_such_cluster(name))
    }

    pub(super) fn no_such_cluster(&self, name: &str) -> Error {
        Error::no_such_cluster(name, self.topology.clusters.iter().map(|cluster| &cluster.name))
    }

    pub(super) fn known_clusters(&self, weights: &[(String, u32)]) -> Result<(), Error> {
        weights.iter().try_for_each(|(name, _)| self.known_cluster(name).map(|_| ()))
    }
}

/// Whether `target` names this process, its pod or its cluster.
pub(super) fn belongs(process: &Process, target: &str) -> bool {
    let program = &process.program;
    let mut parts = target.splitn(3, '/');
    if parts.next() != Some(program.cluster.as_str()) {
        return false;
    }
    if parts.next().is_some_and(|pod| pod != program.pod) {
        return false;
    }
    parts.next().is_none_or(|part| match program.kind {
        Kind::Echo => part == "app",
        Kind::Envoy => part == "sidecar",
    })
}
