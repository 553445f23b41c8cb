//! Who signs for whom: a shared root, an intermediate authority per cluster,
//! and the roots that each cluster trusts. Holds keys in memory only.

use certs::{Authority, KeyKind, SpiffeId, WORKLOAD_VALIDITY, Workload};

use crate::error::Error;
use crate::topology::{Pod, TRUST_DOMAIN, Topology};

/// Elliptic curves, not Istio's RSA: a mesh needs a dozen keys at every start,
/// and RSA 4096 takes seconds for one. What is tested here, who trusts whom,
/// does not depend on the kind of key.
const KEYS: KeyKind = KeyKind::EcdsaP256;

/// Which roots a cluster trusts after it got a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The new root only: its clients refuse the other clusters' servers.
    NewRoot,
    /// The old one too, as in the middle of a rotation: its clients accept the
    /// others' servers, which refuse its clients.
    BothRoots,
}

/// The authorities of all clusters, in the topology's order.
pub(crate) struct Authorities {
    clusters: Vec<ClusterAuthority>,
}

struct ClusterAuthority {
    name: String,
    issuer: Authority,
    trusted: String,
}

impl Authorities {
    /// A new root, and an intermediate of it for each cluster.
    pub(crate) fn new(topology: &Topology) -> Result<Self, Error> {
        let root = Authority::root(KEYS)?;
        let clusters = topology.clusters.iter().map(|cluster| {
            Ok(ClusterAuthority {
                name: cluster.name.clone(),
                issuer: root.intermediate(&cluster.name, KEYS)?,
                trusted: root.certificate_pem().to_owned(),
            })
        });
        Ok(Self { clusters: clusters.collect::<Result<_, Error>>()? })
    }

    /// Gives one cluster a root of its own.
    pub(crate) fn new_root(&mut self, cluster: &str, trust: Trust) -> Result<(), Error> {
        let root = Authority::root(KEYS)?;
        let authority = self
            .clusters
            .iter_mut()
            .find(|authority| authority.name == cluster)
            .ok_or_else(|| Error::NoSuchCluster(cluster.to_owned()))?;
        authority.issuer = root.intermediate(cluster, KEYS)?;
        let old = std::mem::replace(&mut authority.trusted, root.certificate_pem().to_owned());
        if trust == Trust::BothRoots {
            authority.trusted.push_str(&old);
        }
        Ok(())
    }

    /// A new certificate for a pod, with the roots that it shall trust.
    pub(crate) fn issue(&self, cluster: &str, pod: &Pod) -> Result<Workload, Error> {
        let authority = self
            .clusters
            .iter()
            .find(|authority| authority.name == cluster)
            .ok_or_else(|| Error::NoSuchCluster(cluster.to_owned()))?;
        let id = SpiffeId::new(TRUST_DOMAIN, &pod.namespace, &pod.account)?;
        let mut workload = authority.issuer.workload(&id, KEYS, WORKLOAD_VALIDITY)?;
        workload.root_pem.clone_from(&authority.trusted);
        Ok(workload)
    }
}
