//! Who answered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Printed if the cluster is not known.
pub const UNKNOWN_CLUSTER: &str = "<unknown>";

/// Who answered: a pod in a cluster, and where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    pub pod: String,
    /// [`UNKNOWN_CLUSTER`] if not known.
    pub cluster: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The Istio network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Identity {
    /// An identity with only pod and cluster.
    #[must_use]
    pub fn new(pod: impl Into<String>, cluster: impl Into<String>) -> Self {
        Self {
            pod: pod.into(),
            cluster: cluster.into(),
            namespace: None,
            node: None,
            region: None,
            zone: None,
            network: None,
            version: None,
        }
    }

    /// All values, in the order of the fields.
    #[must_use]
    pub fn values(&self) -> [Option<&str>; 8] {
        [
            Some(self.pod.as_str()),
            Some(self.cluster.as_str()),
            self.namespace.as_deref(),
            self.node.as_deref(),
            self.region.as_deref(),
            self.zone.as_deref(),
            self.network.as_deref(),
            self.version.as_deref(),
        ]
    }

    /// The same with values that are safe to print ([`printable::clean_name`]); `None` if one has a
    /// control character, which no name has.
    #[must_use]
    pub fn cleaned(mut self) -> Option<Self> {
        let Self { pod, cluster, namespace, node, region, zone, network, version } = &mut self;
        let known = [namespace, node, region, zone, network, version].into_iter().flatten();
        for value in [pod, cluster].into_iter().chain(known) {
            if value.contains(char::is_control) {
                return None;
            }
            if let Cow::Owned(clean) = printable::clean_name(value) {
                *value = clean;
            }
        }
        Some(self)
    }

    /// Whether a value is longer than a name that is counted ([`printable::MAX_NAME`]).
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.values().into_iter().flatten().any(|value| value.len() > printable::MAX_NAME)
    }

    /// The same with clean values that are cut if they are too long ([`printable::bounded_name`]).
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let Self { pod, cluster, namespace, node, region, zone, network, version } = &mut self;
        let known = [namespace, node, region, zone, network, version].into_iter().flatten();
        for value in [pod, cluster].into_iter().chain(known) {
            if let Cow::Owned(cut) = printable::bounded_name(value) {
                *value = cut;
            }
        }
        self
    }

    /// Whether all values are safe to print as they are ([`printable::is_clean`]). Others are
    /// refused, not cleaned: two names must not become one.
    #[must_use]
    pub fn is_printable(&self) -> bool {
        let Self { pod, cluster, namespace, node, region, zone, network, version } = self;
        let known = [namespace, node, region, zone, network, version].into_iter().flatten();
        [pod, cluster].into_iter().chain(known).all(|value| printable::is_clean(value))
    }

    /// The headers of this identity: names and values, without unknown ones.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        use crate::headers as h;
        let names =
            [h::POD, h::CLUSTER, h::NAMESPACE, h::NODE, h::REGION, h::ZONE, h::NETWORK, h::VERSION];
        names.into_iter().zip(self.values()).filter_map(|(name, value)| Some((name, value?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_state_what_is_known_and_nothing_else() {
        let mut identity = Identity::new("echo2-x", "gke1");
        identity.zone = Some("europe-west1-b".into());
        identity.version = Some("v2".into());
        let stated: Vec<_> = identity.headers().collect();
        assert_eq!(
            stated,
            [
                ("x-echo-pod", "echo2-x"),
                ("x-echo-cluster", "gke1"),
                ("x-echo-zone", "europe-west1-b"),
                ("x-echo-version", "v2"),
            ]
        );
    }

    #[test]
    fn every_value_that_is_too_long_is_cut() {
        let long = "x".repeat(60_000);
        let mut identity = Identity::new(long.clone(), long.clone());
        assert!(identity.is_too_long());
        for value in [
            &mut identity.namespace,
            &mut identity.node,
            &mut identity.region,
            &mut identity.zone,
            &mut identity.network,
            &mut identity.version,
        ] {
            *value = Some(long.clone());
        }
        let cut = identity.bounded();
        assert!(cut.values().into_iter().all(|value| value.is_some_and(|v| v.len() == 253)));
        assert!(!cut.is_too_long());
    }
}
