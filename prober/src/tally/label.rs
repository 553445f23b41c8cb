//! The labels by which answers are grouped. Pure.

use echo_reply::{Identity, UNKNOWN_CLUSTER};

/// The value of a label that the backend does not state.
pub(crate) const UNKNOWN: &str = "<none>";

/// Whether a label's value says that the backend did not state it.
#[must_use]
pub(crate) fn is_unknown(value: &str) -> bool {
    value == UNKNOWN || value == UNKNOWN_CLUSTER
}

/// A label by which answers are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The default.
    Cluster,
    Pod,
    Namespace,
    Node,
    Zone,
    Region,
    Version,
    /// The remote address of the connection; with a proxy in between, not the backend's.
    Address,
}

impl Label {
    /// All labels with their words.
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

    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(label, _)| *label == self).map_or("cluster", |(_, word)| word)
    }

    /// The value of this label; [`UNKNOWN`] if the backend does not state it. No backend states a
    /// [`Label::Address`].
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
        stated.map_or(UNKNOWN, String::as_str)
    }
}
