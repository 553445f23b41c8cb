//! The keys of a topology file. Keys with two words contain a dash.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Every cluster knows all services.
    pub(super) services: Spanned<Vec<ServiceEntry>>,
    /// In the order of output.
    pub(super) clusters: Spanned<Vec<ClusterEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceEntry {
    pub(super) name: Spanned<String>,
    pub(super) namespace: Spanned<String>,
    #[serde(default = "yes")]
    pub(super) sidecar: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ClusterEntry {
    pub(super) name: Spanned<String>,
    /// By default, each cluster has a network of its own.
    pub(super) network: Option<Spanned<String>>,
    pub(super) region: Option<Spanned<String>>,
    pub(super) zone: Option<Spanned<String>>,
    /// The public name of its ingress gateways.
    pub(super) host: Option<Spanned<String>>,
    /// The third byte of its addresses; by default its position in the list.
    pub(super) subnet: Option<Spanned<i64>>,
    pub(super) ingress_gateways: Option<Spanned<i64>>,
    pub(super) east_west_gateways: Option<Spanned<i64>>,
    /// The pods of each service; a service without an entry has no pods.
    #[serde(default)]
    pub(super) pods: BTreeMap<String, Spanned<Pods>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "write a number of pods, or a list with the zone of each pod")]
pub(super) enum Pods {
    /// A number, all in the zone of the cluster.
    Count(i64),
    /// One pod in each of these zones of the cluster's region.
    Zones(Vec<Spanned<String>>),
}
