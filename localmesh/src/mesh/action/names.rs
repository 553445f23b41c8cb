//! What actions name, checked against the shape of a mesh. Pure.

use super::{Action, MirrorTo};
use crate::topology::{MAX_REPLICAS, Topology};

/// Something that an action names.
enum Named<'a> {
    /// A cluster, a pod or a process.
    Target(&'a str),
    Pod(&'a str),
    /// A service in one cluster.
    Workload(&'a str),
    Service(&'a str),
    Cluster(&'a str),
}

impl Action {
    /// Checks that everything it names can exist in a mesh of this shape, including pods that a
    /// workload can be scaled to.
    ///
    /// # Errors
    /// One line that names what does not exist.
    pub fn check(&self, topology: &Topology) -> Result<(), String> {
        self.named().into_iter().try_for_each(|named| known(&named, topology))
    }

    fn named(&self) -> Vec<Named<'_>> {
        match self {
            Self::Kill { target }
            | Self::Stop { target }
            | Self::Start { target }
            | Self::Freeze { target }
            | Self::Thaw { target }
            | Self::Throttle { target, .. }
            | Self::Locality { target, .. } => vec![Named::Target(target)],
            Self::Unready { pod }
            | Self::Ready { pod }
            | Self::Drain { pod }
            | Self::Account { pod, .. }
            | Self::Delay { pod, .. }
            | Self::Abort { pod, .. } => vec![Named::Pod(pod)],
            Self::Scale { workload, .. } | Self::Restart { workload, .. } => {
                vec![Named::Workload(workload)]
            }
            Self::Split { service, weights } | Self::Distribute { service, weights } => {
                let clusters = weights.0.iter().map(|(name, _)| Named::Cluster(name));
                std::iter::once(Named::Service(service)).chain(clusters).collect()
            }
            Self::Failover { service, .. }
            | Self::Mtls { service, .. }
            | Self::Retries { service, .. }
            | Self::San { service, .. } => vec![Named::Service(service)],
            Self::Outlier(args) => vec![Named::Service(&args.service)],
            Self::Balancer(args) => vec![Named::Service(&args.service)],
            Self::Breaker(args) => vec![Named::Service(&args.service)],
            Self::Mirror(args) => {
                let to = match &args.to {
                    MirrorTo::Off => None,
                    MirrorTo::Destination(to) => Some(to),
                };
                let service = to.map(|to| Named::Service(&to.service));
                let subset = to.and_then(|to| to.subset.as_deref()).map(Named::Cluster);
                std::iter::once(Named::Service(&args.service))
                    .chain(service)
                    .chain(subset)
                    .collect()
            }
            Self::Undo | Self::Reset => Vec::new(),
            Self::SwapRoot { cluster, .. } | Self::OutboundTraffic { cluster, .. } => {
                vec![Named::Cluster(cluster)]
            }
            Self::Cut { one, other } | Self::Mend { one, other } => {
                vec![Named::Cluster(one), Named::Cluster(other)]
            }
            Self::DestinationRule { cluster, service, .. } => {
                vec![Named::Cluster(cluster), Named::Service(service)]
            }
            Self::RemoteSecret { cluster, of, .. } => {
                vec![Named::Cluster(cluster), Named::Cluster(of)]
            }
        }
    }
}

fn known(named: &Named<'_>, topology: &Topology) -> Result<(), String> {
    let service = |name: &str| topology.services.iter().any(|service| service.name == name);
    let replica = |label: &str| {
        let number = label.rsplit_once('-').and_then(|(name, n)| Some((name, n.parse().ok()?)));
        number.is_some_and(|(name, n): (&str, u8)| service(name) && (2..=MAX_REPLICAS).contains(&n))
    };
    let pod = |path: &str| {
        path.split_once('/').is_some_and(|(cluster, label)| {
            topology.cluster(cluster).is_some_and(|cluster| {
                cluster.pods.iter().any(|pod| pod.label == label) || replica(label)
            })
        })
    };
    match named {
        Named::Cluster(name) if topology.cluster(name).is_none() => {
            Err(format!("unknown cluster '{name}'"))
        }
        Named::Service(name) if !service(name) => Err(format!("unknown service '{name}'")),
        Named::Workload(name) => match name.split_once('/') {
            Some((cluster, of)) if topology.cluster(cluster).is_some() && service(of) => Ok(()),
            _ => Err(format!("unknown workload '{name}'")),
        },
        Named::Pod(name) if !pod(name) => Err(format!("unknown cluster, pod or process '{name}'")),
        Named::Target(name) => {
            let part = name.rsplit_once('/').filter(|(_, end)| ["app", "sidecar"].contains(end));
            let whole = part.map_or(*name, |(pod, _)| pod);
            match topology.cluster(whole).is_some() || pod(whole) {
                true => Ok(()),
                false => Err(format!("unknown cluster, pod or process '{name}'")),
            }
        }
        Named::Cluster(_) | Named::Service(_) | Named::Pod(_) => Ok(()),
    }
}
