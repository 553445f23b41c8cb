//! What may stand in a topology file. Keys with two words take a dash.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The services; every cluster knows all of them.
    pub(super) services: Spanned<Vec<ServiceEntry>>,
    /// The clusters, in the order in which they are shown.
    pub(super) clusters: Spanned<Vec<ClusterEntry>>,
}

/// A service: the same in every cluster.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceEntry {
    pub(super) name: Spanned<String>,
    pub(super) namespace: Spanned<String>,
    /// Whether its pods have a sidecar.
    #[serde(default = "yes")]
    pub(super) sidecar: bool,
}

fn yes() -> bool {
    true
}

/// A cluster.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ClusterEntry {
    pub(super) name: Spanned<String>,
    /// Clusters of one network reach each other's pods directly; by default each has its own.
    pub(super) network: Option<Spanned<String>>,
    pub(super) region: Option<Spanned<String>>,
    pub(super) zone: Option<Spanned<String>>,
    /// The public name of its ingress gateways.
    pub(super) host: Option<Spanned<String>>,
    /// The third byte of its addresses, by default its place in the list.
    pub(super) subnet: Option<Spanned<i64>>,
    pub(super) ingress_gateways: Option<Spanned<i64>>,
    pub(super) east_west_gateways: Option<Spanned<i64>>,
    /// The pods of each service; of one that is not named here there are none.
    #[serde(default)]
    pub(super) pods: BTreeMap<String, Spanned<Pods>>,
}

/// The pods of one service in one cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of pods, or a list with the zone of each")]
pub(super) enum Pods {
    /// So many, where the cluster is.
    Count(i64),
    /// One in each of these zones of the cluster's region.
    Zones(Vec<Spanned<String>>),
}
