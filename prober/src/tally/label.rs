//! What answers can be grouped by. Pure.

use echo_reply::Identity;

/// What answers can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The cluster: the default.
    Cluster,
    /// The pod.
    Pod,
    /// The pod's namespace.
    Namespace,
    /// The node.
    Node,
    /// The zone.
    Zone,
    /// The region.
    Region,
    /// The workload's version.
    Version,
    /// The address that the connection led to: not the backend's, where a proxy is between.
    Address,
}

impl Label {
    /// All of them, with the word for each.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Cluster, "cluster"),
        (Self::Pod, "pod"),
        (Self::Namespace, "namespace"),
        (Self::Node, "node"),
        (Self::Zone, "zone"),
        (Self::Region, "region"),
        (Self::Version, "version"),
        (Self::Address, "address"),
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(label, _)| *label == self).map_or("cluster", |(_, word)| word)
    }

    /// The value of this label; `<none>` where the backend does not state it. No backend
    /// states an [`Label::Address`].
    #[must_use]
    pub fn of(self, identity: &Identity) -> &str {
        let stated = match self {
            Self::Cluster => Some(&identity.cluster),
            Self::Pod => Some(&identity.pod),
            Self::Namespace => identity.namespace.as_ref(),
            Self::Node => identity.node.as_ref(),
            Self::Zone => identity.zone.as_ref(),
            Self::Region => identity.region.as_ref(),
            Self::Version => identity.version.as_ref(),
            Self::Address => None,
        };
        stated.map_or("<none>", String::as_str)
    }
}
