//! The certificate authorities: a shared root, an intermediate per cluster, and the roots
//! that each cluster trusts. Keys stay in memory.

use std::sync::Arc;

use certs::{Authority, KeyKind, SpiffeId, WORKLOAD_VALIDITY, Workload};

use crate::error::Error;
use crate::topology::{Pod, TRUST_DOMAIN, Topology};

/// Elliptic curves instead of Istio's RSA: a mesh needs a dozen keys at every start, and one
/// RSA 4096 key takes seconds. Which cluster trusts which does not depend on the key type.
const KEYS: KeyKind = KeyKind::EcdsaP256;

/// Which roots a cluster trusts after it got a new root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The new root only: its clients refuse the other clusters' servers.
    NewRoot,
    /// The old root too, as during a rotation: its clients accept the servers of the other
    /// clusters, which refuse its clients.
    BothRoots,
}

/// The authorities of all clusters, in the topology's order.
#[derive(Clone, PartialEq)]
pub(crate) struct Authorities {
    clusters: Vec<ClusterAuthority>,
}

#[derive(Clone)]
struct ClusterAuthority {
    name: String,
    issuer: Arc<Authority>,
    trusted: String,
}

impl PartialEq for ClusterAuthority {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.issuer, &other.issuer) && self.trusted == other.trusted
    }
}

impl Authorities {
    /// Makes a root, and an intermediate for each cluster.
    pub(crate) fn new(topology: &Topology) -> Result<Self, Error> {
        let root = Authority::root(KEYS)?;
        let clusters = topology.clusters.iter().map(|cluster| {
            Ok(ClusterAuthority {
                name: cluster.name.clone(),
                issuer: Arc::new(root.intermediate(&cluster.name, KEYS)?),
                trusted: root.certificate_pem().to_owned(),
            })
        });
        Ok(Self { clusters: clusters.collect::<Result<_, Error>>()? })
    }

    /// Gives one cluster a root of its own.
    pub(crate) fn new_root(&mut self, cluster: &str, trust: Trust) -> Result<(), Error> {
        let root = Authority::root(KEYS)?;
        let at = self.clusters.iter().position(|authority| authority.name == cluster);
        let at = at.ok_or_else(|| self.no_such_cluster(cluster))?;
        let authority = &mut self.clusters[at];
        authority.issuer = Arc::new(root.intermediate(cluster, KEYS)?);
        let old = std::mem::replace(&mut authority.trusted, root.certificate_pem().to_owned());
        if trust == Trust::BothRoots {
            authority.trusted.push_str(&old);
        }
        Ok(())
    }

    /// Whether the certificates of a cluster are the same with `other`.
    pub(crate) fn same_in(&self, cluster: &str, other: &Self) -> bool {
        self.of(cluster) == other.of(cluster)
    }

    fn of(&self, cluster: &str) -> Option<&ClusterAuthority> {
        self.clusters.iter().find(|authority| authority.name == cluster)
    }

    fn no_such_cluster(&self, name: &str) -> Error {
        Error::no_such_cluster(name, self.clusters.iter().map(|authority| &authority.name))
    }

    /// Makes a certificate for a pod, with the roots that it trusts.
    pub(crate) fn issue(&self, cluster: &str, pod: &Pod) -> Result<Workload, Error> {
        let authority = self.of(cluster).ok_or_else(|| self.no_such_cluster(cluster))?;
        let id = SpiffeId::new(TRUST_DOMAIN, &pod.namespace, &pod.account)?;
        let mut workload = authority.issuer.workload(&id, KEYS, WORKLOAD_VALIDITY)?;
        workload.root_pem.clone_from(&authority.trusted);
        Ok(workload)
    }
}
